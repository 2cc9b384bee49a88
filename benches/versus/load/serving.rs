//! How long after its start a broker serves again: the first batch taken and the first records given by all
//! partitions.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::json;

use crate::Failure;
use crate::admin;
use crate::args::Args;
use crate::batch::{Seed, Shape};
use crate::fetch::{self, Appetite, FetchFrame};
use crate::gate::{self, now_ns};
use crate::wire::{self, Connection};

/// Partitions in one request.
const AT_ONCE: i32 = 100;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(300);

/// `topic= [topics=] partitions= record_bytes=`: the clock begins at the mark `begin`, at which the
/// caller starts the broker. Partitions must hold records.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (address, partitions) = (args.address()?, args.number("partitions", 1)?);
    let shape = Shape {
        records_max: 1,
        ..Shape::of(args)?
    };
    let (batch, _) = shape.build(&mut Seed(1))?;
    let (mut producing, mut fetching) = (Vec::new(), Vec::new());
    for topic in admin::names(args)? {
        for first in (0..partitions).step_by(AT_ONCE as usize) {
            let some: Vec<i32> = (first..partitions.min(first + AT_ONCE)).collect();
            let batches: Vec<(i32, &[u8])> = some.iter().map(|part| (*part, &batch[..])).collect();
            producing.push(wire::produce_frame(&topic, &batches));
            fetching.push((FetchFrame::new(&topic, &some, TASTE), some));
        }
    }
    gate::mark(args.gated(), "begin")?;
    let mut server = Server::new(address);
    server.until_done(|connection| connection.ask_versions())?;
    let answered_ns = server.taken_ns();
    for frame in &producing {
        server.until_done(|connection| connection.produce(frame))?;
    }
    let produced_ns = server.taken_ns();
    for (frame, partitions) in &mut fetching {
        let mut missing: BTreeSet<i32> = partitions.iter().copied().collect();
        server.until_done(|connection| connection.fetch(frame, &mut missing))?;
    }
    let fetched_ns = server.taken_ns();
    gate::mark(args.gated(), "end")?;
    gate::result(&json!({
        "answered_ms": answered_ns as f64 / 1e6, "produced_ms": produced_ns as f64 / 1e6,
        "served_ms": fetched_ns as f64 / 1e6,
    }))
}

/// Room for a batch of each, at least.
const TASTE: Appetite = Appetite {
    wait_ms: 0,
    bytes_max: 52_428_800,
    partition_bytes_max: 32 << 10,
};

/// Asked again until it does what it is asked for.
struct Server {
    address: SocketAddr,
    connection: Option<Asked>,
    begun: u64,
}

struct Asked(Connection);

impl Server {
    fn new(address: SocketAddr) -> Server {
        Server {
            address,
            connection: None,
            begun: now_ns(),
        }
    }

    fn taken_ns(&self) -> u64 {
        now_ns() - self.begun
    }

    /// Any failure is one of a broker that is not there yet: a new connection, and again.
    fn until_done(
        &mut self,
        mut ask: impl FnMut(&mut Asked) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut last: Failure = "it was not tried".into();
        while self.taken_ns() < u64::try_from(PATIENCE.as_nanos())? {
            if self.connection.is_none() {
                match Connection::open(self.address, 1 << 20) {
                    Ok(connection) => self.connection = Some(Asked(connection)),
                    Err(failure) => last = failure,
                }
            }
            if let Some(connection) = &mut self.connection {
                match ask(connection) {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(failure) => {
                        (self.connection, last) = (None, failure);
                    }
                }
            }
            std::thread::sleep(PAUSE);
        }
        Err(format!("it does not serve: {last}").into())
    }
}

impl Asked {
    fn ask_versions(&mut self) -> Result<bool, Failure> {
        use milena::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
        let _: ApiVersionsResponse = self.0.ask(0, &milena::message!(ApiVersionsRequest {}))?;
        Ok(true)
    }

    fn produce(&mut self, frame: &[u8]) -> Result<bool, Failure> {
        self.0.send(frame)?;
        Ok(wire::produce_error(self.0.receive()?)? == 0)
    }

    /// Whether every partition gave something by now.
    fn fetch(&mut self, frame: &FetchFrame, missing: &mut BTreeSet<i32>) -> Result<bool, Failure> {
        self.0.send(frame.bytes())?;
        fetch::read_answer(self.0.receive()?, |fetched| {
            if !fetched.records.is_empty() {
                missing.remove(&fetched.partition);
            }
            Ok(())
        })?;
        Ok(missing.is_empty())
    }
}
