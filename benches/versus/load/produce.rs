//! One producer with a few requests in flight, each with one batch, as librdkafka and the Java client send them.

use std::collections::VecDeque;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::Failure;
use crate::args::Args;
use crate::batch::{Seed, Shape};
use crate::gate::{self, now_ns};
use crate::stats;
use crate::wire::{self, Connection};

/// Different batches that are sent in turn, so that the bytes do not come out of one core's cache.
const RING_MIB: usize = 16;
const RING_MAX: usize = 512;
/// How often a batch is sent again while a new topic is not known everywhere.
const WARM_UP_TRIES: usize = 500;

/// `topic= records= record_bytes= batch_bytes= [inflight=5] [partitions=1] [codec=] [values=text]
/// [keys=yes keys_max=] [ring_mib=16]`; `ring_mib` of different batches are made, and sent in turn.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut load = Load::of(args)?;
    let records = args.number("records", 100_000u64)?;
    let mut connection = Connection::open(args.address()?, 1 << 16)?;
    let partitions = args.number("partitions", 1)?;
    for first in load.ring.iter_mut().take(partitions) {
        warm_up(&mut connection, &mut first.frame)?;
    }
    gate::mark(args.gated(), "begin")?;
    let result = load.send(&mut connection, records)?;
    gate::mark(args.gated(), "end")?;
    gate::result(&result)
}

struct Prepared {
    frame: Vec<u8>,
    records: u64,
}

/// Finished requests, sent in turn.
pub(crate) struct Load {
    ring: Vec<Prepared>,
    in_flight_max: usize,
    /// Requests sent so far.
    turn: usize,
}

impl Load {
    pub(crate) fn of(args: &Args) -> Result<Load, Failure> {
        let (topic, partitions) = (args.text("topic")?, args.number("partitions", 1)?);
        let shape = Shape::of(args)?;
        let (mut ring, mut bytes, mut seed) = (Vec::<Prepared>::new(), 0, Seed(1));
        let ring_mib = args.number("ring_mib", RING_MIB)?;
        let ring_max = RING_MAX * ring_mib.div_ceil(RING_MIB);
        while ring.is_empty() || (bytes < ring_mib << 20 && ring.len() < ring_max) {
            let (batch, records) = shape.build(&mut seed)?;
            let partition = i32::try_from(ring.len())? % partitions;
            let frame = wire::produce_frame(topic, &[(partition, &batch)]);
            bytes += shape.batch_bytes;
            ring.push(Prepared { frame, records });
        }
        Ok(Load {
            ring,
            in_flight_max: args.number("inflight", 5)?,
            turn: 0,
        })
    }

    /// Requests that were made elsewhere, with how many records each has.
    pub(crate) fn of_frames(frames: Vec<(Vec<u8>, u64)>, in_flight_max: usize) -> Load {
        let ring = frames.into_iter();
        Load {
            ring: ring
                .map(|(frame, records)| Prepared { frame, records })
                .collect(),
            in_flight_max,
            turn: 0,
        }
    }

    /// Sends at least this many records, in whole batches, and waits for the last answer.
    pub(crate) fn send(
        &mut self,
        connection: &mut Connection,
        records: u64,
    ) -> Result<Value, Failure> {
        let (mut sent, mut requests, mut bytes) = (0, 0u64, 0);
        let (mut in_flight, mut waits) = (VecDeque::new(), Vec::new());
        let begun = now_ns();
        while sent < records || !in_flight.is_empty() {
            if sent < records && in_flight.len() < self.in_flight_max {
                let place = self.turn % self.ring.len();
                self.turn += 1;
                let next = &mut self.ring[place];
                wire::set_correlation(&mut next.frame, requests as i32);
                in_flight.push_back((requests as i32, now_ns()));
                connection.send(&next.frame)?;
                sent += next.records;
                bytes += next.frame.len();
                requests += 1;
                continue;
            }
            let answer = connection.receive()?;
            let (id, since) = in_flight.pop_front().ok_or("an answer to no request")?;
            if wire::Reader(answer).i32()? != id {
                return Err("answers out of order".into());
            }
            wire::expect_produced(answer)?;
            waits.push(now_ns() - since);
        }
        let seconds = (now_ns() - begun) as f64 / 1e9;
        Ok(json!({
            "records": sent, "requests": requests, "bytes": bytes, "seconds": seconds,
            "records_per_second": sent as f64 / seconds, "answered": stats::summary(&mut waits),
        }))
    }
}

/// Sends until it is taken: a topic that was just made is not known everywhere at once.
pub(crate) fn warm_up(connection: &mut Connection, frame: &mut [u8]) -> Result<(), Failure> {
    let mut refused = 0;
    for _ in 0..WARM_UP_TRIES {
        connection.send(frame)?;
        refused = wire::produce_error(connection.receive()?)?;
        if refused == 0 {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(format!("the first batch was refused with error {refused}").into())
}

/// The producing half of a pair.
pub(crate) fn run_beside(
    address: SocketAddr,
    mut load: Load,
    records: u64,
) -> Result<Value, Failure> {
    let mut connection = Connection::open(address, 1 << 16)?;
    load.send(&mut connection, records)
}

/// Sends one batch and tells how many records it had.
pub(crate) fn send_first(address: SocketAddr, load: &mut Load) -> Result<u64, Failure> {
    let mut connection = Connection::open(address, 1 << 16)?;
    warm_up(&mut connection, &mut load.ring[0].frame)?;
    Ok(load.ring[0].records)
}
