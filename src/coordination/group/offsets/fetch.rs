//! Answering OffsetFetch.

use std::sync::Arc;

use crate::coordination::messages::{FetchOffsets, FetchedOffset, WantedOffsets};
use crate::model::{LeaderEpoch, Offset, TopicId};
use crate::protocol::consumer_offsets::OffsetValue;

use super::CommittedOffsets;

impl CommittedOffsets {
    /// What was asked for, in the order asked; everything sorted by topic and partition when nothing
    /// was named.
    pub fn fetch(&self, request: &FetchOffsets) -> Vec<FetchedOffset> {
        match &request.wanted {
            Some(wanted) => wanted
                .iter()
                .flat_map(|topic| self.fetch_topic(topic, request.require_stable))
                .collect(),
            None => self.fetch_all(request.require_stable),
        }
    }

    fn fetch_topic(
        &self,
        wanted: &WantedOffsets,
        require_stable: bool,
    ) -> impl Iterator<Item = FetchedOffset> {
        let offsets = self.topics.get(&wanted.topic);
        wanted.partitions.iter().map(move |partition| {
            let value = offsets
                .and_then(|offsets| offsets.get(*partition))
                .filter(|value| is_of_topic(value, &wanted.topic_id));
            self.answer(&wanted.topic, *partition, value, require_stable)
        })
    }

    fn fetch_all(&self, require_stable: bool) -> Vec<FetchedOffset> {
        let mut answers = Vec::with_capacity(self.count);
        for (topic, offsets) in &self.topics {
            for (partition, value) in offsets.iter() {
                answers.push(self.answer(topic, partition, Some(value), require_stable));
            }
        }
        answers
    }

    fn answer(
        &self,
        topic: &Arc<str>,
        partition: i32,
        value: Option<OffsetValue>,
        require_stable: bool,
    ) -> FetchedOffset {
        let unstable = require_stable && self.is_pending(topic, partition);
        let (offset, leader_epoch, metadata) = match value {
            Some(value) if !unstable => (value.offset, value.leader_epoch, value.metadata),
            _ => (Offset::NONE, LeaderEpoch::NONE, Arc::default()),
        };
        FetchedOffset {
            topic: Arc::clone(topic),
            partition,
            offset,
            leader_epoch,
            metadata,
            unstable,
        }
    }
}

/// Ids differ only where both are known.
fn is_of_topic(value: &OffsetValue, wanted: &TopicId) -> bool {
    value.topic_id.is_zero() || wanted.is_zero() || value.topic_id == *wanted
}
