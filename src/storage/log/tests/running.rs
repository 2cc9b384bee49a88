use proptest::prelude::*;

use super::*;
use crate::storage::disk::{Call, FaultyDisk};

/// A batch that may or may not be welcome.
fn any_batch() -> impl Strategy<Value = ValidBatch> {
    let value = (0..150usize).prop_map(|size| "x".repeat(size));
    let values = proptest::collection::vec(value, 1..4);
    (values, 0..5i64, 0..12i32).prop_map(|(values, producer, sequence)| {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match producer {
            0..3 => batch_at(&values, 1000 + i64::from(sequence)),
            _ => batch_of(producer, sequence, &values),
        }
    })
}

/// What an append came to, in words.
fn told(result: Result<Appended, AppendError>) -> String {
    result.map_or_else(
        |error| error.to_string(),
        |appended| format!("{appended:?}"),
    )
}

fn append_in_runs(log: &mut Log, batches: &[ValidBatch]) -> Vec<Result<Appended, AppendError>> {
    let mut results = Vec::new();
    while results.len() < batches.len() {
        let left: Vec<_> = batches[results.len()..].iter().collect();
        let left: Vec<_> = left.into_iter().map(|batch| (batch, EPOCH)).collect();
        let done = log.append_run_as_leader(&left, NOW);
        assert!(!done.is_empty());
        results.extend(done);
    }
    results
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn batches_appended_together_are_appended_as_one_after_the_other(
        turns in proptest::collection::vec(proptest::collection::vec(any_batch(), 1..9), 1..8),
    ) {
        let (mut alone, mut together) = (Bench::new(small()), Bench::new(small()));
        for batches in turns {
            let one_by_one = batches
                .iter()
                .map(|batch| alone.log.append_as_leader(batch, EPOCH, NOW));
            let one_by_one: Vec<String> = one_by_one.map(told).collect();
            let in_runs = append_in_runs(&mut together.log, &batches);
            let in_runs: Vec<String> = in_runs.into_iter().map(told).collect();
            prop_assert_eq!(in_runs, one_by_one);
        }
        prop_assert_eq!(together.read_all(700), alone.read_all(700));
        prop_assert_eq!(together.names(), alone.names());
        together.kill_and_reopen();
        prop_assert_eq!(together.read_all(700), alone.read_all(700));
    }
}

fn on_a_faulty_disk() -> (FaultyDisk, Log) {
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let config = Arc::new(LogConfig::default());
    let log = Log::open(shared, directory(), config, &RecoveryInput::unknown(), NOW);
    let mut log = log.unwrap().0;
    log.append_as_leader(&batch(&["first"]), EPOCH, NOW)
        .unwrap();
    (disk, log)
}

#[test]
fn a_run_is_one_write() {
    let (disk, mut log) = on_a_faulty_disk();
    disk.fail_after(Call::Write, 1);
    let batches: Vec<_> = (0..10).map(|n| batch(&[&format!("{n}")])).collect();
    let results = append_in_runs(&mut log, &batches);
    assert!(results.iter().all(Result::is_ok));
    assert!(log.append_as_leader(&batches[0], EPOCH, NOW).is_err());
}

#[test]
fn without_space_for_all_of_a_run_those_are_stored_for_which_there_is() {
    let batches: Vec<_> = (0..10).map(|n| batch(&[&format!("{n}")])).collect();
    let size = batches[0].bytes.len() as u64;
    for space in 0..10 * size {
        let (disk, mut log) = on_a_faulty_disk();
        disk.limit_space(Some(space));
        let results = append_in_runs(&mut log, &batches);
        let stored = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(stored as u64, space / size);
        assert_eq!(log.log_end_offset().0, 1 + stored as i64);
        assert!(!log.is_poisoned());
        disk.limit_space(None);
        log.append_as_leader(&batch(&["last"]), EPOCH, NOW).unwrap();
    }
}

#[test]
fn after_a_failed_write_nothing_of_a_run_is_stored() {
    let (disk, mut log) = on_a_faulty_disk();
    disk.fail_after(Call::Write, 0);
    let batches: Vec<_> = (0..5).map(|n| batch(&[&format!("{n}")])).collect();
    let results = append_in_runs(&mut log, &batches);
    assert!(results.iter().all(Result::is_err));
    assert!(log.is_poisoned());
    assert_eq!(log.log_end_offset(), Offset(1));
}
