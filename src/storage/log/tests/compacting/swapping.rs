//! Putting compacted segments in place: beside readers, beside other changes, and through crashes.

use super::*;
use crate::storage::disk::seeded::SeededDisk;
use crate::storage::disk::{Call, FaultyDisk, MemoryDisk};

fn compacting() -> LogConfig {
    LogConfig {
        segment_bytes: 500,
        index_interval_bytes: 50,
        compacts: true,
        deletes: false,
        ..LogConfig::default()
    }
}

/// A log of a few small segments with values, tombstones and an aborted transaction.
fn filled(disk: Arc<dyn Disk>) -> Table {
    let mut table = Table::new(disk, compacting());
    for round in 0..6 {
        for key in ["a", "b", "c", "d"] {
            let value = format!("{key}{round}");
            let value = (round != 4 || key != "c").then_some(&value[..]);
            table.append(&pairs(&[(key, value), ("all", Some("x"))], 1000), 1000);
        }
        if round == 1 {
            table.append(
                &of_pairs(in_transaction(5, 0), &[("a", Some("no"))], 1000),
                1000,
            );
            table.append(&marker(5, false, 1000), 1000);
        }
    }
    table.log.roll(Timestamp(1000)).unwrap();
    table.append(&pairs(&[("active", Some("y"))], 1000), 1000);
    table.flush();
    table
}

fn begun(table: &mut Table, now: i64) -> Cleaning {
    let cleanable = table.cleanable(now);
    let cleaning = table.log.begin_cleaning(&cleanable, Timestamp(now));
    let mut cleaning = cleaning.unwrap().unwrap();
    cleaning.fill(&mut table.map, &mut Free::default()).unwrap();
    cleaning
}

fn first(table: &Table, cleaning: &mut Cleaning) -> Replacement {
    let new = cleaning.next_replacement(&table.map, &mut Free::default());
    new.unwrap().unwrap()
}

#[test]
fn a_reader_in_the_middle_of_an_old_segment_keeps_its_bytes() {
    let mut table = filled(Arc::new(MemoryDisk::new()));
    let reader = table.log.reader();
    let plan = reader.plan(Offset(2), 150, Offset(1000), true).unwrap();
    let mut before = bytes::BytesMut::new();
    plan.read(&mut before).unwrap();
    table.clean(2000).unwrap().unwrap();
    let mut after = bytes::BytesMut::new();
    plan.read(&mut after).unwrap();
    assert_eq!(before, after);
    // It goes on in the new one.
    let next = reader
        .plan(plan.next_offset(), 1, Offset(1000), true)
        .unwrap();
    assert!(next.next_offset() > plan.next_offset());
}

#[test]
fn a_segment_that_was_cut_deleted_or_replaced_meanwhile_is_not_replaced() {
    type Change = fn(&mut Table);
    let changes: [Change; 4] = [
        |table| drop(table.log.hold_cleaning()),
        |table| drop(table.log.truncate_to(Offset(12), Timestamp(1000)).unwrap()),
        |table| {
            table.log.advance_log_start_offset(Offset(30));
            table
                .log
                .delete_retained(Timestamp(1000), Offset(40))
                .unwrap();
        },
        |table| {
            table.clean(1000).unwrap().unwrap();
        },
    ];
    for change in changes {
        let mut table = filled(Arc::new(MemoryDisk::new()));
        let mut cleaning = begun(&mut table, 1000);
        let new = first(&table, &mut cleaning);
        change(&mut table);
        let before = table.read_all();
        assert_eq!(table.log.replace_segments(new).unwrap(), []);
        assert_eq!(table.read_all(), before);
        let names = table.disk.list(&directory()).unwrap();
        assert!(
            names
                .iter()
                .all(|n| !n.name.ends_with(".cleaned") && !n.name.ends_with(".swap"))
        );
        // The round cannot be noted as done.
        let next = cleaning.next_replacement(&table.map, &mut Free::default());
        assert!(matches!(next, Err(CleaningError::Changed)));
    }
}

#[test]
fn no_round_begins_while_one_of_those_who_hold_it_is_left() {
    let mut table = filled(Arc::new(MemoryDisk::new()));
    let before = table.read_all();
    let holds = [table.log.hold_cleaning(), table.log.hold_cleaning()];
    for hold in holds {
        assert!(table.clean(2000).unwrap().is_none());
        drop(hold);
    }
    assert_eq!(table.read_all(), before);
    assert!(table.clean(2000).unwrap().is_some());
    assert!(table.read_all().len() < before.len());
}

#[test]
fn a_log_that_changes_while_it_is_read_is_not_damaged() {
    let mut table = filled(Arc::new(MemoryDisk::new()));
    let mut cleaning = begun(&mut table, 1000);
    for deleted in table.log.truncate_to(Offset(3), Timestamp(1000)).unwrap() {
        deleted.unlink(&*table.disk).unwrap();
    }
    let next = cleaning.next_replacement(&table.map, &mut Free::default());
    assert!(matches!(next, Err(CleaningError::Changed)), "{next:?}");
}

#[test]
fn without_space_nothing_changes_and_the_next_round_does_it() {
    let inner: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let disk = FaultyDisk::new(inner);
    let mut table = filled(Arc::new(disk.clone()));
    let before = table.read_all();
    disk.limit_space(Some(10));
    let error = table.clean(2000).unwrap_err();
    assert!(matches!(
        error,
        CleaningError::Storage(StorageError::OutOfSpace { .. })
    ));
    assert_eq!(table.read_all(), before);
    disk.limit_space(None);
    table.append(&pairs(&[("z", Some("1"))], 1000), 1000);
    table.clean(2000).unwrap().unwrap();
    assert!(table.read_all().len() < before.len());
}

#[test]
fn a_device_that_fails_in_the_middle_of_a_swap_takes_the_log_offline_and_a_start_settles_it() {
    let memory: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    for calls in 0..40 {
        let disk = FaultyDisk::new(Arc::clone(&memory));
        let _ = memory.remove_dir_all(&directory());
        let mut table = filled(Arc::new(disk.clone()));
        let expected = table.table();
        let mut cleaning = begun(&mut table, 2000);
        let new = first(&table, &mut cleaning);
        disk.fail_after(Call::Name, calls);
        let replaced = table.log.replace_segments(new);
        disk.repair();
        assert_eq!(table.log.is_poisoned(), replaced.is_err());
        // Readers go on.
        assert_eq!(table.table(), expected, "after {calls} calls");
        let done = replaced.is_ok();
        table.reopen(false, 2000);
        assert_eq!(table.table(), expected, "after {calls} calls");
        if done {
            return assert!(calls > 10);
        }
    }
    panic!("a swap has no end");
}

/// Files of every name that is no part of a log at rest.
fn unsettled(disk: &dyn Disk) -> Vec<String> {
    let names = disk
        .list(&directory())
        .unwrap()
        .into_iter()
        .map(|entry| entry.name);
    let ends = [".cleaned", ".swap", ".deleted"];
    names
        .filter(|name| ends.iter().any(|end| name.ends_with(end)))
        .collect()
}

#[test]
fn a_crash_at_any_call_of_a_round_is_settled_by_the_next_start() {
    let mut ended = 0;
    for seed in 0..6 {
        for calls in 0.. {
            let disk = SeededDisk::new(seed * 1000 + calls);
            let mut table = filled(Arc::new(disk.clone()));
            let expected = table.table();
            let committed = table.read_committed(1 << 20);
            let producers = table.log.producers().clone();
            disk.end_after(calls);
            let finished = table.clean(2000).is_ok() && !disk.has_ended();
            match seed % 3 {
                0 => disk.end_process(),
                _ => disk.lose_power(),
            }
            // The start is cut off as well, now and then.
            if seed % 2 == 1 && !finished {
                disk.end_after(calls % 17);
                let config = Arc::clone(&table.config);
                let input = RecoveryInput {
                    recovery_point: table.log.recovery_point(),
                    ..RecoveryInput::unknown()
                };
                let disk: Arc<dyn Disk> = Arc::new(disk.clone());
                let _ = Log::open(disk, directory(), config, &input, Timestamp(2000));
            }
            if disk.has_ended() {
                disk.lose_power();
            }
            table.reopen(false, 2000);
            let at = format!("seed {seed}, {calls} calls");
            assert_eq!(unsettled(&disk), Vec::<String>::new(), "{at}");
            assert_eq!(table.table(), expected, "{at}");
            assert_eq!(table.log.producers(), &producers, "{at}");
            let latest = |records: &[Seen]| table_of(records);
            assert_eq!(
                latest(&table.read_committed(300)),
                latest(&committed),
                "{at}"
            );
            // Whatever there is now is cleaned as it would have been.
            table.checkpoint = None;
            table.clean(2000).unwrap();
            assert_eq!(table.table(), expected, "{at}");
            assert_eq!(
                latest(&table.read_committed(300)),
                latest(&committed),
                "{at}"
            );
            if finished {
                ended += 1;
                break;
            }
        }
    }
    assert_eq!(ended, 6);
}

#[test]
fn snapshots_of_segments_that_are_no_more_go_and_the_others_stay() {
    let mut table = filled(Arc::new(MemoryDisk::new()));
    let snapshots = |table: &Table| {
        let names = table.disk.list(&directory()).unwrap().into_iter();
        let names = names.filter_map(|e| e.name.strip_suffix(".snapshot").map(str::to_owned));
        names
            .map(|digits| digits.parse().unwrap())
            .collect::<Vec<i64>>()
    };
    assert!(snapshots(&table).len() > 4);
    table.clean(2000).unwrap().unwrap();
    let bases: Vec<i64> = {
        let view = table.log.shared.view();
        view.segments.iter().map(|s| s.base_offset.0).collect()
    };
    // The first segment never had one.
    assert_eq!(snapshots(&table), bases[1..]);
}

#[test]
fn indexes_of_a_compacted_segment_are_those_that_appending_would_have_made() {
    let mut table = filled(Arc::new(MemoryDisk::new()));
    table.clean(2000).unwrap().unwrap();
    let files = |table: &Table| {
        let names = table.disk.list(&directory()).unwrap().into_iter();
        let names = names.filter(|e| e.name.contains("index"));
        names
            .map(|e| {
                (
                    e.name.clone(),
                    table
                        .disk
                        .read_file(&directory().join(&e.name), 1 << 20)
                        .unwrap(),
                )
            })
            .collect::<Vec<_>>()
    };
    table.log.close().unwrap();
    let before = files(&table);
    assert!(
        before
            .iter()
            .any(|(name, bytes)| name.ends_with(".index") && bytes.len() >= 8)
    );
    for (name, _) in &before {
        table.disk.remove_file(&directory().join(name)).unwrap();
    }
    for entry in table.disk.list(&directory()).unwrap() {
        if entry.name.ends_with(".snapshot") {
            table
                .disk
                .remove_file(&directory().join(&entry.name))
                .unwrap();
        }
    }
    table.log = open_log(&table.disk, &table.config, &RecoveryInput::unknown(), 2000);
    table.log.close().unwrap();
    assert_eq!(files(&table), before);
}
