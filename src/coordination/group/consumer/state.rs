//! The hard state of a consumer group: what a replay of its records makes.
//!
//! Owned by [`super::ConsumerGroup`]; changed by [`State::replay`] alone. Beside what the records say
//! it keeps counts and indexes of it, so that no request has to walk over all members.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::owned::OwnedPartitions;
use crate::model::{Timestamp, TopicId};
use crate::protocol::consumer_offsets::{
    Assignment, CurrentMemberValue, MemberState, MemberValue, Record, RegularExpressionValue,
    TargetEpochValue,
};

/// How often something is counted on.
pub(super) type Counts = BTreeMap<Arc<str>, usize>;

/// The expressions of a group, with the topics they were resolved to.
pub(super) type Expressions = BTreeMap<Arc<str>, Arc<RegularExpressionValue>>;

/// A member.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    /// What it asked for.
    pub(super) value: Arc<MemberValue>,
    /// Its epoch; -1 once it left, -2 while a static member is away.
    pub(super) epoch: i32,
    /// The epoch before.
    pub(super) previous_epoch: i32,
    /// Where its reconciliation stands.
    pub(super) state: MemberState,
    /// What it has.
    pub(super) assigned: OwnedPartitions,
    /// What it must give up.
    pub(super) pending_revocation: OwnedPartitions,
}

impl Member {
    /// A member nothing is known of.
    pub(super) fn new() -> Member {
        Member {
            value: Arc::new(MemberValue {
                instance_id: None,
                rack_id: None,
                client_id: Arc::from(""),
                client_host: Arc::from(""),
                subscribed_topics: Vec::new(),
                subscribed_regex: None,
                rebalance_timeout_ms: -1,
                server_assignor: None,
                classic: None,
            }),
            epoch: 0,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: OwnedPartitions::default(),
            pending_revocation: OwnedPartitions::default(),
        }
    }

    /// Whether it speaks the classic protocol.
    pub(super) fn is_classic(&self) -> bool {
        self.value.classic.is_some()
    }

    /// Whether it has all of its target of that epoch.
    pub(super) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// What is recorded of where it stands.
    pub(super) fn current(&self) -> CurrentMemberValue {
        CurrentMemberValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state,
            assigned: self.assigned.partitions(),
            pending_revocation: self.pending_revocation.partitions(),
            assigned_epochs: self.assigned.epochs(),
            pending_revocation_epochs: self.pending_revocation.epochs(),
        }
    }

    fn set_current(&mut self, value: &CurrentMemberValue) {
        self.epoch = value.member_epoch;
        self.previous_epoch = value.previous_member_epoch;
        self.state = value.state;
        self.assigned =
            OwnedPartitions::read(&value.assigned, &value.assigned_epochs, value.member_epoch);
        self.pending_revocation = OwnedPartitions::read(
            &value.pending_revocation,
            &value.pending_revocation_epochs,
            value.member_epoch,
        );
    }

    fn clear_current(&mut self) {
        self.epoch = -1;
        self.previous_epoch = -1;
        self.assigned = OwnedPartitions::default();
        self.pending_revocation = OwnedPartitions::default();
    }
}

/// The expression a member subscribed by; an empty one is none.
pub(super) fn expression_of(value: &MemberValue) -> Option<&Arc<str>> {
    value.subscribed_regex.as_ref().filter(|e| !e.is_empty())
}

/// Counts one more.
pub(super) fn count(counts: &mut Counts, key: &Arc<str>) {
    *counts.entry(Arc::clone(key)).or_default() += 1;
}

/// Counts one less.
pub(super) fn discount(counts: &mut Counts, key: &Arc<str>) {
    if let Some(number) = counts.get_mut(key) {
        *number = number.saturating_sub(1);
        if *number == 0 {
            counts.remove(key);
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    /// The group epoch. It starts at 1, for a member epoch of 0 means joining.
    pub(super) epoch: i32,
    /// The hash of the subscribed topics as of `epoch`.
    pub(super) metadata_hash: i64,
    /// The epoch of the target assignment; -1 for none.
    pub(super) target_epoch: i32,
    /// When it was computed; 0 if unknown.
    pub(super) target_computed: Timestamp,
    /// Whether there is a record of the group's epoch.
    pub(super) is_recorded: bool,
    /// By id.
    pub(super) members: BTreeMap<Arc<str>, Member>,
    /// What each member is to have.
    pub(super) targets: BTreeMap<Arc<str>, Arc<Assignment>>,
    /// What was resolved.
    pub(super) expressions: Expressions,
    /// Counted: static members by instance id.
    pub(super) instances: BTreeMap<Arc<str>, Arc<str>>,
    /// Counted: topics by the members that named them and the expressions that matched them.
    pub(super) topics: Counts,
    /// Counted: expressions by members.
    pub(super) expression_members: Counts,
    /// Counted: assignors by the members that want them.
    pub(super) votes: Counts,
    /// Counted: members that speak the classic protocol.
    pub(super) classic_members: usize,
    /// Counted: the protocols they support.
    pub(super) classic_protocols: Counts,
    /// Counted: who has or must still give up a partition.
    owners: BTreeMap<(TopicId, i32), Arc<str>>,
}

impl Default for State {
    fn default() -> State {
        State {
            epoch: 1,
            metadata_hash: 0,
            target_epoch: -1,
            target_computed: Timestamp(0),
            is_recorded: false,
            members: BTreeMap::new(),
            targets: BTreeMap::new(),
            expressions: BTreeMap::new(),
            instances: BTreeMap::new(),
            topics: Counts::new(),
            expression_members: Counts::new(),
            votes: Counts::new(),
            classic_members: 0,
            classic_protocols: Counts::new(),
            owners: BTreeMap::new(),
        }
    }
}

impl State {
    /// Takes a record in. Records of other kinds are none of its business.
    pub(super) fn replay(&mut self, record: &Record) {
        match record {
            Record::ConsumerGroup { value, .. } => {
                self.is_recorded = value.is_some();
                self.epoch = value.map_or(1, |value| value.epoch);
                self.metadata_hash = value.map_or(0, |value| value.metadata_hash);
            }
            Record::Member { member, value, .. } => self.replay_member(member, value.as_ref()),
            Record::TargetEpoch { value, .. } => {
                let unknown = TargetEpochValue {
                    epoch: -1,
                    computed: Timestamp(0),
                };
                let value = value.unwrap_or(unknown);
                self.target_epoch = value.epoch;
                self.target_computed = value.computed;
            }
            Record::TargetMember { member, value, .. } => match value {
                Some(value) => {
                    let value = Arc::new(value.clone());
                    self.targets.insert(Arc::clone(member), value);
                }
                None => {
                    self.targets.remove(member);
                }
            },
            Record::CurrentMember { member, value, .. } => {
                self.replay_current(member, value.as_ref());
            }
            Record::RegularExpression {
                expression, value, ..
            } => self.replay_expression(expression, value.as_ref()),
            Record::Offset { .. } | Record::ClassicGroup { .. } => {}
        }
    }

    /// Whether nothing is recorded of the group.
    pub(super) fn is_gone(&self) -> bool {
        !self.is_recorded
            && self.members.is_empty()
            && self.targets.is_empty()
            && self.expressions.is_empty()
            && self.target_epoch == -1
    }

    /// Tombstones of everything that is recorded, in the order Kafka's replay insists on.
    pub(super) fn tombstones(&self, group: &Arc<str>) -> Vec<Record> {
        let group = || Arc::clone(group);
        let members = || self.members.keys().cloned();
        let mut records: Vec<Record> = Vec::new();
        records.extend(members().map(|member| Record::CurrentMember {
            group: group(),
            member,
            value: None,
        }));
        let targets = self.targets.keys().cloned();
        records.extend(targets.map(|member| Record::TargetMember {
            group: group(),
            member,
            value: None,
        }));
        records.push(Record::TargetEpoch {
            group: group(),
            value: None,
        });
        records.extend(members().map(|member| Record::Member {
            group: group(),
            member,
            value: None,
        }));
        let expressions = self.expressions.keys().cloned();
        records.extend(expressions.map(|expression| Record::RegularExpression {
            group: group(),
            expression,
            value: None,
        }));
        records.push(Record::ConsumerGroup {
            group: group(),
            value: None,
        });
        records
    }

    /// Who has a partition, or must still give it up.
    pub(super) fn owner(&self, topic: &TopicId, partition: i32) -> Option<&Arc<str>> {
        self.owners.get(&(*topic, partition))
    }

    fn replay_member(&mut self, id: &Arc<str>, value: Option<&MemberValue>) {
        let mut member = match self.members.remove(id) {
            Some(member) => {
                self.forget_wishes(id, &member.value);
                member
            }
            None if value.is_none() => return,
            None => Member::new(),
        };
        match value {
            Some(value) => {
                member.value = Arc::new(value.clone());
                self.note_wishes(id, value);
                self.members.insert(Arc::clone(id), member);
            }
            None => self.forget_owned(id, &member),
        }
    }

    fn replay_current(&mut self, id: &Arc<str>, value: Option<&CurrentMemberValue>) {
        let Some((id, mut member)) = self.members.remove_entry(id).or_else(|| {
            // The record of the wishes was written later than this one by then, and follows.
            value.map(|_| (Arc::clone(id), Member::new()))
        }) else {
            return;
        };
        self.forget_owned(&id, &member);
        match value {
            Some(value) => member.set_current(value),
            None => member.clear_current(),
        }
        for (topic, partition, _) in member
            .assigned
            .iter()
            .chain(member.pending_revocation.iter())
        {
            self.owners.insert((topic, partition), Arc::clone(&id));
        }
        self.members.insert(id, member);
    }

    fn forget_owned(&mut self, id: &Arc<str>, member: &Member) {
        for (topic, partition, _) in member
            .assigned
            .iter()
            .chain(member.pending_revocation.iter())
        {
            let key = (topic, partition);
            if self.owners.get(&key).is_some_and(|owner| owner == id) {
                self.owners.remove(&key);
            }
        }
    }

    fn note_wishes(&mut self, id: &Arc<str>, value: &MemberValue) {
        if let Some(instance) = &value.instance_id {
            self.instances.insert(Arc::clone(instance), Arc::clone(id));
        }
        for topic in &value.subscribed_topics {
            count(&mut self.topics, topic);
        }
        if let Some(expression) = expression_of(value) {
            count(&mut self.expression_members, expression);
        }
        if let Some(assignor) = &value.server_assignor {
            count(&mut self.votes, assignor);
        }
        if let Some(classic) = &value.classic {
            self.classic_members += 1;
            for (protocol, _) in &classic.supported_protocols {
                count(&mut self.classic_protocols, protocol);
            }
        }
    }

    fn forget_wishes(&mut self, id: &Arc<str>, value: &MemberValue) {
        if let Some(instance) = &value.instance_id
            && self
                .instances
                .get(instance)
                .is_some_and(|owner| owner == id)
        {
            self.instances.remove(instance);
        }
        for topic in &value.subscribed_topics {
            discount(&mut self.topics, topic);
        }
        if let Some(expression) = expression_of(value) {
            discount(&mut self.expression_members, expression);
        }
        if let Some(assignor) = &value.server_assignor {
            discount(&mut self.votes, assignor);
        }
        if let Some(classic) = &value.classic {
            self.classic_members = self.classic_members.saturating_sub(1);
            for (protocol, _) in &classic.supported_protocols {
                discount(&mut self.classic_protocols, protocol);
            }
        }
    }

    fn replay_expression(&mut self, expression: &Arc<str>, value: Option<&RegularExpressionValue>) {
        if let Some(old) = self.expressions.remove(expression) {
            for topic in &old.topics {
                discount(&mut self.topics, topic);
            }
        }
        if let Some(value) = value {
            for topic in &value.topics {
                count(&mut self.topics, topic);
            }
            self.expressions
                .insert(Arc::clone(expression), Arc::new(value.clone()));
        }
    }
}
