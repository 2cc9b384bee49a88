//! Finding offsets by timestamps, for ListOffsets (KIP-79, KIP-734), and the transactions that
//! readers of committed records leave out.
//!
//! All of this reads files: callers give it to a disk thread.

use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::record::{Scratch, TimestampType, records};
use crate::storage::StorageError;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::segment::scan::Located;
use crate::storage::segment::search::SegmentSearch;
use crate::storage::time_index::{self, TimeEntry};
use crate::storage::transaction_index::{AbortedTransaction, TransactionIndex};

use super::LogReader;
use super::damage::Damage;

/// Batches were accepted with a bound on what they decompress to; this one only stops nonsense.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// A record that was found by its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampedOffset {
    /// Of the record.
    pub timestamp: Timestamp,
    /// Of the record.
    pub offset: Offset,
    /// In which it was written.
    pub leader_epoch: LeaderEpoch,
}

impl LogReader {
    /// The first record that is not earlier than `target`.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn offset_for_timestamp(
        &self,
        target: Timestamp,
    ) -> Result<Option<TimestampedOffset>, StorageError> {
        let (segments, start) = self.segments_and_start();
        for segment in segments {
            if self.max_timestamp_of(&segment)?.timestamp < target {
                continue;
            }
            if let Some(found) = self.find_in_segment(&segment, target, start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The first record that has the largest timestamp of all (KIP-734).
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn max_timestamp(&self) -> Result<Option<TimestampedOffset>, StorageError> {
        let (segments, start) = self.segments_and_start();
        let mut largest: Option<(SegmentInfo, TimeEntry)> = None;
        for segment in segments {
            let entry = self.max_timestamp_of(&segment)?;
            if largest.is_none_or(|(_, known)| entry.timestamp > known.timestamp) {
                largest = Some((segment, entry));
            }
        }
        match largest {
            Some((segment, entry)) if entry.timestamp >= Timestamp(0) => {
                self.find_in_segment(&segment, entry.timestamp, start)
            }
            _ => Ok(None),
        }
    }

    /// The aborted transactions that have records between `from` and `upper`.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub fn aborted_transactions(
        &self,
        from: Offset,
        upper: Offset,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        let segments = {
            let view = self.shared.view();
            let first = view.segment_at(from).unwrap_or(0);
            view.segments.get(first..).unwrap_or_default().to_vec()
        };
        let mut found = Vec::new();
        for segment in segments.iter().filter(|segment| segment.has_aborted) {
            let name = FileName::live(segment.base_offset, FileKind::TransactionIndex);
            let path = self.shared.directory.join(name.to_string());
            let index = TransactionIndex::open(&*self.shared.disk, path, segment.base_offset)?;
            if index.collect(from, upper, &mut found) {
                break;
            }
        }
        Ok(found)
    }

    fn segments_and_start(&self) -> (Vec<SegmentInfo>, Offset) {
        let view = self.shared.view();
        (view.segments.clone(), view.log_start_offset)
    }

    /// The largest timestamp of a segment, read from its index once; -1 when it has none.
    pub(super) fn max_timestamp_of(
        &self,
        segment: &SegmentInfo,
    ) -> Result<TimeEntry, StorageError> {
        if let Some(known) = segment.max_timestamp {
            return Ok(known);
        }
        let base = segment.base_offset;
        let index = self.shared.handle(base, FileKind::TimeIndex)?;
        let last = time_index::last_entry(&*index, segment.time_entries, base)?;
        let entry = last.unwrap_or(TimeEntry {
            timestamp: Timestamp::NONE,
            offset: base,
        });
        let mut view = self.shared.view();
        let known = view.segments.iter_mut().find(|s| s.base_offset == base);
        if let Some(known) = known
            && known.max_timestamp.is_none()
        {
            known.max_timestamp = Some(entry);
        }
        Ok(entry)
    }

    /// The first record of a segment at or after `start` that is not earlier than `target`.
    fn find_in_segment(
        &self,
        segment: &SegmentInfo,
        target: Timestamp,
        start: Offset,
    ) -> Result<Option<TimestampedOffset>, StorageError> {
        let base = segment.base_offset;
        let (pending, pending_time) = {
            let view = self.shared.view();
            match view.segments.last() {
                Some(last) if last.base_offset == base => {
                    let times = &view.tail.pending_times;
                    let below = times.partition_point(|entry| entry.timestamp <= target);
                    let entry = below.checked_sub(1).and_then(|at| times.get(at));
                    (view.tail.pending_offsets.clone(), entry.copied())
                }
                _ => (Vec::new(), None),
            }
        };
        let floor = match pending_time {
            Some(entry) => Some(entry),
            None if segment.time_entries > 0 => {
                let index = self.shared.handle(base, FileKind::TimeIndex)?;
                time_index::floor_by_timestamp(&*index, segment.time_entries, base, target)?
            }
            None => None,
        };
        let from = floor.map_or(base, |entry| entry.offset).max(start);
        let island = self.shared.view().damages.island(base, from);
        let island = island.map_err(|damage| self.damaged(&damage))?;
        let search = self.shared.search(*segment, pending, &island)?;
        let found = scan_for(&search, from, target, start);
        match (found, island.ends_at) {
            (Err(error @ StorageError::Corrupt { .. }), _) => {
                self.shared.suspect(base);
                Err(error)
            }
            // The record may be in there: to answer with a later one would hide it.
            (Ok(None), Some(damage)) => Err(self.damaged(&damage)),
            (found, _) => found,
        }
    }

    fn damaged(&self, damage: &Damage) -> StorageError {
        StorageError::corrupt(&self.shared.directory, damage.to_string())
    }
}

/// The first record from the batch that has `from` on that is not earlier than `target`.
fn scan_for(
    search: &SegmentSearch,
    from: Offset,
    target: Timestamp,
    start: Offset,
) -> Result<Option<TimestampedOffset>, StorageError> {
    let Some(first) = search.batch_reaching(from)? else {
        return Ok(None);
    };
    let mut scan = search.scan(first.position);
    while let Some(located) = scan.next()? {
        if located.header.max_timestamp < target {
            continue;
        }
        if let Some(found) = find_in_batch(search, &located, target, start)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn find_in_batch(
    search: &SegmentSearch,
    located: &Located,
    target: Timestamp,
    start: Offset,
) -> Result<Option<TimestampedOffset>, StorageError> {
    let header = &located.header;
    let found = |timestamp, offset| TimestampedOffset {
        timestamp,
        offset,
        leader_epoch: header.partition_leader_epoch,
    };
    let damaged = |error: &dyn std::fmt::Display| {
        StorageError::corrupt(
            search.log.path(),
            format!("the batch at offset {}: {error}", header.base_offset),
        )
    };
    // The size was checked against the file by the scan that found the batch.
    let mut bytes = vec![0; header.size()];
    search.log.read_exact_at(&mut bytes, located.position)?;
    let mut scratch = Scratch::new();
    let mut reader = records(header, &bytes, DECOMPRESSED_BYTES_MAX, &mut scratch)
        .map_err(|error| damaged(&error))?;
    let appended = header.timestamp_type() == TimestampType::LogAppendTime;
    while let Some(record) = reader.next().map_err(|error| damaged(&error))? {
        let offset = header.base_offset + i64::from(record.offset_delta);
        let timestamp = match appended {
            true => header.max_timestamp,
            false => Timestamp(
                header
                    .base_timestamp
                    .0
                    .saturating_add(record.timestamp_delta),
            ),
        };
        if timestamp >= target && offset >= start {
            return Ok(Some(found(timestamp, offset)));
        }
    }
    Ok(None)
}
