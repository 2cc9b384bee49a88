//! The target assignment: computed for the group epoch, at most once per interval (KIP-1263).
//!
//! As Kafka's `TargetAssignmentBuilder`: the assignor most members ask for decides, and what it
//! changed is recorded, closed by the target's epoch.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::plan::Plan;
use super::state::{Member, State, expression_of};
use crate::coordination::assignor::{Assignor, SubscribedTopic, Subscriber, Subscriptions};
use crate::coordination::config::GroupConfig;
use crate::model::{Timestamp, TopicId};
use crate::protocol::consumer_offsets::{Assignment, MemberValue, Record, TargetEpochValue};

/// What a member is to have, and as of which epoch.
pub(super) struct Target {
    pub(super) epoch: i32,
    pub(super) assignment: Arc<Assignment>,
}

/// The assignor most members ask for, the first one configured if none does.
pub(super) fn preferred_assignor<'a>(
    config: &'a GroupConfig,
    votes: &super::state::Counts,
) -> Option<&'a Arc<str>> {
    // Of several with as many votes the one that is configured first.
    config
        .consumer_assignors
        .iter()
        .rev()
        .max_by_key(|name| votes.get(*name).copied().unwrap_or(0))
}

fn may_compute(state: &State, config: &GroupConfig, now: Timestamp) -> bool {
    let interval = i64::try_from(config.consumer_assignment_interval.as_millis());
    let since = now.0.saturating_sub(state.target_computed.0);
    // A negative time says that the clock was set back, which must not stop the group.
    state.target_computed.0 == 0 || since < 0 || since >= interval.unwrap_or(i64::MAX)
}

impl Plan<'_> {
    /// The target of `member`, computed anew if the group epoch is ahead of it and it may be.
    pub(super) fn target(&mut self, id: &Arc<str>, member: &Member) -> Target {
        let state = self.context.state;
        let is_current = state.target_epoch >= self.epoch;
        if !is_current && may_compute(state, self.context.config, self.context.now.wall) {
            return self.compute_target(id, member);
        }
        let source = self.replaced.as_ref().unwrap_or(id);
        Target {
            epoch: state.target_epoch,
            assignment: state.targets.get(source).cloned().unwrap_or_default(),
        }
    }

    fn compute_target(&mut self, id: &Arc<str>, member: &Member) -> Target {
        let state = self.context.state;
        let mut votes = state.votes.clone();
        let old = state.members.get(self.replaced.as_ref().unwrap_or(id));
        if let Some(assignor) = old.and_then(|old| old.value.server_assignor.as_ref()) {
            super::state::discount(&mut votes, assignor);
        }
        if let Some(assignor) = &member.value.server_assignor {
            super::state::count(&mut votes, assignor);
        }
        let assignor = preferred_assignor(self.context.config, &votes)
            .and_then(|name| Assignor::by_name(name))
            .unwrap_or(Assignor::Uniform);
        let members = members_after(state, self.replaced.as_ref(), id, member);
        let assignments = self.ask(assignor, &members);
        self.record_targets(&members, assignments, id)
    }

    fn ask(&mut self, assignor: Assignor, members: &[Subscribing<'_>]) -> Vec<Assignment> {
        let mut resolved: HashMap<Wishes<'_>, Rc<[TopicId]>> = HashMap::new();
        let mut topics: HashMap<TopicId, i32> = HashMap::new();
        for member in members {
            let wishes = Wishes::of(member.value);
            resolved
                .entry(wishes)
                .or_insert_with(|| self.resolve(member.value, &mut topics));
        }
        let mut topics: Vec<SubscribedTopic> = topics
            .into_iter()
            .map(|(id, partitions)| SubscribedTopic { id, partitions })
            .collect();
        topics.sort_unstable_by_key(|topic| topic.id);
        let places: HashMap<Wishes<'_>, Rc<[usize]>> = resolved
            .into_iter()
            .map(|(wishes, ids)| {
                let place = |id: &TopicId| topics.binary_search_by(|topic| topic.id.cmp(id)).ok();
                (wishes, ids.iter().filter_map(place).collect())
            })
            .collect();
        let nothing = Rc::from([]);
        let members = members.iter().map(|member| Subscriber {
            member_id: member.id,
            instance_id: member.value.instance_id.as_deref(),
            topics: Rc::clone(places.get(&Wishes::of(member.value)).unwrap_or(&nothing)),
            assigned: member.target,
        });
        assignor.assign(&Subscriptions {
            members: members.collect(),
            topics,
        })
    }

    /// The existing topics a member subscribed to, by id, ascending.
    fn resolve(
        &mut self,
        value: &MemberValue,
        topics: &mut HashMap<TopicId, i32>,
    ) -> Rc<[TopicId]> {
        let resolved = expression_of(value).and_then(|e| self.expressions().get(e).cloned());
        let by_expression = resolved.iter().flat_map(|resolved| &resolved.topics);
        let mut ids = Vec::new();
        for name in value.subscribed_topics.iter().chain(by_expression) {
            let context = &mut self.context;
            if let Some(known) = context.known.by_name(context.topics, name) {
                topics.insert(known.id, known.partitions);
                ids.push(known.id);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        ids.into()
    }

    fn record_targets(
        &mut self,
        members: &[Subscribing<'_>],
        assignments: Vec<Assignment>,
        id: &Arc<str>,
    ) -> Target {
        let mut own = Arc::default();
        for (member, assignment) in members.iter().zip(assignments) {
            let known = self.context.state.targets.get(member.id);
            let is_new = known.is_none_or(|known| **known != assignment);
            if member.id == id {
                own = Arc::new(assignment.clone());
            }
            if is_new {
                self.records.push(Record::TargetMember {
                    group: self.group(),
                    member: Arc::clone(member.id),
                    value: Some(assignment),
                });
            }
        }
        self.records.push(Record::TargetEpoch {
            group: self.group(),
            value: Some(TargetEpochValue {
                epoch: self.epoch,
                computed: self.context.now.wall,
            }),
        });
        Target {
            epoch: self.epoch,
            assignment: own,
        }
    }
}

/// What a member subscribed to: members with the same wishes are resolved once.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Wishes<'a> {
    names: &'a [Arc<str>],
    expression: Option<&'a Arc<str>>,
}

impl<'a> Wishes<'a> {
    fn of(value: &'a MemberValue) -> Wishes<'a> {
        Wishes {
            names: &value.subscribed_topics,
            expression: expression_of(value),
        }
    }
}

/// A member as the assignor is to see it.
struct Subscribing<'a> {
    id: &'a Arc<str>,
    value: &'a MemberValue,
    target: &'a Assignment,
}

static NOTHING: Assignment = Assignment::new();

/// The members once the step is done, by id: `id` has come or changed, `replaced` has gone and left
/// it its target.
fn members_after<'a>(
    state: &'a State,
    replaced: Option<&Arc<str>>,
    id: &'a Arc<str>,
    member: &'a Member,
) -> Vec<Subscribing<'a>> {
    let target_of = |id: &Arc<str>| state.targets.get(id).map_or(&NOTHING, |target| &**target);
    let mut members: Vec<Subscribing<'a>> = state
        .members
        .iter()
        .filter(|(other, _)| *other != id && Some(*other) != replaced)
        .map(|(id, member)| Subscribing {
            id,
            value: &member.value,
            target: target_of(id),
        })
        .collect();
    let place = members.partition_point(|other| other.id < id);
    let own = Subscribing {
        id,
        value: &member.value,
        target: target_of(replaced.unwrap_or(id)),
    };
    members.insert(place, own);
    members
}
