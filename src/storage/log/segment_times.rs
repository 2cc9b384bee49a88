//! The largest timestamps of a log's closed segments, in a file of our own, so that after a crash a
//! search by timestamp need not open the index of each segment in front of what it looks for.
//!
//! Only logs of many segments have the file; it is replaced every so many rolls, and read when the
//! log is opened by looking into it. Invariant: the file only saves work. What it says of a segment
//! counts when the segment has the length it had then, and a file that is damaged says nothing.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Log;
use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::closed_logs::digest;
use crate::storage::disk::Disk;
use crate::storage::quorum_log::codec;
use crate::storage::segment::SegmentInfo;
use crate::storage::time_index::TimeEntry;

/// The file's name inside a partition's directory. Kafka leaves it alone.
pub(crate) const SEGMENT_TIMES_FILE: &str = "milena-segment-times";
/// Rolls between two writes, and the fewest segments for which there is a file.
const WRITTEN_EVERY: usize = 512;
/// Raised when the content changes: another version says nothing.
const VERSION: u32 = 1;
/// Bytes of the digest in front of the content.
const DIGEST_SIZE: usize = 8;
/// Room for a million segments and more.
const LENGTH_MAX: usize = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    segments: Vec<Known>,
}

/// Of one segment: its base offset and bytes, its largest timestamp and where that is.
#[derive(Serialize, Deserialize)]
struct Known {
    base_offset: i64,
    size: u64,
    timestamp: i64,
    offset: i64,
}

impl Log {
    /// Replaces the file when it is time to.
    pub(super) fn note_segment_times(&mut self) {
        let count = self.segments();
        if count == 0 || !count.is_multiple_of(WRITTEN_EVERY) {
            return;
        }
        let bytes = {
            let view = self.shared.view();
            let (_, closed) = view.segments.split_last().unzip();
            encode(closed.unwrap_or_default())
        };
        let path = self.directory().join(SEGMENT_TIMES_FILE);
        let written = bytes.map(|bytes| self.replace_file(&path, &bytes));
        // What is not written costs the next start time, when it was a crash that ended this life.
        if let Some(Err(error)) = written {
            log::warn!("the largest timestamps of the segments were not noted: {error}");
        }
    }
}

fn encode(segments: &[SegmentInfo]) -> Option<Vec<u8>> {
    let known = segments.iter().filter_map(|segment| {
        let largest = segment.max_timestamp?;
        Some(Known {
            base_offset: segment.base_offset.0,
            size: segment.size,
            timestamp: largest.timestamp.0,
            offset: largest.offset.0,
        })
    });
    let content = Content {
        version: VERSION,
        segments: known.collect(),
    };
    let content = codec::encode(&content).ok()?;
    let mut bytes = digest(&content).to_le_bytes().to_vec();
    bytes.extend(content);
    Some(bytes)
}

/// Fills in what the file knows of segments that were only listed.
pub(crate) fn recall(
    disk: &dyn Disk,
    directory: &Path,
    segments: &mut [SegmentInfo],
) -> Result<(), StorageError> {
    let bytes = match disk.read_file(&directory.join(SEGMENT_TIMES_FILE), LENGTH_MAX) {
        Ok(bytes) => bytes,
        Err(StorageError::Corrupt { .. } | StorageError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    };
    for known in decode(&bytes).unwrap_or_default() {
        let base_offset = Offset(known.base_offset);
        let at = segments.binary_search_by_key(&base_offset, |segment| segment.base_offset);
        if let Some(segment) = at.ok().and_then(|at| segments.get_mut(at))
            && segment.size == known.size
        {
            segment.max_timestamp.get_or_insert(TimeEntry {
                timestamp: Timestamp(known.timestamp),
                offset: Offset(known.offset),
            });
        }
    }
    Ok(())
}

fn decode(bytes: &[u8]) -> Option<Vec<Known>> {
    let (expected, content) = bytes.split_first_chunk::<DIGEST_SIZE>()?;
    if digest(content) != u64::from_le_bytes(*expected) {
        return None;
    }
    let content: Content = codec::decode(content).ok()?;
    (content.version == VERSION).then_some(content.segments)
}
