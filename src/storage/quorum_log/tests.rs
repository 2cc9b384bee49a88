use std::path::Path;

use proptest::prelude::*;

use super::crashing_disk::CrashingDisk;
use super::*;
use crate::storage::disk::MemoryDisk;

const DIRECTORY: &str = "/meta/quorum";
const SEGMENT_BYTES: u64 = 200;

fn open(disk: &MemoryDisk) -> Result<QuorumLog, StorageError> {
    open_on(Arc::new(disk.clone()))
}

fn open_on(disk: Arc<dyn Disk>) -> Result<QuorumLog, StorageError> {
    QuorumLog::open(disk, PathBuf::from(DIRECTORY), SEGMENT_BYTES)
}

fn entries(from: u64, count: u64) -> Vec<Vec<u8>> {
    (from..from + count)
        .map(|index| format!("entry {index} {}", "x".repeat(index as usize % 37)).into_bytes())
        .collect()
}

fn all(log: &QuorumLog) -> Vec<Vec<u8>> {
    log.read(0, u64::MAX, usize::MAX).unwrap()
}

fn log_files(disk: &MemoryDisk) -> Vec<(PathBuf, usize)> {
    let listed = disk.list(Path::new(DIRECTORY)).unwrap();
    let logs = listed.into_iter().filter(|e| e.name.ends_with(".log"));
    logs.map(|e| (Path::new(DIRECTORY).join(e.name), e.length as usize))
        .collect()
}

#[test]
fn what_was_appended_is_read_again_over_files_and_restarts() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    assert_eq!((log.first_index(), log.next_index()), (0, 0));
    log.append(0, &entries(0, 1)).unwrap();
    log.append(1, &entries(1, 5)).unwrap();
    for index in 6..20 {
        log.append(index, &entries(index, 1)).unwrap();
    }
    assert!(log_files(&disk).len() > 2);
    disk.lose_power(&mut |_, _| 0);
    let log = open(&disk).unwrap();
    assert_eq!(all(&log), entries(0, 20));
    assert_eq!(log.read(3, 9, usize::MAX).unwrap(), entries(3, 6));
    assert_eq!(log.read(3, 9, 1).unwrap(), entries(3, 1));
    assert_eq!(log.read(18, 99, usize::MAX).unwrap(), entries(18, 2));
    assert_eq!(log.next_index(), 20);
}

#[test]
fn an_entry_out_of_turn_is_refused() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    log.append(0, &entries(0, 2)).unwrap();
    for wrong in [0, 1, 3] {
        assert!(log.append(wrong, &entries(wrong, 1)).is_err());
    }
    log.append(2, &entries(2, 1)).unwrap();
    assert_eq!(all(&log), entries(0, 3));
}

#[test]
fn entries_that_were_taken_back_stay_away() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    log.append(0, &entries(0, 4)).unwrap();
    for index in 4..12 {
        log.append(index, &entries(index, 1)).unwrap();
    }
    log.truncate_from(2).unwrap();
    assert_eq!(log.next_index(), 2);
    log.append(2, &[b"other".to_vec()]).unwrap();
    let expected = [entries(0, 2), vec![b"other".to_vec()]].concat();
    assert_eq!(all(&log), expected);
    let mut log = open(&disk).unwrap();
    assert_eq!(all(&log), expected);
    log.truncate_from(0).unwrap();
    assert_eq!(open(&disk).unwrap().next_index(), 0);
}

#[test]
fn a_purge_removes_whole_files_and_is_remembered() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    for index in 0..30 {
        log.append(index, &entries(index, 1)).unwrap();
    }
    let before = log_files(&disk).len();
    log.purge_to(17, b"term 3").unwrap();
    assert!(log_files(&disk).len() < before);
    let log = open(&disk).unwrap();
    assert_eq!(log.purged_stamp(), Some(b"term 3".as_slice()));
    assert_eq!((log.first_index(), log.next_index()), (18, 30));
    assert_eq!(all(&log), entries(18, 12));
}

#[test]
fn a_purge_beyond_the_end_moves_the_log_there() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    log.append(0, &entries(0, 3)).unwrap();
    log.purge_to(99, b"").unwrap();
    assert_eq!(log.next_index(), 100);
    log.append(100, &entries(100, 2)).unwrap();
    let log = open(&disk).unwrap();
    assert_eq!(all(&log), entries(100, 2));
}

#[test]
fn the_newest_vote_and_snapshot_are_kept() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    assert_eq!(log.read_vote().unwrap(), None);
    assert_eq!(log.read_snapshot().unwrap(), None);
    for (index, state) in [(5, b"five"), (9, b"nine")] {
        log.save_vote(state).unwrap();
        log.save_snapshot(index, state).unwrap();
    }
    disk.lose_power(&mut |_, _| 0);
    let log = open(&disk).unwrap();
    assert_eq!(log.read_vote().unwrap(), Some(b"nine".to_vec()));
    assert_eq!(log.read_snapshot().unwrap(), Some(b"nine".to_vec()));
    let listed = disk.list(Path::new(DIRECTORY)).unwrap();
    let snapshots = listed.iter().filter(|e| e.name.ends_with(".snapshot"));
    assert_eq!(snapshots.count(), 1);
}

#[test]
fn a_bit_lost_before_the_last_entry_stops_the_start_and_is_named() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    log.append(0, &entries(0, 2)).unwrap();
    log.append(2, &entries(2, 1)).unwrap();
    let (path, length) = log_files(&disk)[0].clone();
    log.append(3, &entries(3, 1)).unwrap();
    for position in 0..length {
        disk.flip_bit(&path, position, 3).unwrap();
        let refused = open(&disk).expect_err("an acknowledged entry is damaged");
        let sentence = refused.to_string();
        assert!(sentence.contains("00000000000000000000.log"), "{sentence}");
        assert!(sentence.contains("at position "), "{sentence}");
        disk.flip_bit(&path, position, 3).unwrap();
    }
    assert_eq!(all(&open(&disk).unwrap()), entries(0, 4));
}

#[test]
fn a_missing_file_stops_the_start() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    for index in 0..30 {
        log.append(index, &entries(index, 1)).unwrap();
    }
    let files = log_files(&disk);
    for (path, _) in [&files[0], &files[1]] {
        disk.rename(path, Path::new("/meta/aside")).unwrap();
        assert!(matches!(open(&disk), Err(StorageError::Corrupt { .. })));
        disk.rename(Path::new("/meta/aside"), path).unwrap();
    }
    assert_eq!(all(&open(&disk).unwrap()), entries(0, 30));
}

#[test]
fn a_damaged_vote_or_snapshot_stops_the_start_rather_than_being_forgotten() {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).unwrap();
    log.save_vote(b"vote").unwrap();
    log.save_snapshot(3, b"state").unwrap();
    for name in ["vote", "00000000000000000003.snapshot"] {
        disk.flip_bit(&Path::new(DIRECTORY).join(name), 30, 0)
            .unwrap();
    }
    let log = open(&disk).unwrap();
    assert!(matches!(log.read_vote(), Err(StorageError::Corrupt { .. })));
    assert!(matches!(
        log.read_snapshot(),
        Err(StorageError::Corrupt { .. })
    ));
}

#[test]
fn a_failed_flush_poisons_the_log_for_good() {
    let disk = Arc::new(CrashingDisk::new(MemoryDisk::new()));
    let mut log = open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
    log.append(0, &entries(0, 1)).unwrap();
    disk.fail_after(0);
    assert!(log.append(1, &entries(1, 1)).is_err());
    disk.fail_after(usize::MAX);
    let refused = log.append(1, &entries(1, 1));
    assert!(matches!(refused, Err(StorageError::Poisoned { .. })));
    assert!(matches!(
        log.save_vote(b""),
        Err(StorageError::Poisoned { .. })
    ));
}

/// What the log is asked in the crash test.
#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Truncate(u64),
    Purge(u64),
    Vote(u8),
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..4u64).prop_map(Step::Append),
        1 => (0..4u64).prop_map(Step::Truncate),
        1 => (0..6u64).prop_map(Step::Purge),
        2 => any::<u8>().prop_map(Step::Vote),
        1 => Just(Step::Snapshot),
    ]
}

/// What was promised.
#[derive(Debug, Clone, PartialEq, Default)]
struct Promised {
    first: u64,
    entries: Vec<Vec<u8>>,
    vote: Option<Vec<u8>>,
    snapshot: Option<Vec<u8>>,
}

impl Promised {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// What is promised once `step` has succeeded.
    fn after(&self, step: &Step, salt: u64) -> Promised {
        let mut after = self.clone();
        match step {
            Step::Append(count) => after.entries.extend(entries(salt, *count)),
            Step::Truncate(back) => {
                let kept = self.entries.len().saturating_sub(*back as usize);
                after.entries.truncate(kept);
            }
            Step::Purge(ahead) => {
                let gone = (*ahead as usize).min(self.entries.len());
                after.entries.drain(..gone);
                after.first += gone as u64;
            }
            Step::Vote(vote) => after.vote = Some(vec![*vote]),
            Step::Snapshot => after.snapshot = Some(salt.to_be_bytes().to_vec()),
        }
        after
    }

    fn ask(&self, log: &mut QuorumLog, step: &Step, salt: u64) -> Result<(), StorageError> {
        let after = self.after(step, salt);
        match step {
            Step::Append(count) => log.append(self.next(), &entries(salt, *count)),
            Step::Truncate(_) => log.truncate_from(after.next()),
            Step::Purge(_) if after.first == self.first => Ok(()),
            Step::Purge(_) => log.purge_to(after.first - 1, b"stamp"),
            Step::Vote(vote) => log.save_vote(&[*vote]),
            Step::Snapshot => log.save_snapshot(salt, &salt.to_be_bytes()),
        }
    }

    fn of(log: &QuorumLog) -> Promised {
        Promised {
            first: log.first_index(),
            entries: all(log),
            vote: log.read_vote().unwrap(),
            snapshot: log.read_snapshot().unwrap(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_was_acknowledged_survives_a_crash_at_any_byte(
        lives in prop::collection::vec(
            (prop::collection::vec(step(), 1..20), 0..3000usize, any::<u64>()), 1..4),
    ) {
        let memory = MemoryDisk::new();
        let mut promised = Promised::default();
        let mut salt = 0;
        for (steps, budget, luck) in lives {
            let disk = Arc::new(CrashingDisk::new(memory.clone()));
            let mut log = open_on(Arc::clone(&disk) as Arc<dyn Disk>).unwrap();
            prop_assert_eq!(Promised::of(&log), promised.clone());
            disk.fail_after(budget);
            let mut possible = vec![promised.clone()];
            for step in steps {
                salt += 10;
                let after = promised.after(&step, salt);
                if promised.ask(&mut log, &step, salt).is_err() {
                    possible = vec![promised.clone(), after];
                    break;
                }
                promised = after;
                possible = vec![promised.clone()];
            }
            let mut luck = luck;
            memory.lose_power(&mut |_, appended| {
                luck = luck.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (luck >> 33) as usize % (appended + 1)
            });
            let found = Promised::of(&open(&memory).unwrap());
            prop_assert!(possible.contains(&found), "{:?} is none of {:?}", found, possible);
            promised = found;
        }
    }
}

#[test]
fn a_disk_without_a_free_byte_still_takes_a_vote_and_an_entry() {
    let disk = crate::storage::disk::FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let open = || QuorumLog::open(Arc::new(disk.clone()), "/logs/quorum".into(), 1 << 20);
    drop(open().unwrap());
    disk.limit_space(Some(0));
    let mut log = open().unwrap();
    log.save_vote(b"for myself").unwrap();
    log.append(0, &[b"registered".to_vec()]).unwrap();
    drop(log);
    let log = open().unwrap();
    assert_eq!(log.read_vote().unwrap(), Some(b"for myself".to_vec()));
    assert_eq!(log.read(0, 1, 100).unwrap(), [b"registered".to_vec()]);
}
