//! The quorum's own log on the same disk: what a method has answered survives everything, what was
//! under way happened whole or not at all, and it opens after whatever a crash left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::mirror::Fault;
use super::tests::number;
use crate::storage::StorageError;
use crate::storage::disk::seeded::{self, Random, SeededDisk};
use crate::storage::disk::{Call, Disk};
use crate::storage::quorum_log::QuorumLog;

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 200;

/// All that can be asked of the log.
#[derive(Debug, Clone, Default, PartialEq)]
struct Content {
    first: u64,
    entries: Vec<Vec<u8>>,
    vote: Option<Vec<u8>>,
    snapshot: Option<Vec<u8>>,
    /// What a snapshot has is committed: it is never taken back.
    committed: u64,
}

impl Content {
    fn next(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    fn of(log: &QuorumLog) -> Result<Content, StorageError> {
        Ok(Content {
            first: log.first_index(),
            entries: log.read(0, u64::MAX, usize::MAX)?,
            vote: log.read_vote()?,
            snapshot: log.read_snapshot()?,
            committed: 0,
        })
    }
}

struct Bench {
    disk: SeededDisk,
    log: QuorumLog,
    content: Content,
    /// What it may be instead, because nobody knows whether the last thing happened.
    instead: Option<Content>,
    random: Random,
}

/// Whether it is what it should be.
fn is(found: &Content, due: &Content) -> bool {
    let found = Content {
        committed: due.committed,
        ..found.clone()
    };
    found == *due
}

fn open(disk: &SeededDisk) -> Result<QuorumLog, StorageError> {
    let directory = PathBuf::from("/meta/quorum");
    QuorumLog::open(Arc::new(disk.clone()), directory, 300)
}

impl Bench {
    fn new(seed: u64) -> Result<Bench, StorageError> {
        let disk = SeededDisk::new(seed);
        disk.create_dir_all(Path::new("/meta"))?;
        disk.sync_dir(Path::new("/"))?;
        let log = open(&disk)?;
        Ok(Bench {
            disk,
            log,
            content: Content::default(),
            instead: None,
            random: Random::new(!seed),
        })
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = self.random.pick(&[0, 1, 30, 90]);
        (0..length).map(|_| self.random.next() as u8).collect()
    }

    /// Does one thing to the log; what it holds when that has happened, and whether it has.
    fn change(&mut self) -> (Content, Result<(), StorageError>) {
        let mut then = self.content.clone();
        let (first, next) = (then.first, then.next());
        let somewhere = first + self.random.below(next - first + 1);
        let done = match self.random.below(10) {
            0..6 => {
                let count = 1 + self.random.index(3);
                let entries: Vec<Vec<u8>> = (0..count).map(|_| self.bytes()).collect();
                then.entries.extend(entries.clone());
                self.log.append(next, &entries)
            }
            6 => {
                let from = somewhere.max(then.committed);
                then.entries.truncate((from - first) as usize);
                self.log.truncate_from(from)
            }
            7 => {
                then.vote = Some(self.bytes());
                self.log.save_vote(then.vote.as_deref().unwrap_or_default())
            }
            8 => {
                then.snapshot = Some(self.bytes());
                then.committed = next;
                let state = then.snapshot.as_deref().unwrap_or_default();
                self.log.save_snapshot(next, state)
            }
            _ => {
                let purged = somewhere.min(next.saturating_sub(1));
                if next > first {
                    then.entries.drain(..=(purged - first) as usize);
                    then.first = purged + 1;
                    self.log.purge_to(purged, b"stamp")
                } else {
                    Ok(())
                }
            }
        };
        (then, done)
    }

    fn step(&mut self) -> Result<(), Fault> {
        match self.random.below(40) {
            0 => return self.restart(),
            1 => self.disk.end_after(self.random.below(12)),
            2 => self.disk.fail(seeded::Fault {
                call: self
                    .random
                    .pick(&[Call::Write, Call::Sync, Call::Name, Call::Truncate]),
                suffix: self.random.pick(&["", ".log", "vote.tmp", "purged.tmp"]),
                after: self.random.below(4),
                lasting: self.random.percent(20),
            }),
            3 => self.disk.limit_space(Some(self.random.below(200))),
            4 => self.disk.repair(),
            _ => {}
        }
        let (then, done) = self.change();
        match done {
            Ok(()) if !self.disk.has_ended() => self.content = then,
            // It is as it was, and takes the next thing.
            Err(error) if error.is_passing() && !self.disk.has_ended() => {}
            Err(StorageError::Poisoned { .. }) => return self.restart(),
            _ => {
                self.instead = Some(then);
                return self.restart();
            }
        }
        self.look("it goes on")
    }

    /// A new life, by a kill or a loss of power, until it gets through its start.
    fn restart(&mut self) -> Result<(), Fault> {
        self.disk.repair();
        for _ in 0..20 {
            match self.disk.failed_to_flush() || self.random.percent(60) {
                true => self.disk.lose_power(),
                false => self.disk.end_process(),
            }
            if self.random.percent(25) {
                self.disk.end_after(self.random.below(10));
            }
            let opened = open(&self.disk);
            if self.disk.has_ended() {
                continue;
            }
            self.disk.end_after(u64::MAX);
            self.log = opened.map_err(|error| format!("it does not open: {error}"))?;
            return self.look("after a start");
        }
        Ok(())
    }

    fn look(&mut self, when: &str) -> Result<(), Fault> {
        let found = super::checks::quietly(&self.disk, || Content::of(&self.log));
        let found = found.map_err(|error| format!("{when}: {error}"))?;
        if let Some(instead) = self.instead.take()
            && is(&found, &instead)
        {
            self.content = instead;
        }
        match is(&found, &self.content) {
            true => Ok(()),
            false => Err(format!("{when}: {found:?}, not {:?}", self.content)),
        }
    }
}

fn run(seed: u64, lies: bool) -> Result<(), Fault> {
    let mut bench = Bench::new(seed).map_err(|error| error.to_string())?;
    bench.disk.lie(lies, false);
    for step in 0..60 {
        let done = bench.step();
        done.map_err(|fault| format!("step {step}: {fault}"))?;
    }
    bench.restart()
}

/// The newer one's name was found in memory after a kill; the older one was removed, and a loss of
/// power undid the name.
#[test]
fn a_snapshot_that_was_promised_is_not_removed_for_one_that_may_be_lost() {
    assert_eq!(run(1189, false), Ok(()));
}

#[test]
fn whatever_happens_the_quorum_keeps_what_it_promised() {
    let from = number("MILENA_SEED_FROM", 0);
    for seed in from..from + number("MILENA_SEEDS", SEEDS) {
        if let Err(fault) = run(seed, false) {
            panic!("seed {seed}: {fault}");
        }
    }
}

#[test]
fn a_disk_that_does_not_flush_is_noticed_by_the_quorum() {
    assert!((0..20).any(|seed| run(seed, true).is_err()));
}
