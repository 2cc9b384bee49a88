//! What a batch costs the broker: header, checksum, validation, by size of record and by codec.
//!
//! `cargo bench --bench record`. Throughput is counted in records, so that a time per record can be
//! read off; "validate" includes the checksum.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use milena::model::Timestamp;
use milena::record::{
    BatchBuilder, BatchHeader, Codec, ProduceRules, Scratch, TimestampType, TopicCompression,
    records, validate_produce, verify_crc,
};

const BYTES_MAX: usize = 100 << 20;
const SHAPES: [(&str, usize, usize); 4] = [
    ("16KiB of 100B", 16 << 10, 100),
    ("16KiB of 1KiB", 16 << 10, 1024),
    ("1MB of 100B", 1_000_000, 100),
    ("1MB of 1KiB", 1_000_000, 1024),
];

fn rules() -> ProduceRules {
    ProduceRules {
        max_message_bytes: 1_048_588,
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        key_required: false,
        zstd_allowed: true,
        decompressed_bytes_max: BYTES_MAX,
        now: Timestamp(1_700_000_000_000),
    }
}

/// Text-like values: about half of the bytes repeat.
fn batch(codec: Codec, batch_bytes: usize, record_bytes: usize) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec);
    let mut seed = 1u64;
    while builder.size() + record_bytes <= batch_bytes {
        let value: Vec<u8> = (0..record_bytes)
            .map(|at| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                if at % 16 < 8 {
                    b'x'
                } else {
                    (seed >> 58) as u8
                }
            })
            .collect();
        let time = Timestamp(1_700_000_000_000 + builder.records() as i64 / 10);
        builder.append(time, None, Some(&value), &[]);
    }
    builder.build().expect("the sizes are small")
}

fn count(batch: &Bytes) -> u64 {
    let header = BatchHeader::parse(batch).expect("the batch was built here");
    u64::try_from(header.records_count).expect("a count is positive")
}

fn headers(criterion: &mut Criterion) {
    let bytes = batch(Codec::None, 16 << 10, 1024);
    criterion.bench_function("parse header", |bencher| {
        bencher.iter(|| BatchHeader::parse(black_box(&bytes)));
    });
}

fn uncompressed(criterion: &mut Criterion) {
    for (name, batch_bytes, record_bytes) in SHAPES {
        let bytes = batch(Codec::None, batch_bytes, record_bytes);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(count(&bytes)));
        group.bench_function("checksum", |bencher| {
            bencher.iter(|| verify_crc(black_box(&bytes)));
        });
        let (rules, mut scratch) = (rules(), Scratch::new());
        group.bench_function("validate", |bencher| {
            bencher.iter(|| validate_produce(black_box(bytes.clone()), &rules, &mut scratch));
        });
        let append_time = ProduceRules {
            timestamp_type: TimestampType::LogAppendTime,
            ..rules
        };
        group.bench_function("validate, log append time", |bencher| {
            bencher.iter(|| validate_produce(black_box(bytes.clone()), &append_time, &mut scratch));
        });
        group.finish();
    }
}

fn compressed(criterion: &mut Criterion) {
    for (name, batch_bytes, record_bytes) in SHAPES {
        let mut group = criterion.benchmark_group(format!("compressed, {name}"));
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let bytes = batch(codec, batch_bytes, record_bytes);
            group.throughput(Throughput::Elements(count(&bytes)));
            let (rules, mut scratch) = (rules(), Scratch::new());
            group.bench_function(BenchmarkId::new("validate", codec.name()), |bencher| {
                bencher.iter(|| validate_produce(black_box(bytes.clone()), &rules, &mut scratch));
            });
            let header = BatchHeader::parse(&bytes).expect("the batch was built here");
            group.bench_function(BenchmarkId::new("read", codec.name()), |bencher| {
                bencher.iter(|| {
                    let mut reader = records(&header, &bytes, BYTES_MAX, &mut scratch)
                        .expect("the batch was built here");
                    let mut size = 0;
                    while let Ok(Some(record)) = reader.next() {
                        size += record.value.map_or(0, <[u8]>::len);
                    }
                    size
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, headers, uncompressed, compressed);
criterion_main!(benches);
