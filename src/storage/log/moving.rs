//! Moving a log to another directory: copied beside the one that is written to, then put in its place.
//!
//! Called by `actors::moving` and by the log's actor for the last step, on disk threads. The copy is
//! a log of its own, whose batches are taken from the other as a follower takes its leader's: bytes,
//! offsets and epochs are the same. What cannot be seen in batches, such as producers whose batches
//! were deleted, is handed over at the end ([`Log::take_over`]). Invariant: readers of the old place
//! go on at the new one, and never see a mixture.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::model::{Offset, Timestamp, TopicId};
use crate::record::BatchHeader;
use crate::storage::StorageError;
use crate::storage::disk::Disk;
use crate::storage::producer_state::write_snapshot;
use crate::storage::recovery::RecoveryInput;

use super::append::AppendError;
use super::reader::{LogReader, ReadError};
use super::{Log, LogConfig};

/// A piece of a log on its way into a copy: whole batches.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// The batches; empty at the log's end.
    pub bytes: Bytes,
    /// Where the next piece begins.
    pub next_offset: Offset,
}

/// Why a copy is not the log it was made of.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What was to be copied next was deleted meanwhile: the copy begins anew at the log's start.
    #[error("the log begins at {log_start_offset} now")]
    Overtaken {
        /// Where the log begins.
        log_start_offset: Offset,
    },
    /// A batch is not what it was when it was written; it is never copied.
    #[error("a batch cannot be copied: {0}")]
    Damaged(String),
    /// The files of either place could not be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<ReadError> for CopyError {
    fn from(error: ReadError) -> CopyError {
        match error {
            ReadError::OffsetOutOfRange {
                log_start_offset, ..
            } => CopyError::Overtaken { log_start_offset },
            ReadError::Storage(error) => CopyError::Storage(error),
            damaged @ ReadError::Damaged(_) => CopyError::Damaged(damaged.to_string()),
        }
    }
}

impl From<AppendError> for CopyError {
    fn from(error: AppendError) -> CopyError {
        match error {
            AppendError::Storage(error) => CopyError::Storage(error),
            other => CopyError::Damaged(other.to_string()),
        }
    }
}

impl LogReader {
    /// Where a copy begins: with the batch that has the log's first offset, which may have offsets
    /// below it.
    ///
    /// # Errors
    /// When the batch cannot be read.
    pub fn copy_start(&self) -> Result<Offset, CopyError> {
        let start = self.log_start_offset();
        let chunk = self.chunk_within(start, 1)?;
        Ok(chunk.first_offset().map_or(start, |first| first.min(start)))
    }

    /// The batches from `from`, the end of a copy, on: at least one, and beyond that at most
    /// `bytes_max` bytes; none at the log's end.
    ///
    /// # Errors
    /// When they cannot be read, or were deleted.
    pub fn chunk(&self, from: Offset, bytes_max: usize) -> Result<Chunk, CopyError> {
        let start = self.log_start_offset();
        if from >= start {
            return self.chunk_within(from, bytes_max);
        }
        // The log may begin inside of the batch that the copy needs next.
        let chunk = self.chunk_within(start, bytes_max)?;
        match chunk.first_offset() {
            Some(first) if first <= from => Ok(chunk),
            _ => Err(CopyError::Overtaken {
                log_start_offset: start,
            }),
        }
    }

    fn chunk_within(&self, from: Offset, bytes_max: usize) -> Result<Chunk, CopyError> {
        let plan = self.plan(from, bytes_max, Offset(i64::MAX), true)?;
        let mut bytes = BytesMut::new();
        plan.read(&mut bytes)?;
        Ok(Chunk {
            bytes: bytes.freeze(),
            next_offset: plan.next_offset(),
        })
    }
}

impl Chunk {
    fn first_offset(&self) -> Option<Offset> {
        let header = BatchHeader::parse(&self.bytes).ok()?;
        Some(header.base_offset)
    }
}

impl Log {
    /// What a copy of this log is made with.
    pub fn blueprint(&self) -> Blueprint {
        Blueprint {
            disk: Arc::clone(&self.shared.disk),
            config: Arc::clone(&self.config),
            topic_id: self.topic_id,
            random: self.random,
        }
    }

    /// Appends a piece of the log this is a copy of.
    ///
    /// # Errors
    /// When the piece is damaged, or the files cannot take it.
    pub fn append_chunk(&mut self, chunk: &Chunk, now: Timestamp) -> Result<(), CopyError> {
        if !chunk.bytes.is_empty() {
            self.append_as_follower(&chunk.bytes, now)?;
        }
        Ok(())
    }

    /// Begins a copy anew that was overtaken by deletions.
    ///
    /// # Errors
    /// When files cannot be renamed or made.
    pub fn restart_copy(&mut self, start: Offset, now: Timestamp) -> Result<(), StorageError> {
        let deleted = self.truncate_fully(start)?;
        for files in deleted {
            files.unlink(&*self.shared.disk)?;
        }
        self.make_first_segment(start, now)
    }

    /// Makes a copy that has every batch of `original` its twin in all else, and puts everything on
    /// the device: reigns, producers, the log's start. It is closed then.
    ///
    /// # Errors
    /// When the copy does not end where the original does, or the device fails.
    pub fn take_over(&mut self, original: &Log) -> Result<(), CopyError> {
        if self.log_end_offset != original.log_end_offset {
            return Err(CopyError::Damaged(format!(
                "the copy ends at {}, the log at {}",
                self.log_end_offset, original.log_end_offset
            )));
        }
        let (start, epochs) = {
            let view = original.shared.view();
            (view.log_start_offset, view.epochs.clone())
        };
        self.shared.view().epochs = epochs;
        self.latest_epoch = original.latest_epoch;
        self.epochs_changed = true;
        self.advance_log_start_offset(start);
        self.producers = original.producers.clone();
        self.config = Arc::clone(&original.config);
        // All that says some reigns and producers; without space the copy stays a copy.
        self.write_epochs()?;
        self.producers.set_end_offset(self.log_end_offset);
        write_snapshot(&*self.shared.disk, self.directory(), &self.producers, true)?;
        self.close()?;
        Ok(())
    }

    /// Opens a copy that was closed by [`Self::take_over`] where it has been renamed to, and sends
    /// the readers of this log there. This one is dropped by its owner.
    ///
    /// # Errors
    /// When the copy cannot be opened, or is not what it was.
    pub fn hand_over_to(&self, directory: PathBuf, now: Timestamp) -> Result<Log, CopyError> {
        let input = RecoveryInput {
            recovery_point: self.log_end_offset,
            log_start_offset: self.log_start_offset(),
            clean_shutdown: true,
            topic_id: self.topic_id,
            random: self.random,
        };
        let disk = Arc::clone(&self.shared.disk);
        let (mut log, _) = Log::open(disk, directory, Arc::clone(&self.config), &input, now)?;
        if log.log_end_offset != self.log_end_offset
            || log.log_start_offset() != self.log_start_offset()
        {
            return Err(CopyError::Damaged(format!(
                "the copy has {} to {}, the log {} to {}",
                log.log_start_offset(),
                log.log_end_offset,
                self.log_start_offset(),
                self.log_end_offset
            )));
        }
        // A snapshot does not say which ended transactions wait for the high watermark.
        log.producers = self.producers.clone();
        log.assign_epoch(self.latest_epoch);
        // What flushes and cleanings of this log come to is nothing to the other.
        log.generation = self.generation + 1;
        log.cleanings = self.cleanings + 1;
        Ok(log)
    }

    /// From now on readers of this log read `successor`.
    pub fn refer_to(&self, successor: &Log) {
        // A log moves away once; then it is gone.
        let _ = self.shared.successor.set(Arc::clone(&successor.shared));
    }
}

/// What a copy takes from the log it is made of.
#[derive(Debug, Clone)]
pub struct Blueprint {
    disk: Arc<dyn Disk>,
    config: Arc<LogConfig>,
    topic_id: Option<TopicId>,
    random: u64,
}

impl Blueprint {
    /// An empty copy in `directory`, which must not exist: its first batch will begin at `start`.
    ///
    /// # Errors
    /// When its files cannot be made.
    pub fn begin(
        &self,
        directory: PathBuf,
        start: Offset,
        now: Timestamp,
    ) -> Result<Log, StorageError> {
        let input = RecoveryInput {
            log_start_offset: start,
            topic_id: self.topic_id,
            random: self.random,
            ..RecoveryInput::unknown()
        };
        let (disk, config) = (Arc::clone(&self.disk), Arc::clone(&self.config));
        let (mut log, _) = Log::open(disk, directory, config, &input, now)?;
        log.make_first_segment(start, now)?;
        Ok(log)
    }
}
