//! The files beside the log: the vote, how far the log was purged, and snapshots.
//!
//! Each is one frame, replaced as a whole. Invariant: a snapshot is on the disk before the one in
//! front of it goes, and before the log is purged.

use std::path::{Path, PathBuf};

use super::codec::VALUE_LENGTH_MAX;
use super::frame::{self, Kind};
use crate::storage::StorageError;
use crate::storage::disk::Disk;

pub(super) const VOTE_FILE: &str = "vote";
pub(super) const PURGED_FILE: &str = "purged";
const SNAPSHOT_SUFFIX: &str = ".snapshot";
const UNFINISHED_SUFFIX: &str = ".tmp";

/// Replaces one of the files.
pub(super) fn write(
    disk: &dyn Disk,
    path: &Path,
    kind: Kind,
    index: u64,
    payload: &[u8],
) -> Result<(), StorageError> {
    let bytes = frame::encode(kind, index, 1, &[payload])
        .ok_or_else(|| StorageError::corrupt(path, "its content is too long to be written"))?;
    disk.write_file_atomically(path, &bytes)
}

/// Reads one of the files; `None` when it is not there. These files are replaced as a whole, so a
/// damaged one is never a crash's doing.
pub(super) fn read(
    disk: &dyn Disk,
    path: &Path,
    kind: Kind,
) -> Result<Option<(u64, Vec<u8>)>, StorageError> {
    let bytes = match disk.read_file(path, VALUE_LENGTH_MAX + frame::HEAD_SIZE) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let damaged = |what: String| {
        StorageError::corrupt(
            path,
            format!(
                "{what} (position 0); restore it, or give the node an empty directory and let it learn from its peers"
            ),
        )
    };
    let frame = frame::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
    if frame.kind != kind || frame.size() != bytes.len() {
        return Err(damaged(
            "it holds something else than its name says".to_owned(),
        ));
    }
    Ok(Some((frame.index, frame.payload.to_vec())))
}

/// The snapshot of the state up to `index`.
pub(super) fn snapshot_path(directory: &Path, index: u64) -> PathBuf {
    directory.join(format!("{index:020}{SNAPSHOT_SUFFIX}"))
}

/// The index of the newest snapshot. Older ones, and files that were never finished, are what a
/// crash left behind, and are removed.
pub(super) fn newest_snapshot(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<u64>, StorageError> {
    let mut indexes = Vec::new();
    for entry in disk.list(directory)? {
        if entry.name.ends_with(UNFINISHED_SUFFIX) {
            disk.remove_file(&directory.join(&entry.name))?;
        } else if let Some(digits) = entry.name.strip_suffix(SNAPSHOT_SUFFIX) {
            indexes.extend(digits.parse::<u64>().ok());
        }
    }
    let newest = indexes.iter().copied().max();
    if indexes.len() > 1 {
        // After a kill its name may be in memory alone, and the older ones are all there is.
        disk.sync_dir(directory)?;
    }
    for older in indexes.into_iter().filter(|index| Some(*index) != newest) {
        disk.remove_file(&snapshot_path(directory, older))?;
    }
    Ok(newest)
}
