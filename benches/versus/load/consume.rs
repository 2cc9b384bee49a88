//! One consumer that reads a partition from its start, and a producer with a consumer at its heels.

use serde_json::{Value, json};

use crate::Failure;
use crate::args::Args;
use crate::batch;
use crate::fetch::{self, Appetite, FetchFrame};
use crate::gate::{self, now_ns};
use crate::produce::{self, Load};
use crate::stats;
use crate::wire::Connection;

/// Holds an answer of the usual size.
const BUFFER_BYTES: usize = 2 << 20;

/// `topic= records= [rounds=1]`: reads the records that are there, as often as asked.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (address, topic) = (args.address()?, args.text("topic")?);
    let (records, rounds) = (args.number("records", 1i64)?, args.number("rounds", 1)?);
    let mut connection = Connection::open(address, BUFFER_BYTES)?;
    // The first answer of a new connection grows buffers on both sides.
    read(&mut connection, topic, 1)?;
    gate::mark(args.gated(), "begin")?;
    let mut totals = Totals::default();
    let begun = now_ns();
    for _ in 0..rounds {
        totals.add(read(&mut connection, topic, records)?);
    }
    let taken_ns = now_ns() - begun;
    gate::mark(args.gated(), "end")?;
    gate::result(&totals.told(taken_ns))
}

#[derive(Default)]
struct Totals {
    records: i64,
    requests: u64,
    bytes: usize,
    waits: Vec<u64>,
}

impl Totals {
    fn add(&mut self, other: Totals) {
        self.records += other.records;
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.waits.extend(other.waits);
    }

    fn told(mut self, taken_ns: u64) -> Value {
        let seconds = taken_ns as f64 / 1e9;
        json!({
            "records": self.records, "requests": self.requests, "bytes": self.bytes,
            "seconds": seconds, "records_per_second": self.records as f64 / seconds,
            "answered": stats::summary(&mut self.waits),
        })
    }
}

/// Reads from offset 0 until this many records have come.
fn read(connection: &mut Connection, topic: &str, records: i64) -> Result<Totals, Failure> {
    let mut frame = FetchFrame::new(topic, &[0], Appetite::USUAL);
    let mut totals = Totals::default();
    while totals.records < records {
        frame.set_offset(0, totals.records);
        let since = now_ns();
        connection.send(frame.bytes())?;
        let answer = connection.receive()?;
        totals.waits.push(now_ns() - since);
        totals.requests += 1;
        totals.bytes += answer.len();
        fetch::read_answer(answer, |fetched| {
            totals.records = batch::skim(fetched.records, totals.records);
            Ok(())
        })?;
    }
    Ok(totals)
}

/// `topic= records=` and the shape of batches: both ends at once.
pub(crate) fn pair(args: &Args) -> Result<(), Failure> {
    let (address, topic) = (args.address()?, args.text("topic")?.to_owned());
    let records = args.number("records", 100_000u64)?;
    let mut load = Load::of(args)?;
    let first = produce::send_first(address, &mut load)?;
    let mut connection = Connection::open(address, BUFFER_BYTES)?;
    read(&mut connection, &topic, 1)?;
    gate::mark(args.gated(), "begin")?;
    let begun = now_ns();
    let producing = std::thread::spawn(move || produce::run_beside(address, load, records));
    let totals = read(&mut connection, &topic, i64::try_from(records + first)?)?;
    let taken_ns = now_ns() - begun;
    let produced = producing.join().map_err(|_| "the producer panicked")??;
    gate::mark(args.gated(), "end")?;
    let mut told = totals.told(taken_ns);
    told["produce"] = produced;
    gate::result(&told)
}
