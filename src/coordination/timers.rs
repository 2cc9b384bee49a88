//! The deadlines of one machine. The machine names them; the shell keeps a single real timer.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::Moment;

/// Deadlines by name.
#[derive(Debug)]
pub struct Timers<Key> {
    deadlines: BTreeMap<Key, Moment>,
    /// The same pairs, earliest first.
    order: BTreeSet<(Moment, Key)>,
}

impl<Key> Default for Timers<Key> {
    fn default() -> Self {
        Timers {
            deadlines: BTreeMap::new(),
            order: BTreeSet::new(),
        }
    }
}

impl<Key: Ord + Clone> Timers<Key> {
    /// Sets or moves a deadline.
    pub fn set(&mut self, key: Key, at: Moment) {
        self.stop(&key);
        self.order.insert((at, key.clone()));
        self.deadlines.insert(key, at);
    }

    /// Takes a deadline away.
    pub fn stop(&mut self, key: &Key) {
        if let Some((key, at)) = self.deadlines.remove_entry(key) {
            self.order.remove(&(at, key));
        }
    }

    /// The deadline of that name.
    pub fn get(&self, key: &Key) -> Option<Moment> {
        self.deadlines.get(key).copied()
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<Moment> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Takes away the earliest deadline that is due at `now`. A caller takes one, acts on it, and
    /// asks again, for what it does may move the others.
    pub fn expire(&mut self, now: Moment) -> Option<Key> {
        let (at, _) = self.order.first()?;
        if *at > now {
            return None;
        }
        let (_, key) = self.order.pop_first()?;
        self.deadlines.remove(&key);
        Some(key)
    }

    /// Takes all deadlines away.
    pub fn clear(&mut self) {
        self.deadlines.clear();
        self.order.clear();
    }
}
