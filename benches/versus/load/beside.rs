//! Producing and reading at the tail at a steady rate, alone or beside a reader that catches up.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use milena::record::Scratch;
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::batch::{Stamper, read_stamps};
use crate::fetch::{self, Appetite, FetchFrame};
use crate::gate::{self, now_ns};
use crate::latency::{Pace, Stamped};
use crate::many::{Crowd, scan};
use crate::produce::warm_up;
use crate::stats;
use crate::wire::{self, Connection};

/// Nobody knows yet how many records there will be.
const UNKNOWN: u64 = u64::MAX;
const MEGA: u64 = 1_000_000;

/// `topic= rate= seconds= record_bytes= [batch_records=1] [readers=1]`, and beside it, with
/// `scan=yes`, one reader of `old=` with `old_partitions=`, at most `scan_mb_per_second=`, which makes
/// `laps=` (then it ends with them) or reads until the seconds are over.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (address, topic) = (args.address()?, args.text("topic")?.to_owned());
    let batch_records = args.number("batch_records", 1)?;
    let mut request = stamped(&topic, batch_records, args.number("record_bytes", 100)?)?;
    let mut producer = Connection::open(address, 1 << 16)?;
    request.stamp();
    warm_up(&mut producer, &mut request.frame)?;
    let from = fetch::high_watermarks(&mut producer, &topic, &[0])?[&0];
    let expected = Arc::new(AtomicU64::new(UNKNOWN));
    let tails: Vec<_> = (0..args.number("readers", 1)?)
        .map(|_| {
            let (topic, expected) = (topic.clone(), Arc::clone(&expected));
            std::thread::spawn(move || follow(address, &topic, from, &expected))
        })
        .collect();
    let crowd = old(args)?;
    let laps = args.number("laps", u64::MAX)?;
    let rate = args
        .number("scan_mb_per_second", u64::MAX / MEGA)?
        .saturating_mul(MEGA);
    let mut pace = Pace::of(args)?;
    gate::mark(args.gated(), "begin")?;
    let reading = crowd.clone();
    let reading = reading.map(|crowd| std::thread::spawn(move || scan(&crowd, rate, laps)));
    let begun = now_ns();
    let is_over = || {
        let reading = reading.as_ref();
        reading.is_some_and(std::thread::JoinHandle::is_finished)
    };
    let sent = produce(&mut producer, &mut request, &mut pace, is_over)?;
    let seconds = (now_ns() - begun) as f64 / 1e9;
    if let Some(crowd) = &crowd {
        crowd.over.store(true, Ordering::Relaxed);
    }
    expected.store(sent * batch_records as u64, Ordering::Relaxed);
    let scanned = reading.map(|reading| reading.join().map_err(|_| "the reader panicked"));
    let mut waits = Vec::new();
    for tail in tails {
        let all = tail.join().map_err(|_| "a consumer panicked")??;
        waits.extend(
            all.into_iter()
                .skip(pace.uncounted as usize * batch_records),
        );
    }
    gate::mark(args.gated(), "end")?;
    gate::result(&json!({
        "records": sent * batch_records as u64, "requests": sent, "seconds": seconds,
        "received": stats::summary(&mut waits), "scan": scanned.transpose()?.transpose()?,
    }))
}

fn stamped(topic: &str, count: usize, record_bytes: usize) -> Result<Stamped, Failure> {
    let batch = Stamper::batch(count, record_bytes, false)?;
    let frame = wire::produce_frame(topic, &[(0, &batch)]);
    let stamper = Stamper::find(&frame, &batch)?;
    Ok(Stamped { frame, stamper })
}

/// Whose records are read from the start, if any.
fn old(args: &Args) -> Result<Option<Crowd>, Failure> {
    if args.word("scan", "no") != "yes" {
        return Ok(None);
    }
    Ok(Some(Crowd {
        address: args.address()?,
        topic: args.text("old")?.to_owned(),
        partitions: (0..args.number("old_partitions", 1)?).collect(),
        over: Arc::new(AtomicBool::new(false)),
    }))
}

/// Sends when it is due until the time or the reader is at its end; how many requests were answered.
fn produce(
    producer: &mut Connection,
    request: &mut Stamped,
    pace: &mut Pace,
    is_over: impl Fn() -> bool,
) -> Result<u64, Failure> {
    producer.stream.set_nonblocking(true)?;
    let (mut sent, mut answered) = (0, 0);
    while pace.wait().is_some() && !is_over() {
        // Answers are taken in passing: a thread that wakes for each would be in the way.
        while let Some(answer) = producer.poll()? {
            wire::expect_produced(answer)?;
            answered += 1;
        }
        producer.send(request.stamp())?;
        sent += 1;
    }
    producer.stream.set_nonblocking(false)?;
    while answered < sent {
        wire::expect_produced(producer.receive()?)?;
        answered += 1;
    }
    Ok(sent)
}

/// How long each record travelled, in the order of the log.
fn follow(
    address: SocketAddr,
    topic: &str,
    from: i64,
    expected: &AtomicU64,
) -> Result<Vec<u64>, Failure> {
    let mut connection = Connection::open(address, 1 << 20)?;
    let mut frame = FetchFrame::new(topic, &[0], Appetite::USUAL);
    let (mut offset, mut waits, mut scratch) = (from, Vec::new(), Scratch::new());
    while (waits.len() as u64) < expected.load(Ordering::Relaxed) {
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
