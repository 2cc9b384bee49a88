//! What it costs to take a request apart: Produce with its records as slices, Fetch with one and many partitions.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use milena::message;
use milena::model::Timestamp;
use milena::protocol::fetch::FetchRequest;
use milena::protocol::messages::{self, StrBytes, fetch_request, produce_request};
use milena::protocol::produce::ProduceRequest;
use milena::protocol::{encode_request, parse_request};
use milena::record::BatchBuilder;

const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;

/// A frame without its size.
fn framed<R: messages::Request>(version: i16, request: &R) -> Bytes {
    let frame = encode_request(7, version, Some("bench"), request);
    frame.expect("the version knows every field").slice(4..)
}

fn produce_frame(partitions: i32, records: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.append(Timestamp(1), None, Some(&[b'x'; 100]), &[]);
    }
    let batch = builder.build().expect("the batch is small");
    let data = (0..partitions).map(|index| {
        message!(produce_request::PartitionProduceData {
            index: index,
            records: Some(batch.clone()),
        })
    });
    let topic = message!(produce_request::TopicProduceData {
        name: StrBytes::from("orders"),
        partition_data: data.collect(),
    });
    let request = message!(messages::ProduceRequest {
        acks: -1,
        timeout_ms: 30_000,
        topic_data: vec![topic],
    });
    framed(PRODUCE_VERSION, &request)
}

fn fetch_frame(partitions: i32) -> Bytes {
    let asked = (0..partitions).map(|partition| {
        message!(fetch_request::FetchPartition {
            partition: partition,
            partition_max_bytes: 1 << 20,
        })
    });
    let topic = message!(fetch_request::FetchTopic {
        topic: StrBytes::from("orders"),
        partitions: asked.collect(),
    });
    let request = message!(messages::FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 50 << 20,
        topics: vec![topic],
    });
    framed(FETCH_VERSION, &request)
}

fn bench_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (partitions, records) in [(1, 1), (1, 1000), (10, 10)] {
        let frame = produce_frame(partitions, records);
        let name = format!("produce of {partitions} partitions, {records} records each");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let head = parse_request(black_box(&frame).clone()).expect("it was just encoded");
                ProduceRequest::decode(head.body, PRODUCE_VERSION).expect("it was just encoded")
            });
        });
    }
    for partitions in [1, 100] {
        let frame = fetch_frame(partitions);
        group.bench_function(format!("fetch of {partitions} partitions"), |bencher| {
            bencher.iter(|| {
                let head = parse_request(black_box(&frame).clone()).expect("it was just encoded");
                FetchRequest::decode(head.body, FETCH_VERSION).expect("it was just encoded")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bench_decode);
criterion_main!(benches);
