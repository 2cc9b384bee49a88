//! The few files of a log that are open for readers.
//!
//! Shared by the writer and all readers of one log. An idle log holds none; a busy one those used
//! last. A plan that is still being read keeps its own handle, so that a segment may be deleted
//! under it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Offset;
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile, OpenMode};

use super::names::{FileKind, FileName};

/// Most files kept open: three of the active segment, three of one that is read from.
const OPEN_MAX: usize = 6;

#[derive(Debug)]
struct Open {
    offset: Offset,
    kind: FileKind,
    file: Arc<dyn DiskFile>,
}

/// Open files, the one used last at the end.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    open: Mutex<Vec<Open>>,
}

impl Handles {
    fn with<T>(&self, use_them: impl FnOnce(&mut Vec<Open>) -> T) -> T {
        // A panic elsewhere leaves a list of handles, which is always a right one.
        use_them(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The handle of a segment's file, opened when it is not.
    pub(crate) fn get(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        offset: Offset,
        kind: FileKind,
    ) -> Result<Arc<dyn DiskFile>, StorageError> {
        if let Some(file) = self.with(|open| find(open, offset, kind)) {
            return Ok(file);
        }
        let name = FileName::live(offset, kind).to_string();
        let file = disk.open(&directory.join(name), OpenMode::Write)?;
        self.insert(offset, kind, Arc::clone(&file));
        Ok(file)
    }

    /// Lends a handle that the writer opened.
    pub(crate) fn insert(&self, offset: Offset, kind: FileKind, file: Arc<dyn DiskFile>) {
        self.with(|open| {
            open.retain(|held| (held.offset, held.kind) != (offset, kind));
            if open.len() >= OPEN_MAX {
                open.remove(0);
            }
            open.push(Open { offset, kind, file });
        });
    }

    /// Closes the files of one segment, which is going away or is no longer written.
    pub(crate) fn forget(&self, offset: Offset) {
        self.with(|open| open.retain(|held| held.offset != offset));
    }

    /// Closes all files; gives back the memory.
    pub(crate) fn clear(&self) {
        self.with(|open| *open = Vec::new());
    }

    /// How many files are open.
    pub(crate) fn count(&self) -> usize {
        self.with(|open| open.len())
    }
}

fn find(open: &mut [Open], offset: Offset, kind: FileKind) -> Option<Arc<dyn DiskFile>> {
    let at = open
        .iter()
        .rposition(|held| (held.offset, held.kind) == (offset, kind))?;
    open[at..].rotate_left(1);
    open.last().map(|held| Arc::clone(&held.file))
}
