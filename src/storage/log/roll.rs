//! Making segments: the first one with the directory, the next ones when one is full or old.

use std::sync::Arc;

use crate::model::{Offset, Timestamp};
use crate::storage::disk::OpenMode;
use crate::storage::partition_metadata::{PARTITION_METADATA, partition_metadata_to_text};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::{StorageError, offset_index, time_index};

use super::Log;
use super::active::Active;

impl Log {
    /// Closes the active segment, if it has batches, without waiting for the next one; says whether
    /// it did. Retention needs that, appends roll by themselves.
    ///
    /// # Errors
    /// When files cannot be written.
    pub fn roll(&mut self, now: Timestamp) -> Result<bool, StorageError> {
        self.refuse_if_poisoned()?;
        match &self.active {
            Some(active) if active.size > 0 => self.roll_to(self.log_end_offset, now),
            _ => Ok(false),
        }
    }

    /// Makes the directory, the file that names its topic, and the first segment.
    pub(super) fn make_first_segment(
        &mut self,
        base_offset: Offset,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let made = self.try_make_first_segment(base_offset, now);
        self.note_failure(made)
    }

    fn try_make_first_segment(
        &mut self,
        base_offset: Offset,
        now: Timestamp,
    ) -> Result<(), StorageError> {
        let directory = self.shared.directory.clone();
        self.shared.disk.create_dir_all(&directory)?;
        if let Some(topic_id) = self.topic_id {
            let path = directory.join(PARTITION_METADATA);
            if !self.shared.disk.exists(&path)? {
                let text = partition_metadata_to_text(topic_id);
                self.replace_file(&path, text.as_bytes())?;
            }
        }
        self.make_segment(base_offset, now)
    }

    /// Closes the active segment and makes the next one. Without space nothing is changed but that
    /// the old one's indexes are complete already.
    pub(super) fn roll_to(
        &mut self,
        base_offset: Offset,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        let rolled = self.try_roll_to(base_offset, now);
        self.note_failure(rolled)
    }

    fn try_roll_to(&mut self, base_offset: Offset, now: Timestamp) -> Result<bool, StorageError> {
        let empty = self.active.as_ref().filter(|active| active.size == 0);
        if let Some(empty) = empty.map(|active| active.base_offset) {
            // It never got a batch, and the next one has an offset it cannot hold.
            self.shared.view().segments.take_out(empty);
            self.shared.handles.forget(empty);
            for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex] {
                let name = FileName::live(empty, kind).to_string();
                self.shared
                    .disk
                    .remove_file(&self.shared.directory.join(name))?;
            }
            self.make_segment(base_offset, now)?;
            return Ok(false);
        }
        self.finish_active()?;
        let old = self.active.as_ref().map(|active| active.base_offset);
        if let Err(error) = self.make_segment(base_offset, now) {
            if error.is_passing() {
                self.take_back_segment(base_offset, old)?;
            }
            return Err(error);
        }
        // Behind what may fail for want of space, which is tried again at every append.
        self.write_snapshot()?;
        if let Some(old) = old {
            self.shared.handles.forget(old);
        }
        self.note_segment_times();
        Ok(true)
    }

    /// Makes the files of a segment and goes on there.
    fn make_segment(&mut self, base_offset: Offset, now: Timestamp) -> Result<(), StorageError> {
        let shared = Arc::clone(&self.shared);
        // A reader may still have files of a segment that had this name before a truncation.
        shared.handles.forget(base_offset);
        let open = |kind, mode| {
            let name = FileName::live(base_offset, kind).to_string();
            shared.disk.open(&shared.directory.join(name), mode)
        };
        let log = open(FileKind::Log, OpenMode::Create)?;
        if log.length()? > 0 {
            return Err(StorageError::corrupt(
                log.path(),
                "has bytes before its first batch was appended",
            ));
        }
        open(FileKind::OffsetIndex, OpenMode::Truncate)?;
        open(FileKind::TimeIndex, OpenMode::Truncate)?;
        shared
            .handles
            .insert(base_offset, FileKind::Log, Arc::clone(&log));
        self.names_changed = true;
        let mut active = Active::new(base_offset, &self.config, &mut self.random, now);
        active.log = Some(Arc::downgrade(&log));
        self.active = Some(active);
        let mut view = shared.view();
        view.segments.push(SegmentInfo::empty(base_offset, now));
        view.tail.restart(0);
        Ok(())
    }

    /// Removes what was made of a segment before space ended. Until its names are known to be gone
    /// the segment before may be taken for a closed one, and its indexes for complete.
    fn take_back_segment(
        &mut self,
        base_offset: Offset,
        old: Option<Offset>,
    ) -> Result<(), StorageError> {
        for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::TimeIndex] {
            let name = FileName::live(base_offset, kind).to_string();
            let path = self.shared.directory.join(name);
            // Only what is as empty as it was made: nothing here deletes batches.
            let found = self.shared.disk.look(&path)?;
            if found.is_some_and(|found| found.length == 0) {
                self.shared.disk.remove_file(&path)?;
            }
        }
        self.shared.handles.forget(base_offset);
        self.names_changed = true;
        for kind in [FileKind::OffsetIndex, FileKind::TimeIndex] {
            if let Some(old) = old {
                let name = FileName::live(old, kind).to_string();
                self.note_unflushed(&self.shared.directory.join(name));
            }
        }
        Ok(())
    }

    /// Completes the indexes of the active segment and gives back blocks it did not need.
    pub(super) fn finish_active(&mut self) -> Result<(), StorageError> {
        let Some(active) = &mut self.active else {
            return Ok(());
        };
        let entry = active.next_time_entry();
        let trim = active.allocated > active.size;
        let (base_offset, size) = (active.base_offset, active.size);
        active.allocated = active.size;
        self.shared.view().tail.pending_times.extend(entry);
        self.write_pending_indexes()?;
        if trim {
            let log = self.shared.handle(base_offset, FileKind::Log)?;
            let trimmed = log.truncate(size);
            self.note_failure(trimmed)?;
        }
        Ok(())
    }

    /// Writes the index entries that are only in memory. Without space they stay there.
    pub(super) fn write_pending_indexes(&mut self) -> Result<(), StorageError> {
        let (info, offsets, times) = {
            let view = self.shared.view();
            let Some(info) = view.segments.last() else {
                return Ok(());
            };
            let tail = &view.tail;
            (
                *info,
                tail.pending_offsets.clone(),
                tail.pending_times.clone(),
            )
        };
        let base = info.base_offset;
        if !offsets.is_empty() {
            let written = self
                .shared
                .handle(base, FileKind::OffsetIndex)
                .and_then(|file| {
                    offset_index::write_entries(&*file, info.offset_entries, base, &offsets)
                });
            self.note_failure(written)?;
            let mut view = self.shared.view();
            view.tail.pending_offsets.clear();
            if let Some(info) = view.segments.last_mut() {
                info.offset_entries += u32::try_from(offsets.len()).unwrap_or(0);
            }
        }
        if !times.is_empty() {
            let written = self
                .shared
                .handle(base, FileKind::TimeIndex)
                .and_then(|file| {
                    time_index::write_entries(&*file, info.time_entries, base, &times)
                });
            self.note_failure(written)?;
            let mut view = self.shared.view();
            view.tail.pending_times.clear();
            if let Some(info) = view.segments.last_mut() {
                info.time_entries += u32::try_from(times.len()).unwrap_or(0);
            }
        }
        Ok(())
    }
}
