//! A producer that writes to all partitions of many topics in turn, and may go on until the broker is killed.

use std::time::Duration;

use serde_json::json;

use crate::Failure;
use crate::admin;
use crate::args::Args;
use crate::batch::{Seed, Shape};
use crate::gate::{self, now_ns};
use crate::produce::{Load, warm_up};
use crate::wire::{self, Connection};

/// Partitions in one request, each with one batch.
const AT_ONCE: i32 = 50;
/// Who is not killed by then ends by itself.
const UNDER_LOAD_MAX: Duration = Duration::from_secs(60);

/// `topic= [topics=] partitions= mib= record_bytes= batch_bytes= [on_mb_per_second=0]`: with the last
/// one, it goes on at that rate behind the second mark until the connection breaks.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut frames = frames(args)?;
    let mut connection = Connection::open(args.address()?, 1 << 16)?;
    for (frame, _) in &mut frames {
        warm_up(&mut connection, frame)?;
    }
    let each = frames.iter().map(|(frame, _)| frame.len()).max();
    let bytes = args.number("mib", 64u64)? << 20;
    let requests = bytes.div_ceil(each.unwrap_or(1) as u64);
    let records = frames.iter().map(|(_, records)| *records).max();
    let rate = args.number("on_mb_per_second", 0u64)? * 1_000_000;
    let mut load = Load::of_frames(frames, args.number("inflight", 5)?);
    gate::mark(args.gated(), "begin")?;
    let mut result = load.send(&mut connection, requests * records.unwrap_or(1))?;
    gate::mark(args.gated(), "end")?;
    if rate > 0 {
        result["acknowledged_until_killed"] = json!(go_on(&mut load, &mut connection, rate)?);
    }
    gate::result(&result)
}

/// A finished request for each so many partitions, with how many records it has.
fn frames(args: &Args) -> Result<Vec<(Vec<u8>, u64)>, Failure> {
    let (shape, partitions) = (Shape::of(args)?, args.number("partitions", 1)?);
    let (mut frames, mut seed) = (Vec::new(), Seed(1));
    for topic in admin::names(args)? {
        for first in (0..partitions).step_by(AT_ONCE as usize) {
            let batches: Result<Vec<_>, Failure> = (first..partitions.min(first + AT_ONCE))
                .map(|partition| Ok((partition, shape.build(&mut seed)?)))
                .collect();
            let batches = batches?;
            let records = batches.iter().map(|(_, (_, records))| records).sum();
            let batches: Vec<(i32, &[u8])> = batches
                .iter()
                .map(|(partition, (batch, _))| (*partition, &batch[..]))
                .collect();
            frames.push((wire::produce_frame(&topic, &batches), records));
        }
    }
    Ok(frames)
}

/// Sends request by request at a steady rate until the server is gone; how many were answered.
fn go_on(
    load: &mut Load,
    connection: &mut Connection,
    bytes_per_second: u64,
) -> Result<u64, Failure> {
    let (begun, mut bytes, mut answered) = (now_ns(), 0, 0);
    while now_ns() - begun < u64::try_from(UNDER_LOAD_MAX.as_nanos())? {
        let Ok(sent) = load.send(connection, 1) else {
            return Ok(answered);
        };
        answered += 1;
        bytes += sent["bytes"].as_u64().unwrap_or(0);
        let due = begun + bytes.saturating_mul(1_000_000_000) / bytes_per_second;
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(now_ns())));
    }
    Err("the server was not killed".into())
}
