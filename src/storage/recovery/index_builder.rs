//! Making both indexes of a segment from its batches, as appending would have. Entries that are in
//! the files already are kept as long as the batches say the same: an index that is right is not
//! written again.

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::OpenMode;
use crate::storage::log::LogConfig;
use crate::storage::offset_index::{self, OffsetEntry};
use crate::storage::segment::names::FileKind;
use crate::storage::segment::scan::Located;
use crate::storage::time_index::{self, TimeEntry};

use super::Site;
use super::there::There;

/// What a segment without timestamps has.
pub(super) fn no_timestamp(base_offset: Offset) -> TimeEntry {
    TimeEntry {
        timestamp: Timestamp::NONE,
        offset: base_offset,
    }
}

/// The larger timestamp of what is known and of a batch.
pub(crate) fn later(max: TimeEntry, located: &Located) -> TimeEntry {
    if located.header.max_timestamp <= max.timestamp {
        return max;
    }
    TimeEntry {
        timestamp: located.header.max_timestamp,
        offset: located.header.last_offset(),
    }
}

/// Makes both indexes of a segment as appending it would have.
pub(crate) struct IndexBuilder {
    base_offset: Offset,
    interval: u64,
    offsets_max: usize,
    times_max: usize,
    indexed: u64,
    pub(super) max: TimeEntry,
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
    /// What the files have, as far as no batch was seen for it yet.
    there: There,
    /// What is put in its place should no batch come for it.
    spare: (Vec<OffsetEntry>, Vec<TimeEntry>),
    /// Whether entries in the files were wrong.
    pub(super) was_wrong: bool,
}

impl IndexBuilder {
    /// From the first batch on; `there` is what the files have.
    pub(super) fn new(config: &LogConfig, base_offset: Offset, there: There) -> IndexBuilder {
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
            spare: (Vec::new(), Vec::new()),
            was_wrong: there.was_wrong,
            there,
        }
    }

    /// For a segment that is being written.
    pub(crate) fn for_new(config: &LogConfig, base_offset: Offset) -> IndexBuilder {
        IndexBuilder::new(config, base_offset, There::default())
    }

    /// From the batch behind an indexed one on; all entries up to that are believed.
    pub(super) fn behind(
        config: &LogConfig,
        base_offset: Offset,
        mut there: There,
        indexed: &Located,
    ) -> IndexBuilder {
        let (offsets, times) = there.take_upto(indexed.header.last_offset());
        IndexBuilder {
            indexed: indexed.position,
            max: times.last().copied().unwrap_or(no_timestamp(base_offset)),
            offsets,
            times,
            ..IndexBuilder::new(config, base_offset, there)
        }
    }

    /// Takes the next batch.
    pub(crate) fn add(&mut self, located: &Located) {
        self.max = later(self.max, located);
        self.keep_time(located);
        let Ok(position) = u32::try_from(located.position) else {
            return;
        };
        let entry = OffsetEntry {
            offset: located.header.last_offset(),
            position,
        };
        let kept = self.keep_offset(entry);
        let entries = self.offsets.len() + self.spare.0.len();
        let is_due = located.position - self.indexed > self.interval && entries < self.offsets_max;
        if !kept && !is_due {
            return;
        }
        self.indexed = located.position;
        if !kept {
            match self.there.offsets.is_empty() {
                true => self.offsets.push(entry),
                false => self.spare.0.push(entry),
            }
        }
        if self.times.len() + self.spare.1.len() < self.times_max {
            self.push_time();
        }
    }

    /// Keeps what the file says of a batch; says whether it says something.
    fn keep_offset(&mut self, entry: OffsetEntry) -> bool {
        let next = self.there.offsets.front();
        let Some(next) = next.filter(|next| next.position <= entry.position) else {
            return false;
        };
        if *next == entry {
            self.there.offsets.pop_front();
            self.spare.0.clear();
            self.offsets.push(entry);
            return true;
        }
        self.was_wrong = true;
        self.there.offsets.clear();
        self.offsets.append(&mut self.spare.0);
        false
    }

    /// Keeps what the file says of the time of a batch.
    fn keep_time(&mut self, located: &Located) {
        let next = self.there.times.front().copied();
        let last_offset = located.header.last_offset();
        let Some(next) = next.filter(|next| next.offset <= last_offset) else {
            return;
        };
        let is_so = next.offset >= located.header.base_offset
            && next.timestamp == located.header.max_timestamp
            && next.timestamp == self.max.timestamp;
        if is_so {
            self.there.times.pop_front();
            self.spare.1.clear();
            self.times.push(next);
        } else {
            self.was_wrong = true;
            self.there.times.clear();
            self.times.append(&mut self.spare.1);
        }
    }

    fn push_time(&mut self) {
        let last = self.spare.1.last().or(self.times.last());
        let last = last.map_or(Timestamp::NONE, |last| last.timestamp);
        if self.max.timestamp > last {
            match self.there.times.is_empty() {
                true => self.times.push(self.max),
                false => self.spare.1.push(self.max),
            }
        }
    }

    /// Closes the time index with the largest timestamp of all. Entries of batches that did not come
    /// are forgotten.
    pub(crate) fn finish(&mut self) -> Option<TimeEntry> {
        self.there = There::default();
        self.offsets.append(&mut self.spare.0);
        self.times.append(&mut self.spare.1);
        self.push_time();
        self.times.last().copied()
    }

    /// The entries of the offset index.
    pub(crate) fn offsets(&self) -> &[OffsetEntry] {
        &self.offsets
    }

    /// The entries of the time index.
    pub(crate) fn times(&self) -> &[TimeEntry] {
        &self.times
    }

    /// The largest timestamp of all.
    pub(crate) fn max(&self) -> TimeEntry {
        self.max
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
        let times = time_index::encode_entries(base, &self.times);
        let size = offset_index::ENTRY_SIZE;
        let offset_entries = write(site, base, FileKind::OffsetIndex, (&offsets, size), sync)?;
        let size = time_index::ENTRY_SIZE;
        let time_entries = write(site, base, FileKind::TimeIndex, (&times, size), sync)?;
        Ok((offset_entries, time_entries))
    }
}

/// Makes a file hold these entries, or fewer of them where there is no space; how many.
fn write(
    site: &Site<'_>,
    base_offset: Offset,
    kind: FileKind,
    (bytes, entry_size): (&[u8], usize),
    sync: bool,
) -> Result<u32, StorageError> {
    let count = |bytes: usize| u32::try_from(bytes / entry_size).unwrap_or(u32::MAX);
    let file = site
        .disk
        .open(&site.path(base_offset, kind), OpenMode::Create)?;
    let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
    let mut there = vec![0; length.min(bytes.len())];
    file.read_exact_at(&mut there, 0)?;
    let same = there.iter().zip(bytes).take_while(|(a, b)| a == b).count();
    let same = same - same % entry_size;
    if length == same && same == bytes.len() {
        return Ok(count(same));
    }
    if length > same {
        file.truncate(same as u64)?;
    }
    let rest = [std::io::IoSlice::new(&bytes[same..])];
    match file.write_at(&rest, same as u64) {
        Ok(()) => {}
        Err(error) if error.is_out_of_space() => {
            // A shorter index makes reads slower, not wrong; a log must open on a full disk.
            log::warn!("an index of segment {base_offset} stays incomplete: {error}");
            file.truncate(same as u64)?;
            return Ok(count(same));
        }
        Err(error) => return Err(error),
    }
    if sync {
        // It lies below the recovery point, so no later flush and no later scan will see to it.
        file.sync_data()?;
    }
    Ok(count(bytes.len()))
}
