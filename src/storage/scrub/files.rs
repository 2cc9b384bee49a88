//! Two small text files in a log directory: which ranges are damaged, and how far the scrubber is.
//!
//! Written by the scrubber, read when the directory is taken into use; Kafka and its tools leave
//! files of these names alone. Invariant: neither is needed. Without the first, damage is found anew;
//! without the second, a round begins anew.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{Offset, Timestamp, TopicPartition};
use crate::storage::StorageError;
use crate::storage::checkpoint::{parse_lines, read_text, write_lines};
use crate::storage::disk::Disk;
use crate::storage::log::Damage;

/// The name of the file of damaged ranges.
pub const DAMAGED_RANGES_FILE: &str = "milena-damaged-ranges";
/// The name of the file of the scrubber's progress.
pub const SCRUB_PROGRESS_FILE: &str = "milena-scrub-progress";

/// A line has a few hundred bytes.
const LENGTH_MAX: usize = 64 << 20;

/// Damaged ranges by partition.
pub type DamagedRanges = BTreeMap<TopicPartition, Vec<Damage>>;

/// How far the scrubber is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrubProgress {
    /// When the newest round began.
    pub begun: Timestamp,
    /// The last partition it is through with; none when the round is over.
    pub done_with: Option<TopicPartition>,
}

/// Reads the damaged ranges; a file that is not there has none.
///
/// # Errors
/// When it cannot be read; [`StorageError::Corrupt`] names the line.
pub fn read_damaged_ranges(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<DamagedRanges, StorageError> {
    let path = directory.join(DAMAGED_RANGES_FILE);
    let Some(text) = read_text(disk, &path, LENGTH_MAX)? else {
        return Ok(DamagedRanges::new());
    };
    let lines = parse_lines(&text, parse_range);
    let lines = lines.map_err(|error| StorageError::corrupt(&path, error.to_string()))?;
    let mut ranges = DamagedRanges::new();
    for (partition, damage) in lines {
        ranges.entry(partition).or_default().push(damage);
    }
    Ok(ranges)
}

fn parse_range(line: &str) -> Option<(TopicPartition, Damage)> {
    let mut words = line.splitn(8, ' ');
    let partition = TopicPartition::new(words.next()?, words.next()?.parse().ok()?);
    let mut number = || words.next()?.parse::<i64>().ok();
    let (segment, position, end) = (number()?, number()?, number()?);
    let (first, next) = (number()?, number()?);
    let damage = Damage {
        segment: Offset(segment),
        position: u64::try_from(position).ok()?,
        end: u64::try_from(end).ok()?,
        first_offset: Offset(first),
        next_offset: Offset(next),
        why: words.next()?.to_owned(),
    };
    let in_order = damage.position <= damage.end && damage.first_offset <= damage.next_offset;
    in_order.then_some((partition, damage))
}

/// Replaces the file of damaged ranges.
///
/// # Errors
/// When it cannot be written.
pub fn write_damaged_ranges(
    disk: &dyn Disk,
    directory: &Path,
    ranges: &DamagedRanges,
) -> Result<(), StorageError> {
    let lines: Vec<String> = ranges
        .iter()
        .flat_map(|(partition, damages)| damages.iter().map(move |damage| (partition, damage)))
        .map(|(partition, damage)| {
            format!(
                "{} {} {} {} {} {} {} {}",
                partition.topic,
                partition.partition,
                damage.segment,
                damage.position,
                damage.end,
                damage.first_offset,
                damage.next_offset,
                damage.why.replace('\n', " ")
            )
        })
        .collect();
    let text = write_lines(lines.into_iter());
    disk.write_file_atomically(&directory.join(DAMAGED_RANGES_FILE), text.as_bytes())
}

/// Reads how far the scrubber was; none when it never was anywhere, or nobody can tell.
///
/// # Errors
/// When the file cannot be read.
pub fn read_scrub_progress(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<Option<ScrubProgress>, StorageError> {
    let path = directory.join(SCRUB_PROGRESS_FILE);
    let text = match read_text(disk, &path, LENGTH_MAX) {
        Err(StorageError::Corrupt { .. }) => None,
        text => text?,
    };
    let lines = text.and_then(|text| parse_lines(&text, parse_progress).ok());
    Ok(lines.and_then(|lines| lines.into_iter().next()))
}

fn parse_progress(line: &str) -> Option<ScrubProgress> {
    let mut words = line.split(' ');
    let begun = Timestamp(words.next()?.parse().ok()?);
    let done_with = match (words.next(), words.next()) {
        (Some(topic), Some(partition)) => Some(TopicPartition::new(topic, partition.parse().ok()?)),
        _ => None,
    };
    Some(ScrubProgress { begun, done_with })
}

/// Replaces the file of the scrubber's progress.
///
/// # Errors
/// When it cannot be written.
pub fn write_scrub_progress(
    disk: &dyn Disk,
    directory: &Path,
    progress: &ScrubProgress,
) -> Result<(), StorageError> {
    let begun = progress.begun.0;
    let line = match &progress.done_with {
        Some(partition) => format!("{begun} {} {}", partition.topic, partition.partition),
        None => format!("{begun}"),
    };
    let text = write_lines([line].into_iter());
    disk.write_file_atomically(&directory.join(SCRUB_PROGRESS_FILE), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::disk::MemoryDisk;

    #[test]
    fn what_was_written_is_read_again() {
        let (disk, directory) = (MemoryDisk::new(), Path::new("/logs"));
        disk.create_dir_all(directory).unwrap();
        assert_eq!(
            read_damaged_ranges(&disk, directory).unwrap(),
            DamagedRanges::new()
        );
        assert_eq!(read_scrub_progress(&disk, directory).unwrap(), None);
        let partition = TopicPartition::new("a-topic", 3);
        let damage = Damage {
            segment: Offset(100),
            position: 61,
            end: 400,
            first_offset: Offset(104),
            next_offset: Offset(109),
            why: "the checksum of the batch at offset 104 is wrong".to_owned(),
        };
        let ranges: DamagedRanges = [(partition.clone(), vec![damage])].into();
        write_damaged_ranges(&disk, directory, &ranges).unwrap();
        assert_eq!(read_damaged_ranges(&disk, directory).unwrap(), ranges);
        for done_with in [None, Some(partition)] {
            let progress = ScrubProgress {
                begun: Timestamp(7),
                done_with,
            };
            write_scrub_progress(&disk, directory, &progress).unwrap();
            let read = read_scrub_progress(&disk, directory).unwrap();
            assert_eq!(read, Some(progress));
        }
    }
}
