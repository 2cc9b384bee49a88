//! Many producers with small keyed batches, each with one request in flight, as fast as they are answered.

use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::batch::{Seed, Shape};
use crate::epoll::Poll;
use crate::gate::{self, now_ns};
use crate::produce::warm_up;
use crate::stats;
use crate::wire::{self, Connection, PATIENCE};

/// `topic= partitions= connections=50 batch_records=10 record_bytes= requests=`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (topic, partitions) = (args.text("topic")?, args.number("partitions", 10)?);
    let requests = args.number("requests", 10_000u64)?;
    let shape = Shape::of(args)?;
    let (mut frames, mut seed) = (Vec::new(), Seed(3));
    for number in 0..8 * partitions {
        let (batch, _) = shape.build(&mut seed)?;
        frames.push(wire::produce_frame(topic, &[(number % partitions, &batch)]));
    }
    let poll = Poll::new()?;
    let mut connections = Vec::new();
    for number in 0..args.number("connections", 50usize)? {
        let mut connection = Connection::open(args.address()?, 4096)?;
        let place = number % frames.len();
        warm_up(&mut connection, &mut frames[place])?;
        poll.add(&connection.stream, number)?;
        connections.push((connection, 0));
    }
    gate::mark(args.gated(), "begin")?;
    let begun = now_ns();
    let mut waits = drive(&poll, &mut connections, &frames, requests)?;
    let seconds = (now_ns() - begun) as f64 / 1e9;
    gate::mark(args.gated(), "end")?;
    let records = requests * args.number("batch_records", 10u64)?;
    gate::result(&json!({
        "records": records, "requests": requests, "seconds": seconds,
        "records_per_second": records as f64 / seconds, "answered": stats::summary(&mut waits),
    }))
}

/// Keeps one request of each connection in flight until all are answered.
fn drive(
    poll: &Poll,
    connections: &mut [(Connection, u64)],
    frames: &[Vec<u8>],
    requests: u64,
) -> Result<Vec<u64>, Failure> {
    let (mut sent, mut waits) = (0, Vec::new());
    let mut send = |(connection, since): &mut (Connection, u64)| {
        if sent < requests {
            *since = now_ns();
            connection.send(&frames[sent as usize % frames.len()])?;
            sent += 1;
        }
        Ok::<(), Failure>(())
    };
    connections.iter_mut().try_for_each(&mut send)?;
    while (waits.len() as u64) < requests {
        let ready = poll.wait(PATIENCE)?;
        if ready.is_empty() {
            return Err("nobody was answered in time".into());
        }
        for number in ready {
            let producer = &mut connections[number];
            let Some(answer) = producer.0.poll()? else {
                continue;
            };
            wire::expect_produced(answer)?;
            waits.push(now_ns() - producer.1);
            send(producer)?;
        }
    }
    Ok(waits)
}
