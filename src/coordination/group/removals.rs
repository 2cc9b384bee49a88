//! Taking away over several steps: a deleted group, deleted topics, what has expired.
//!
//! A group may have more offsets than one batch takes tombstones. What is left over is kept here and
//! is due at once, so that the next timeout goes on. Soft: a new leader of the partition begins with
//! nothing to do.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::coordination::messages::{GroupError, Reply};
use crate::coordination::topics::Topics;
use crate::coordination::{Now, Step, Ticket};
use crate::model::Moment;
use crate::protocol::consumer_offsets::Record;

use super::Group;
use super::offsets::Room;

/// How long what could not be stored is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// What is left to do.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// Who asked for the group to be deleted.
    deleting: Vec<Ticket>,
    /// Topics whose offsets are to go.
    topics: BTreeSet<Arc<str>>,
    /// Expired offsets are left.
    expiring: bool,
    /// Since when there is something to do.
    due: Option<Moment>,
}

impl Removals {
    pub(super) fn next_timeout(&self) -> Option<Moment> {
        self.due
    }

    pub(super) fn is_idle(&self) -> bool {
        self.due.is_none()
    }

    /// Whether the group is being deleted, and not gone yet.
    fn is_deleting(&self) -> bool {
        !self.deleting.is_empty()
    }

    /// Those who wait are told; what nobody waits for is tried again after a while.
    pub(super) fn handle_append_failed(&mut self, now: Now) -> Step {
        let deleting = std::mem::take(&mut self.deleting);
        if self.due.is_some() {
            self.settle(Now {
                moment: now.moment + RETRY_AFTER,
                ..now
            });
        }
        let error = GroupError::CoordinatorNotAvailable;
        Step {
            records: Vec::new(),
            replies: answers(deleting, &Err(error)),
        }
    }

    fn settle(&mut self, now: Now) {
        let idle = !self.is_deleting() && self.topics.is_empty() && !self.expiring;
        self.due = (!idle).then_some(now.moment);
    }
}

fn answers(tickets: Vec<Ticket>, result: &Result<(), GroupError>) -> Vec<(Ticket, Reply)> {
    tickets
        .into_iter()
        .map(|ticket| (ticket, Reply::Delete(result.clone())))
        .collect()
}

impl Group {
    /// DeleteGroups: everything goes, in as many steps as it needs; the answer comes with the last.
    pub(super) fn delete(&mut self, now: Now, ticket: Ticket) -> Step {
        self.removals.deleting.push(ticket);
        self.delete_more(now)
    }

    fn delete_more(&mut self, now: Now) -> Step {
        if let Err(error) = self.check_delete() {
            return self.refuse_deletion(now, error);
        }
        let mut room = Room::of_batch(self.config.batch_bytes_max);
        let mut removal = self.offsets.plan_all(&self.id, &mut room);
        if removal.has_more && removal.records.is_empty() {
            return self.refuse_deletion(now, GroupError::TooLarge);
        }
        let mut replies = Vec::new();
        if !removal.has_more && self.add_own_tombstones(&mut removal.records, &mut room) {
            replies = answers(std::mem::take(&mut self.removals.deleting), &Ok(()));
        }
        self.removals.settle(now);
        Step {
            records: removal.records,
            replies,
        }
    }

    fn refuse_deletion(&mut self, now: Now, error: GroupError) -> Step {
        let tickets = std::mem::take(&mut self.removals.deleting);
        self.removals.settle(now);
        Step {
            records: Vec::new(),
            replies: answers(tickets, &Err(error)),
        }
    }

    fn check_delete(&self) -> Result<(), GroupError> {
        if self.has_members() {
            return Err(GroupError::NonEmptyGroup);
        }
        match self.exists() {
            true => Ok(()),
            false => Err(self.not_found("group")),
        }
    }

    /// Whether anybody is in, or about to be.
    fn has_members(&self) -> bool {
        match (&self.consumer, &self.classic) {
            (Some(consumer), _) => !consumer.is_empty(),
            (None, Some(classic)) => !classic.is_empty(),
            (None, None) => false,
        }
    }

    /// The tombstones of the group itself, behind those of its offsets; they are few, for it has no
    /// members. False when they need a batch of their own.
    fn add_own_tombstones(&self, records: &mut Vec<Record>, room: &mut Room) -> bool {
        let own = self.own_tombstones();
        let fits = own
            .iter()
            .all(|record| room.take_record(record.key_bytes_max()));
        if fits || records.is_empty() {
            records.extend(own);
            return true;
        }
        false
    }

    /// The check of `offsets.retention.minutes`: removes what has expired, and the group itself when
    /// it has neither members nor offsets.
    pub fn handle_expiry(&mut self, now: Now) -> Step {
        let mut room = Room::of_batch(self.config.batch_bytes_max);
        let mut removal = self.offsets.plan_expiry(
            &self.id,
            self.offset_expiry(),
            self.config.offsets_retention,
            now.wall,
            &|topic| self.is_subscribed_to(topic),
            &mut room,
        );
        let mut has_more = removal.has_more;
        if !has_more && !removal.keeps_some && !self.has_members() {
            has_more = !self.add_own_tombstones(&mut removal.records, &mut room);
        }
        // What no batch can hold waits for the next check.
        self.removals.expiring = has_more && !removal.records.is_empty();
        self.removals.settle(now);
        Step {
            records: removal.records,
            replies: Vec::new(),
        }
    }

    pub(super) fn remember_deleted_topics(&mut self, now: Now, deleted: &[Arc<str>]) {
        for topic in deleted {
            if self.offsets.has_topic(topic) {
                self.removals.topics.insert(Arc::clone(topic));
            }
        }
        self.removals.settle(now);
    }

    /// Goes on with what is left, one thing at a time.
    pub(super) fn remove_more(&mut self, now: Now, topics: &dyn Topics) -> Step {
        if self.removals.is_deleting() {
            return self.delete_more(now);
        }
        if !self.removals.topics.is_empty() {
            return self.remove_of_deleted_topics(now, topics);
        }
        match self.removals.expiring {
            true => self.handle_expiry(now),
            false => Step::none(),
        }
    }

    fn remove_of_deleted_topics(&mut self, now: Now, topics: &dyn Topics) -> Step {
        let mut room = Room::of_batch(self.config.batch_bytes_max);
        let removal = self.offsets.plan_topics_gone(
            &self.id,
            &|topic| self.removals.topics.contains(topic),
            &|topic| topics.by_name(topic).map(|facts| facts.id),
            &mut room,
        );
        // Not before nothing is found: what was found may yet not be stored.
        if removal.records.is_empty() {
            self.removals.topics.clear();
        }
        self.removals.settle(now);
        Step {
            records: removal.records,
            replies: Vec::new(),
        }
    }
}
