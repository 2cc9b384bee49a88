//! The checkpoints of a log directory: what they should say, whether the files say it, and writing them.
//!
//! Used by the rounds of `log_dir`, by moved log starts and at the end of a clean stop. Invariant:
//! one writing at a time, on a disk thread; what is written was true when it began.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{LogDir, lock};
use crate::model::{Offset, TopicPartition};
use crate::storage::{Checkpoints, StorageError};

impl LogDir {
    /// Brings the checkpoints up to date; blocks. `force` writes them even when nothing changed.
    ///
    /// # Errors
    /// When they cannot be written. Old checkpoints are safe, only slower to recover from.
    pub fn write_checkpoints(&self, force: bool) -> Result<(), StorageError> {
        let mut written = lock(&self.written);
        if !force && self.is_told_by(&written) {
            return Ok(());
        }
        let current = self.checkpoints();
        self.refuse_if_offline()?;
        let before = (!force).then_some(&*written);
        current.write(before, self.disk().as_ref(), self.path())?;
        *written = current;
        Ok(())
    }

    /// A directory that has failed shows no logs any more: what it says then must not be written.
    /// Asked behind the look at the logs, because it fails before they are taken out.
    pub(super) fn refuse_if_offline(&self) -> Result<(), StorageError> {
        match self.is_offline() {
            true => Err(StorageError::Poisoned {
                path: self.path().clone(),
            }),
            false => Ok(()),
        }
    }

    /// Sees to it that log starts that were moved before this call last over any end of the broker.
    /// Who asks while the checkpoints are being written shares the next writing.
    ///
    /// # Errors
    /// As [`LogDir::write_checkpoints`].
    pub async fn keep_starts(self: Arc<Self>) -> Result<(), StorageError> {
        let own = self.starts_moved.fetch_add(1, Ordering::AcqRel) + 1;
        let mut kept = self.starts_kept.lock().await;
        if *kept >= own {
            return Ok(());
        }
        let upto = self.starts_moved.load(Ordering::Acquire);
        write_checkpoints(Arc::clone(&self), false).await?;
        *kept = upto;
        Ok(())
    }

    /// Whether the checkpoint files know this name: of a log that is gone, when it is not here.
    pub fn has_checkpoints_of(&self, partition: &TopicPartition) -> bool {
        let written = lock(&self.written);
        written.recovery_points.contains_key(partition)
            || written.log_starts.contains_key(partition)
            || written.high_watermarks.contains_key(partition)
            || written.cleaned.contains_key(partition)
    }

    /// What the checkpoints should say now. A log that has nothing says nothing.
    pub fn checkpoints(&self) -> Checkpoints {
        let residents = self.residents();
        let mut checkpoints = lock(&self.carried).clone();
        checkpoints.cleaned = self.all_cleaned();
        for (name, log) in residents.iter() {
            let high_watermark = log.gauges.high_watermark();
            if log.reader.log_end_offset() == Offset::ZERO {
                continue;
            }
            checkpoints
                .recovery_points
                .insert(name.clone(), log.gauges.recovery_point());
            checkpoints
                .high_watermarks
                .insert(name.clone(), high_watermark);
            if log.reader.log_start_offset() > Offset::ZERO {
                checkpoints
                    .log_starts
                    .insert(name.clone(), log.reader.log_start_offset());
            }
        }
        checkpoints
    }

    /// Whether the files say already what the logs show: compared in passing, because with 100,000
    /// logs that lie still it is what a round costs.
    fn is_told_by(&self, files: &Checkpoints) -> bool {
        if *lock(&self.carried) != Checkpoints::default() || files.cleaned != self.all_cleaned() {
            return false;
        }
        let mut recovery_points = files.recovery_points.iter();
        let mut high_watermarks = files.high_watermarks.iter();
        let mut log_starts = files.log_starts.iter();
        for (name, log) in self.residents().iter() {
            let high_watermark = log.gauges.high_watermark();
            let (start, end) = log.reader.bounds();
            let same = end == Offset::ZERO
                || (high_watermarks.next() == Some((name, &high_watermark))
                    && recovery_points.next() == Some((name, &log.gauges.recovery_point()))
                    && (start == Offset::ZERO || log_starts.next() == Some((name, &start))));
            if !same {
                return false;
            }
        }
        recovery_points.next().is_none()
            && high_watermarks.next().is_none()
            && log_starts.next().is_none()
    }
}

/// Brings the checkpoints of a directory up to date on one of its disk threads.
///
/// # Errors
/// As [`LogDir::write_checkpoints`].
pub async fn write_checkpoints(dir: Arc<LogDir>, force: bool) -> Result<(), StorageError> {
    let threads = dir.threads().clone();
    let path = dir.path().clone();
    let written = threads.run(move || dir.write_checkpoints(force)).await;
    written.unwrap_or(Err(StorageError::Poisoned { path }))
}

#[cfg(test)]
#[path = "checkpoints_tests.rs"]
mod tests;
