//! Log directories of brokers: which are online, which take no new replicas, what lies where
//! (KIP-858 and KIP-1066; Kafka's `handleDirectoriesOffline` and `handleAssignReplicasToDirs`).
//!
//! Invariant: a broker leads no partition whose directory it cannot use.

use std::collections::BTreeMap;

use super::Planner;
use crate::metadata::records::MetadataRecord;
use crate::metadata::refusal::Refusal;
use crate::model::{BrokerId, DirectoryId, LOST_DIRECTORY, TopicId};

/// Partitions by the directory in which a broker has put them.
pub type Assignments = Vec<(DirectoryId, Vec<(TopicId, Vec<i32>)>)>;

impl Planner<'_, '_> {
    /// A broker lost directories while it runs, or spares others than before: what a heartbeat says.
    pub(super) fn change_directories(
        &mut self,
        broker: BrokerId,
        broker_epoch: i64,
        offline: &[DirectoryId],
        cordoned: &[DirectoryId],
    ) -> Result<(), Refusal> {
        self.judge_broker_epoch(broker, broker_epoch)?;
        let known = self.registered(broker)?;
        let mut online = known.directories.clone();
        online.retain(|directory| !offline.contains(directory));
        let mut spared = cordoned.to_vec();
        spared.retain(|directory| online.contains(directory));
        spared.sort_unstable();
        spared.dedup();
        if online == known.directories && spared == known.cordoned {
            return Ok(());
        }
        let lost = online.len() < known.directories.len();
        self.write(MetadataRecord::BrokerDirectories {
            id: broker,
            online,
            cordoned: spared,
        });
        if lost {
            self.take_out_of_offline_directories(broker);
        }
        Ok(())
    }

    /// A broker tells where replicas are. Partitions that are gone, and those of others, are passed
    /// over: the broker learns of them by itself.
    pub(super) fn assign_directories(
        &mut self,
        broker: BrokerId,
        broker_epoch: i64,
        assignments: Assignments,
    ) -> Result<(), Refusal> {
        self.judge_broker_epoch(broker, broker_epoch)?;
        let known = self.registered(broker)?;
        let mut leaders_may_change = false;
        for (directory, topics) in assignments {
            // One that the broker does not have is the same as none.
            let directory = match known.has_online(directory) {
                true => directory,
                false => LOST_DIRECTORY,
            };
            let mut moved: BTreeMap<TopicId, Vec<i32>> = BTreeMap::new();
            for (topic, partitions) in topics {
                let Some(image) = self.image().topic_by_id(&topic) else {
                    continue;
                };
                for index in partitions {
                    let Some(partition) = image.partition(index) else {
                        continue;
                    };
                    let before = partition.directory_of(broker);
                    if !partition.replicas.contains(&broker) || before == directory {
                        continue;
                    }
                    leaders_may_change |= directory == LOST_DIRECTORY || !known.has_online(before);
                    moved.entry(topic).or_default().push(index);
                }
            }
            if !moved.is_empty() {
                self.write(MetadataRecord::AssignDirectory {
                    broker,
                    directory,
                    partitions: moved.into_iter().collect(),
                });
            }
        }
        if leaders_may_change {
            self.take_out_of_offline_directories(broker);
            self.bring_in(broker);
        }
        Ok(())
    }

    fn judge_broker_epoch(&self, broker: BrokerId, told: i64) -> Result<(), Refusal> {
        let current = self.registered(broker)?.broker_epoch;
        if current == told {
            return Ok(());
        }
        Err(Refusal::StaleBrokerEpoch(format!(
            "Expected broker epoch {current}, but got broker epoch {told}"
        )))
    }
}
