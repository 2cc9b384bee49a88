//! What a request costs on its way through a whole broker: socket, front desk, partition, log, and back.
//!
//! Many requests are in flight, so that nobody waits for a thread to wake up: what is left is the
//! work. `append`, `read`, `record` and `decode` measure parts of it.
#![allow(missing_docs, reason = "criterion's macros make public items")]

use std::error::Error;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use milena::model::Timestamp;
use milena::record::BatchBuilder;

#[allow(dead_code, reason = "the load program uses all of it")]
#[path = "versus/load/fetch.rs"]
mod fetch;
mod whole_broker;
#[allow(dead_code, reason = "the load program uses all of it")]
#[path = "versus/load/wire.rs"]
mod wire;

use fetch::{Appetite, FetchFrame};
use whole_broker::{WholeBroker, create};
use wire::Connection;

type Failure = Box<dyn Error + Send + Sync>;

const IN_FLIGHT: usize = 32;
const TOPIC: &str = "dispatched";

fn batch(records: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for _ in 0..records {
        builder.append(Timestamp(4_000_000_000_000), None, Some(&[b'x'; 100]), &[]);
    }
    builder.build().expect("the batch is small").to_vec()
}

fn bench_dispatch(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let broker = WholeBroker::start(directory.path()).expect("it starts");
    let mut connection = Connection::open(broker.address, 1 << 20).expect("it listens");
    create(&mut connection, TOPIC).expect("the topic is new");
    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(IN_FLIGHT as u64));
    // What is produced stays on the disk until the end.
    group.measurement_time(Duration::from_secs(2));
    for records in [1, 10] {
        let frame = wire::produce_frame(TOPIC, &[(0, &batch(records))]);
        let name = format!("{IN_FLIGHT} produce requests of {records} records of 100 B");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for _ in 0..IN_FLIGHT {
                    connection.send(&frame).expect("it listens");
                }
                for _ in 0..IN_FLIGHT {
                    let answer = connection.receive().expect("it answers");
                    wire::expect_produced(answer).expect("the batch is valid");
                }
            });
        });
    }
    let one_batch = Appetite {
        partition_bytes_max: 1,
        ..Appetite::USUAL
    };
    let frame = FetchFrame::new(TOPIC, &[0], one_batch);
    let name = format!("{IN_FLIGHT} fetch requests of one batch");
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            for _ in 0..IN_FLIGHT {
                connection.send(frame.bytes()).expect("it listens");
            }
            for _ in 0..IN_FLIGHT {
                let answer = connection.receive().expect("it answers");
                fetch::read_answer(answer, |_| Ok(())).expect("the offset is there");
            }
        });
    });
    group.finish();
    drop(connection);
    broker.stop().expect("it stops");
}

criterion_group!(benches, bench_dispatch);
criterion_main!(benches);
