//! What the settings of topics mean to their partitions, worked out as seldom as can be.
//!
//! Used by `partition_opening` and `partition_host`, which ask for many partitions under one image.
//! Invariant: topics without settings of their own share one value, so that 100,000 of them cost
//! neither the time nor the memory of as many.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::settings::{SettingsSource, log_config};
use crate::metadata::{Image, ResourceKind, TopicImage};
use crate::model::TopicId;
use crate::replication::PartitionConfig;
use crate::storage::LogConfig;

/// What the settings of a topic mean to its partitions: the same for all of them.
#[derive(Clone)]
pub struct Rules {
    pub(super) log: Arc<LogConfig>,
    pub(super) partition: PartitionConfig,
}

/// The rules of topics under one image.
pub struct RuleBook<'a> {
    settings: &'a SettingsSource,
    producer_id_expiration_ms: i64,
    image: &'a Image,
    /// Those of every topic without settings of its own.
    plain: Option<Rules>,
    own: BTreeMap<TopicId, Rules>,
}

impl<'a> RuleBook<'a> {
    /// An empty book. `producer_id_expiration_ms` is the broker's own.
    pub(super) fn new(
        settings: &'a SettingsSource,
        producer_id_expiration_ms: i64,
        image: &'a Image,
    ) -> RuleBook<'a> {
        RuleBook {
            settings,
            producer_id_expiration_ms,
            image,
            plain: None,
            own: BTreeMap::new(),
        }
    }

    /// What the settings of a topic of the image mean to its partitions.
    pub fn of(&mut self, topic: &TopicImage) -> &Rules {
        let (settings, image, expiration_ms) =
            (self.settings, self.image, self.producer_id_expiration_ms);
        let read = || {
            let settings = settings(image, &topic.name);
            Rules {
                log: Arc::new(log_config(&settings, expiration_ms)),
                partition: PartitionConfig {
                    min_insync_replicas: usize::try_from(settings.min_insync_replicas).unwrap_or(1),
                },
            }
        };
        match image.config(ResourceKind::Topic, &topic.name) {
            None => self.plain.get_or_insert_with(read),
            Some(_) => self.own.entry(topic.id).or_insert_with(read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::{ConfigResource, ConfigTables, MetadataRecord, TopicSettings};
    use crate::model::{BrokerId, Uuid};

    #[test]
    fn topics_without_settings_of_their_own_share_rules_that_are_read_once() {
        let mut image = Image::default();
        for (number, name) in [(1, "a"), (2, "b"), (3, "c")] {
            image.replay(&MetadataRecord::Topic {
                name: name.to_owned(),
                id: Uuid([number; 16]),
            });
        }
        image.replay(&MetadataRecord::Config {
            resource: ConfigResource {
                kind: ResourceKind::Topic,
                name: "b".to_owned(),
            },
            key: "min.insync.replicas".to_owned(),
            value: Some("2".to_owned()),
        });
        let asked: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let asking = Arc::clone(&asked);
        let settings: SettingsSource = Arc::new(move |image, topic| {
            asking.lock().unwrap().push(topic.to_owned());
            TopicSettings::resolve(image, &ConfigTables::default(), BrokerId(1), topic)
        });
        let mut book = RuleBook::new(&settings, 1, &image);
        let mut logs = Vec::new();
        for name in ["a", "b", "c", "b"] {
            logs.push(Arc::clone(&book.of(image.topic(name).unwrap()).log));
        }
        assert_eq!(*asked.lock().unwrap(), ["a", "b"]);
        assert!(Arc::ptr_eq(&logs[0], &logs[2]) && Arc::ptr_eq(&logs[1], &logs[3]));
        assert!(!Arc::ptr_eq(&logs[0], &logs[1]));
    }
}
