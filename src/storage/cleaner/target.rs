//! Writing a compacted segment, under names that are not part of the log yet.
//!
//! Made for a group of segments, finished into a `storage::log::Replacement`. Invariant: when it is
//! finished everything of it is on the device, the names included; dropped before, nothing of it
//! stays.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Offset, Timestamp};
use crate::record::BatchHeader;
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile, OpenMode};
use crate::storage::log::LogConfig;
use crate::storage::recovery::IndexBuilder;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName, Stage};
use crate::storage::segment::scan::Located;
use crate::storage::transaction_index::AbortedTransaction;
use crate::storage::{offset_index, time_index};

use super::{CleaningError, Pace};

/// Bytes that are gathered before they are written.
const OUT_BYTES: usize = 1 << 20;
/// Positions in a segment are 31 bits in Kafka's indexes.
const SEGMENT_BYTES_MAX: u64 = i32::MAX as u64;

/// The files of a segment in the making. In this order they become `.swap`: the log last, so that
/// where it is one the others are, too; and the other way round they get their names.
pub(crate) const KINDS: [FileKind; 4] = [
    FileKind::TransactionIndex,
    FileKind::TimeIndex,
    FileKind::OffsetIndex,
    FileKind::Log,
];

/// The names of a segment in the making, which go when this is dropped.
#[derive(Debug)]
pub(crate) struct Files {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    pub(crate) base_offset: Offset,
    kept: bool,
}

impl Files {
    pub(crate) fn path(&self, kind: FileKind, stage: Stage) -> PathBuf {
        let offset = self.base_offset;
        let name = FileName {
            offset,
            kind,
            stage,
        };
        self.directory.join(name.to_string())
    }

    fn create(&self, kind: FileKind) -> Result<Arc<dyn DiskFile>, StorageError> {
        let path = self.path(kind, Stage::Cleaned);
        self.disk.open(&path, OpenMode::Truncate)
    }

    /// From now on they are not removed: they are under other names.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for kind in KINDS {
            let path = self.path(kind, Stage::Cleaned);
            match self.disk.remove_file(&path) {
                Err(error) if !error.is_not_found() => {
                    log::warn!("an unfinished segment stays until the next start: {error}");
                }
                _ => {}
            }
        }
    }
}

/// A segment being written.
pub(crate) struct Target {
    files: Files,
    log: Arc<dyn DiskFile>,
    /// What is to be written next: whole batches.
    pub(crate) out: Vec<u8>,
    /// Bytes that were written.
    position: u64,
    indexes: IndexBuilder,
}

/// A segment that is written and on the device.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) files: Files,
    pub(crate) info: SegmentInfo,
    /// The open files, to be read from until they have their names.
    pub(crate) open: Vec<(FileKind, Arc<dyn DiskFile>)>,
}

impl Target {
    /// Begins a segment; `out` is a buffer to use.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        base_offset: Offset,
        config: &LogConfig,
        mut out: Vec<u8>,
    ) -> Result<Target, StorageError> {
        out.clear();
        out.shrink_to(2 * OUT_BYTES);
        let files = Files {
            disk: Arc::clone(disk),
            directory: directory.to_owned(),
            base_offset,
            kept: false,
        };
        Ok(Target {
            log: files.create(FileKind::Log)?,
            files,
            out,
            position: 0,
            indexes: IndexBuilder::for_new(config, base_offset),
        })
    }

    /// Takes note of a batch that was put at the end of `out`.
    pub(crate) fn added(
        &mut self,
        header: BatchHeader,
        pace: &mut dyn Pace,
    ) -> Result<(), CleaningError> {
        let end = self.position + self.out.len() as u64;
        if end > SEGMENT_BYTES_MAX {
            return Err(CleaningError::TooLarge {
                path: self.log.path().to_owned(),
                position: self.position,
                bytes: end,
                bytes_max: SEGMENT_BYTES_MAX,
            });
        }
        let position = end - header.size() as u64;
        self.indexes.add(&Located { header, position });
        match self.out.len() >= OUT_BYTES {
            true => self.write_out(pace),
            false => Ok(()),
        }
    }

    fn write_out(&mut self, pace: &mut dyn Pace) -> Result<(), CleaningError> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.log
            .write_at(&[IoSlice::new(&self.out)], self.position)?;
        let bytes = self.out.len() as u64;
        self.position += bytes;
        self.out.clear();
        pace.moved(bytes)?;
        Ok(())
    }

    /// Writes what is left, and the indexes; waits for the device. `modified` is when the newest of
    /// the segments was last written that this one is made from, `aborted` are the transactions
    /// whose markers are in it. Gives the buffer back.
    pub(crate) fn finish(
        mut self,
        aborted: &[AbortedTransaction],
        modified: Option<Timestamp>,
        pace: &mut dyn Pace,
    ) -> Result<(Finished, Vec<u8>), CleaningError> {
        self.write_out(pace)?;
        self.indexes.finish();
        let base_offset = self.files.base_offset;
        let offsets = offset_index::encode_entries(base_offset, self.indexes.offsets());
        let times = time_index::encode_entries(base_offset, self.indexes.times());
        let count = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX);
        let info = SegmentInfo {
            size: self.position,
            offset_entries: count(self.indexes.offsets().len()),
            time_entries: count(self.indexes.times().len()),
            max_timestamp: Some(self.indexes.max()),
            modified,
            has_aborted: !aborted.is_empty(),
            ..SegmentInfo::empty(base_offset, Timestamp::NONE)
        };
        let aborted: Vec<u8> = aborted
            .iter()
            .flat_map(AbortedTransaction::encode)
            .collect();
        let mut open = vec![(FileKind::Log, Arc::clone(&self.log))];
        for (kind, bytes) in [
            (FileKind::OffsetIndex, &offsets),
            (FileKind::TimeIndex, &times),
            (FileKind::TransactionIndex, &aborted),
        ] {
            let file = self.files.create(kind)?;
            file.write_at(&[IoSlice::new(bytes)], 0)?;
            open.push((kind, file));
            pace.moved(bytes.len() as u64)?;
        }
        for (_, file) in &open {
            file.sync_data()?;
        }
        if let Some(modified) = modified {
            self.log.set_modified(modified)?;
        }
        // The names must not be lost where another name of the same segment is there already.
        self.files.disk.sync_dir(&self.files.directory)?;
        let finished = Finished {
            files: self.files,
            info,
            open,
        };
        Ok((finished, self.out))
    }
}
