//! What must not grow with the number of segments, counted in calls of the disk.

use std::collections::BTreeMap;

use super::*;
use crate::storage::disk::counting::CountingDisk;

/// One record a segment, each a second later than the one before; the end is flushed.
fn many(segments: i64) -> (Bench, CountingDisk) {
    let config = LogConfig {
        segment_bytes: 100,
        retention_ms: None,
        ..LogConfig::default()
    };
    let mut bench = Bench::new(config);
    for n in 0..segments {
        bench.append(&batch_at(&[&format!("value {n}")], n * 1000));
    }
    bench.flush();
    let disk: Arc<dyn Disk> = Arc::new(bench.disk.clone());
    (bench, CountingDisk::new(disk))
}

fn open_counted(bench: &Bench, disk: &CountingDisk, input: &RecoveryInput) -> Log {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let config = Arc::clone(&bench.config);
    Log::open(disk, directory(), config, input, NOW).unwrap().0
}

fn killed(bench: &Bench) -> RecoveryInput {
    RecoveryInput {
        recovery_point: bench.log.recovery_point(),
        ..RecoveryInput::unknown()
    }
}

type Calls = BTreeMap<&'static str, u64>;

fn total(calls: &Calls) -> u64 {
    calls.values().sum()
}

#[test]
fn a_start_makes_one_listing_and_as_many_calls_for_five_hundred_segments_as_for_ten() {
    for clean in [true, false] {
        let calls = [10, 500].map(|segments| {
            let (mut bench, disk) = many(segments);
            if clean {
                bench.log.close().unwrap();
            }
            let input = RecoveryInput {
                clean_shutdown: clean,
                ..killed(&bench)
            };
            let log = open_counted(&bench, &disk, &input);
            assert_eq!(log.log_end_offset(), Offset(segments));
            disk.take()
        });
        assert_eq!(calls[0], calls[1], "clean: {clean}");
        assert_eq!(calls[0]["list"], 1, "clean: {clean}");
        assert!(total(&calls[0]) < 30, "{:?}", calls[0]);
    }
}

#[test]
fn a_log_of_many_segments_is_reopened_with_one_listing() {
    let (mut bench, disk) = many(100);
    bench.log.close().unwrap();
    let closed = bench.log.closed().unwrap().unwrap();
    let input = RecoveryInput {
        clean_shutdown: true,
        ..killed(&bench)
    };
    let reopen = |disk: &CountingDisk| {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let config = Arc::clone(&bench.config);
        Log::reopen(disk, directory(), config, &input, &closed, NOW).unwrap()
    };
    assert!(reopen(&disk).is_some());
    assert_eq!(disk.take(), Calls::from([("list", 1), ("look", 1)]));
    let other = path("00000000000000000050.log");
    let file = disk.open(&other, crate::storage::disk::OpenMode::Write);
    file.unwrap().truncate(3).unwrap();
    assert!(reopen(&disk).is_none(), "a segment is shorter than it was");
}

#[test]
fn reading_at_any_offset_costs_the_same_calls_whatever_the_number_of_segments() {
    let dearest = [10, 1000].map(|segments| {
        let (bench, disk) = many(segments);
        let log = open_counted(&bench, &disk, &killed(&bench));
        disk.take();
        let every = (segments / 10).max(1);
        let costs = (0..segments).step_by(every as usize).map(|offset| {
            let reader = log.reader();
            let plan = reader.plan(Offset(offset), 100, Offset(i64::MAX), true);
            let found = records_of(&plan.unwrap());
            assert_eq!(found, [(offset, format!("value {offset}"))]);
            let aborted = reader.aborted_transactions(Offset(offset), Offset(segments));
            assert!(aborted.unwrap().is_empty());
            total(&disk.take())
        });
        costs.max().unwrap()
    });
    assert_eq!(dearest[0], dearest[1]);
    assert!(dearest[0] <= 4, "{dearest:?}");
}

#[test]
fn finding_a_timestamp_looks_into_one_segment_once_the_largest_of_each_is_known() {
    let (bench, disk) = many(1000);
    let log = open_counted(&bench, &disk, &killed(&bench));
    let reader = log.reader();
    let find = |timestamp| {
        let found = reader.offset_for_timestamp(Timestamp(timestamp)).unwrap();
        found.map(|found| found.offset.0)
    };
    assert_eq!(find(999_000), Some(999));
    disk.take();
    for n in [0, 1, 17, 500, 998] {
        assert_eq!(find(n * 1000), Some(n));
        assert_eq!(find(n * 1000 + 1), Some(n + 1));
        let calls = disk.take();
        assert!(total(&calls) < 30, "{calls:?}");
    }
    assert_eq!(find(999_001), None);
    assert_eq!(reader.max_timestamp().unwrap().unwrap().offset, Offset(999));
    let calls = disk.take();
    assert!(total(&calls) < 30, "{calls:?}");
}

#[test]
fn a_log_that_was_closed_finds_timestamps_without_asking_each_segment() {
    let (mut bench, disk) = many(1000);
    bench.log.close().unwrap();
    let closed = bench.log.closed().unwrap().unwrap();
    let input = RecoveryInput {
        clean_shutdown: true,
        ..killed(&bench)
    };
    let counted: Arc<dyn Disk> = Arc::new(disk.clone());
    let config = Arc::clone(&bench.config);
    let log = Log::reopen(counted, directory(), config, &input, &closed, NOW);
    let reader = log.unwrap().unwrap().reader();
    disk.take();
    let found = reader.offset_for_timestamp(Timestamp(777_000)).unwrap();
    assert_eq!(found.unwrap().offset, Offset(777));
    let calls = disk.take();
    assert!(total(&calls) < 15, "{calls:?}");
}

#[test]
fn after_a_crash_timestamps_are_found_without_asking_each_segment_again() {
    let (bench, disk) = many(2000);
    let log = open_counted(&bench, &disk, &killed(&bench));
    let reader = log.reader();
    disk.take();
    for n in [1500, 3, 700] {
        let found = reader.offset_for_timestamp(Timestamp(n * 1000)).unwrap();
        assert_eq!(found.unwrap().offset, Offset(n));
        let calls = disk.take();
        assert!(total(&calls) < 15, "{n}: {calls:?}");
    }
    // What was rolled since the file was written is asked for, once.
    let found = reader.offset_for_timestamp(Timestamp(1_999_000)).unwrap();
    assert_eq!(found.unwrap().offset, Offset(1999));
    assert!(total(&disk.take()) < 3 * 512);
}

#[test]
fn what_is_noted_of_a_segment_that_changed_or_in_a_damaged_file_does_not_count() {
    let (bench, disk) = many(600);
    let times = path("milena-segment-times");
    let find = |timestamp: i64| {
        let log = open_counted(&bench, &disk, &killed(&bench));
        let found = log.reader().offset_for_timestamp(Timestamp(timestamp));
        found.unwrap().map(|found| found.offset.0)
    };
    assert_eq!(find(100_000), Some(100));
    // A segment of one record later than any other takes the place of one of another length.
    let mut other = Bench::new((*bench.config).clone());
    other.append(&batch_at(&["other"], 9_000_000));
    let bytes = other
        .disk
        .read_file(&path("00000000000000000000.log"), 1000);
    let segment = path("00000000000000000000.log");
    let file = bench
        .disk
        .open(&segment, crate::storage::disk::OpenMode::Truncate);
    file.unwrap()
        .write_at(&[std::io::IoSlice::new(&bytes.unwrap())], 0)
        .unwrap();
    let index = path("00000000000000000000.timeindex");
    bench.disk.remove_file(&index).unwrap();
    assert_eq!(find(1000), Some(0));
    bench.disk.flip_bit(&times, 100, 3).unwrap();
    assert_eq!(find(100_000), Some(0));
    assert_eq!(find(9_000_001), None);
}

#[test]
fn a_round_of_retention_that_deletes_nothing_asks_for_one_segment() {
    let (bench, disk) = many(1000);
    let mut log = open_counted(&bench, &disk, &killed(&bench));
    disk.take();
    log.set_config(Arc::new(LogConfig {
        retention_ms: Some(NOW.0),
        ..(*bench.config).clone()
    }));
    let deleted = log.delete_retained(NOW, Offset(1000)).unwrap();
    assert!(deleted.is_empty());
    let calls = disk.take();
    assert!(total(&calls) < 6, "{calls:?}");
    let later = Timestamp(NOW.0 + 600_001);
    let deleted = log.delete_retained(later, Offset(1000)).unwrap();
    assert_eq!(deleted.len(), 601);
    assert_eq!(log.log_start_offset(), Offset(601));
    assert_eq!(log.segments(), 399);
}

#[test]
fn a_flush_touches_what_is_new() {
    let (mut bench, _) = many(1000);
    bench.append(&batch_at(&["one more"], 1_000_000));
    let disk: Arc<dyn Disk> = Arc::new(bench.disk.clone());
    let counting = CountingDisk::new(disk);
    let mut log = open_counted(&bench, &counting, &killed(&bench));
    counting.take();
    log.flush_job().unwrap().run().unwrap();
    let calls = counting.take();
    assert!(total(&calls) < 16, "{calls:?}");
}
