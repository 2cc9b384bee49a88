//! A log directory as a whole: what is in it, and the small files that speak of all partitions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::model::{Offset, TopicPartition};
use crate::storage::StorageError;
use crate::storage::checkpoint::{
    CLEANER_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, LOG_START_CHECKPOINT, RECOVERY_POINT_CHECKPOINT,
    read_offsets,
};
use crate::storage::disk::Disk;
use crate::storage::log_dir::{
    self, DirectoryRole, META_PROPERTIES, PartitionDirectory, QUORUM_DIRECTORY,
};
use crate::storage::quorum_log::verify_file;
use crate::storage::scrub::read_damaged_ranges;

use super::{Checked, Finding, Tell, unless_corrupt};

/// Where Apache Kafka keeps the log of its own quorum: a log like the others.
const KRAFT_DIRECTORY: &str = "__cluster_metadata-0";
/// Far more than a file of the quorum has.
const QUORUM_FILE_LENGTH_MAX: usize = 1 << 30;

/// What there is to look at in a log directory.
#[derive(Debug, Default)]
pub struct Contents {
    /// Directories of partitions, those being moved or set aside included.
    pub partitions: Vec<PathBuf>,
}

/// Where logs begin and end.
pub type Ends = BTreeMap<TopicPartition, Checked>;

/// Lists a log directory, names what is strange in it, and looks at its small files.
///
/// # Errors
/// When it cannot be read.
pub fn list_directory(
    disk: &dyn Disk,
    directory: &Path,
    tell: Tell<'_>,
) -> Result<Contents, StorageError> {
    let mut contents = Contents::default();
    for entry in disk.list(directory)? {
        let path = directory.join(&entry.name);
        if !entry.is_directory {
            if !entry.is_file || !log_dir::is_own_file(&entry.name) {
                tell(Finding::note(
                    &path,
                    "unknown here; the broker leaves it alone",
                ));
            }
            continue;
        }
        let parsed = PartitionDirectory::parse(&entry.name);
        match (entry.name.as_str(), parsed) {
            (QUORUM_DIRECTORY, _) => check_quorum(disk, &path, tell)?,
            // Kafka's snapshots of it have names of their own; its batches are not a topic's.
            (KRAFT_DIRECTORY, _) => tell(Finding::note(&path, "Kafka's own quorum; not looked at")),
            (_, None) => tell(Finding::note(
                &path,
                "unknown here; the broker leaves it alone",
            )),
            (_, Some(parsed)) => match parsed.role {
                DirectoryRole::Deleted => tell(Finding::note(
                    &path,
                    "of a deleted partition; the broker removes it when it starts",
                )),
                DirectoryRole::Stray => {
                    tell(Finding::note(&path, "set aside; nobody serves it"));
                    contents.partitions.push(path);
                }
                DirectoryRole::Current | DirectoryRole::Future => contents.partitions.push(path),
            },
        }
    }
    check_small_files(disk, directory, tell)?;
    Ok(contents)
}

fn check_small_files(
    disk: &dyn Disk,
    directory: &Path,
    tell: Tell<'_>,
) -> Result<(), StorageError> {
    let properties = log_dir::read_meta_properties(disk, directory);
    if let Some(None) = unless_corrupt(properties, tell)? {
        let path = directory.join(META_PROPERTIES);
        tell(Finding::note(
            &path,
            "it is not there: whose directory this is nobody tells",
        ));
    }
    unless_corrupt(read_damaged_ranges(disk, directory), tell)?;
    Ok(())
}

fn check_quorum(disk: &dyn Disk, directory: &Path, tell: Tell<'_>) -> Result<(), StorageError> {
    for entry in disk.list(directory)? {
        let path = directory.join(&entry.name);
        if !entry.is_file || entry.name.ends_with(".tmp") {
            continue;
        }
        let bytes = unless_corrupt(disk.read_file(&path, QUORUM_FILE_LENGTH_MAX), tell)?;
        for fault in verify_file(&entry.name, &bytes.unwrap_or_default()) {
            let (from, to) = (fault.position as u64, fault.end as u64);
            tell(Finding::damage(&path, fault.what).at(from, to));
        }
    }
    Ok(())
}

/// Compares the checkpoints of a log directory with the logs in it.
///
/// # Errors
/// When a checkpoint cannot be read at all.
pub fn check_checkpoints(
    disk: &dyn Disk,
    directory: &Path,
    ends: &Ends,
    tell: Tell<'_>,
) -> Result<(), StorageError> {
    let names = [
        RECOVERY_POINT_CHECKPOINT,
        HIGH_WATERMARK_CHECKPOINT,
        LOG_START_CHECKPOINT,
        CLEANER_CHECKPOINT,
    ];
    for name in names {
        let path = directory.join(name);
        let Some(offsets) = unless_corrupt(read_offsets(disk, &path), tell)? else {
            continue;
        };
        for (partition, offset) in offsets {
            let Some(checked) = ends.get(&partition) else {
                if offset > Offset::ZERO {
                    let what = format!("it names {partition}, which is not in this directory");
                    tell(Finding::note(&path, what));
                }
                continue;
            };
            let end = checked.end_offset.unwrap_or(Offset::ZERO);
            if offset > end && checked.end_offset.is_some() {
                let what = format!("it says {offset} of {partition}, whose log ends at {end}");
                tell(Finding::damage(&path, what).of_offsets(end, offset));
            }
        }
    }
    Ok(())
}
