//! One partition's directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::model::{Offset, Timestamp};
use crate::record::Scratch;
use crate::storage::StorageError;
use crate::storage::disk::Disk;
use crate::storage::leader_epochs::{LEADER_EPOCH_CHECKPOINT, LeaderEpochs};
use crate::storage::log::segment_times::SEGMENT_TIMES_FILE;
use crate::storage::partition_metadata::{PARTITION_METADATA, read_partition_metadata};
use crate::storage::producer_state::ProducerStates;
use crate::storage::scrub::walk::Extent;
use crate::storage::segment::names::{FileKind, FileName, Stage};

use super::batches::{Batches, Wanted, check_batches};
use super::indexes::{self, Entries};
use super::{Finding, Tell, unless_corrupt};

/// A snapshot of producers has 46 bytes for each.
const SNAPSHOT_LENGTH_MAX: usize = 256 << 20;

/// What was looked at in a partition, and where its log begins and ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Segments.
    pub segments: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Records in right batches.
    pub records: u64,
    /// The offset in the name of the first segment.
    pub first_offset: Option<Offset>,
    /// The offset behind the last batch; less than it was when the end is damaged.
    pub end_offset: Option<Offset>,
}

/// The files of one partition by kind and offset, with their lengths.
type Files = BTreeMap<(FileKind, Offset), u64>;

/// Looks at everything in a partition's directory.
///
/// # Errors
/// When the directory, or a file in it, cannot be read at all.
pub fn verify_partition(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    tell: Tell<'_>,
) -> Result<Checked, StorageError> {
    let files = list(disk, directory, tell)?;
    let epochs = read_epochs(disk, directory, tell)?;
    check_metadata(disk, directory, tell)?;
    let segments: Vec<(Offset, u64)> = files
        .iter()
        .filter(|((kind, _), _)| *kind == FileKind::Log)
        .map(|((_, offset), length)| (*offset, *length))
        .collect();
    let mut checked = Checked {
        first_offset: segments.first().map(|(base, _)| *base),
        ..Checked::default()
    };
    let mut scratch = Scratch::new();
    for (at, (base_offset, length)) in segments.iter().enumerate() {
        let next = segments.get(at + 1).map(|(next, _)| *next);
        let segment = Segment {
            disk,
            directory,
            files: &files,
            extent: Extent {
                base_offset: *base_offset,
                length: *length,
                next,
                epochs: epochs.clone(),
            },
        };
        let batches = segment.check(&mut scratch, tell)?;
        checked.segments += 1;
        checked.bytes += length;
        checked.records += batches.records;
        checked.end_offset = next.or(batches.next_offset).or(Some(*base_offset));
    }
    check_epochs(directory, &epochs, checked.end_offset, tell);
    check_snapshots(disk, directory, &files, checked.end_offset, tell)?;
    Ok(checked)
}

/// Lists what is there, and names what is strange.
fn list(disk: &Arc<dyn Disk>, directory: &Path, tell: Tell<'_>) -> Result<Files, StorageError> {
    let (mut files, mut unfinished) = (Files::new(), Vec::new());
    for entry in disk.list(directory)? {
        let path = directory.join(&entry.name);
        let known = [
            PARTITION_METADATA,
            LEADER_EPOCH_CHECKPOINT,
            SEGMENT_TIMES_FILE,
        ];
        let known = known.contains(&entry.name.as_str());
        match FileName::parse(&entry.name) {
            Some(name) if name.stage == Stage::Live && entry.is_file => {
                files.insert((name.kind, name.offset), entry.length);
            }
            Some(_) if entry.is_file => unfinished.push(path),
            None if known && entry.is_file => {}
            _ => tell(Finding::note(
                &path,
                "unknown here; the broker leaves it alone",
            )),
        }
    }
    if let Some(first) = unfinished.first() {
        let more = match unfinished.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let what = format!(
            "left over from a deletion or a cleaning{more}; the broker settles it when it starts"
        );
        tell(Finding::note(first, what));
    }
    for (kind, offset) in files.keys() {
        let belongs = *kind == FileKind::Snapshot || files.contains_key(&(FileKind::Log, *offset));
        if !belongs {
            let path = directory.join(FileName::live(*offset, *kind).to_string());
            tell(Finding::note(&path, "an index without its segment"));
        }
    }
    Ok(files)
}

fn read_epochs(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    tell: Tell<'_>,
) -> Result<LeaderEpochs, StorageError> {
    let epochs = unless_corrupt(LeaderEpochs::read(&**disk, directory), tell)?;
    Ok(epochs.unwrap_or_default())
}

fn check_epochs(directory: &Path, epochs: &LeaderEpochs, end: Option<Offset>, tell: Tell<'_>) {
    let Some((latest, end)) = epochs.latest().zip(end) else {
        return;
    };
    if latest.start_offset > end {
        let what = format!(
            "leader epoch {} begins at offset {}, where the log ends at {end}",
            latest.epoch.0, latest.start_offset
        );
        tell(Finding::damage(
            &directory.join(LEADER_EPOCH_CHECKPOINT),
            what,
        ));
    }
}

fn check_metadata(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    tell: Tell<'_>,
) -> Result<(), StorageError> {
    let path = directory.join(PARTITION_METADATA);
    let read = unless_corrupt(read_partition_metadata(&**disk, directory), tell)?;
    if let Some(None) = read {
        let what = "it is not there: which topic this is, only the name tells";
        tell(Finding::note(&path, what));
    }
    Ok(())
}

fn check_snapshots(
    disk: &Arc<dyn Disk>,
    directory: &Path,
    files: &Files,
    end: Option<Offset>,
    tell: Tell<'_>,
) -> Result<(), StorageError> {
    let snapshots = files.keys().filter(|(kind, _)| *kind == FileKind::Snapshot);
    for (kind, offset) in snapshots {
        let path = directory.join(FileName::live(*offset, *kind).to_string());
        let bytes = disk.read_file(&path, SNAPSHOT_LENGTH_MAX);
        let Some(bytes) = unless_corrupt(bytes, tell)? else {
            continue;
        };
        // Nobody expires: only whether it can be read is asked.
        let read = ProducerStates::from_snapshot(&bytes, *offset, i64::MAX, Timestamp(0));
        if let Err(invalid) = read {
            tell(Finding::damage(&path, invalid.to_string()));
        }
        if end.is_some_and(|end| *offset > end) {
            tell(Finding::damage(&path, "it lies beyond the end of the log"));
        }
    }
    Ok(())
}

/// One segment and its files.
struct Segment<'a> {
    disk: &'a Arc<dyn Disk>,
    directory: &'a Path,
    files: &'a Files,
    extent: Extent,
}

impl Segment<'_> {
    fn path(&self, kind: FileKind) -> std::path::PathBuf {
        let name = FileName::live(self.extent.base_offset, kind);
        self.directory.join(name.to_string())
    }

    fn check(&self, scratch: &mut Scratch, tell: Tell<'_>) -> Result<Batches, StorageError> {
        let base = self.extent.base_offset;
        let (index, times) = (
            self.path(FileKind::OffsetIndex),
            self.path(FileKind::TimeIndex),
        );
        let entries = Entries {
            offsets: indexes::read_offset_index(self.disk, &index, base, tell)?,
            times: indexes::read_time_index(self.disk, &times, base, tell)?,
        };
        let positions: Vec<u64> = entries
            .offsets
            .iter()
            .map(|entry| entry.position.into())
            .collect();
        let offsets: Vec<Offset> = entries.times.iter().map(|entry| entry.offset).collect();
        let wanted = Wanted {
            positions: &positions,
            offsets: &offsets,
        };
        let path = self.path(FileKind::Log);
        let extent = self.extent.clone();
        let batches = check_batches(self.disk, &path, extent, &wanted, scratch, tell)?;
        indexes::compare_offsets(&index, &entries.offsets, &batches, tell);
        indexes::compare_times(&times, &entries.times, &batches, tell);
        if self.files.contains_key(&(FileKind::TransactionIndex, base)) {
            let path = self.path(FileKind::TransactionIndex);
            let end = self.extent.next.or(batches.next_offset);
            indexes::check_transaction_index(self.disk, &path, base, end, tell)?;
        }
        Ok(batches)
    }
}
