//! What belongs to a log directory as a whole: whose it is, how it was left, what is in it.
//!
//! The log directory's actor calls this at start, before any log is opened, and at the end.
//! Invariant: nothing here deletes a partition's data; a directory that the metadata does not know
//! is renamed to `-stray`, as Kafka does, and left for somebody to decide about.

mod meta_properties;
mod names;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use meta_properties::{InvalidMetaProperties, META_PROPERTIES, MetaProperties};
pub use names::{
    DirectoryRole, PartitionDirectory, current_directory_name, suffixed_directory_name,
};
use serde::{Deserialize, Serialize};

use super::StorageError;
use super::checkpoint::{
    CLEANER_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, LOG_START_CHECKPOINT, RECOVERY_POINT_CHECKPOINT,
    read_text,
};
use super::closed_logs::CLOSED_LOGS_FILE;
use super::disk::{Disk, DiskFile};
use super::scrub::{DAMAGED_RANGES_FILE, SCRUB_PROGRESS_FILE};
use crate::model::{TopicPartition, Uuid};

/// Held locked as long as a broker uses the directory.
pub const LOCK_FILE: &str = ".lock";
/// Says that the last broker here stopped after flushing everything.
pub const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// Where the metadata quorum keeps its log inside the metadata log directory.
pub const QUORUM_DIRECTORY: &str = "quorum";

/// Where Apache Kafka keeps the log of its own quorum. A directory that once was Kafka's has it; it
/// is no partition of ours and left alone.
const KRAFT_DIRECTORY: &str = "__cluster_metadata-0";
/// Directories that are no partition's: those above, and what mkfs makes.
const OWN_DIRECTORIES: [&str; 3] = [QUORUM_DIRECTORY, KRAFT_DIRECTORY, "lost+found"];
/// Files that we or Kafka keep here.
const OWN_FILES: [&str; 11] = [
    META_PROPERTIES,
    LOCK_FILE,
    CLEAN_SHUTDOWN_FILE,
    CLOSED_LOGS_FILE,
    DAMAGED_RANGES_FILE,
    SCRUB_PROGRESS_FILE,
    RECOVERY_POINT_CHECKPOINT,
    HIGH_WATERMARK_CHECKPOINT,
    LOG_START_CHECKPOINT,
    CLEANER_CHECKPOINT,
    "bootstrap.checkpoint",
];

/// Whether a file is one of those, or was about to become one when something went wrong.
pub(super) fn is_own_file(name: &str) -> bool {
    OWN_FILES.contains(&name.strip_suffix(".tmp").unwrap_or(name))
}

/// These files have a few hundred bytes.
const LENGTH_MAX: usize = 64 << 10;

/// How the last broker left the directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanShutdown {
    /// The broker's epoch then, with which it proves to the controller that nothing was lost
    /// (KIP-966). Older versions did not write it.
    pub broker_epoch: Option<i64>,
    /// What it says of the file that describes the closed logs, if it was ours.
    pub closed_logs: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct CleanShutdownContent {
    version: i32,
    #[serde(rename = "brokerEpoch")]
    broker_epoch: Option<i64>,
    /// A field of ours; Kafka passes over it.
    #[serde(rename = "closedLogs", skip_serializing_if = "Option::is_none")]
    closed_logs: Option<u64>,
}

/// What is in a log directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Partitions' directories: name and meaning.
    pub partitions: Vec<(String, PartitionDirectory)>,
    /// Directories, files and other things whose names mean nothing here. They are left alone.
    pub unknown: Vec<String>,
}

/// Takes the directory for this process; `None` when another broker has it. It is held as long as
/// the handle lives.
pub fn lock(disk: &dyn Disk, directory: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError> {
    disk.lock(&directory.join(LOCK_FILE))
}

/// Reads `meta.properties`; `None` in a directory that was never used.
pub fn read_meta_properties(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<MetaProperties>, StorageError> {
    let path = directory.join(META_PROPERTIES);
    match read_text(disk, &path, LENGTH_MAX)? {
        Some(text) => MetaProperties::parse(&text)
            .map(Some)
            .map_err(|error| StorageError::corrupt(&path, error.to_string())),
        None => Ok(None),
    }
}

/// Writes `meta.properties`.
pub fn write_meta_properties(
    disk: &dyn Disk,
    directory: &Path,
    properties: &MetaProperties,
) -> Result<(), StorageError> {
    let text = properties.to_text();
    disk.write_file_atomically(&directory.join(META_PROPERTIES), text.as_bytes())
}

/// Reads the mark of a clean shutdown and removes it: from now on the directory is in use. A mark
/// that cannot be read counts, as with Kafka; only its epoch is unknown.
pub fn take_clean_shutdown(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<CleanShutdown>, StorageError> {
    let path = directory.join(CLEAN_SHUTDOWN_FILE);
    let bytes = match disk.read_file(&path, LENGTH_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(StorageError::Corrupt { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    disk.remove_file(&path)?;
    disk.sync_dir(directory)?;
    let content: Option<CleanShutdownContent> = serde_json::from_slice(&bytes).ok();
    let (broker_epoch, closed_logs) = content.map_or((None, None), |content| {
        (content.broker_epoch, content.closed_logs)
    });
    Ok(Some(CleanShutdown {
        broker_epoch,
        closed_logs,
    }))
}

/// Leaves the mark of a clean shutdown: the last thing done, after everything was flushed.
/// `closed_logs` is what [`write_closed_logs`](super::closed_logs::write_closed_logs) gave.
pub fn write_clean_shutdown(
    disk: &dyn Disk,
    directory: &Path,
    broker_epoch: i64,
    closed_logs: Option<u64>,
) -> Result<(), StorageError> {
    let content = CleanShutdownContent {
        version: 0,
        broker_epoch: Some(broker_epoch),
        closed_logs,
    };
    let path = directory.join(CLEAN_SHUTDOWN_FILE);
    let text = serde_json::to_string(&content)
        .map_err(|error| StorageError::corrupt(&path, error.to_string()))?;
    disk.write_file_atomically(&path, text.as_bytes())
}

/// Lists what is in a log directory, sorted by name; without the quorum's directory.
pub fn list(disk: &dyn Disk, directory: &Path) -> Result<Listing, StorageError> {
    let mut listing = Listing::default();
    for entry in disk.list(directory)? {
        let name = entry.name.as_str();
        let is_ours = match entry.is_directory {
            true => OWN_DIRECTORIES.contains(&name),
            false => entry.is_file && is_own_file(name),
        };
        if is_ours {
            continue;
        }
        match PartitionDirectory::parse(name).filter(|_| entry.is_directory) {
            Some(parsed) => listing.partitions.push((entry.name, parsed)),
            None => listing.unknown.push(entry.name),
        }
    }
    Ok(listing)
}

/// Renames a partition's directory, so that it is deleted later, or kept as a stray. Returns the
/// new name; `unique` tells it from earlier ones. The caller sees to it that the new name lasts
/// ([`Disk::sync_dir`]), once for many.
pub fn rename_partition(
    disk: &dyn Disk,
    directory: &Path,
    name: &str,
    partition: &TopicPartition,
    role: DirectoryRole,
    unique: Uuid,
) -> Result<String, StorageError> {
    let new_name = suffixed_directory_name(partition, role, unique);
    disk.rename(&directory.join(name), &directory.join(&new_name))?;
    Ok(new_name)
}
