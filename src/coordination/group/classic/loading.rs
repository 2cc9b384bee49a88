//! From the log: replaying records, beginning to serve, and records that could not be stored.
//!
//! Called by the facade. Invariant: a record that this coordinator planned completes what was
//! planned; any other makes the group anew from what it says.

use std::sync::Arc;

use bytes::Bytes;

use super::join::own_protocols;
use super::member::Member;
use super::{ClassicGroup, Plan, State, subscription};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{Client, GroupError};
use crate::coordination::{Now, Step};
use crate::protocol::consumer_offsets::{ClassicGroupValue, ClassicMemberValue};

/// Kafka's "as long as the session timeout", in records of its old versions.
const NO_TIMEOUT: i32 = -1;

impl ClassicGroup {
    /// Takes what a record of this group says; `None` is its tombstone. Nobody may be parked here
    /// when a record comes that was not planned here ([`Self::release_parked`]).
    pub fn replay(&mut self, value: Option<&ClassicGroupValue>) {
        let Some(value) = value else {
            *self = ClassicGroup::new(self.id.clone());
            return;
        };
        match self.plan.take() {
            Some(Plan::Assignment) => self.become_stable(value),
            // It may have subscribed to other topics in its new life.
            Some(Plan::Replacement { .. }) => {
                self.subscribed_topics = subscription::topics(self);
            }
            Some(Plan::Founding | Plan::Emptying) => {}
            None => self.load(value),
        }
        self.stored = Some(Box::new(value.clone()));
    }

    fn load(&mut self, value: &ClassicGroupValue) {
        *self = ClassicGroup::new(self.id.clone());
        self.generation = value.generation;
        self.protocol_type = Some(value.protocol_type.clone()).filter(|kind| !kind.is_empty());
        self.protocol = value.protocol.clone();
        self.state_since = value.state_since;
        for member in &value.members {
            let member = loaded_member(member, value.protocol.as_ref());
            self.members.insert(member);
        }
        if value
            .leader
            .as_ref()
            .is_some_and(|id| self.members.contains(id))
        {
            self.members.set_leader(value.leader.clone());
        }
        if !self.members.is_empty() {
            self.state = State::Stable;
        }
        self.subscribed_topics = subscription::topics(self);
    }

    /// After the last replay of a load, or of a change of protocol: sessions begin now. A group that
    /// is larger than it may be by now rebalances.
    pub fn handle_loaded(&mut self, now: Now, config: &GroupConfig) -> Step {
        let mut step = Step::none();
        for member_id in self.members.ids() {
            self.restart_session(&member_id, now);
        }
        if self.members.len() > config.members_max {
            self.rebalance_or_complete(now, &mut step);
        }
        step
    }

    /// Gives a member that was loaded the protocols it is known to support from elsewhere, as after a
    /// change of protocol; its record has the chosen one alone.
    pub fn recall_protocols(&mut self, member_id: &str, mut protocols: Vec<(Arc<str>, Bytes)>) {
        own_protocols(&mut protocols);
        let Some(member) = self.members.get(member_id) else {
            return;
        };
        let keeps_the_chosen = self
            .protocol
            .as_deref()
            .is_none_or(|chosen| protocols.iter().any(|(name, _)| **name == *chosen));
        if keeps_the_chosen {
            let (rebalance, session) = (member.rebalance_timeout_ms, member.session_timeout_ms);
            self.members
                .update(member_id, protocols, rebalance, session);
        }
    }

    /// Makes all members join again, as after a change of protocol that left them with an assignment
    /// that is not whole.
    pub fn begin_rebalance(&mut self, now: Now) -> Step {
        let mut step = Step::none();
        self.rebalance_or_complete(now, &mut step);
        step
    }

    /// The log refused the records of the last step, and the shell has answered its callers so.
    pub fn handle_append_failed(&mut self, now: Now) -> Step {
        match self.plan.take() {
            None => Step::none(),
            // Nobody has heard of the group.
            Some(Plan::Founding) => {
                let step = self.release_parked(&GroupError::CoordinatorNotAvailable);
                *self = ClassicGroup::new(self.id.clone());
                step
            }
            // The generation has no assignment: another one has to be agreed upon.
            Some(Plan::Assignment) => self.begin_rebalance(now),
            // A new coordinator would find the last generation, and its members silent.
            Some(Plan::Emptying) => Step::none(),
            Some(Plan::Replacement {
                old,
                new,
                was_leader,
            }) => {
                self.undo_replacement(now, *old, &new, was_leader);
                Step::none()
            }
        }
    }
}

fn loaded_member(value: &ClassicMemberValue, protocol: Option<&Arc<str>>) -> Member {
    let protocols = protocol.map(|name| (name.clone(), value.subscription.clone()));
    Member {
        id: value.member_id.clone(),
        instance_id: value.instance_id.clone(),
        client: Client {
            id: value.client_id.clone(),
            host: value.client_host.clone(),
        },
        rebalance_timeout_ms: match value.rebalance_timeout_ms {
            NO_TIMEOUT => value.session_timeout_ms,
            timeout => timeout,
        },
        session_timeout_ms: value.session_timeout_ms,
        protocols: protocols.into_iter().collect::<Vec<(Arc<str>, Bytes)>>(),
        assignment: value.assignment.clone(),
        join: None,
        sync: None,
        is_new: false,
    }
}
