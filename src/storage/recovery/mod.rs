//! Opening the log of a partition: from whatever a crash, a full disk or a Kafka left behind to
//! segments that can be appended to.
//!
//! Called by `Log::open` only. Invariant of the result: every batch below the log end is whole, and
//! those above the recovery point were read and their checksums are right. What is cut is said in
//! the report.

mod damaged;
mod index_builder;
mod inventory;
mod producers;
mod rebuilt_epochs;
mod segments;
mod there;

pub(crate) use index_builder::later;
pub(crate) use segments::index_again;

pub(crate) use index_builder::IndexBuilder;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{LeaderEpoch, Offset, Timestamp, TopicId};

use super::StorageError;
use super::disk::Disk;
use super::leader_epochs::LeaderEpochs;
use super::log::segment_times;
use super::log::{ClosedLog, Damage, LogConfig};
use super::producer_state::ProducerStates;
use super::segment::SegmentInfo;
use super::segment::names::{FileKind, FileName};
use super::time_index::TimeEntry;

/// What is known about a log from outside of its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoveryInput {
    /// From `recovery-point-offset-checkpoint`; zero when there is no entry.
    pub recovery_point: Offset,
    /// From `log-start-offset-checkpoint`; zero when there is no entry.
    pub log_start_offset: Offset,
    /// Whether the directory was closed properly.
    pub clean_shutdown: bool,
    /// Written into `partition.metadata` when the directory is made.
    pub topic_id: Option<TopicId>,
    /// Any number: where the jitter of segment rolls comes from.
    pub random: u64,
}

impl RecoveryInput {
    /// A log that nothing is known about.
    pub fn unknown() -> RecoveryInput {
        RecoveryInput {
            recovery_point: Offset::ZERO,
            log_start_offset: Offset::ZERO,
            clean_shutdown: false,
            topic_id: None,
            random: 0,
        }
    }
}

/// What opening a log found and did, for the log of the broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Segments there are.
    pub segments: usize,
    /// Segments whose batches were all read and checked.
    pub segments_scanned: usize,
    /// Bytes that were read and checked.
    pub bytes_scanned: u64,
    /// Bytes behind the last whole batch that were cut off.
    pub bytes_cut: u64,
    /// What was wrong there.
    pub cut_because: Option<String>,
    /// Segments whose indexes were made anew although nothing was to be recovered.
    pub indexes_rebuilt: usize,
    /// Scanned segments whose index files had entries that their batches do not bear out.
    pub indexes_wrong: usize,
    /// Names in the directory that mean nothing there. They are left alone.
    pub strange: Vec<String>,
    /// Files that could not be part of the log any more and were renamed, not deleted.
    pub set_aside: Vec<PathBuf>,
    /// Batches that were read to know the producers again.
    pub batches_replayed: u64,
    /// What is damaged below the recovery point; it was left as it is.
    pub damages: Vec<Damage>,
    /// Segments that seem damaged and must be inspected.
    pub suspects: Vec<Offset>,
}

/// The active segment, as far as only its writer needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActiveFacts {
    /// The max timestamp of the first batch, which time-based rolling counts from.
    pub(crate) first_timestamp: Option<Timestamp>,
    /// The last entry of the time index.
    pub(crate) last_time_entry: Option<TimeEntry>,
}

/// What a log is made of after recovery.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) segments: Vec<SegmentInfo>,
    pub(crate) active: Option<ActiveFacts>,
    pub(crate) log_start_offset: Offset,
    pub(crate) log_end_offset: Offset,
    pub(crate) recovery_point: Offset,
    pub(crate) epochs: LeaderEpochs,
    /// Whether they are not what the checkpoint says.
    pub(crate) epochs_changed: bool,
    pub(crate) producers: ProducerStates,
    /// Names of small files that were written and not flushed.
    pub(crate) unflushed_files: Vec<Box<str>>,
    pub(crate) report: RecoveryReport,
}

/// Where and with which settings recovery works.
#[derive(Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) directory: &'a Path,
    pub(crate) config: &'a LogConfig,
    pub(crate) progress: &'a dyn Progress,
    /// How the last life left the log, when it was closed and that is known.
    pub(crate) closed: Option<&'a ClosedLog>,
}

/// Told how far a recovery is, from the thread that recovers.
pub trait Progress: Sync {
    /// So many bytes are above the recovery point of a log, or in a file with it.
    fn found(&self, bytes: u64);

    /// So many more of them are done with.
    fn scanned(&self, bytes: u64);
}

/// Tells nobody.
struct Silence;

impl Progress for Silence {
    fn found(&self, _: u64) {}

    fn scanned(&self, _: u64) {}
}

impl<'a> Site<'a> {
    /// A site whose recovery is nobody's business.
    pub(crate) fn of(
        disk: &'a Arc<dyn Disk>,
        directory: &'a Path,
        config: &'a LogConfig,
    ) -> Site<'a> {
        Site {
            disk,
            directory,
            config,
            progress: &Silence,
            closed: None,
        }
    }

    pub(crate) fn path(&self, offset: Offset, kind: FileKind) -> PathBuf {
        self.directory
            .join(FileName::live(offset, kind).to_string())
    }
}

/// Opens what is in a directory, or nothing if there is no directory yet.
pub(crate) fn recover(
    site: &Site<'_>,
    input: &RecoveryInput,
    now: Timestamp,
) -> Result<Recovered, StorageError> {
    let Some(mut taken) = inventory::take(site)? else {
        return Ok(nothing(site, input));
    };
    if let Some(closed) = site
        .closed
        .filter(|closed| input.clean_shutdown && closed.is_of(input.topic_id))
    {
        taken.tell_foreign(closed);
    }
    let mut report = RecoveryReport {
        strange: taken.strange,
        ..RecoveryReport::default()
    };
    let (epochs, epochs_known) = load_epochs(site)?;
    let checkpointed = epochs.clone();
    let mut loader = segments::Loader {
        site,
        input,
        epochs,
        report: &mut report,
    };
    let loaded = loader.load(&taken.segments)?;
    let mut epochs = std::mem::take(&mut loader.epochs);
    let mut recovered = assemble(site, input, loaded, &mut report)?;
    if taken.has_times {
        segment_times::recall(&**site.disk, site.directory, &mut recovered.segments)?;
    }
    let known_from = match epochs.earliest().filter(|_| epochs_known) {
        Some(earliest) => earliest.start_offset,
        None => recovered.log_end_offset,
    };
    // Without a checkpoint, and below what it knows when the log's start has fallen back to what was
    // noted of it last, the batches themselves tell in which reign they were written.
    if known_from > recovered.log_start_offset {
        let below = recovered
            .segments
            .partition_point(|segment| segment.base_offset < known_from);
        let known = std::mem::take(&mut epochs);
        // What lies wholly below the start may never have been flushed.
        let start = recovered.log_start_offset;
        let above = recovered
            .segments
            .partition_point(|segment| segment.base_offset <= start);
        let first = above.saturating_sub(1).min(below);
        epochs = rebuilt_epochs::read(site, &recovered.segments[first..below])?;
        if epochs_known {
            epochs.truncate_from_end(known_from);
        }
        for entry in known.entries().iter().filter(|_| epochs_known) {
            epochs.assign(entry.epoch, entry.start_offset);
        }
    }
    epochs.truncate_from_end(recovered.log_end_offset);
    epochs.truncate_from_start(recovered.log_start_offset);
    recovered.epochs_changed = epochs != checkpointed;
    recovered.epochs = epochs;
    let mut range = producers::Range {
        log_start_offset: recovered.log_start_offset,
        log_end_offset: recovered.log_end_offset,
        snapshot_max: match input.clean_shutdown {
            true => recovered.log_end_offset,
            // What lies behind is looked at again, so that the indexes of aborted transactions,
            // which have no checksums, are made again, too.
            false => recovered.recovery_point,
        },
        segments: &mut recovered.segments,
        snapshots: taken.snapshots,
        rewritten: Vec::new(),
    };
    let (producers, replayed) = producers::load_producers(site, &mut range, now)?;
    recovered.unflushed_files = range.rewritten;
    recovered.producers = producers;
    if !report.set_aside.is_empty() {
        // Else a loss of power could bring those files back beside what came after them.
        site.disk.sync_dir(site.directory)?;
    }
    report.batches_replayed = replayed;
    report.segments = recovered.segments.len();
    recovered.report = report;
    Ok(recovered)
}

fn nothing(site: &Site<'_>, input: &RecoveryInput) -> Recovered {
    let start = input.log_start_offset.max(Offset::ZERO);
    let mut producers = ProducerStates::new(site.config.producer_id_expiration_ms);
    producers.set_end_offset(start);
    Recovered {
        segments: Vec::new(),
        active: None,
        log_start_offset: start,
        log_end_offset: start,
        recovery_point: start,
        epochs: LeaderEpochs::default(),
        epochs_changed: false,
        producers,
        unflushed_files: Vec::new(),
        report: RecoveryReport::default(),
    }
}

fn assemble(
    site: &Site<'_>,
    input: &RecoveryInput,
    loaded: segments::Loaded,
    report: &mut RecoveryReport,
) -> Result<Recovered, StorageError> {
    let mut recovered = nothing(site, input);
    let Some(first) = loaded.segments.first() else {
        return Ok(recovered);
    };
    let log_start_offset = input.log_start_offset.max(first.base_offset);
    if loaded.log_end_offset < log_start_offset {
        // What is left lies below what was deleted on demand: the log goes on where it starts.
        for segment in &loaded.segments {
            segments::set_aside(site, segment.base_offset, report)?;
        }
        return Ok(recovered);
    }
    recovered.log_start_offset = log_start_offset;
    recovered.log_end_offset = loaded.log_end_offset;
    // A clean close flushed everything; a scan only checked it, so it still has to be flushed.
    recovered.recovery_point = match input.clean_shutdown {
        true => loaded.log_end_offset,
        // It may lie below the start: what was deleted vouches for nothing behind it.
        false => input.recovery_point.min(loaded.log_end_offset),
    };
    recovered.active = loaded.active;
    recovered.segments = loaded.segments;
    Ok(recovered)
}

/// Reads the checkpoint; the second value is whether it could be believed.
fn load_epochs(site: &Site<'_>) -> Result<(LeaderEpochs, bool), StorageError> {
    match LeaderEpochs::read_if_there(&**site.disk, site.directory) {
        // It is replaced without waiting for the device: a loss of power may leave it empty.
        Ok(Some(epochs)) => {
            let known = epochs.latest().is_some();
            Ok((epochs, known))
        }
        Ok(None) => Ok((LeaderEpochs::default(), false)),
        Err(StorageError::Corrupt { detail, .. }) => {
            log::warn!("reading leader epochs from the batches: {detail}");
            Ok((LeaderEpochs::default(), false))
        }
        Err(error) => Err(error),
    }
}

/// A batch says in which reign it was written; older reigns than known ones say nothing new.
fn note_epoch(epochs: &mut LeaderEpochs, epoch: LeaderEpoch, offset: Offset) {
    if epochs.latest().is_none_or(|latest| epoch > latest.epoch) {
        epochs.assign(epoch, offset);
    }
}
