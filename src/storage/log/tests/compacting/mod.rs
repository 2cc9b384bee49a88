//! What compaction promises: rules one by one, swaps that are cut off, and random histories.

mod random;
mod rules;
mod swapping;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::*;
use crate::model::{ProducerEpoch, ProducerId};
use crate::record::{
    BatchBuilder, BatchHeader, Codec, EndTransactionMarker, Scratch, ValidBatch, batches, records,
    verify_crc,
};
use crate::storage::cleaner::{CleaningError, CleaningStats, CleaningStopped, OffsetMap, Pace};
use crate::storage::disk::Disk;

const EPOCH: LeaderEpoch = LeaderEpoch(3);

fn directory() -> PathBuf {
    PathBuf::from("/data/table-0")
}

/// A pace that is never in the way, and counts.
#[derive(Default)]
struct Free(u64);

impl Pace for Free {
    fn moved(&mut self, bytes: u64) -> Result<(), CleaningStopped> {
        self.0 += bytes;
        Ok(())
    }
}

/// A record as a reader finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: usize,
}

/// A log on any disk, and a cleaner beside it.
struct Table {
    disk: Arc<dyn Disk>,
    config: Arc<LogConfig>,
    log: Log,
    /// `cleaner-offset-checkpoint`.
    checkpoint: Option<Offset>,
    map: OffsetMap,
}

/// How a round ended.
#[derive(Debug)]
struct Round {
    stats: CleaningStats,
    replaced: usize,
    until: Offset,
}

fn open_log(disk: &Arc<dyn Disk>, config: &Arc<LogConfig>, input: &RecoveryInput, now: i64) -> Log {
    let disk = Arc::clone(disk);
    let config = Arc::clone(config);
    Log::open(disk, directory(), config, input, Timestamp(now))
        .unwrap()
        .0
}

impl Table {
    fn new(disk: Arc<dyn Disk>, config: LogConfig) -> Table {
        let config = Arc::new(config);
        disk.create_dir_all(std::path::Path::new("/data")).unwrap();
        disk.sync_dir(std::path::Path::new("/")).unwrap();
        let log = open_log(&disk, &config, &RecoveryInput::unknown(), 0);
        Table {
            disk,
            config,
            log,
            checkpoint: None,
            map: OffsetMap::new(24 * 10_000, 0.9, [3; 16]),
        }
    }

    fn append(&mut self, batch: &ValidBatch, now: i64) -> Appended {
        let appended = self.log.append_as_leader(batch, EPOCH, Timestamp(now));
        let appended = appended.unwrap();
        self.log.advance_high_watermark(self.log.log_end_offset());
        appended
    }

    fn flush(&mut self) {
        if let Some(job) = self.log.flush_job() {
            let done = job.run().unwrap();
            self.log.flushed(&done);
        }
    }

    /// Up to where readers of committed records may read.
    fn stable(&self) -> Offset {
        let end = self.log.log_end_offset();
        self.log.first_unstable_offset().map_or(end, |o| o.min(end))
    }

    fn cleanable(&self, now: i64) -> Cleanable {
        self.log
            .reader()
            .cleanable(&self.config, self.checkpoint, self.stable(), Timestamp(now))
            .unwrap()
    }

    /// A whole round; none when nothing was to be cleaned.
    fn clean(&mut self, now: i64) -> Result<Option<Round>, CleaningError> {
        let reader = self.log.reader();
        let stable = self.stable();
        let cleanable = reader.cleanable(&self.config, self.checkpoint, stable, Timestamp(now))?;
        let Some(mut cleaning) = self.log.begin_cleaning(&cleanable, Timestamp(now))? else {
            return Ok(None);
        };
        cleaning.fill(&mut self.map, &mut Free::default())?;
        let mut replaced = 0;
        while let Some(new) = cleaning.next_replacement(&self.map, &mut Free::default())? {
            for deleted in self.log.replace_segments(new)? {
                deleted.unlink(&*self.disk)?;
            }
            replaced += 1;
        }
        self.checkpoint = Some(cleaning.clean_until());
        Ok(Some(Round {
            stats: *cleaning.stats(),
            replaced,
            until: cleaning.clean_until(),
        }))
    }

    fn reopen(&mut self, clean: bool, now: i64) {
        if clean {
            self.log.close().unwrap();
        }
        let input = RecoveryInput {
            recovery_point: self.log.recovery_point(),
            log_start_offset: self.log.log_start_offset(),
            clean_shutdown: clean,
            ..RecoveryInput::unknown()
        };
        self.log = open_log(&self.disk, &self.config, &input, now);
        self.log.advance_high_watermark(self.log.log_end_offset());
    }

    /// The headers of all batches, with what stands in the files.
    fn headers(&self) -> Vec<BatchHeader> {
        let mut headers = Vec::new();
        for (_, bytes) in self.ranges(self.log.log_start_offset(), 1 << 20) {
            headers.extend(batches(&bytes).map(|batch| batch.unwrap().0));
        }
        headers
    }

    /// All ranges of bytes a reader is given from an offset on, and where each ends.
    fn ranges(&self, from: Offset, bytes_max: usize) -> Vec<(Offset, Vec<u8>)> {
        let reader = self.log.reader();
        let mut from = from;
        let mut ranges = Vec::new();
        while from < reader.log_end_offset() {
            let plan = reader
                .plan(from, bytes_max, Offset(i64::MAX), true)
                .unwrap();
            assert!(plan.next_offset() > from, "no progress at {from}");
            let mut bytes = bytes::BytesMut::new();
            plan.read(&mut bytes).unwrap();
            let mut walk = batches(&bytes);
            for batch in walk.by_ref() {
                assert!(verify_crc(batch.unwrap().1));
            }
            assert!(walk.rest().is_empty(), "a plan ends between batches");
            from = plan.next_offset();
            ranges.push((from, bytes.to_vec()));
        }
        ranges
    }

    /// All data records from an offset on, read with this many bytes at a time.
    fn read(&self, from: Offset, bytes_max: usize) -> Vec<Seen> {
        let ranges = self.ranges(from, bytes_max);
        let bytes = ranges.iter().flat_map(|(_, bytes)| batches(bytes));
        let data = bytes.map(Result::unwrap).filter(|(h, _)| !h.is_control());
        data.flat_map(|(header, bytes)| records_of(&header, bytes))
            .filter(|record| record.offset >= from.0)
            .collect()
    }

    fn read_all(&self) -> Vec<Seen> {
        self.read(self.log.log_start_offset(), 1 << 20)
    }

    /// Keys and values, tombstones left out.
    fn table(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        table_of(&self.read_all())
    }

    /// What a consumer of committed records gets.
    fn read_committed(&self, bytes_max: usize) -> Vec<Seen> {
        let reader = self.log.reader();
        let mut from = reader.log_start_offset();
        let mut found = Vec::new();
        for (next, bytes) in self.ranges(from, bytes_max) {
            let mut aborted = reader.aborted_transactions(from, next).unwrap();
            aborted.sort_by_key(|transaction| transaction.first_offset);
            let mut aborted = aborted.into_iter().peekable();
            let mut inside = Vec::new();
            for (header, bytes) in batches(&bytes).map(Result::unwrap) {
                while let Some(next) = aborted.next_if(|t| t.first_offset <= header.last_offset()) {
                    inside.push(next.producer_id);
                }
                if header.is_control() {
                    if is_abort(&header, bytes) {
                        inside.retain(|id| *id != header.producer_id);
                    }
                } else if !header.is_transactional() || !inside.contains(&header.producer_id) {
                    let all = records_of(&header, bytes).into_iter();
                    found.extend(all.filter(|record| record.offset >= from.0));
                }
            }
            from = next;
        }
        found
    }
}

fn is_abort(header: &BatchHeader, bytes: &[u8]) -> bool {
    let mut scratch = Scratch::new();
    let mut reader = records(header, bytes, 1 << 20, &mut scratch).unwrap();
    let Some(record) = reader.next().unwrap() else {
        return false;
    };
    EndTransactionMarker::parse(&record).is_ok_and(|marker| !marker.committed)
}

fn records_of(header: &BatchHeader, bytes: &[u8]) -> Vec<Seen> {
    let mut scratch = Scratch::new();
    let mut reader = records(header, bytes, 1 << 20, &mut scratch).unwrap();
    let mut found = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        found.push(Seen {
            offset: header.base_offset.0 + i64::from(record.offset_delta),
            timestamp: header.record_timestamp(record.timestamp_delta).0,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers().count(),
        });
    }
    found
}

fn table_of(records: &[Seen]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut table = BTreeMap::new();
    for record in records {
        match (&record.key, &record.value) {
            (Some(key), Some(value)) => drop(table.insert(key.clone(), value.clone())),
            (Some(key), None) => drop(table.remove(key)),
            _ => {}
        }
    }
    table
}

fn valid(builder: BatchBuilder) -> ValidBatch {
    ValidBatch::from_builder(builder.build().unwrap(), &mut Default::default()).unwrap()
}

/// A batch of these keys and values at a time.
fn pairs(records: &[(&str, Option<&str>)], timestamp: i64) -> ValidBatch {
    of_pairs(BatchBuilder::new(), records, timestamp)
}

fn of_pairs(
    mut builder: BatchBuilder,
    records: &[(&str, Option<&str>)],
    timestamp: i64,
) -> ValidBatch {
    for (key, value) in records {
        let value = value.map(str::as_bytes);
        builder.append(Timestamp(timestamp), Some(key.as_bytes()), value, &[]);
    }
    valid(builder)
}

fn in_transaction(producer: i64, sequence: i32) -> BatchBuilder {
    BatchBuilder::new()
        .producer(ProducerId(producer), ProducerEpoch(0), sequence)
        .transactional()
}

fn marker(producer: i64, committed: bool, timestamp: i64) -> ValidBatch {
    let marker = EndTransactionMarker {
        committed,
        coordinator_epoch: 1,
    };
    let id = ProducerId(producer);
    let bytes = marker.batch(id, ProducerEpoch(0), Timestamp(timestamp));
    ValidBatch::from_builder(bytes.unwrap(), &mut Default::default()).unwrap()
}
