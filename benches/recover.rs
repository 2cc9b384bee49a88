//! What a start costs: many logs after a crash, and one log of very many segments.
//!
//! `cargo bench --bench recover` measures both; `-- logs` or `-- segments` one of them, and a number
//! behind it how many. Everything lies in the page cache, as after a kill -9. Figures are printed as
//! a table; nothing is asserted.

#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use milena::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use milena::record::{BatchBuilder, Scratch, ValidBatch};
use milena::storage::disk::{Disk, SystemDisk};
use milena::storage::{ClosedLog, Log, LogConfig, RecoveryInput, RecoveryReport};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
/// `num.recovery.threads.per.data.dir`.
const THREADS: usize = 2;

fn main() {
    let mut args = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"));
    let what = args.next().unwrap_or_default();
    let count = args.next().and_then(|count| count.parse().ok());
    if what != "segments" {
        for (bytes, name) in [(16 << 10, "16 KiB"), (1 << 10, "1 KiB")] {
            logs(count.unwrap_or(1000), bytes, name);
        }
    }
    if what != "logs" {
        segments(count.unwrap_or(100_000));
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let done = work();
    (done, begun.elapsed())
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(SystemDisk)
}

fn batch(bytes: usize, sequence: i32, timestamp: i64) -> ValidBatch {
    let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), sequence);
    let value = vec![b'x'; bytes.saturating_sub(80)];
    builder.append(Timestamp(timestamp), None, Some(&value), &[]);
    let built = builder.build().expect("a batch");
    ValidBatch::from_builder(built, &mut Scratch::new()).expect("a valid one")
}

fn open(
    directory: PathBuf,
    config: &Arc<LogConfig>,
    input: &RecoveryInput,
) -> (Log, RecoveryReport) {
    Log::open(disk(), directory, Arc::clone(config), input, NOW).expect("it opens")
}

/// A MiB in each of many logs, none of it flushed, all of it scanned.
fn logs(count: usize, batch_bytes: usize, name: &str) {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let config = Arc::new(LogConfig::default());
    let path = |at: usize| home.path().join(format!("t-{at}"));
    let per_log = (1 << 20) / batch_bytes;
    for at in 0..count {
        let (mut log, _) = open(path(at), &config, &RecoveryInput::unknown());
        for n in 0..per_log {
            let sequence = i32::try_from(n).expect("few");
            let batch = batch(batch_bytes, sequence, NOW.0 + n as i64);
            log.append_as_leader(&batch, LeaderEpoch(0), NOW)
                .expect("it fits");
        }
    }
    let next = AtomicUsize::new(0);
    let (bytes, took) = timed(|| {
        std::thread::scope(|scope| {
            let work = || {
                let mut bytes = 0;
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= count {
                        return bytes;
                    }
                    let (log, report) = open(path(at), &config, &RecoveryInput::unknown());
                    assert_eq!(log.log_end_offset(), Offset(per_log as i64));
                    bytes += report.bytes_scanned;
                }
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
            let bytes = threads
                .into_iter()
                .map(|thread| thread.join().expect("no panic"));
            bytes.sum::<u64>()
        })
    });
    let mib = bytes >> 20;
    let ms = took.as_secs_f64() * 1000.0;
    println!(
        "{count} logs, {mib} MiB of idempotent batches of {name}, after a crash, {THREADS} threads: {ms:.0} ms, {:.0} MiB/s",
        mib as f64 / took.as_secs_f64()
    );
}

/// Random enough, and the same each time.
fn scattered(count: i64) -> impl Iterator<Item = i64> {
    (0..1000i64).map(move |n| (n * 7_919 + 13) % count)
}

fn report(what: &str, took: Duration) {
    println!("  {what:<58} {:>12.1} ms", took.as_secs_f64() * 1000.0);
}

fn per_read(what: &str, took: Duration) {
    println!("  {what:<58} {:>12.1} µs each", took.as_secs_f64() * 1000.0);
}

fn measure_reads(log: &Log, count: i64) {
    let reader = log.reader();
    let (_, took) = timed(|| {
        for offset in scattered(count) {
            let plan = reader.plan(Offset(offset), 1 << 20, Offset(i64::MAX), true);
            assert!(plan.expect("it is there").length() > 0);
        }
    });
    per_read("a fetch at any offset (1,000 of them)", took);
    let find = |offset: i64| {
        let found = reader.offset_for_timestamp(Timestamp(NOW.0 + offset * 1000));
        assert_eq!(found.expect("it reads").expect("found").offset.0, offset);
    };
    let (_, took) = timed(|| find(count - 1));
    report("the first timestamp, at the end", took);
    let (_, took) = timed(|| scattered(count).for_each(find));
    per_read("any timestamp afterwards (1,000 of them)", took);
}

fn listing(path: &Path) -> Duration {
    let (listed, took) = timed(|| disk().list(path).expect("it lists").len());
    report(
        &format!("one listing of its directory: {listed} files"),
        took,
    );
    took
}

/// One log with one small batch a segment.
fn segments(count: usize) {
    let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let path = home.path().join("t-0");
    let config = Arc::new(LogConfig {
        segment_bytes: 150,
        retention_ms: None,
        ..LogConfig::default()
    });
    let end = count as i64;
    let (mut log, _) = open(path.clone(), &config, &RecoveryInput::unknown());
    println!("a log of {count} segments:");
    let (_, took) = timed(|| {
        for n in 0..count {
            let sequence = i32::try_from(n).expect("few");
            let batch = batch(100, sequence, NOW.0 + n as i64 * 1000);
            log.append_as_leader(&batch, LeaderEpoch(0), NOW)
                .expect("it fits");
        }
    });
    report("made, by appending", took);
    drop(log);
    listing(&path);
    let killed = RecoveryInput {
        recovery_point: Offset(end),
        ..RecoveryInput::unknown()
    };
    let ((mut log, _), took) = timed(|| open(path.clone(), &config, &killed));
    report("opened after a crash", took);
    assert_eq!(log.segments(), count);
    measure_reads(&log, end);
    let (deleted, took) = timed(|| log.delete_retained(NOW, Offset(end)).expect("it works"));
    assert!(deleted.is_empty());
    report("a round of retention that deletes nothing", took);
    let (_, took) = timed(|| log.close().expect("it closes"));
    report("closed", took);
    let (closed, took) = timed(|| log.closed().expect("it reads").expect("it is closed"));
    report("described for the next start", took);
    drop(log);
    let mut log = reopened(&path, &config, &closed, end);
    measure_reads(&log, end);
    let half = (count / 2) as i64;
    log.advance_log_start_offset(Offset(half));
    let (deleted, took) = timed(|| log.delete_retained(NOW, Offset(end)).expect("it works"));
    report(
        &format!("{} of the segments deleted (renamed)", deleted.len()),
        took,
    );
}

fn reopened(path: &Path, config: &Arc<LogConfig>, closed: &ClosedLog, end: i64) -> Log {
    let input = RecoveryInput {
        recovery_point: Offset(end),
        clean_shutdown: true,
        ..RecoveryInput::unknown()
    };
    let reopen = || {
        let path = path.to_owned();
        Log::reopen(disk(), path, Arc::clone(config), &input, closed, NOW)
    };
    let (log, took) = timed(|| reopen().expect("it looks"));
    report("opened as it was closed", took);
    log.expect("it is as it was left")
}
