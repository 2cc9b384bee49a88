//! The partitions a member answers for, each with the epoch at which it got it (KIP-1251).
//!
//! Part of [`super::state`]; what is written of it is
//! [`crate::protocol::consumer_offsets::CurrentMemberValue`].

use std::collections::BTreeMap;

use crate::model::TopicId;
use crate::protocol::consumer_offsets::Assignment;

/// Partitions by topic, with the epoch of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct OwnedPartitions(BTreeMap<TopicId, BTreeMap<i32, i32>>);

impl OwnedPartitions {
    /// Reads what was recorded. Where epochs are missing (written before Kafka 4.3) the member's
    /// counts, though never a negative one, which only says that a static member is away.
    pub(super) fn read(partitions: &Assignment, epochs: &Assignment, member_epoch: i32) -> Self {
        let default = member_epoch.max(0);
        let topics = partitions.iter().map(|(id, partitions)| {
            let epochs = epochs.get(id).filter(|e| e.len() == partitions.len());
            let pairs = partitions.iter().enumerate().map(|(place, partition)| {
                let epoch = epochs.and_then(|epochs| epochs.get(place)).copied();
                (*partition, epoch.unwrap_or(default))
            });
            (*id, pairs.collect())
        });
        OwnedPartitions(topics.collect())
    }

    /// All partitions of an assignment, got at one epoch.
    pub(super) fn at_epoch(partitions: &Assignment, epoch: i32) -> Self {
        OwnedPartitions::read(partitions, &Assignment::new(), epoch)
    }

    /// The partitions alone.
    pub(super) fn partitions(&self) -> Assignment {
        let topics = self.0.iter();
        topics
            .map(|(id, owned)| (*id, owned.keys().copied().collect()))
            .collect()
    }

    /// The epochs alone, in the order of [`OwnedPartitions::partitions`].
    pub(super) fn epochs(&self) -> Assignment {
        let topics = self.0.iter();
        topics
            .map(|(id, owned)| (*id, owned.values().copied().collect()))
            .collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The epoch at which a partition was got.
    pub(super) fn epoch_of(&self, topic: &TopicId, partition: i32) -> Option<i32> {
        self.0.get(topic)?.get(&partition).copied()
    }

    pub(super) fn contains(&self, topic: &TopicId, partition: i32) -> bool {
        self.epoch_of(topic, partition).is_some()
    }

    /// Whether any of these partitions is among `assignment`.
    pub(super) fn intersects(&self, assignment: &Assignment) -> bool {
        self.contains_where(assignment, |found| found)
    }

    /// Whether all of `assignment` is among these partitions.
    pub(super) fn includes(&self, assignment: &Assignment) -> bool {
        !self.contains_where(assignment, |found| !found)
    }

    fn contains_where(&self, assignment: &Assignment, wanted: impl Fn(bool) -> bool) -> bool {
        assignment.iter().any(|(id, partitions)| {
            let owned = self.0.get(id);
            partitions
                .iter()
                .any(|partition| wanted(owned.is_some_and(|owned| owned.contains_key(partition))))
        })
    }

    pub(super) fn topics(&self) -> impl Iterator<Item = &TopicId> {
        self.0.keys()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TopicId, i32, i32)> + '_ {
        self.0.iter().flat_map(|(id, owned)| {
            owned
                .iter()
                .map(move |(partition, epoch)| (*id, *partition, *epoch))
        })
    }

    pub(super) fn insert(&mut self, topic: TopicId, partition: i32, epoch: i32) {
        self.0.entry(topic).or_default().insert(partition, epoch);
    }

    /// Adds what another has.
    pub(super) fn add(&mut self, other: &OwnedPartitions) {
        for (topic, partition, epoch) in other.iter() {
            self.insert(topic, partition, epoch);
        }
    }

    /// Parts these into those that stay and those that go.
    pub(super) fn split(
        &self,
        mut stays: impl FnMut(&TopicId, i32) -> bool,
    ) -> (OwnedPartitions, OwnedPartitions) {
        let (mut kept, mut gone) = (OwnedPartitions::default(), OwnedPartitions::default());
        for (topic, partition, epoch) in self.iter() {
            let side = if stays(&topic, partition) {
                &mut kept
            } else {
                &mut gone
            };
            side.insert(topic, partition, epoch);
        }
        (kept, gone)
    }

    /// Sets all epochs to zero, so that whoever takes over a static member may commit for them.
    pub(super) fn with_epochs_zero(&self) -> OwnedPartitions {
        OwnedPartitions::at_epoch(&self.partitions(), 0)
    }
}
