//! Members that speak the classic protocol in a consumer group (KIP-848, migration): they join, sync
//! and beat as ever, and are answered from the target assignment.
//!
//! Kafka's `classicGroup…ToConsumerGroup`. A rebalance is announced to such a member by its heartbeat;
//! it then joins, which reconciles it, and syncs, which tells it what it has. A join or a sync it
//! owes is waited for as long as its rebalance timeout.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::heartbeat::{Arrival, Outcome, Progress};
use super::plan::Plan;
use super::sessions::{Deadline, milliseconds};
use super::state::Member;
use super::{ConsumerGroup, session_timeout};
use crate::coordination::config::{GroupConfig, MigrationPolicy};
use crate::coordination::group::classic::own_protocols;
use crate::coordination::messages::{
    GroupError, Identity, Join, JoinRefused, Joined, Leaving, Reply, Sync, Synced,
};
use crate::coordination::topics::Topics;
use crate::coordination::{Now, Step, Ticket};
use crate::model::TopicId;
use crate::protocol::consumer_offsets::{
    Assignment, ClassicMemberMetadata, MemberState, MemberValue, Record,
};
use crate::protocol::consumer_protocol::{MemberAssignment, Subscription};

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

impl ConsumerGroup {
    /// JoinGroup, when the group has members.
    pub fn handle_join(
        &mut self,
        now: Now,
        config: &GroupConfig,
        join: &Join,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        let mut join = join.clone();
        own_protocols(&mut join.protocols);
        let is_unknown = join.member_id.is_empty();
        if is_unknown {
            join.member_id = Arc::from(join.fresh.to_string());
        }
        let refused = |error: GroupError, member_id: Arc<str>| {
            Step::reply(ticket, Reply::Join(Err(JoinRefused { error, member_id })))
        };
        if let Err(error) = self.check_join(config, &join) {
            let member_id = if is_unknown {
                Arc::from("")
            } else {
                join.member_id
            };
            return refused(error, member_id);
        }
        if is_unknown && join.requires_known_member_id && join.instance_id.is_none() {
            return refused(GroupError::MemberIdRequired, join.member_id);
        }
        match self.join(now, config, &join, is_unknown, topics) {
            Ok((records, joined)) => Step {
                records,
                replies: vec![(ticket, Reply::Join(Ok(joined)))],
            },
            Err(error) => refused(error, join.member_id),
        }
    }

    fn check_join(&self, config: &GroupConfig, join: &Join) -> Result<(), GroupError> {
        if config.consumer_migration_policy == MigrationPolicy::Disabled {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let session = milliseconds(join.session_timeout_ms);
        if session < config.session_timeout_min || session > config.session_timeout_max {
            return Err(GroupError::InvalidSessionTimeout);
        }
        let state = &self.state;
        if state.members.len() >= config.consumer_members_max
            && !state.members.contains_key(&join.member_id)
        {
            return Err(GroupError::GroupMaxSizeReached);
        }
        // One of its protocols must be every classic member's.
        let is_common = |name: &Arc<str>| {
            state.classic_protocols.get(name).copied().unwrap_or(0) == state.classic_members
        };
        if *join.protocol_type != *CONSUMER
            || !join.protocols.iter().any(|(name, _)| is_common(name))
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    fn join(
        &mut self,
        now: Now,
        config: &GroupConfig,
        join: &Join,
        is_unknown: bool,
        topics: &dyn Topics,
    ) -> Result<(Vec<Record>, Joined), GroupError> {
        let is_stale = self.metadata_is_stale;
        let mut plan = self.plan(now, config, topics);
        let outcome = plan.join(join, is_unknown, is_stale)?;
        let records = std::mem::take(&mut plan.records);
        let (replaced, downgrade) = (plan.replaced.take(), plan.downgrade.take());
        self.metadata_is_stale = false;
        if let Some(replaced) = replaced {
            self.sessions.forget(&replaced);
        }
        self.time_member(now, config, &outcome);
        self.sessions.stop(&Deadline::Join(Arc::clone(&outcome.id)));
        self.sessions.set(
            Deadline::Sync(Arc::clone(&outcome.id)),
            now.moment + milliseconds(join.rebalance_timeout_ms),
        );
        self.downgrade = downgrade;
        let protocol = join.protocols.first().map(|(name, _)| Arc::clone(name));
        let joined = Joined {
            generation: outcome.member.epoch,
            protocol_type: Arc::from(CONSUMER),
            protocol: protocol.unwrap_or_default(),
            leader: Arc::default(),
            member_id: outcome.id,
            skip_assignment: false,
            members: Vec::new(),
        };
        Ok((records, joined))
    }

    /// SyncGroup of a member that joined.
    pub fn handle_sync(
        &mut self,
        now: Now,
        config: &GroupConfig,
        sync: &Sync,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        let reply = self.sync(now, config, sync, topics);
        Step::reply(ticket, Reply::Sync(reply))
    }

    fn sync(
        &mut self,
        now: Now,
        config: &GroupConfig,
        sync: &Sync,
        topics: &dyn Topics,
    ) -> Result<Synced, GroupError> {
        let (id, member) = self.classic_member(&sync.identity)?;
        let protocols = member
            .value
            .classic
            .as_ref()
            .map(|c| &c.supported_protocols);
        let protocol = protocols.and_then(|protocols| protocols.first());
        let other_type = sync
            .protocol_type
            .as_ref()
            .is_some_and(|t| **t != *CONSUMER);
        let other_name = |name: &Arc<str>| protocol.is_some_and(|(own, _)| own != name);
        if other_type || sync.protocol_name.as_ref().is_some_and(other_name) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        // One that is giving partitions up has joined already, and is told to join again by its
        // heartbeats.
        if self.state.target_epoch > member.epoch
            && member.state != MemberState::UnrevokedPartitions
        {
            self.await_join(now, &id, &member);
            return Err(GroupError::RebalanceInProgress);
        }
        let metadata = protocol.map_or(&[][..], |(_, metadata)| metadata);
        self.known.refresh(topics);
        let assignment = self.write_assignment(&member.assigned.partitions(), metadata, topics);
        self.sessions.stop(&Deadline::Sync(Arc::clone(&id)));
        let end = now.moment + session_timeout(config, &member);
        self.sessions.prolong(&id, end);
        Ok(Synced {
            protocol_type: sync.protocol_type.clone(),
            protocol: sync.protocol_name.clone(),
            assignment,
        })
    }

    fn write_assignment(
        &mut self,
        assignment: &Assignment,
        metadata: &[u8],
        topics: &dyn Topics,
    ) -> Bytes {
        write_assignment(assignment, metadata, |id| {
            let known = self.known.by_id(topics, id)?;
            Some(Arc::clone(&known.name))
        })
    }

    /// Heartbeat of the classic protocol.
    pub fn handle_classic_heartbeat(
        &mut self,
        now: Now,
        config: &GroupConfig,
        identity: &Identity,
        ticket: Ticket,
    ) -> Step {
        let reply = self.classic_heartbeat(now, config, identity);
        Step::reply(ticket, Reply::Heartbeat(reply))
    }

    fn classic_heartbeat(
        &mut self,
        now: Now,
        config: &GroupConfig,
        identity: &Identity,
    ) -> Result<(), GroupError> {
        let (id, member) = self.classic_member(identity)?;
        let end = now.moment + session_timeout(config, &member);
        self.sessions.prolong(&id, end);
        // Among classic members alone nobody's heartbeat would compute the target that the group
        // epoch asks for (in Kafka nothing does): one of them has to join.
        let epoch = if self.state.classic_members == self.state.members.len() {
            self.state.epoch
        } else {
            self.state.target_epoch
        };
        let must_join = member.epoch < epoch
            || member.state == MemberState::UnrevokedPartitions
            || member.state == MemberState::UnreleasedPartitions && !self.still_waits(&id, &member);
        if must_join {
            self.await_join(now, &id, &member);
            return Err(GroupError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether a partition a member is to have is still with somebody else.
    fn still_waits(&self, id: &Arc<str>, member: &Member) -> bool {
        let target = self.state.targets.get(id);
        target.is_some_and(|target| {
            target.iter().any(|(topic, partitions)| {
                partitions.iter().any(|partition| {
                    !member.assigned.contains(topic, *partition)
                        && self.state.owner(topic, *partition).is_some()
                })
            })
        })
    }

    fn await_join(&mut self, now: Now, id: &Arc<str>, member: &Member) {
        let at = now.moment + milliseconds(member.value.rebalance_timeout_ms);
        self.sessions
            .set_if_absent(Deadline::Join(Arc::clone(id)), at);
    }

    /// The member a classic request speaks of, if it may speak so.
    fn classic_member(&self, identity: &Identity) -> Result<(Arc<str>, Member), GroupError> {
        let id = self.find_member(&identity.member_id, identity.instance_id.as_ref())?;
        let member = &self.state.members[&id];
        if !member.is_classic() {
            return Err(GroupError::UnknownMemberId);
        }
        if member.epoch != identity.generation {
            return Err(GroupError::IllegalGeneration);
        }
        Ok((id, member.clone()))
    }

    /// The id of a member, given by its id or, of a static one, by both.
    fn find_member(
        &self,
        member_id: &Arc<str>,
        instance_id: Option<&Arc<str>>,
    ) -> Result<Arc<str>, GroupError> {
        let state = &self.state;
        let known = match instance_id {
            None => Some(member_id).filter(|id| state.members.contains_key(*id)),
            Some(instance) => state
                .instances
                .get(instance)
                .filter(|id| state.members.contains_key(*id)),
        };
        match known {
            None => Err(GroupError::UnknownMemberId),
            Some(id) if instance_id.is_some() && id != member_id => {
                Err(GroupError::FencedInstanceId)
            }
            Some(id) => Ok(Arc::clone(id)),
        }
    }

    /// LeaveGroup: of members of either protocol, by their wish or an admin's.
    pub fn handle_leave(
        &mut self,
        now: Now,
        config: &GroupConfig,
        leaving: &[Leaving],
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        let mut gone = BTreeSet::new();
        let mut results = Vec::with_capacity(leaving.len());
        for one in leaving {
            let owner = one
                .instance_id
                .as_ref()
                .and_then(|i| self.state.instances.get(i));
            // An admin names the instance alone.
            let member_id = match owner {
                Some(owner) if one.member_id.is_empty() => owner,
                _ => &one.member_id,
            };
            let found = self.find_member(member_id, one.instance_id.as_ref());
            results.push(found.map(|id| {
                gone.insert(id);
            }));
        }
        let mut step = self.fence(now, config, &gone, topics);
        step.replies.push((ticket, Reply::Leave(Ok(results))));
        step
    }
}

impl Plan<'_> {
    fn join(
        &mut self,
        join: &Join,
        is_unknown: bool,
        metadata_is_stale: bool,
    ) -> Result<Outcome, GroupError> {
        let metadata = join.protocols.first().map_or(&[][..], |(_, bytes)| bytes);
        let subscription =
            Subscription::parse(metadata).map_err(|_| GroupError::InconsistentGroupProtocol)?;
        let arrival = match &join.instance_id {
            None => self.arrive_to_join(&join.member_id),
            Some(instance) => self.arrive_static_to_join(&join.member_id, instance, is_unknown)?,
        };
        let is_downgrade = join
            .instance_id
            .as_ref()
            .and_then(|instance| self.context.state.instances.get(instance))
            .is_some_and(|existing| self.may_downgrade_by_replacing(existing));
        let mut member = arrival.member.clone();
        let value = joining_value(&member.value, join, &subscription);
        let subscription_changed = self.change_wishes(
            &join.member_id,
            &arrival,
            &mut member,
            value,
            metadata_is_stale,
        )?;
        let owned = self.named_partitions(&subscription);
        let progress = Progress {
            subscription_changed,
            owned: Some(&owned),
        };
        let (next, is_reconciled) = if is_downgrade {
            self.downgrade_with(&join.member_id, member, &progress)?
        } else {
            self.advance_member(&join.member_id, member, &progress)?
        };
        Ok(Outcome {
            id: Arc::clone(&join.member_id),
            member: next,
            is_reconciled,
            has_news: false,
        })
    }

    fn arrive_to_join(&self, id: &Arc<str>) -> Arrival {
        match self.context.state.members.get(id) {
            Some(member) => Arrival {
                member: member.clone(),
                known: Some(Arc::clone(&member.value)),
            },
            None => Arrival {
                member: Member::new(),
                known: None,
            },
        }
    }

    fn arrive_static_to_join(
        &mut self,
        id: &Arc<str>,
        instance: &Arc<str>,
        is_unknown: bool,
    ) -> Result<Arrival, GroupError> {
        let state = self.context.state;
        let known = state.instances.get(instance);
        let known = known.and_then(|owner| Some((owner, state.members.get(owner)?)));
        match known {
            None if is_unknown => Ok(self.arrive_to_join(id)),
            None => Err(GroupError::UnknownMemberId),
            // A client that was restarted does not know its id: it takes its own place.
            Some((owner, member)) if is_unknown => Ok(self.replace_member(owner, member, id)),
            Some((owner, _)) if owner != id => Err(GroupError::FencedInstanceId),
            Some(_) => Ok(self.arrive_to_join(id)),
        }
    }

    /// What a member reports to have, as far as the topics exist.
    fn named_partitions(&mut self, subscription: &Subscription) -> Assignment {
        let mut owned = Assignment::new();
        for (name, partitions) in &subscription.owned {
            let context = &mut self.context;
            if let Some(known) = context.known.by_name(context.topics, name) {
                owned.entry(known.id).or_default().extend(partitions);
            }
        }
        owned
    }
}

/// A member's wishes as its join says them.
fn joining_value(known: &MemberValue, join: &Join, subscription: &Subscription) -> MemberValue {
    let mut topics = subscription.topics.clone();
    topics.sort_unstable();
    topics.dedup();
    MemberValue {
        instance_id: join
            .instance_id
            .clone()
            .or_else(|| known.instance_id.clone()),
        rack_id: subscription
            .rack_id
            .clone()
            .filter(|rack| !rack.is_empty())
            .or_else(|| known.rack_id.clone()),
        client_id: Arc::clone(&join.client.id),
        client_host: Arc::clone(&join.client.host),
        subscribed_topics: topics,
        subscribed_regex: None,
        rebalance_timeout_ms: join.rebalance_timeout_ms,
        server_assignor: known.server_assignor.clone(),
        classic: Some(ClassicMemberMetadata {
            session_timeout_ms: join.session_timeout_ms,
            supported_protocols: join.protocols.clone(),
        }),
    }
}

/// An assignment in the words of classic consumers, in the version of a member's own metadata.
/// Topics that are gone are left out.
pub(super) fn write_assignment(
    assignment: &Assignment,
    metadata: &[u8],
    mut name_of: impl FnMut(&TopicId) -> Option<Arc<str>>,
) -> Bytes {
    let version = Subscription::parse(metadata).map_or(0, |subscription| subscription.version);
    let named = assignment
        .iter()
        .filter_map(|(id, partitions)| Some((name_of(id)?, partitions.clone())));
    let written = MemberAssignment {
        version,
        partitions: named.collect(),
        user_data: None,
    };
    // Only a name of more than 32,767 bytes could not be written, and no topic has one.
    written.encode().unwrap_or_default()
}
