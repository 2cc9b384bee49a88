//! Streams with retention: a producer, a reader of the tail, and one that begins at the start again
//! and again. Each record has its own offset in it, so that what is lost, doubled or of somewhere
//! else is seen at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use milena::record::{BatchBuilder, Scratch, batches, records};

use crate::batch::{Seed, wall_clock};
use crate::fetch::{self, Appetite, FetchFrame};
use crate::gate::now_ns;
use crate::wire::{self, Connection};
use crate::{Failure, Shared, offset_at, server};

const RECORD_BYTES: usize = 1000;
const RECORDS_PER_BATCH: u64 = 16;
const IN_FLIGHT_MAX: usize = 5;
/// What a fetch is refused with whose offset was deleted meanwhile.
const OUT_OF_RANGE: &str = "a fetch was refused with error 1";
/// A reader that has not reached the end by then never will.
const PATIENCE_NS: u64 = 60_000_000_000;

pub(crate) fn name(number: usize) -> String {
    format!("stream-{number}")
}

/// A producer and its tail reader.
pub(crate) struct Stream {
    producer: JoinHandle<Result<u64, Failure>>,
    tail: JoinHandle<Result<[Vec<u64>; 2], Failure>>,
    /// Set once it is known where the stream ends.
    end: Arc<std::sync::OnceLock<u64>>,
}

impl Stream {
    pub(crate) fn start(shared: Arc<Shared>, number: usize) -> Stream {
        let end = Arc::new(std::sync::OnceLock::new());
        let (known, beside) = (Arc::clone(&end), Arc::clone(&shared));
        Stream {
            producer: std::thread::spawn(move || produce(&shared, number)),
            tail: std::thread::spawn(move || read_tail(&beside, number, &known)),
            end,
        }
    }

    /// Waits for both; how many records were acknowledged.
    pub(crate) fn end(self, _: &Shared, waits: &mut [Vec<u64>; 2]) -> Result<u64, Failure> {
        let produced = self.producer.join().map_err(|_| "a producer panicked")??;
        // It is set here alone.
        let _ = self.end.set(produced);
        let [quiet, loud] = self.tail.join().map_err(|_| "a reader panicked")??;
        waits[0].extend(quiet);
        waits[1].extend(loud);
        Ok(produced)
    }
}

/// Sends at its rate until it is told to stop; how many records were acknowledged.
fn produce(shared: &Shared, number: usize) -> Result<u64, Failure> {
    let topic = name(number);
    let mut connection = Connection::open(shared.address, 1 << 16)?;
    let (mut seed, mut in_flight, mut next) = (Seed(number as u64), VecDeque::new(), 0u64);
    let (begun, mut sent) = (now_ns(), 0u64);
    while !shared.is_stopped() || !in_flight.is_empty() {
        if shared.is_stopped() || in_flight.len() >= IN_FLIGHT_MAX {
            wire::expect_produced(connection.receive()?)?;
            in_flight.pop_front();
            continue;
        }
        let due = begun + (sent as f64 * 1e9 / shared.rate) as u64;
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(now_ns())));
        let mut builder = BatchBuilder::new();
        for _ in 0..RECORDS_PER_BATCH {
            let mut value = next.to_be_bytes().to_vec();
            value.extend(now_ns().to_be_bytes());
            while value.len() < RECORD_BYTES {
                value.extend(seed.next().to_le_bytes());
            }
            builder.append(wall_clock()?, None, Some(&value), &[]);
            next += 1;
        }
        let frame = wire::produce_frame(&topic, &[(0, &builder.build()?)]);
        connection.send(&frame)?;
        in_flight.push_back(());
        sent += 1;
    }
    Ok(next)
}

/// Calls `each` with offset and stamp of every record of an answer's batches from `from` on, and checks that no offset is left out
/// and that each record is where it was put; where the next fetch begins.
fn read_records(
    bytes: &[u8],
    mut from: i64,
    scratch: &mut Scratch,
    mut each: impl FnMut(u64),
) -> Result<i64, Failure> {
    for batch in batches(bytes) {
        // The last one may be cut off.
        let Ok((header, batch)) = batch else { break };
        if header.next_offset().0 <= from {
            continue;
        }
        if !milena::record::verify_crc(batch) {
            return Err(format!("the batch at {} is damaged", header.base_offset).into());
        }
        let mut reader = records(&header, batch, 64 << 20, scratch)?;
        while let Some(record) = reader.next()? {
            let offset = header.base_offset.0 + i64::from(record.offset_delta);
            if offset < from {
                continue;
            }
            let number = |at: usize| {
                let bytes = record.value?.get(at..at + 8)?;
                Some(u64::from_be_bytes(bytes.try_into().ok()?))
            };
            let (told, stamp) = number(0)
                .zip(number(8))
                .ok_or("a record of somebody else")?;
            if offset != from || told != offset.unsigned_abs() {
                return Err(
                    format!("at offset {from} is record {told}, said to be {offset}").into(),
                );
            }
            each(stamp);
            from += 1;
        }
    }
    Ok(from)
}

fn read_tail(
    shared: &Shared,
    number: usize,
    end: &std::sync::OnceLock<u64>,
) -> Result<[Vec<u64>; 2], Failure> {
    let topic = name(number);
    let mut connection = Connection::open(shared.address, 1 << 20)?;
    let mut frame = FetchFrame::new(&topic, &[0], Appetite::USUAL);
    let (mut waits, mut scratch, mut offset) = ([Vec::new(), Vec::new()], Scratch::new(), 0);
    let mut ended_at = None;
    while end.get().is_none_or(|end| offset < end.cast_signed()) {
        if end.get().is_some() && now_ns() > *ended_at.get_or_insert(now_ns()) + PATIENCE_NS {
            return Err(format!("{topic} ends at {offset} for its reader").into());
        }
        frame.set_offset(0, offset);
        connection.send(frame.bytes())?;
        let answer = connection.receive()?;
        let (now, phase) = (now_ns(), shared.phase());
        fetch::read_answer(answer, |fetched| {
            offset = read_records(fetched.records, offset, &mut scratch, |stamp| {
                waits[phase].push(now.saturating_sub(stamp));
            })?;
            Ok(())
        })?;
    }
    Ok(waits)
}

/// Reads every stream from its start to its end again and again.
pub(crate) fn read_cold(shared: &Shared) -> Result<String, Failure> {
    let (mut passes, mut bytes, mut out_of_range, begun) = (0, 0, 0, now_ns());
    let mut connection = Connection::open(shared.address, 1 << 22)?;
    while !shared.is_stopped() {
        for number in 0..crate::STREAMS {
            server::make_cold(&shared.directory.join(format!("{}-0", name(number))))?;
            let (read, jumps) = scan(shared, &mut connection, &name(number), None)?;
            bytes += read;
            out_of_range += jumps;
        }
        passes += 1;
    }
    let rate = bytes as f64 / 1e6 / ((now_ns() - begun) as f64 / 1e9);
    Ok(format!(
        "{passes} passes, {rate:.0} MB/s, {out_of_range} times its offset was deleted before it came"
    ))
}

/// Reads from the start to the end there is now, or a given one; bytes, and how often the start moved
/// past the reader.
fn scan(
    shared: &Shared,
    connection: &mut Connection,
    topic: &str,
    upto: Option<i64>,
) -> Result<(u64, u32), Failure> {
    let mut frame = FetchFrame::new(topic, &[0], Appetite::USUAL);
    let (mut scratch, mut bytes, mut jumps) = (Scratch::new(), 0, 0);
    let end = match upto {
        Some(end) => end,
        None => offset_at(connection, topic, -1)?,
    };
    let mut offset = offset_at(connection, topic, -2)?;
    let deadline = now_ns() + PATIENCE_NS;
    while offset < end && (upto.is_some() || !shared.is_stopped()) {
        if now_ns() > deadline {
            return Err(format!("{topic} cannot be read beyond {offset}").into());
        }
        frame.set_offset(0, offset);
        connection.send(frame.bytes())?;
        let read = fetch::read_answer(connection.receive()?, |fetched| {
            bytes += fetched.records.len() as u64;
            offset = read_records(fetched.records, offset, &mut scratch, |_| {})?;
            Ok(())
        });
        match read {
            Err(error) if error.to_string() == OUT_OF_RANGE => {
                let start = offset_at(connection, topic, -2)?;
                if start <= offset {
                    return Err(format!("{topic} begins at {start} and refuses {offset}").into());
                }
                offset = start;
                jumps += 1;
            }
            read => read?,
        }
    }
    Ok((bytes, jumps))
}

/// Whether every stream can be read from its start to what was acknowledged, and no further.
pub(crate) fn check_ends(shared: &Shared, ends: &[u64]) -> Result<(), Failure> {
    let mut connection = Connection::open(shared.address, 1 << 22)?;
    for (number, end) in ends.iter().enumerate() {
        let topic = name(number);
        let end = end.cast_signed();
        let (start, found) = (
            offset_at(&mut connection, &topic, -2)?,
            offset_at(&mut connection, &topic, -1)?,
        );
        if found != end {
            return Err(format!("{topic} ends at {found}, and {end} were acknowledged").into());
        }
        scan(shared, &mut connection, &topic, Some(end))?;
        println!(
            "{topic}: {end} records acknowledged, {start} of them deleted, the others read back"
        );
    }
    Ok(())
}
