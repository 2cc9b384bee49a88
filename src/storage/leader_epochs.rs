//! Where each leader's reign began in a partition, and the `leader-epoch-checkpoint` that keeps it
//! (KIP-101, KIP-279; `LeaderEpochFileCache`).
//!
//! Owned by `storage::Log`, which writes the file whenever a method says that something changed.
//! Invariant: entries rise in epoch and in start offset.

use std::path::Path;

use super::StorageError;
use super::checkpoint::{InvalidCheckpoint, parse_lines, read_text, write_lines};
use super::disk::Disk;
use crate::model::{LeaderEpoch, Offset};

/// The file's name inside a partition's directory.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";

/// A line has at most 32 bytes: room for two million elections.
const LENGTH_MAX: usize = 64 << 20;

/// The beginning of one reign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEntry {
    /// The leader's epoch.
    pub epoch: LeaderEpoch,
    /// The first offset written in it.
    pub start_offset: Offset,
}

/// The reigns a log remembers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LeaderEpochs {
    entries: Vec<EpochEntry>,
}

impl LeaderEpochs {
    /// Notes that `epoch` starts at `start_offset`. Entries that contradict it go: they are of
    /// batches that were cut off. Says whether anything changed. Negative numbers change nothing.
    pub fn assign(&mut self, epoch: LeaderEpoch, start_offset: Offset) -> bool {
        if epoch.0 < 0 || start_offset < Offset::ZERO {
            return false;
        }
        if let Some(latest) = self.latest()
            && epoch == latest.epoch
            && start_offset >= latest.start_offset
        {
            return false;
        }
        while let Some(latest) = self.latest()
            && (latest.epoch >= epoch || latest.start_offset >= start_offset)
        {
            self.entries.pop();
        }
        self.entries.push(EpochEntry {
            epoch,
            start_offset,
        });
        true
    }

    /// The newest reign.
    pub fn latest(&self) -> Option<EpochEntry> {
        self.entries.last().copied()
    }

    /// The oldest reign of which batches are left.
    pub fn earliest(&self) -> Option<EpochEntry> {
        self.entries.first().copied()
    }

    /// All of them, oldest first.
    pub fn entries(&self) -> &[EpochEntry] {
        &self.entries
    }

    /// Where the reign asked for, or the last one before it, ended: what OffsetForLeaderEpoch
    /// answers and what a follower truncates to. `None` when that cannot be known, because the
    /// epoch is newer than any here (`endOffsetFor`).
    pub fn end_offset_for(
        &self,
        epoch: LeaderEpoch,
        log_end_offset: Offset,
    ) -> Option<(LeaderEpoch, Offset)> {
        if epoch.0 < 0 {
            return None;
        }
        if self.latest().is_some_and(|latest| latest.epoch == epoch) {
            return Some((epoch, log_end_offset));
        }
        let above = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let next = self.entries.get(above)?;
        let floor = above.checked_sub(1).and_then(|at| self.entries.get(at));
        // Older than all that is left: its batches are gone, the log begins behind them.
        let epoch = floor.map_or(epoch, |entry| entry.epoch);
        Some((epoch, next.start_offset))
    }

    /// The reign in which an offset was written.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        let above = self
            .entries
            .partition_point(|entry| entry.start_offset <= offset);
        let at = above.checked_sub(1)?;
        self.entries.get(at).map(|entry| entry.epoch)
    }

    /// The log was cut back to `end_offset`. Says whether anything changed.
    pub fn truncate_from_end(&mut self, end_offset: Offset) -> bool {
        if end_offset < Offset::ZERO {
            return false;
        }
        let kept = self
            .entries
            .partition_point(|entry| entry.start_offset < end_offset);
        let changed = kept < self.entries.len();
        self.entries.truncate(kept);
        changed
    }

    /// The log now starts at `start_offset`: the reign that covers it starts there, older ones are
    /// gone. Says whether anything changed.
    pub fn truncate_from_start(&mut self, start_offset: Offset) -> bool {
        let above = self
            .entries
            .partition_point(|entry| entry.start_offset <= start_offset);
        let Some(covering) = above.checked_sub(1) else {
            return false;
        };
        let changed = covering > 0 || self.entries[covering].start_offset != start_offset;
        self.entries.drain(..covering);
        self.entries[0].start_offset = start_offset;
        changed
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Reads the file in a partition's directory; when it is not there, no reign is known.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] names the file and the line; the caller rebuilds it from the log.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<LeaderEpochs, StorageError> {
        LeaderEpochs::read_if_there(disk, directory).map(Option::unwrap_or_default)
    }

    /// As [`Self::read`]; none when the file is not there.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_if_there(
        disk: &dyn Disk,
        directory: &Path,
    ) -> Result<Option<LeaderEpochs>, StorageError> {
        let path = directory.join(LEADER_EPOCH_CHECKPOINT);
        let text = read_text(disk, &path, LENGTH_MAX)?;
        let parsed = text.map(|text| LeaderEpochs::parse(&text)).transpose();
        parsed.map_err(|error| match error {
            InvalidCheckpoint::Version(version) if version.parse::<u32>().is_ok() => {
                StorageError::UnknownVersion { path, version }
            }
            error => StorageError::corrupt(&path, error.to_string()),
        })
    }

    /// Replaces the file in a partition's directory.
    pub fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), StorageError> {
        let path = directory.join(LEADER_EPOCH_CHECKPOINT);
        disk.write_file_atomically(&path, self.to_text().as_bytes())
    }

    /// The content of the file.
    pub fn to_text(&self) -> String {
        write_lines(
            self.entries
                .iter()
                .map(|entry| format!("{} {}", entry.epoch, entry.start_offset)),
        )
    }

    /// Reads the content of the file. Entries that do not rise are cut like by [`Self::assign`].
    pub fn parse(text: &str) -> Result<LeaderEpochs, InvalidCheckpoint> {
        let mut epochs = LeaderEpochs::default();
        // The last number of a file that a loss of power has shortened would be another one.
        if let Some((at, torn)) = text
            .lines()
            .enumerate()
            .last()
            .filter(|_| !text.ends_with('\n'))
        {
            return Err(InvalidCheckpoint::Malformed {
                line: at + 1,
                text: torn.to_owned(),
            });
        }
        let lines = parse_lines(text, |line| {
            let (epoch, start_offset) = line.split_once(' ')?;
            let epoch = LeaderEpoch(epoch.parse().ok()?);
            let start_offset = Offset(start_offset.trim().parse().ok()?);
            (epoch.0 >= 0 && start_offset >= Offset::ZERO).then_some((epoch, start_offset))
        })?;
        for (epoch, start_offset) in lines {
            epochs.assign(epoch, start_offset);
        }
        Ok(epochs)
    }
}

#[cfg(test)]
#[path = "leader_epochs_tests.rs"]
mod tests;
