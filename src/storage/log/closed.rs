//! What a closed log is remembered by, so that opening it again after a clean stop reads nothing of
//! it.
//!
//! A log that is closed describes itself ([`Log::closed`]); the next life compares the description
//! with the names and lengths on the disk ([`Log::reopen`]) and, when they differ in anything, opens
//! the log as if there were none. Invariant: a reopened log is what [`Log::open`] would have made of
//! the same files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{LeaderEpoch, Offset, Timestamp, TopicId, Uuid};
use crate::storage::StorageError;
use crate::storage::disk::{DirectoryEntry, Disk};
use crate::storage::leader_epochs::{EpochEntry, LeaderEpochs};
use crate::storage::offset_index;
use crate::storage::producer_state::{ProducerStates, load_snapshot};
use crate::storage::recovery::{ActiveFacts, Recovered, RecoveryInput, RecoveryReport};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName, Stage};
use crate::storage::time_index::{self, TimeEntry};

use super::{Log, LogConfig};

/// Of a log with more segments, all are looked at with one listing of the directory.
const LOOKED_AT_ONE_BY_ONE_MAX: usize = 16;

/// A closed log. Everything is a number here: these are bytes of a file of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedLog {
    topic_id: Option<[u8; 16]>,
    /// When a name in its directory was last made or removed, in milliseconds, where known.
    modified: Option<i64>,
    log_start_offset: i64,
    log_end_offset: i64,
    segments: Vec<ClosedSegment>,
    first_timestamp: Option<i64>,
    last_time_entry: Option<(i64, i64)>,
    /// Leader epochs and where they start.
    epochs: Vec<(i32, i64)>,
    /// Whether the snapshot at the log's end knows any producers.
    has_producers: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ClosedSegment {
    base_offset: i64,
    size: u64,
    offset_entries: u32,
    time_entries: u32,
    max_timestamp: Option<(i64, i64)>,
    modified: Option<i64>,
    has_aborted: bool,
}

fn pair(entry: TimeEntry) -> (i64, i64) {
    (entry.timestamp.0, entry.offset.0)
}

fn entry((timestamp, offset): (i64, i64)) -> TimeEntry {
    TimeEntry {
        timestamp: Timestamp(timestamp),
        offset: Offset(offset),
    }
}

impl ClosedSegment {
    fn of(info: &SegmentInfo) -> ClosedSegment {
        ClosedSegment {
            base_offset: info.base_offset.0,
            size: info.size,
            offset_entries: info.offset_entries,
            time_entries: info.time_entries,
            max_timestamp: info.max_timestamp.map(pair),
            modified: info.modified.map(|time| time.0),
            has_aborted: info.has_aborted,
        }
    }

    fn info(&self) -> SegmentInfo {
        SegmentInfo {
            base_offset: Offset(self.base_offset),
            size: self.size,
            offset_entries: self.offset_entries,
            time_entries: self.time_entries,
            max_timestamp: self.max_timestamp.map(entry),
            modified: self.modified.map(Timestamp),
            has_aborted: self.has_aborted,
        }
    }

    fn name(&self) -> String {
        FileName::live(Offset(self.base_offset), FileKind::Log).to_string()
    }

    /// Whether its batches are in this file as they were left.
    fn is(&self, found: &DirectoryEntry) -> bool {
        let modified = found.modified.map(|time| time.0);
        found.is_file && found.length == self.size && modified == self.modified
    }
}

impl ClosedLog {
    /// For comparing with a log that does not know them yet.
    #[cfg(test)]
    pub(super) fn forget_maxima(&mut self) {
        let older = self.segments.len().saturating_sub(1);
        for segment in &mut self.segments[..older] {
            segment.max_timestamp = None;
        }
    }

    /// The base offset and the bytes of each segment.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = (Offset, u64)> + '_ {
        let each = self.segments.iter();
        each.map(|segment| (Offset(segment.base_offset), segment.size))
    }

    /// Whether this is the log of that topic.
    pub(crate) fn is_of(&self, topic_id: Option<TopicId>) -> bool {
        self.topic_id.map(Uuid) == topic_id
    }

    /// Whether this is the log of that topic, and its files are as it says.
    fn is_there(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        topic_id: Option<TopicId>,
    ) -> Result<bool, StorageError> {
        let Some(found) = disk.look(directory)? else {
            return Ok(false);
        };
        let modified = found.modified.map(|time| time.0);
        let same = found.is_directory
            && modified == self.modified
            && self.is_of(topic_id)
            && !self.segments.is_empty();
        if !same {
            return Ok(false);
        }
        if self.segments.len() > LOOKED_AT_ONE_BY_ONE_MAX {
            // In order of name is in order of offset.
            let listed = disk.list(directory)?;
            let mut logs = listed.iter().filter(|entry| entry.name.ends_with(".log"));
            let mut all = self.segments.iter();
            let is_next = |segment: &ClosedSegment| {
                let next = logs.next();
                next.is_some_and(|next| next.name == segment.name() && segment.is(next))
            };
            return Ok(all.all(is_next));
        }
        for segment in &self.segments {
            let found = disk.look(&directory.join(segment.name()))?;
            if !found.is_some_and(|found| segment.is(&found)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What recovery would find; none when the snapshot of its producers cannot be believed.
    fn recovered(
        &self,
        disk: &dyn Disk,
        directory: &Path,
        config: &LogConfig,
        input: &RecoveryInput,
        now: Timestamp,
    ) -> Result<Option<Recovered>, StorageError> {
        let log_end_offset = Offset(self.log_end_offset);
        let log_start_offset = input.log_start_offset.max(Offset(self.log_start_offset));
        if log_end_offset < log_start_offset {
            return Ok(None);
        }
        let expiration_ms = config.producer_id_expiration_ms;
        let mut producers = match self.has_producers {
            false => ProducerStates::new(expiration_ms),
            true => match load_snapshot(disk, directory, log_end_offset, expiration_ms, now)? {
                Some(producers) => producers,
                None => return Ok(None),
            },
        };
        producers.set_end_offset(log_end_offset);
        producers.expire(now);
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in &self.epochs {
            epochs.assign(LeaderEpoch(*epoch), Offset(*start));
        }
        let epochs_changed = epochs.truncate_from_start(log_start_offset);
        Ok(Some(Recovered {
            segments: self.segments.iter().map(ClosedSegment::info).collect(),
            active: Some(ActiveFacts {
                first_timestamp: self.first_timestamp.map(Timestamp),
                last_time_entry: self.last_time_entry.map(entry),
            }),
            log_start_offset,
            log_end_offset,
            recovery_point: log_end_offset,
            epochs,
            epochs_changed,
            producers,
            unflushed_files: Vec::new(),
            report: RecoveryReport::default(),
        }))
    }
}

impl Log {
    /// Opens a log that was closed in an orderly way and then left alone; none when its files are
    /// not as they were left, or another topic's: open it with [`Log::open`] then.
    ///
    /// # Errors
    /// When the disk cannot be asked.
    pub fn reopen(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        config: Arc<LogConfig>,
        input: &RecoveryInput,
        closed: &ClosedLog,
        now: Timestamp,
    ) -> Result<Option<Log>, StorageError> {
        let trusted =
            input.clean_shutdown && closed.is_there(&*disk, &directory, input.topic_id)?;
        if !trusted {
            return Ok(None);
        }
        let recovered = closed.recovered(&*disk, &directory, &config, input, now)?;
        Ok(recovered.map(|recovered| {
            let mut log = Log::of(recovered, disk, directory, config, input, now);
            log.untouched_since = Some(closed.modified.map(Timestamp));
            log
        }))
    }

    /// Whether nothing was changed since the log was opened in the state in which it was closed.
    pub fn is_untouched(&self) -> bool {
        self.untouched_since.is_some()
            && self.bytes_appended == 0
            && self.generation == 0
            && !self.names_changed
            && !self.epochs_changed
            && !self.poisoned
            && self.unflushed_files.is_empty()
            && self.under_way.is_none()
    }

    /// Whether closing it now would neither read nor write.
    pub fn closes_at_once(&self) -> bool {
        self.active.is_none() || self.is_untouched()
    }

    /// Describes a closed log. None for one that has no files, and where something is left to be
    /// settled at the next start.
    ///
    /// # Errors
    /// When its directory cannot be read.
    pub fn closed(&self) -> Result<Option<ClosedLog>, StorageError> {
        let Some(active) = &self.active else {
            return Ok(None);
        };
        let modified = match self.untouched_since.filter(|_| self.is_untouched()) {
            Some(modified) => modified,
            None => {
                if !self.settle_names()? {
                    return Ok(None);
                }
                let directory = self.shared.disk.look(self.directory())?;
                directory.and_then(|directory| directory.modified)
            }
        };
        let view = self.shared.view();
        // A reign that is in memory alone begins anew with the next life.
        let written =
            |entry: &&EpochEntry| !self.reign_unwritten || entry.start_offset < view.log_end_offset;
        let epochs = view.epochs.entries().iter().filter(written);
        Ok(Some(ClosedLog {
            topic_id: self.topic_id.map(|id| id.0),
            modified: modified.map(|time| time.0),
            log_start_offset: view.log_start_offset.0,
            log_end_offset: view.log_end_offset.0,
            segments: view.segments.iter().map(ClosedSegment::of).collect(),
            first_timestamp: active.first_timestamp().map(|time| time.0),
            last_time_entry: active.last_time_entry.map(pair),
            epochs: epochs
                .map(
                    |EpochEntry {
                         epoch,
                         start_offset,
                     }| (epoch.0, start_offset.0),
                )
                .collect(),
            has_producers: !self.producers.is_empty(),
        }))
    }

    /// Compares the names on the disk with what the log knows, takes over when segments were
    /// written last, and removes snapshots of no use any more. False when the names are not those
    /// of a log to which nothing is left to do.
    fn settle_names(&self) -> Result<bool, StorageError> {
        let disk = &*self.shared.disk;
        let entries = disk.list(self.directory())?;
        let named = entries.iter().filter(|entry| !entry.is_directory);
        let named: Vec<(FileName, &DirectoryEntry)> = named
            .filter_map(|entry| Some((FileName::parse(&entry.name)?, entry)))
            .collect();
        let by_name: HashMap<(Offset, FileKind), &DirectoryEntry> = named
            .iter()
            .map(|(name, entry)| ((name.offset, name.kind), *entry))
            .collect();
        let found = |offset, kind| by_name.get(&(offset, kind)).copied();
        let mut segments = self.shared.view().segments.to_vec();
        for segment in &mut segments {
            let length = |kind| found(segment.base_offset, kind).map(|entry| entry.length);
            let index = u64::from(segment.offset_entries) * offset_index::ENTRY_SIZE as u64;
            let times = u64::from(segment.time_entries) * time_index::ENTRY_SIZE as u64;
            let same = length(FileKind::Log) == Some(segment.size)
                && length(FileKind::OffsetIndex) == Some(index)
                && length(FileKind::TimeIndex) == Some(times)
                && length(FileKind::TransactionIndex).is_some() == segment.has_aborted;
            if !same {
                return Ok(false);
            }
            segment.modified =
                found(segment.base_offset, FileKind::Log).and_then(|entry| entry.modified);
        }
        let is_base = |name: &FileName| {
            let at = segments.binary_search_by_key(&name.offset, |s| s.base_offset);
            at.is_ok()
        };
        let end = self.log_end_offset;
        let mut has_snapshot = false;
        for (name, _) in &named {
            match name.kind {
                _ if name.stage != Stage::Live => return Ok(false),
                FileKind::Snapshot if name.offset == end => has_snapshot = true,
                // As Kafka keeps them: one for each segment, and the newest.
                FileKind::Snapshot if !is_base(name) => {
                    disk.remove_file(&self.directory().join(name.to_string()))?;
                }
                // Segments that were put here are no part of the log, and left alone.
                _ => {}
            }
        }
        self.shared
            .view()
            .segments
            .change(|all| all.clone_from(&segments));
        Ok(has_snapshot || self.producers.is_empty())
    }
}
