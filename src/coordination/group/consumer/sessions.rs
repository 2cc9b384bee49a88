//! When members of a consumer group are given up: soft state, gone with the leader.
//!
//! A heartbeat only moves a number; the timer behind it is looked at when it fires and set anew if
//! the member has shown itself since. So a heartbeat costs no sorted insertion.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::coordination::timers::Timers;
use crate::model::Moment;

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Deadline {
    /// A member's next heartbeat.
    Session(Arc<str>),
    /// A member to give partitions up.
    Revocation(Arc<str>),
    /// A member of the classic protocol to join again.
    Join(Arc<str>),
    /// A member of the classic protocol to fetch its assignment.
    Sync(Arc<str>),
    /// The expressions to be resolved anew.
    Expressions,
}

/// The deadlines of a group.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    timers: Timers<Deadline>,
    /// When each session ends; the timer may fire earlier.
    ends: HashMap<Arc<str>, Moment>,
}

impl Sessions {
    /// Prolongs a session, or starts it.
    pub(super) fn prolong(&mut self, member: &Arc<str>, end: Moment) {
        match self.ends.get_mut(member) {
            Some(known) if *known <= end => *known = end,
            _ => {
                self.ends.insert(Arc::clone(member), end);
                self.timers.set(Deadline::Session(Arc::clone(member)), end);
            }
        }
    }

    /// Sets a deadline that is not a session's.
    pub(super) fn set(&mut self, deadline: Deadline, at: Moment) {
        self.timers.set(deadline, at);
    }

    /// Sets a deadline unless it is set.
    pub(super) fn set_if_absent(&mut self, deadline: Deadline, at: Moment) {
        if self.timers.get(&deadline).is_none() {
            self.timers.set(deadline, at);
        }
    }

    /// Takes a deadline away.
    pub(super) fn stop(&mut self, deadline: &Deadline) {
        self.timers.stop(deadline);
    }

    /// Takes all deadlines of a member away.
    pub(super) fn forget(&mut self, member: &Arc<str>) {
        self.ends.remove(member);
        self.timers.stop(&Deadline::Session(Arc::clone(member)));
        self.timers.stop(&Deadline::Revocation(Arc::clone(member)));
        self.timers.stop(&Deadline::Join(Arc::clone(member)));
        self.timers.stop(&Deadline::Sync(Arc::clone(member)));
    }

    /// The next deadline that is really due.
    pub(super) fn expire(&mut self, now: Moment) -> Option<Deadline> {
        while let Some(deadline) = self.timers.expire(now) {
            let Deadline::Session(member) = &deadline else {
                return Some(deadline);
            };
            match self.ends.get(member) {
                Some(end) if *end > now => self.timers.set(deadline, *end),
                Some(_) => return Some(deadline),
                None => {}
            }
        }
        None
    }

    /// When to look again.
    pub(super) fn next(&self) -> Option<Moment> {
        self.timers.next()
    }

    /// Takes everything away.
    pub(super) fn clear(&mut self) {
        self.timers.clear();
        self.ends.clear();
    }
}

/// A number of milliseconds from a request; negative is none.
pub(super) fn milliseconds(number: i32) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or(0))
}
