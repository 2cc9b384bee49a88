use super::*;

#[test]
fn files_are_made_at_the_first_append() {
    let topic_id = TopicId::from_random([7; 16]);
    let mut bench = Bench::new(small());
    let input = RecoveryInput {
        topic_id: Some(topic_id),
        ..RecoveryInput::unknown()
    };
    bench.reopen(&input);
    bench.log.assign_epoch(LeaderEpoch(2));
    assert!(!bench.disk.exists(&directory()).unwrap());
    assert_eq!(bench.log.open_files(), 0);

    bench.write(&["first"]);
    assert_eq!(
        bench.names(),
        [
            "00000000000000000000.index",
            "00000000000000000000.log",
            "00000000000000000000.timeindex",
            "leader-epoch-checkpoint",
            "partition.metadata",
        ]
    );
    let text = bench
        .disk
        .read_file(&path("leader-epoch-checkpoint"), 100)
        .unwrap();
    assert_eq!(
        text, b"0\n1\n3 0\n",
        "a reign without records leaves no trace"
    );
    let text = bench.disk.read_file(&path("partition.metadata"), 100);
    assert!(
        String::from_utf8(text.unwrap())
            .unwrap()
            .contains(&topic_id.to_string())
    );
}

#[test]
fn offsets_and_epoch_are_written_in_front_of_the_bytes_as_they_came() {
    let mut bench = Bench::new(small());
    bench.write(&["a", "b"]);
    let sent = batch(&["c"]);
    let appended = bench.append(&sent);
    assert_eq!(
        (appended.first_offset, appended.last_offset),
        (Offset(2), Offset(2))
    );
    let plan = bench
        .log
        .reader()
        .plan(Offset(2), 1000, Offset(3), true)
        .unwrap();
    let stored = bytes_of(&plan);
    let header = BatchHeader::parse(&stored).unwrap();
    assert_eq!(header.base_offset, Offset(2));
    assert_eq!(header.partition_leader_epoch, EPOCH);
    assert_eq!(stored[16..], sent.bytes[16..]);
}

#[test]
fn an_idle_log_holds_no_open_file_and_goes_on_afterwards() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 5);
    assert!(bench.log.open_files() > 0);
    bench.log.close_idle().unwrap();
    assert_eq!(bench.log.open_files(), 0);
    fill(&mut bench, 10);
    assert_eq!(bench.read_all(1000), numbered(0..10));
}

#[test]
fn a_batch_that_comes_again_is_answered_with_its_first_offset() {
    let mut bench = Bench::new(small());
    bench.append(&batch_of(7, 0, &["a", "b"]));
    bench.append(&batch_of(7, 2, &["c"]));
    let again = bench.append(&batch_of(7, 0, &["a", "b"]));
    assert!(again.duplicate);
    assert_eq!(again.first_offset, Offset(0));
    assert_eq!(bench.log.log_end_offset(), Offset(3));
    let gap = bench
        .log
        .append_as_leader(&batch_of(7, 5, &["x"]), EPOCH, NOW);
    assert!(matches!(gap, Err(AppendError::Sequence(_))));
}

#[test]
fn a_segment_is_rolled_before_it_grows_too_large() {
    let mut bench = Bench::new(small());
    let rolled = (0..30)
        .filter(|n| bench.write(&[&format!("value {n}")]).rolled)
        .count();
    assert_eq!(rolled + 1, bench.log.segments());
    for entry in bench.disk.list(&directory()).unwrap() {
        assert!(entry.length <= 1000, "{entry:?}");
    }
    assert!(bench.names().iter().any(|name| name.ends_with(".snapshot")));
    assert_eq!(bench.read_all(300), numbered(0..30));
}

#[test]
fn a_batch_no_segment_can_hold_is_refused() {
    let mut bench = Bench::new(small());
    let large = "x".repeat(1000);
    let refused = bench.log.append_as_leader(&batch(&[&large]), EPOCH, NOW);
    assert!(matches!(
        refused,
        Err(AppendError::LargerThanSegment { .. })
    ));
    assert_eq!(bench.log.log_end_offset(), Offset(0));
}

#[test]
fn a_segment_is_rolled_when_a_batch_is_much_later_than_its_first() {
    let mut bench = Bench::new(LogConfig {
        segment_ms: 100,
        ..LogConfig::default()
    });
    bench.append(&batch_at(&["a"], 1000));
    assert!(!bench.append(&batch_at(&["b"], 1100)).rolled);
    assert!(bench.append(&batch_at(&["c"], 1101)).rolled);
    bench.close_and_reopen();
    assert!(!bench.append(&batch_at(&["d"], 1200)).rolled);
    assert!(bench.append(&batch_at(&["e"], 1202)).rolled);
}

#[test]
fn jitter_lets_segments_roll_earlier_but_never_later() {
    let roll_after = |random| {
        let config = Arc::new(LogConfig {
            segment_ms: 1000,
            segment_jitter_ms: 500,
            ..LogConfig::default()
        });
        let input = RecoveryInput {
            random,
            ..RecoveryInput::unknown()
        };
        let (mut log, _) = open(&MemoryDisk::new(), &config, &input);
        let mut append = |at| {
            log.append_as_leader(&batch_at(&["x"], at), EPOCH, NOW)
                .unwrap()
        };
        append(0);
        (0..=1001).find(|at| append(*at).rolled).unwrap()
    };
    let found: Vec<i64> = (0..8).map(roll_after).collect();
    assert!(
        found.iter().all(|at| (500..=1001).contains(at)),
        "{found:?}"
    );
    assert!(found.iter().any(|at| *at != found[0]), "{found:?}");
}

#[test]
fn a_full_index_rolls_the_segment() {
    let mut bench = Bench::new(LogConfig {
        index_interval_bytes: 0,
        index_bytes_max: 80,
        ..LogConfig::default()
    });
    for n in 0..100 {
        bench.append(&batch_at(&["x"], n));
    }
    assert!(bench.log.segments() > 10);
    bench.log.close().unwrap();
    for entry in bench.disk.list(&directory()).unwrap() {
        if entry.name.ends_with("index") {
            assert!(entry.length <= 80, "{entry:?}");
        }
    }
}

#[test]
fn indexes_have_kafkas_bytes() {
    let mut bench = Bench::new(LogConfig {
        index_interval_bytes: 150,
        ..LogConfig::default()
    });
    // Each batch has 69 bytes: an entry is due when more than 150 bytes lie before it.
    for timestamp in [10, 30, 20, 40, 50, 45, 44] {
        bench.append(&batch_at(&["x"], timestamp));
    }
    bench.log.close().unwrap();
    let index = bench
        .disk
        .read_file(&path("00000000000000000000.index"), 100);
    let expected: Vec<u8> = [3_i32, 3 * 69, 6, 6 * 69]
        .into_iter()
        .flat_map(i32::to_be_bytes)
        .collect();
    assert_eq!(index.unwrap(), expected);
    let times = bench
        .disk
        .read_file(&path("00000000000000000000.timeindex"), 100);
    let entry = |timestamp: i64, offset: i32| {
        let mut bytes = timestamp.to_be_bytes().to_vec();
        bytes.extend_from_slice(&offset.to_be_bytes());
        bytes
    };
    assert_eq!(times.unwrap(), [entry(40, 3), entry(50, 4)].concat());
}

#[test]
fn a_flush_serves_everything_that_was_appended_before_it() {
    let mut bench = Bench::new(LogConfig {
        flush_messages: 3,
        ..LogConfig::default()
    });
    bench.write(&["a"]);
    bench.write(&["b"]);
    assert!(!bench.log.flush_is_due(NOW));
    bench.write(&["c"]);
    assert!(bench.log.flush_is_due(NOW));
    let job = bench.log.flush_job().unwrap();
    let done = job.run().unwrap();
    bench.write(&["d"]);
    assert_eq!(done.upto, Offset(3));
    bench.log.flushed(&done);
    assert_eq!(bench.log.recovery_point(), Offset(3));
    assert_eq!(bench.log.unflushed_messages(), 1);

    bench.disk.lose_power(&mut |_, _| 0);
    let report = bench.kill_and_reopen();
    assert_eq!(report.bytes_cut, 0);
    assert_eq!(bench.log.log_end_offset(), Offset(3));
}

#[test]
fn a_flush_is_due_when_a_record_has_waited_long_enough() {
    let mut bench = Bench::new(LogConfig {
        flush_ms: 500,
        ..LogConfig::default()
    });
    bench.write(&["a"]);
    assert!(!bench.log.flush_is_due(Timestamp(NOW.0 + 499)));
    assert!(bench.log.flush_is_due(Timestamp(NOW.0 + 500)));
    bench.flush();
    assert!(!bench.log.flush_is_due(Timestamp(NOW.0 + 5000)));
}

#[test]
fn a_follower_keeps_the_leaders_offsets_and_epochs() {
    let mut bench = Bench::new(small());
    let sent = |base: i64, epoch: i32| {
        let mut builder = BatchBuilder::new()
            .base_offset(Offset(base))
            .leader_epoch(LeaderEpoch(epoch));
        builder.append(NOW, None, Some(b"x"), &[]);
        builder.build().unwrap()
    };
    let mut bytes = [sent(5, 1), sent(9, 2)].concat();
    bytes.extend_from_slice(&sent(10, 2)[..30]);
    let appended = bench.log.append_as_follower(&bytes, NOW).unwrap().unwrap();
    assert_eq!(
        (appended.first_offset, appended.last_offset),
        (Offset(5), Offset(9))
    );
    let reader = bench.log.reader();
    assert_eq!(
        reader.end_offset_for_epoch(LeaderEpoch(1)),
        Some((LeaderEpoch(1), Offset(9)))
    );
    let again = bench.log.append_as_follower(&bytes, NOW);
    assert!(matches!(again, Err(AppendError::OutOfOrder { .. })));
    bytes[100] ^= 1;
    let mut fresh = Bench::new(small());
    let damaged = fresh.log.append_as_follower(&bytes, NOW);
    assert!(matches!(damaged, Err(AppendError::Damaged(_))));
}

#[test]
fn a_log_cut_back_gives_its_offsets_again() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 50);
    bench.append(&batch_of(9, 0, &["value 50"]));
    let flush = bench.log.flush_job().unwrap();
    let deleted = bench.log.truncate_to(Offset(20), NOW).unwrap();
    assert!(!deleted.is_empty());
    assert_eq!(bench.log.log_end_offset(), Offset(20));
    assert!(bench.log.producers().get(ProducerId(9)).is_none());
    assert_eq!(bench.read_all(500), numbered(0..20));
    // A flush that began before says nothing about what was appended since.
    fill(&mut bench, 60);
    bench.log.flushed(&flush.run().unwrap());
    assert!(bench.log.recovery_point() <= Offset(20));
    assert_eq!(bench.read_all(500), numbered(0..60));
    bench.close_and_reopen();
    assert_eq!(bench.read_all(500), numbered(0..60));

    bench.log.truncate_fully(Offset(100)).unwrap();
    assert_eq!(bench.write(&["x"]).first_offset, Offset(100));
    assert_eq!(bench.read_all(500), [(100, "x".to_owned())]);
}

#[test]
fn a_log_on_the_systems_files_is_read_back_after_it_was_killed_and_closed() {
    use crate::storage::disk::SystemDisk;
    let directory = tempfile::tempdir().unwrap();
    let config = Arc::new(small());
    let open = |input: &RecoveryInput| {
        let path = directory.path().join("topic-0");
        let disk = Arc::new(SystemDisk);
        Log::open(disk, path, Arc::clone(&config), input, NOW)
            .unwrap()
            .0
    };
    let mut log = open(&RecoveryInput::unknown());
    for round in 0..3 {
        for _ in 0..20 {
            log.append_as_leader(&batch(&["x"]), EPOCH, NOW).unwrap();
        }
        let done = log.flush_job().unwrap().run().unwrap();
        log.flushed(&done);
        let clean_shutdown = round == 1;
        if clean_shutdown {
            log.close().unwrap();
        }
        log = open(&RecoveryInput {
            clean_shutdown,
            ..RecoveryInput::unknown()
        });
    }
    assert_eq!(log.log_end_offset(), Offset(60));
    let reader = log.reader();
    let mut from = Offset(0);
    while from < Offset(60) {
        let plan = reader.plan(from, 500, Offset(60), true).unwrap();
        assert_eq!(headers_of(&plan)[0].base_offset, from);
        from = plan.next_offset();
    }
}
