//! Damage under a running host: found by rounds and by readers, answered for, kept, and gone again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::bench::*;
use crate::actors::scrubber::{ScrubPace, Scrubber};
use crate::model::Offset;
use crate::storage::ReadError;
use crate::storage::disk::MemoryDisk;
use crate::telemetry::metrics::Metrics;

const DAY: Duration = Duration::from_secs(86_400);
/// A hundred thousand bytes a second: ten seconds for a segment.
const PACE: ScrubPace = ScrubPace {
    bytes_per_second: 100_000,
    interval: Duration::from_secs(7 * 86_400),
};

fn scrub(bench: &Bench, pace: ScrubPace) -> Metrics {
    let metrics = Metrics::default();
    let scrubber = Scrubber::new(Arc::clone(&bench.dir), pace, bench.clock, metrics.clone());
    actix_rt::spawn(scrubber.run());
    metrics
}

/// Three segments of one batch each.
async fn three_segments(disk: &MemoryDisk) -> Bench {
    let configs = [("retention.ms", "-1"), ("segment.bytes", "1048576")];
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &configs)).await;
    for letter in ["a", "b", "c"] {
        bench.write(1, &letter.repeat(1_000_000)).await.unwrap();
    }
    bench
}

fn segment(base: u8) -> PathBuf {
    PathBuf::from(format!("/logs/t-0/{base:020}.log"))
}

/// Which of the offsets 0 to 2 are served.
async fn served(bench: &Bench) -> [bool; 3] {
    let mut served = [false; 3];
    for (offset, served) in (0..).zip(&mut served) {
        *served = match bench.read(1, offset, None).await {
            Ok(answer) => answer.plan.next_offset() == Offset(offset + 1),
            Err(crate::actors::partition_messages::ReadFailure::Log(ReadError::Damaged(_))) => {
                false
            }
            Err(error) => panic!("{error}"),
        };
    }
    served
}

#[actix::test]
async fn a_round_finds_what_rotted_and_the_next_one_that_it_was_restored() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = three_segments(&disk).await;
    disk.flip_bit(&segment(1), 500_000, 2).unwrap();
    let metrics = scrub(&bench, PACE);
    tokio::time::sleep(Duration::from_secs(290)).await;
    assert_eq!(metrics.scrubbed_bytes.get(), 0, "the start comes first");
    assert_eq!(served(&bench).await, [true; 3]);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(served(&bench).await, [true, false, true]);
    assert_eq!(metrics.damaged_ranges.get(), 1);
    // The active segment is left to whoever reads it.
    let round = metrics.scrubbed_bytes.get();
    assert!((2_000_000..2_100_000).contains(&round), "{round}");
    tokio::time::sleep(5 * DAY).await;
    assert_eq!(metrics.scrubbed_bytes.get(), round);
    disk.flip_bit(&segment(1), 500_000, 2).unwrap();
    tokio::time::sleep(3 * DAY).await;
    assert_eq!(served(&bench).await, [true; 3]);
    assert_eq!(metrics.damaged_ranges.get(), 0);
}

#[actix::test]
async fn a_restart_does_not_forget_what_is_damaged() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = three_segments(&disk).await;
    disk.flip_bit(&segment(0), 70, 2).unwrap();
    let metrics = scrub(&bench, PACE);
    tokio::time::sleep(DAY).await;
    assert_eq!(metrics.damaged_ranges.get(), 1);
    bench.stop().await;

    let configs = [("retention.ms", "-1"), ("segment.bytes", "1048576")];
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &configs)).await;
    assert_eq!(served(&bench).await, [false, true, true]);
    // Restored while the broker was down: seen at once, not in a week.
    disk.flip_bit(&segment(0), 70, 2).unwrap();
    let metrics = scrub(&bench, PACE);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(served(&bench).await, [true; 3]);
    assert_eq!(metrics.damaged_ranges.get(), 0);
}

#[actix::test]
async fn what_a_reader_meets_is_looked_at_even_where_no_rounds_are_made() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = three_segments(&disk).await;
    let off = ScrubPace {
        bytes_per_second: 0,
        ..PACE
    };
    let metrics = scrub(&bench, off);
    // The magic byte.
    disk.flip_bit(&segment(1), 16, 2).unwrap();
    tokio::time::sleep(10 * DAY).await;
    assert_eq!(metrics.damaged_ranges.get(), 0);
    assert!(bench.read(1, 1, None).await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(metrics.damaged_ranges.get(), 1);
    assert_eq!(served(&bench).await, [true, false, true]);
}
