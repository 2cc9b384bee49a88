//! Who leads a partition when brokers come and go.
//!
//! Only a replica in sync becomes leader, unless the topic allows an unclean election; the last
//! replica in sync stays in sync even when it is gone, since it alone has every record. Called by
//! the broker family; the outcome of each partition is one record.

use super::Planner;
use crate::metadata::config_layers::ConfigLayers;
use crate::metadata::image::{Image, PartitionImage, TopicImage};
use crate::metadata::records::MetadataRecord;
use crate::metadata::topic_settings::TopicSettings;
use crate::model::BrokerId;

impl Planner<'_, '_> {
    /// Takes a broker out of every place it leads or is in sync. With `keep_sole` partitions that
    /// have no other replica in sync stay as they are.
    pub(super) fn take_out(&mut self, broker: BrokerId, keep_sole: bool) {
        self.change_partitions(|planner, topic, partition| {
            if !partition.isr.contains(&broker) && partition.leader != broker {
                return None;
            }
            let sole = *partition.isr == [broker];
            if sole && keep_sole {
                return None;
            }
            planner.without(topic, partition, broker)
        });
    }

    /// Takes a broker out of what it leads, or is in sync with, in directories it cannot use.
    pub(super) fn take_out_of_offline_directories(&mut self, broker: BrokerId) {
        self.change_partitions(|planner, topic, partition| {
            let holds = partition.isr.contains(&broker) || partition.leader == broker;
            if !holds || !planner.image().is_in_offline_directory(partition, broker) {
                return None;
            }
            let change = planner.without(topic, partition, broker)?;
            // One that nobody leads already, and nobody will, stays as it is.
            let (isr, leader) = &change;
            let same = isr.is_none() && *leader == Some(partition.leader);
            (!same).then_some(change)
        });
    }

    /// Lets a broker lead what nobody leads, where it may.
    pub(super) fn bring_in(&mut self, broker: BrokerId) {
        self.change_partitions(|planner, topic, partition| {
            if partition.leader != BrokerId::NONE || !partition.replicas.contains(&broker) {
                return None;
            }
            if planner.image().is_in_offline_directory(partition, broker) {
                return None;
            }
            if partition.isr.contains(&broker) {
                return Some((None, Some(broker)));
            }
            let unclean = planner.unclean_elections(topic);
            unclean.then(|| (Some(vec![broker]), Some(broker)))
        });
    }

    /// The replicas in sync and the leader of a partition that loses a broker.
    fn without(
        &self,
        topic: &TopicImage,
        partition: &PartitionImage,
        broker: BrokerId,
    ) -> Option<Change> {
        let others: Vec<BrokerId> = partition
            .isr
            .iter()
            .copied()
            .filter(|id| *id != broker)
            .collect();
        if partition.leader != broker {
            // A partition without a leader keeps its last replica in sync.
            return (!others.is_empty()).then_some((Some(others), None));
        }
        let image = self.image();
        let alive = |id: &BrokerId| {
            let online = !image.is_in_offline_directory(partition, *id);
            *id != broker && is_alive(image, *id) && online
        };
        let mut replicas = partition.replicas.iter().copied();
        let heir = replicas.clone().find(|id| others.contains(id) && alive(id));
        if let Some(heir) = heir {
            return Some((Some(others), Some(heir)));
        }
        match replicas.find(alive) {
            Some(heir) if self.unclean_elections(topic) => Some((Some(vec![heir]), Some(heir))),
            _ => Some((None, Some(BrokerId::NONE))),
        }
    }

    fn unclean_elections(&self, topic: &TopicImage) -> bool {
        let tables = &self.config().tables;
        let layers: ConfigLayers<'_> = self.topic_layers(&topic.name);
        TopicSettings::from_layers(&layers, tables).unclean_leader_election_enable
    }

    /// Plans what `decide` makes of each partition there is.
    fn change_partitions(
        &mut self,
        decide: impl Fn(&Self, &TopicImage, &PartitionImage) -> Option<Change>,
    ) {
        let mut changes = Vec::new();
        for id in self.image().topic_ids.values() {
            let Some(topic) = self.image().topic_by_id(id) else {
                continue;
            };
            for (index, partition) in topic.partitions.iter().enumerate() {
                if let Some((isr, leader)) = decide(self, topic, partition) {
                    changes.push(MetadataRecord::PartitionChange {
                        topic_id: *id,
                        partition: i32::try_from(index).unwrap_or(i32::MAX),
                        isr,
                        leader,
                        replicas: None,
                    });
                }
            }
        }
        changes.into_iter().for_each(|record| self.write(record));
    }
}

/// New replicas in sync, and a new leader; absent ones stay.
type Change = (Option<Vec<BrokerId>>, Option<BrokerId>);

/// Whether a broker is registered and not fenced.
pub(super) fn is_alive(image: &Image, broker: BrokerId) -> bool {
    image
        .brokers
        .get(&broker)
        .is_some_and(|broker| !broker.fenced)
}
