//! What happens in one run: numbers only, so that it can be printed, pasted, and made shorter.
//!
//! Every step makes sense whatever came before it: places in a log are told as shares of it.

use crate::storage::disk::Call;
use crate::storage::disk::seeded::{Fault, Random};

/// One run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Script {
    /// What the disk's luck follows from.
    pub(super) disk: u64,
    pub(super) rules: Rules,
    pub(super) steps: Vec<Step>,
}

/// Settings of all logs of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rules {
    pub(super) logs: usize,
    pub(super) segment_bytes: u64,
    pub(super) segment_ms: i64,
    pub(super) index_interval_bytes: u64,
    pub(super) index_bytes_max: u32,
    pub(super) retention_ms: Option<i64>,
    pub(super) retention_bytes: Option<u64>,
}

/// What is not in order with a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Flaw {
    Sound,
    /// It was sent before, so many batches ago.
    Again(usize),
    /// A batch is missing in front of it.
    Gap,
    /// Its producer was fenced.
    OldEpoch,
    /// Its producer began anew.
    NewEpoch,
}

/// How a life ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum End {
    PowerLoss,
    Kill,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// A producer's batch: producer 0 is not idempotent, 4 and above write transactions.
    Append {
        log: usize,
        producer: i64,
        records: usize,
        bytes: usize,
        codec: usize,
        flaw: Flaw,
    },
    /// Several batches of one producer at once.
    Run {
        log: usize,
        producer: i64,
        batches: usize,
        bytes: usize,
    },
    /// A transaction ends; `bumps` writes the marker with the producer's next epoch.
    EndTransaction {
        log: usize,
        producer: i64,
        commit: bool,
        bumps: bool,
    },
    /// Batches as a leader sends them.
    Follow {
        log: usize,
        batches: usize,
        bytes: usize,
    },
    Roll {
        log: usize,
    },
    BeginFlush {
        log: usize,
    },
    EndFlush {
        log: usize,
    },
    CloseIdle {
        log: usize,
    },
    /// The log is cut back by this share of a hundred of what it has.
    CutBack {
        log: usize,
        share: i64,
    },
    /// The log is emptied and goes on so much further.
    TruncateFully {
        log: usize,
        ahead: i64,
    },
    DeleteRecords {
        log: usize,
        share: i64,
    },
    HighWatermark {
        log: usize,
        share: i64,
    },
    /// Retention's round.
    Tidy {
        log: usize,
    },
    /// Files of deleted segments go.
    Unlink {
        log: usize,
    },
    NextEpoch {
        log: usize,
    },
    Checkpoint,
    Wait {
        ms: i64,
    },
    ReadAt {
        log: usize,
        share: i64,
        bytes: usize,
    },
    /// A reader takes a plan, and reads later.
    Hold {
        log: usize,
        share: i64,
        bytes: usize,
    },
    /// State and answers are compared with those of a log made anew from the batches.
    Replay {
        log: usize,
    },
    CleanStop {
        together: bool,
    },
    Crash(End),
    /// The life ends in the middle of the call behind so many others.
    CrashAfter {
        calls: u64,
        end: End,
    },
    Fail(Fault),
    LimitSpace {
        bytes: u64,
    },
    Repair,
}

/// How often each kind of step comes, and what may come at all.
struct Mood {
    transactions: bool,
    truncations: bool,
    retention: bool,
    faults: bool,
    full: bool,
    crashes: u64,
    follows: bool,
}

/// The run that follows from a seed.
pub(super) fn script(seed: u64) -> Script {
    let mut random = Random::new(seed);
    let rules = rules(&mut random);
    let mood = Mood {
        transactions: random.percent(60),
        truncations: random.percent(35),
        retention: random.percent(50),
        faults: random.percent(35),
        full: random.percent(30),
        crashes: random.pick(&[1, 3, 8]),
        follows: random.percent(20),
    };
    let count = 20 + random.index(100);
    let steps = (0..count).map(|_| step(&mut random, &mood, rules.logs));
    Script {
        disk: seed ^ 0x5eed,
        rules,
        steps: steps.collect(),
    }
}

fn rules(random: &mut Random) -> Rules {
    Rules {
        logs: random.pick(&[1, 1, 2, 3]),
        segment_bytes: random.pick(&[600, 1_500, 4_000, 20_000]),
        segment_ms: random.pick(&[2_000, 100_000_000]),
        index_interval_bytes: random.pick(&[0, 100, 1_000]),
        index_bytes_max: random.pick(&[60, 240, 10_000]),
        retention_ms: random.pick(&[None, Some(5_000), Some(60_000)]),
        retention_bytes: random.pick(&[None, None, Some(3_000)]),
    }
}

fn step(random: &mut Random, mood: &Mood, logs: usize) -> Step {
    let log = random.index(logs);
    let share = i64::try_from(random.below(101)).unwrap_or(0);
    let bytes = random.pick(&[0, 10, 60, 200, 700]);
    match random.below(100) {
        0..30 => append(random, mood, log),
        30..36 => Step::Run {
            log,
            producer: random.pick(&[0, 1, 2]),
            batches: 2 + random.index(5),
            bytes,
        },
        36..44 if mood.transactions => Step::EndTransaction {
            log,
            producer: random.pick(&[4, 5]),
            commit: random.percent(50),
            bumps: random.percent(30),
        },
        44..48 if mood.follows => Step::Follow {
            log,
            batches: 1 + random.index(3),
            bytes,
        },
        48..52 => Step::Roll { log },
        52..58 => Step::BeginFlush { log },
        58..64 => Step::EndFlush { log },
        64..66 => Step::CloseIdle { log },
        66..68 if mood.truncations => Step::CutBack {
            log,
            share: random.pick(&[share, share / 10]),
        },
        68 if mood.truncations => Step::TruncateFully {
            log,
            ahead: random.pick(&[-20, 0, 7]),
        },
        69..71 if mood.retention => Step::DeleteRecords { log, share },
        71..75 => Step::HighWatermark {
            log,
            share: random.pick(&[100, 100, share]),
        },
        75..78 if mood.retention => Step::Tidy { log },
        78 if mood.retention => Step::Unlink { log },
        79 => Step::NextEpoch { log },
        80..83 => Step::Checkpoint,
        83..85 => Step::Wait {
            ms: random.pick(&[1, 500, 3_000, 20_000]),
        },
        85..87 => Step::ReadAt { log, share, bytes },
        87 => Step::Hold { log, share, bytes },
        88 => Step::Replay { log },
        89 => Step::CleanStop {
            together: random.percent(50),
        },
        90..94 if mood.faults => fault(random),
        94 if mood.full => Step::LimitSpace {
            bytes: random.pick(&[0, 30, 100, 500, 2_000]),
        },
        95 if mood.full || mood.faults => Step::Repair,
        96..100 if random.percent(mood.crashes * 10) => crash(random),
        _ => append(random, mood, log),
    }
}

fn append(random: &mut Random, mood: &Mood, log: usize) -> Step {
    let producer = match mood.transactions {
        true => random.pick(&[0, 1, 2, 4, 4, 5]),
        false => random.pick(&[0, 0, 1, 2]),
    };
    let flaw = match random.below(20) {
        0 | 1 => Flaw::Again(random.index(6)),
        2 => random.pick(&[Flaw::Gap, Flaw::OldEpoch]),
        3 => Flaw::NewEpoch,
        _ => Flaw::Sound,
    };
    Step::Append {
        log,
        producer,
        records: 1 + random.index(4),
        bytes: random.pick(&[0, 5, 40, 150, 550]),
        codec: random.index(8),
        flaw,
    }
}

fn end(random: &mut Random) -> End {
    random.pick(&[End::PowerLoss, End::PowerLoss, End::Kill])
}

fn crash(random: &mut Random) -> Step {
    match random.percent(30) {
        true => Step::Crash(end(random)),
        false => Step::CrashAfter {
            calls: random.pick(&[3, 10, 40]) * random.below(10) / 4,
            end: end(random),
        },
    }
}

fn fault(random: &mut Random) -> Step {
    use Call::{Name, Read, Sync, Truncate, Write};
    Step::Fail(Fault {
        call: random.pick(&[Write, Sync, Sync, Name, Truncate, Read]),
        suffix: random.pick(&["", "", ".log", "index", ".snapshot", "checkpoint"]),
        after: random.below(12),
        lasting: random.percent(50),
    })
}
