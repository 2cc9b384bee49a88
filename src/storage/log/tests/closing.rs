//! Opening a log as it was closed, and when that is not to be believed.

use proptest::prelude::*;

use super::*;
use crate::model::Uuid;
use crate::storage::disk::{OpenMode, SystemDisk};

impl Bench {
    fn input(&self) -> RecoveryInput {
        RecoveryInput {
            recovery_point: self.log.recovery_point(),
            log_start_offset: self.log.log_start_offset(),
            clean_shutdown: true,
            ..RecoveryInput::unknown()
        }
    }

    /// Closes the log and opens it as it was closed.
    fn close_and_reopen_as_closed(&mut self) -> ClosedLog {
        self.log.close().unwrap();
        let closed = self.log.closed().unwrap().unwrap();
        self.log = self.reopened(&closed).expect("nobody touched it");
        closed
    }

    fn reopened(&self, closed: &ClosedLog) -> Option<Log> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let config = Arc::clone(&self.config);
        Log::reopen(disk, directory(), config, &self.input(), closed, NOW).unwrap()
    }
}

/// A closed log in a directory of the system, and what it was closed as.
struct OnDisk {
    _temporary: tempfile::TempDir,
    directory: PathBuf,
    closed: ClosedLog,
}

impl OnDisk {
    fn new() -> OnDisk {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().join("topic-0");
        let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
        let input = RecoveryInput::unknown();
        let config = Arc::new(small());
        let (mut log, _) = Log::open(disk, directory.clone(), config, &input, NOW).unwrap();
        for number in 0..30 {
            let value = format!("value {number}");
            log.append_as_leader(&batch(&[&value]), EPOCH, NOW).unwrap();
        }
        log.close().unwrap();
        let closed = log.closed().unwrap().unwrap();
        OnDisk {
            _temporary: temporary,
            directory,
            closed,
        }
    }

    fn reopen(&self, clean_shutdown: bool, topic_id: Option<TopicId>) -> Option<Log> {
        let input = RecoveryInput {
            clean_shutdown,
            topic_id,
            ..RecoveryInput::unknown()
        };
        let (disk, config) = (Arc::new(SystemDisk), Arc::new(small()));
        let directory = self.directory.clone();
        Log::reopen(disk, directory, config, &input, &self.closed, NOW).unwrap()
    }

    fn is_believed(&self) -> bool {
        self.reopen(true, None).is_some()
    }
}

#[test]
fn a_closed_log_goes_on_as_if_it_had_been_looked_into() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 50);
    bench.append(&batch_of(7, 0, &["value 50", "value 51"]));
    bench.close_and_reopen_as_closed();
    assert_eq!(bench.log.log_end_offset(), Offset(52));
    assert_eq!(bench.log.recovery_point(), Offset(52));
    assert_eq!(bench.log.open_files(), 0);
    assert_eq!(bench.read_all(400), numbered(0..52));
    let again = bench.append(&batch_of(7, 0, &["value 50", "value 51"]));
    assert!(again.duplicate);
    assert_eq!(again.first_offset, Offset(50));
    fill(&mut bench, 80);
    assert_eq!(bench.read_all(400), numbered(0..80));
    let report = bench.kill_and_reopen();
    assert_eq!((report.bytes_cut, report.set_aside.len()), (0, 0));
    assert_eq!(bench.read_all(400), numbered(0..80));
}

#[test]
fn a_log_nobody_touched_closes_without_the_disk_and_says_the_same_again() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 20);
    assert!(!bench.log.closes_at_once());
    let closed = bench.close_and_reopen_as_closed();
    assert_eq!(bench.read_all(400), numbered(0..20));
    assert!(bench.log.closes_at_once());
    assert!(bench.log.flush_job().is_none());
    assert_eq!(bench.close_and_reopen_as_closed(), closed);
    fill(&mut bench, 21);
    assert!(!bench.log.closes_at_once());
    assert_ne!(bench.close_and_reopen_as_closed(), closed);
    assert_eq!(bench.read_all(400), numbered(0..21));
}

#[test]
fn a_new_epoch_and_a_moved_start_are_changes() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 20);
    bench.close_and_reopen_as_closed();
    bench.log.advance_log_start_offset(Offset(5));
    bench.close_and_reopen_as_closed();
    assert_eq!(bench.log.log_start_offset(), Offset(5));
    let next = LeaderEpoch(EPOCH.0 + 1);
    bench.log.assign_epoch(next);
    assert!(bench.log.closes_at_once(), "nothing was written in it");
    bench.close_and_reopen_as_closed();
    bench.log.assign_epoch(next);
    let appended = batch(&["value 20"]);
    bench.log.append_as_leader(&appended, next, NOW).unwrap();
    bench.kill_and_reopen();
    let reader = bench.log.reader();
    let (epoch, end) = reader.end_offset_for_epoch(EPOCH).unwrap();
    assert_eq!((epoch, end), (EPOCH, Offset(20)));
}

#[test]
fn any_change_of_names_or_lengths_is_a_reason_to_look_into_the_log() {
    type Change = fn(&Path);
    let changes: [Change; 6] = [
        |_| {},
        |dir| {
            std::fs::remove_file(dir.join("00000000000000000000.index")).unwrap();
            tick(dir);
        },
        |dir| {
            std::fs::write(dir.join("00000000000000000099.log"), "").unwrap();
            tick(dir);
        },
        |dir| {
            let log = dir.join("00000000000000000000.log");
            let log = std::fs::OpenOptions::new().append(true).open(log);
            std::io::Write::write_all(&mut log.unwrap(), b"x").unwrap();
        },
        |dir| tick(&dir.join("00000000000000000000.log")),
        |dir| std::fs::remove_dir_all(dir).unwrap(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let log = OnDisk::new();
        change(&log.directory);
        assert_eq!(log.is_believed(), number == 0, "change {number}");
    }
}

/// Two changes within one tick of the file system's clock leave the same time: this is the next.
fn tick(path: &Path) {
    let file = std::fs::File::open(path).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let later = modified + std::time::Duration::from_millis(10);
    file.set_modified(later).unwrap();
}

#[test]
fn it_is_not_believed_after_a_crash_or_for_another_topic() {
    let log = OnDisk::new();
    assert!(log.reopen(false, None).is_none());
    assert!(log.reopen(true, Some(Uuid([9; 16]))).is_none());
    assert!(log.is_believed());
}

#[test]
fn without_the_snapshot_of_its_producers_it_is_not_believed() {
    let mut bench = Bench::new(small());
    bench.append(&batch_of(7, 0, &["value 0"]));
    let closed = bench.close_and_reopen_as_closed();
    let snapshot = path("00000000000000000001.snapshot");
    bench.disk.flip_bit(&snapshot, 5, 1).unwrap();
    assert!(bench.reopened(&closed).is_none());
    bench.disk.remove_file(&snapshot).unwrap();
    assert!(bench.reopened(&closed).is_none());
}

#[test]
fn what_is_left_to_be_settled_is_looked_into_at_the_next_start() {
    let mut bench = Bench::new(small());
    fill(&mut bench, 20);
    let left = path("00000000000000000000.log.deleted");
    bench.disk.open(&left, OpenMode::Create).unwrap();
    bench.log.close().unwrap();
    assert_eq!(bench.log.closed().unwrap(), None);
}

#[test]
fn snapshots_of_earlier_ends_do_not_pile_up() {
    let mut bench = Bench::new(LogConfig::default());
    for end in 1..5 {
        fill(&mut bench, end);
        bench.close_and_reopen_as_closed();
    }
    let names = bench.names();
    let snapshots = names.iter().filter(|name| name.ends_with(".snapshot"));
    assert_eq!(
        snapshots.collect::<Vec<_>>(),
        ["00000000000000000004.snapshot"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever was written, both ways of opening give a log that goes on in the same way.
    #[test]
    fn both_ways_of_opening_give_the_same_log(
        lives in prop::collection::vec((0i64..30, 0i32..3), 1..5),
    ) {
        let (mut fast, mut slow) = (Bench::new(small()), Bench::new(small()));
        let mut end = 0;
        for (records, producers) in lives {
            end += records;
            for bench in [&mut fast, &mut slow] {
                fill(bench, end);
                for sequence in 0..producers {
                    let value = format!("value {}", bench.log.log_end_offset());
                    bench.append(&batch_of(end, sequence, &[&value]));
                }
            }
            end += i64::from(producers);
            if end == 0 {
                continue;
            }
            let closed = fast.close_and_reopen_as_closed();
            slow.close_and_reopen();
            slow.log.close().unwrap();
            prop_assert_eq!(Some(described_again(&fast)), slow.log.closed().unwrap().map(without_maxima));
            prop_assert_eq!(without_maxima(closed), described_again(&fast));
            prop_assert_eq!(fast.log.producers(), slow.log.producers());
            slow.close_and_reopen();
        }
        if end == 0 {
            return Ok(());
        }
        prop_assert_eq!(fast.read_all(300), slow.read_all(300));
        prop_assert_eq!(fast.read_all(300), numbered(0..end));
        prop_assert_eq!(fast.names(), slow.names());
    }
}

fn described_again(bench: &Bench) -> ClosedLog {
    without_maxima(bench.log.closed().unwrap().unwrap())
}

/// A log that was looked into asks for the largest timestamps of its older segments when it needs
/// them.
fn without_maxima(mut closed: ClosedLog) -> ClosedLog {
    closed.forget_maxima();
    closed
}
