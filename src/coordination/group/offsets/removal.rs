//! Planning that offsets go: by request, by age, with their topic, with their group.
//!
//! Tombstones of a large group can be more than a batch takes. Each plan stops when its [`Room`] is
//! used up and says so; whoever asked comes again once those have been replayed.

use std::sync::Arc;
use std::time::Duration;

use crate::coordination::messages::GroupError;
use crate::model::{Timestamp, TopicId};
use crate::protocol::consumer_offsets::{OffsetValue, Record};

use super::{CommittedOffsets, Planned};

/// What a batch takes for itself (format 2).
const BATCH_HEADER_BYTES: usize = 61;
/// At most what a record takes around its key and value: the lengths of itself, key and value,
/// attributes, deltas of time and offset, the count of headers. Who makes the batches counts the
/// same: a step that fits by this count must not be refused by another.
pub const RECORD_OVERHEAD: usize = 32;

/// The bytes a batch still has, counted so that it never turns out larger.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    left: usize,
}

impl Room {
    /// All of a batch of at most that size.
    pub fn of_batch(batch_bytes_max: usize) -> Room {
        Room {
            left: batch_bytes_max.saturating_sub(BATCH_HEADER_BYTES),
        }
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }

    /// Takes what the record of an offset needs, if there is as much.
    pub(super) fn take_offset(&mut self, group: &str, topic: &str, metadata: &str) -> bool {
        // Value version 4: version, offset, leader epoch, length and metadata, time, tag and id.
        let value = 2 + 8 + 4 + 5 + metadata.len() + 8 + 3 + 16;
        self.take(key_bytes(group, topic) + value + RECORD_OVERHEAD)
    }

    /// Takes what the tombstone of an offset needs, if there is as much.
    fn take_tombstone(&mut self, group: &str, topic: &str) -> bool {
        self.take(key_bytes(group, topic) + RECORD_OVERHEAD)
    }

    /// Takes what another record needs, whose key and value have at most that many bytes.
    pub fn take_record(&mut self, key_and_value_bytes: usize) -> bool {
        self.take(key_and_value_bytes.saturating_add(RECORD_OVERHEAD))
    }
}

fn key_bytes(group: &str, topic: &str) -> usize {
    2 + 2 + group.len() + 2 + topic.len() + 4
}

/// From when on an offset's retention counts (Kafka's `OffsetExpirationCondition`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// It does not: a classic group that is rebalancing, or whose subscription is unknown.
    Never,
    /// From its commit: members are there, or never were.
    SinceCommit,
    /// From when the group became empty.
    Since(Timestamp),
}

impl Expiry {
    /// Whether an offset is to go. Commits that brought an expiry of their own keep to it.
    fn is_over(self, value: &OffsetValue, retention: Duration, now: Timestamp) -> bool {
        let base = match self {
            Expiry::Never => return false,
            Expiry::SinceCommit => value.committed,
            Expiry::Since(since) => since,
        };
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        match value.expires {
            Some(expires) => now >= expires,
            None => now.0.saturating_sub(base.0) >= retention_ms,
        }
    }
}

/// Tombstones, and what they leave.
#[derive(Debug, Default)]
pub struct Removal {
    /// To be appended.
    pub records: Vec<Record>,
    /// There is more to remove than had room.
    pub has_more: bool,
    /// Offsets, or open transactions, that are to stay.
    pub keeps_some: bool,
}

impl CommittedOffsets {
    /// Removes what is asked for; one result per partition, in order. A partition without an offset
    /// is a success.
    pub fn plan_delete(
        &self,
        group: &Arc<str>,
        asked: &[(Arc<str>, Vec<i32>)],
        is_subscribed: &dyn Fn(&str) -> bool,
        room: &mut Room,
    ) -> Result<Planned, GroupError> {
        let mut records = Vec::new();
        let mut results = Vec::new();
        for (topic, partitions) in asked {
            let subscribed = is_subscribed(topic);
            for partition in partitions {
                if subscribed {
                    results.push(Err(GroupError::GroupSubscribedToTopic));
                    continue;
                }
                results.push(Ok(()));
                if self.has(topic, *partition) {
                    if !room.take_tombstone(group, topic) {
                        return Err(GroupError::TooLarge);
                    }
                    records.push(tombstone(group, topic, *partition));
                }
            }
        }
        Ok((records, results))
    }

    fn has(&self, topic: &str, partition: i32) -> bool {
        self.get(topic, partition).is_some() || self.is_pending(topic, partition)
    }

    /// Removes what has been kept for long enough, but nothing of a topic the group is subscribed to.
    pub fn plan_expiry(
        &self,
        group: &Arc<str>,
        expiry: Expiry,
        retention: Duration,
        now: Timestamp,
        is_subscribed: &dyn Fn(&str) -> bool,
        room: &mut Room,
    ) -> Removal {
        let mut removal = self.plan_removal(group, room, &mut |topic| {
            let subscribed = is_subscribed(topic);
            move |partition: i32, value: &OffsetValue| {
                !subscribed
                    && !self.is_pending(topic, partition)
                    && expiry.is_over(value, retention, now)
            }
        });
        removal.keeps_some |= !self.pending.is_empty();
        removal
    }

    /// Removes the offsets of topics that were deleted. `id_now` tells the id of the topic that has
    /// the name now, for it may have been made anew and committed to since.
    pub fn plan_topics_gone(
        &self,
        group: &Arc<str>,
        deleted: &dyn Fn(&str) -> bool,
        id_now: &dyn Fn(&str) -> Option<TopicId>,
        room: &mut Room,
    ) -> Removal {
        self.plan_removal(group, room, &mut |topic| {
            let gone = deleted(topic);
            let id = if gone { id_now(topic) } else { None };
            move |_, value: &OffsetValue| {
                gone && (value.topic_id.is_zero() || Some(value.topic_id) != id)
            }
        })
    }

    /// Removes everything.
    pub fn plan_all(&self, group: &Arc<str>, room: &mut Room) -> Removal {
        let mut removal = self.plan_removal(group, room, &mut |_| |_, _: &OffsetValue| true);
        for (topic, partitions) in &self.pending {
            for partition in partitions {
                if self.get(topic, *partition).is_some() {
                    continue;
                }
                if room.take_tombstone(group, topic) {
                    removal.records.push(tombstone(group, topic, *partition));
                } else {
                    removal.has_more = true;
                }
            }
        }
        removal
    }

    fn plan_removal<'a, Goes>(
        &'a self,
        group: &Arc<str>,
        room: &mut Room,
        of_topic: &mut dyn FnMut(&'a str) -> Goes,
    ) -> Removal
    where
        Goes: Fn(i32, &OffsetValue) -> bool,
    {
        let mut removal = Removal::default();
        for (topic, offsets) in &self.topics {
            let goes = of_topic(topic);
            for (partition, value) in offsets.iter() {
                if !goes(partition, &value) {
                    removal.keeps_some = true;
                } else if room.take_tombstone(group, topic) {
                    removal.records.push(tombstone(group, topic, partition));
                } else {
                    removal.has_more = true;
                    return removal;
                }
            }
        }
        removal
    }
}

fn tombstone(group: &Arc<str>, topic: &Arc<str>, partition: i32) -> Record {
    Record::Offset {
        group: Arc::clone(group),
        topic: Arc::clone(topic),
        partition,
        value: None,
    }
}
