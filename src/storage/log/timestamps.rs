//! Finding offsets by timestamps, for ListOffsets (KIP-79, KIP-734), and the transactions that
//! readers of committed records leave out.
//!
//! All of this reads files: callers give it to a disk thread.

use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::record::{Scratch, TimestampType, records};
use crate::storage::StorageError;
use crate::storage::offset_index::OffsetEntry;
use crate::storage::recovery::later;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::list::Reaching;
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::segment::scan::Located;
use crate::storage::segment::search::SegmentSearch;
use crate::storage::time_index::{self, TimeEntry};
use crate::storage::transaction_index::{AbortedTransaction, TransactionIndex};

use super::LogReader;
use super::damage::{Damage, Island};
use super::view::View;

/// Batches were accepted with a bound on what they decompress to; this one only stops nonsense.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// How often files are looked for again that were replaced while they were looked for.
const ATTEMPTS: usize = 10;

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
    /// The first record that is not earlier than `target`. Looks into the segment that has it, and
    /// once into each older one of which the largest timestamp is not known yet.
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn offset_for_timestamp(
        &self,
        target: Timestamp,
    ) -> Result<Option<TimestampedOffset>, StorageError> {
        self.follow(|reader| reader.undisturbed(|| reader.look_for_timestamp(target)))
    }

    fn look_for_timestamp(
        &self,
        target: Timestamp,
    ) -> Result<Option<TimestampedOffset>, StorageError> {
        let mut behind = None;
        loop {
            let (found, start) = self.ask(|view| {
                let start = view.segment_at(view.log_start_offset).unwrap_or(0);
                let next = behind.map_or(0, |base| {
                    view.segments.partition_point(|s| s.base_offset <= base)
                });
                view.segments.first_reaching(start.max(next), target)
            })?;
            let Some(segment) = found else {
                return Ok(None);
            };
            if let Some(found) = self.find_in_segment(&segment, target, start)? {
                return Ok(Some(found));
            }
            behind = Some(segment.base_offset);
        }
    }

    /// The first record that has the largest timestamp of all (KIP-734).
    ///
    /// # Errors
    /// When files cannot be read.
    pub fn max_timestamp(&self) -> Result<Option<TimestampedOffset>, StorageError> {
        self.follow(|reader| reader.undisturbed(|| reader.look_for_max_timestamp()))
    }

    fn look_for_max_timestamp(&self) -> Result<Option<TimestampedOffset>, StorageError> {
        let (found, start) = self.ask(|view| view.segments.with_largest())?;
        let Some(segment) = found else {
            return Ok(None);
        };
        match self.max_timestamp_of(&segment)? {
            entry if entry.timestamp >= Timestamp(0) => {
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
        self.follow(|reader| reader.undisturbed(|| reader.look_for_aborted(from, upper)))
    }

    fn look_for_aborted(
        &self,
        from: Offset,
        upper: Offset,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        let mut at = self.shared.view().segment_at(from).unwrap_or(0);
        let mut found = Vec::new();
        loop {
            let next = self.shared.view().segments.next_with_aborted(at);
            let Some((index_at, segment)) = next else {
                return Ok(found);
            };
            let index = self.transaction_index(segment.base_offset)?;
            if index.collect(from, upper, &mut found) {
                return Ok(found);
            }
            at = index_at + 1;
        }
    }

    fn transaction_index(&self, base_offset: Offset) -> Result<TransactionIndex, StorageError> {
        let kind = FileKind::TransactionIndex;
        let name = FileName::live(base_offset, kind).to_string();
        let path = self.shared.directory.join(name);
        let Some(lent) = self.shared.handles.lent(base_offset, kind) else {
            return TransactionIndex::open(&*self.shared.disk, path, base_offset);
        };
        let length = usize::try_from(lent.length()?).unwrap_or(usize::MAX);
        // It was written by this process, from as many entries in memory.
        let mut bytes = vec![0; length];
        lent.read_exact_at(&mut bytes, 0)?;
        TransactionIndex::of_bytes(&bytes, path, base_offset)
    }

    /// Looks again when files of the segments that were looked at were replaced or deleted meanwhile.
    fn undisturbed<T>(
        &self,
        look: impl Fn() -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut attempt = 1;
        loop {
            let before = self.shared.view().replacements;
            let result = look();
            let same = self.shared.view().replacements == before;
            match result {
                Err(error) if error.is_not_found() && attempt < ATTEMPTS => {}
                result if same => return result,
                Ok(_) if attempt >= ATTEMPTS => {
                    let path = self.shared.directory.clone();
                    return Err(StorageError::NotFound { path });
                }
                Err(error) if attempt >= ATTEMPTS => return Err(error),
                _ => {}
            }
            attempt += 1;
        }
    }

    /// Asks until the answer does not depend on a segment of which nobody knows the largest
    /// timestamp; and where the log starts.
    fn ask(
        &self,
        question: impl Fn(&mut View) -> Reaching,
    ) -> Result<(Option<SegmentInfo>, Offset), StorageError> {
        loop {
            let (answer, start) = {
                let mut view = self.shared.view();
                (question(&mut view), view.log_start_offset)
            };
            match answer {
                Reaching::Segment(found) => return Ok((Some(found), start)),
                Reaching::None => return Ok((None, start)),
                Reaching::Unknown(segment) => match self.max_timestamp_of(&segment) {
                    // It was deleted meanwhile, and does not matter any more.
                    Err(error) if error.is_not_found() && !self.has(&segment) => {}
                    known => drop(known?),
                },
            }
        }
    }

    fn has(&self, segment: &SegmentInfo) -> bool {
        let view = self.shared.view();
        view.segments.position_of(segment.base_offset).is_some()
    }

    /// The largest timestamp of a segment, read from its index once; -1 when it has none.
    pub(super) fn max_timestamp_of(
        &self,
        segment: &SegmentInfo,
    ) -> Result<TimeEntry, StorageError> {
        if let Some(known) = segment.max_timestamp {
            return Ok(known);
        }
        let entry = self.read_max_timestamp(segment)?;
        let base_offset = segment.base_offset;
        self.shared.view().segments.note_maximum(base_offset, entry);
        Ok(entry)
    }

    /// What the time index ends with; what the headers of all batches say, when it ends with nothing
    /// that can be.
    fn read_max_timestamp(&self, segment: &SegmentInfo) -> Result<TimeEntry, StorageError> {
        let base = segment.base_offset;
        let last = match self.shared.handle(base, FileKind::TimeIndex) {
            Ok(index) => time_index::last_entry(&*index, segment.time_entries, base),
            Err(error) => Err(error),
        };
        let next = {
            let view = self.shared.view();
            let at = view.segments.partition_point(|s| s.base_offset <= base);
            let next = view.segments.get(at).map(|next| next.base_offset);
            next.unwrap_or(view.log_end_offset)
        };
        match last {
            Ok(Some(last)) if last.timestamp >= Timestamp(0) && last.offset < next => {
                return Ok(last);
            }
            Ok(_) | Err(StorageError::Corrupt { .. } | StorageError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let search = self.shared.search(*segment, Vec::new(), &Island::WHOLE)?;
        let max = self.largest_of(&search);
        if let Err(StorageError::Corrupt { .. }) = max {
            self.shared.suspect(base);
        }
        max
    }

    /// The largest timestamp of all batches, of a segment whose time index does not tell.
    fn largest_of(&self, search: &SegmentSearch) -> Result<TimeEntry, StorageError> {
        let base = search.info.base_offset;
        let timeless = TimeEntry {
            timestamp: Timestamp::NONE,
            offset: base,
        };
        let mut scan = search.scan(0);
        match scan.next()? {
            Some(first) if first.header.max_timestamp >= Timestamp(0) => scan.go_back_to(&first),
            // Without timestamps there is nothing to index.
            _ => return Ok(timeless),
        }
        self.shared
            .doubts
            .note(base, "its time index lacks its end");
        let mut max = timeless;
        while let Some(located) = scan.next()? {
            max = later(max, &located);
        }
        Ok(max)
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
            None => self.floor_in_file(segment, target)?,
        };
        let from = self.believed(segment, &pending, floor)?;
        let from = from.unwrap_or(base).max(start);
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

    /// An index that cannot be read costs time, not the answer.
    fn floor_in_file(
        &self,
        segment: &SegmentInfo,
        target: Timestamp,
    ) -> Result<Option<TimeEntry>, StorageError> {
        if segment.time_entries == 0 {
            return Ok(None);
        }
        let base = segment.base_offset;
        let index = self.shared.handle(base, FileKind::TimeIndex);
        let floor = index.and_then(|index| {
            time_index::floor_by_timestamp(&*index, segment.time_entries, base, target)
        });
        match floor {
            Err(error @ (StorageError::Corrupt { .. } | StorageError::NotFound { .. })) => {
                self.shared.doubts.note(base, &error.to_string());
                Ok(None)
            }
            floor => floor,
        }
    }

    /// The offset of an entry of a time index, when a batch says the same.
    fn believed(
        &self,
        segment: &SegmentInfo,
        pending: &[OffsetEntry],
        entry: Option<TimeEntry>,
    ) -> Result<Option<Offset>, StorageError> {
        let Some(entry) = entry else {
            return Ok(None);
        };
        let base = segment.base_offset;
        let Ok(island) = self.shared.view().damages.island(base, entry.offset) else {
            return Ok(None);
        };
        let search = self.shared.search(*segment, pending.to_vec(), &island)?;
        let batch = match search.batch_reaching(entry.offset) {
            Err(StorageError::Corrupt { .. }) => None,
            batch => batch?,
        };
        let same = batch.is_some_and(|batch| {
            batch.header.base_offset <= entry.offset
                && batch.header.max_timestamp == entry.timestamp
        });
        if !same {
            let why = "its time index points at no batch of that time";
            self.shared.doubts.note(base, why);
        }
        Ok(same.then_some(entry.offset))
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
