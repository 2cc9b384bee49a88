//! The four offset checkpoints of a log directory, taken together.
//!
//! Read before any log is opened, written by the log directory's actor. Old ones are safe: recovery
//! then scans more, and the high watermark is found anew.

use std::collections::BTreeMap;
use std::path::Path;

use super::StorageError;
use super::checkpoint::{
    CLEANER_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, LOG_START_CHECKPOINT, RECOVERY_POINT_CHECKPOINT,
    read_offsets, write_offsets,
};
use super::disk::Disk;
use crate::model::{Offset, TopicPartition};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// Up to where each log is known to be on the disk.
    pub recovery_points: BTreeMap<TopicPartition, Offset>,
    /// Where each log starts, when that is not where its first segment does.
    pub log_starts: BTreeMap<TopicPartition, Offset>,
    /// Up to where each partition is committed.
    pub high_watermarks: BTreeMap<TopicPartition, Offset>,
    /// Up to where each compacted log was cleaned.
    pub cleaned: BTreeMap<TopicPartition, Offset>,
}

impl Checkpoints {
    /// Reads what is there. A damaged one that is not of log starts only costs time and is told
    /// through `complain`; a damaged log start would bring deleted records back, and is an error.
    pub fn read(
        disk: &dyn Disk,
        directory: &Path,
        mut complain: impl FnMut(StorageError),
    ) -> Result<Checkpoints, StorageError> {
        let mut tolerant = |name: &str| match read_offsets(disk, &directory.join(name)) {
            Err(error @ StorageError::Corrupt { .. }) => {
                complain(error);
                Ok(BTreeMap::new())
            }
            read => read,
        };
        Ok(Checkpoints {
            recovery_points: tolerant(RECOVERY_POINT_CHECKPOINT)?,
            high_watermarks: tolerant(HIGH_WATERMARK_CHECKPOINT)?,
            cleaned: tolerant(CLEANER_CHECKPOINT)?,
            log_starts: read_offsets(disk, &directory.join(LOG_START_CHECKPOINT))?,
        })
    }

    /// Writes those that differ from what the files say, or all when that is not known; the log
    /// starts first: a recovery point must never be ahead of what it relies on.
    pub fn write(
        &self,
        before: Option<&Checkpoints>,
        disk: &dyn Disk,
        directory: &Path,
    ) -> Result<(), StorageError> {
        let files = [
            (
                LOG_START_CHECKPOINT,
                &self.log_starts,
                before.map(|before| &before.log_starts),
            ),
            (
                RECOVERY_POINT_CHECKPOINT,
                &self.recovery_points,
                before.map(|before| &before.recovery_points),
            ),
            (
                HIGH_WATERMARK_CHECKPOINT,
                &self.high_watermarks,
                before.map(|before| &before.high_watermarks),
            ),
            (
                CLEANER_CHECKPOINT,
                &self.cleaned,
                before.map(|before| &before.cleaned),
            ),
        ];
        for (name, offsets, before) in files {
            if before != Some(offsets) {
                write_offsets(disk, &directory.join(name), offsets)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::MemoryDisk;

    #[test]
    fn what_was_written_is_read_and_a_damaged_recovery_point_only_costs_time() {
        let (disk, directory) = (MemoryDisk::new(), Path::new("/logs"));
        disk.create_dir_all(directory).unwrap();
        let offsets = |offset| [(TopicPartition::new("t", 0), Offset(offset))].into();
        let checkpoints = Checkpoints {
            recovery_points: offsets(7),
            log_starts: offsets(3),
            high_watermarks: offsets(9),
            cleaned: offsets(5),
        };
        checkpoints.write(None, &disk, directory).unwrap();
        let read = Checkpoints::read(&disk, directory, |error| panic!("{error}")).unwrap();
        assert_eq!(read, checkpoints);

        let nothing = Checkpoints::default();
        nothing.write(None, &disk, directory).unwrap();
        let read = Checkpoints::read(&disk, directory, |error| panic!("{error}")).unwrap();
        assert_eq!(read, nothing, "what is there no more goes");
        checkpoints.write(None, &disk, directory).unwrap();

        let damaged = directory.join(RECOVERY_POINT_CHECKPOINT);
        disk.write_file_atomically(&damaged, b"nonsense").unwrap();
        let mut complaints = 0;
        let read = Checkpoints::read(&disk, directory, |_| complaints += 1).unwrap();
        assert_eq!(
            (
                complaints,
                read.recovery_points.len(),
                read.log_starts.len()
            ),
            (1, 0, 1)
        );
    }
}
