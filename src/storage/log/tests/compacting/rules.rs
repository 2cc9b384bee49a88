//! Which records stay, and in which form.

use super::*;
use crate::storage::disk::MemoryDisk;

const DAY: i64 = 86_400_000;

fn compacting() -> LogConfig {
    LogConfig {
        segment_bytes: 400,
        index_interval_bytes: 100,
        compacts: true,
        deletes: false,
        ..LogConfig::default()
    }
}

fn table(config: LogConfig) -> Table {
    Table::new(Arc::new(MemoryDisk::new()), config)
}

fn kept(table: &Table) -> Vec<(i64, String, Option<String>)> {
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).unwrap();
    let all = table.read_all().into_iter();
    all.map(|seen| {
        let key = seen.key.as_ref().map_or_else(String::new, text);
        (seen.offset, key, seen.value.as_ref().map(text))
    })
    .collect()
}

fn offsets(table: &Table) -> Vec<i64> {
    table.read_all().iter().map(|seen| seen.offset).collect()
}

/// The headers of batches that have records.
fn full(table: &Table) -> Vec<BatchHeader> {
    let all = table.headers().into_iter();
    all.filter(|header| header.records_count > 0).collect()
}

/// Closes the segment, so that all before it can be cleaned.
fn close_segment(table: &mut Table, now: i64) {
    table.log.roll(Timestamp(now)).unwrap();
}

#[test]
fn of_each_key_the_latest_record_stays_with_its_offset() {
    let mut table = table(compacting());
    for round in 0..10 {
        for key in ["a", "b", "c"] {
            let value = format!("{key}{round}");
            table.append(&pairs(&[(key, Some(&value))], 1000), 1000);
        }
    }
    let before = table.table();
    close_segment(&mut table, 1000);
    let segments = table.log.segments();
    let round = table.clean(2000).unwrap().unwrap();
    assert_eq!(offsets(&table), [27, 28, 29]);
    assert_eq!(table.table(), before);
    assert_eq!(round.until, Offset(30));
    assert_eq!(
        (round.stats.records_read, round.stats.records_kept),
        (30, 3)
    );
    assert_eq!(round.stats.map_keys, 3);
    assert_eq!(table.cleanable(2000).cleanable_bytes, 0);
    assert!(table.clean(2000).unwrap().is_none());
    // What is left of them goes together the next time.
    assert_eq!(table.log.segments(), segments);
    table.append(&pairs(&[("d", Some("1"))], 1000), 1000);
    close_segment(&mut table, 1000);
    table.clean(2000).unwrap().unwrap();
    assert!(table.log.segments() < segments - 2);
    assert_eq!(offsets(&table), [27, 28, 29, 30]);
}

#[test]
fn batches_of_which_all_records_stay_are_the_same_bytes() {
    let mut table = table(compacting());
    for codec in Codec::ALL {
        let builder = BatchBuilder::new().codec(codec);
        let first = of_pairs(
            builder.clone(),
            &[(codec.name(), Some("1")), ("x", Some("2"))],
            5,
        );
        let second = of_pairs(builder, &[(codec.name(), Some("3")), ("x", Some("4"))], 6);
        table.append(&first, 1000);
        table.append(&second, 1000);
    }
    close_segment(&mut table, 1000);
    let before = table.ranges(Offset(0), 1 << 20);
    table.clean(2000).unwrap().unwrap();
    let after = table.ranges(Offset(0), 1 << 20);
    let whole = |ranges: Vec<(Offset, Vec<u8>)>| ranges.into_iter().flat_map(|(_, b)| b);
    let last = |bytes: Vec<u8>| {
        let all = batches(&bytes).map(Result::unwrap);
        all.map(|(_, bytes)| bytes.to_vec()).last().unwrap()
    };
    assert_eq!(last(whole(before).collect()), last(whole(after).collect()));
    // The others lost one record, and nothing else.
    assert_eq!(offsets(&table), [2, 6, 10, 14, 18, 19]);
    let codecs: Vec<_> = full(&table).iter().map(|h| h.codec()).collect();
    assert_eq!(codecs, Codec::ALL.map(Ok));
    for header in full(&table) {
        assert_eq!((header.last_offset_delta, header.base_offset.0 % 4), (1, 2));
    }
}

#[test]
fn a_tombstone_is_seen_for_its_time_and_then_gone() {
    let mut table = table(compacting());
    table.append(&pairs(&[("a", Some("1")), ("b", Some("1"))], 1000), 1000);
    table.append(&pairs(&[("a", None), ("c", Some("1"))], 1000), 1000);
    close_segment(&mut table, 1000);
    table.clean(5 * DAY).unwrap().unwrap();
    assert_eq!(offsets(&table), [1, 2, 3]);
    let horizon = table.headers()[1];
    assert!(horizon.attributes.has_delete_horizon());
    assert_eq!(horizon.base_timestamp, Timestamp(6 * DAY));
    assert!(table.read_all().iter().all(|seen| seen.timestamp == 1000));
    // One round later it is there, and no later round moves its time.
    table.append(&pairs(&[("d", Some("1"))], 1000), 1000);
    close_segment(&mut table, 1000);
    table.clean(6 * DAY - 1).unwrap().unwrap();
    assert_eq!(offsets(&table), [1, 2, 3, 4]);
    table.append(&pairs(&[("d", Some("2"))], 1000), 1000);
    close_segment(&mut table, 1000);
    table.clean(6 * DAY).unwrap().unwrap();
    assert_eq!(offsets(&table), [1, 3, 5]);
}

#[test]
fn a_newer_value_takes_a_tombstone_away_at_once() {
    let mut table = table(compacting());
    table.append(&pairs(&[("a", None)], 1000), 1000);
    table.append(&pairs(&[("a", Some("2"))], 1000), 1000);
    close_segment(&mut table, 1000);
    table.clean(1000).unwrap().unwrap();
    assert_eq!(kept(&table), [(1, "a".to_owned(), Some("2".to_owned()))]);
}

#[test]
fn records_without_a_key_go_and_are_counted() {
    let mut table = table(compacting());
    let mut builder = BatchBuilder::new();
    builder.append(Timestamp(1), None, Some(b"lost"), &[]);
    builder.append(Timestamp(1), Some(b"a"), Some(b"kept"), &[]);
    table.append(&valid(builder), 1000);
    close_segment(&mut table, 1000);
    let round = table.clean(1000).unwrap().unwrap();
    assert_eq!(offsets(&table), [1]);
    assert_eq!(round.stats.records_without_key, 1);
}

#[test]
fn a_time_of_append_stays_that_of_all_records() {
    let mut table = table(compacting());
    for value in ["1", "2"] {
        let builder = BatchBuilder::new().log_append_time(Timestamp(777));
        table.append(
            &of_pairs(builder, &[("a", Some(value)), ("b", None)], 3),
            1000,
        );
    }
    close_segment(&mut table, 1000);
    table.clean(1000).unwrap().unwrap();
    let times: Vec<_> = table
        .read_all()
        .iter()
        .map(|s| (s.offset, s.timestamp))
        .collect();
    assert_eq!(times, [(2, 777), (3, 777)]);
}

#[test]
fn records_of_an_aborted_transaction_go_and_its_marker_follows_when_its_time_is_over() {
    let mut table = table(compacting());
    table.append(&pairs(&[("a", Some("1"))], 1000), 1000);
    table.append(
        &of_pairs(in_transaction(5, 0), &[("a", Some("2"))], 1000),
        1000,
    );
    table.append(&marker(5, false, 1000), 1000);
    // The producer goes on: what is above is not the last that is known of it.
    table.append(
        &of_pairs(in_transaction(5, 1), &[("b", Some("1"))], 1000),
        1000,
    );
    table.append(&marker(5, true, 1000), 1000);
    table.append(&pairs(&[("c", Some("1"))], 1000), 1000);
    close_segment(&mut table, 1000);
    let aborted = |table: &Table| {
        let reader = table.log.reader();
        let found = reader.aborted_transactions(Offset(0), Offset(100));
        found
            .unwrap()
            .iter()
            .map(|t| t.last_offset.0)
            .collect::<Vec<_>>()
    };
    let markers = |table: &Table| {
        let headers = table.headers().into_iter().filter(BatchHeader::is_control);
        headers
            .map(|h| (h.base_offset.0, h.records_count))
            .collect::<Vec<_>>()
    };
    let committed = table.read_committed(1 << 20);
    table.clean(DAY).unwrap().unwrap();
    // The value before the aborted one is the latest.
    assert_eq!(offsets(&table), [0, 3, 5]);
    assert_eq!(table.read_committed(1), committed);
    assert_eq!(
        (aborted(&table), markers(&table)),
        (vec![2], vec![(2, 1), (4, 1)])
    );
    // Nothing of the transaction is left: the marker gets its time, the index forgets it.
    table.checkpoint = None;
    table.clean(DAY).unwrap().unwrap();
    assert_eq!(
        (aborted(&table), markers(&table)),
        (vec![], vec![(2, 1), (4, 1)])
    );
    let header = table.headers()[1];
    assert_eq!(header.base_timestamp, Timestamp(2 * DAY));
    table.checkpoint = None;
    assert_eq!(table.clean(2 * DAY - 1).unwrap().unwrap().replaced, 0);
    table.checkpoint = None;
    table.clean(2 * DAY).unwrap().unwrap();
    assert_eq!(markers(&table), [(4, 1)]);
    assert_eq!(table.read_committed(1), committed);
}

#[test]
fn what_is_undecided_is_not_cleaned() {
    let mut table = table(compacting());
    for round in 0..5 {
        table.append(&pairs(&[("a", Some("x"))], 1000), 1000);
        let open = of_pairs(in_transaction(5, round), &[("t", Some("y"))], 1000);
        if round > 1 {
            table.append(&open, 1000);
        }
        close_segment(&mut table, 1000);
    }
    let cleanable = table.cleanable(1000);
    // The third segment has the beginning of the transaction.
    assert_eq!(cleanable.first_uncleanable_offset, Offset(2));
    table.clean(1000).unwrap().unwrap();
    assert_eq!(offsets(&table), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(table.cleanable(1000).first_dirty_offset, Offset(2));
}

#[test]
fn the_last_sequence_of_a_live_producer_stays_as_a_bare_header() {
    let mut table = table(compacting());
    let of = |producer, sequence, key| {
        let builder =
            BatchBuilder::new().producer(ProducerId(producer), ProducerEpoch(2), sequence);
        of_pairs(builder, &[(key, Some("v")), (key, Some("w"))], 1000)
    };
    table.append(&of(1, 0, "a"), 1000);
    table.append(&of(1, 2, "a"), 1000);
    table.append(&of(2, 0, "a"), 1000);
    table.append(&pairs(&[("a", Some("last")), ("z", Some("z"))], 1000), 1000);
    close_segment(&mut table, 1000);
    table.clean(1000).unwrap().unwrap();
    let found: Vec<_> = table
        .headers()
        .iter()
        .map(|h| (h.base_offset.0, h.records_count))
        .collect();
    assert_eq!(found, [(2, 0), (4, 0), (6, 2)]);
    for (path, _) in table
        .disk
        .list(&directory())
        .unwrap()
        .iter()
        .map(|e| (&e.name, 0))
    {
        if path.ends_with(".snapshot") {
            table.disk.remove_file(&directory().join(path)).unwrap();
        }
    }
    table.reopen(false, 1000);
    let known = |producer| {
        let entry = table.log.producers().get(ProducerId(producer)).unwrap();
        (
            entry.producer_epoch,
            entry.last_sequence(),
            entry.last_batch().unwrap().last_offset,
        )
    };
    assert_eq!(known(1), (ProducerEpoch(2), 3, Offset(3)));
    assert_eq!(known(2), (ProducerEpoch(2), 1, Offset(5)));
    // Once the producers are forgotten their headers go, too.
    table.log.expire_producers(Timestamp(1000 + DAY));
    table.checkpoint = None;
    table.clean(1000 + DAY).unwrap().unwrap();
    assert_eq!(table.headers().len(), 1);
}

#[test]
fn a_map_that_is_full_ends_the_round_at_a_batch_and_later_rounds_go_on_there() {
    let mut table = table(LogConfig {
        segment_bytes: 2000,
        ..compacting()
    });
    for round in 0..3 {
        for key in 0..100 {
            let (key, value) = (format!("key {key}"), format!("value {round}"));
            table.append(
                &pairs(&[(&key, Some(&value)), (&key, Some("same"))], 1000),
                1000,
            );
        }
    }
    close_segment(&mut table, 1000);
    let before = table.table();
    table.map = OffsetMap::new(24 * 40, 0.9, [0; 16]);
    let mut rounds = 0;
    let mut last = Offset(0);
    while let Some(round) = table.clean(1000).unwrap() {
        assert_eq!(table.table(), before);
        assert!(round.until > last && round.until.0 % 2 == 0, "{round:?}");
        assert!(round.stats.map_keys <= 36);
        last = round.until;
        rounds += 1;
    }
    assert!(rounds >= 8, "{rounds}");
    assert_eq!(last, Offset(600));
    assert_eq!(
        offsets(&table),
        (0..100).map(|n| 401 + 2 * n).collect::<Vec<_>>()
    );
}

#[test]
fn a_map_too_small_for_one_batch_says_so() {
    let mut table = table(compacting());
    table.append(
        &pairs(&[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))], 1),
        1000,
    );
    close_segment(&mut table, 1000);
    table.map = OffsetMap::new(24 * 3, 0.9, [0; 16]);
    let error = table.clean(1000).unwrap_err();
    assert!(matches!(
        error,
        CleaningError::MapTooSmall {
            offset: Offset(0),
            keys_max: 2
        }
    ));
}

#[test]
fn damage_is_named_by_file_and_position_and_nothing_is_replaced() {
    let mut table = table(compacting());
    for _ in 0..20 {
        table.append(&pairs(&[("a", Some("some value"))], 1000), 1000);
    }
    close_segment(&mut table, 1000);
    let names: Vec<_> = table.disk.list(&directory()).unwrap();
    let path = directory().join(
        &names
            .iter()
            .filter(|n| n.name.ends_with(".log"))
            .nth(1)
            .unwrap()
            .name,
    );
    let file = table
        .disk
        .open(&path, crate::storage::disk::OpenMode::Write)
        .unwrap();
    let size = table.headers()[0].size() as u64;
    let mut byte = [0];
    file.read_exact_at(&mut byte, size * 2 + 70).unwrap();
    file.write_at(&[std::io::IoSlice::new(&[byte[0] ^ 1])], size * 2 + 70)
        .unwrap();
    let segments = table.log.segments();
    match table.clean(1000).unwrap_err() {
        CleaningError::Damaged {
            path: found,
            position,
            offset,
            ..
        } => {
            assert_eq!((found, position), (path, size * 2));
            assert_eq!(offset, Offset(7));
        }
        other => panic!("{other}"),
    }
    assert_eq!(table.log.segments(), segments);
    assert!(
        table
            .disk
            .list(&directory())
            .unwrap()
            .iter()
            .all(|n| !n.name.ends_with(".cleaned"))
    );
    assert_eq!(table.checkpoint, None);
}

#[test]
fn what_may_be_cleaned_depends_on_ages() {
    let mut table = table(LogConfig {
        min_compaction_lag_ms: 1000,
        max_compaction_lag_ms: 50_000,
        ..compacting()
    });
    for time in [10_000, 20_000, 30_000] {
        table.append(&pairs(&[("a", Some("1"))], time), time);
        close_segment(&mut table, time);
    }
    table.append(&pairs(&[("a", Some("2"))], 40_000), 40_000);
    let first = |table: &Table, now| table.cleanable(now).first_uncleanable_offset.0;
    assert_eq!(first(&table, 10_500), 0);
    assert_eq!(first(&table, 11_000), 1);
    assert_eq!(first(&table, 30_999), 2);
    assert_eq!(first(&table, 31_000), 3);
    let cleanable = table.cleanable(60_000);
    assert_eq!((cleanable.clean_bytes, cleanable.dirty_ratio()), (0, 1.0));
    assert_eq!(cleanable.overdue_ms, None);
    assert!(cleanable.is_due(0.5) && !cleanable.is_due(1.0));
    let cleanable = table.cleanable(60_007);
    assert_eq!(cleanable.overdue_ms, Some(7));
    assert!(cleanable.is_due(1.0));
    // The active segment, too, is closed when its first record is that old.
    table.clean(60_007).unwrap().unwrap();
    assert!(!table.cleanable(90_000).is_due(0.0));
    assert!(table.cleanable(90_001).is_due(1.0));
    table.clean(90_001).unwrap().unwrap();
    assert_eq!(offsets(&table), [3]);
    assert!(!table.cleanable(200_000).is_due(0.0));
}

#[test]
fn a_checkpoint_beside_the_log_is_of_no_use() {
    let mut table = table(LogConfig {
        deletes: true,
        retention_ms: Some(100),
        ..compacting()
    });
    for time in [1000, 1000, 2000, 2000] {
        table.append(&pairs(&[("a", Some("1"))], time), time);
        close_segment(&mut table, time);
    }
    table.checkpoint = Some(Offset(9));
    let cleanable = table.cleanable(2000);
    assert!(cleanable.checkpoint_reset);
    assert_eq!(cleanable.first_dirty_offset, Offset(0));
    table.checkpoint = Some(Offset(1));
    table
        .log
        .delete_retained(Timestamp(2001), Offset(4))
        .unwrap();
    let cleanable = table.cleanable(2001);
    assert!(cleanable.checkpoint_reset);
    assert_eq!(cleanable.first_dirty_offset, Offset(2));
    table.clean(2001).unwrap().unwrap();
    assert_eq!(offsets(&table), [3]);
    assert_eq!(table.log.log_start_offset(), Offset(2));
}

#[test]
fn a_cleaning_stops_when_its_pace_says_so_and_leaves_nothing_behind() {
    struct Stops(u32);
    impl Pace for Stops {
        fn moved(&mut self, _: u64) -> Result<(), CleaningStopped> {
            self.0 = self.0.checked_sub(1).ok_or(CleaningStopped)?;
            Ok(())
        }
    }
    let mut table = table(compacting());
    for _ in 0..20 {
        table.append(&pairs(&[("a", Some("some value"))], 1000), 1000);
    }
    close_segment(&mut table, 1000);
    for steps in 0..100 {
        let cleanable = table.cleanable(1000);
        let cleaning = table.log.begin_cleaning(&cleanable, Timestamp(1000));
        let mut cleaning = cleaning.unwrap().unwrap();
        let mut pace = Stops(steps);
        let mut run = || {
            cleaning.fill(&mut table.map, &mut pace)?;
            cleaning
                .next_replacement(&table.map, &mut pace)
                .map(|found| found.is_some())
        };
        let result = run();
        let names = table.disk.list(&directory()).unwrap();
        assert!(names.iter().all(|name| !name.name.ends_with(".cleaned")));
        match result {
            Ok(found) => return assert!(found && steps > 5),
            Err(error) => assert!(matches!(error, CleaningError::Stopped)),
        }
    }
    panic!("it never came to an end");
}

#[test]
fn a_cleaning_may_be_moved_to_another_thread() {
    fn moves<T: Send>() {}
    moves::<Cleaning>();
    moves::<Replacement>();
    moves::<OffsetMap>();
}
