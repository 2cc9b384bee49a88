//! `.timeindex`: from timestamps to offsets, 12 bytes an entry (Kafka's `TimeIndex`).
//!
//! An entry says: up to this offset, no record of the segment is later than this timestamp, and
//! the batch that ends with this offset has it. Timestamps rise strictly. Called by the segment
//! writer, by readers and by recovery.

use std::io::IoSlice;

use crate::model::{Offset, Timestamp};

use super::StorageError;
use super::disk::DiskFile;
use super::segment::index_search::{partition_point, read_entry};

/// Bytes of an entry: timestamp i64, relative offset i32, big-endian.
pub(crate) const ENTRY_SIZE: usize = 12;

/// One entry: the largest timestamp so far, and the last offset of the first batch that had it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeEntry {
    /// The largest timestamp so far.
    pub(crate) timestamp: Timestamp,
    /// The last offset of its batch.
    pub(crate) offset: Offset,
}

impl TimeEntry {
    pub(super) fn decode(bytes: &[u8; ENTRY_SIZE], base_offset: Offset) -> TimeEntry {
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        TimeEntry {
            timestamp: Timestamp(i64::from_be_bytes([a, b, c, d, e, f, g, h])),
            offset: base_offset + i64::from(i32::from_be_bytes([i, j, k, l])),
        }
    }

    fn encode(self, base_offset: Offset) -> [u8; ENTRY_SIZE] {
        let relative = i32::try_from(self.offset - base_offset).unwrap_or(i32::MAX);
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        bytes[8..].copy_from_slice(&relative.to_be_bytes());
        bytes
    }

    /// Timestamps rise, so only the first can be zero: other zeroes are room Kafka had reserved.
    fn is_reserved_room(&self, index: u32) -> bool {
        index > 0 && self.timestamp == Timestamp(0)
    }
}

/// The last entry whose timestamp is not above `target`.
pub(crate) fn floor_by_timestamp(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
    target: Timestamp,
) -> Result<Option<TimeEntry>, StorageError> {
    let above = partition_point::<ENTRY_SIZE>(file, entries, |index, bytes| {
        let entry = TimeEntry::decode(bytes, base_offset);
        !entry.is_reserved_room(index) && entry.timestamp <= target
    })?;
    entry_before(file, above, base_offset)
}

/// The last entry.
pub(crate) fn last_entry(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
) -> Result<Option<TimeEntry>, StorageError> {
    entry_before(file, entries_in_use(file, entries)?, base_offset)
}

fn entry_before(
    file: &dyn DiskFile,
    above: u32,
    base_offset: Offset,
) -> Result<Option<TimeEntry>, StorageError> {
    let Some(index) = above.checked_sub(1) else {
        return Ok(None);
    };
    let bytes = read_entry::<ENTRY_SIZE>(file, index)?;
    Ok(Some(TimeEntry::decode(&bytes, base_offset)))
}

/// How many entries are meant: all but reserved room at the end.
pub(crate) fn entries_in_use(file: &dyn DiskFile, entries: u32) -> Result<u32, StorageError> {
    partition_point::<ENTRY_SIZE>(file, entries, |index, bytes| {
        !TimeEntry::decode(bytes, Offset::ZERO).is_reserved_room(index)
    })
}

/// The first `entries` entries, from a file that is known to have them.
pub(crate) fn read_entries(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
) -> Result<Vec<TimeEntry>, StorageError> {
    let mut bytes = vec![0; entries as usize * ENTRY_SIZE];
    file.read_exact_at(&mut bytes, 0)?;
    let (entries, _) = bytes.as_chunks();
    let decoded = entries
        .iter()
        .map(|entry| TimeEntry::decode(entry, base_offset));
    Ok(decoded.collect())
}

/// How many leading entries are below `offset`.
pub(crate) fn entries_below(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
    offset: Offset,
) -> Result<u32, StorageError> {
    partition_point::<ENTRY_SIZE>(file, entries, |index, bytes| {
        let entry = TimeEntry::decode(bytes, base_offset);
        !entry.is_reserved_room(index) && entry.offset < offset
    })
}

/// The bytes of some entries.
pub(crate) fn encode_entries(base_offset: Offset, entries: &[TimeEntry]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|entry| entry.encode(base_offset))
        .collect()
}

/// Writes entries behind the first `entries` ones.
pub(crate) fn write_entries(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
    new: &[TimeEntry],
) -> Result<(), StorageError> {
    let bytes = encode_entries(base_offset, new);
    file.write_at(
        &[IoSlice::new(&bytes)],
        u64::from(entries) * ENTRY_SIZE as u64,
    )
}
