use super::*;
use crate::storage::disk::OpenMode;

fn write_file(bench: &Bench, name: &str, bytes: &[u8]) {
    let file = bench.disk.open(&path(name), OpenMode::Truncate).unwrap();
    file.write_at(&[std::io::IoSlice::new(bytes)], 0).unwrap();
}

fn remove(bench: &Bench, name: &str) {
    bench.disk.remove_file(&path(name)).unwrap();
}

fn length(bench: &Bench, name: &str) -> u64 {
    let file = bench.disk.open(&path(name), OpenMode::Read).unwrap();
    file.length().unwrap()
}

#[test]
fn a_log_that_was_closed_reads_nothing_but_its_end() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 50);
    let report = bench.close_and_reopen();
    assert_eq!(report.segments_scanned, 0);
    assert_eq!(report.batches_replayed, 0);
    assert_eq!(bench.log.log_end_offset(), Offset(50));
    assert_eq!(bench.log.recovery_point(), Offset(50));
    assert_eq!(bench.read_all(400), numbered(0..50));
    fill(&mut bench, 60);
    assert_eq!(bench.read_all(400), numbered(0..60));
}

#[test]
fn a_torn_tail_is_cut_back_to_the_last_whole_batch() {
    let mut bench = Bench::new(LogConfig::default());
    fill(&mut bench, 3);
    let whole = length(&bench, "00000000000000000000.log");
    fill(&mut bench, 4);
    let all = length(&bench, "00000000000000000000.log");
    for kept in whole..all {
        let file = bench
            .disk
            .open(&path("00000000000000000000.log"), OpenMode::Write)
            .unwrap();
        file.truncate(kept).unwrap();
        let report = bench.reopen(&RecoveryInput::unknown());
        assert_eq!(report.bytes_cut, kept - whole);
        assert_eq!(bench.log.log_end_offset(), Offset(3));
        assert_eq!(length(&bench, "00000000000000000000.log"), whole);
        fill(&mut bench, 4);
        assert_eq!(bench.read_all(1000), numbered(0..4));
    }
}

#[test]
fn a_tail_of_zeroes_is_cut() {
    let mut bench = Bench::new(LogConfig::default());
    fill(&mut bench, 3);
    let file = bench
        .disk
        .open(&path("00000000000000000000.log"), OpenMode::Write)
        .unwrap();
    file.truncate(5000).unwrap();
    let report = bench.reopen(&RecoveryInput::unknown());
    assert!(report.bytes_cut > 0);
    assert_eq!(bench.read_all(1000), numbered(0..3));
}

#[test]
fn a_flipped_bit_above_the_recovery_point_cuts_there_and_keeps_later_segments_aside() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 40);
    let segments = bench.log.segments();
    let log = path("00000000000000000000.log");
    bench.disk.flip_bit(&log, 340, 3).unwrap();
    let report = bench.reopen(&RecoveryInput::unknown());
    assert_eq!(report.set_aside.len(), segments - 1);
    assert!(report.cut_because.unwrap().contains("checksum"));
    let end = bench.log.log_end_offset();
    assert!(end < Offset(13));
    assert_eq!(bench.read_all(1000), numbered(0..end.0));
    fill(&mut bench, 20);
    assert_eq!(bench.read_all(1000), numbered(0..20));
}

#[test]
fn segments_below_the_recovery_point_are_not_read() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 40);
    bench.flush();
    let log = path("00000000000000000000.log");
    bench.disk.flip_bit(&log, 300, 3).unwrap();
    let report = bench.kill_and_reopen();
    assert_eq!(report.segments_scanned, 1);
    assert_eq!(bench.log.log_end_offset(), Offset(40));
}

#[test]
fn lost_and_torn_indexes_are_made_anew() {
    for damage in [
        "lost index",
        "lost timeindex",
        "torn index",
        "foreign index",
    ] {
        for clean in [true, false] {
            let mut bench = Bench::new(small());
            fill(&mut bench, 40);
            bench.log.close().unwrap();
            let before: Vec<_> = bench.disk.list(&directory()).unwrap();
            for name in bench.names() {
                let kind = damage.split(' ').nth(1).unwrap();
                if !name.ends_with(&format!(".{kind}")) {
                    continue;
                }
                match damage.split(' ').next() {
                    Some("lost") => remove(&bench, &name),
                    Some("torn") => write_file(&bench, &name, &[0, 0, 0]),
                    _ => write_file(&bench, &name, &[0x7f; 16]),
                }
            }
            let report = bench.reopen(&RecoveryInput {
                clean_shutdown: clean,
                ..RecoveryInput::unknown()
            });
            assert!(report.segments_scanned > 0, "{damage} {clean}");
            assert_eq!(bench.read_all(300), numbered(0..40), "{damage} {clean}");
            if damage != "foreign index" || !clean {
                let after = bench.disk.list(&directory()).unwrap();
                assert_eq!(after, before, "{damage} {clean}");
            }
        }
    }
}

#[test]
fn an_index_that_ends_where_the_log_does_is_not_believed() {
    let mut bench = Bench::new(LogConfig {
        index_interval_bytes: 100,
        ..LogConfig::default()
    });
    fill(&mut bench, 10);
    bench.log.close().unwrap();
    // The last batch is gone, the index still points at it.
    let mut scan_from = 0;
    let log = "00000000000000000000.log";
    let bytes = bench.disk.read_file(&path(log), 10_000).unwrap();
    let index = bench
        .disk
        .read_file(&path("00000000000000000000.index"), 100);
    if let Some(last) = index.unwrap().last_chunk::<4>() {
        scan_from = u32::from_be_bytes(*last) as usize;
    }
    write_file(&bench, log, &bytes[..scan_from]);
    let report = bench.reopen(&RecoveryInput {
        clean_shutdown: true,
        ..RecoveryInput::unknown()
    });
    assert_eq!(report.indexes_rebuilt, 1);
    let end = bench.log.log_end_offset();
    assert!(end > Offset(0));
    assert_eq!(bench.read_all(300), numbered(0..end.0));
}

#[test]
fn the_room_kafka_reserves_in_its_indexes_is_no_entry() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 40);
    bench.log.close().unwrap();
    for name in bench.names() {
        if name.ends_with("index") {
            let file = bench.disk.open(&path(&name), OpenMode::Write).unwrap();
            file.truncate(2400).unwrap();
        }
    }
    let report = bench.reopen(&RecoveryInput {
        clean_shutdown: true,
        ..RecoveryInput::unknown()
    });
    assert_eq!(report.segments_scanned, 0);
    assert_eq!(bench.read_all(300), numbered(0..40));
    let reader = bench.log.reader();
    let found = reader.offset_for_timestamp(Timestamp(1000)).unwrap();
    assert_eq!(found.unwrap().offset, Offset(0));
    assert!(
        reader
            .offset_for_timestamp(Timestamp(1001))
            .unwrap()
            .is_none()
    );
    fill(&mut bench, 60);
    bench.close_and_reopen();
    assert_eq!(bench.read_all(300), numbered(0..60));
}

#[test]
fn what_was_being_deleted_or_cleaned_goes_and_a_replacement_takes_its_place() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 40);
    bench.log.close().unwrap();
    let names = bench.names();
    let second = names
        .iter()
        .filter(|name| name.ends_with(".log"))
        .nth(1)
        .unwrap();
    write_file(&bench, "00000000000000000099.log.deleted", b"x");
    // The cleaner had replaced the first segment by a copy of itself, and was about to say so.
    let first = "00000000000000000000.log";
    let bytes = bench.disk.read_file(&path(first), 1000).unwrap();
    write_file(&bench, "00000000000000000000.log.swap", &bytes);
    write_file(&bench, &format!("{second}.cleaned"), b"x");
    remove(&bench, first);
    bench.reopen(&RecoveryInput::unknown());
    assert_eq!(bench.read_all(300), numbered(0..40));
    assert!(bench.names().iter().all(|name| {
        !name.ends_with(".swap") && !name.ends_with(".deleted") && !name.ends_with(".cleaned")
    }));
}

#[test]
fn a_file_that_is_not_of_its_name_is_kept_but_not_part_of_the_log() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 5);
    bench.log.close().unwrap();
    let bytes = bench
        .disk
        .read_file(&path("00000000000000000000.log"), 1000)
        .unwrap();
    write_file(&bench, "00000000000000000005.log", &bytes);
    let report = bench.reopen(&RecoveryInput::unknown());
    assert_eq!(report.set_aside.len(), 1);
    assert_eq!(bench.read_all(300), numbered(0..5));
    fill(&mut bench, 8);
    assert_eq!(bench.read_all(300), numbered(0..8));
}

#[test]
fn an_empty_last_file_is_where_the_log_goes_on() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 5);
    bench.log.roll(NOW).unwrap();
    bench.kill_and_reopen();
    assert_eq!(bench.log.log_end_offset(), Offset(5));
    fill(&mut bench, 8);
    assert_eq!(bench.read_all(300), numbered(0..8));
}

#[test]
fn a_log_start_inside_of_a_segment_survives_and_one_beyond_the_end_empties_the_log() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 5);
    bench.log.advance_log_start_offset(Offset(3));
    bench.kill_and_reopen();
    assert_eq!(bench.log.log_start_offset(), Offset(3));
    assert_eq!(bench.read_all(300), numbered(3..5));
    bench.reopen(&RecoveryInput {
        log_start_offset: Offset(100),
        ..RecoveryInput::unknown()
    });
    assert_eq!(bench.log.log_start_offset(), Offset(100));
    assert_eq!(bench.log.log_end_offset(), Offset(100));
    assert_eq!(bench.write(&["x"]).first_offset, Offset(100));
    assert_eq!(bench.read_all(300), [(100, "x".to_owned())]);
}

#[test]
fn an_end_below_the_recovery_point_moves_the_recovery_point() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 5);
    bench.reopen(&RecoveryInput {
        recovery_point: Offset(1000),
        ..RecoveryInput::unknown()
    });
    assert_eq!(bench.log.recovery_point(), Offset(5));
    assert_eq!(bench.read_all(300), numbered(0..5));
}

#[test]
fn leader_epochs_are_cut_with_the_log_and_found_again_without_their_checkpoint() {
    let mut bench = Bench::new(small());
    for epoch in [1, 1, 4] {
        bench
            .log
            .append_as_leader(&batch(&["x"]), LeaderEpoch(epoch), NOW)
            .unwrap();
    }
    bench.log.assign_epoch(LeaderEpoch(6));
    bench.kill_and_reopen();
    assert_eq!(bench.log.reader().latest_epoch(), Some(LeaderEpoch(4)));
    remove(&bench, "leader-epoch-checkpoint");
    for clean in [false, true] {
        bench.reopen(&RecoveryInput {
            clean_shutdown: clean,
            ..RecoveryInput::unknown()
        });
        let reader = bench.log.reader();
        assert_eq!(
            reader.end_offset_for_epoch(LeaderEpoch(1)),
            Some((LeaderEpoch(1), Offset(2)))
        );
        assert_eq!(reader.latest_epoch(), Some(LeaderEpoch(4)));
    }
    bench.log.assign_epoch(LeaderEpoch(7));
    // It is written with its first batch.
    let next = batch(&["x"]);
    bench
        .log
        .append_as_leader(&next, LeaderEpoch(7), NOW)
        .unwrap();
    let text = bench.disk.read_file(&path("leader-epoch-checkpoint"), 100);
    assert_eq!(text.unwrap(), b"0\n3\n1 0\n4 2\n7 3\n");
}

#[test]
fn a_reign_is_in_the_checkpoint_before_a_run_of_its_batches_is_in_the_log() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 1);
    bench.kill_and_reopen();
    let reign = LeaderEpoch(EPOCH.0 + 1);
    bench.log.assign_epoch(reign);
    let batches = [batch(&["x"]), batch(&["y"])];
    let mut left: Vec<_> = batches.iter().map(|batch| (batch, reign)).collect();
    while !left.is_empty() {
        let done = bench.log.append_run_as_leader(&left, NOW);
        assert!(done.iter().all(Result::is_ok));
        left.drain(..done.len());
        let text = bench.disk.read_file(&path("leader-epoch-checkpoint"), 100);
        assert_eq!(text.unwrap(), b"0\n2\n3 0\n4 1\n");
    }
}

#[test]
fn the_duplicate_window_survives_a_kill_over_rolled_segments() {
    let mut bench = Bench::new(small());
    for sequence in 0..30 {
        bench.append(&batch_of(7, sequence, &["x"]));
    }
    assert!(bench.log.segments() > 1);
    bench.kill_and_reopen();
    let again = bench.append(&batch_of(7, 29, &["x"]));
    assert!(again.duplicate);
    assert_eq!(again.first_offset, Offset(29));
    assert!(!bench.append(&batch_of(7, 30, &["x"])).duplicate);
}

#[test]
fn all_five_batches_of_a_producer_are_known_after_a_restart() {
    for clean in [true, false] {
        let mut bench = Bench::new(small());
        for sequence in 0..8 {
            bench.append(&batch_of(7, sequence, &["x"]));
        }
        bench.log.roll(NOW).unwrap();
        match clean {
            true => bench.close_and_reopen(),
            false => bench.kill_and_reopen(),
        };
        for sequence in 3..8 {
            let again = bench.append(&batch_of(7, sequence, &["x"]));
            assert!(again.duplicate);
            assert_eq!(again.first_offset.0, i64::from(sequence));
        }
        let forgotten = batch_of(7, 2, &["x"]);
        assert!(bench.log.append_as_leader(&forgotten, EPOCH, NOW).is_err());
    }
}

#[test]
fn a_log_found_by_its_files_alone_knows_its_producers() {
    let mut bench = Bench::new(small());
    for sequence in 0..30 {
        bench.append(&batch_of(7, sequence, &["x"]));
    }
    let before = bench.log.producers().clone();
    for name in bench.names() {
        if name.ends_with(".snapshot") {
            remove(&bench, &name);
        }
    }
    bench.kill_and_reopen();
    assert_eq!(bench.log.producers(), &before);
}
