//! Cutting the log back, as a follower does whose leader has another history.

use std::sync::Arc;

use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::producer_state::delete_snapshots;
use crate::storage::recovery::{self, RecoveryInput, Site};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::{offset_index, time_index};

use super::active::Active;
use super::damage::Island;
use super::producers::cut_transaction_index;
use super::retention::{DeletedFiles, DeletionReason};
use super::{Log, first_unsettled};

impl Log {
    /// Cuts everything at or above `offset` off, with the whole batch that contains it. What the
    /// files hold then is read again, as at a start.
    ///
    /// # Errors
    /// When files cannot be read, written or cut; the log is then poisoned.
    pub fn truncate_to(
        &mut self,
        offset: Offset,
        now: Timestamp,
    ) -> Result<Vec<DeletedFiles>, StorageError> {
        self.refuse_if_poisoned()?;
        if offset >= self.log_end_offset {
            return Ok(Vec::new());
        }
        let first = self.shared.view().segments.first().map(|s| s.base_offset);
        if first.is_none_or(|first| offset < first) {
            return self.truncate_fully(offset);
        }
        let cut = self.cut(offset, now);
        if cut.is_err() {
            self.poisoned = true;
        }
        cut
    }

    /// Empties the log; it goes on at `offset`.
    ///
    /// # Errors
    /// When files cannot be renamed; the log is then poisoned.
    pub fn truncate_fully(&mut self, offset: Offset) -> Result<Vec<DeletedFiles>, StorageError> {
        self.refuse_if_poisoned()?;
        let segments = self.shared.view().segments.change(std::mem::take);
        let mut deleted = Vec::new();
        for segment in &segments {
            self.shared.handles.forget(segment.base_offset);
            deleted.push(self.rename_deleted(segment, DeletionReason::Truncation)?);
        }
        if !deleted.is_empty() {
            let directory = &self.shared.directory;
            let forgotten = delete_snapshots(&*self.shared.disk, directory, |_| true);
            let flushed = forgotten.and_then(|()| self.shared.disk.sync_dir(directory));
            self.note_failure(flushed)?;
        }
        self.generation += 1;
        self.active = None;
        self.log_end_offset = offset;
        self.recovery_point = offset;
        self.dirty_from = Offset::ZERO;
        self.producers.restart_at(offset);
        self.latest_epoch = LeaderEpoch::NONE;
        self.epochs_changed = true;
        let mut view = self.shared.view();
        view.log_start_offset = offset;
        view.log_end_offset = offset;
        view.epochs.clear();
        view.restart_damages();
        view.tail.restart(0);
        Ok(deleted)
    }

    fn cut(&mut self, offset: Offset, now: Timestamp) -> Result<Vec<DeletedFiles>, StorageError> {
        self.finish_active()?;
        let (last, gone) = {
            let mut view = self.shared.view();
            let kept = view.segments.partition_point(|s| s.base_offset <= offset);
            let last = kept.checked_sub(1).and_then(|at| view.segments.get(at));
            let last = last.copied();
            (last, view.segments.change(|all| all.split_off(kept)))
        };
        let mut deleted = Vec::new();
        for segment in &gone {
            self.shared.handles.forget(segment.base_offset);
            deleted.push(self.rename_deleted(segment, DeletionReason::Truncation)?);
        }
        if let Some(last) = last {
            self.cut_segment(&last, offset)?;
        }
        self.shared.view().epochs.truncate_from_end(offset);
        self.write_epochs()?;
        self.shared.disk.sync_dir(&self.shared.directory)?;
        self.generation += 1;
        self.reload(offset, now)?;
        // Producers' snapshots of what was cut are gone: their names must not come back.
        self.names_changed = true;
        Ok(deleted)
    }

    fn cut_segment(&mut self, segment: &SegmentInfo, offset: Offset) -> Result<(), StorageError> {
        let base = segment.base_offset;
        let island = self.shared.view().damages.island(base, offset);
        // What is damaged and reaches over the cut goes with it.
        let (island, damaged) = match island {
            Ok(island) => (island, None),
            Err(damage) => (Island::WHOLE, Some(damage.position)),
        };
        let search = self.shared.search(*segment, Vec::new(), &island)?;
        let position = match damaged {
            Some(position) => position,
            None => match search.batch_reaching(offset)? {
                Some(batch) => batch.position,
                None => search.info.size,
            },
        };
        let index = self.shared.handle(base, FileKind::OffsetIndex)?;
        let entries = offset_index::entries_below(&*index, segment.offset_entries, base, offset)?;
        index.truncate(u64::from(entries) * offset_index::ENTRY_SIZE as u64)?;
        let times = self.shared.handle(base, FileKind::TimeIndex)?;
        let entries = time_index::entries_below(&*times, segment.time_entries, base, offset)?;
        times.truncate(u64::from(entries) * time_index::ENTRY_SIZE as u64)?;
        if segment.has_aborted {
            cut_transaction_index(&self.shared, base, offset)?;
            let name = FileName::live(base, FileKind::TransactionIndex).to_string();
            self.note_unflushed(&self.shared.directory.join(name));
        }
        search.log.truncate(position)?;
        // Else a loss of power could bring back what was cut, over what the new leader sends.
        search.log.sync_data()
    }

    /// Reads again what is on disk.
    fn reload(&mut self, offset: Offset, now: Timestamp) -> Result<(), StorageError> {
        let config = Arc::clone(&self.config);
        let site = Site::of(&self.shared.disk, &self.shared.directory, &config);
        let input = RecoveryInput {
            recovery_point: self.recovery_point,
            log_start_offset: self.log_start_offset().min(offset),
            clean_shutdown: true,
            topic_id: self.topic_id,
            random: self.random,
        };
        let recovered = recovery::recover(&site, &input, now)?;
        self.shared.handles.clear();
        let active = recovered.active.zip(recovered.segments.last());
        self.active = active
            .map(|(facts, info)| Active::opened(info, &facts, &config, &mut self.random, now));
        self.producers = recovered.producers;
        self.log_end_offset = recovered.log_end_offset;
        self.recovery_point = self.recovery_point.min(recovered.log_end_offset);
        let latest = recovered.epochs.latest();
        self.latest_epoch = latest.map_or(LeaderEpoch::NONE, |latest| latest.epoch);
        let unsettled = first_unsettled(&recovered.segments, self.recovery_point);
        self.dirty_from = self.dirty_from.min(unsettled);
        let mut view = self.shared.view();
        view.log_start_offset = recovered.log_start_offset;
        view.log_end_offset = recovered.log_end_offset;
        view.segments = recovered.segments.into();
        view.epochs = recovered.epochs;
        let size = view.segments.last().map_or(0, |last| last.size);
        view.tail.restart(size);
        let suspected = view.restart_damages();
        drop(view);
        for segment in suspected {
            self.shared.suspect(segment);
        }
        Ok(())
    }
}
