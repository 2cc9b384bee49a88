//! What must not become of records: lost, read though they failed, in another order than sent.

use std::collections::{HashMap, HashSet};

use super::order::Orders;
use super::{Anomaly, Facts, Key, Operation, Outcome, Process, Value, polls, sends};

/// Values that were read though their operation failed.
pub(super) fn aborted_reads(history: &[Operation], facts: &Facts) -> Vec<Anomaly> {
    let reads = history.iter().filter(|op| op.outcome == Outcome::Ok);
    let failed = |read: &(Key, Value)| facts.outcomes.get(read) == Some(&Outcome::Failed);
    let reads = reads.flat_map(polls).map(|(key, _, value)| (key, value));
    let mut told = HashSet::new();
    reads
        .filter(|read| failed(read) && told.insert(*read))
        .map(|(key, value)| Anomaly::AbortedRead(key, value))
        .collect()
}

/// Values that an operation both sent and read.
pub(super) fn precommitted_reads(history: &[Operation]) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for operation in history {
        let sent: HashSet<(Key, Value)> = sends(operation)
            .map(|(key, value, _)| (key, value))
            .collect();
        let own = polls(operation).filter(|(key, _, value)| sent.contains(&(*key, *value)));
        found.extend(own.map(|(key, _, value)| Anomaly::PrecommittedRead(key, value)));
    }
    found
}

/// Values that nobody read, in front of others that were.
pub(super) fn lost_writes(orders: &Orders, facts: &Facts) -> Vec<Anomaly> {
    let mut bounds: HashMap<Key, usize> = HashMap::new();
    for (key, value) in &facts.read {
        if let Some(places) = orders.places(*key, *value) {
            let bound = bounds.entry(*key).or_default();
            *bound = places.first.max(*bound);
        }
    }
    let below = |key: Key, last: usize| bounds.get(&key).is_some_and(|bound| last <= *bound);
    let lost = orders.values().filter(|(key, value, places)| {
        below(*key, places.last)
            && facts.committed(*key, *value)
            && !facts.read.contains(&(*key, *value))
    });
    lost.map(|(key, value, _)| Anomaly::LostWrite(key, value))
        .collect()
}

/// Values that were acknowledged and that nobody ever read.
pub(super) fn unseen(history: &[Operation], facts: &Facts) -> Vec<Anomaly> {
    let mut seen: HashSet<(Key, Value)> = HashSet::new();
    for operation in history {
        seen.extend(polls(operation).map(|(key, _, value)| (key, value)));
    }
    let acknowledged = facts
        .outcomes
        .iter()
        .filter(|(_, outcome)| **outcome == Outcome::Ok);
    let mut missing: Vec<(Key, Value)> = acknowledged
        .map(|(sent, _)| *sent)
        .filter(|sent| !seen.contains(sent))
        .collect();
    missing.sort_unstable();
    let missing = missing.into_iter();
    missing
        .map(|(key, value)| Anomaly::Unseen(key, value))
        .collect()
}

/// Sends to a partition by one process, one after the other in two operations.
pub(super) fn sends_between_operations(history: &[Operation], orders: &Orders) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let mut last: HashMap<(Process, Key), Value> = HashMap::new();
    for operation in history.iter().filter(|op| op.outcome != Outcome::Failed) {
        let mut first_and_last: HashMap<Key, (Value, Value)> = HashMap::new();
        let placed =
            sends(operation).filter(|(key, value, _)| orders.places(*key, *value).is_some());
        for (key, value, _) in placed {
            first_and_last.entry(key).or_insert((value, value)).1 = value;
        }
        for (key, (first, newest)) in first_and_last {
            let process = operation.process;
            let before = last.insert((process, key), newest);
            let distance = before.and_then(|before| orders.distance(key, before, first));
            if let Some(before) = before.filter(|_| distance.is_some_and(|distance| distance < 1)) {
                found.push(Anomaly::NonmonotonicSend(process, key, before, first));
            }
        }
    }
    found
}

/// Sends to a partition within one operation.
pub(super) fn sends_within_operations(history: &[Operation], orders: &Orders) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for operation in history.iter().filter(|op| op.outcome != Outcome::Failed) {
        let mut last: HashMap<Key, Value> = HashMap::new();
        for (key, value, _) in sends(operation) {
            let Some(before) = last.insert(key, value) else {
                continue;
            };
            let makes = match orders.distance(key, before, value) {
                Some(distance) if distance < 1 => Anomaly::InnerNonmonotonicSend,
                Some(distance) if distance > 1 => Anomaly::InnerSendSkip,
                _ => continue,
            };
            found.push(makes(operation.process, key, before, value));
        }
    }
    found
}
