//! The offsets of one topic, packed.
//!
//! Most commits have no metadata, no expiry of their own and the same topic id as their neighbours:
//! such an offset takes 32 bytes. What is rare hangs off it. Invariant: what is put in comes out
//! equal.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{LeaderEpoch, Offset, Timestamp, TopicId};
use crate::protocol::consumer_offsets::OffsetValue;

/// Offsets by partition.
#[derive(Debug, Default)]
pub(super) struct TopicOffsets {
    /// The id that offsets have unless they say otherwise.
    id: TopicId,
    partitions: BTreeMap<i32, Packed>,
}

#[derive(Debug)]
struct Packed {
    offset: Offset,
    committed: Timestamp,
    leader_epoch: LeaderEpoch,
    rare: Option<Box<Rare>>,
}

#[derive(Debug)]
struct Rare {
    metadata: Arc<str>,
    expires: Option<Timestamp>,
    topic_id: TopicId,
}

/// What an offset takes that has nothing rare.
#[cfg(test)]
pub(in super::super) const PACKED_BYTES: usize = size_of::<Packed>();

impl TopicOffsets {
    /// Whether there is no offset.
    pub(super) fn is_empty(&self) -> bool {
        self.partitions.is_empty()
    }

    /// Puts an offset in; tells whether the partition had none.
    pub(super) fn put(&mut self, partition: i32, value: &OffsetValue) -> bool {
        // A topic that was made anew brings a new id: it takes the place of the old one when
        // nothing else refers to that.
        let alone = match self.partitions.len() {
            0 => true,
            1 => self.partitions.contains_key(&partition),
            _ => false,
        };
        if alone {
            self.id = value.topic_id;
        }
        let packed = self.pack(value);
        self.partitions.insert(partition, packed).is_none()
    }

    /// Takes an offset away; tells whether there was one.
    pub(super) fn remove(&mut self, partition: i32) -> bool {
        self.partitions.remove(&partition).is_some()
    }

    /// The offset of a partition.
    pub(super) fn get(&self, partition: i32) -> Option<OffsetValue> {
        self.partitions.get(&partition).map(|it| self.unpack(it))
    }

    /// All, by partition.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i32, OffsetValue)> {
        self.partitions
            .iter()
            .map(|(partition, packed)| (*partition, self.unpack(packed)))
    }

    fn pack(&self, value: &OffsetValue) -> Packed {
        let common =
            value.metadata.is_empty() && value.expires.is_none() && value.topic_id == self.id;
        let rare = (!common).then(|| {
            Box::new(Rare {
                metadata: Arc::clone(&value.metadata),
                expires: value.expires,
                topic_id: value.topic_id,
            })
        });
        Packed {
            offset: value.offset,
            committed: value.committed,
            leader_epoch: value.leader_epoch,
            rare,
        }
    }

    fn unpack(&self, packed: &Packed) -> OffsetValue {
        let (metadata, expires, topic_id) = match &packed.rare {
            Some(rare) => (Arc::clone(&rare.metadata), rare.expires, rare.topic_id),
            None => (Arc::default(), None, self.id),
        };
        OffsetValue {
            offset: packed.offset,
            leader_epoch: packed.leader_epoch,
            metadata,
            committed: packed.committed,
            expires,
            topic_id,
        }
    }
}
