//! What clients did and saw, and what is wrong with it: the checks of the best known checker for
//! histories of Kafka, as pure functions over a history.
//!
//! Used by `kill`, and by whatever else records what its clients do. A history is the operations in
//! the order in which they ended; values are told apart by their numbers, one number is sent once.
//! All checks together take time in proportion to the history, but for the sorting of offsets.

mod order;
mod reads;
#[cfg(test)]
mod tests;
mod writes;

use std::collections::{HashMap, HashSet};

use order::Orders;

/// A partition.
pub(crate) type Key = u32;
/// What tells a record from all others.
pub(crate) type Value = u64;
/// A client. One that crashed and came back is another one.
pub(crate) type Process = u32;

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It happened.
    Ok,
    /// It did not happen.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// A part of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// A record was sent; the offset it got, where it is known.
    Send {
        key: Key,
        value: Value,
        offset: Option<i64>,
    },
    /// Records were read, in this order.
    Poll(Vec<(Key, i64, Value)>),
}

/// What a process did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deed {
    /// It sent and read; the keys that were taken from it or given to it meanwhile.
    Parts(Vec<Part>, Vec<Key>),
    /// It reads these keys from now on, those it had where it was.
    Assign(Vec<Key>),
    /// It was told of a partition: log start, last stable offset, high watermark, log end.
    Offsets(Key, Offsets),
}

/// Offsets of a partition at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Offsets {
    pub(crate) log_start: i64,
    pub(crate) last_stable: i64,
    pub(crate) high_watermark: i64,
    /// Not told to consumers.
    pub(crate) log_end: Option<i64>,
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operation {
    pub(crate) process: Process,
    pub(crate) outcome: Outcome,
    pub(crate) deed: Deed,
}

/// What is wrong with a history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anomaly {
    /// One offset has several values.
    InconsistentOffset(Key, i64, Vec<Value>),
    /// One value has several offsets.
    Duplicate(Key, Value, Vec<i64>),
    /// A value was read whose send failed (G1a).
    AbortedRead(Key, Value),
    /// An operation read what it sent itself.
    PrecommittedRead(Key, Value),
    /// A value that was committed was never read, and others behind it were.
    LostWrite(Key, Value),
    /// A process passed over records between two reads.
    PollSkip(Process, Key, Value, Value),
    /// A process went back between two reads, or stayed.
    NonmonotonicPoll(Process, Key, Value, Value),
    /// The same within one operation.
    InnerPollSkip(Process, Key, Value, Value),
    /// The same within one operation.
    InnerNonmonotonicPoll(Process, Key, Value, Value),
    /// What a process sent later is in front of what it sent before.
    NonmonotonicSend(Process, Key, Value, Value),
    /// The same within one operation.
    InnerNonmonotonicSend(Process, Key, Value, Value),
    /// Others' records are between two of one operation. Kafka promises nothing else.
    InnerSendSkip(Process, Key, Value, Value),
    /// What was acknowledged was never read, by the end.
    Unseen(Key, Value),
    /// The log start of a partition went back.
    LogStartWentBack(Key, i64, i64),
    /// Offsets of a partition are not in their order: log start, last stable offset, high watermark,
    /// log end.
    OffsetsOutOfOrder(Key, Offsets),
}

impl Anomaly {
    /// Whether it breaks a promise. Those who let a group assign their partitions may see records
    /// again, or not at all, when it moves them.
    pub(crate) fn fails(&self, subscribes: bool) -> bool {
        match self {
            Anomaly::InnerSendSkip(..) => false,
            Anomaly::PollSkip(..) | Anomaly::NonmonotonicPoll(..) => !subscribes,
            _ => true,
        }
    }
}

/// Everything that is wrong with a history, most of it once for each record it is wrong with.
pub(crate) fn anomalies(history: &[Operation]) -> Vec<Anomaly> {
    let facts = Facts::of(history);
    let orders = Orders::of(history, &facts);
    let mut found = orders.inconsistent_offsets();
    found.extend(orders.duplicates());
    found.extend(writes::aborted_reads(history, &facts));
    found.extend(writes::precommitted_reads(history));
    found.extend(writes::lost_writes(&orders, &facts));
    found.extend(reads::between_operations(history, &orders));
    found.extend(reads::within_operations(history, &orders));
    found.extend(writes::sends_between_operations(history, &orders));
    found.extend(writes::sends_within_operations(history, &orders));
    found.extend(writes::unseen(history, &facts));
    found.extend(reads::offsets(history));
    found
}

/// Those that break a promise to readers who choose their partitions themselves.
pub(crate) fn broken_promises(history: &[Operation]) -> Vec<Anomaly> {
    let all = anomalies(history).into_iter();
    all.filter(|anomaly| anomaly.fails(false)).collect()
}

/// Who sent what with which end, and what was read.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// How the operation ended that sent a value.
    outcomes: HashMap<(Key, Value), Outcome>,
    /// Which operation it was.
    senders: HashMap<(Key, Value), usize>,
    /// Values that an operation that happened has read.
    read: HashSet<(Key, Value)>,
    /// Operations whose end nobody told, but of which a value was read.
    shown: HashSet<usize>,
}

impl Facts {
    fn of(history: &[Operation]) -> Facts {
        let mut facts = Facts::default();
        for (at, operation) in history.iter().enumerate() {
            for (key, value, _) in sends(operation) {
                facts.outcomes.insert((key, value), operation.outcome);
                facts.senders.insert((key, value), at);
            }
            if operation.outcome == Outcome::Ok {
                facts
                    .read
                    .extend(polls(operation).map(|(key, _, value)| (key, value)));
            }
        }
        let senders = facts.read.iter().filter_map(|read| facts.senders.get(read));
        facts.shown = senders.copied().collect();
        facts
    }

    /// Whether an operation happened, as it was told or as others have seen.
    fn happened(&self, at: usize, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Ok => true,
            Outcome::Unknown => self.shown.contains(&at),
            Outcome::Failed => false,
        }
    }

    /// Whether a value was surely written.
    fn committed(&self, key: Key, value: Value) -> bool {
        let outcome = self.outcomes.get(&(key, value));
        let sender = self.senders.get(&(key, value));
        outcome
            .zip(sender)
            .is_some_and(|(outcome, sender)| self.happened(*sender, *outcome))
    }
}

fn parts(operation: &Operation) -> &[Part] {
    match &operation.deed {
        Deed::Parts(parts, _) => parts,
        _ => &[],
    }
}

/// What an operation sent: partition, value, offset.
fn sends(operation: &Operation) -> impl Iterator<Item = (Key, Value, Option<i64>)> {
    parts(operation).iter().filter_map(|part| match part {
        Part::Send { key, value, offset } => Some((*key, *value, *offset)),
        Part::Poll(_) => None,
    })
}

/// What an operation read: partition, offset, value.
fn polls(operation: &Operation) -> impl Iterator<Item = (Key, i64, Value)> {
    let reads = parts(operation).iter().filter_map(|part| match part {
        Part::Poll(reads) => Some(reads),
        Part::Send { .. } => None,
    });
    reads.flatten().copied()
}
