//! The indexes of one segment: whole, rising, and pointing at batches that are there.
//!
//! Room that Kafka reserves at the end of the indexes of a running broker is not an error.

use std::path::Path;
use std::sync::Arc;

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::Disk;
use crate::storage::offset_index::{self, OffsetEntry};
use crate::storage::time_index::{self, TimeEntry};
use crate::storage::transaction_index::TransactionIndex;

use super::batches::{Batches, Indexed};
use super::{Finding, Tell, unless_corrupt};

/// Indexes are much smaller than the segments they belong to.
const LENGTH_MAX: usize = 1 << 30;

/// The entries of a segment's indexes, as far as they make sense by themselves.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) offsets: Vec<OffsetEntry>,
    pub(super) times: Vec<TimeEntry>,
}

/// Reads the entries of an offset index.
pub(super) fn read_offset_index(
    disk: &Arc<dyn Disk>,
    path: &Path,
    base_offset: Offset,
    tell: Tell<'_>,
) -> Result<Vec<OffsetEntry>, StorageError> {
    let Some(bytes) = read(disk, path, tell)? else {
        return Ok(Vec::new());
    };
    let (entries, rest) = bytes.as_chunks::<{ offset_index::ENTRY_SIZE }>();
    tell_rest(path, bytes.len(), rest.len(), tell);
    let mut found: Vec<OffsetEntry> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if entry.iter().all(|byte| *byte == 0) {
            // No entry points at the first batch: this and what follows is reserved room.
            tell_behind_room(path, entries, at, tell);
            break;
        }
        let entry = OffsetEntry::decode(entry, base_offset);
        let before = found.last();
        let rises = entry.offset >= base_offset
            && before.is_none_or(|b| b.offset < entry.offset && b.position < entry.position);
        if rises {
            found.push(entry);
        } else {
            let what = format!(
                "the entry for offset {} at byte {} of the segment does not rise above the one before it",
                entry.offset, entry.position
            );
            tell(place(
                Finding::damage(path, what),
                at,
                offset_index::ENTRY_SIZE,
            ));
        }
    }
    Ok(found)
}

/// Reads the entries of a time index.
pub(super) fn read_time_index(
    disk: &Arc<dyn Disk>,
    path: &Path,
    base_offset: Offset,
    tell: Tell<'_>,
) -> Result<Vec<TimeEntry>, StorageError> {
    let Some(bytes) = read(disk, path, tell)? else {
        return Ok(Vec::new());
    };
    let (entries, rest) = bytes.as_chunks::<{ time_index::ENTRY_SIZE }>();
    tell_rest(path, bytes.len(), rest.len(), tell);
    let mut found: Vec<TimeEntry> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        if entry.iter().all(|byte| *byte == 0) {
            tell_behind_room(path, entries, at, tell);
            break;
        }
        let entry = TimeEntry::decode(entry, base_offset);
        let before = found.last();
        let rises = entry.offset >= base_offset
            && before.is_none_or(|b| b.timestamp < entry.timestamp && b.offset <= entry.offset);
        if rises {
            found.push(entry);
        } else {
            let what = format!(
                "the entry for timestamp {} and offset {} does not rise above the one before it",
                entry.timestamp.0, entry.offset
            );
            tell(place(
                Finding::damage(path, what),
                at,
                time_index::ENTRY_SIZE,
            ));
        }
    }
    Ok(found)
}

fn read(
    disk: &Arc<dyn Disk>,
    path: &Path,
    tell: Tell<'_>,
) -> Result<Option<Vec<u8>>, StorageError> {
    match disk.read_file(path, LENGTH_MAX) {
        Err(error) if error.is_not_found() => {
            tell(Finding::damage(
                path,
                "the index is missing; the broker makes it anew when it starts",
            ));
            Ok(None)
        }
        read => unless_corrupt(read, tell),
    }
}

fn tell_rest(path: &Path, length: usize, rest: usize, tell: Tell<'_>) {
    if rest > 0 {
        let (from, to) = ((length - rest) as u64, length as u64);
        tell(Finding::damage(path, "it ends within an entry").at(from, to));
    }
}

/// Behind reserved room there is nothing.
fn tell_behind_room<const N: usize>(path: &Path, entries: &[[u8; N]], at: usize, tell: Tell<'_>) {
    let behind = entries[at..].iter().position(|entry| *entry != [0; N]);
    if let Some(behind) = behind {
        let (from, to) = ((at * N) as u64, ((at + behind) * N) as u64);
        tell(Finding::damage(path, "entries of zeroes in front of others").at(from, to));
    }
}

fn place(finding: Finding, at: usize, entry_size: usize) -> Finding {
    let from = (at * entry_size) as u64;
    finding.at(from, from + entry_size as u64)
}

/// Compares the offset index with the batches.
pub(super) fn compare_offsets(
    path: &Path,
    entries: &[OffsetEntry],
    batches: &Batches,
    tell: Tell<'_>,
) {
    for (at, entry) in entries.iter().enumerate() {
        let position = u64::from(entry.position);
        if batches.is_damaged_at(position) {
            continue;
        }
        let what = match batches.by_position.get(&position) {
            Some(batch) if (batch.first_offset..=batch.last_offset).contains(&entry.offset) => {
                continue;
            }
            Some(batch) => format!(
                "the entry for offset {} points at byte {position} of the segment, where the batch of the offsets {} to {} is",
                entry.offset, batch.first_offset, batch.last_offset
            ),
            None => format!(
                "the entry for offset {} points at byte {position} of the segment, where no batch begins",
                entry.offset
            ),
        };
        tell(place(
            Finding::damage(path, what),
            at,
            offset_index::ENTRY_SIZE,
        ));
    }
}

/// Compares the time index with the batches.
pub(super) fn compare_times(path: &Path, entries: &[TimeEntry], batches: &Batches, tell: Tell<'_>) {
    if !batches.gaps.is_empty() {
        // What was the largest timestamp up to a batch cannot be said without those before it.
        return;
    }
    let named: Vec<&Indexed> = batches.by_position.values().collect();
    for (at, entry) in entries.iter().enumerate() {
        let below = named.partition_point(|batch| batch.last_offset < entry.offset);
        let batch = named
            .get(below)
            .filter(|batch| batch.first_offset <= entry.offset);
        let what = match batch {
            Some(batch) if is_so(batch, entry.timestamp) => continue,
            Some(batch) => format!(
                "it says that {} is the largest timestamp up to offset {}, which is {}",
                entry.timestamp.0, entry.offset, batch.max_so_far.0
            ),
            None => format!(
                "it says that offset {} has timestamp {}, and there is no such offset",
                entry.offset, entry.timestamp.0
            ),
        };
        tell(place(
            Finding::damage(path, what),
            at,
            time_index::ENTRY_SIZE,
        ));
    }
}

fn is_so(batch: &Indexed, timestamp: Timestamp) -> bool {
    batch.max_timestamp == timestamp && batch.max_so_far == timestamp
}

/// Reads an index of aborted transactions.
pub(super) fn check_transaction_index(
    disk: &Arc<dyn Disk>,
    path: &Path,
    base_offset: Offset,
    log_end: Option<Offset>,
    tell: Tell<'_>,
) -> Result<(), StorageError> {
    let index = TransactionIndex::read(&**disk, path, base_offset);
    let index = unless_corrupt(index, tell)?.flatten();
    for entry in index.unwrap_or_default() {
        let inside = log_end.is_none_or(|end| entry.last_offset < end);
        if entry.first_offset > entry.last_offset || !inside {
            tell(
                Finding::damage(path, "an aborted transaction that the log does not have")
                    .of_offsets(entry.first_offset, entry.last_offset + 1),
            );
        }
    }
    Ok(())
}

impl Batches {
    fn is_damaged_at(&self, position: u64) -> bool {
        self.gaps
            .iter()
            .any(|(from, to)| (*from..*to).contains(&position))
    }
}
