//! How much of a log is dirty, and how much of that may be cleaned now (Kafka's
//! `LogCleanerManager` and `LogToClean`).
//!
//! Asked by a cleaner's thread for every compacted log, beside the writer. Invariant: what may be
//! cleaned is whole segments, below the active one, the last stable offset and the least age.

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::FileKind;
use crate::storage::segment::scan::HeaderScan;

use super::{LogConfig, LogReader};

/// What a cleaner needs to know to choose between logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanable {
    /// Below this offset the log was cleaned; records from here on are put into the map.
    pub first_dirty_offset: Offset,
    /// Where the segment begins that must not be cleaned yet, and all behind it.
    pub first_uncleanable_offset: Offset,
    /// Bytes of the segments that were cleaned.
    pub clean_bytes: u64,
    /// Bytes of the segments that can be cleaned now.
    pub cleanable_bytes: u64,
    /// By how much `max.compaction.lag.ms` has passed for the oldest dirty batch, when it has.
    pub overdue_ms: Option<i64>,
    /// The checkpoint was of no use, and what to write is [`Self::first_dirty_offset`].
    pub checkpoint_reset: bool,
    /// What the caller allowed: the last stable offset.
    pub(super) upper: Offset,
    /// Whether the active segment has to be closed to clean what is overdue.
    pub(super) rolls: bool,
}

impl Cleanable {
    /// The part of the bytes that is dirty, of 1 (`min.cleanable.dirty.ratio` compares with this).
    pub fn dirty_ratio(&self) -> f64 {
        match self.clean_bytes.saturating_add(self.cleanable_bytes) {
            0 => 0.0,
            all => self.cleanable_bytes as f64 / all as f64,
        }
    }

    /// Whether the log is to be cleaned: it is dirtier than `ratio`, or dirty for too long.
    pub fn is_due(&self, ratio: f64) -> bool {
        self.cleanable_bytes > 0 && (self.dirty_ratio() > ratio || self.overdue_ms.is_some())
            || self.rolls
    }
}

impl LogReader {
    /// What is dirty and may be cleaned. `checkpoint` is what `cleaner-offset-checkpoint` says,
    /// `upper` the lower of high watermark and last stable offset. Reads the first batch of dirty
    /// segments when there is a greatest age, and is work for a cleaner's thread.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn cleanable(
        &self,
        config: &LogConfig,
        checkpoint: Option<Offset>,
        upper: Offset,
        now: Timestamp,
    ) -> Result<Cleanable, StorageError> {
        self.follow(|reader| reader.look_for_dirt(config, checkpoint, upper, now))
    }

    fn look_for_dirt(
        &self,
        config: &LogConfig,
        checkpoint: Option<Offset>,
        upper: Offset,
        now: Timestamp,
    ) -> Result<Cleanable, StorageError> {
        let (segments, start, end) = {
            let view = self.shared.view();
            (
                view.segments.to_vec(),
                view.log_start_offset,
                view.log_end_offset,
            )
        };
        let checkpointed = checkpoint.unwrap_or(start);
        let checkpoint_reset = checkpointed < start || checkpointed > end;
        let first_dirty_offset = match checkpoint_reset {
            true => start,
            false => checkpointed,
        };
        let Some((active, closed)) = segments.split_last() else {
            return Ok(nothing(first_dirty_offset, checkpoint_reset));
        };
        let dirty_from = floor(&segments, first_dirty_offset).min(closed.len());
        let dirty = &closed[dirty_from..];
        let young = self.first_young(config, dirty, now)?;
        let bound = upper.min(young.unwrap_or(active.base_offset));
        let bound = bound.max(first_dirty_offset).min(active.base_offset);
        let uncleanable = floor(&segments, bound);
        let first_uncleanable_offset = segments
            .get(uncleanable)
            .map_or(active.base_offset, |segment| segment.base_offset);
        let clean = closed.partition_point(|segment| segment.base_offset < first_dirty_offset);
        let size = |segments: &[SegmentInfo]| segments.iter().map(|segment| segment.size).sum();
        let overdue_ms = self.overdue_ms(config, dirty, now)?;
        let rolls = config.compacts
            && active.size > 0
            && upper > active.base_offset
            && self.overdue_ms(config, &[*active], now)?.is_some();
        Ok(Cleanable {
            first_dirty_offset,
            first_uncleanable_offset,
            clean_bytes: size(&closed[..clean]),
            cleanable_bytes: size(&closed[dirty_from.min(uncleanable)..uncleanable]),
            overdue_ms,
            checkpoint_reset,
            upper,
            rolls,
        })
    }

    /// The first segment with records that are too young to be cleaned.
    fn first_young(
        &self,
        config: &LogConfig,
        dirty: &[SegmentInfo],
        now: Timestamp,
    ) -> Result<Option<Offset>, StorageError> {
        if config.min_compaction_lag_ms <= 0 {
            return Ok(None);
        }
        let before = now.0.saturating_sub(config.min_compaction_lag_ms);
        for segment in dirty {
            let largest = match self.max_timestamp_of(segment) {
                // It was deleted meanwhile.
                Err(error) if error.is_not_found() => continue,
                largest => largest?.timestamp,
            };
            let largest = match largest {
                largest if largest >= Timestamp(0) => largest,
                _ => segment.modified.unwrap_or(Timestamp::NONE),
            };
            if largest.0 > before {
                return Ok(Some(segment.base_offset));
            }
        }
        Ok(None)
    }

    /// How long ago the first batch of one of these segments had to be cleaned.
    fn overdue_ms(
        &self,
        config: &LogConfig,
        dirty: &[SegmentInfo],
        now: Timestamp,
    ) -> Result<Option<i64>, StorageError> {
        let before = now.0.saturating_sub(config.max_compaction_lag_ms.max(0));
        if before <= 0 {
            return Ok(None);
        }
        let mut earliest: Option<i64> = None;
        for segment in dirty.iter().filter(|segment| segment.size > 0) {
            let log = match self.shared.handle(segment.base_offset, FileKind::Log) {
                // It was deleted meanwhile.
                Err(error) if error.is_not_found() => continue,
                log => log?,
            };
            let first = HeaderScan::new(log, 0, segment.size).next()?;
            let timestamp = first.map_or(0, |first| first.header.max_timestamp.0);
            if timestamp > 0 {
                earliest = Some(earliest.map_or(timestamp, |known| known.min(timestamp)));
            }
        }
        Ok(earliest
            .filter(|earliest| *earliest < before)
            .map(|earliest| before - earliest))
    }
}

/// The segment that has an offset, or the first one.
pub(super) fn floor(segments: &[SegmentInfo], offset: Offset) -> usize {
    let above = segments.partition_point(|segment| segment.base_offset <= offset);
    above.saturating_sub(1)
}

fn nothing(first_dirty_offset: Offset, checkpoint_reset: bool) -> Cleanable {
    Cleanable {
        first_dirty_offset,
        first_uncleanable_offset: first_dirty_offset,
        clean_bytes: 0,
        cleanable_bytes: 0,
        overdue_ms: None,
        checkpoint_reset,
        upper: first_dirty_offset,
        rolls: false,
    }
}
