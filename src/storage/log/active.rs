//! The segment that is appended to, as its writer keeps it: sizes, the open file, and when the next
//! index entry is due.

use std::sync::Weak;

use crate::model::{Offset, Timestamp};
use crate::record::BatchHeader;
use crate::storage::disk::DiskFile;
use crate::storage::offset_index;
use crate::storage::recovery::ActiveFacts;
use crate::storage::segment::{SegmentInfo, fits_relative};
use crate::storage::time_index::{self, TimeEntry};

use super::config::LogConfig;

/// The segment that is appended to.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) base_offset: Offset,
    /// Bytes of whole batches.
    pub(super) size: u64,
    /// Bytes for which blocks were reserved.
    pub(super) allocated: u64,
    /// Opened at the first append after a while; the log's handles hold it, and may close it.
    pub(super) log: Option<Weak<dyn DiskFile>>,
    pub(super) bytes_since_index_entry: u64,
    /// Entries of both indexes, written or not.
    pub(super) offset_entries: u32,
    pub(super) time_entries: u32,
    pub(super) max_timestamp: TimeEntry,
    pub(super) last_time_entry: Option<TimeEntry>,
    /// The max timestamp of the first batch.
    first_timestamp: Option<Timestamp>,
    created: Timestamp,
    jitter_ms: i64,
}

impl Active {
    /// A new segment without batches.
    pub(super) fn new(
        base_offset: Offset,
        config: &LogConfig,
        random: &mut u64,
        now: Timestamp,
    ) -> Active {
        Active {
            base_offset,
            size: 0,
            allocated: 0,
            log: None,
            bytes_since_index_entry: 0,
            offset_entries: 0,
            time_entries: 0,
            max_timestamp: TimeEntry {
                timestamp: Timestamp::NONE,
                offset: base_offset,
            },
            last_time_entry: None,
            first_timestamp: None,
            created: now,
            jitter_ms: jitter_ms(config, random),
        }
    }

    /// A segment that was found on disk.
    pub(super) fn opened(
        info: &SegmentInfo,
        facts: &ActiveFacts,
        config: &LogConfig,
        random: &mut u64,
        now: Timestamp,
    ) -> Active {
        let new = Active::new(info.base_offset, config, random, now);
        Active {
            size: info.size,
            allocated: info.size,
            offset_entries: info.offset_entries,
            time_entries: info.time_entries,
            max_timestamp: info.max_timestamp.unwrap_or(new.max_timestamp),
            last_time_entry: facts.last_time_entry,
            first_timestamp: facts.first_timestamp,
            ..new
        }
    }

    /// The max timestamp of the first batch.
    pub(super) fn first_timestamp(&self) -> Option<Timestamp> {
        self.first_timestamp
    }

    /// Whether a batch belongs into a new segment (Kafka's `LogSegment.shouldRoll`).
    pub(super) fn should_roll(
        &self,
        header: &BatchHeader,
        config: &LogConfig,
        now: Timestamp,
    ) -> bool {
        self.should_roll_behind((0, 0), header, config, now)
    }

    /// The same, once so many batches of so many bytes are written in front of it.
    pub(super) fn should_roll_behind(
        &self,
        (batches, bytes): (usize, usize),
        header: &BatchHeader,
        config: &LogConfig,
        now: Timestamp,
    ) -> bool {
        if !fits_relative(self.base_offset, header.last_offset()) {
            return true;
        }
        let size = self.size.saturating_add(bytes as u64);
        size > 0
            && (size.saturating_add(header.size() as u64) > config.segment_bytes
                || self.waited_ms(header.max_timestamp, now) > self.roll_after_ms(config)
                || self.indexes_are_full(batches, config))
    }

    fn roll_after_ms(&self, config: &LogConfig) -> i64 {
        let most_ms = match config.compacts {
            // Else a record could not be compacted in time: the active segment never is.
            true if config.max_compaction_lag_ms > 0 => {
                config.segment_ms.min(config.max_compaction_lag_ms)
            }
            _ => config.segment_ms,
        };
        most_ms.saturating_sub(self.jitter_ms)
    }

    /// How much later a batch is than the first one; without timestamps the wall clock counts.
    fn waited_ms(&self, timestamp: Timestamp, now: Timestamp) -> i64 {
        match self.first_timestamp {
            Some(first) if first >= Timestamp(0) => timestamp.0.saturating_sub(first.0),
            _ => now.0.saturating_sub(self.created.0),
        }
    }

    /// Whether there may be no room for another entry once so many batches brought theirs.
    fn indexes_are_full(&self, batches: usize, config: &LogConfig) -> bool {
        let batches = u32::try_from(batches).unwrap_or(u32::MAX);
        let bytes_max = config.index_bytes_max;
        let offsets_max = bytes_max / offset_index::ENTRY_SIZE as u32;
        // One is kept for the entry that closes the segment.
        let times_max = (bytes_max / time_index::ENTRY_SIZE as u32).saturating_sub(1);
        self.offset_entries.saturating_add(batches) >= offsets_max.max(1)
            || self.time_entries.saturating_add(batches) >= times_max.max(1)
    }

    /// Takes note of a batch that was written at the end; says whether an index entry is due for
    /// it, and the time entry that goes with that.
    pub(super) fn note(&mut self, header: &BatchHeader, config: &LogConfig) -> Due {
        if self.size == 0 {
            self.first_timestamp = Some(header.max_timestamp);
        }
        if header.max_timestamp > self.max_timestamp.timestamp {
            self.max_timestamp = TimeEntry {
                timestamp: header.max_timestamp,
                offset: header.last_offset(),
            };
        }
        let mut due = Due::default();
        if self.bytes_since_index_entry > config.index_interval_bytes {
            due.offset = true;
            due.time = self.next_time_entry();
            self.offset_entries += 1;
            self.bytes_since_index_entry = 0;
        }
        let size = header.size() as u64;
        self.bytes_since_index_entry += size;
        self.size += size;
        due
    }

    /// The largest timestamp, if the time index does not end with it already.
    pub(super) fn next_time_entry(&mut self) -> Option<TimeEntry> {
        let last = self
            .last_time_entry
            .map_or(Timestamp::NONE, |entry| entry.timestamp);
        if self.max_timestamp.timestamp <= last {
            return None;
        }
        self.last_time_entry = Some(self.max_timestamp);
        self.time_entries += 1;
        self.last_time_entry
    }
}

/// Which index entries a batch brings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Due {
    pub(super) offset: bool,
    pub(super) time: Option<TimeEntry>,
}

/// Takes the next number of a xorshift sequence: enough to spread rolls, nothing depends on it.
fn jitter_ms(config: &LogConfig, random: &mut u64) -> i64 {
    let range = config.segment_jitter_ms.min(config.segment_ms);
    if range <= 0 {
        return 0;
    }
    let mut next = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    next ^= next << 13;
    next ^= next >> 7;
    next ^= next << 17;
    *random = next;
    i64::try_from(next % range.unsigned_abs()).unwrap_or(0)
}
