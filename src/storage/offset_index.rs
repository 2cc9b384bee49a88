//! `.index`: from offsets to positions, 8 bytes an entry, sparse (Kafka's `OffsetIndex`).
//!
//! An entry says: the batch at this position ends with this offset. Files are exactly as long as
//! their entries; those of a Kafka that was running when they were copied have a tail of zeroes,
//! which counts as "behind everything". Called by the segment writer, by readers and by recovery.

use std::io::IoSlice;

use crate::model::Offset;

use super::StorageError;
use super::disk::DiskFile;
use super::segment::index_search::{partition_point, read_entry};

/// Bytes of an entry: relative offset i32, position i32, big-endian.
pub(crate) const ENTRY_SIZE: usize = 8;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OffsetEntry {
    /// The last offset of the batch.
    pub(crate) offset: Offset,
    /// Where the batch begins in the segment.
    pub(crate) position: u32,
}

impl OffsetEntry {
    pub(super) fn decode(bytes: &[u8; ENTRY_SIZE], base_offset: Offset) -> OffsetEntry {
        let [a, b, c, d, e, f, g, h] = *bytes;
        OffsetEntry {
            offset: base_offset + i64::from(i32::from_be_bytes([a, b, c, d])),
            position: u32::from_be_bytes([e, f, g, h]),
        }
    }

    fn encode(self, base_offset: Offset) -> [u8; ENTRY_SIZE] {
        // Segments roll before an offset goes beyond what 31 bits can say.
        let relative = i32::try_from(self.offset - base_offset).unwrap_or(i32::MAX);
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..4].copy_from_slice(&relative.to_be_bytes());
        bytes[4..].copy_from_slice(&self.position.to_be_bytes());
        bytes
    }

    /// No entry points at the first batch, so zeroes are room that Kafka had reserved.
    fn is_reserved_room(&self) -> bool {
        self.position == 0
    }
}

/// The last entry whose offset is not above `target`.
pub(crate) fn floor_by_offset(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
    target: Offset,
) -> Result<Option<OffsetEntry>, StorageError> {
    floor(file, entries, base_offset, |entry| entry.offset <= target)
}

/// The last entry whose position is not above `limit`.
pub(crate) fn floor_by_position(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
    limit: u64,
) -> Result<Option<OffsetEntry>, StorageError> {
    floor(file, entries, base_offset, |entry| {
        u64::from(entry.position) <= limit
    })
}

/// The last entry of an index without reserved room.
pub(crate) fn last_entry(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
) -> Result<Option<OffsetEntry>, StorageError> {
    floor(file, entries, base_offset, |_| true)
}

fn floor(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
    before: impl Fn(&OffsetEntry) -> bool,
) -> Result<Option<OffsetEntry>, StorageError> {
    let above = partition_point::<ENTRY_SIZE>(file, entries, |_, bytes| {
        let entry = OffsetEntry::decode(bytes, base_offset);
        !entry.is_reserved_room() && before(&entry)
    })?;
    let Some(index) = above.checked_sub(1) else {
        return Ok(None);
    };
    let bytes = read_entry::<ENTRY_SIZE>(file, index)?;
    Ok(Some(OffsetEntry::decode(&bytes, base_offset)))
}

/// How many entries are meant: all but reserved room at the end.
pub(crate) fn entries_in_use(file: &dyn DiskFile, entries: u32) -> Result<u32, StorageError> {
    partition_point::<ENTRY_SIZE>(file, entries, |_, bytes| {
        !OffsetEntry::decode(bytes, Offset::ZERO).is_reserved_room()
    })
}

/// The first `entries` entries, from a file that is known to have them.
pub(crate) fn read_entries(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
) -> Result<Vec<OffsetEntry>, StorageError> {
    let mut bytes = vec![0; entries as usize * ENTRY_SIZE];
    file.read_exact_at(&mut bytes, 0)?;
    let (entries, _) = bytes.as_chunks();
    let decoded = entries
        .iter()
        .map(|entry| OffsetEntry::decode(entry, base_offset));
    Ok(decoded.collect())
}

/// How many leading entries are below `offset`.
pub(crate) fn entries_below(
    file: &dyn DiskFile,
    entries: u32,
    base_offset: Offset,
    offset: Offset,
) -> Result<u32, StorageError> {
    partition_point::<ENTRY_SIZE>(file, entries, |_, bytes| {
        let entry = OffsetEntry::decode(bytes, base_offset);
        !entry.is_reserved_room() && entry.offset < offset
    })
}

/// The bytes of some entries.
pub(crate) fn encode_entries(base_offset: Offset, entries: &[OffsetEntry]) -> Vec<u8> {
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
    new: &[OffsetEntry],
) -> Result<(), StorageError> {
    let bytes = encode_entries(base_offset, new);
    file.write_at(
        &[IoSlice::new(&bytes)],
        u64::from(entries) * ENTRY_SIZE as u64,
    )
}
