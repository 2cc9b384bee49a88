use proptest::prelude::*;

use super::*;
use crate::storage::disk::{Call, FaultyDisk};

fn failing(config: LogConfig) -> (FaultyDisk, Log) {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let log = reopen(&disk, &config);
    (disk, log)
}

fn reopen(disk: &FaultyDisk, config: &LogConfig) -> Log {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let input = RecoveryInput::unknown();
    Log::open(disk, directory(), Arc::new(config.clone()), &input, NOW)
        .unwrap()
        .0
}

fn append(log: &mut Log, value: &str) -> Result<Appended, AppendError> {
    log.append_as_leader(&batch(&[value]), EPOCH, NOW)
}

fn values(log: &Log) -> Vec<String> {
    let reader = log.reader();
    let mut from = reader.log_start_offset();
    let mut found = Vec::new();
    while from < reader.log_end_offset() {
        let plan = reader.plan(from, 1000, Offset(i64::MAX), true).unwrap();
        found.extend(records_of(&plan).into_iter().map(|(_, value)| value));
        from = plan.next_offset();
    }
    found
}

fn out_of_space(result: &Result<Appended, AppendError>) -> bool {
    matches!(result, Err(AppendError::Storage(error)) if error.is_out_of_space())
}

#[test]
fn without_space_nothing_changes_and_with_space_again_the_log_goes_on() {
    for space in 0..200 {
        let (disk, mut log) = failing(small());
        append(&mut log, "a").unwrap();
        disk.limit_space(Some(space));
        let mut written = vec!["a"];
        while append(&mut log, "b").is_ok() {
            written.push("b");
        }
        assert!(out_of_space(&append(&mut log, "c")));
        assert!(!log.is_poisoned());
        assert_eq!(values(&log), written, "reads go on");
        disk.limit_space(None);
        append(&mut log, "d").unwrap();
        written.push("d");
        assert_eq!(values(&log), written);
        let reopened = reopen(&disk, &small());
        assert_eq!(values(&reopened), written);
    }
}

#[test]
fn a_log_opens_with_no_space_at_all() {
    let (disk, mut log) = failing(LogConfig::default());
    for value in ["a", "b", "c"] {
        append(&mut log, value).unwrap();
    }
    disk.limit_space(Some(0));
    let mut log = reopen(&disk, &LogConfig::default());
    assert_eq!(values(&log), ["a", "b", "c"]);
    assert!(out_of_space(&append(&mut log, "d")));
    disk.limit_space(None);
    append(&mut log, "d").unwrap();
}

#[test]
fn a_full_disk_neither_keeps_retention_from_deleting_nor_a_log_from_closing() {
    let config = LogConfig {
        retention_ms: Some(1),
        ..small()
    };
    let (disk, mut log) = failing(config.clone());
    while log.segments() < 3 {
        append(&mut log, "a").unwrap();
    }
    append(&mut log, "b").unwrap();
    disk.limit_space(Some(0));
    let end = log.log_end_offset();
    let deleted = log.delete_retained(NOW, end).unwrap();
    assert!(deleted.len() >= 2);
    log.close().unwrap();
    let input = RecoveryInput {
        clean_shutdown: true,
        ..RecoveryInput::unknown()
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut log, _) = Log::open(shared, directory(), Arc::new(config), &input, NOW).unwrap();
    assert_eq!(log.log_end_offset(), end);
    disk.limit_space(None);
    append(&mut log, "c").unwrap();
    assert_eq!(values(&log).last().unwrap(), "c");
}

#[test]
fn a_failed_write_takes_the_log_offline_but_reads_go_on() {
    let (disk, mut log) = failing(small());
    append(&mut log, "a").unwrap();
    disk.fail_after(Call::Write, 0);
    assert!(append(&mut log, "b").is_err());
    disk.repair();
    let refused = append(&mut log, "c");
    assert!(matches!(
        refused,
        Err(AppendError::Storage(StorageError::Poisoned { .. }))
    ));
    assert_eq!(values(&log), ["a"]);
    assert!(log.close().is_err(), "the next start has to recover");
}

#[test]
fn a_failed_flush_takes_the_log_offline_and_moves_no_recovery_point() {
    let (disk, mut log) = failing(small());
    append(&mut log, "a").unwrap();
    let job = log.flush_job().unwrap();
    disk.fail_after(Call::Sync, 0);
    assert!(job.run().is_err());
    log.flush_failed();
    disk.repair();
    assert!(append(&mut log, "b").is_err());
    assert_eq!(log.recovery_point(), Offset(0));
    assert_eq!(values(&log), ["a"]);
}

#[test]
fn space_that_cannot_be_given_back_takes_the_log_offline() {
    let (disk, mut log) = failing(small());
    append(&mut log, "a").unwrap();
    disk.limit_space(Some(30));
    disk.fail_after(Call::Truncate, 0);
    assert!(append(&mut log, "b").is_err());
    assert!(log.is_poisoned());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_call_fails_acknowledged_records_are_there_after_a_restart(
        kind in prop_oneof![
            Just(Call::Write), Just(Call::Sync), Just(Call::Truncate), Just(Call::Name),
            Just(Call::Read)
        ],
        calls in 0..40_u64,
        space in prop::option::of(0..3000_u64),
        segment_bytes in 200..1000_u64,
    ) {
        let config = LogConfig { segment_bytes, index_interval_bytes: 50, ..LogConfig::default() };
        let (disk, mut log) = failing(config.clone());
        disk.fail_after(kind, calls);
        disk.limit_space(space);
        let mut acknowledged = Vec::new();
        for n in 0..40 {
            let value = format!("value {n}");
            match append(&mut log, &value) {
                Ok(appended) => {
                    prop_assert_eq!(appended.first_offset.0, acknowledged.len() as i64);
                    acknowledged.push(value);
                }
                Err(_) if log.is_poisoned() => break,
                Err(_) => disk.limit_space(None),
            }
            if n % 7 == 0 && let Some(job) = log.flush_job() {
                match job.run() {
                    Ok(done) => log.flushed(&done),
                    Err(_) => log.flush_failed(),
                }
            }
        }
        disk.repair();
        prop_assert_eq!(values(&log), acknowledged.clone());
        let reopened = reopen(&disk, &config);
        let found = values(&reopened);
        // A batch whose answer was lost may be there; none that was answered is missing.
        prop_assert_eq!(&found[..acknowledged.len()], &acknowledged[..]);
        prop_assert!(found.len() <= acknowledged.len() + 1);
    }
}
