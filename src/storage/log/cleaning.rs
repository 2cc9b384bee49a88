//! One round of compaction of one log.
//!
//! Made by the log's writer ([`Log::begin_cleaning`]), worked off on a cleaner's thread, and put in
//! place by the writer again ([`Log::replace_segments`]), group by group. Invariant: until then
//! nothing that is part of the log is changed.

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::cleaner::{CleaningError, CleaningStats, OffsetMap, Pace};

use super::{Cleanable, Log, Replacement};

/// A round under way. It reads through handles of its own, and any thread may have it.
#[derive(Debug)]
pub struct Cleaning {
    clean_until: Offset,
    stats: CleaningStats,
}

impl Log {
    /// Begins a round; none when there is nothing to clean after all. Closes the active segment when
    /// `max.compaction.lag.ms` demands it, and waits for the device when what is to be cleaned is
    /// not on it yet: work for a disk thread.
    ///
    /// # Errors
    /// When the log is poisoned, or files cannot be made or flushed.
    pub fn begin_cleaning(
        &mut self,
        _cleanable: &Cleanable,
        _now: Timestamp,
    ) -> Result<Option<Cleaning>, StorageError> {
        Ok(None)
    }
}

impl Cleaning {
    /// Reads the dirty part of the log into the map, as much of it as the map takes.
    ///
    /// # Errors
    /// [`CleaningError`]: the round is over.
    pub fn fill(
        &mut self,
        _map: &mut OffsetMap,
        _pace: &mut dyn Pace,
    ) -> Result<(), CleaningError> {
        Ok(())
    }

    /// Writes what is left of the next group of segments, flushed, for [`Log::replace_segments`].
    /// None when all are written. Groups that are as they should be are passed over.
    ///
    /// # Errors
    /// [`CleaningError`]: the round is over.
    pub fn next_replacement(
        &mut self,
        _map: &mut OffsetMap,
        _pace: &mut dyn Pace,
    ) -> Result<Option<Replacement>, CleaningError> {
        Ok(None)
    }

    /// What `cleaner-offset-checkpoint` is to say once all replacements are in place. Known when the
    /// map is filled.
    pub fn clean_until(&self) -> Offset {
        self.clean_until
    }

    /// What was done so far.
    pub fn stats(&self) -> &CleaningStats {
        &self.stats
    }
}
