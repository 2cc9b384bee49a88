//! Scripts that failed once.

use super::script::Flaw::*;
use super::script::{End::*, Rules, Script, Step, Step::*};
use super::world::{Broken, World};
use crate::storage::disk::Call::*;
use crate::storage::disk::seeded::Fault;

/// Runs a script that failed once.
fn replay(disk: u64, rules: Rules, steps: &[Step]) {
    let mut world = World::new(disk, &rules, Broken::Nothing).unwrap();
    for step in steps {
        let r = world.step(step);
        println!("{step:?}");
        world.dump();
        r.unwrap();
    }
    let r = world.finish();
    world.dump();
    r.unwrap();
}

#[test]
fn seed83() {
    let rules = Rules {
        logs: 1,
        segment_bytes: 20000,
        segment_ms: 100000000,
        index_interval_bytes: 0,
        index_bytes_max: 60,
        retention_ms: Some(60000),
        retention_bytes: None,
    };
    replay(
        24254,
        rules,
        &[
            CrashAfter {
                calls: 12,
                end: PowerLoss,
            },
            Append {
                log: 0,
                producer: 0,
                records: 2,
                bytes: 40,
                codec: 3,
                flaw: NewEpoch,
            },
            Append {
                log: 0,
                producer: 0,
                records: 2,
                bytes: 0,
                codec: 7,
                flaw: Sound,
            },
            Append {
                log: 0,
                producer: 0,
                records: 1,
                bytes: 5,
                codec: 7,
                flaw: Sound,
            },
            Append {
                log: 0,
                producer: 0,
                records: 2,
                bytes: 40,
                codec: 4,
                flaw: Sound,
            },
            HighWatermark { log: 0, share: 50 },
            Append {
                log: 0,
                producer: 2,
                records: 3,
                bytes: 5,
                codec: 3,
                flaw: Sound,
            },
            Crash(Kill),
            BeginFlush { log: 0 },
            Roll { log: 0 },
            Append {
                log: 0,
                producer: 1,
                records: 1,
                bytes: 40,
                codec: 7,
                flaw: Sound,
            },
            Append {
                log: 0,
                producer: 1,
                records: 4,
                bytes: 150,
                codec: 5,
                flaw: Sound,
            },
            Roll { log: 0 },
            EndFlush { log: 0 },
            Checkpoint,
            HighWatermark { log: 0, share: 61 },
            Run {
                log: 0,
                producer: 1,
                batches: 6,
                bytes: 10,
            },
            CutBack { log: 0, share: 25 },
        ],
    );
}
#[test]
fn seed104() {
    let rules = Rules {
        logs: 2,
        segment_bytes: 20000,
        segment_ms: 2000,
        index_interval_bytes: 1000,
        index_bytes_max: 240,
        retention_ms: None,
        retention_bytes: Some(3000),
    };
    replay(
        24197,
        rules,
        &[
            Append {
                log: 1,
                producer: 0,
                records: 4,
                bytes: 5,
                codec: 5,
                flaw: Sound,
            },
            BeginFlush { log: 1 },
            Tidy { log: 0 },
            Append {
                log: 0,
                producer: 0,
                records: 2,
                bytes: 40,
                codec: 6,
                flaw: Sound,
            },
            Append {
                log: 1,
                producer: 0,
                records: 4,
                bytes: 40,
                codec: 0,
                flaw: NewEpoch,
            },
            Append {
                log: 1,
                producer: 2,
                records: 4,
                bytes: 40,
                codec: 4,
                flaw: Sound,
            },
            Append {
                log: 0,
                producer: 0,
                records: 1,
                bytes: 40,
                codec: 4,
                flaw: Sound,
            },
            Append {
                log: 1,
                producer: 1,
                records: 4,
                bytes: 0,
                codec: 2,
                flaw: Sound,
            },
            CrashAfter {
                calls: 1,
                end: Kill,
            },
            Append {
                log: 1,
                producer: 0,
                records: 3,
                bytes: 40,
                codec: 5,
                flaw: Sound,
            },
            ReadAt {
                log: 0,
                share: 13,
                bytes: 200,
            },
            EndFlush { log: 1 },
        ],
    );
}
#[test]
fn seed131() {
    let rules = Rules {
        logs: 1,
        segment_bytes: 600,
        segment_ms: 2000,
        index_interval_bytes: 0,
        index_bytes_max: 10000,
        retention_ms: Some(60000),
        retention_bytes: Some(3000),
    };
    replay(
        24174,
        rules,
        &[
            Append {
                log: 0,
                producer: 4,
                records: 1,
                bytes: 5,
                codec: 4,
                flaw: Again(5),
            },
            Run {
                log: 0,
                producer: 1,
                batches: 2,
                bytes: 60,
            },
            Run {
                log: 0,
                producer: 2,
                batches: 5,
                bytes: 200,
            },
            CleanStop { together: false },
            Append {
                log: 0,
                producer: 4,
                records: 2,
                bytes: 40,
                codec: 2,
                flaw: Sound,
            },
            CutBack { log: 0, share: 17 },
            LimitSpace { bytes: 0 },
            Append {
                log: 0,
                producer: 5,
                records: 2,
                bytes: 550,
                codec: 3,
                flaw: OldEpoch,
            },
            Append {
                log: 0,
                producer: 4,
                records: 3,
                bytes: 550,
                codec: 2,
                flaw: Sound,
            },
            Append {
                log: 0,
                producer: 2,
                records: 4,
                bytes: 550,
                codec: 0,
                flaw: Sound,
            },
        ],
    );
}
