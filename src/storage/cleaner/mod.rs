//! Compaction: of each key the latest record stays, as Kafka's `Cleaner` has it.
//!
//! The parts of a round, without the log they work on: what is known of keys ([`OffsetMap`]), which
//! records and batches stay, how segments are grouped, and writing what is left of them. A round is
//! put together in `storage::log` (`Cleaning`) and runs on a cleaner's thread. Invariant: offsets
//! never change, and nothing that is part of the log is written to.

pub(crate) mod filling;
pub(crate) mod groups;
mod offset_map;
pub(crate) mod rewriting;
pub(crate) mod source;
pub(crate) mod target;
pub(crate) mod transactions;
pub(crate) mod verdict;

use std::path::PathBuf;

pub use offset_map::OffsetMap;

use crate::model::Offset;

use super::StorageError;

/// Told of every byte a cleaning reads or writes: waits for the I/O budget, or ends the cleaning.
pub trait Pace {
    /// So many bytes were moved from or to the disk just now.
    ///
    /// # Errors
    /// When the cleaning is to stop: its log moves, is deleted or closed.
    fn moved(&mut self, bytes: u64) -> Result<(), CleaningStopped>;
}

/// Somebody wants the log for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleaningStopped;

/// What a cleaning has done so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CleaningStats {
    /// Bytes read to fill the map.
    pub map_bytes_read: u64,
    /// Records read to fill the map.
    pub map_records_read: u64,
    /// Keys in the map.
    pub map_keys: u64,
    /// Slots of the map that were in use, of 1.
    pub map_utilization: f64,
    /// Bytes read to be written again.
    pub bytes_read: u64,
    /// Bytes written, indexes left out.
    pub bytes_written: u64,
    /// Batches read to be written again.
    pub batches_read: u64,
    /// Batches that stayed, some of them without records.
    pub batches_kept: u64,
    /// Records read to be written again.
    pub records_read: u64,
    /// Records that stayed.
    pub records_kept: u64,
    /// Records that went because they have no key (`invalidMessagesRead`).
    pub records_without_key: u64,
    /// Segments that were replaced, or found as they are to be.
    pub segments_read: u64,
    /// Segments written for them.
    pub segments_written: u64,
}

/// Why a cleaning ended early. Nothing in the log has changed but what was replaced already.
#[derive(Debug, thiserror::Error)]
pub enum CleaningError {
    /// [`Pace`] said so.
    #[error("the cleaning was stopped")]
    Stopped,
    /// Segments were cut off, deleted or replaced meanwhile: begin another round.
    #[error("the log has changed since the cleaning began")]
    Changed,
    /// Not one batch fits into the map: it would never come to an end
    /// (`log.cleaner.dedupe.buffer.size`).
    #[error("the keys of the batch at offset {offset} do not fit into a map of {keys_max}")]
    MapTooSmall {
        /// The first offset of the batch.
        offset: Offset,
        /// Keys the map takes.
        keys_max: u64,
    },
    /// A batch, or what it decompresses to, is larger than a cleaner takes into memory.
    #[error("the batch at byte {position} of {} has {bytes} bytes, more than {bytes_max}", .path.display())]
    TooLarge {
        /// The segment's file.
        path: PathBuf,
        /// Where the batch begins.
        position: u64,
        /// Its bytes, as far as known.
        bytes: u64,
        /// The most there may be.
        bytes_max: u64,
    },
    /// A segment has bytes that are no batch, or not the batch that was appended.
    #[error("{} is damaged at byte {position}: {detail}", .path.display())]
    Damaged {
        /// The segment's file.
        path: PathBuf,
        /// Where the batch begins that is damaged.
        position: u64,
        /// The first offset that may be affected.
        offset: Offset,
        /// What is wrong.
        detail: String,
    },
    /// Files could not be read or written. When there is no space the log goes on as it is.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<CleaningStopped> for CleaningError {
    fn from(_: CleaningStopped) -> CleaningError {
        CleaningError::Stopped
    }
}
