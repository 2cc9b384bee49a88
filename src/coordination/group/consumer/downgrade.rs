//! From a consumer group to a classic group: when the last member that spoke the consumer protocol
//! has gone, the others go on among themselves (Kafka's `convertToClassicGroup`).
//!
//! Planned here as records; what the new group needs beside its record is handed to
//! [`crate::coordination::group::migration`] as a [`Downgrade`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::classic_members::{CONSUMER, write_assignment};
use super::heartbeat::Progress;
use super::plan::Plan;
use super::state::Member;
use super::target::Target;
use crate::coordination::Now;
use crate::coordination::messages::GroupError;
use crate::model::TopicId;
use crate::protocol::consumer_offsets::{
    Assignment, ClassicGroupValue, ClassicMemberValue, Record,
};

/// Protocols with a member's metadata for each.
pub type Protocols = Vec<(Arc<str>, Bytes)>;

/// What the classic group is to be given once its record is replayed.
#[derive(Debug)]
pub struct Downgrade {
    /// When it was planned.
    pub now: Now,
    /// All protocols of each member: the record has the chosen one alone.
    pub protocols: Vec<(Arc<str>, Protocols)>,
    /// Whether the members must agree anew.
    pub must_rebalance: bool,
}

/// A member that stays.
struct Remaining<'a> {
    id: &'a Arc<str>,
    member: &'a Member,
    target: Option<Arc<Assignment>>,
}

impl<'a> Plan<'a> {
    /// Whether the group turns classic when `existing` is replaced by a classic member.
    pub(super) fn may_downgrade_by_replacing(&self, existing: &Arc<str>) -> bool {
        let state = self.context.state;
        let config = self.context.config;
        state
            .members
            .get(existing)
            .is_some_and(|member| !member.is_classic())
            && state.classic_members + 1 == state.members.len()
            && config.consumer_migration_policy.may_downgrade()
            && state.members.len() <= config.members_max
    }

    /// The last member of the consumer protocol was replaced by a classic one: plans the change.
    /// Gives the joining member as it is in the end.
    pub(super) fn downgrade_with(
        &mut self,
        id: &Arc<str>,
        member: Member,
        progress: &Progress<'_>,
    ) -> Result<(Member, bool), GroupError> {
        let state = self.context.state;
        let source = self.replaced.clone().unwrap_or_else(|| Arc::clone(id));
        let target = state.targets.get(&source).cloned();
        let must_rebalance = state.target_epoch < self.epoch;
        let (member, _) = if must_rebalance {
            (member, false)
        } else {
            let target = Target {
                epoch: state.target_epoch,
                assignment: target.clone().unwrap_or_default(),
            };
            self.reconcile(id, member, &target, progress)?
        };
        let mut remaining = self.remaining(&BTreeSet::from([source]));
        remaining.push(Remaining {
            id,
            member: &member,
            target,
        });
        remaining.sort_by(|a, b| a.id.cmp(b.id));
        if !self.downgrade(&remaining, must_rebalance) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok((member, false))
    }

    /// Plans the change if all members but `leaving` are classic. Gives whether it did.
    pub(super) fn downgrade_without(&mut self, leaving: &BTreeSet<Arc<str>>) -> bool {
        let config = self.context.config;
        let remaining = self.remaining(leaving);
        !remaining.is_empty()
            && remaining.iter().all(|one| one.member.is_classic())
            && config.consumer_migration_policy.may_downgrade()
            && remaining.len() <= config.members_max
            && self.downgrade(&remaining, true)
    }

    fn remaining(&self, leaving: &BTreeSet<Arc<str>>) -> Vec<Remaining<'a>> {
        let state = self.context.state;
        let members = state.members.iter();
        members
            .filter(|(id, _)| !leaving.contains(*id))
            .map(|(id, member)| Remaining {
                id,
                member,
                target: state.targets.get(id).cloned(),
            })
            .collect()
    }

    fn downgrade(&mut self, remaining: &[Remaining<'_>], must_rebalance: bool) -> bool {
        let Some(protocol) = select_protocol(remaining) else {
            return false;
        };
        let members: Vec<ClassicMemberValue> = remaining
            .iter()
            .map(|one| self.classic_value(one, &protocol))
            .collect();
        // What was planned so far concerned the group that is given up here.
        self.records = self.context.state.tombstones(self.context.group);
        self.records.push(Record::ClassicGroup {
            group: self.group(),
            value: Some(ClassicGroupValue {
                protocol_type: Arc::from(CONSUMER),
                generation: self.context.state.epoch,
                protocol: Some(protocol),
                leader: members.first().map(|member| Arc::clone(&member.member_id)),
                state_since: self.context.now.wall,
                members,
            }),
        });
        let protocols = remaining.iter().map(|one| {
            let protocols = protocols_of(one.member);
            (Arc::clone(one.id), protocols.to_vec())
        });
        self.downgrade = Some(Downgrade {
            now: self.context.now,
            protocols: protocols.collect(),
            must_rebalance,
        });
        true
    }

    fn classic_value(&mut self, one: &Remaining<'_>, protocol: &Arc<str>) -> ClassicMemberValue {
        let protocols = protocols_of(one.member);
        let metadata = protocols.iter().find(|(name, _)| name == protocol);
        let metadata = metadata
            .map(|(_, metadata)| metadata.clone())
            .unwrap_or_default();
        let target = one.target.clone().unwrap_or_default();
        let context = &mut self.context;
        let name_of = |id: &TopicId| {
            let known = context.known.by_id(context.topics, id)?;
            Some(Arc::clone(&known.name))
        };
        let assignment = write_assignment(&target, &metadata, name_of);
        let value = &one.member.value;
        let session_timeout_ms = value.classic.as_ref().map(|c| c.session_timeout_ms);
        ClassicMemberValue {
            member_id: Arc::clone(one.id),
            instance_id: value.instance_id.clone(),
            client_id: Arc::clone(&value.client_id),
            client_host: Arc::clone(&value.client_host),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            session_timeout_ms: session_timeout_ms.unwrap_or(0),
            subscription: metadata,
            assignment,
        }
    }
}

fn protocols_of(member: &Member) -> &[(Arc<str>, Bytes)] {
    let classic = member.value.classic.as_ref();
    classic.map_or(&[][..], |classic| &classic.supported_protocols)
}

/// The protocol most members would take of those that all have.
fn select_protocol(remaining: &[Remaining<'_>]) -> Option<Arc<str>> {
    let mut supporters: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    for (name, _) in remaining.iter().flat_map(|one| protocols_of(one.member)) {
        *supporters.entry(name).or_default() += 1;
    }
    let is_common = |name: &Arc<str>| supporters.get(name) == Some(&remaining.len());
    let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
    for one in remaining {
        let names = protocols_of(one.member).iter().map(|(name, _)| name);
        if let Some(vote) = names.into_iter().find(|name| is_common(name)) {
            *votes.entry(vote).or_default() += 1;
        }
    }
    let most = votes.into_iter().max_by_key(|(_, votes)| *votes);
    most.map(|(name, _)| Arc::clone(name))
}
