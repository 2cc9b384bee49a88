//! The cluster's topics as groups see them: the published image behind the trait of `coordination`.

use std::sync::Arc;

use crate::coordination::topics::{TopicFacts, Topics};
use crate::metadata::{Image, PartitionImage, TopicImage};
use crate::model::TopicId;

/// See the module.
#[derive(Debug, Clone)]
pub struct ImageTopics(pub Arc<Image>);

impl ImageTopics {
    fn facts(&self, topic: &TopicImage) -> TopicFacts {
        let any_rack = self.0.brokers.values().any(|broker| broker.rack.is_some());
        let racks = if any_rack {
            topic.partitions.iter().map(|p| self.racks(p)).collect()
        } else {
            Vec::new()
        };
        TopicFacts {
            id: topic.id,
            name: Arc::clone(&topic.name),
            partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
            racks,
        }
    }

    /// The racks of a partition's replicas, each once, sorted.
    fn racks(&self, partition: &PartitionImage) -> Vec<Arc<str>> {
        let brokers = partition.replicas.iter();
        let racks = brokers.filter_map(|id| self.0.brokers.get(id)?.rack.as_deref());
        let mut racks: Vec<Arc<str>> = racks.map(Arc::from).collect();
        racks.sort_unstable();
        racks.dedup();
        racks
    }
}

impl Topics for ImageTopics {
    fn by_name(&self, name: &str) -> Option<TopicFacts> {
        self.0.topic(name).map(|topic| self.facts(topic))
    }

    fn by_id(&self, id: &TopicId) -> Option<TopicFacts> {
        self.0.topic_by_id(id).map(|topic| self.facts(topic))
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&Arc<str>)) {
        self.0.topic_ids.keys().for_each(visit);
    }

    fn version(&self) -> i64 {
        i64::try_from(self.0.version).unwrap_or(i64::MAX)
    }
}
