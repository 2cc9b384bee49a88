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
fn seed96() {
    let rules = Rules {
        logs: 1,
        segment_bytes: 1500,
        segment_ms: 100000000,
        index_interval_bytes: 100,
        index_bytes_max: 240,
        retention_ms: None,
        retention_bytes: Some(3000),
    };
    replay(
        24205,
        rules,
        &[
            Append {
                log: 0,
                producer: 5,
                records: 3,
                bytes: 150,
                codec: 2,
                flaw: Sound,
            },
            Roll { log: 0 },
            Append {
                log: 0,
                producer: 0,
                records: 1,
                bytes: 550,
                codec: 1,
                flaw: Sound,
            },
            Roll { log: 0 },
            Append {
                log: 0,
                producer: 4,
                records: 2,
                bytes: 5,
                codec: 6,
                flaw: Sound,
            },
            HighWatermark { log: 0, share: 100 },
            EndTransaction {
                log: 0,
                producer: 4,
                commit: false,
                bumps: false,
            },
            BeginFlush { log: 0 },
            Fail(Fault {
                call: Sync,
                suffix: "",
                after: 2,
                lasting: true,
            }),
            EndFlush { log: 0 },
            DeleteRecords { log: 0, share: 79 },
        ],
    );
}
