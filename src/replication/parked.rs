//! Callers who wait for an offset: answered in order of it, or at their deadline.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{Moment, Offset};

use super::Ticket;

/// What a caller waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Need {
    /// The leader itself has the record as safely as its flush policy demands.
    Stored(Offset),
    /// Every replica in sync has it.
    Committed(Offset),
}

/// Waiting writes of one partition. Needs only ever rise, so each kind is a queue.
#[derive(Debug, Default)]
pub(super) struct Parked {
    stored: VecDeque<(Offset, Ticket)>,
    committed: VecDeque<(Offset, Ticket)>,
    deadlines: BTreeMap<(Moment, Ticket), Need>,
    by_ticket: BTreeMap<Ticket, Moment>,
}

impl Parked {
    pub(super) fn push(&mut self, need: Need, ticket: Ticket, deadline: Moment) {
        match need {
            Need::Stored(offset) => self.stored.push_back((offset, ticket)),
            Need::Committed(offset) => self.committed.push_back((offset, ticket)),
        }
        self.deadlines.insert((deadline, ticket), need);
        self.by_ticket.insert(ticket, deadline);
    }

    /// Takes every caller whose need is met, in order.
    pub(super) fn release(&mut self, stored_end: Offset, committed_end: Offset) -> Vec<Ticket> {
        let mut released = Vec::new();
        release_queue(&mut self.stored, stored_end, &mut released);
        release_queue(&mut self.committed, committed_end, &mut released);
        released.retain(|ticket| self.forget(*ticket));
        released
    }

    /// Takes every caller whose deadline has come. Their queue entries are skipped when met.
    pub(super) fn expire(&mut self, now: Moment) -> Vec<Ticket> {
        let mut expired = Vec::new();
        while let Some((&(deadline, ticket), _)) = self.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            self.forget(ticket);
            expired.push(ticket);
        }
        if self.by_ticket.is_empty() {
            self.stored.clear();
            self.committed.clear();
        }
        expired
    }

    /// Takes everybody.
    pub(super) fn drain(&mut self) -> Vec<Ticket> {
        self.stored.clear();
        self.committed.clear();
        self.deadlines.clear();
        std::mem::take(&mut self.by_ticket).into_keys().collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.deadlines
            .first_key_value()
            .map(|((deadline, _), _)| *deadline)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_ticket.is_empty()
    }

    fn forget(&mut self, ticket: Ticket) -> bool {
        let Some(deadline) = self.by_ticket.remove(&ticket) else {
            return false;
        };
        self.deadlines.remove(&(deadline, ticket));
        true
    }
}

fn release_queue(queue: &mut VecDeque<(Offset, Ticket)>, end: Offset, released: &mut Vec<Ticket>) {
    while queue.front().is_some_and(|(offset, _)| *offset <= end) {
        released.extend(queue.pop_front().map(|(_, ticket)| ticket));
    }
}
