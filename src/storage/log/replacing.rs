//! Putting a compacted segment in the place of those it was made from.
//!
//! Called by the log's writer for each [`Replacement`] of a cleaning. The steps are those of Kafka's
//! `LocalLog.replaceSegments`, each on the device before the next: the new files become `.swap`, from
//! where on the next start finishes what a crash stopped; the old ones become `.deleted`; the new
//! ones get their names. Readers change over at once, between the first step and the second: until
//! the names are right the new files are lent from here. Invariant: at every step the directory holds
//! all that was there, or all that replaces it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::model::Offset;
use crate::storage::StorageError;
use crate::storage::cleaner::target::{Finished, KINDS};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, Stage};

use super::cleaning::Identity;
use super::retention::DeletionReason;
use super::{DeletedFiles, Log};

/// A compacted segment, written and flushed under names that are not part of the log. Dropped, it
/// removes them.
#[derive(Debug)]
pub struct Replacement {
    new: Finished,
    old: Vec<SegmentInfo>,
    identity: Identity,
    in_place: bool,
    /// Told when this never gets to its place.
    refused: Arc<AtomicBool>,
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.in_place {
            self.refused.store(true, Ordering::Release);
        }
    }
}

impl Replacement {
    pub(super) fn new(
        new: Finished,
        old: Vec<SegmentInfo>,
        identity: Identity,
        refused: Arc<AtomicBool>,
    ) -> Replacement {
        Replacement {
            new,
            old,
            identity,
            in_place: false,
            refused,
        }
    }

    /// The offset in the new segment's name.
    pub fn base_offset(&self) -> Offset {
        self.new.info.base_offset
    }

    /// How many segments become this one.
    pub fn segments(&self) -> usize {
        self.old.len()
    }

    /// Bytes of the segments that become this one, and of this one.
    pub fn bytes(&self) -> (u64, u64) {
        let old = self.old.iter().map(|segment| segment.size).sum();
        (old, self.new.info.size)
    }
}

impl Log {
    /// Puts a compacted segment in the place of those it was made from; their files come back, to be
    /// unlinked later. None do when the segments are not all there any more, or not the same: then
    /// the compacted one is removed. Waits for the device: work for a disk thread.
    ///
    /// # Errors
    /// When files cannot be renamed: nothing has changed when that is a lack of space, else the next
    /// start finishes or undoes what was begun.
    pub fn replace_segments(
        &mut self,
        mut replacement: Replacement,
    ) -> Result<Vec<DeletedFiles>, StorageError> {
        self.refuse_if_poisoned()?;
        if !self.is_replaceable(&replacement) {
            log::info!(
                "{}: segments from {} on have changed, and are not replaced",
                self.directory().display(),
                replacement.base_offset()
            );
            return Ok(Vec::new());
        }
        let begun = self.begin_swap(&mut replacement);
        self.note_failure(begun)?;
        replacement.in_place = true;
        self.change_over(&replacement);
        let ended = self.end_swap(&replacement);
        if ended.is_err() {
            // Whatever it was: names are in between, which only the next start settles.
            self.poisoned = true;
        }
        ended
    }

    /// Whether the old segments are all there, as they were read.
    fn is_replaceable(&self, replacement: &Replacement) -> bool {
        let view = self.shared.view();
        let at = view.segments.position_of(replacement.base_offset());
        let there = at.and_then(|at| view.segments.get(at..at + replacement.old.len()));
        // The active segment has no place here, whatever it looks like.
        let closed = at.is_some_and(|at| at + replacement.old.len() < view.segments.len());
        let same = |(known, old): (&SegmentInfo, &SegmentInfo)| {
            (known.base_offset, known.size) == (old.base_offset, old.size)
        };
        self.identity() == replacement.identity
            && closed
            && there.is_some_and(|there| there.iter().zip(&replacement.old).all(same))
    }

    /// From here on the new files are those that count.
    fn begin_swap(&mut self, replacement: &mut Replacement) -> Result<(), StorageError> {
        let files = &mut replacement.new.files;
        let disk = &self.shared.disk;
        for (done, kind) in KINDS.into_iter().enumerate() {
            let renamed = disk.rename(
                &files.path(kind, Stage::Cleaned),
                &files.path(kind, Stage::Swap),
            );
            if let Err(error) = renamed {
                // As long as one of them has its old name, none of them counts.
                for kind in KINDS.into_iter().take(done) {
                    disk.remove_file(&files.path(kind, Stage::Swap))?;
                }
                disk.sync_dir(&self.shared.directory)?;
                return Err(error);
            }
        }
        files.keep();
        disk.sync_dir(&self.shared.directory)
    }

    /// Shows the new segment to readers, in place of the old ones.
    fn change_over(&mut self, replacement: &Replacement) {
        let new = &replacement.new;
        let mut view = self.shared.view();
        let first = new.info.base_offset;
        let count = replacement.old.len();
        let Some(at) = view.segments.position_of(first) else {
            return;
        };
        view.segments
            .change(|segments| drop(segments.splice(at..at + count, [new.info])));
        view.replacements += 1;
        // Who inspects one of them looks at what is no more.
        view.readings += 1;
        view.tail.forget_sequels();
        for old in &replacement.old {
            view.damages.forget(old.base_offset);
            self.shared.handles.forget(old.base_offset);
        }
        self.shared.handles.lend(first, new.open.clone());
    }

    /// Gives the new files their names, once the old ones have lost them.
    fn end_swap(&mut self, replacement: &Replacement) -> Result<Vec<DeletedFiles>, StorageError> {
        self.names_changed = true;
        let directory = self.shared.directory.clone();
        let mut deleted = Vec::new();
        for old in &replacement.old {
            // The producers' snapshot belongs to the offset, which stays a segment's first.
            let kinds = match old.base_offset == replacement.base_offset() {
                true => &FileKind::ALL[..4],
                false => &FileKind::ALL[..],
            };
            deleted.push(self.rename_kinds(old, kinds, DeletionReason::Compaction)?);
        }
        let disk = &self.shared.disk;
        disk.sync_dir(&directory)?;
        let files = &replacement.new.files;
        for kind in KINDS.into_iter().rev() {
            let live = files.path(kind, Stage::Live);
            disk.rename(&files.path(kind, Stage::Swap), &live)?;
            if kind == FileKind::TransactionIndex && !replacement.new.info.has_aborted {
                disk.remove_file(&live)?;
            }
        }
        disk.sync_dir(&directory)?;
        self.shared.handles.end_lending();
        Ok(deleted)
    }
}
