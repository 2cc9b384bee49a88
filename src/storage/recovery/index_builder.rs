//! Making both indexes of a segment from its batches, as appending would have.

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::OpenMode;
use crate::storage::log::LogConfig;
use crate::storage::offset_index::{self, OffsetEntry};
use crate::storage::segment::names::FileKind;
use crate::storage::segment::scan::Located;
use crate::storage::time_index::{self, TimeEntry};

use super::Site;

/// What a segment without timestamps has.
pub(super) fn no_timestamp(base_offset: Offset) -> TimeEntry {
    TimeEntry {
        timestamp: Timestamp::NONE,
        offset: base_offset,
    }
}

/// The larger timestamp of what is known and of a batch.
pub(super) fn later(max: TimeEntry, located: &Located) -> TimeEntry {
    if located.header.max_timestamp <= max.timestamp {
        return max;
    }
    TimeEntry {
        timestamp: located.header.max_timestamp,
        offset: located.header.last_offset(),
    }
}

/// Makes both indexes of a segment as appending it would have.
pub(super) struct IndexBuilder {
    base_offset: Offset,
    interval: u64,
    offsets_max: usize,
    times_max: usize,
    indexed: u64,
    pub(super) max: TimeEntry,
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
}

impl IndexBuilder {
    pub(super) fn new(config: &LogConfig, base_offset: Offset) -> IndexBuilder {
        let bytes_max = config.index_bytes_max as usize;
        IndexBuilder {
            base_offset,
            interval: config.index_interval_bytes,
            offsets_max: bytes_max / offset_index::ENTRY_SIZE,
            // One is kept for the entry that closes the segment.
            times_max: (bytes_max / time_index::ENTRY_SIZE).saturating_sub(1),
            indexed: 0,
            max: no_timestamp(base_offset),
            offsets: Vec::new(),
            times: Vec::new(),
        }
    }

    /// Takes the next batch.
    pub(super) fn add(&mut self, located: &Located) {
        self.max = later(self.max, located);
        let Ok(position) = u32::try_from(located.position) else {
            return;
        };
        if located.position - self.indexed <= self.interval
            || self.offsets.len() >= self.offsets_max
        {
            return;
        }
        self.indexed = located.position;
        self.offsets.push(OffsetEntry {
            offset: located.header.last_offset(),
            position,
        });
        if self.times.len() < self.times_max {
            self.push_time();
        }
    }

    fn push_time(&mut self) {
        let last = self
            .times
            .last()
            .map_or(Timestamp::NONE, |last| last.timestamp);
        if self.max.timestamp > last {
            self.times.push(self.max);
        }
    }

    /// Closes the time index with the largest timestamp of all.
    pub(super) fn finish(&mut self) -> Option<TimeEntry> {
        self.push_time();
        self.times.last().copied()
    }

    /// The entry before an index of the time index.
    pub(super) fn time_entry_before(&self, entries: u32) -> Option<TimeEntry> {
        let at = (entries as usize).checked_sub(1)?;
        self.times.get(at).copied()
    }

    /// Writes both files; how many entries they have then. What is there already is left as it is,
    /// so that a full disk does not cost an index.
    pub(super) fn write(&self, site: &Site<'_>, sync: bool) -> Result<(u32, u32), StorageError> {
        let base = self.base_offset;
        let offsets = offset_index::encode_entries(base, &self.offsets);
        let bytes = write(site, base, FileKind::OffsetIndex, &offsets, sync)?;
        let offset_entries = bytes / offset_index::ENTRY_SIZE;
        let times = time_index::encode_entries(base, &self.times);
        let bytes = write(site, base, FileKind::TimeIndex, &times, sync)?;
        let time_entries = bytes / time_index::ENTRY_SIZE;
        let count = |entries| u32::try_from(entries).unwrap_or(u32::MAX);
        Ok((count(offset_entries), count(time_entries)))
    }
}

/// Makes a file hold `bytes`, or less of them where there is no space; how many.
fn write(
    site: &Site<'_>,
    base_offset: Offset,
    kind: FileKind,
    bytes: &[u8],
    sync: bool,
) -> Result<usize, StorageError> {
    let file = site
        .disk
        .open(&site.path(base_offset, kind), OpenMode::Create)?;
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
    let mut there = vec![0; length.min(bytes.len())];
    file.read_exact_at(&mut there, 0)?;
    let common = if bytes.starts_with(&there) {
        there.len()
    } else {
        0
    };
    if length > common {
        file.truncate(common as u64)?;
    }
    let rest = [std::io::IoSlice::new(&bytes[common..])];
    let written = match file.write_at(&rest, common as u64) {
        Ok(()) => bytes.len(),
        Err(error) if error.is_out_of_space() => {
            // A shorter index makes reads slower, not wrong; a log must open on a full disk.
            log::warn!("an index of segment {base_offset} stays incomplete: {error}");
            file.truncate(common as u64)?;
            common
        }
        Err(error) => return Err(error),
    };
    if sync {
        // It lies below the recovery point, so no later flush and no later scan will see to it.
        file.sync_data()?;
    }
    Ok(written)
}
