//! Flushing: a job any thread can run while the log goes on, and what its success means.
//!
//! One job covers everything appended before it was made, so that one fdatasync(2) serves every
//! append that waits. The same job serves early write-back: what it flushed need not be flushed
//! later. Invariant: the recovery point never passes a byte that was not flushed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile, OpenMode};
use crate::storage::producer_state::snapshot_path;
use crate::storage::segment::names::FileKind;

use super::{Log, unless_full};

/// Files to be flushed, in order.
#[derive(Debug)]
pub struct FlushJob {
    disk: Arc<dyn Disk>,
    files: Vec<Arc<dyn DiskFile>>,
    directories: Vec<PathBuf>,
    done: Flushed,
}

/// What a finished job achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flushed {
    /// Everything below this offset is on the device.
    pub upto: Offset,
    number: u64,
    generation: u64,
    bytes_appended: u64,
}

/// What the newest job was given to flush. Until it is known to have done so, the next one is given
/// the same again: who closes a log does not wait for the flush that is under way.
#[derive(Debug)]
pub(super) struct UnderWay {
    number: u64,
    dirty_from: Offset,
    names_changed: bool,
    files: Vec<Box<str>>,
}

impl FlushJob {
    /// What will be on the device when the job has run.
    pub fn upto(&self) -> Offset {
        self.done.upto
    }

    /// Waits for the device. Any thread may do this; pass the result to [`Log::flushed`], an error
    /// to [`Log::flush_failed`].
    ///
    /// # Errors
    /// When the device failed: nobody knows what is on it now.
    pub fn run(&self) -> Result<Flushed, StorageError> {
        for file in &self.files {
            file.sync_data()?;
        }
        for directory in &self.directories {
            self.disk.sync_dir(directory)?;
        }
        Ok(self.done)
    }
}

impl Log {
    /// Records above the recovery point (`flush.messages` counts these).
    pub fn unflushed_messages(&self) -> u64 {
        (self.log_end_offset - self.recovery_point).unsigned_abs()
    }

    /// Bytes appended in this life of the log that are not known to be on the device.
    pub fn unflushed_bytes(&self) -> u64 {
        self.bytes_appended - self.bytes_flushed
    }

    /// When the oldest record was appended that may not be on the device (`flush.ms` counts from).
    pub fn unflushed_since(&self) -> Option<Timestamp> {
        self.unflushed_since
    }

    /// Whether `flush.messages` or `flush.ms` demand a flush.
    pub fn flush_is_due(&self, now: Timestamp) -> bool {
        let old = self
            .unflushed_since
            .is_some_and(|since| now.0.saturating_sub(since.0) >= self.config.flush_ms);
        let messages = self.unflushed_messages();
        messages > 0 && (old || messages >= self.config.flush_messages)
    }

    /// The job that flushes everything appended so far; none when there is nothing to flush.
    /// None, too, when the log is poisoned, or files cannot be opened: that makes the log poisoned, unless only too many of
    /// them are open at the moment.
    pub fn flush_job(&mut self) -> Option<FlushJob> {
        self.flush_job_with(false)
    }

    /// The same; `all` has the indexes of the active segment flushed, too, which after a clean stop
    /// nobody makes anew.
    pub(super) fn flush_job_with(&mut self, all: bool) -> Option<FlushJob> {
        let nothing_new = self.log_end_offset <= self.recovery_point && !self.names_changed;
        let nothing_else = self.unflushed_files.is_empty() && self.under_way.is_none();
        if self.poisoned || self.active.is_none() || nothing_new && nothing_else {
            return None;
        }
        self.take_back_what_is_under_way();
        let (dirty_from, names_changed) = (self.dirty_from, self.names_changed);
        let names = self.unflushed_files.clone();
        let files = match self
            .write_changed_epochs()
            .and_then(|()| self.files_to_flush(all))
        {
            Ok(files) => files,
            Err(error) if error.is_passing() => {
                log::warn!("a flush is put off: {error}");
                return None;
            }
            Err(error) => {
                log::error!("cannot open what is to be flushed: {error}");
                self.poisoned = true;
                return None;
            }
        };
        let mut directories = Vec::new();
        if std::mem::take(&mut self.names_changed) {
            directories.push(self.shared.directory.clone());
            directories.extend(self.shared.directory.parent().map(PathBuf::from));
        }
        // What is appended from now on is the next job's.
        self.unflushed_since = None;
        self.flush_jobs += 1;
        self.under_way = Some(UnderWay {
            number: self.flush_jobs,
            dirty_from,
            names_changed,
            files: names,
        });
        Some(FlushJob {
            disk: Arc::clone(&self.shared.disk),
            files,
            directories,
            done: Flushed {
                upto: self.log_end_offset,
                number: self.flush_jobs,
                generation: self.generation,
                bytes_appended: self.bytes_appended,
            },
        })
    }

    fn take_back_what_is_under_way(&mut self) {
        let Some(under_way) = self.under_way.take() else {
            return;
        };
        self.dirty_from = self.dirty_from.min(under_way.dirty_from);
        self.names_changed |= under_way.names_changed;
        for name in under_way.files {
            if !self.unflushed_files.contains(&name) {
                self.unflushed_files.push(name);
            }
        }
    }

    fn write_changed_epochs(&mut self) -> Result<(), StorageError> {
        if self.epochs_changed {
            let written = self.write_epochs();
            unless_full(written)?;
        }
        Ok(())
    }

    /// The log files of all segments that were touched. Closed ones come with their indexes and the
    /// snapshot behind them, which nobody rebuilds once the recovery point has passed.
    fn files_to_flush(&mut self, all: bool) -> Result<Vec<Arc<dyn DiskFile>>, StorageError> {
        let (segments, active) = {
            let view = self.shared.view();
            let dirty_from = self.dirty_from;
            let clean = view
                .segments
                .partition_point(|s| s.base_offset < dirty_from);
            let touched = view.segments.iter().skip(clean);
            let touched: Vec<Offset> = touched.map(|s| s.base_offset).collect();
            let active = touched.last().copied();
            (touched, active)
        };
        let mut files = Vec::new();
        for base in &segments {
            files.push(self.shared.handle(*base, FileKind::Log)?);
            if all || Some(*base) != active {
                files.push(self.shared.handle(*base, FileKind::OffsetIndex)?);
                files.push(self.shared.handle(*base, FileKind::TimeIndex)?);
            }
        }
        if self.names_changed
            && let Some(active) = active
            && let Ok(file) = self.shared.disk.open(
                &snapshot_path(&self.shared.directory, active),
                OpenMode::Read,
            )
        {
            files.push(file);
        }
        for name in &self.unflushed_files {
            let path = self.shared.directory.join(&**name);
            match self.shared.disk.open(&path, OpenMode::Write) {
                Ok(file) => files.push(file),
                // It went with its segment.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        // Nothing fails from here on. The active one may be touched again at any time.
        self.dirty_from = active.unwrap_or(self.dirty_from);
        for closed in segments.iter().filter(|base| Some(**base) != active) {
            self.shared.handles.forget(*closed);
        }
        self.unflushed_files = Vec::new();
        Ok(files)
    }

    /// Notes what a job has flushed. A job that began before offsets were given back says nothing.
    pub fn flushed(&mut self, done: &Flushed) {
        if self
            .under_way
            .as_ref()
            .is_some_and(|job| job.number == done.number)
        {
            self.under_way = None;
        }
        // After a flush that failed, one that succeeds says nothing of what the first one lost.
        if self.poisoned || done.generation != self.generation {
            return;
        }
        self.recovery_point = self.recovery_point.max(done.upto);
        self.bytes_flushed = self.bytes_flushed.max(done.bytes_appended);
    }

    /// Notes that a job failed: the log takes no more writes.
    pub fn flush_failed(&mut self) {
        self.poisoned = true;
    }
}
