//! How often the way of records asks for memory, by the number of records in a batch.
//!
//! `cargo bench --bench allocations`. Prints one line for each step and ends with an error when a
//! step asks more often for a batch of many records than for one of few.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use milena::model::{LeaderEpoch, Offset, Timestamp};
use milena::record::{
    BatchBuilder, ProduceRules, Scratch, TimestampType, TopicCompression, validate_produce,
};
use milena::storage::disk::SystemDisk;
use milena::storage::{Log, LogConfig, RecoveryInput};

mod counting;
use counting::asked;

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// Runs before the one that is counted: buffers that are used again have their size by then.
const WARM_UP: usize = 100;

/// How often, and for how many bytes, one run of `step` asks for memory.
fn counted(mut step: impl FnMut()) -> (u64, u64) {
    (0..WARM_UP).for_each(|_| step());
    let before = asked();
    step();
    let after = asked();
    (after.0 - before.0, after.1 - before.1)
}

fn rules() -> ProduceRules {
    ProduceRules {
        max_message_bytes: 2 << 20,
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        key_required: false,
        zstd_allowed: true,
        decompressed_bytes_max: 100 << 20,
        now: NOW,
    }
}

fn batch(records: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.append(NOW, Some(b"key"), Some(&[b'x'; 100]), &[]);
    }
    builder.build().expect("the batch is small")
}

fn open(directory: &Path) -> Log {
    let (disk, input) = (Arc::new(SystemDisk), RecoveryInput::unknown());
    let directory = directory.join("bench-0");
    let log = Log::open(disk, directory, Arc::new(LogConfig::default()), &input, NOW);
    log.expect("the directory is fresh").0
}

/// What each step of the way asks for, with batches of so many records.
fn steps(records: usize) -> Vec<(&'static str, (u64, u64))> {
    let (bytes, rules, mut scratch) = (batch(records), rules(), Scratch::new());
    let valid = || validate_produce(bytes.clone(), &rules, &mut Scratch::new());
    let valid = valid().expect("the batch was built here");
    let validate = counted(|| {
        black_box(validate_produce(bytes.clone(), &rules, &mut scratch)).expect("it is valid");
    });
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut log = open(directory.path());
    let epoch = LeaderEpoch(1);
    let append = counted(|| {
        log.append_as_leader(&valid, epoch, NOW)
            .expect("the disk has space");
    });
    let three = [(&valid, epoch); 3];
    let append_three = counted(|| {
        black_box(log.append_run_as_leader(&three, NOW));
    });
    let (reader, end) = (log.reader(), Offset(i64::MAX));
    let plan = counted(|| {
        black_box(reader.plan(Offset::ZERO, 1 << 20, end, true)).expect("it is in the log");
    });
    let mut buffer = BytesMut::with_capacity(4 << 20);
    let read = counted(|| {
        buffer.clear();
        let plan = reader.plan(Offset::ZERO, 1 << 20, end, true);
        plan.expect("it is in the log")
            .read(&mut buffer)
            .expect("it is in the file");
    });
    vec![
        ("validate a batch", validate),
        ("append a batch", append),
        ("append three batches at once", append_three),
        ("plan a read", plan),
        ("plan a read and read into a buffer", read),
    ]
}

fn main() {
    let (few, many) = (steps(10), steps(5_000));
    println!("{:<36} {:>18} {:>20}", "", "10 records", "5,000 records");
    let mut grows = false;
    for ((step, few), (_, many)) in few.into_iter().zip(many) {
        println!(
            "{step:<36} {:>4} in {:>7} B {:>5} in {:>8} B",
            few.0, few.1, many.0, many.1
        );
        grows |= many.0 > few.0;
    }
    assert!(!grows, "a step asks for memory per record");
}
