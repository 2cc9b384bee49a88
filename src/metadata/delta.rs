//! What changed from one image to the next, so that the rooms are told only what concerns them.
//!
//! `actors::metadata` computes one per publication. Invariant: whoever held everything of the older
//! image and carries out the delta holds everything of the newer.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::image::{Image, PartitionImage, TopicImage};
use super::records::{ConfigResource, MetadataRecord};
use crate::model::{BrokerId, TopicId};

/// A partition that is new or changed, of a topic that was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionDelta {
    /// The topic as it is now.
    pub topic: Arc<TopicImage>,
    /// The partition's index.
    pub partition: i32,
    /// How it was; `None` when it is new.
    pub before: Option<PartitionImage>,
}

impl PartitionDelta {
    /// How it is now.
    pub fn after(&self) -> Option<&PartitionImage> {
        self.topic.partition(self.partition)
    }
}

/// The difference between two images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delta {
    /// Topics that are gone, as they were. A topic that was created again under the same name is
    /// in both lists, with two ids; carry out deletions first.
    pub topics_deleted: Vec<Arc<TopicImage>>,
    /// Topics that are new, with all their partitions.
    pub topics_created: Vec<Arc<TopicImage>>,
    /// Partitions that changed or were added, of topics in both images.
    pub partitions_changed: Vec<PartitionDelta>,
    /// Resources whose set values changed, other than those of created and deleted topics.
    pub configs_changed: Vec<ConfigResource>,
    /// Brokers that came, went or changed.
    pub brokers_changed: Vec<BrokerId>,
    /// Whether a finalized feature level changed.
    pub features_changed: bool,
}

impl Delta {
    /// Whether nothing changed that anybody is told of.
    pub fn is_empty(&self) -> bool {
        *self == Delta::default()
    }

    /// Compares two images wholly, however they came about: at start and after a snapshot.
    pub fn between(before: &Image, after: &Image) -> Delta {
        Touched::everything(before, after).delta(before, after)
    }
}

/// What a run of records may have changed: the places where two images are worth comparing.
#[derive(Debug, Default)]
pub struct Touched {
    topics: HashSet<TopicId>,
    configs: BTreeSet<ConfigResource>,
    brokers: BTreeSet<BrokerId>,
}

impl Touched {
    /// Notes what a record changes. `image` is the image before the record is replayed.
    pub fn note(&mut self, image: &Image, record: &MetadataRecord) {
        match record {
            MetadataRecord::Topic { id, .. } | MetadataRecord::RemoveTopic { id } => {
                self.topics.insert(*id);
            }
            MetadataRecord::Partition { topic_id, .. }
            | MetadataRecord::PartitionChange { topic_id, .. } => {
                self.topics.insert(*topic_id);
            }
            MetadataRecord::Config { resource, .. } => {
                self.configs.insert(resource.clone());
            }
            MetadataRecord::RegisterBroker { id, .. }
            | MetadataRecord::FenceBroker { id, .. }
            | MetadataRecord::UnregisterBroker { id }
            | MetadataRecord::BrokerDirectories { id, .. } => {
                self.brokers.insert(*id);
            }
            MetadataRecord::AssignDirectory { partitions, .. } => {
                self.topics
                    .extend(partitions.iter().map(|(topic, _)| *topic));
            }
            MetadataRecord::RaiseLeaderEpochs { .. } => {
                self.topics.extend(image.topics.keys());
            }
            MetadataRecord::ProducerIds { .. } | MetadataRecord::FeatureLevel { .. } => {}
        }
    }

    fn everything(before: &Image, after: &Image) -> Touched {
        Touched {
            topics: before
                .topics
                .keys()
                .chain(after.topics.keys())
                .copied()
                .collect(),
            configs: before
                .configs
                .keys()
                .chain(after.configs.keys())
                .cloned()
                .collect(),
            brokers: before
                .brokers
                .keys()
                .chain(after.brokers.keys())
                .copied()
                .collect(),
        }
    }

    /// The delta between two images that differ only in the noted places.
    pub fn delta(&self, before: &Image, after: &Image) -> Delta {
        let mut delta = Delta {
            features_changed: before.features != after.features,
            ..Delta::default()
        };
        for id in &self.topics {
            match (before.topics.get(id), after.topics.get(id)) {
                (None, Some(new)) => delta.topics_created.push(Arc::clone(new)),
                (Some(old), None) => delta.topics_deleted.push(Arc::clone(old)),
                (Some(old), Some(new)) => compare_partitions(old, new, &mut delta),
                (None, None) => {}
            }
        }
        // Whoever acts on a delta meets the topics in the same order on every broker and every run.
        delta.topics_created.sort_by(|a, b| a.name.cmp(&b.name));
        delta.topics_deleted.sort_by(|a, b| a.name.cmp(&b.name));
        delta
            .partitions_changed
            .sort_by(|a, b| (&a.topic.name, a.partition).cmp(&(&b.topic.name, b.partition)));
        let set = |image: &Image, resource: &ConfigResource| image.configs.get(resource).cloned();
        delta.configs_changed = self
            .configs
            .iter()
            .filter(|resource| set(before, resource) != set(after, resource))
            .filter(|resource| lived_on(before, after, resource))
            .cloned()
            .collect();
        delta.brokers_changed = self
            .brokers
            .iter()
            .filter(|id| before.brokers.get(id) != after.brokers.get(id))
            .copied()
            .collect();
        delta
    }
}

/// Whether the resource is no topic, or one with the same id in both images.
fn lived_on(before: &Image, after: &Image, resource: &ConfigResource) -> bool {
    if resource.kind != super::records::ResourceKind::Topic {
        return true;
    }
    let id = |image: &Image| image.topic_ids.get(resource.name.as_str()).copied();
    id(before).is_some() && id(before) == id(after)
}

fn compare_partitions(old: &Arc<TopicImage>, new: &Arc<TopicImage>, delta: &mut Delta) {
    if Arc::ptr_eq(old, new) {
        return;
    }
    for (index, partition) in new.partitions.iter().enumerate() {
        let before = old.partitions.get(index);
        if before != Some(partition) {
            delta.partitions_changed.push(PartitionDelta {
                topic: Arc::clone(new),
                partition: i32::try_from(index).unwrap_or(i32::MAX),
                before: before.cloned(),
            });
        }
    }
}
