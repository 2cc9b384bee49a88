//! One round of compaction of one log.
//!
//! Made by the log's writer ([`Log::begin_cleaning`]), worked off on a cleaner's thread, and put in
//! place by the writer again ([`Log::replace_segments`]), group by group. Invariant: until then
//! nothing that is part of the log is changed; what is cleaned lies below the recovery point.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::cleaner::filling::Filling;
use crate::storage::cleaner::groups::first_group;
use crate::storage::cleaner::rewriting::{Buffers, Place, Rewriting};
use crate::storage::cleaner::source::Source;
use crate::storage::cleaner::transactions::Transactions;
use crate::storage::cleaner::verdict::{ActiveProducers, Rules};
use crate::storage::cleaner::{CleaningError, CleaningStats, OffsetMap, Pace};
use crate::storage::disk::{DiskFile, OpenMode};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::segment::search::SegmentSearch;

use super::cleanable::floor;
use super::{Cleanable, Log, LogConfig, LogReader, Replacement};

/// A round under way. It reads through handles of its own, and any thread may have it.
#[derive(Debug)]
pub struct Cleaning {
    reader: LogReader,
    config: Arc<LogConfig>,
    now: Timestamp,
    /// All segments below the one that must not be cleaned.
    segments: Vec<SegmentInfo>,
    first_dirty_offset: Offset,
    first_uncleanable_offset: Offset,
    producers: ActiveProducers,
    /// What the log was when the round began, to see whether it is that still.
    identity: Identity,
    clean_until: Offset,
    /// The walk over the transactions of the log, once the map is filled.
    transactions: Option<Transactions>,
    /// The segments that are still to be written again.
    left: Range<usize>,
    buffers: Buffers,
    refused: Arc<AtomicBool>,
    stats: CleaningStats,
}

/// Which log, and which round of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// Rises when offsets are given back.
    pub(super) generation: u64,
    /// Rises with each round.
    pub(super) round: u64,
}

/// See [`Log::hold_cleaning`].
#[derive(Debug)]
pub struct CleaningHold {
    _held: Arc<()>,
}

impl Log {
    /// Begins a round; none when there is nothing to clean after all, or it is held. Closes the active segment when
    /// `max.compaction.lag.ms` demands it, and waits for the device when what is to be cleaned is
    /// not on it yet: work for a disk thread.
    ///
    /// # Errors
    /// When the log is poisoned, or files cannot be made or flushed.
    pub fn begin_cleaning(
        &mut self,
        cleanable: &Cleanable,
        now: Timestamp,
    ) -> Result<Option<Cleaning>, StorageError> {
        self.refuse_if_poisoned()?;
        if Arc::strong_count(&self.cleaning_held) > 1 {
            return Ok(None);
        }
        let mut cleanable = *cleanable;
        if cleanable.rolls {
            self.roll(now)?;
            let from = Some(cleanable.first_dirty_offset);
            cleanable = self
                .reader()
                .cleanable(&self.config, from, cleanable.upper, now)?;
        }
        let end = cleanable.first_uncleanable_offset;
        let segments: Vec<SegmentInfo> = {
            let view = self.shared.view();
            let closed = view
                .segments
                .split_last()
                .map_or(&[][..], |(_, closed)| closed);
            let below = closed.iter().filter(|segment| segment.base_offset < end);
            below.copied().collect()
        };
        if segments.is_empty() || end <= cleanable.first_dirty_offset {
            return Ok(None);
        }
        // Above the recovery point a gap is taken for lost batches; and the snapshot of the producers
        // tells what their batches soon will not.
        if (self.recovery_point < end || self.names_changed) && !self.flush_now()? {
            return Ok(None);
        }
        self.cleanings += 1;
        Ok(Some(Cleaning {
            reader: self.reader(),
            config: Arc::clone(&self.config),
            now,
            left: 0..segments.len(),
            segments,
            first_dirty_offset: cleanable.first_dirty_offset,
            first_uncleanable_offset: end,
            producers: ActiveProducers::of(&self.producers),
            identity: self.identity(),
            clean_until: cleanable.first_dirty_offset,
            transactions: None,
            buffers: Buffers::default(),
            refused: Arc::default(),
            stats: CleaningStats::default(),
        }))
    }

    /// Has no round begin as long as the hold lives; what a round under way still writes is not put
    /// in place. What is copied meanwhile must not change behind the copy (Kafka's
    /// `abortAndPauseCleaning`).
    pub fn hold_cleaning(&mut self) -> CleaningHold {
        self.cleanings += 1;
        CleaningHold {
            _held: Arc::clone(&self.cleaning_held),
        }
    }

    pub(super) fn identity(&self) -> Identity {
        Identity {
            generation: self.generation,
            round: self.cleanings,
        }
    }

    /// Whether everything there is is on the device now.
    fn flush_now(&mut self) -> Result<bool, StorageError> {
        let Some(job) = self.flush_job() else {
            self.refuse_if_poisoned()?;
            return Ok(false);
        };
        let flushed = job.run();
        let flushed = self.note_failure(flushed)?;
        self.flushed(&flushed);
        Ok(true)
    }
}

impl Cleaning {
    /// Reads the dirty part of the log into the map, as much of it as the map takes.
    ///
    /// # Errors
    /// [`CleaningError`]: the round is over.
    pub fn fill(&mut self, map: &mut OffsetMap, pace: &mut dyn Pace) -> Result<(), CleaningError> {
        let filled = self.try_fill(map, pace);
        filled.map_err(|error| self.sorted(error))
    }

    fn try_fill(&mut self, map: &mut OffsetMap, pace: &mut dyn Pace) -> Result<(), CleaningError> {
        let (from, end) = (self.first_dirty_offset, self.first_uncleanable_offset);
        map.begin((end - from).unsigned_abs());
        let aborted = self.reader.aborted_transactions(from, end)?;
        let mut stats = self.stats;
        let mut filling = Filling {
            map,
            first_dirty_offset: from,
            transactions: Transactions::new(aborted),
            until: from + -1,
            looking: &mut self.buffers.looking,
            stats: &mut stats,
        };
        let first = floor(&self.segments, from);
        for (at, info) in self.segments.iter().enumerate().skip(first) {
            let file = open(&self.reader, info, FileKind::Log)?;
            let position = match from > info.base_offset {
                true => position_of(&self.reader, info, &file, from),
                false => 0,
            };
            let mut source = Source::new(file, info, position, &mut self.buffers.input);
            if !filling.add_segment(&mut source, pace)? {
                break;
            }
            let next = self.segments.get(at + 1);
            let next = next.map_or(end, |next| next.base_offset);
            filling.until = filling.until.max(next + -1);
        }
        self.clean_until = filling.until + 1;
        stats.map_keys = map.keys() as u64;
        stats.map_utilization = map.utilization();
        self.stats = stats;
        self.begin_rewriting()
    }

    fn begin_rewriting(&mut self) -> Result<(), CleaningError> {
        let until = self.clean_until;
        let end = self
            .segments
            .partition_point(|segment| segment.base_offset < until);
        self.left = 0..end;
        let Some(first) = self.segments.first() else {
            return Ok(());
        };
        let aborted = self
            .reader
            .aborted_transactions(first.base_offset, self.end_of(end))?;
        self.transactions = Some(Transactions::new(aborted));
        Ok(())
    }

    /// Where the segments before the one at `at` end.
    fn end_of(&self, at: usize) -> Offset {
        let next = self.segments.get(at);
        next.map_or(self.first_uncleanable_offset, |next| next.base_offset)
    }

    /// Writes what is left of the next group of segments, flushed, for [`Log::replace_segments`].
    /// None when all are written. Groups that are as they should be are passed over.
    ///
    /// # Errors
    /// [`CleaningError`]: the round is over. [`CleaningError::Changed`], too, when a replacement was
    /// not put in place: then the round cannot be noted as done.
    pub fn next_replacement(
        &mut self,
        map: &OffsetMap,
        pace: &mut dyn Pace,
    ) -> Result<Option<Replacement>, CleaningError> {
        loop {
            if self.refused.load(Ordering::Acquire) {
                return Err(CleaningError::Changed);
            }
            let Some(mut transactions) = self.transactions.take() else {
                return Ok(None);
            };
            let left = self.segments.get(self.left.clone()).unwrap_or_default();
            let count = first_group(left, self.end_of(self.left.end), &self.config);
            if count == 0 {
                return Ok(None);
            }
            let group = self.left.start..self.left.start + count;
            let written = self.rewrite(group.clone(), &mut transactions, map, pace);
            let written = written.map_err(|error| self.sorted(error))?;
            self.transactions = Some(transactions);
            self.left.start = group.end;
            if written.is_some() {
                return Ok(written);
            }
        }
    }

    fn rewrite(
        &mut self,
        group: Range<usize>,
        transactions: &mut Transactions,
        map: &OffsetMap,
        pace: &mut dyn Pace,
    ) -> Result<Option<Replacement>, CleaningError> {
        let segments = self.segments.get(group).unwrap_or_default();
        let Some(first) = segments.first() else {
            return Ok(None);
        };
        let shared = &self.reader.shared;
        let place = Place {
            disk: &shared.disk,
            directory: &shared.directory,
            config: &self.config,
        };
        let rules = Rules {
            map,
            map_until: self.clean_until + -1,
            round_end: self.first_uncleanable_offset,
            now: self.now,
            producers: &self.producers,
        };
        let mut rewriting = Rewriting::begin(
            place,
            rules,
            transactions,
            &mut self.buffers,
            &mut self.stats,
            (first.base_offset, segments.len()),
        )?;
        let last = segments.iter().rposition(|segment| segment.size > 0);
        for (at, info) in segments.iter().enumerate() {
            let file = open(&self.reader, info, FileKind::Log)?;
            rewriting.add_segment(&file, (info, Some(at) == last), pace)?;
        }
        let modified = segments.iter().filter_map(|segment| segment.modified).max();
        let finished = rewriting.finish(modified, pace)?;
        Ok(finished.map(|finished| {
            let refused = Arc::clone(&self.refused);
            Replacement::new(finished, segments.to_vec(), self.identity, refused)
        }))
    }

    /// What lies between the look and the read is nobody's damage: the log was cut or deleted.
    fn sorted(&self, error: CleaningError) -> CleaningError {
        let may_be_gone = matches!(
            error,
            CleaningError::Damaged { .. }
                | CleaningError::Storage(
                    StorageError::NotFound { .. } | StorageError::Corrupt { .. }
                )
        );
        if may_be_gone && !self.is_all_there() {
            return CleaningError::Changed;
        }
        error
    }

    /// Whether the segments that are still to be worked on are part of the log.
    fn is_all_there(&self) -> bool {
        if self.reader.has_moved() {
            return false;
        }
        let view = self.reader.shared.view();
        let left = self.segments.get(self.left.start..).unwrap_or_default();
        left.iter().all(|segment| {
            let known = view.segments.position_of(segment.base_offset);
            known.is_some_and(|at| view.segments[at].size == segment.size)
        })
    }

    /// What `cleaner-offset-checkpoint` is to say once all replacements are in place. Known when the
    /// map is filled.
    pub fn clean_until(&self) -> Offset {
        self.clean_until
    }

    /// What was done so far.
    pub fn stats(&self) -> &CleaningStats {
        &self.stats
    }
}

fn open(
    reader: &LogReader,
    info: &SegmentInfo,
    kind: FileKind,
) -> Result<Arc<dyn DiskFile>, StorageError> {
    let shared = &reader.shared;
    let name = FileName::live(info.base_offset, kind).to_string();
    shared
        .disk
        .open(&shared.directory.join(name), OpenMode::Read)
}

/// Where the batch begins that reaches an offset; the beginning when that cannot be found: what is
/// wrong is met there.
fn position_of(
    reader: &LogReader,
    info: &SegmentInfo,
    log: &Arc<dyn DiskFile>,
    offset: Offset,
) -> u64 {
    let search = SegmentSearch {
        info: *info,
        log: Arc::clone(log),
        index: open(reader, info, FileKind::OffsetIndex).ok(),
        pending: Vec::new(),
        doubts: None,
        begins_at: 0,
    };
    match search.batch_reaching(offset) {
        Ok(Some(batch)) => batch.position,
        Ok(None) => info.size,
        Err(_) => 0,
    }
}
