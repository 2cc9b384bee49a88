//! Planning a commit: which partitions are taken, and the records that say so.

use std::sync::Arc;

use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{CommitOffset, CommitOffsets, GroupError};
use crate::model::{LeaderEpoch, Timestamp, TopicId};
use crate::protocol::consumer_offsets::{OffsetValue, Record};

use super::{CommittedOffsets, Planned, Room};

/// What a string of a schema that is not flexible has at most, as that of offsets that expire.
const STRING_BYTES_MAX: usize = i16::MAX as usize;

impl CommittedOffsets {
    /// Plans a commit that the group's protocol has let in. Fails with [`GroupError::TooLarge`] when
    /// the records would not fit in one batch: then nothing is committed.
    pub fn plan_commit(
        group: &Arc<str>,
        wall: Timestamp,
        request: &CommitOffsets,
        config: &GroupConfig,
    ) -> Result<Planned, GroupError> {
        let expires = request
            .retention_ms
            .map(|retention_ms| Timestamp(wall.0.saturating_add(retention_ms)));
        let mut room = Room::of_batch(config.batch_bytes_max);
        let mut records = Vec::with_capacity(request.offsets.len());
        let mut results = Vec::with_capacity(request.offsets.len());
        for offset in &request.offsets {
            let unstorable = expires.is_some() && offset.metadata.len() > STRING_BYTES_MAX;
            if unstorable || is_too_long(&offset.metadata, config.offset_metadata_bytes_max) {
                results.push(Err(GroupError::OffsetMetadataTooLarge));
                continue;
            }
            if !room.take_offset(group, &offset.topic, &offset.metadata) {
                return Err(GroupError::TooLarge);
            }
            records.push(Record::Offset {
                group: Arc::clone(group),
                topic: Arc::clone(&offset.topic),
                partition: offset.partition,
                value: Some(value_of(offset, wall, expires)),
            });
            results.push(Ok(()));
        }
        Ok((records, results))
    }
}

/// The value as it will be read back: the version that stores an expiry of its own (1) has neither
/// leader epoch nor topic id.
fn value_of(offset: &CommitOffset, wall: Timestamp, expires: Option<Timestamp>) -> OffsetValue {
    let (leader_epoch, topic_id) = match expires {
        Some(_) => (LeaderEpoch::NONE, TopicId::ZERO),
        None => (offset.leader_epoch, offset.topic_id),
    };
    OffsetValue {
        offset: offset.offset,
        leader_epoch,
        metadata: Arc::clone(&offset.metadata),
        committed: wall,
        expires,
        topic_id,
    }
}

/// Kafka counts the units of UTF-16, not bytes.
fn is_too_long(metadata: &str, units_max: usize) -> bool {
    metadata.len() > units_max && metadata.encode_utf16().count() > units_max
}
