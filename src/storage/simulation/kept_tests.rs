//! Scripts that failed once, each with what was wrong then.

use super::run;
use super::script::Flaw::Sound;
use super::script::{End::*, Rules, Script, Step, Step::*};
use super::world::Broken;
use crate::storage::disk::Call;
use crate::storage::disk::seeded::Fault;

const RULES: Rules = Rules {
    logs: 1,
    segment_bytes: 1_500,
    segment_ms: 100_000_000,
    index_interval_bytes: 100,
    index_bytes_max: 10_000,
    retention_ms: None,
    retention_bytes: None,
};

fn holds(disk: u64, rules: Rules, steps: &[Step]) {
    let steps = steps.to_vec();
    let script = Script { disk, rules, steps };
    if let Err((at, fault)) = run(&script, Broken::Nothing) {
        panic!("at step {at}: {fault}");
    }
}

fn append(log: usize, producer: i64, records: usize) -> Step {
    Append {
        log,
        producer,
        records,
        bytes: 40,
        codec: 7,
        flaw: Sound,
    }
}

fn end(producer: i64, commit: bool) -> Step {
    EndTransaction {
        log: 0,
        producer,
        commit,
        bumps: false,
    }
}

#[test]
fn a_close_flushes_what_a_flush_under_way_has_not() {
    for disk in 0..40 {
        let steps = [append(0, 2, 3), Roll { log: 0 }, BeginFlush { log: 0 }];
        holds(disk, RULES, &steps);
    }
}

#[test]
fn a_log_start_that_falls_back_brings_its_reign_back() {
    let moved = [
        HighWatermark { log: 0, share: 100 },
        DeleteRecords { log: 0, share: 50 },
    ];
    let steps = [
        &[append(0, 1, 3)],
        &moved[..],
        &[append(0, 0, 1), Crash(Kill)],
    ];
    holds(1, RULES, &steps.concat());
}

#[test]
fn an_aborted_transaction_is_told_when_its_index_had_no_space() {
    for bytes in 0..200 {
        let full = LimitSpace { bytes };
        let steps = [
            append(0, 5, 4),
            full,
            end(5, false),
            Repair,
            end(5, false),
            append(0, 5, 1),
        ];
        holds(bytes, RULES, &steps);
    }
}

#[test]
fn a_log_that_is_cut_back_forgets_the_transactions_it_aborted_behind() {
    let steps = [
        append(0, 4, 4),
        end(4, false),
        append(0, 1, 3),
        CutBack { log: 0, share: 94 },
    ];
    holds(1, RULES, &[&steps[..], &[append(0, 2, 2)]].concat());
}

#[test]
fn a_flush_behind_one_that_failed_promises_nothing() {
    for disk in 0..40 {
        let fault = Fail(Fault {
            call: Call::Sync,
            suffix: "",
            after: disk % 8,
            lasting: false,
        });
        let flush = [BeginFlush { log: 0 }, EndFlush { log: 0 }].repeat(2);
        let steps = [
            &[append(0, 0, 3), Roll { log: 0 }, fault, append(0, 1, 2)],
            &flush[..],
        ];
        holds(disk, RULES, &steps.concat());
    }
}

#[test]
fn a_log_whose_files_cannot_be_opened_is_not_closed_cleanly() {
    for disk in 0..60 {
        let fault = Fail(Fault {
            call: Call::Read,
            suffix: "index",
            after: disk % 6,
            lasting: false,
        });
        let steps = [
            append(0, 5, 3),
            Roll { log: 0 },
            append(0, 1, 2),
            Roll { log: 0 },
        ];
        let stop = CleanStop { together: false };
        holds(
            disk,
            RULES,
            &[&steps[..], &[append(0, 2, 1), fault, stop]].concat(),
        );
    }
}

#[test]
fn a_roll_for_which_there_is_no_space_leaves_no_index_behind_that_nobody_flushes() {
    for disk in 0..60 {
        let steps = [
            append(0, 1, 2),
            CleanStop { together: false },
            append(0, 1, 2),
            LimitSpace { bytes: disk % 4 },
            Roll { log: 0 },
            Crash(PowerLoss),
        ];
        holds(disk, RULES, &steps);
    }
}

#[test]
fn a_log_that_was_cut_below_its_recovery_point_is_looked_at_again() {
    for disk in 0..60 {
        let steps = [
            append(0, 5, 4),
            CleanStop { together: true },
            CrashAfter {
                calls: disk,
                end: PowerLoss,
            },
            CutBack { log: 0, share: 89 },
            append(0, 1, 2),
            append(0, 1, 2),
            Crash(PowerLoss),
        ];
        holds(disk, RULES, &steps);
    }
}
