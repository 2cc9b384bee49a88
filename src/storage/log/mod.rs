//! The log of one partition: its only writer, in Kafka's own files.
//!
//! A plain value: a log actor owns it, or a disk thread for a while. Reading happens beside it,
//! through [`LogReader`]s. Invariants: offsets are given out once and without a gap; what readers
//! see is whole batches in the files; a log whose device failed takes no more writes (poisoned), a
//! log that ran out of space is as it was before the append.
//!
//! Files are made at the first append. An idle log that was told so ([`Log::close_idle`]) holds no
//! open file.

mod active;
mod append;
mod append_run;
mod cleanable;
mod cleaning;
mod closed;
mod config;
mod damage;
mod flush;
mod mending;
mod moving;
pub(crate) mod producers;
mod reader;
mod replacing;
mod retention;
mod roll;
pub(crate) mod segment_times;
#[cfg(test)]
mod tests;
mod timestamps;
mod truncate;
mod view;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use append::{AppendError, Appended};
pub use append_run::{RUN_BATCHES_MAX, RUN_BYTES_MAX};
pub use cleanable::Cleanable;
pub use cleaning::{Cleaning, CleaningHold};
pub use closed::ClosedLog;
pub use config::LogConfig;
pub use damage::{Damage, DamageWatch, Inspection, Suspect, Verdict};
pub use flush::{FlushJob, Flushed};
pub use moving::{Blueprint, Chunk, CopyError};
pub use reader::{LogReader, ReadError};
pub use replacing::Replacement;
pub use retention::{DeletedFiles, DeletionReason};
pub use timestamps::TimestampedOffset;

use crate::model::{LeaderEpoch, Offset, Timestamp, TopicId};

use super::StorageError;
use super::disk::Disk;
use super::leader_epochs::LEADER_EPOCH_CHECKPOINT;
use super::producer_state::ProducerStates;
use super::recovery::{self, Progress, Recovered, RecoveryInput, RecoveryReport, Site};
use super::segment::SegmentInfo;
use super::segment::open_files::OpenFiles;
use active::Active;
use damage::Damages;
use flush::UnderWay;
use view::{Shared, Tail, View};

/// The base of the segment that has `offset`, or the first one behind it.
fn floor_segment(segments: &[SegmentInfo], offset: Offset) -> Offset {
    let above = segments.partition_point(|segment| segment.base_offset <= offset);
    let floor = segments.get(above.saturating_sub(1));
    floor.map_or(Offset::ZERO, |segment| segment.base_offset)
}

/// The base of the first segment of which something may not be on the device: what a roll wrote is
/// known to be there once the recovery point has passed the next one's base.
fn first_unsettled(segments: &[SegmentInfo], recovery_point: Offset) -> Offset {
    floor_segment(segments, Offset(recovery_point.0.saturating_sub(1)))
}

/// Takes a lack of space for something that did not happen, but said.
fn unless_full<T>(result: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
    match result {
        Err(error) if error.is_passing() => {
            log::warn!("{error}; going on without");
            Ok(None)
        }
        result => result.map(Some),
    }
}

/// One partition's log.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    config: Arc<LogConfig>,
    producers: ProducerStates,
    /// The segment that is appended to; none before the first append.
    active: Option<Active>,
    log_end_offset: Offset,
    recovery_point: Offset,
    latest_epoch: LeaderEpoch,
    /// Whether the epochs in memory are newer than their checkpoint.
    epochs_changed: bool,
    /// Whether the latest of them has no batch yet, and is in memory alone.
    reign_unwritten: bool,
    topic_id: Option<TopicId>,
    random: u64,
    poisoned: bool,
    /// Rises when offsets are given back, so that a flush that began before does not count.
    generation: u64,
    /// How many rounds of compaction were begun.
    cleanings: u64,
    /// Shared with everybody for whose sake none begins.
    cleaning_held: Arc<()>,
    bytes_appended: u64,
    bytes_flushed: u64,
    unflushed_since: Option<Timestamp>,
    /// The first segment of which something may not be on the device: batches, the cut of a torn
    /// tail, or indexes that were completed when it was closed.
    dirty_from: Offset,
    /// Whether names were made in the directory since it was last flushed.
    names_changed: bool,
    /// The names of small files that were written without waiting for the device.
    unflushed_files: Vec<Box<str>>,
    /// What a flush has begun to make last.
    under_way: Option<UnderWay>,
    /// How many flushes were begun.
    flush_jobs: u64,
    /// What its directory's time of change was when the log was opened as it had been closed; the
    /// outer one is none when it was opened in another way.
    untouched_since: Option<Option<Timestamp>>,
    /// Whether it was said that records of the future keep a segment from expiring.
    future_told: bool,
}

impl Log {
    /// Opens the log in `directory`, which need not exist, after whatever happened to it.
    ///
    /// # Errors
    /// When files cannot be read, or not be cut or written where that is needed.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        config: Arc<LogConfig>,
        input: &RecoveryInput,
        now: Timestamp,
    ) -> Result<(Log, RecoveryReport), StorageError> {
        let site = Site::of(&disk, &directory, &config);
        let recovered = recovery::recover(&site, input, now)?;
        let report = recovered.report.clone();
        let log = Log::of(recovered, disk, directory, config, input, now);
        Ok((log, report))
    }

    /// As [`Self::open`], telling how far it is; `closed` is how the last life left the log, if that
    /// is known: what was put there since is told apart.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_telling(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        config: Arc<LogConfig>,
        input: &RecoveryInput,
        now: Timestamp,
        progress: &dyn Progress,
        closed: Option<&ClosedLog>,
    ) -> Result<(Log, RecoveryReport), StorageError> {
        let site = Site {
            progress,
            closed,
            ..Site::of(&disk, &directory, &config)
        };
        let recovered = recovery::recover(&site, input, now)?;
        let report = recovered.report.clone();
        let log = Log::of(recovered, disk, directory, config, input, now);
        Ok((log, report))
    }

    fn of(
        recovered: Recovered,
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        config: Arc<LogConfig>,
        input: &RecoveryInput,
        now: Timestamp,
    ) -> Log {
        let mut random = input.random;
        let active = recovered.active.zip(recovered.segments.last());
        let active =
            active.map(|(facts, info)| Active::opened(info, &facts, &config, &mut random, now));
        let mut unflushed_files = recovered.unflushed_files;
        if !input.clean_shutdown {
            // Nobody knows whether the checkpoint is on the device.
            unflushed_files.push(LEADER_EPOCH_CHECKPOINT.into());
        }
        let mut tail = Tail::default();
        tail.restart(active.as_ref().map_or(0, |active| active.size));
        let dirty_from = first_unsettled(&recovered.segments, recovered.recovery_point);
        let view = View {
            log_start_offset: recovered.log_start_offset,
            log_end_offset: recovered.log_end_offset,
            segments: recovered.segments.into(),
            replacements: 0,
            tail,
            epochs: recovered.epochs,
            damages: Damages::recovered(&recovered.report),
            readings: 0,
        };
        let latest = view.epochs.latest();
        Log {
            shared: Arc::new(Shared::new(disk, directory, view)),
            config,
            producers: recovered.producers,
            active,
            log_end_offset: recovered.log_end_offset,
            recovery_point: recovered.recovery_point,
            latest_epoch: latest.map_or(LeaderEpoch::NONE, |latest| latest.epoch),
            epochs_changed: recovered.epochs_changed,
            reign_unwritten: false,
            topic_id: input.topic_id,
            random,
            poisoned: false,
            generation: 0,
            cleanings: 0,
            cleaning_held: Arc::default(),
            bytes_appended: 0,
            bytes_flushed: 0,
            unflushed_since: None,
            dirty_from,
            // An earlier life may have made names it never flushed.
            names_changed: !input.clean_shutdown,
            unflushed_files,
            under_way: None,
            flush_jobs: 0,
            untouched_since: None,
            future_told: false,
        }
    }

    /// A reader of this log, for any thread.
    pub fn reader(&self) -> LogReader {
        LogReader {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Where the files are, or will be.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// The settings in force.
    pub fn config(&self) -> &Arc<LogConfig> {
        &self.config
    }

    /// Puts new settings in force, from the next append on.
    pub fn set_config(&mut self, config: Arc<LogConfig>) {
        self.producers
            .set_expiration_ms(config.producer_id_expiration_ms);
        self.config = config;
    }

    /// The first offset there is.
    pub fn log_start_offset(&self) -> Offset {
        self.shared.view().log_start_offset
    }

    /// The offset of the next record to be appended.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Below this offset everything is on the device.
    pub fn recovery_point(&self) -> Offset {
        self.recovery_point
    }

    /// Bytes of all segments, for DescribeLogDirs.
    pub fn size(&self) -> u64 {
        self.shared.view().size()
    }

    /// How many segments there are.
    pub fn segments(&self) -> usize {
        self.shared.view().segments.len()
    }

    /// From now on the files this log opens count among those of all logs; said before it is used.
    pub fn bound_open_files(&self, limit: Arc<OpenFiles>) {
        self.shared.handles.set_limit(limit);
    }

    /// How many files are open.
    pub fn open_files(&self) -> usize {
        self.shared.handles.count()
    }

    /// Whether an earlier failure of the device has put this log offline.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// What is known of the producers that wrote here.
    pub fn producers(&self) -> &ProducerStates {
        &self.producers
    }

    /// Forgets producers that were idle too long.
    pub fn expire_producers(&mut self, now: Timestamp) {
        self.producers.expire(now);
    }

    /// Tells which part of the log is replicated, which decides when ended transactions are stable.
    pub fn advance_high_watermark(&mut self, high_watermark: Offset) {
        self.producers.advance_high_watermark(high_watermark);
    }

    /// Where the oldest transaction starts that is not decided for readers yet: with it the
    /// partition computes its last stable offset.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        self.producers.first_unstable_offset()
    }

    /// Notes that a new reign begins at the log's end: on becoming leader, and after every unclean
    /// start. The checkpoint follows with its first batch: a reign without any leaves nothing that
    /// could diverge, and after a crash with 10,000 logs it would be as many files to replace.
    pub fn assign_epoch(&mut self, epoch: LeaderEpoch) {
        if epoch <= self.latest_epoch {
            return;
        }
        if self.shared.view().epochs.assign(epoch, self.log_end_offset) {
            self.reign_unwritten = true;
            self.latest_epoch = epoch;
        }
    }

    /// Whether the checkpoint of epochs must be written before the next batch is.
    fn owes_epochs(&self) -> bool {
        self.epochs_changed || self.reign_unwritten
    }

    fn note_epoch(&mut self, epoch: LeaderEpoch, start_offset: Offset) {
        if self.shared.view().epochs.assign(epoch, start_offset) {
            self.epochs_changed = true;
            self.latest_epoch = epoch;
        }
    }

    /// Replaces the checkpoint without waiting for the device; the next flush does that.
    fn write_epochs(&mut self) -> Result<(), StorageError> {
        let text = self.shared.view().epochs.to_text();
        let path = self.directory().join(LEADER_EPOCH_CHECKPOINT);
        let result = self.replace_file(&path, text.as_bytes());
        self.note_failure(result)?;
        self.epochs_changed = false;
        self.reign_unwritten = false;
        Ok(())
    }

    /// Replaces a small file by renaming; the next flush waits for it.
    fn replace_file(&mut self, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = PathBuf::from(beside);
        let disk = &self.shared.disk;
        let file = disk.open(&beside, super::disk::OpenMode::Truncate)?;
        file.write_at(&[std::io::IoSlice::new(bytes)], 0)?;
        disk.rename(&beside, path)?;
        self.note_unflushed(path);
        self.names_changed = true;
        Ok(())
    }

    /// The next flush waits for this file, too.
    fn note_unflushed(&mut self, path: &Path) {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name
            && !self.unflushed_files.iter().any(|known| **known == *name)
        {
            self.unflushed_files.push(name.into());
        }
    }

    /// Whatever is not a lack of space leaves nobody knowing what is on the device.
    fn note_failure<T>(&mut self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result
            && !error.is_passing()
        {
            self.poisoned = true;
        }
        result
    }

    /// Says so when an earlier failure of the device has put this log offline.
    ///
    /// # Errors
    /// [`StorageError::Poisoned`].
    pub fn refuse_if_poisoned(&self) -> Result<(), StorageError> {
        match self.poisoned {
            true => Err(StorageError::Poisoned {
                path: self.directory().to_owned(),
            }),
            false => Ok(()),
        }
    }

    /// Closes all files that are open; they are opened again when they are needed. What an index
    /// has in memory is written first.
    ///
    /// # Errors
    /// When index entries cannot be written.
    pub fn close_idle(&mut self) -> Result<(), StorageError> {
        self.write_pending_indexes()?;
        if let Some(active) = &mut self.active {
            active.log = None;
        }
        self.shared.view().tail.recent = std::collections::VecDeque::new();
        self.shared.handles.clear();
        Ok(())
    }

    /// Ends the log's life in this process: indexes complete, files trimmed, everything on the
    /// device, the producers in a snapshot. The caller notes the recovery point and the clean
    /// shutdown.
    ///
    /// # Errors
    /// When the device fails; the next start must then recover.
    pub fn close(&mut self) -> Result<(), StorageError> {
        self.finish()?;
        if let Some(job) = self.flush_job_with(true) {
            let flushed = job.run();
            let flushed = self.note_failure(flushed)?;
            self.flushed(&flushed);
        } else {
            self.refuse_if_poisoned()?;
            self.refuse_if_unflushed()?;
        }
        self.close_idle()
    }

    /// The part of [`Self::close`] that does not wait for the device: for who has it take all there
    /// is, of all logs together, and notes the recovery point then.
    ///
    /// # Errors
    /// As [`Self::close`].
    pub fn close_unflushed(&mut self) -> Result<(), StorageError> {
        self.finish()?;
        self.close_idle()
    }

    /// A flush is put off when too many files are open; a close cannot be.
    fn refuse_if_unflushed(&self) -> Result<(), StorageError> {
        match self.active.is_some() && self.unflushed_messages() > 0 {
            true => Err(StorageError::TooManyFiles {
                path: self.directory().to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        self.refuse_if_poisoned()?;
        if self.active.is_some() && !self.is_untouched() {
            // On a full disk: shorter indexes make the next life slower, not wrong, and reigns
            // that have batches are in the checkpoint already.
            let finished = self.finish_active();
            if unless_full(finished)?.is_none() {
                self.shared.view().tail.restart(0);
            }
            if self.epochs_changed {
                let written = self.write_epochs();
                unless_full(written)?;
            }
            self.write_snapshot()?;
        }
        Ok(())
    }
}
