//! One file of batches and its indexes: what is known of it, how it is searched and scanned.
//!
//! Everything here works on a segment from outside; `storage::log` says when.

pub(crate) mod doubts;
pub(crate) mod handles;
pub(crate) mod index_search;
pub(crate) mod list;
pub(crate) mod names;
pub(crate) mod open_files;
pub(crate) mod scan;
pub(crate) mod search;

use crate::model::{Offset, Timestamp};

use super::time_index::TimeEntry;

/// What is known of a segment without reading it. Copied out of the view by readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentInfo {
    /// The offset in its name: no batch of it is below.
    pub(crate) base_offset: Offset,
    /// Bytes of whole batches in the log file.
    pub(crate) size: u64,
    /// Entries written to the offset index file.
    pub(crate) offset_entries: u32,
    /// Entries written to the time index file.
    pub(crate) time_entries: u32,
    /// The largest timestamp, and the last offset of the first batch that has it. Unknown until
    /// asked for when the segment was found on disk; with timestamp -1 for a segment without any.
    pub(crate) max_timestamp: Option<TimeEntry>,
    /// When the log file was last written, for segments without timestamps, where known.
    pub(crate) modified: Option<Timestamp>,
    /// Whether there is an index of aborted transactions.
    pub(crate) has_aborted: bool,
}

impl SegmentInfo {
    /// A segment of which nothing is written yet.
    pub(crate) fn empty(base_offset: Offset, now: Timestamp) -> SegmentInfo {
        SegmentInfo {
            base_offset,
            size: 0,
            offset_entries: 0,
            time_entries: 0,
            max_timestamp: Some(TimeEntry {
                timestamp: Timestamp::NONE,
                offset: base_offset,
            }),
            modified: Some(now),
            has_aborted: false,
        }
    }
}

/// Whether an offset can be written relative to a base, in the 31 bits of an index entry.
pub(crate) fn fits_relative(base_offset: Offset, offset: Offset) -> bool {
    (0..=i64::from(i32::MAX)).contains(&(offset - base_offset))
}
