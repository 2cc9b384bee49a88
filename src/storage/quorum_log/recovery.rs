//! Reading the log's files at start: what was acknowledged is there, or the node does not start.
//!
//! Called by [`super::QuorumLog::open`]. A write that was interrupted leaves one bad frame at the
//! very end; it was never acknowledged and is cut. A bad frame anywhere else was once good: the
//! medium lost it, and a node that went on without it could vote against what it had promised.
//! Invariant: nothing is cut unless it lies behind the last sound frame of the last file.

use std::path::Path;
use std::sync::Arc;

use super::frame::{self, Frame, InvalidFrame, Kind};
use super::segment::{FrameAt, Segment, Segments};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, OpenMode};

/// Far more than a segment and the longest frame.
const FILE_LENGTH_MAX: usize = 1 << 30;

/// Reads all files. `purged` is the index up to which entries are not needed any more.
pub(super) fn recover(
    disk: &dyn Disk,
    directory: &Path,
    purged: Option<u64>,
) -> Result<Segments, StorageError> {
    let mut segments = Segments::new(purged);
    let numbers = list(disk, directory)?;
    for (position, number) in numbers.iter().enumerate() {
        let path = Segment::path(directory, *number);
        let earlier = position.checked_sub(1).and_then(|at| numbers.get(at));
        if let Some(earlier) = earlier
            && earlier.checked_add(1) != Some(*number)
        {
            return Err(StorageError::corrupt(
                &path,
                format!("the files between it and number {earlier} are missing"),
            ));
        }
        let is_last = position + 1 == numbers.len();
        read_file(disk, &path, *number, is_last, &mut segments)?;
    }
    segments.check_reaches_back(directory)?;
    // So may be the names, that of the vote for one.
    disk.sync_dir(directory)?;
    Ok(segments)
}

fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<u64>, StorageError> {
    let entries = disk.list(directory)?;
    let names = entries.iter().filter(|entry| !entry.is_directory);
    let mut numbers: Vec<u64> = names
        .filter_map(|entry| Segment::number_of(&entry.name))
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

fn read_file(
    disk: &dyn Disk,
    path: &Path,
    number: u64,
    is_last: bool,
    segments: &mut Segments,
) -> Result<(), StorageError> {
    let bytes = disk.read_file(path, FILE_LENGTH_MAX)?;
    let file = disk.open(path, OpenMode::Write)?;
    segments.push(Segment::new(number, Arc::clone(&file)));
    let mut position = 0;
    while position < bytes.len() {
        match frame::parse(&bytes[position..]) {
            Ok(frame) => {
                take(segments, &frame, position as u64)
                    .map_err(|what| at(path, position, &what))?;
                position += frame.size();
            }
            Err(error) if is_last && is_torn(&bytes, position, error) => {
                log::warn!(
                    "{}: the last {} bytes, from position {position} on, are of an entry that was \
                     being written when the node stopped; it was never acknowledged and is cut",
                    path.display(),
                    bytes.len() - position,
                );
                file.truncate(position as u64)?;
                break;
            }
            Err(error) => return Err(at(path, position, &error.to_string())),
        }
    }
    if is_last {
        // After a kill the last frame may be in memory alone, and it counts from now on.
        file.sync_data()?;
    }
    segments.set_length(position as u64);
    Ok(())
}

/// Whether a bad frame is the last thing in its file. A frame of a later version is not torn.
fn is_torn(bytes: &[u8], position: usize, error: InvalidFrame) -> bool {
    match error {
        InvalidFrame::Short | InvalidFrame::Magic | InvalidFrame::Checksum => {
            frame::find_next(bytes, position + 1).is_none()
        }
        InvalidFrame::Schema(_) | InvalidFrame::Kind(_) => false,
    }
}

fn at(path: &Path, position: usize, what: &str) -> StorageError {
    StorageError::corrupt(
        path,
        format!(
            "at position {position}: {what}; it is not the end of the log, so entries that were \
             acknowledged would be lost, and the node does not start"
        ),
    )
}

/// Adds what a frame says to what is known.
fn take(segments: &mut Segments, frame: &Frame<'_>, position: u64) -> Result<(), String> {
    match frame.kind {
        Kind::Entries => {
            if frame::split_entries(frame).is_none() || frame.count == 0 {
                return Err("the frame's entries are not as many as it says".to_owned());
            }
            segments.add(FrameAt {
                first: frame.index,
                count: u64::from(frame.count),
                position,
                size: frame.size() as u64,
            })
        }
        Kind::Truncation => {
            segments.truncate_from(frame.index);
            Ok(())
        }
        Kind::Vote | Kind::Purged | Kind::Snapshot => {
            Err("the frame is of a kind that has no place in the log".to_owned())
        }
    }
}
