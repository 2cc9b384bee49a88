//! The records of `__consumer_offsets`, in Kafka's own schemas: what a group coordinator writes and
//! loads.
//!
//! Keys are a schema id and non-flexible fields, values a version and fields (Kafka's
//! `group-coordinator/…/message/*.json`). `coordination` plans and replays [`Record`]s; the shard's
//! actor encodes them into batches and back. Invariant: whatever Kafka 4.3 wrote can be read here,
//! and what is written here Kafka's `OffsetsMessageFormatter` and `GroupMetadataMessageFormatter` read.

mod assignment_value;
mod classic_value;
mod codec;
mod consumer_value;
mod key;
mod offset_value;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

pub use codec::{Decoder, EncodedRecord, decode, encode};

use super::ProtocolError;
use super::cursor::Cursor;
use super::writer::{put_count, put_varint};
use crate::model::{LeaderEpoch, Offset, Timestamp, TopicId};

/// One record. `value: None` is a tombstone: it takes the entry of that key away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A committed offset (keys 0 and 1).
    Offset {
        /// The group.
        group: Arc<str>,
        /// The topic's name.
        topic: Arc<str>,
        /// The partition.
        partition: i32,
        /// What was committed.
        value: Option<OffsetValue>,
    },
    /// A classic group as of its last completed rebalance (key 2).
    ClassicGroup {
        /// The group.
        group: Arc<str>,
        /// Its state.
        value: Option<ClassicGroupValue>,
    },
    /// The epoch of a consumer group (key 3).
    ConsumerGroup {
        /// The group.
        group: Arc<str>,
        /// Its epoch.
        value: Option<ConsumerGroupValue>,
    },
    /// What a member of a consumer group asked for (key 5).
    Member {
        /// The group.
        group: Arc<str>,
        /// The member's id.
        member: Arc<str>,
        /// What it asked for.
        value: Option<MemberValue>,
    },
    /// The epoch of the target assignment (key 6).
    TargetEpoch {
        /// The group.
        group: Arc<str>,
        /// The epoch, and when the assignment was computed.
        value: Option<TargetEpochValue>,
    },
    /// The partitions a member is to have (key 7).
    TargetMember {
        /// The group.
        group: Arc<str>,
        /// The member's id.
        member: Arc<str>,
        /// Its partitions.
        value: Option<Assignment>,
    },
    /// The partitions a member has (key 8).
    CurrentMember {
        /// The group.
        group: Arc<str>,
        /// The member's id.
        member: Arc<str>,
        /// Where it stands.
        value: Option<CurrentMemberValue>,
    },
    /// The topics a regular expression was resolved to (key 16).
    RegularExpression {
        /// The group.
        group: Arc<str>,
        /// The expression.
        expression: Arc<str>,
        /// Its topics.
        value: Option<RegularExpressionValue>,
    },
}

impl Record {
    /// Whether it takes the entry of its key away.
    pub fn is_tombstone(&self) -> bool {
        match self {
            Record::Offset { value, .. } => value.is_none(),
            Record::ClassicGroup { value, .. } => value.is_none(),
            Record::ConsumerGroup { value, .. } => value.is_none(),
            Record::Member { value, .. } => value.is_none(),
            Record::TargetEpoch { value, .. } => value.is_none(),
            Record::TargetMember { value, .. } => value.is_none(),
            Record::CurrentMember { value, .. } => value.is_none(),
            Record::RegularExpression { value, .. } => value.is_none(),
        }
    }

    /// The group it is about.
    pub fn group(&self) -> &Arc<str> {
        match self {
            Record::Offset { group, .. }
            | Record::ClassicGroup { group, .. }
            | Record::ConsumerGroup { group, .. }
            | Record::Member { group, .. }
            | Record::TargetEpoch { group, .. }
            | Record::TargetMember { group, .. }
            | Record::CurrentMember { group, .. }
            | Record::RegularExpression { group, .. } => group,
        }
    }

    /// The length of its key, in bytes, or a little more.
    pub fn key_bytes_max(&self) -> usize {
        let second = match self {
            Record::Offset { topic, .. } => topic.len() + 4,
            Record::Member { member, .. }
            | Record::TargetMember { member, .. }
            | Record::CurrentMember { member, .. } => member.len(),
            Record::RegularExpression { expression, .. } => expression.len(),
            _ => 0,
        };
        2 + 2 + self.group().len() + 2 + second
    }
}

/// Partitions by topic; the numbers of each topic in ascending order.
pub type Assignment = BTreeMap<TopicId, Vec<i32>>;

/// See [`Record::Offset`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetValue {
    /// The next record to be read.
    pub offset: Offset,
    /// The leader epoch of the last record read, [`LeaderEpoch::NONE`] if unknown.
    pub leader_epoch: LeaderEpoch,
    /// What the committer noted.
    pub metadata: Arc<str>,
    /// When it was committed.
    pub committed: Timestamp,
    /// When it expires, of commits with a retention time of their own (requests before version 5).
    pub expires: Option<Timestamp>,
    /// The topic's id, [`TopicId::ZERO`] if unknown (value version 4).
    pub topic_id: TopicId,
}

/// See [`Record::ClassicGroup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicGroupValue {
    /// `consumer`, `connect` and so on; empty for a group that never had members.
    pub protocol_type: Arc<str>,
    /// The generation.
    pub generation: i32,
    /// The protocol (assignor) that was chosen.
    pub protocol: Option<Arc<str>>,
    /// The leader's member id.
    pub leader: Option<Arc<str>>,
    /// When the group came into its state.
    pub state_since: Timestamp,
    /// The members.
    pub members: Vec<ClassicMemberValue>,
}

/// A member in a [`ClassicGroupValue`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicMemberValue {
    /// Its id.
    pub member_id: Arc<str>,
    /// `group.instance.id`, if it is static.
    pub instance_id: Option<Arc<str>>,
    /// Its `client.id`.
    pub client_id: Arc<str>,
    /// Its address, with a slash in front, as Kafka shows it.
    pub client_host: Arc<str>,
    /// Milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// The metadata it sent for the chosen protocol.
    pub subscription: Bytes,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

/// See [`Record::ConsumerGroup`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerGroupValue {
    /// The group epoch.
    pub epoch: i32,
    /// A hash of the subscribed topics as they were then; 0 when unknown (KIP-1101).
    pub metadata_hash: i64,
}

/// See [`Record::Member`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberValue {
    /// `group.instance.id`, if it is static.
    pub instance_id: Option<Arc<str>>,
    /// `client.rack`.
    pub rack_id: Option<Arc<str>>,
    /// `client.id`.
    pub client_id: Arc<str>,
    /// Its address, with a slash in front.
    pub client_host: Arc<str>,
    /// The topics it subscribed to by name, sorted.
    pub subscribed_topics: Vec<Arc<str>>,
    /// The expression it subscribed by.
    pub subscribed_regex: Option<Arc<str>>,
    /// `max.poll.interval.ms`, milliseconds; -1 if unknown.
    pub rebalance_timeout_ms: i32,
    /// The assignor it wants.
    pub server_assignor: Option<Arc<str>>,
    /// What a member that speaks the classic protocol brought along (KIP-848, migration).
    pub classic: Option<ClassicMemberMetadata>,
}

/// See [`MemberValue::classic`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicMemberMetadata {
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// The protocols it supports, with their metadata, in its order.
    pub supported_protocols: Vec<(Arc<str>, Bytes)>,
}

/// See [`Record::TargetEpoch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetEpochValue {
    /// The group epoch it was computed for.
    pub epoch: i32,
    /// When it was computed; `Timestamp(0)` when unknown (4.3).
    pub computed: Timestamp,
}

/// See [`Record::CurrentMember`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentMemberValue {
    /// The epoch the member is at.
    pub member_epoch: i32,
    /// The one before, still accepted from a member that missed an answer.
    pub previous_member_epoch: i32,
    /// Where its reconciliation stands.
    pub state: MemberState,
    /// What it has.
    pub assigned: Assignment,
    /// What it must give up.
    pub pending_revocation: Assignment,
    /// Per partition of `assigned`, in its order, the epoch at which the member got it; commits
    /// of an older epoch are checked against it. A topic that is missing was written before
    /// Kafka 4.3: `member_epoch` counts for all its partitions.
    pub assigned_epochs: Assignment,
    /// The same for `pending_revocation`.
    pub pending_revocation_epochs: Assignment,
}

/// Kafka's `MemberState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberState {
    /// Has its target.
    Stable,
    /// Must give partitions up.
    UnrevokedPartitions,
    /// Waits for partitions that others have not given up.
    UnreleasedPartitions,
    /// A number this version does not know.
    Unknown(i8),
}

/// See [`Record::RegularExpression`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegularExpressionValue {
    /// The topics it matched, sorted.
    pub topics: Vec<Arc<str>>,
    /// The version of the metadata it was resolved with.
    pub version: i64,
    /// When.
    pub resolved: Timestamp,
}

/// The version a value begins with. Newer versions than are known would have other fields: Kafka
/// adds nothing but tagged ones (KIP-915), so that this is not met in practice.
fn version(cursor: &mut Cursor<'_>, version_max: i16) -> Result<i16, ProtocolError> {
    let version = cursor.i16()?;
    match (0..=version_max).contains(&version) {
        true => Ok(version),
        false => Err(cursor.malformed(&format!("value version {version}"))),
    }
}

/// A name of its own; the empty one costs nothing.
fn text(text: &str) -> Arc<str> {
    match text.is_empty() {
        true => Arc::default(),
        false => Arc::from(text),
    }
}

fn put_bytes(buffer: &mut BytesMut, flexible: bool, bytes: &[u8]) -> Result<(), ProtocolError> {
    put_count(buffer, flexible, bytes.len())?;
    buffer.put_slice(bytes);
    Ok(())
}

fn put_no_tags(buffer: &mut BytesMut) {
    buffer.put_u8(0);
}

/// The only tagged field of a structure.
fn put_tag(buffer: &mut BytesMut, tag: u32, field: &[u8]) -> Result<(), ProtocolError> {
    let length = i32::try_from(field.len())
        .map_err(|_| ProtocolError::Unencodable(format!("a field of {} bytes", field.len())))?;
    put_varint(buffer, 1);
    put_varint(buffer, tag);
    put_varint(buffer, length.unsigned_abs());
    buffer.put_slice(field);
    Ok(())
}
