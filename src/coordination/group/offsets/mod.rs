//! The committed offsets of one group.
//!
//! [`CommittedOffsets`] is the part of [`super::Group`] that every group has, of whichever protocol,
//! or of none ("simple" consumers, which only commit). Planning does not change it; `replay` does,
//! in the order of the log. Invariant: what it holds is a function of the records replayed, and
//! a topic without offsets is not in it. Kafka's counterpart is `OffsetMetadataManager`.

mod commit;
mod fetch;
mod removal;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::coordination::messages::GroupError;
use crate::protocol::consumer_offsets::{OffsetValue, Record};

pub use removal::{Expiry, RECORD_OVERHEAD, Removal, Room};
#[cfg(test)]
pub(super) use table::PACKED_BYTES;
use table::TopicOffsets;

/// Records to append, and one result per partition asked, in order.
pub type Planned = (Vec<Record>, Vec<Result<(), GroupError>>);

/// Offsets by topic and partition. Shaped for a million of them: names are held once, and what
/// most commits do not have takes no room.
#[derive(Debug, Default)]
pub struct CommittedOffsets {
    topics: BTreeMap<Arc<str>, TopicOffsets>,
    count: usize,
    /// Partitions for which a transaction that is open holds an offset; none until transactions
    /// are coordinated.
    pub(super) pending: BTreeMap<Arc<str>, BTreeSet<i32>>,
}

impl CommittedOffsets {
    /// How many offsets there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is neither an offset nor a transaction that may bring one.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.pending.is_empty()
    }

    /// The offset of a partition.
    pub fn get(&self, topic: &str, partition: i32) -> Option<OffsetValue> {
        self.topics.get(topic)?.get(partition)
    }

    /// Whether there is an offset for a topic.
    pub fn has_topic(&self, topic: &str) -> bool {
        self.topics.contains_key(topic) || self.pending.contains_key(topic)
    }

    /// Changes what a record says: the only way in and out.
    pub fn replay(&mut self, topic: &Arc<str>, partition: i32, value: Option<&OffsetValue>) {
        match value {
            Some(value) => self.put(topic, partition, value),
            None => self.remove(topic, partition),
        }
    }

    fn put(&mut self, topic: &Arc<str>, partition: i32, value: &OffsetValue) {
        // Two look-ups, so that a name that is known is not counted up for nothing.
        let known = match self.topics.get_mut(topic) {
            Some(offsets) => offsets,
            None => self.topics.entry(Arc::clone(topic)).or_default(),
        };
        if known.put(partition, value) {
            self.count += 1;
        }
    }

    fn remove(&mut self, topic: &Arc<str>, partition: i32) {
        if let Some(offsets) = self.topics.get_mut(topic) {
            if offsets.remove(partition) {
                self.count -= 1;
            }
            if offsets.is_empty() {
                self.topics.remove(topic);
            }
        }
        self.remove_pending(topic, partition);
    }

    fn remove_pending(&mut self, topic: &Arc<str>, partition: i32) {
        if let Some(partitions) = self.pending.get_mut(topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                self.pending.remove(topic);
            }
        }
    }

    fn is_pending(&self, topic: &str, partition: i32) -> bool {
        self.pending
            .get(topic)
            .is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Everything, as the records that would make it again; sorted by topic and partition.
    #[cfg(test)]
    pub(super) fn to_records(&self, group: &Arc<str>) -> Vec<Record> {
        let mut records = Vec::with_capacity(self.count);
        for (topic, offsets) in &self.topics {
            for (partition, value) in offsets.iter() {
                records.push(Record::Offset {
                    group: Arc::clone(group),
                    topic: Arc::clone(topic),
                    partition,
                    value: Some(value),
                });
            }
        }
        records
    }
}
