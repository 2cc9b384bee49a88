//! What both index files of a segment say before its batches are read.
//!
//! Checked as far as that is possible without them: entries rise, and point into the file. What
//! follows the first one that does not is no entry. Invariant: the length of a file decides no
//! allocation that the log file's length does not bear out.

use std::collections::VecDeque;

use crate::model::{Offset, Timestamp};
use crate::record::HEADER_SIZE;
use crate::storage::StorageError;
use crate::storage::disk::{DiskFile, OpenMode};
use crate::storage::offset_index::{self, OffsetEntry};
use crate::storage::segment::names::FileKind;
use crate::storage::time_index::{self, TimeEntry};

use super::Site;
use super::inventory::Found;

/// The entries in the files of both indexes.
#[derive(Debug, Default)]
pub(super) struct There {
    pub(super) offsets: VecDeque<OffsetEntry>,
    pub(super) times: VecDeque<TimeEntry>,
    /// Whether something was no entry.
    pub(super) was_wrong: bool,
}

impl There {
    /// Reads both files, as far as there are any.
    pub(super) fn read(
        site: &Site<'_>,
        base_offset: Offset,
        found: &Found,
    ) -> Result<There, StorageError> {
        let mut there = There::default();
        // Each entry is about a batch of its own.
        let entries_max = found.length / HEADER_SIZE as u64;
        let count = |length: Option<u64>, size: usize| {
            let entries = length.unwrap_or(0) / size as u64;
            u32::try_from(entries).unwrap_or(u32::MAX)
        };
        let entries = count(found.offset_index, offset_index::ENTRY_SIZE);
        if let Some(file) = open(site, base_offset, FileKind::OffsetIndex, entries)? {
            let entries = offset_index::entries_in_use(&*file, entries)?;
            if u64::from(entries) <= entries_max {
                let entries = offset_index::read_entries(&*file, entries, base_offset)?;
                there.take_offsets(entries, base_offset, found.length);
            } else {
                there.was_wrong = true;
            }
        }
        let entries = count(found.time_index, time_index::ENTRY_SIZE);
        if let Some(file) = open(site, base_offset, FileKind::TimeIndex, entries)? {
            let entries = time_index::entries_in_use(&*file, entries)?;
            if u64::from(entries) <= entries_max {
                let entries = time_index::read_entries(&*file, entries, base_offset)?;
                there.take_times(entries, base_offset);
            } else {
                there.was_wrong = true;
            }
        }
        Ok(there)
    }

    fn take_offsets(&mut self, entries: Vec<OffsetEntry>, base_offset: Offset, length: u64) {
        let mut before: Option<OffsetEntry> = None;
        for entry in entries {
            let rises = before.is_none_or(|before| {
                entry.offset > before.offset && entry.position > before.position
            });
            if !rises || entry.offset < base_offset || u64::from(entry.position) >= length {
                self.was_wrong = true;
                return;
            }
            before = Some(entry);
            self.offsets.push_back(entry);
        }
    }

    fn take_times(&mut self, entries: Vec<TimeEntry>, base_offset: Offset) {
        let mut before: Option<TimeEntry> = None;
        for entry in entries {
            let rises = before.is_none_or(|before| {
                entry.offset > before.offset && entry.timestamp > before.timestamp
            });
            if !rises || entry.offset < base_offset || entry.timestamp < Timestamp(0) {
                self.was_wrong = true;
                return;
            }
            before = Some(entry);
            self.times.push_back(entry);
        }
    }

    /// Moves the entries up to a batch, which ends with `offset`, out.
    pub(super) fn take_upto(&mut self, offset: Offset) -> (Vec<OffsetEntry>, Vec<TimeEntry>) {
        let offsets = self.offsets.partition_point(|entry| entry.offset <= offset);
        let times = self.times.partition_point(|entry| entry.offset <= offset);
        (
            self.offsets.drain(..offsets).collect(),
            self.times.drain(..times).collect(),
        )
    }

    /// The last entry of the offset index for which all of the time index up to it is there, too, at
    /// or below an offset.
    pub(super) fn complete_upto(&self, offset: Offset) -> Option<OffsetEntry> {
        let limit = offset.min(self.times.back()?.offset);
        let above = self.offsets.partition_point(|entry| entry.offset <= limit);
        self.offsets.get(above.checked_sub(1)?).copied()
    }
}

/// The file, if it has entries.
fn open(
    site: &Site<'_>,
    base_offset: Offset,
    kind: FileKind,
    entries: u32,
) -> Result<Option<std::sync::Arc<dyn DiskFile>>, StorageError> {
    if entries == 0 {
        return Ok(None);
    }
    let path = site.path(base_offset, kind);
    site.disk.open(&path, OpenMode::Read).map(Some)
}
