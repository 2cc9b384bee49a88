//! Kafka's checkpoint files: a version, a count, one line per entry (`CheckpointFile`,
//! `OffsetCheckpointFile`).
//!
//! The log directory's actor reads them at start and writes them from time to time. Invariant: a
//! file is replaced as a whole, never seen half written.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::StorageError;
use super::disk::Disk;
use crate::model::{Offset, TopicPartition};

/// Up to where each log is surely on the disk.
pub const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
/// Each partition's high watermark.
pub const HIGH_WATERMARK_CHECKPOINT: &str = "replication-offset-checkpoint";
/// Where each log starts, if not at its first segment.
pub const LOG_START_CHECKPOINT: &str = "log-start-offset-checkpoint";
/// Up to where each compacted log was cleaned.
pub const CLEANER_CHECKPOINT: &str = "cleaner-offset-checkpoint";

const VERSION: &str = "0";
/// A line has at most 280 bytes: room for a million partitions.
const LENGTH_MAX: usize = 280 << 20;

/// Why a text is no checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCheckpoint {
    /// A version that is not known.
    #[error("unrecognised version `{0}`, expected 0")]
    Version(String),
    /// A line that is not what it should be.
    #[error("malformed line {line}: `{text}`")]
    Malformed {
        /// Its number, from 1.
        line: usize,
        /// Its text.
        text: String,
    },
    /// Lines are missing or too many.
    #[error("expected {expected} entries, found {found}")]
    Count {
        /// What the second line says.
        expected: usize,
        /// What there is.
        found: usize,
    },
}

/// Writes version, count and lines.
pub(super) fn write_lines(lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("{VERSION}\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Reads what [`write_lines`] or Kafka wrote. An empty file, as a crash may leave it before the
/// first write, has no entries.
pub(super) fn parse_lines<T>(
    text: &str,
    mut parse: impl FnMut(&str) -> Option<T>,
) -> Result<Vec<T>, InvalidCheckpoint> {
    let malformed = |line: usize, text: &str| InvalidCheckpoint::Malformed {
        line,
        text: text.to_owned(),
    };
    let mut lines = text.lines();
    match lines.next() {
        None => return Ok(Vec::new()),
        Some(VERSION) => (),
        Some(version) => return Err(InvalidCheckpoint::Version(version.to_owned())),
    }
    let Some(count) = lines.next() else {
        return Ok(Vec::new());
    };
    let expected: usize = count.parse().map_err(|_| malformed(2, count))?;
    let mut entries = Vec::new();
    for (index, line) in lines.enumerate() {
        entries.push(parse(line).ok_or_else(|| malformed(index + 3, line))?);
    }
    let found = entries.len();
    if found != expected {
        return Err(InvalidCheckpoint::Count { expected, found });
    }
    Ok(entries)
}

/// The text of an offset checkpoint, in order of partition.
pub fn offsets_to_text(offsets: &BTreeMap<TopicPartition, Offset>) -> String {
    write_lines(
        offsets.iter().map(|(partition, offset)| {
            format!("{} {} {offset}", partition.topic, partition.partition)
        }),
    )
}

/// Reads the text of an offset checkpoint. Of a partition that is there twice the later line counts.
pub fn parse_offsets(text: &str) -> Result<BTreeMap<TopicPartition, Offset>, InvalidCheckpoint> {
    // Partitions of a topic follow each other, and share its name: they may be very many.
    let mut last: Arc<str> = "".into();
    let entries = parse_lines(text, |line| {
        let mut words = line.split_ascii_whitespace();
        let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
        if *last != *topic {
            last = topic.into();
        }
        let partition = TopicPartition::new(Arc::clone(&last), partition.parse().ok()?);
        let offset = Offset(offset.parse().ok()?);
        words.next().is_none().then_some((partition, offset))
    })?;
    Ok(entries.into_iter().collect())
}

/// Reads an offset checkpoint; a file that is not there has no entries.
///
/// # Errors
/// [`StorageError::Corrupt`] names the file and the line. The caller then does without it: recovers
/// everything, or starts from the oldest segment.
pub fn read_offsets(
    disk: &dyn Disk,
    path: &Path,
) -> Result<BTreeMap<TopicPartition, Offset>, StorageError> {
    match read_text(disk, path, LENGTH_MAX)? {
        Some(text) => parse_offsets(&text).map_err(|e| StorageError::corrupt(path, e.to_string())),
        None => Ok(BTreeMap::new()),
    }
}

/// Replaces an offset checkpoint.
pub fn write_offsets(
    disk: &dyn Disk,
    path: &Path,
    offsets: &BTreeMap<TopicPartition, Offset>,
) -> Result<(), StorageError> {
    disk.write_file_atomically(path, offsets_to_text(offsets).as_bytes())
}

/// Reads a small text file; `None` when it is not there.
pub(super) fn read_text(
    disk: &dyn Disk,
    path: &Path,
    length_max: usize,
) -> Result<Option<String>, StorageError> {
    let bytes = match disk.read_file(path, length_max) {
        Ok(bytes) => bytes,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(StorageError::corrupt(path, "it is not UTF-8 text")),
    }
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;
