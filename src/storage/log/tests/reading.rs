use super::*;
use crate::storage::disk::{Call, FaultyDisk};

fn plan(bench: &Bench, from: i64, bytes_max: usize, bound: i64, min_one: bool) -> ReadPlan {
    bench
        .log
        .reader()
        .plan(Offset(from), bytes_max, Offset(bound), min_one)
        .unwrap()
}

fn offsets(plan: &ReadPlan) -> Vec<i64> {
    headers_of(plan)
        .iter()
        .map(|header| header.base_offset.0)
        .collect()
}

/// The same log, with its newest batches known and forgotten.
fn warm_and_cold(check: impl Fn(&Bench)) {
    let mut bench = Bench::new(LogConfig {
        index_interval_bytes: 100,
        ..LogConfig::default()
    });
    for n in 0..20 {
        bench.write(&[&format!("{n} a"), &format!("{n} b")]);
    }
    check(&bench);
    bench.log.close_idle().unwrap();
    check(&bench);
}

#[test]
fn a_read_begins_with_the_batch_that_contains_its_offset() {
    warm_and_cold(|bench| {
        assert_eq!(offsets(&plan(bench, 0, 10, 40, true)), [0]);
        assert_eq!(offsets(&plan(bench, 1, 10, 40, true)), [0]);
        assert_eq!(offsets(&plan(bench, 21, 10, 40, true)), [20]);
        assert_eq!(offsets(&plan(bench, 39, 10, 40, true)), [38]);
    });
}

#[test]
fn a_read_ends_between_batches_within_its_limit() {
    warm_and_cold(|bench| {
        let size = plan(bench, 0, 1, 40, true).length();
        for n in 1..6 {
            let expected: Vec<i64> = (0..n).map(|n| 4 + 2 * n).collect();
            let limit = size * n as usize;
            assert_eq!(offsets(&plan(bench, 4, limit, 40, true)), expected);
            let found = plan(bench, 4, limit + size - 1, 40, true);
            assert_eq!(offsets(&found), expected);
            assert_eq!(found.next_offset(), Offset(4 + 2 * n));
        }
        assert!(plan(bench, 4, size - 1, 40, false).is_empty());
        assert_eq!(offsets(&plan(bench, 4, size - 1, 40, true)), [4]);
    });
}

#[test]
fn a_read_never_goes_beyond_its_bound() {
    warm_and_cold(|bench| {
        assert_eq!(offsets(&plan(bench, 0, 10_000, 6, true)), [0, 2, 4]);
        assert_eq!(offsets(&plan(bench, 0, 10_000, 7, true)), [0, 2, 4]);
        assert_eq!(offsets(&plan(bench, 2, 10_000, 4, true)), [2]);
        assert!(plan(bench, 6, 10_000, 6, true).is_empty());
        assert!(plan(bench, 6, 10_000, 7, true).is_empty());
        assert!(plan(bench, 8, 10_000, 6, true).is_empty());
        assert_eq!(offsets(&plan(bench, 0, 10_000, 999, true)).len(), 20);
    });
}

#[test]
fn offsets_outside_of_the_log_are_refused() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 5);
    bench.log.advance_log_start_offset(Offset(2));
    let reader = bench.log.reader();
    for offset in [-1, 1, 6] {
        let refused = reader.plan(Offset(offset), 100, Offset(5), true);
        assert!(
            matches!(refused, Err(ReadError::OffsetOutOfRange { .. })),
            "{offset}"
        );
    }
    assert!(plan(&bench, 5, 100, 5, true).is_empty());
    assert_eq!(bench.read_all(1000), numbered(2..5));
}

#[test]
fn a_read_at_an_offset_that_compaction_took_starts_at_the_next() {
    let mut bench = Bench::new(small());
    let sent = |base: i64| {
        let mut builder = BatchBuilder::new().base_offset(Offset(base));
        builder.append(NOW, None, Some(b"x"), &[]);
        builder.build().unwrap()
    };
    for base in [10, 20, 40] {
        bench.log.append_as_follower(&sent(base), NOW).unwrap();
    }
    bench.log.roll(NOW).unwrap();
    bench.log.append_as_follower(&sent(60), NOW).unwrap();
    // The segments begin at 10 and 41: nothing is left of 41 to 59.
    for (from, found) in [(10, 10), (11, 20), (39, 40), (41, 60), (50, 60), (60, 60)] {
        assert_eq!(offsets(&plan(&bench, from, 1, 61, true)), [found], "{from}");
    }
    bench.log.close_idle().unwrap();
    assert_eq!(offsets(&plan(&bench, 45, 1, 61, true)), [60]);
}

#[test]
fn a_reader_in_the_middle_of_a_deleted_segment_gets_its_bytes() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 40);
    let old = plan(&bench, 0, 500, 40, true);
    let expected = records_of(&old);
    bench.log.advance_log_start_offset(Offset(39));
    for deleted in bench.log.delete_retained(NOW, Offset(40)).unwrap() {
        deleted.unlink(&bench.disk).unwrap();
    }
    assert_eq!(records_of(&old), expected);
    assert!(
        !bench
            .names()
            .contains(&"00000000000000000000.log".to_owned())
    );
}

#[test]
fn an_index_that_points_at_no_batch_is_not_believed() {
    let mut bench = Bench::new(LogConfig {
        index_interval_bytes: 100,
        ..LogConfig::default()
    });
    fill(&mut bench, 50);
    bench.log.close_idle().unwrap();
    let index = path("00000000000000000000.index");
    let length = bench.disk.read_file(&index, 1000).unwrap().len();
    for entry in 0..length / 8 {
        bench.disk.flip_bit(&index, entry * 8 + 7, 2).unwrap();
    }
    for from in 0..50 {
        assert_eq!(offsets(&plan(&bench, from, 1, 50, true)), [from]);
        assert_eq!(offsets(&plan(&bench, from, 300, 50, true))[0], from);
    }
    assert_eq!(bench.read_all(300), numbered(0..50));
}

#[test]
fn the_tail_is_known_to_be_in_memory_and_old_segments_are_not() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 40);
    assert!(plan(&bench, 39, 100, 40, true).is_warm());
    assert!(!plan(&bench, 0, 100, 40, true).is_warm());
    bench.close_and_reopen();
    assert!(!plan(&bench, 39, 100, 40, true).is_warm());
}

#[test]
fn a_timestamp_finds_the_first_record_that_is_not_earlier() {
    let mut bench = Bench::new(LogConfig {
        segment_bytes: 400,
        index_interval_bytes: 100,
        ..LogConfig::default()
    });
    let mut all = Vec::new();
    for n in 0..40_i64 {
        // Every third batch is late.
        let timestamp = if n % 3 == 2 { n * 10 - 55 } else { n * 10 };
        bench.append(&batch_at(&["a", "b"], timestamp.max(0)));
        all.extend([(timestamp.max(0), 2 * n), (timestamp.max(0) + 1, 2 * n + 1)]);
    }
    for reopened in [false, true] {
        if reopened {
            bench.close_and_reopen();
        }
        let reader = bench.log.reader();
        for target in -1..400 {
            let expected = all.iter().find(|(timestamp, _)| *timestamp >= target);
            let found = reader.offset_for_timestamp(Timestamp(target)).unwrap();
            let found = found.map(|found| (found.timestamp.0, found.offset.0));
            assert_eq!(found.as_ref(), expected, "{target}");
        }
        let max = reader.max_timestamp().unwrap().unwrap();
        assert_eq!((max.timestamp, max.offset), (Timestamp(391), Offset(79)));
        assert_eq!(max.leader_epoch, EPOCH);
    }
}

#[test]
fn the_end_of_each_reign_is_known() {
    let mut bench = Bench::new(small());
    for epoch in [1, 1, 4] {
        bench
            .log
            .append_as_leader(&batch(&["x"]), LeaderEpoch(epoch), NOW)
            .unwrap();
    }
    let end = |epoch| bench.log.reader().end_offset_for_epoch(LeaderEpoch(epoch));
    assert_eq!(end(1), Some((LeaderEpoch(1), Offset(2))));
    assert_eq!(end(3), Some((LeaderEpoch(1), Offset(2))));
    assert_eq!(end(4), Some((LeaderEpoch(4), Offset(3))));
    assert_eq!(end(5), None);
}

#[test]
fn aborted_transactions_are_found_over_segments_and_restarts() {
    use crate::record::EndTransactionMarker;
    let mut bench = Bench::new(LogConfig {
        segment_bytes: 300,
        ..LogConfig::default()
    });
    let data = |sequence| {
        let mut builder = BatchBuilder::new()
            .producer(ProducerId(5), ProducerEpoch(0), sequence)
            .transactional();
        builder.append(NOW, None, Some(b"x"), &[]);
        ValidBatch::from_builder(builder.build().unwrap(), &mut Default::default()).unwrap()
    };
    let marker = |committed| {
        let marker = EndTransactionMarker {
            committed,
            coordinator_epoch: 1,
        };
        let bytes = marker.batch(ProducerId(5), ProducerEpoch(0), NOW).unwrap();
        ValidBatch::from_builder(bytes, &mut Default::default()).unwrap()
    };
    bench.append(&data(0));
    bench.append(&marker(true));
    bench.append(&data(1));
    fill(&mut bench, 12);
    assert_eq!(bench.log.first_unstable_offset(), Some(Offset(0)));
    bench.log.advance_high_watermark(Offset(12));
    assert_eq!(bench.log.first_unstable_offset(), Some(Offset(2)));
    bench.append(&marker(false));
    let expect = |bench: &Bench| {
        let reader = bench.log.reader();
        let found = reader.aborted_transactions(Offset(0), Offset(13)).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].first_offset, found[0].last_offset),
            (Offset(2), Offset(12))
        );
    };
    expect(&bench);
    bench.close_and_reopen();
    expect(&bench);
    bench
        .disk
        .remove_file(&path("00000000000000000010.txnindex"))
        .ok();
    bench.reopen(&RecoveryInput::unknown());
    expect(&bench);
}

#[test]
fn a_wrong_guess_where_a_read_goes_on_changes_nothing() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 100);
    let reader = bench.log.reader();
    let plan = |from| reader.plan(Offset(from), 300, Offset(i64::MAX), true);
    let expected = records_of(&plan(3).unwrap());
    assert_eq!(expected[0].0, 3);
    for position in [0, 1, 77, 5_000] {
        reader
            .shared
            .view()
            .tail
            .note_sequel(Offset(0), Offset(3), position);
        assert_eq!(records_of(&plan(3).unwrap()), expected);
    }
}

#[test]
fn a_reader_that_goes_on_where_it_was_searches_no_index() {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let config = Arc::new(LogConfig {
        index_interval_bytes: 1 << 20,
        ..LogConfig::default()
    });
    let log = Log::open(shared, directory(), config, &RecoveryInput::unknown(), NOW);
    let mut log = log.unwrap().0;
    for _ in 0..1000 {
        log.append_as_leader(&batch(&[&"x".repeat(1000)]), EPOCH, NOW)
            .unwrap();
    }
    let reader = log.reader();
    let plan = |from| reader.plan(from, 1, Offset(i64::MAX), true);
    let first = plan(Offset(500)).unwrap();
    // Without an index the search above read hundreds of headers; now it is one.
    disk.fail_after(Call::Read, 1);
    let second = plan(first.next_offset()).unwrap();
    assert_eq!(second.next_offset(), Offset(502));
}
