//! Opening the log of a partition on a disk thread: whose directory it is, what the checkpoints say
//! of it, and the recovery itself.
//!
//! Used by `partition_opening`; everything here may block. Invariant: a log never goes on in a
//! directory, or with a checkpoint, of another topic of the same name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::clock::Clock;
use super::log_dir::LogDir;
use super::opening_progress::Told;
use crate::model::{LeaderEpoch, Offset, TopicId, TopicPartition, Uuid};
use crate::storage::log_dir::{DirectoryRole, current_directory_name, rename_partition};
use crate::storage::partition_metadata::{read_partition_metadata, write_partition_metadata};
use crate::storage::{ClosedLog, Log, LogConfig, RecoveryInput, RecoveryReport, StorageError};

/// A log to be opened.
pub(super) struct LogSite {
    /// Where it lives, or will.
    pub(super) dir: Arc<LogDir>,
    /// Further directories in which a log of this name was found.
    pub(super) rivals: Vec<Arc<LogDir>>,
    /// Whose it is.
    pub(super) name: TopicPartition,
    /// Which topic of that name.
    pub(super) topic_id: TopicId,
    /// Its settings.
    pub(super) config: Arc<LogConfig>,
    /// The epoch in which this broker leads the partition, if it does.
    pub(super) leads_in: Option<LeaderEpoch>,
    /// For segment jitter, and the name of a directory that is set aside.
    pub(super) random: [u8; 16],
    /// The time.
    pub(super) clock: Clock,
}

impl LogSite {
    /// Opens the log; the second value is its high watermark as last known.
    pub(super) fn open(&self) -> Result<(Log, Offset), StorageError> {
        let path = self.dir.path().join(current_directory_name(&self.name));
        let closed = self.dir.take_closed(&self.name);
        let (mut log, is_known) = match self.reopen(&path, closed.as_ref())? {
            Some(log) => (log, true),
            None => self.look_into(path, closed.as_ref())?,
        };
        log.bound_open_files(Arc::clone(self.dir.open_files()));
        log.watch_damage(Arc::clone(self.dir.suspects()) as Arc<_>);
        if let Some(epoch) = self.leads_in {
            log.assign_epoch(epoch);
        }
        let high_watermarks = &self.dir.at_start().high_watermarks;
        let high_watermark = high_watermarks.get(&self.name).filter(|_| is_known);
        Ok((log, high_watermark.copied().unwrap_or(Offset::ZERO)))
    }

    /// Opens the log as it was closed, if it was, and if nobody touched it since.
    fn reopen(&self, path: &Path, closed: Option<&ClosedLog>) -> Result<Option<Log>, StorageError> {
        let Some(closed) = closed else {
            return Ok(None);
        };
        let disk = Arc::clone(self.dir.disk());
        let config = Arc::clone(&self.config);
        let input = self.input(true);
        Log::reopen(
            disk,
            path.to_owned(),
            config,
            &input,
            closed,
            self.clock.wall(),
        )
    }

    /// Opens the log whatever happened to it; the second value is whether there was one.
    fn look_into(
        &self,
        path: PathBuf,
        closed: Option<&ClosedLog>,
    ) -> Result<(Log, bool), StorageError> {
        let is_known = self.is_known(&path)?;
        if !is_known {
            self.forget_earlier_ones()?;
        }
        let disk = Arc::clone(self.dir.disk());
        let config = Arc::clone(&self.config);
        let told = Told {
            progress: self.dir.opening(),
            directory: self.dir.path(),
            clock: self.clock,
        };
        let (input, now) = (self.input(is_known), self.clock.wall());
        let (log, report) =
            Log::open_telling(disk, path.clone(), config, &input, now, &told, closed)?;
        self.dir.opening().note_recovered(&path, &report);
        if log.log_end_offset() < input.recovery_point {
            // Else the next recovery would believe what is appended now without looking at it.
            self.dir.forget_recovery_point(&self.name);
            self.dir.write_checkpoints(false)?;
        }
        tell(&self.name, &report);
        Ok((log, is_known))
    }

    /// The log is open, or will not be.
    pub(super) fn note_done(&self, is_open: bool) {
        let progress = self.dir.opening();
        progress.note_done(self.dir.path(), self.clock, is_open);
    }

    /// Whether the directory holds this very topic's log. That of another topic of the same name is
    /// set aside, for somebody to decide about.
    fn is_known(&self, path: &Path) -> Result<bool, StorageError> {
        let disk = self.dir.disk().as_ref();
        match disk.look(path)? {
            None => return Ok(false),
            Some(found) if found.is_directory => {}
            Some(_) => {
                // A link may lead anywhere, to what another broker writes to.
                let what = "it is a link or a file where a partition's directory should be; move it away, or the directory here";
                return Err(StorageError::corrupt(path, what));
            }
        }
        let found = match read_partition_metadata(disk, path) {
            Err(StorageError::Corrupt { detail, .. }) => {
                self.name_topic(path, &detail)?;
                None
            }
            Ok(None) => {
                self.name_topic(path, "nothing says whose it is")?;
                None
            }
            found => found?,
        };
        let Some(other) = found.filter(|found| *found != self.topic_id) else {
            return Ok(true);
        };
        let name = current_directory_name(&self.name);
        let aside = rename_partition(
            disk,
            self.dir.path(),
            &name,
            &self.name,
            DirectoryRole::Stray,
            Uuid(self.random),
        )?;
        disk.sync_dir(self.dir.path())?;
        log::warn!(
            "{} belongs to another topic of this name, with id {other}; it was set aside as {aside}",
            path.display()
        );
        Ok(false)
    }

    /// Takes a directory that does not say which topic's it is for this one's: it has the name, and
    /// what is deleted or replaced is renamed first.
    fn name_topic(&self, path: &Path, why: &str) -> Result<(), StorageError> {
        log::warn!("{}: {why}; writing its partition.metadata anew", self.name);
        match write_partition_metadata(self.dir.disk().as_ref(), path, self.topic_id) {
            // It is tried again at the next start.
            Err(error) if error.is_passing() => {
                log::warn!("{}: {error}", self.name);
                Ok(())
            }
            written => written,
        }
    }

    /// Sees to it that the checkpoints of an earlier topic of this name are never taken for this
    /// one's: not now, and not after a crash.
    fn forget_earlier_ones(&self) -> Result<(), StorageError> {
        self.dir.disown(&self.name);
        if !self.dir.has_checkpoints_of(&self.name) {
            return Ok(());
        }
        match self.dir.write_checkpoints(false) {
            // Nothing can be appended before there is space, and then the next round writes them.
            Err(error) if error.is_passing() => {
                log::warn!("checkpoints were not written: {error}");
                Ok(())
            }
            written => written,
        }
    }

    pub(super) fn input(&self, is_known: bool) -> RecoveryInput {
        let unknown = RecoveryInput {
            topic_id: Some(self.topic_id),
            random: u64::from_le_bytes(*self.random.first_chunk().expect("16 bytes hold 8")),
            ..RecoveryInput::unknown()
        };
        if !is_known {
            return unknown;
        }
        let checkpoints = self.dir.at_start();
        let told = |offset: Option<&Offset>| offset.copied().unwrap_or(Offset::ZERO);
        RecoveryInput {
            recovery_point: told(checkpoints.recovery_points.get(&self.name)),
            log_start_offset: told(checkpoints.log_starts.get(&self.name)),
            clean_shutdown: self.dir.was_stopped_cleanly(),
            ..unknown
        }
    }
}

/// Tells of a recovery that cut or set aside something; others are not worth a line each.
fn tell(name: &TopicPartition, report: &RecoveryReport) {
    if report.bytes_cut > 0 {
        let why = report.cut_because.as_deref().unwrap_or("unknown");
        log::warn!(
            "{name}: {} bytes behind the last whole batch were cut off: {why}",
            report.bytes_cut
        );
    }
    for path in &report.set_aside {
        log::warn!(
            "{name}: {} does not fit into the log and was set aside",
            path.display()
        );
    }
}
