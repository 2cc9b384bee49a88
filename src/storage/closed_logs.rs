//! The file in which a clean stop describes all logs of a directory, so that the next start opens
//! none of them.
//!
//! Read before any log is opened, written when all are closed and on the device. The mark of the
//! clean stop carries the file's checksum: without the mark, after a Kafka was here, or with any
//! other content the file says nothing, and every log is opened by looking into it. Kafka leaves a
//! file of this name alone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::StorageError;
use super::disk::Disk;
use super::log::ClosedLog;
use super::quorum_log::codec;
use crate::model::TopicPartition;

/// The file's name.
pub const CLOSED_LOGS_FILE: &str = "milena-closed-logs";

/// Raised when [`ClosedLog`] or what is around it changes: another version says nothing.
const VERSION: u32 = 1;

/// The logs of a directory as they were closed.
pub type ClosedLogs = BTreeMap<TopicPartition, ClosedLog>;

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    topics: Vec<ClosedTopic>,
}

#[derive(Serialize, Deserialize)]
struct ClosedTopic {
    name: String,
    partitions: Vec<(i32, ClosedLog)>,
}

/// Length and CRC-32C of the file: what the mark of the clean stop says of it.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    (length << 32) | (crc & u64::from(u32::MAX))
}

/// Replaces the file; what the mark of the clean stop must say of it.
///
/// # Errors
/// When it cannot be written.
pub fn write_closed_logs(
    disk: &dyn Disk,
    directory: &Path,
    logs: ClosedLogs,
) -> Result<u64, StorageError> {
    let path = directory.join(CLOSED_LOGS_FILE);
    let mut topics: Vec<ClosedTopic> = Vec::new();
    for (name, log) in logs {
        let partition = (name.partition, log);
        match topics.last_mut().filter(|last| *last.name == *name.topic) {
            Some(last) => last.partitions.push(partition),
            None => topics.push(ClosedTopic {
                name: name.topic.to_string(),
                partitions: vec![partition],
            }),
        }
    }
    let content = Content {
        version: VERSION,
        topics,
    };
    let bytes =
        codec::encode(&content).map_err(|error| StorageError::corrupt(&path, error.to_string()))?;
    disk.write_file_atomically(&path, &bytes)?;
    Ok(digest(&bytes))
}

/// Reads the file of which the mark of the clean stop says this; without logs when it is another
/// one, which only costs time.
pub fn read_closed_logs(disk: &dyn Disk, directory: &Path, expected: u64) -> ClosedLogs {
    match read(disk, directory, expected) {
        Ok(logs) => logs,
        Err(error) => {
            log::warn!("every log is opened by looking into it: {error}");
            ClosedLogs::new()
        }
    }
}

fn read(disk: &dyn Disk, directory: &Path, expected: u64) -> Result<ClosedLogs, StorageError> {
    let path = directory.join(CLOSED_LOGS_FILE);
    let bytes = disk.read_file(&path, codec::VALUE_LENGTH_MAX)?;
    if digest(&bytes) != expected {
        let detail = "it is not the one that the last stop left";
        return Err(StorageError::corrupt(&path, detail));
    }
    let content: Content =
        codec::decode(&bytes).map_err(|error| StorageError::corrupt(&path, error.to_string()))?;
    if content.version != VERSION {
        return Err(StorageError::corrupt(&path, "it is of another version"));
    }
    let mut logs = ClosedLogs::new();
    for topic in content.topics {
        let name: Arc<str> = topic.name.into();
        for (partition, log) in topic.partitions {
            logs.insert(TopicPartition::new(Arc::clone(&name), partition), log);
        }
    }
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::MemoryDisk;

    #[test]
    fn a_file_that_is_not_the_one_the_mark_speaks_of_says_nothing() {
        let (disk, directory) = (MemoryDisk::new(), Path::new("/logs"));
        disk.create_dir_all(directory).unwrap();
        let digest = write_closed_logs(&disk, directory, ClosedLogs::new()).unwrap();
        assert!(read(&disk, directory, digest).is_ok());
        assert!(read(&disk, directory, digest + 1).is_err());
        let path = directory.join(CLOSED_LOGS_FILE);
        disk.flip_bit(&path, 0, 0).unwrap();
        assert!(read(&disk, directory, digest).is_err());
        assert!(read_closed_logs(&disk, directory, digest).is_empty());
        disk.remove_file(&path).unwrap();
        assert!(read_closed_logs(&disk, directory, digest).is_empty());
    }
}
