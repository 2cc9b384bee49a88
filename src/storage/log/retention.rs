//! Deleting whole segments: too old, too many bytes, or below what was deleted on demand.
//!
//! A deletion renames at once and unlinks later, so that a crash in between is finished at the next
//! start and a reader in the middle keeps its bytes. Invariant: nothing at or above the high
//! watermark is deleted.

use std::path::PathBuf;

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::Disk;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{DELETED_SUFFIX, FileKind, FileName};

use super::{Log, unless_full};

/// Segments that leave the view together: each time the others move up.
const TAKEN_OUT_AT_A_TIME: usize = 256;

/// Why a segment was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletionReason {
    /// Its largest timestamp is older than `retention.ms`.
    Time,
    /// The log is larger than `retention.bytes`.
    Size,
    /// All of it lies below the log's start (DeleteRecords).
    StartOffset,
    /// The log was cut back.
    Truncation,
    /// A compacted segment took its place.
    Compaction,
}

impl DeletionReason {
    /// For a sentence that says why.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeletionReason::Time => "retention.ms",
            DeletionReason::Size => "retention.bytes",
            DeletionReason::StartOffset => "deleted records",
            DeletionReason::Truncation => "truncation",
            DeletionReason::Compaction => "compaction",
        }
    }
}

/// A segment that is not part of the log any more; its files wait to be unlinked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedFiles {
    /// The offset in the segment's name.
    pub base_offset: Offset,
    /// Bytes of its batches.
    pub size: u64,
    /// Why it was deleted.
    pub reason: DeletionReason,
    /// What to unlink, after `file.delete.delay.ms`.
    pub paths: Vec<PathBuf>,
}

impl DeletedFiles {
    /// Unlinks the files. Any thread may do this; files that are gone already are no error.
    ///
    /// # Errors
    /// When a file cannot be unlinked; it is tried again at the next start.
    pub fn unlink(&self, disk: &dyn Disk) -> Result<(), StorageError> {
        for path in &self.paths {
            match disk.remove_file(path) {
                Err(error) if !error.is_not_found() => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Log {
    /// Deletes segments that retention or the log's start offset no longer keep. May read: the
    /// largest timestamp of a segment is looked up once.
    ///
    /// # Errors
    /// When files cannot be read or renamed. What was deleted before the error stays deleted.
    pub fn delete_retained(
        &mut self,
        now: Timestamp,
        high_watermark: Offset,
    ) -> Result<Vec<DeletedFiles>, StorageError> {
        self.refuse_if_poisoned()?;
        let mut due = self.due_for_deletion(now, high_watermark)?;
        let all = due.len() == self.segments();
        if all && !due.is_empty() {
            // The active segment cannot go; what is in it can, once there is another one.
            let rolled = self.roll(now);
            if unless_full(rolled)?.is_none() {
                due.pop();
            }
        }
        let mut deleted = Vec::new();
        for some in due.chunks(TAKEN_OUT_AT_A_TIME) {
            self.take_out_first(some.len());
            for (at, (segment, reason)) in some.iter().enumerate() {
                match self.rename_deleted(segment, *reason) {
                    Ok(files) => deleted.push(files),
                    Err(error) => {
                        // They lie below the log's start now, and go with the next round.
                        let left = some[at..].iter().map(|(segment, _)| *segment);
                        let mut view = self.shared.view();
                        view.segments.change(|all| drop(all.splice(..0, left)));
                        drop(view);
                        if error.is_passing() && !deleted.is_empty() {
                            // What did go is to be unlinked, which is what helps.
                            log::warn!("{error}; other segments go later");
                            return Ok(deleted);
                        }
                        return Err(error);
                    }
                }
            }
        }
        if !deleted.is_empty() && self.epochs_changed {
            // On a full disk deleting is what helps; the checkpoint comes with the next append.
            let written = self.write_epochs();
            unless_full(written)?;
        }
        Ok(deleted)
    }

    /// Moves the log's start to `offset` (DeleteRecords); says whether it moved. Segments that lie
    /// wholly below go with the next [`Self::delete_retained`]. The caller keeps `offset` at or
    /// below the high watermark, and checkpoints it.
    pub fn advance_log_start_offset(&mut self, offset: Offset) -> bool {
        {
            let mut view = self.shared.view();
            if offset <= view.log_start_offset || offset > view.log_end_offset {
                return false;
            }
            view.log_start_offset = offset;
        }
        self.note_start(offset);
        true
    }

    fn note_start(&mut self, start: Offset) {
        if self.shared.view().epochs.truncate_from_start(start) {
            self.epochs_changed = true;
        }
    }

    /// Takes the oldest segments out of the view; the log starts behind them.
    fn take_out_first(&mut self, count: usize) {
        let (gone, start) = {
            let mut view = self.shared.view();
            let gone: Vec<SegmentInfo> = view.segments.change(|all| all.drain(..count).collect());
            for segment in &gone {
                view.damages.forget(segment.base_offset);
            }
            let first = view.segments.first().map(|first| first.base_offset);
            view.log_start_offset = view.log_start_offset.max(first.unwrap_or_default());
            (gone, view.log_start_offset)
        };
        for segment in gone {
            self.shared.handles.forget(segment.base_offset);
        }
        self.note_start(start);
    }

    /// The oldest segments, as far as each of them is to go.
    fn due_for_deletion(
        &mut self,
        now: Timestamp,
        high_watermark: Offset,
    ) -> Result<Vec<(SegmentInfo, DeletionReason)>, StorageError> {
        let (size, log_start_offset) = {
            let mut view = self.shared.view();
            (view.size(), view.log_start_offset)
        };
        let mut excess = match self.config.retention_bytes {
            Some(bytes_max) if self.config.deletes => size.saturating_sub(bytes_max),
            _ => 0,
        };
        let mut due = Vec::new();
        // One after the other: usually the first one stays, however many there are.
        for at in 0.. {
            let (segment, next) = {
                let view = self.shared.view();
                let next = view.segments.get(at + 1).map(|next| next.base_offset);
                (view.segments.get(at).copied(), next)
            };
            let Some(segment) = segment else { break };
            let end = next.unwrap_or(self.log_end_offset);
            let empty_last = next.is_none() && segment.size == 0;
            if empty_last || end > high_watermark {
                break;
            }
            let below_start = next.is_some_and(|next| next <= log_start_offset);
            let reason = if below_start {
                DeletionReason::StartOffset
            } else if excess > 0 && excess >= segment.size {
                DeletionReason::Size
            } else if self.config.deletes && self.is_expired(&segment, now)? {
                DeletionReason::Time
            } else {
                break;
            };
            excess = excess.saturating_sub(segment.size);
            due.push((segment, reason));
        }
        Ok(due)
    }

    fn is_expired(&mut self, segment: &SegmentInfo, now: Timestamp) -> Result<bool, StorageError> {
        let Some(retention_ms) = self.config.retention_ms else {
            return Ok(false);
        };
        let largest = match self.reader().max_timestamp_of(segment)? {
            largest if largest.timestamp >= Timestamp(0) => Some(largest.timestamp),
            _ => segment.modified,
        };
        if largest.is_some_and(|largest| largest > now)
            && !std::mem::replace(&mut self.future_told, true)
        {
            log::warn!(
                "{}: the segment at {} has a record whose timestamp lies in the future, and stays until retention.ms after that",
                self.directory().display(),
                segment.base_offset
            );
        }
        Ok(largest.is_some_and(|largest| now.0.saturating_sub(largest.0) > retention_ms))
    }

    /// Renames the files of a segment that is out of the view.
    pub(super) fn rename_deleted(
        &mut self,
        segment: &SegmentInfo,
        reason: DeletionReason,
    ) -> Result<DeletedFiles, StorageError> {
        self.rename_kinds(segment, &FileKind::ALL, reason)
    }

    /// Renames some of the files of a segment that is out of the view.
    pub(super) fn rename_kinds(
        &mut self,
        segment: &SegmentInfo,
        kinds: &[FileKind],
        reason: DeletionReason,
    ) -> Result<DeletedFiles, StorageError> {
        let mut paths: Vec<PathBuf> = Vec::new();
        let mut renamed: Vec<PathBuf> = Vec::new();
        for kind in kinds {
            let name = FileName::live(segment.base_offset, *kind).to_string();
            let live = self.shared.directory.join(&name);
            let gone = self
                .shared
                .directory
                .join(format!("{name}{DELETED_SUFFIX}"));
            match self.shared.disk.rename(&live, &gone) {
                Ok(()) => {
                    paths.push(gone);
                    renamed.push(live);
                }
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    // Without space for a name: the segment is whole again, and goes another time.
                    for (gone, live) in paths.iter().zip(&renamed) {
                        let back = self.shared.disk.rename(gone, live);
                        if back.is_err() {
                            self.poisoned = true;
                        }
                    }
                    return self.note_failure(Err(error));
                }
            }
        }
        self.names_changed = true;
        Ok(DeletedFiles {
            base_offset: segment.base_offset,
            size: segment.size,
            reason,
            paths,
        })
    }
}
