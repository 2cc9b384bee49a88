//! `partition.metadata`: the identity of the topic a directory belongs to (KIP-516).
//!
//! Written when a log is made; read at start, so that the directory of a topic that was deleted
//! and made anew is not taken for the new one's. Invariant: the identity is never zero.

use std::path::Path;

use super::StorageError;
use super::checkpoint::read_text;
use super::disk::Disk;
use crate::model::TopicId;

/// The file's name inside a partition's directory.
pub const PARTITION_METADATA: &str = "partition.metadata";

/// The file has 43 bytes; later versions may add lines.
const LENGTH_MAX: usize = 4096;

/// Reads the file in a partition's directory; `None` when it is not there, as in directories that
/// are older than topic ids.
pub fn read_partition_metadata(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<TopicId>, StorageError> {
    let path = directory.join(PARTITION_METADATA);
    match read_text(disk, &path, LENGTH_MAX)? {
        Some(text) => parse_partition_metadata(&text)
            .map(Some)
            .map_err(|error| match error {
                InvalidPartitionMetadata::Newer(version) => {
                    StorageError::UnknownVersion { path, version }
                }
                error => StorageError::corrupt(&path, error.to_string()),
            }),
        None => Ok(None),
    }
}

/// Writes the file into a partition's directory.
pub fn write_partition_metadata(
    disk: &dyn Disk,
    directory: &Path,
    topic_id: TopicId,
) -> Result<(), StorageError> {
    let text = partition_metadata_to_text(topic_id);
    disk.write_file_atomically(&directory.join(PARTITION_METADATA), text.as_bytes())
}

/// Why a text is no partition metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPartitionMetadata {
    /// The version is not a number from 0.
    #[error("unrecognised version line `{0}`")]
    Version(String),
    /// A version that Kafka's reader refuses, too.
    #[error("version {0} is not known, only 0")]
    Newer(String),
    /// The topic's id is missing, malformed or zero.
    #[error("invalid topic id line `{0}`")]
    TopicId(String),
}

/// The content of the file; no newline ends it.
pub fn partition_metadata_to_text(topic_id: TopicId) -> String {
    format!("version: 0\ntopic_id: {topic_id}")
}

/// Reads the file's content. Of another version nobody knows what its directory holds.
pub fn parse_partition_metadata(text: &str) -> Result<TopicId, InvalidPartitionMetadata> {
    let mut lines = text.lines();
    let version = lines.next().unwrap_or_default();
    let known = value_of(version, "version")
        .and_then(|value| value.parse::<u32>().ok())
        .ok_or_else(|| InvalidPartitionMetadata::Version(version.to_owned()))?;
    if known > 0 {
        return Err(InvalidPartitionMetadata::Newer(known.to_string()));
    }
    let topic_id = lines.next().unwrap_or_default();
    value_of(topic_id, "topic_id")
        .and_then(|value| value.parse::<TopicId>().ok())
        .filter(|id| !id.is_zero())
        .ok_or_else(|| InvalidPartitionMetadata::TopicId(topic_id.to_owned()))
}

fn value_of<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let value = line.strip_prefix(key)?.strip_prefix(':')?;
    value.starts_with(char::is_whitespace).then(|| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_as_kafka_writes_it() {
        let text = "version: 0\ntopic_id: K6EJy_rPQjG_pUpkOpoHFA";
        let id = parse_partition_metadata(text).unwrap();
        assert_eq!(partition_metadata_to_text(id), text);
        assert_eq!(parse_partition_metadata(&format!("{text}\n")), Ok(id));
    }

    #[test]
    fn an_identity_that_is_missing_or_zero_is_refused() {
        let zero = partition_metadata_to_text(TopicId::ZERO);
        for text in ["", "version: 0", "version: 0\ntopic_id: x", &zero] {
            assert!(parse_partition_metadata(text).is_err(), "{text}");
        }
        assert!(matches!(
            parse_partition_metadata("version: -1\ntopic_id: K6EJy_rPQjG_pUpkOpoHFA"),
            Err(InvalidPartitionMetadata::Version(_))
        ));
        assert!(matches!(
            parse_partition_metadata("version: 1\ntopic_id: K6EJy_rPQjG_pUpkOpoHFA"),
            Err(InvalidPartitionMetadata::Newer(_))
        ));
    }
}
