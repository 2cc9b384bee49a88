//! Which partition lives in which log directory, and where a new one goes (Kafka's
//! `LogManager.getOrCreateLog` and `nextLogDirs`).
//!
//! Asked by `partition_opening` when a partition comes and told when one goes; `moving` tells of
//! partitions that went to another directory. Invariants: a partition has one home at a time; one
//! whose directory is not here is never made anew in another, which would lose what it had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use actix::prelude::*;

use super::log_dir::{DirectoryFailed, LogDir, ResidentLog};
use super::partition_messages::PartitionKey;
use crate::metadata::Image;
use crate::model::{DirectoryId, LOST_DIRECTORY, TopicPartition};
use crate::storage::log_dir::current_directory_name;

/// How many partitions that are not here may be wished into a directory; more wishes are forgotten.
const WISHES_MAX: usize = 10_000;

/// All log directories, and which partition lives in which.
pub struct LogDirs {
    dirs: Vec<Arc<LogDir>>,
    /// Directories that could not be taken into use at the start.
    unusable: Vec<PathBuf>,
    homes: Mutex<Homes>,
    /// The broker has registered: what comes now is new, not found again.
    is_started: AtomicBool,
    keeper: OnceLock<Recipient<ReplicasPlaced>>,
}

#[derive(Default)]
struct Homes {
    /// Directories of partitions found on disk at the start, and those chosen since.
    by_name: BTreeMap<TopicPartition, usize>,
    /// Further directories in which some of them were found.
    rivals: BTreeMap<TopicPartition, Vec<usize>>,
    /// How many partitions are at home in each directory.
    counts: Vec<usize>,
    /// Where partitions that are not here yet shall go.
    wishes: BTreeMap<TopicPartition, usize>,
    /// Moves under way; set to stop them.
    moves: BTreeMap<TopicPartition, Arc<AtomicBool>>,
}

/// The directory of a partition.
pub(super) struct Home {
    /// It.
    pub(super) dir: Arc<LogDir>,
    /// Others in which a log of the partition was found: a move that did not come to its end.
    pub(super) rivals: Vec<Arc<LogDir>>,
}

/// Why a partition has no home, and is offline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Homeless {
    /// Its directory has failed.
    #[error("their log directory has failed")]
    Failed,
    /// It is known, or feared, to be in a directory that is not here.
    #[error("their log directory is not among those that can be used")]
    Missing,
}

/// In which directories replicas are, to be told to the controller.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct ReplicasPlaced(pub Vec<(PartitionKey, DirectoryId)>);

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
            ..Homes::default()
        };
        LogDirs {
            dirs,
            unusable: Vec::new(),
            homes: Mutex::new(homes),
            is_started: AtomicBool::new(false),
            keeper: OnceLock::new(),
        }
    }

    /// With directories that could not be taken into use, and partitions found more than once.
    pub fn with_trouble(
        mut self,
        unusable: Vec<PathBuf>,
        rivals: BTreeMap<TopicPartition, Vec<usize>>,
    ) -> LogDirs {
        self.unusable = unusable;
        self.homes().rivals = rivals;
        self
    }

    /// Every directory that could be taken into use.
    pub fn all(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    /// Directories that could not be taken into use at the start.
    pub fn unusable(&self) -> &[PathBuf] {
        &self.unusable
    }

    /// The directory at this path.
    pub fn at(&self, path: &Path) -> Option<&Arc<LogDir>> {
        self.dirs.iter().find(|dir| dir.path() == path)
    }

    /// Whom to tell of failures and of where replicas are; said once, before any partition comes.
    pub fn report_to(
        &self,
        placed: Recipient<ReplicasPlaced>,
        failed: &Recipient<DirectoryFailed>,
    ) {
        self.keeper.get_or_init(|| placed);
        for dir in &self.dirs {
            dir.report_failure_to(failed.clone());
        }
    }

    /// Tells the controller where replicas are, if somebody is there to do so.
    pub(super) fn report(&self, placed: Vec<(PartitionKey, DirectoryId)>) {
        if let Some(keeper) = self.keeper.get().filter(|_| !placed.is_empty()) {
            keeper.do_send(ReplicasPlaced(placed));
        }
    }

    /// The broker has registered: partitions that come from now on are new.
    pub fn note_started(&self) {
        self.is_started.store(true, Ordering::Release);
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

    /// The directory of a partition: where it is already; where the metadata has it, if that is
    /// here; else, for a new one, the directory somebody wished, or the one with the fewest.
    /// `others` are the directories this broker had in its last life.
    pub(super) fn home(
        &self,
        name: &TopicPartition,
        recorded: DirectoryId,
        others: &[DirectoryId],
    ) -> Result<Home, Homeless> {
        let mut homes = self.homes();
        if let Some(index) = homes.by_name.get(name).copied() {
            let rivals = homes.rivals.remove(name).unwrap_or_default();
            return self.found(index, &rivals, recorded);
        }
        let index = match self.index_of(recorded) {
            Some(index) => index,
            None if !recorded.is_zero() => return Err(Homeless::Missing),
            None if !self.may_be_new(others) => return Err(Homeless::Missing),
            None => self.emptiest(&mut homes, name).ok_or(Homeless::Failed)?,
        };
        let dir = &self.dirs[index];
        if dir.is_offline() {
            return Err(Homeless::Failed);
        }
        homes.by_name.insert(name.clone(), index);
        homes.counts[index] += 1;
        Ok(Home {
            dir: Arc::clone(dir),
            rivals: Vec::new(),
        })
    }

    fn found(
        &self,
        index: usize,
        rivals: &[usize],
        recorded: DirectoryId,
    ) -> Result<Home, Homeless> {
        let dir = &self.dirs[index];
        if dir.is_offline() {
            return Err(Homeless::Failed);
        }
        let elsewhere = recorded != LOST_DIRECTORY && !recorded.is_zero();
        if elsewhere && self.index_of(recorded).is_none() && !self.unusable.is_empty() {
            // It may be in the directory that cannot be used, and this here an old copy.
            return Err(Homeless::Missing);
        }
        Ok(Home {
            dir: Arc::clone(dir),
            rivals: rivals
                .iter()
                .map(|at| Arc::clone(&self.dirs[*at]))
                .collect(),
        })
    }

    /// Whether a partition of which nobody said where it is can be taken for one that was never
    /// written to.
    fn may_be_new(&self, others: &[DirectoryId]) -> bool {
        let all_here = || others.iter().all(|other| self.index_of(*other).is_some());
        self.is_started.load(Ordering::Acquire) || self.unusable.is_empty() && all_here()
    }

    fn index_of(&self, id: DirectoryId) -> Option<usize> {
        self.dirs.iter().position(|dir| dir.id() == id)
    }

    /// Where a new partition goes: where somebody wished it, else to the directory with the fewest
    /// of those that take new ones; where none does, to the first that works.
    fn emptiest(&self, homes: &mut Homes, name: &TopicPartition) -> Option<usize> {
        let works = |index: &usize| !self.dirs[*index].is_offline();
        if let Some(wished) = homes.wishes.remove(name).filter(works) {
            return Some(wished);
        }
        let mut future = vec![0; self.dirs.len()];
        for (count, dir) in future.iter_mut().zip(&self.dirs) {
            *count = dir.list_future().len();
        }
        let working = || (0..self.dirs.len()).filter(works);
        let open = working().filter(|index| !self.dirs[*index].is_cordoned());
        let emptiest = open.min_by_key(|index| homes.counts[*index] + future[*index]);
        emptiest.or_else(|| working().next())
    }

    /// The directory in which a partition is at home.
    pub(super) fn home_of(&self, name: &TopicPartition) -> Option<Arc<LogDir>> {
        let homes = self.homes();
        let index = homes.by_name.get(name)?;
        self.dirs.get(*index).cloned()
    }

    /// The log of a partition that is served here, and its directory.
    pub fn resident(&self, name: &TopicPartition) -> Option<(Arc<LogDir>, ResidentLog)> {
        let dir = self.home_of(name)?;
        let resident = dir.resident(name)?;
        Some((dir, resident))
    }

    /// A partition lives in another directory now.
    pub(super) fn rehome(&self, name: &TopicPartition, to: &LogDir) {
        let mut homes = self.homes();
        let Some(index) = self.index_of(to.id()) else {
            return;
        };
        if let Some(before) = homes.by_name.insert(name.clone(), index) {
            homes.counts[before] -= 1;
        }
        homes.counts[index] += 1;
    }

    /// Remembers where a partition shall go when it comes (`maybeUpdatePreferredLogDir`).
    pub(super) fn wish(&self, name: &TopicPartition, to: &LogDir) {
        let mut homes = self.homes();
        if let Some(index) = self.index_of(to.id())
            && (homes.wishes.len() < WISHES_MAX || homes.wishes.contains_key(name))
        {
            homes.wishes.insert(name.clone(), index);
        }
    }

    /// A move of this partition is under way; `stop` ends it.
    pub(super) fn note_move(&self, name: &TopicPartition, stop: Arc<AtomicBool>) {
        self.homes().moves.insert(name.clone(), stop);
    }

    /// The move with this switch is over.
    pub(super) fn forget_move(&self, name: &TopicPartition, stop: &Arc<AtomicBool>) {
        let mut homes = self.homes();
        if homes
            .moves
            .get(name)
            .is_some_and(|other| Arc::ptr_eq(other, stop))
        {
            homes.moves.remove(name);
        }
    }

    /// The partitions with a move under way.
    pub(super) fn moving(&self) -> BTreeSet<TopicPartition> {
        self.homes().moves.keys().cloned().collect()
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
        if let Some(stop) = homes.moves.remove(name) {
            stop.store(true, Ordering::Release);
        }
    }

    fn homes(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
