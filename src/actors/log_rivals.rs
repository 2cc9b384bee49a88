//! A partition that was found in more than one log directory: which log is the right one.
//!
//! That happens when the broker ended in the middle of the last step of a move, or when somebody
//! copied a directory. In the step nothing is written until one of both has another name
//! (`log_switch`), so the one that was written to in a later reign, or else reaches further, has
//! all there is. Invariant: the other one is never deleted, only set aside.

use std::path::PathBuf;
use std::sync::Arc;

use super::log_dir::LogDir;
use super::log_opening::LogSite;
use crate::model::{LeaderEpoch, Offset, Uuid};
use crate::storage::log_dir::{DirectoryRole, current_directory_name, rename_partition};
use crate::storage::partition_metadata::read_partition_metadata;
use crate::storage::{Log, StorageError};

/// How far a log reaches; `None` is the log of another topic, or none.
type Reach = Option<(LeaderEpoch, Offset)>;

impl LogSite {
    /// Decides for one directory and sets what the others have aside.
    pub(super) fn settle_rivals(&mut self) -> Result<(), StorageError> {
        if self.rivals.is_empty() {
            return Ok(());
        }
        let mut candidates = vec![Arc::clone(&self.dir)];
        candidates.append(&mut self.rivals);
        let mut best: (Reach, usize) = (None, 0);
        for (index, dir) in candidates.iter().enumerate() {
            let reach = self.reach(dir)?;
            if reach > best.0 {
                best = (reach, index);
            }
        }
        let right = candidates.swap_remove(best.1);
        for dir in candidates {
            self.set_aside(&dir, &right)?;
        }
        self.dir = right;
        Ok(())
    }

    fn path_in(&self, dir: &LogDir) -> PathBuf {
        dir.path().join(current_directory_name(&self.name))
    }

    fn reach(&self, dir: &Arc<LogDir>) -> Result<Reach, StorageError> {
        let path = self.path_in(dir);
        let disk = dir.disk();
        if read_partition_metadata(disk.as_ref(), &path)?.is_some_and(|id| id != self.topic_id) {
            return Ok(None);
        }
        let there = LogSite {
            dir: Arc::clone(dir),
            rivals: Vec::new(),
            name: self.name.clone(),
            config: Arc::clone(&self.config),
            ..*self
        };
        // As after a crash, whatever the marks say: what is compared is what is there.
        let mut input = there.input(true);
        input.clean_shutdown = false;
        let config = Arc::clone(&self.config);
        let (log, _) = Log::open(Arc::clone(disk), path, config, &input, self.clock.wall())?;
        let end = log.log_end_offset();
        let last = log.reader().epoch_for(Offset(end.0.saturating_sub(1)));
        Ok(Some((last.unwrap_or(LeaderEpoch::NONE), end)))
    }

    fn set_aside(&self, dir: &LogDir, right: &LogDir) -> Result<(), StorageError> {
        let name = current_directory_name(&self.name);
        let unique = Uuid(self.random);
        let role = DirectoryRole::Stray;
        let disk = dir.disk().as_ref();
        let aside = rename_partition(disk, dir.path(), &name, &self.name, role, unique)?;
        disk.sync_dir(dir.path())?;
        log::warn!(
            "{} is in {} and {}; the one in {} reaches further and is used, the other was set aside as {aside}",
            self.name,
            dir.path().display(),
            right.path().display(),
            right.path().display()
        );
        Ok(())
    }
}
