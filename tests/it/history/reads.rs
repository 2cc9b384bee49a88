//! What readers must not see: records passed over, records again, offsets that go back.

use std::collections::HashMap;

use super::order::Orders;
use super::{Anomaly, Deed, Key, Operation, Outcome, Process, Value, polls};

/// Two reads of a partition by one process, one after the other in two operations.
pub(super) fn between_operations(history: &[Operation], orders: &Orders) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let mut last: HashMap<Process, HashMap<Key, Value>> = HashMap::new();
    for operation in history.iter().filter(|op| op.outcome == Outcome::Ok) {
        let last = last.entry(operation.process).or_default();
        if let Deed::Assign(keys) = &operation.deed {
            last.retain(|key, _| keys.contains(key));
        }
        let mut first_and_last: HashMap<Key, (Value, Value)> = HashMap::new();
        for (key, _, value) in polls(operation) {
            first_and_last.entry(key).or_insert((value, value)).1 = value;
        }
        for (key, (first, newest)) in first_and_last {
            if let Some(before) = last.insert(key, newest) {
                let pair = (operation.process, key, before, first);
                let (skip, back) = (Anomaly::PollSkip, Anomaly::NonmonotonicPoll);
                found.extend(judge(orders, pair, skip, back));
            }
        }
    }
    found
}

type Pair = (Process, Key, Value, Value);
type Makes = fn(Process, Key, Value, Value) -> Anomaly;

/// One behind the other is right, further is a skip, all else goes back.
fn judge(
    orders: &Orders,
    (process, key, before, after): Pair,
    skip: Makes,
    back: Makes,
) -> Option<Anomaly> {
    match orders.distance(key, before, after)? {
        1 => None,
        distance if distance > 1 => Some(skip(process, key, before, after)),
        _ => Some(back(process, key, before, after)),
    }
}

/// Reads of a partition within one operation, unless it was taken away or given meanwhile.
pub(super) fn within_operations(history: &[Operation], orders: &Orders) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for operation in history {
        let Deed::Parts(_, moved) = &operation.deed else {
            continue;
        };
        let mut last: HashMap<Key, Value> = HashMap::new();
        for (key, _, value) in polls(operation).filter(|(key, ..)| !moved.contains(key)) {
            if let Some(before) = last.insert(key, value) {
                let pair = (operation.process, key, before, value);
                let (skip, back) = (Anomaly::InnerPollSkip, Anomaly::InnerNonmonotonicPoll);
                found.extend(judge(orders, pair, skip, back));
            }
        }
    }
    found
}

/// What was told of partitions: in their order, and the log start never going back.
pub(super) fn offsets(history: &[Operation]) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let mut starts: HashMap<Key, i64> = HashMap::new();
    for operation in history {
        let Deed::Offsets(key, told) = &operation.deed else {
            continue;
        };
        let end = told.log_end.unwrap_or(i64::MAX);
        let in_order = told.log_start <= told.high_watermark
            && told.last_stable <= told.high_watermark
            && told.high_watermark <= end;
        if !in_order {
            found.push(Anomaly::OffsetsOutOfOrder(*key, *told));
        }
        let start = starts.entry(*key).or_insert(told.log_start);
        if told.log_start < *start {
            found.push(Anomaly::LogStartWentBack(*key, *start, told.log_start));
        }
        *start = told.log_start.max(*start);
    }
    found
}
