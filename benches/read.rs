//! What it costs to find the bytes for a fetch, and to read them: at the tail, and further back.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;
use criterion::{Criterion, criterion_group, criterion_main};
use milena::model::{LeaderEpoch, Offset, Timestamp};
use milena::record::{BatchBuilder, Scratch, ValidBatch};
use milena::storage::disk::SystemDisk;
use milena::storage::{Log, LogConfig, RecoveryInput};

/// 128 MiB in all.
const BATCHES: usize = 8192;
const RECORDS: usize = 16;

fn filled(directory: &Path) -> Log {
    let config = Arc::new(LogConfig::default());
    let input = RecoveryInput::unknown();
    let disk = Arc::new(SystemDisk);
    let path = directory.join("bench-0");
    let (mut log, _) =
        Log::open(disk, path, config, &input, Timestamp(1)).expect("the directory is fresh");
    let mut builder = BatchBuilder::new();
    for _ in 0..RECORDS {
        builder.append(Timestamp(1), None, Some(&[b'x'; 1024]), &[]);
    }
    let bytes = builder.build().expect("the batch is small");
    let batch = ValidBatch::from_builder(bytes, &mut Scratch::new()).expect("it was just built");
    for _ in 0..BATCHES {
        log.append_as_leader(&batch, LeaderEpoch(1), Timestamp(1))
            .expect("the disk has space");
    }
    log
}

fn bench_read(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let log = filled(directory.path());
    let reader = log.reader();
    let end = log.log_end_offset();
    let mut buffer = BytesMut::new();
    let mut group = criterion.benchmark_group("read");
    let places = [
        ("tail", Offset(end.0 - RECORDS as i64)),
        ("middle", Offset(end.0 / 2 + 5)),
    ];
    for (place, from) in places {
        for (name, bytes_max) in [("16 KiB", 16 << 10), ("1 MiB", 1 << 20)] {
            group.bench_function(format!("plan {name} at the {place}"), |bencher| {
                bencher.iter(|| {
                    let plan = reader.plan(black_box(from), bytes_max, end, true);
                    black_box(plan.expect("the offset is in the log"))
                });
            });
            group.bench_function(format!("plan and read {name} at the {place}"), |bencher| {
                bencher.iter(|| {
                    buffer.clear();
                    let plan = reader.plan(black_box(from), bytes_max, end, true);
                    let plan = plan.expect("the offset is in the log");
                    plan.read(&mut buffer).expect("the file is there");
                    black_box(buffer.len())
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, bench_read);
criterion_main!(benches);
