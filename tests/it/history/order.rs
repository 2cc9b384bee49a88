//! The order of the values in each partition, as all reads and acknowledged sends tell it together.
//!
//! Offsets are made dense: gaps are markers, or what compaction took, and say nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Anomaly, Facts, Key, Operation, Value, polls, sends};

/// The places of one value: the first and the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) first: usize,
    pub(super) last: usize,
}

#[derive(Debug, Default)]
struct Order {
    offsets: BTreeMap<i64, BTreeSet<Value>>,
    places: HashMap<Value, Places>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Orders(BTreeMap<Key, Order>);

impl Orders {
    /// Reads are believed however their operation ended: whoever reads must be safe at all times.
    pub(super) fn of(history: &[Operation], facts: &Facts) -> Orders {
        let mut orders = Orders::default();
        for (at, operation) in history.iter().enumerate() {
            for (key, offset, value) in polls(operation) {
                orders.note(key, offset, value);
            }
            if !facts.happened(at, operation.outcome) {
                continue;
            }
            for (key, value, offset) in sends(operation) {
                if let Some(offset) = offset {
                    orders.note(key, offset, value);
                }
            }
        }
        for order in orders.0.values_mut() {
            order.number();
        }
        orders
    }

    fn note(&mut self, key: Key, offset: i64, value: Value) {
        let order = self.0.entry(key).or_default();
        order.offsets.entry(offset).or_default().insert(value);
    }

    /// Where a value is.
    pub(super) fn places(&self, key: Key, value: Value) -> Option<Places> {
        self.0.get(&key)?.places.get(&value).copied()
    }

    /// How far it is from one value to another; none when one of them has no place.
    pub(super) fn distance(&self, key: Key, from: Value, to: Value) -> Option<i64> {
        let place = |value| self.places(key, value).map(|places| places.first);
        let (from, to) = (place(from)?, place(to)?);
        Some(i64::try_from(to).ok()? - i64::try_from(from).ok()?)
    }

    /// All values that have a place, with it.
    pub(super) fn values(&self) -> impl Iterator<Item = (Key, Value, Places)> {
        self.0.iter().flat_map(|(key, order)| {
            let places = order.places.iter();
            places.map(|(value, places)| (*key, *value, *places))
        })
    }

    pub(super) fn inconsistent_offsets(&self) -> Vec<Anomaly> {
        let mut found = Vec::new();
        for (key, order) in &self.0 {
            for (offset, values) in order.offsets.iter().filter(|(_, values)| values.len() > 1) {
                let values = values.iter().copied().collect();
                found.push(Anomaly::InconsistentOffset(*key, *offset, values));
            }
        }
        found
    }

    pub(super) fn duplicates(&self) -> Vec<Anomaly> {
        let mut found = Vec::new();
        for (key, order) in &self.0 {
            let mut offsets: BTreeMap<Value, Vec<i64>> = BTreeMap::new();
            for (offset, values) in &order.offsets {
                for value in values {
                    offsets.entry(*value).or_default().push(*offset);
                }
            }
            let several = offsets.into_iter().filter(|(_, offsets)| offsets.len() > 1);
            found.extend(several.map(|(value, at)| Anomaly::Duplicate(*key, value, at)));
        }
        found
    }
}

impl Order {
    fn number(&mut self) {
        for (place, values) in self.offsets.values().enumerate() {
            for value in values {
                let known = self.places.entry(*value).or_insert(Places {
                    first: place,
                    last: place,
                });
                known.last = place;
            }
        }
    }
}
