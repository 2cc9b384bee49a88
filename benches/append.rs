//! What an append costs a log on the operating system's files: one vectored write and its notes.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use milena::model::{LeaderEpoch, ProducerEpoch, ProducerId, Timestamp};
use milena::record::{BatchBuilder, Scratch, ValidBatch};
use milena::storage::disk::SystemDisk;
use milena::storage::{Log, LogConfig, RecoveryInput};

/// Bytes after which the log is emptied, so that a long run does not fill the disk.
const EMPTIED_AFTER: u64 = 256 << 20;

fn batch(records: usize, size: usize, producer: bool) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    if producer {
        builder = builder.producer(ProducerId(7), ProducerEpoch(0), 0);
    }
    let value = vec![b'x'; size];
    for _ in 0..records {
        builder.append(Timestamp(1), None, Some(&value), &[]);
    }
    let bytes = builder.build().expect("the batch is small");
    ValidBatch::from_builder(bytes, &mut Scratch::new()).expect("it was just built")
}

fn open(directory: &Path) -> Log {
    let config = Arc::new(LogConfig::default());
    let input = RecoveryInput::unknown();
    let disk = Arc::new(SystemDisk);
    Log::open(
        disk,
        directory.join("bench-0"),
        config,
        &input,
        Timestamp(1),
    )
    .expect("the directory is fresh")
    .0
}

fn bench_append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("append");
    for (name, records, size) in [
        ("16 records of 1 KiB", 16, 1024),
        ("1 record of 100 B", 1, 100),
        ("1000 records of 1 KiB", 1000, 1024),
    ] {
        for producer in [false, true] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let mut log = open(directory.path());
            let mut batch = batch(records, size, producer);
            group.throughput(Throughput::Bytes(batch.bytes.len() as u64));
            let name = match producer {
                true => format!("{name}, idempotent"),
                false => name.to_owned(),
            };
            group.bench_function(name, |bencher| {
                bencher.iter(|| {
                    let appended = log
                        .append_as_leader(&batch, LeaderEpoch(1), Timestamp(1))
                        .expect("the disk has space");
                    // The next batch of the same producer; the checksum is not looked at here.
                    batch.header.base_sequence =
                        (batch.header.base_sequence + records as i32) & i32::MAX;
                    if log.size() > EMPTIED_AFTER {
                        let end = log.log_end_offset();
                        for deleted in log.truncate_fully(end).expect("files are ours") {
                            deleted.unlink(&SystemDisk).expect("files are ours");
                        }
                        batch.header.base_sequence = 0;
                    }
                    black_box(appended)
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench_append);
criterion_main!(benches);
