//! Space kept back for the metadata log, so that a broker starts, and its topics can be deleted, on
//! a disk without a free byte.
//!
//! A start writes a vote and registers the broker. Used by [`super::QuorumLog`]. Invariant: the
//! reserve is given back to the disk only while a write of the log needs it, and whatever is left is
//! taken again at once.

use std::io::IoSlice;
use std::path::Path;

use crate::storage::StorageError;
use crate::storage::disk::{Disk, OpenMode};

/// The file's name.
pub(super) const RESERVE_FILE: &str = "reserve";
/// Enough for hundreds of starts and deletions.
const RESERVE_BYTES: u64 = 256 << 10;
const STEP_BYTES: usize = 16 << 10;

/// Takes the reserve, or as much of it as there is space for; says whether it is short for want of
/// space. On a disk that never waits, which is memory, there is nothing to be kept back.
pub(super) fn take(disk: &dyn Disk, directory: &Path) -> bool {
    if !disk.waits() {
        return false;
    }
    match try_take(disk, directory) {
        Ok(()) => false,
        Err(error) if error.is_out_of_space() => true,
        Err(error) => {
            if !error.is_passing() {
                log::warn!("no space could be kept back for the metadata log: {error}");
            }
            false
        }
    }
}

fn try_take(disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
    let file = disk.open(&directory.join(RESERVE_FILE), OpenMode::Create)?;
    let mut length = file.length()?;
    // Written, not only allocated: some file systems promise space they do not have.
    let zeros = [0; STEP_BYTES];
    while length < RESERVE_BYTES {
        if let Err(error) = file.write_at(&[IoSlice::new(&zeros)], length) {
            file.truncate(length)?;
            return Err(error);
        }
        length += zeros.len() as u64;
    }
    Ok(())
}

/// Gives the reserve back to the disk; says whether there was any.
pub(super) fn give_back(disk: &dyn Disk, directory: &Path) -> bool {
    let Ok(file) = disk.open(&directory.join(RESERVE_FILE), OpenMode::Write) else {
        return false;
    };
    file.length().is_ok_and(|length| length > 0) && file.truncate(0).is_ok()
}
