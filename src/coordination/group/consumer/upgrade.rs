//! From a classic group to a consumer group: a member of the consumer protocol has come, the others go
//! on as [`super::classic_members`] (Kafka's `ConsumerGroup.fromClassicGroup`).
//!
//! Called by [`crate::coordination::group::migration`].

use std::sync::Arc;

use super::ConsumerGroup;
use super::known_topics::KnownTopics;
use super::owned::OwnedPartitions;
use super::state::{Counts, Member, count};
use crate::coordination::Now;
use crate::coordination::config::GroupConfig;
use crate::coordination::group::classic::{ClassicGroup, Member as ClassicMember};
use crate::coordination::topics::Topics;
use crate::model::Timestamp;
use crate::protocol::consumer_offsets::{
    Assignment, ClassicMemberMetadata, ConsumerGroupValue, MemberState, MemberValue, Record,
    TargetEpochValue,
};
use crate::protocol::consumer_protocol::{MemberAssignment, Subscription};

/// Why a classic group cannot become a consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CannotUpgrade {
    /// What its members say is not the consumer protocol.
    Malformed,
    /// Their assignor keeps notes in the assignments, which would be lost.
    CustomAssignor,
}

/// A member as it will be.
struct Arriving {
    id: Arc<str>,
    member: Member,
    target: Assignment,
}

impl ConsumerGroup {
    /// The consumer group a classic group turns into, and the records that make it. What members
    /// were assigned last is both what they have and what they are to have.
    pub fn from_classic(
        id: &Arc<str>,
        now: Now,
        config: &GroupConfig,
        classic: &ClassicGroup,
        topics: &dyn Topics,
    ) -> Result<(ConsumerGroup, Vec<Record>), CannotUpgrade> {
        let mut known = KnownTopics::default();
        known.refresh(topics);
        let mut members = Vec::with_capacity(classic.members().len());
        for member in classic.members() {
            members.push(arriving(member, classic, &mut known, topics)?);
        }
        let mut subscribed = Counts::new();
        for topic in members
            .iter()
            .flat_map(|one| &one.member.value.subscribed_topics)
        {
            count(&mut subscribed, topic);
        }
        let value = ConsumerGroupValue {
            epoch: classic.generation(),
            metadata_hash: known.hash(topics, subscribed.keys()),
        };
        let records = creation(id, value, &members);
        let mut group = ConsumerGroup::new(Arc::clone(id));
        records.iter().for_each(|record| group.replay(record));
        group.handle_loaded(now, config);
        Ok((group, records))
    }

    /// The group `planned` was planned for, before its records are replayed.
    pub fn succeeding(planned: ConsumerGroup) -> ConsumerGroup {
        ConsumerGroup {
            state: super::State::default(),
            ..planned
        }
    }
}

fn arriving(
    classic: &ClassicMember,
    group: &ClassicGroup,
    known: &mut KnownTopics,
    topics: &dyn Topics,
) -> Result<Arriving, CannotUpgrade> {
    let chosen = group.protocol().and_then(|name| classic.metadata(name));
    let metadata = chosen.or_else(|| classic.protocols.first().map(|(_, metadata)| metadata));
    let subscription = metadata
        .and_then(|metadata| Subscription::parse(metadata).ok())
        .ok_or(CannotUpgrade::Malformed)?;
    let target = read_assignment(&classic.assignment, known, topics)?;
    let mut subscribed_topics = subscription.topics;
    subscribed_topics.sort_unstable();
    subscribed_topics.dedup();
    let epoch = group.generation();
    let value = MemberValue {
        instance_id: classic.instance_id.clone(),
        rack_id: subscription.rack_id.filter(|rack| !rack.is_empty()),
        client_id: Arc::clone(&classic.client.id),
        client_host: Arc::clone(&classic.client.host),
        subscribed_topics,
        subscribed_regex: None,
        rebalance_timeout_ms: classic.rebalance_timeout_ms,
        server_assignor: None,
        classic: Some(ClassicMemberMetadata {
            session_timeout_ms: classic.session_timeout_ms,
            supported_protocols: classic.protocols.clone(),
        }),
    };
    Ok(Arriving {
        id: Arc::clone(&classic.id),
        member: Member {
            value: Arc::new(value),
            epoch,
            previous_epoch: epoch,
            state: MemberState::Stable,
            assigned: OwnedPartitions::at_epoch(&target, epoch),
            pending_revocation: OwnedPartitions::default(),
        },
        target,
    })
}

/// What a leader assigned, as far as the topics exist. A member that has not synced has nothing.
fn read_assignment(
    bytes: &[u8],
    known: &mut KnownTopics,
    topics: &dyn Topics,
) -> Result<Assignment, CannotUpgrade> {
    let mut assignment = Assignment::new();
    if bytes.is_empty() {
        return Ok(assignment);
    }
    let read = MemberAssignment::parse(bytes).map_err(|_| CannotUpgrade::Malformed)?;
    if read.user_data.is_some_and(|notes| !notes.is_empty()) {
        return Err(CannotUpgrade::CustomAssignor);
    }
    for (name, partitions) in read.partitions {
        if let Some(known) = known.by_name(topics, &name) {
            assignment.entry(known.id).or_default().extend(partitions);
        }
    }
    for partitions in assignment.values_mut() {
        partitions.sort_unstable();
        partitions.dedup();
    }
    assignment.retain(|_, partitions| !partitions.is_empty());
    Ok(assignment)
}

fn creation(id: &Arc<str>, value: ConsumerGroupValue, members: &[Arriving]) -> Vec<Record> {
    let group = || Arc::clone(id);
    let mut records = Vec::with_capacity(3 * members.len() + 2);
    records.extend(members.iter().map(|one| Record::Member {
        group: group(),
        member: Arc::clone(&one.id),
        value: Some(MemberValue::clone(&one.member.value)),
    }));
    records.push(Record::ConsumerGroup {
        group: group(),
        value: Some(value),
    });
    records.extend(members.iter().map(|one| Record::TargetMember {
        group: group(),
        member: Arc::clone(&one.id),
        value: Some(one.target.clone()),
    }));
    records.push(Record::TargetEpoch {
        group: group(),
        value: Some(TargetEpochValue {
            epoch: value.epoch,
            computed: Timestamp(0),
        }),
    });
    records.extend(members.iter().map(|one| Record::CurrentMember {
        group: group(),
        member: Arc::clone(&one.id),
        value: Some(one.member.current()),
    }));
    records
}
