//! The floor of an acknowledged write: the same bytes appended to a file, and one fdatasync each.

use rustix::fs::{FallocateFlags, Mode, OFlags, fallocate, fdatasync, open};
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::gate::{self, now_ns};
use crate::latency::{Pace, Stamped};
use crate::stats;

/// As much as the broker sets aside at a time.
const SET_ASIDE_BYTES: u64 = 64 << 20;

/// `file= rate= seconds= record_bytes=`: write and sync at the pace of `ack`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let request = Stamped::of("versus-ack", args.number("record_bytes", 1024)?)?;
    let batch = request.stamper.batch_of(&request.frame).to_vec();
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = open(args.text("file")?, flags, Mode::from_raw_mode(0o644))?;
    fallocate(&file, FallocateFlags::KEEP_SIZE, 0, SET_ASIDE_BYTES)?;
    fdatasync(&file)?;
    let (mut pace, mut waits, mut position) = (Pace::of(args)?, Vec::new(), 0);
    while let Some(number) = pace.wait() {
        let since = now_ns();
        position += rustix::io::pwrite(&file, &batch, position)? as u64;
        fdatasync(&file)?;
        if number >= pace.uncounted {
            waits.push(now_ns() - since);
        }
    }
    gate::result(&json!({"records": pace.count, "synced": stats::summary(&mut waits)}))
}
