//! Who gets which partitions: the server-side assignors of the consumer protocol (KIP-848).
//!
//! Called by `group::consumer::target` with everything a decision needs; gives back one assignment
//! per member, in the order of the members. Invariant: every partition of a topic somebody subscribed
//! to is given to exactly one of its subscribers, and the same question gets the same answer.

mod mixed;
mod range;
mod uniform;

#[cfg(test)]
mod tests;

use std::rc::Rc;

use crate::model::TopicId;
use crate::protocol::consumer_offsets::Assignment;

/// A topic that is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscribedTopic {
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
}

/// A member of the group.
#[derive(Debug, Clone)]
pub struct Subscriber<'a> {
    /// Its id.
    pub member_id: &'a str,
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<&'a str>,
    /// Its topics: places in [`Subscriptions::topics`], ascending. Members with the same
    /// subscription share the list.
    pub topics: Rc<[usize]>,
    /// The partitions it was to have so far.
    pub assigned: &'a Assignment,
}

/// What an assignor decides upon.
#[derive(Debug, Clone)]
pub struct Subscriptions<'a> {
    /// The topics, by id, ascending.
    pub topics: Vec<SubscribedTopic>,
    /// The members, by id, ascending.
    pub members: Vec<Subscriber<'a>>,
}

impl Subscriptions<'_> {
    /// Whether all members subscribed to the same topics.
    fn is_homogeneous(&self) -> bool {
        let Some(first) = self.members.first() else {
            return true;
        };
        self.members.iter().all(|member| {
            Rc::ptr_eq(&member.topics, &first.topics) || member.topics == first.topics
        })
    }

    /// Where a topic stands in the list.
    fn place_of(&self, id: &TopicId) -> Option<usize> {
        self.topics.binary_search_by(|topic| topic.id.cmp(id)).ok()
    }
}

/// A server-side assignor (`group.consumer.assignors`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Equal numbers for all, and as few moves as possible.
    Uniform,
    /// Neighbouring partitions of each topic, the same numbers of all topics for one member.
    Range,
}

impl Assignor {
    /// The assignor of that name.
    pub fn by_name(name: &str) -> Option<Assignor> {
        match name {
            "uniform" => Some(Assignor::Uniform),
            "range" => Some(Assignor::Range),
            _ => None,
        }
    }

    /// Decides; one assignment per member, in the order of [`Subscriptions::members`].
    pub fn assign(self, subscriptions: &Subscriptions<'_>) -> Vec<Assignment> {
        match self {
            Assignor::Uniform if subscriptions.is_homogeneous() => uniform::assign(subscriptions),
            Assignor::Uniform => mixed::assign(subscriptions),
            Assignor::Range => range::assign(subscriptions),
        }
    }
}
