//! From send to receipt at a steady rate, and from send to acknowledgement.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use milena::record::Scratch;
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::batch::{Stamper, read_stamps};
use crate::fetch::{self, Appetite, FetchFrame};
use crate::gate::{self, now_ns};
use crate::produce::warm_up;
use crate::stats;
use crate::wire::{self, Connection};

/// Samples of this first part are not counted.
const WARM_UP_SECONDS: f64 = 1.0;

/// When each of a steady stream of requests is due.
pub(crate) struct Pace {
    first_ns: u64,
    every_ns: f64,
    next: u64,
    pub(crate) count: u64,
    /// Requests of the warm-up.
    pub(crate) uncounted: u64,
}

impl Pace {
    /// `rate=` a second for `seconds=`, after a second of warm-up.
    pub(crate) fn of(args: &Args) -> Result<Pace, Failure> {
        let (rate, seconds) = (args.number("rate", 1000.0)?, args.number("seconds", 5.0)?);
        Ok(Pace {
            first_ns: now_ns(),
            every_ns: 1e9 / rate,
            next: 0,
            count: (rate * (seconds + WARM_UP_SECONDS)) as u64,
            uncounted: (rate * WARM_UP_SECONDS) as u64,
        })
    }

    /// The first is due now.
    pub(crate) fn begin(&mut self) {
        self.first_ns = now_ns();
    }

    /// When the last one is due.
    pub(crate) fn end_ns(&self) -> u64 {
        self.first_ns + (self.count as f64 * self.every_ns) as u64
    }

    /// Sleeps until the next is due; its number, or none after the last.
    pub(crate) fn wait(&mut self) -> Option<u64> {
        let number = self.next;
        if number >= self.count {
            return None;
        }
        self.next += 1;
        let due = self.first_ns + (number as f64 * self.every_ns) as u64;
        let early = due.saturating_sub(now_ns());
        if early > 0 {
            std::thread::sleep(Duration::from_nanos(early));
        }
        Some(number)
    }
}

/// A finished request of one batch of one record that carries when it left.
pub(crate) struct Stamped {
    pub(crate) frame: Vec<u8>,
    pub(crate) stamper: Stamper,
}

impl Stamped {
    pub(crate) fn of(topic: &str, record_bytes: usize) -> Result<Stamped, Failure> {
        let batch = Stamper::batch(1, record_bytes, false)?;
        let frame = wire::produce_frame(topic, &[(0, &batch)]);
        let stamper = Stamper::find(&frame, &batch)?;
        Ok(Stamped { frame, stamper })
    }

    pub(crate) fn stamp(&mut self) -> &[u8] {
        self.stamper.stamp(&mut self.frame, now_ns());
        &self.frame
    }
}

/// `topic= rate= seconds= record_bytes=`: one record a request; a consumer waits in a long poll.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (address, topic) = (args.address()?, args.text("topic")?.to_owned());
    let mut request = Stamped::of(&topic, args.number("record_bytes", 100)?)?;
    let mut producer = Connection::open(address, 1 << 16)?;
    request.stamp();
    warm_up(&mut producer, &mut request.frame)?;
    let from = fetch::high_watermarks(&mut producer, &topic, &[0])?[&0];
    let mut pace = Pace::of(args)?;
    let expected = pace.count;
    let deadline_ns = pace.end_ns() + u64::try_from(wire::PATIENCE.as_nanos())?;
    let consuming =
        std::thread::spawn(move || receive(address, &topic, from, expected, deadline_ns));
    gate::mark(args.gated(), "begin")?;
    producer.stream.set_nonblocking(true)?;
    let (mut acknowledged, begun) = (0, now_ns());
    pace.begin();
    while pace.wait().is_some() {
        // Acknowledgements are taken in passing: a thread that wakes for each would be in the way.
        while let Some(answer) = producer.poll()? {
            wire::expect_produced(answer)?;
            acknowledged += 1;
        }
        producer.send(request.stamp())?;
    }
    let seconds = (now_ns() - begun) as f64 / 1e9;
    producer.stream.set_nonblocking(false)?;
    while acknowledged < expected {
        wire::expect_produced(producer.receive()?)?;
        acknowledged += 1;
    }
    let waits = consuming.join().map_err(|_| "the consumer panicked")??;
    gate::mark(args.gated(), "end")?;
    let mut counted = waits
        .into_iter()
        .skip(pace.uncounted as usize)
        .collect::<Vec<_>>();
    gate::result(&json!({
        "records": expected, "requests": expected, "seconds": seconds,
        "received": stats::summary(&mut counted),
    }))
}

/// How long each record travelled, in the order of the log.
fn receive(
    address: SocketAddr,
    topic: &str,
    from: i64,
    expected: u64,
    deadline_ns: u64,
) -> Result<Vec<u64>, Failure> {
    let mut connection = Connection::open(address, 1 << 20)?;
    let mut frame = FetchFrame::new(topic, &[0], Appetite::USUAL);
    let (mut offset, mut waits, mut scratch) = (from, Vec::new(), Scratch::new());
    while (waits.len() as u64) < expected {
        if now_ns() > deadline_ns {
            return Err("records did not arrive".into());
        }
        frame.set_offset(0, offset);
        connection.send(frame.bytes())?;
        let answer = connection.receive()?;
        let now = now_ns();
        fetch::read_answer(answer, |fetched| {
            let note = |stamp| waits.push(now.saturating_sub(stamp));
            offset = read_stamps(fetched.records, &mut scratch, note)?.unwrap_or(offset);
            Ok(())
        })?;
    }
    Ok(waits)
}

/// `topic= rate= seconds= record_bytes=`: each request is sent when the one before was answered.
pub(crate) fn acknowledged(args: &Args) -> Result<(), Failure> {
    let mut request = Stamped::of(args.text("topic")?, args.number("record_bytes", 1024)?)?;
    let mut producer = Connection::open(args.address()?, 1 << 16)?;
    request.stamp();
    warm_up(&mut producer, &mut request.frame)?;
    let (mut pace, mut waits) = (Pace::of(args)?, Vec::new());
    gate::mark(args.gated(), "begin")?;
    pace.begin();
    while let Some(number) = pace.wait() {
        let since = now_ns();
        producer.send(&request.frame)?;
        wire::expect_produced(producer.receive()?)?;
        if number >= pace.uncounted {
            waits.push(now_ns() - since);
        }
    }
    gate::mark(args.gated(), "end")?;
    gate::result(&json!({
        "records": pace.count, "requests": pace.count, "answered": stats::summary(&mut waits),
    }))
}

/// A stream that is ready to be read and written at once.
pub(crate) fn open_plain(address: SocketAddr) -> Result<TcpStream, Failure> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(wire::PATIENCE))?;
    Ok(stream)
}
