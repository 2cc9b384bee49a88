//! The few files of a log that are open.
//!
//! Shared by the writer and all readers of one log. An idle log holds none; a busy one those used
//! last, as long as all logs together have no more than [`OpenFiles`] allows. A plan that is still
//! being read keeps its own handle, so that a segment may be deleted under it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::model::Offset;
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile, OpenMode};

use super::names::{FileKind, FileName};
use super::open_files::OpenFiles;

/// Most files kept open: three of the active segment, three of one that is read from.
const OPEN_MAX: usize = 6;

#[derive(Debug)]
pub(super) struct Open {
    offset: Offset,
    kind: FileKind,
    file: Arc<dyn DiskFile>,
}

/// Open files, the one used last at the end.
#[derive(Debug, Default)]
struct Held {
    open: Vec<Open>,
    /// Files of a segment that have other names for the moment; in use whatever the limit.
    lent: Vec<Open>,
    /// Whether the log stands in the list of those with open files.
    entered: bool,
}

impl Held {
    fn lent(&self, offset: Offset, kind: FileKind) -> Option<Arc<dyn DiskFile>> {
        let mut lent = self.lent.iter();
        let found = lent.find(|lent| (lent.offset, lent.kind) == (offset, kind));
        found.map(|lent| Arc::clone(&lent.file))
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    held: Mutex<Held>,
    /// Since its last turn in the list of logs with open files.
    used: AtomicBool,
    limit: OnceLock<Arc<OpenFiles>>,
}

/// What a log gives when its turn has come.
pub(super) enum Given {
    /// Nothing: it was used since its last turn.
    Used,
    /// All its files; it has left the list.
    Files(Vec<Open>),
}

impl Handles {
    /// From now on the files opened here count among those of all logs.
    pub(crate) fn set_limit(&self, limit: Arc<OpenFiles>) {
        // Set once, before a file is opened.
        let _ = self.limit.set(limit);
    }

    fn with<T>(&self, use_them: impl FnOnce(&mut Held) -> T) -> T {
        // A panic elsewhere leaves a list of handles, which is always a right one.
        use_them(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says that the log is in use, for a writer that keeps a file beside.
    pub(crate) fn mark_used(&self) {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// The handle of a segment's file, opened when it is not.
    pub(crate) fn get(
        self: &Arc<Self>,
        disk: &dyn Disk,
        directory: &Path,
        offset: Offset,
        kind: FileKind,
    ) -> Result<Arc<dyn DiskFile>, StorageError> {
        self.mark_used();
        let known = self.with(|held| {
            held.lent(offset, kind)
                .or_else(|| find(&mut held.open, offset, kind))
        });
        if let Some(file) = known {
            return Ok(file);
        }
        let name = FileName::live(offset, kind).to_string();
        let file = disk.open(&directory.join(name), OpenMode::Write)?;
        self.insert(offset, kind, Arc::clone(&file));
        Ok(file)
    }

    /// Lends a handle that the writer opened.
    pub(crate) fn insert(
        self: &Arc<Self>,
        offset: Offset,
        kind: FileKind,
        file: Arc<dyn DiskFile>,
    ) {
        self.mark_used();
        let (closed, enters) = self.with(|held| {
            let before = held.open.len();
            held.open
                .retain(|held| (held.offset, held.kind) != (offset, kind));
            if held.open.len() >= OPEN_MAX {
                let at = least_wanted(&held.open);
                held.open.remove(at);
            }
            let closed = before - held.open.len();
            held.open.push(Open { offset, kind, file });
            let bounded = self.limit.get().is_some();
            (
                closed,
                bounded && !std::mem::replace(&mut held.entered, bounded),
            )
        });
        if let Some(limit) = self.limit.get() {
            limit.note_opened(1);
            limit.note_closed(closed);
            if enters {
                limit.enter(self);
            }
            limit.make_room();
        }
    }

    /// Lends these files of a segment from now on, whatever their names are.
    pub(crate) fn lend(&self, offset: Offset, files: Vec<(FileKind, Arc<dyn DiskFile>)>) {
        let lent = files
            .into_iter()
            .map(|(kind, file)| Open { offset, kind, file });
        self.with(|held| held.lent = lent.collect());
    }

    /// The file of a segment that is lent.
    pub(crate) fn lent(&self, offset: Offset, kind: FileKind) -> Option<Arc<dyn DiskFile>> {
        self.with(|held| held.lent(offset, kind))
    }

    /// From now on files are found by their names again.
    pub(crate) fn end_lending(&self) {
        self.with(|held| held.lent = Vec::new());
    }

    /// Closes the files of one segment, which is going away or is no longer written.
    pub(crate) fn forget(&self, offset: Offset) {
        let closed: Vec<Open> = self.with(|held| {
            held.open
                .extract_if(.., |held| held.offset == offset)
                .collect()
        });
        self.note_closed(closed.len());
    }

    /// Closes all files; gives back the memory.
    pub(crate) fn clear(&self) {
        let closed = self.with(|held| std::mem::take(&mut held.open));
        self.note_closed(closed.len());
    }

    /// Gives all files, and leaves the list of logs that have some, unless the log was used since
    /// this was asked last.
    pub(super) fn give_unless_used(&self) -> Given {
        if self.used.swap(false, Ordering::Relaxed) {
            return Given::Used;
        }
        let files = self.with(|held| {
            held.entered = false;
            std::mem::take(&mut held.open)
        });
        self.note_closed(files.len());
        Given::Files(files)
    }

    fn note_closed(&self, count: usize) {
        if let Some(limit) = self.limit.get() {
            limit.note_closed(count);
        }
    }

    /// How many files are open.
    pub(crate) fn count(&self) -> usize {
        self.with(|held| held.open.len())
    }
}

impl Drop for Handles {
    fn drop(&mut self) {
        self.note_closed(self.count());
    }
}

fn find(open: &mut [Open], offset: Offset, kind: FileKind) -> Option<Arc<dyn DiskFile>> {
    let at = open
        .iter()
        .rposition(|held| (held.offset, held.kind) == (offset, kind))?;
    open[at..].rotate_left(1);
    open.last().map(|held| Arc::clone(&held.file))
}

/// The file used longest ago, but for the one that is written to: its writer does not ask here each
/// time.
fn least_wanted(open: &[Open]) -> usize {
    let newest = open.iter().map(|held| held.offset).max();
    open.iter()
        .position(|held| held.kind != FileKind::Log || Some(held.offset) != newest)
        .unwrap_or(0)
}

#[cfg(test)]
#[path = "handles_tests.rs"]
mod tests;
