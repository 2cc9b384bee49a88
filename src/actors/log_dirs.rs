//! Which partition lives in which log directory.
//!
//! Asked by `partition_opening` when a partition comes and told when one goes. Invariant: a partition
//! has one home at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::log_dir::LogDir;
use crate::metadata::Image;
use crate::model::TopicPartition;
use crate::storage::log_dir::current_directory_name;

/// All log directories, and which partition lives in which.
pub struct LogDirs {
    dirs: Vec<Arc<LogDir>>,
    homes: Mutex<Homes>,
}

struct Homes {
    /// Directories of partitions found on disk at the start, and those chosen since.
    by_name: BTreeMap<TopicPartition, usize>,
    /// How many partitions are at home in each directory.
    counts: Vec<usize>,
}

impl LogDirs {
    /// The opened directories and the partitions found in each.
    pub fn new(dirs: Vec<Arc<LogDir>>, found: BTreeMap<TopicPartition, usize>) -> LogDirs {
        let mut counts = vec![0; dirs.len()];
        for index in found.values() {
            counts[*index] += 1;
        }
        let homes = Homes {
            by_name: found,
            counts,
        };
        LogDirs {
            dirs,
            homes: Mutex::new(homes),
        }
    }

    /// Every directory.
    pub fn all(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    /// Partitions on disk of which the metadata knows nothing, as `log.dirs` paths and names.
    pub fn unknown(&self, image: &Image) -> Vec<String> {
        let known = |name: &TopicPartition| {
            let topic = image.topic(&name.topic);
            topic.is_some_and(|topic| topic.partition(name.partition).is_some())
        };
        let homes = self.homes();
        let unknown = homes.by_name.iter().filter(|(name, _)| !known(name));
        unknown
            .map(|(name, index)| {
                let path = self.dirs[*index].path();
                path.join(current_directory_name(name))
                    .display()
                    .to_string()
            })
            .collect()
    }

    /// The directory of a partition: where it is already, else the online one with the fewest.
    pub(super) fn home(&self, name: &TopicPartition) -> Option<Arc<LogDir>> {
        let mut homes = self.homes();
        if let Some(index) = homes.by_name.get(name) {
            return self.dirs.get(*index).cloned();
        }
        let (index, dir) = self
            .dirs
            .iter()
            .enumerate()
            .filter(|(_, dir)| !dir.is_offline())
            .min_by_key(|(index, _)| homes.counts[*index])?;
        homes.by_name.insert(name.clone(), index);
        homes.counts[index] += 1;
        Some(Arc::clone(dir))
    }

    /// How many partitions are at home in each directory.
    #[cfg(test)]
    pub(super) fn counts(&self) -> Vec<usize> {
        self.homes().counts.clone()
    }

    pub(super) fn forget(&self, name: &TopicPartition) {
        let mut homes = self.homes();
        if let Some(index) = homes.by_name.remove(name) {
            homes.counts[index] -= 1;
        }
    }

    fn homes(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
