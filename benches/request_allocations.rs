//! How often a whole broker allocates for one request, by the number of records in it.
//!
//! A broker runs in this process on the system's disk; a client on a plain socket sends finished
//! frames from memory it already has, so what the counting allocator sees in between is the
//! broker's. Fails if a request with a thousand records costs more allocations than one with a
//! single record by more than a few (its frame is larger, and read in more pieces). The bytes
//! beside them show copies: a broker that copied records would ask for their size again.

use std::error::Error;

use bytes::Bytes;
use milena::model::Timestamp;
use milena::record::{BatchBuilder, Codec};

mod counting;
#[allow(dead_code, reason = "the load program uses all of it")]
#[path = "versus/load/fetch.rs"]
mod fetch;
mod whole_broker;
#[allow(dead_code, reason = "the load program uses all of it")]
#[path = "versus/load/wire.rs"]
mod wire;

use counting::asked;
use fetch::{Appetite, FetchFrame};
use whole_broker::{WholeBroker, create};
use wire::Connection;

type Failure = Box<dyn Error + Send + Sync>;

const COUNTS: [usize; 4] = [1, 10, 100, 1000];
const WARM_UP: usize = 300;
const REQUESTS: usize = 1000;
/// The least of some passes is taken: what the broker does by the clock falls into few of them.
const PASSES: usize = 5;
/// By how much a request with a thousand records may exceed one with a single record.
const GROWTH_MAX: f64 = 6.0;

fn main() -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let broker = WholeBroker::start(directory.path())?;
    let mut connection = Connection::open(broker.address, 1 << 20)?;
    println!("per request                              allocations      bytes   frame bytes");
    let mut grew = Vec::new();
    for (name, codec) in [
        ("produce", Codec::None),
        ("produce snappy", Codec::Snappy),
        ("produce zstd", Codec::Zstd),
    ] {
        let line = |records| produce(&mut connection, codec, records);
        grew.extend(lines(name, line)?);
    }
    grew.extend(lines("fetch", |records| consume(&mut connection, records))?);
    drop(connection);
    broker.stop()?;
    match grew.is_empty() {
        true => Ok(()),
        false => Err(format!("allocations grow with records: {}", grew.join(", ")).into()),
    }
}

/// What one request cost.
struct Cost {
    calls: f64,
    bytes: f64,
    frame_bytes: usize,
}

/// Prints a line for each count of records; says so if their allocations grow.
fn lines(
    name: &str,
    mut measure: impl FnMut(usize) -> Result<Cost, Failure>,
) -> Result<Option<String>, Failure> {
    let mut calls = Vec::new();
    for records in COUNTS {
        let cost = measure(records)?;
        println!(
            "{name:16} of {records:5} records of 100 B {:10.2} {:12.0} {:12}",
            cost.calls, cost.bytes, cost.frame_bytes
        );
        calls.push(cost.calls);
    }
    let growth = calls[COUNTS.len() - 1] - calls[0];
    Ok((growth > GROWTH_MAX).then(|| format!("{name} by {growth:.1}")))
}

fn batch(codec: Codec, records: usize) -> Result<Bytes, Failure> {
    let mut builder = BatchBuilder::new().codec(codec);
    for number in 0..records {
        let value = format!("{number:0>100}");
        builder.append(
            Timestamp(4_000_000_000_000),
            None,
            Some(value.as_bytes()),
            &[],
        );
    }
    Ok(builder.build()?)
}

fn produce(connection: &mut Connection, codec: Codec, records: usize) -> Result<Cost, Failure> {
    let topic = format!("produce-{}-{records}", codec.name());
    create(connection, &topic)?;
    let frame = wire::produce_frame(&topic, &[(0, &batch(codec, records)?)]);
    let refused = |answer: &[u8]| wire::expect_produced(answer);
    let (calls, bytes) = least(connection, &frame, refused)?;
    Ok(Cost {
        calls,
        bytes,
        frame_bytes: frame.len(),
    })
}

/// Fetches the same single batch again and again.
fn consume(connection: &mut Connection, records: usize) -> Result<Cost, Failure> {
    let topic = format!("fetch-{records}");
    create(connection, &topic)?;
    let batch = batch(Codec::None, records)?;
    for _ in 0..4 {
        connection.send(&wire::produce_frame(&topic, &[(0, &batch)]))?;
        wire::expect_produced(connection.receive()?)?;
    }
    let one_batch = Appetite {
        partition_bytes_max: 1,
        ..Appetite::USUAL
    };
    let frame = FetchFrame::new(&topic, &[0], one_batch);
    let mut frame_bytes = 0;
    let (calls, bytes) = least(connection, frame.bytes(), |answer| {
        frame_bytes = answer.len();
        fetch::read_answer(answer, |fetched| {
            match fetched.records.len() == batch.len() {
                true => Ok(()),
                false => Err("not one batch was fetched".into()),
            }
        })
    })?;
    Ok(Cost {
        calls,
        bytes,
        frame_bytes,
    })
}

/// Allocations and bytes for one request, of the pass with the fewest.
fn least(
    connection: &mut Connection,
    frame: &[u8],
    mut look: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<(f64, f64), Failure> {
    let mut ask = |times: usize| {
        for _ in 0..times {
            connection.send(frame)?;
            look(connection.receive()?)?;
        }
        Ok::<(), Failure>(())
    };
    ask(WARM_UP)?;
    let mut least = (f64::MAX, f64::MAX);
    for _ in 0..PASSES {
        let before = asked();
        ask(REQUESTS)?;
        let after = asked();
        let each = |before: u64, after: u64| (after - before) as f64 / REQUESTS as f64;
        let calls = each(before.0, after.0);
        if calls < least.0 {
            least = (calls, each(before.1, after.1));
        }
    }
    Ok(least)
}
