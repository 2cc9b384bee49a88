//! Partitions that have no log directory to live in, gathered while many are opened, told in a line.
//!
//! Used by `partition_opening` alone. They are offline: whoever asks is told KAFKA_STORAGE_ERROR.

use super::log_dirs::Homeless;
use super::partition_messages::PartitionKey;
use crate::metadata::Image;
use crate::model::{BrokerId, DirectoryId, LOST_DIRECTORY, TopicPartition};

/// So many are named.
const NAMED_MAX: usize = 10;

/// See the module.
pub(super) struct HomelessPartitions {
    /// The directories this broker had when it registered last.
    directories: Vec<DirectoryId>,
    missing: Vec<String>,
    failed: Vec<String>,
    /// Those of which the metadata must remember that their directory is not here.
    lost: Vec<(PartitionKey, DirectoryId)>,
}

impl HomelessPartitions {
    pub(super) fn new(broker: BrokerId, image: &Image) -> HomelessPartitions {
        let registered = image.brokers.get(&broker);
        HomelessPartitions {
            directories: registered.map_or_else(Vec::new, |known| known.directories.clone()),
            missing: Vec::new(),
            failed: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// The directories this broker had when it registered last.
    pub(super) fn directories(&self) -> &[DirectoryId] {
        &self.directories
    }

    pub(super) fn add(
        &mut self,
        key: PartitionKey,
        name: &TopicPartition,
        recorded: DirectoryId,
        why: Homeless,
    ) {
        match why {
            Homeless::Failed => self.failed.push(name.to_string()),
            Homeless::Missing => {
                self.missing.push(name.to_string());
                if recorded.is_zero() {
                    self.lost.push((key, LOST_DIRECTORY));
                }
            }
        }
    }

    /// Says which they are; those the metadata must know of as lost come back.
    pub(super) fn tell(self) -> Vec<(PartitionKey, DirectoryId)> {
        for (names, why) in [
            (self.missing, Homeless::Missing),
            (self.failed, Homeless::Failed),
        ] {
            if names.is_empty() {
                continue;
            }
            let more = match names.len().saturating_sub(NAMED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let named = names.get(..NAMED_MAX).unwrap_or(&names).join(", ");
            log::error!(
                "{} partitions are offline, {why}: {named}{more}",
                names.len()
            );
        }
        self.lost
    }
}
