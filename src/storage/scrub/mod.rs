//! Reading what nobody reads: old segments are walked over and their batches checked, so that rot is
//! found while there is still another copy.
//!
//! The walk is here; which segment is next, how fast, and on which thread is said by
//! `actors::scrubber`, what follows from what is found by `storage::log`.

mod files;
pub(crate) mod walk;
mod window;

pub use files::{
    DAMAGED_RANGES_FILE, DamagedRanges, SCRUB_PROGRESS_FILE, ScrubProgress, read_damaged_ranges,
    read_scrub_progress, write_damaged_ranges, write_scrub_progress,
};
