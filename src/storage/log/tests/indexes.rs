//! Indexes are made anew when they are missing or wrong, and left alone when they are right.

use super::*;
use crate::storage::disk::OpenMode;
use crate::storage::disk::counting::CountingDisk;

fn bytes_of_file(bench: &Bench, name: &str) -> Vec<u8> {
    bench.disk.read_file(&path(name), 1 << 20).unwrap()
}

fn indexes(bench: &Bench) -> Vec<(String, Vec<u8>)> {
    let names = bench.names();
    let names = names.into_iter().filter(|name| name.ends_with("index"));
    names
        .map(|name| (name.clone(), bytes_of_file(bench, &name)))
        .collect()
}

fn replace(bench: &Bench, name: &str, bytes: &[u8]) {
    let file = bench.disk.open(&path(name), OpenMode::Truncate).unwrap();
    file.write_at(&[std::io::IoSlice::new(bytes)], 0).unwrap();
}

/// Records of rising timestamps, one a batch.
fn fill_rising(bench: &mut Bench, end: i64) {
    while bench.log.log_end_offset().0 < end {
        let n = bench.log.log_end_offset().0;
        bench.append(&batch_at(&[&format!("value {n}")], 1000 + n * 10));
    }
}

fn dense() -> LogConfig {
    LogConfig {
        index_interval_bytes: 100,
        ..LogConfig::default()
    }
}

fn find(bench: &Bench, timestamp: i64) -> Option<i64> {
    let found = bench
        .log
        .reader()
        .offset_for_timestamp(Timestamp(timestamp));
    found.unwrap().map(|found| found.offset.0)
}

#[test]
fn recovery_writes_nothing_into_a_log_that_is_whole() {
    // Over a restart the distance to the next entry is forgotten: the indexes are right, though not
    // those that one life would have made.
    let mut bench = Bench::new(dense());
    fill_rising(&mut bench, 7);
    bench.close_and_reopen();
    fill_rising(&mut bench, 40);
    bench.log.close().unwrap();
    // Snapshots that no segment begins with go with the first start.
    bench.reopen(&RecoveryInput::unknown());
    let before = indexes(&bench);
    let counting = CountingDisk::new(Arc::new(bench.disk.clone()));
    for recovery_point in [0, 1, 20, 39] {
        let input = RecoveryInput {
            recovery_point: Offset(recovery_point),
            ..RecoveryInput::unknown()
        };
        let disk: Arc<dyn Disk> = Arc::new(counting.clone());
        let opened = Log::open(disk, directory(), Arc::clone(&bench.config), &input, NOW);
        let (_, report) = opened.unwrap();
        assert_eq!(report.segments_scanned, 1);
        assert_eq!(report.indexes_wrong, 0);
        let calls = counting.take();
        for kind in ["write", "truncate", "sync", "rename", "remove"] {
            assert_eq!(calls.get(kind), None, "{kind} from {recovery_point}");
        }
    }
    assert_eq!(indexes(&bench), before);
}

#[test]
fn only_what_is_above_the_recovery_point_is_scanned() {
    let mut bench = Bench::new(dense());
    fill_rising(&mut bench, 100);
    let size = bench.log.size();
    bench.log.close().unwrap();
    let mut scanned = Vec::new();
    for recovery_point in [0, 30, 60, 90] {
        let report = bench.reopen(&RecoveryInput {
            recovery_point: Offset(recovery_point),
            ..RecoveryInput::unknown()
        });
        scanned.push(report.bytes_scanned);
        assert_eq!(bench.log.log_end_offset(), Offset(100));
        assert_eq!(bench.log.recovery_point(), Offset(recovery_point));
        assert_eq!(bench.read_all(300), numbered(0..100));
        assert_eq!(find(&bench, 1000 + 555), Some(56));
        assert_eq!(
            bench.log.reader().max_timestamp().unwrap().unwrap().offset,
            Offset(99)
        );
    }
    assert_eq!(scanned[0], size);
    assert!(scanned.is_sorted_by(|a, b| a > b), "{scanned:?}");
    assert!(scanned[3] < size / 5, "{scanned:?}");
    // A flipped bit below the recovery point is not recovery's to find.
    let log = path("00000000000000000000.log");
    bench.disk.flip_bit(&log, 70, 1).unwrap();
    bench.reopen(&RecoveryInput {
        recovery_point: Offset(50),
        ..RecoveryInput::unknown()
    });
    assert_eq!(bench.log.log_end_offset(), Offset(100));
}

#[test]
fn a_recovery_point_is_no_help_without_indexes_and_does_not_hurt_with_wrong_ones() {
    let mut bench = Bench::new(dense());
    fill_rising(&mut bench, 100);
    bench.log.close().unwrap();
    let right = indexes(&bench);
    let damages: [fn(&mut Vec<u8>); 5] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(24),
        |bytes| bytes[16..40].fill(0),
        |bytes| bytes[20] ^= 0x40,
        |bytes| bytes.extend([0x7f; 24]),
    ];
    for (name, whole) in &right {
        for (at, damage) in damages.iter().enumerate() {
            let mut wrong = whole.clone();
            damage(&mut wrong);
            replace(&bench, name, &wrong);
            bench.reopen(&RecoveryInput {
                recovery_point: Offset(80),
                ..RecoveryInput::unknown()
            });
            assert_eq!(bench.read_all(300), numbered(0..100), "{name} {at}");
            for n in [0, 17, 56, 99] {
                assert_eq!(find(&bench, 1000 + n * 10), Some(n), "{name} {at}");
            }
            bench.log.close().unwrap();
            // No reserved entry is left, and the log is as after any other recovery.
            assert_eq!(indexes(&bench), right, "{name} {at}");
        }
    }
}

#[test]
fn a_wrong_entry_costs_a_reader_time_and_is_mended_in_the_next_round() {
    let mut bench = Bench::new(LogConfig {
        segment_bytes: 3000,
        ..dense()
    });
    fill_rising(&mut bench, 100);
    bench.log.close().unwrap();
    let right = indexes(&bench);
    let damages: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(24),
        |bytes| bytes[5] ^= 0x10,
        |bytes| bytes.fill(0x11),
    ];
    for (name, whole) in right.iter().take(4) {
        for (at, damage) in damages.iter().enumerate() {
            let mut wrong = whole.clone();
            damage(&mut wrong);
            replace(&bench, name, &wrong);
            bench.reopen(&RecoveryInput {
                clean_shutdown: true,
                ..RecoveryInput::unknown()
            });
            // An index that is too short is right as far as it goes: nobody can tell from it.
            let is_short = at == 1;
            let is_time = name.ends_with("timeindex");
            for n in (0..100).filter(|_| !is_short || !is_time) {
                assert_eq!(find(&bench, 1000 + n * 10), Some(n), "{name} {at}");
            }
            assert_eq!(bench.read_all(300), numbered(0..100), "{name} {at}");
            let doubted = bench.log.mend_indexes().unwrap();
            if doubted > 0 {
                assert_eq!(&bytes_of_file(&bench, name), whole, "{name} {at}");
                assert_eq!(bench.read_all(300), numbered(0..100));
                assert_eq!(bench.log.mend_indexes().unwrap(), 0);
            }
            // An entry that only sends the search to the beginning goes unnoticed.
            assert!(
                doubted > 0 || is_short || at == 2 || !is_time,
                "{name} {at}"
            );
            replace(&bench, name, whole);
        }
    }
}

#[test]
fn reigns_are_found_without_reading_segments_between_two_of_the_same() {
    let mut bench = Bench::new(LogConfig {
        segment_bytes: 80,
        ..LogConfig::default()
    });
    let epoch_of = |offset: i64| match offset {
        0..70 => 2,
        70..71 => 5,
        71..200 => 9,
        _ => 11,
    };
    for offset in 0..300 {
        let epoch = LeaderEpoch(epoch_of(offset));
        bench
            .log
            .append_as_leader(&batch(&["x"]), epoch, NOW)
            .unwrap();
    }
    bench.log.close().unwrap();
    bench
        .disk
        .remove_file(&path("leader-epoch-checkpoint"))
        .unwrap();
    let counting = CountingDisk::new(Arc::new(bench.disk.clone()));
    let input = RecoveryInput {
        clean_shutdown: true,
        ..RecoveryInput::unknown()
    };
    let disk: Arc<dyn Disk> = Arc::new(counting.clone());
    let config = Arc::clone(&bench.config);
    let (log, _) = Log::open(disk, directory(), config, &input, NOW).unwrap();
    let reader = log.reader();
    for offset in [0, 69, 70, 71, 199, 200, 299] {
        let epoch = reader.epoch_for(Offset(offset));
        assert_eq!(epoch, Some(LeaderEpoch(epoch_of(offset))), "{offset}");
    }
    let reads = counting.take()["read"];
    assert!(reads < 60, "{reads}");
}
