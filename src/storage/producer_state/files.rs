//! The snapshot files in a partition's directory, `<20-digit offset>.snapshot`.
//!
//! `storage::Log` writes one when it rolls a segment and when it closes, so that a start reads only
//! the batches behind the newest. Invariant: a file that is damaged is as good as none: an older one
//! and more of the log give the same state.

use std::io::IoSlice;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::ProducerStates;
use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, OpenMode};

/// How the files' names end.
pub const SNAPSHOT_SUFFIX: &str = ".snapshot";

const OFFSET_DIGITS: usize = 20;
/// 46 bytes per producer: room for five million of them.
const LENGTH_MAX: usize = 256 << 20;

/// The snapshot at an offset.
pub fn snapshot_path(directory: &Path, offset: Offset) -> PathBuf {
    directory.join(format!("{:020}{SNAPSHOT_SUFFIX}", offset.0))
}

/// The offsets of all snapshots in a directory, rising. A directory that is not there has none.
pub fn list_snapshots(disk: &dyn Disk, directory: &Path) -> Result<Vec<Offset>, StorageError> {
    let entries = match disk.list(directory) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let files = entries.iter().filter(|entry| !entry.is_directory);
    let mut offsets: Vec<Offset> = files.filter_map(|entry| offset_of(&entry.name)).collect();
    offsets.sort_unstable();
    Ok(offsets)
}

fn offset_of(name: &str) -> Option<Offset> {
    let digits = name.strip_suffix(SNAPSHOT_SUFFIX)?;
    let only_digits = digits.len() == OFFSET_DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    only_digits.then(|| digits.parse().ok().map(Offset))?
}

/// Reads the newest snapshot that is sound and not above `log_end_offset`. The caller replays the
/// batches from its `end_offset`; without any snapshot that is `log_start_offset`. Damaged files
/// are removed: nobody may take them for sound later.
pub fn load_newest_snapshot(
    disk: &dyn Disk,
    directory: &Path,
    log_start_offset: Offset,
    log_end_offset: Offset,
    expiration_ms: i64,
    now: Timestamp,
) -> Result<ProducerStates, StorageError> {
    let offsets = list_snapshots(disk, directory)?;
    let range = log_start_offset..=log_end_offset;
    load_newest_of(disk, directory, &offsets, range, expiration_ms, now)
}

/// As [`load_newest_snapshot`], of snapshots that were listed before: their offsets rise.
pub fn load_newest_of(
    disk: &dyn Disk,
    directory: &Path,
    snapshots: &[Offset],
    range: RangeInclusive<Offset>,
    expiration_ms: i64,
    now: Timestamp,
) -> Result<ProducerStates, StorageError> {
    for offset in snapshots.iter().rev().copied() {
        if !range.contains(&offset) {
            continue;
        }
        let path = snapshot_path(directory, offset);
        let detail = match disk.read_file(&path, LENGTH_MAX) {
            Ok(bytes) => match ProducerStates::from_snapshot(&bytes, offset, expiration_ms, now) {
                Ok(states) => return Ok(states),
                Err(invalid) => invalid.to_string(),
            },
            Err(StorageError::Corrupt { detail, .. }) => detail,
            Err(error) => return Err(error),
        };
        log::warn!("producer snapshot {} is not used: {detail}", path.display());
        disk.remove_file(&path)?;
    }
    let mut states = ProducerStates::new(expiration_ms);
    states.set_end_offset(*range.start());
    Ok(states)
}

/// Reads the snapshot at exactly this offset; none when there is none that is sound.
pub fn load_snapshot(
    disk: &dyn Disk,
    directory: &Path,
    offset: Offset,
    expiration_ms: i64,
    now: Timestamp,
) -> Result<Option<ProducerStates>, StorageError> {
    match disk.read_file(&snapshot_path(directory, offset), LENGTH_MAX) {
        Ok(bytes) => Ok(ProducerStates::from_snapshot(&bytes, offset, expiration_ms, now).ok()),
        Err(StorageError::Corrupt { .. }) => Ok(None),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the snapshot at the states' end offset and returns that offset. `sync` makes it last over
/// a loss of power; without it a torn file is recognised by its checksum.
pub fn write_snapshot(
    disk: &dyn Disk,
    directory: &Path,
    states: &ProducerStates,
    sync: bool,
) -> Result<Offset, StorageError> {
    let offset = states.end_offset();
    let path = snapshot_path(directory, offset);
    let bytes = states.to_snapshot();
    let file = disk.open(&path, OpenMode::Truncate)?;
    file.write_at(&[IoSlice::new(&bytes)], 0)?;
    if sync {
        file.sync_data()?;
        disk.sync_dir(directory)?;
    }
    Ok(offset)
}

/// Removes the snapshots for which `is_unused` holds: below the log's start, above a truncation.
pub fn delete_snapshots(
    disk: &dyn Disk,
    directory: &Path,
    is_unused: impl Fn(Offset) -> bool,
) -> Result<(), StorageError> {
    for offset in list_snapshots(disk, directory)? {
        if is_unused(offset) {
            match disk.remove_file(&snapshot_path(directory, offset)) {
                Err(error) if !error.is_not_found() => return Err(error),
                Ok(()) | Err(_) => (),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
