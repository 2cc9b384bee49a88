//! What a log promises, on a disk in memory that can lose its power.

mod closing;
mod compacting;
mod counting;
mod damaged;
mod failing;
mod indexes;
mod moving;
mod properties;
mod reading;
mod recovering;
mod retaining;
mod running;
mod writing;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;

use super::*;
use crate::model::{ProducerEpoch, ProducerId};
use crate::record::{BatchBuilder, BatchHeader, Scratch, ValidBatch, batches, records};
use crate::storage::ReadPlan;
use crate::storage::disk::MemoryDisk;

const NOW: Timestamp = Timestamp(1_000_000);
const EPOCH: LeaderEpoch = LeaderEpoch(3);

fn directory() -> PathBuf {
    PathBuf::from("/data/topic-0")
}

fn small() -> LogConfig {
    LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

/// A log on a disk in memory, that can be closed, killed and opened again.
struct Bench {
    disk: MemoryDisk,
    config: Arc<LogConfig>,
    log: Log,
}

impl Bench {
    fn new(config: LogConfig) -> Bench {
        let disk = MemoryDisk::new();
        let config = Arc::new(config);
        let log = open(&disk, &config, &RecoveryInput::unknown()).0;
        Bench { disk, config, log }
    }

    fn append(&mut self, batch: &ValidBatch) -> Appended {
        self.log.append_as_leader(batch, EPOCH, NOW).unwrap()
    }

    /// Appends a batch with these values.
    fn write(&mut self, values: &[&str]) -> Appended {
        self.append(&batch(values))
    }

    fn reopen(&mut self, input: &RecoveryInput) -> RecoveryReport {
        let (log, report) = open(&self.disk, &self.config, input);
        self.log = log;
        report
    }

    fn close_and_reopen(&mut self) -> RecoveryReport {
        self.log.close().unwrap();
        let input = RecoveryInput {
            recovery_point: self.log.recovery_point(),
            log_start_offset: self.log.log_start_offset(),
            clean_shutdown: true,
            ..RecoveryInput::unknown()
        };
        self.reopen(&input)
    }

    /// The process is gone, what it wrote is not.
    fn kill_and_reopen(&mut self) -> RecoveryReport {
        let input = RecoveryInput {
            recovery_point: self.log.recovery_point(),
            log_start_offset: self.log.log_start_offset(),
            ..RecoveryInput::unknown()
        };
        self.reopen(&input)
    }

    fn flush(&mut self) {
        if let Some(job) = self.log.flush_job() {
            let done = job.run().unwrap();
            self.log.flushed(&done);
        }
    }

    /// Everything there is, as offset and value, read with this many bytes at a time.
    fn read_all(&self, bytes_max: usize) -> Vec<(i64, String)> {
        let reader = self.log.reader();
        let mut from = reader.log_start_offset();
        let mut found = Vec::new();
        while from < reader.log_end_offset() {
            let plan = reader
                .plan(from, bytes_max, Offset(i64::MAX), true)
                .unwrap();
            assert!(!plan.is_empty(), "no progress at {from}");
            let records = records_of(&plan);
            found.extend(records.into_iter().filter(|(offset, _)| *offset >= from.0));
            assert!(plan.next_offset() > from, "no progress at {from}");
            from = plan.next_offset();
        }
        found
    }

    fn names(&self) -> Vec<String> {
        let entries = self.disk.list(&directory()).unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }
}

fn open(
    disk: &MemoryDisk,
    config: &Arc<LogConfig>,
    input: &RecoveryInput,
) -> (Log, RecoveryReport) {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    Log::open(disk, directory(), Arc::clone(config), input, NOW).unwrap()
}

fn batch(values: &[&str]) -> ValidBatch {
    batch_at(values, 1000)
}

fn batch_at(values: &[&str], timestamp: i64) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    for (at, value) in values.iter().enumerate() {
        let timestamp = Timestamp(timestamp + at as i64);
        builder.append(timestamp, None, Some(value.as_bytes()), &[]);
    }
    ValidBatch::from_builder(builder.build().unwrap(), &mut Default::default()).unwrap()
}

fn batch_of(producer: i64, sequence: i32, values: &[&str]) -> ValidBatch {
    let mut builder =
        BatchBuilder::new().producer(ProducerId(producer), ProducerEpoch(0), sequence);
    for value in values {
        builder.append(NOW, None, Some(value.as_bytes()), &[]);
    }
    ValidBatch::from_builder(builder.build().unwrap(), &mut Default::default()).unwrap()
}

fn bytes_of(plan: &ReadPlan) -> BytesMut {
    let mut bytes = BytesMut::new();
    plan.read(&mut bytes).unwrap();
    assert_eq!(bytes.len(), plan.length());
    bytes
}

fn headers_of(plan: &ReadPlan) -> Vec<BatchHeader> {
    let bytes = bytes_of(plan);
    let mut walk = batches(&bytes);
    let headers = walk.by_ref().map(|batch| batch.unwrap().0).collect();
    assert!(walk.rest().is_empty(), "a plan ends between batches");
    headers
}

fn records_of(plan: &ReadPlan) -> Vec<(i64, String)> {
    let bytes = bytes_of(plan);
    let mut found = Vec::new();
    let mut scratch = Scratch::new();
    for batch in batches(&bytes) {
        let (header, batch) = batch.unwrap();
        assert!(crate::record::verify_crc(batch));
        let mut reader = records(&header, batch, 1 << 30, &mut scratch).unwrap();
        while let Some(record) = reader.next().unwrap() {
            let offset = header.base_offset.0 + i64::from(record.offset_delta);
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            found.push((offset, value));
        }
    }
    found
}

fn numbered(range: std::ops::Range<i64>) -> Vec<(i64, String)> {
    range.map(|n| (n, format!("value {n}"))).collect()
}

/// Appends single records `value <offset>` until the log ends at `end`.
fn fill(bench: &mut Bench, end: i64) {
    while bench.log.log_end_offset().0 < end {
        let value = format!("value {}", bench.log.log_end_offset());
        bench.write(&[&value]);
    }
}

fn path(name: &str) -> PathBuf {
    Path::new("/data/topic-0").join(name)
}
