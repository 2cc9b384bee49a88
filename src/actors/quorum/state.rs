//! What the quorum's tasks on this arbiter share: the image, how far it got, who is told.
//!
//! openraft's core writes the vote, its state machine task applies entries, the actor answers
//! questions; all on one thread. Invariant: subscribers hear of every entry once, in order, and of
//! leadership only after the entries of former leaders.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use actix::Recipient;
use openraft::{CommittedLeaderId, EntryPayload, RaftMetrics, ServerState};

use super::types::{Entry, LogId, Records, SnapshotV1, StoredMembership, Vote};
use super::{Subscriber, broker_id};
use crate::actors::quorum_messages::{Committed, LeadershipChanged, SnapshotInstalled};
use crate::metadata::Image;

/// Asks the actor to have a snapshot built.
#[derive(Debug, Clone, Copy, actix::Message)]
#[rtype(result = "()")]
pub(super) struct SnapshotDue;

/// When a snapshot is built: after so many entries or bytes of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct SnapshotLimits {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// The shared state. Nothing in here waits, so no borrow is held over an `await`.
#[derive(Debug)]
pub(super) struct State {
    own_id: u64,
    image: RefCell<Image>,
    applied: Cell<Option<LogId>>,
    members: RefCell<StoredMembership>,
    vote: Cell<Vote>,
    /// The leader whose reign was announced as this node's own.
    leads_as: Cell<Option<CommittedLeaderId<u64>>>,
    told: Cell<Option<LeadershipChanged>>,
    subscribers: RefCell<Vec<Subscriber>>,
    limits: SnapshotLimits,
    entries_since_snapshot: Cell<u64>,
    bytes_since_snapshot: Cell<u64>,
    snapshot_due: RefCell<Option<Recipient<SnapshotDue>>>,
}

impl State {
    pub(super) fn new(own_id: u64, snapshot: Option<&SnapshotV1>, limits: SnapshotLimits) -> State {
        let state = State {
            own_id,
            image: RefCell::default(),
            applied: Cell::default(),
            members: RefCell::default(),
            vote: Cell::default(),
            leads_as: Cell::default(),
            told: Cell::default(),
            subscribers: RefCell::default(),
            limits,
            entries_since_snapshot: Cell::default(),
            bytes_since_snapshot: Cell::default(),
            snapshot_due: RefCell::default(),
        };
        if let Some(snapshot) = snapshot {
            state.install(snapshot);
        }
        state
    }

    pub(super) fn applied(&self) -> (Option<LogId>, StoredMembership) {
        (self.applied.get(), self.members.borrow().clone())
    }

    pub(super) fn image(&self) -> Image {
        self.image.borrow().clone()
    }

    /// The vote to start with. A former reign of this node's own is over: openraft would go on with
    /// it, but whoever planned under it is gone. A new election, with an entry of its own behind all
    /// former ones, tells when everything is known again. The weaker vote promises the same.
    pub(super) fn without_own_reign(&self, vote: Vote) -> Vote {
        match vote.leader_id.node_id == self.own_id {
            true => Vote::new(vote.leader_id.term, self.own_id),
            false => vote,
        }
    }

    pub(super) fn set_vote(&self, vote: Vote) {
        self.vote.set(vote);
    }

    /// Replaces everything by what a snapshot says, and tells.
    pub(super) fn install(&self, snapshot: &SnapshotV1) {
        let meta = snapshot.meta();
        let mut image = Image::of_records(&snapshot.records);
        image.version = meta.last_log_id.map_or(0, |last| last.index);
        self.image.replace(image);
        self.applied.set(meta.last_log_id);
        self.members.replace(meta.last_membership);
        self.snapshot_taken();
        for subscriber in self.subscribers.borrow().iter() {
            self.tell_image(subscriber);
        }
    }

    /// Applies a committed entry and tells.
    pub(super) fn apply(&self, entry: Entry) {
        let index = entry.log_id.index;
        let records = match entry.payload {
            EntryPayload::Blank => Records::default(),
            EntryPayload::Normal(records) => records,
            EntryPayload::Membership(members) => {
                let members = StoredMembership::new(Some(entry.log_id), members);
                self.members.replace(members);
                Records::default()
            }
        };
        {
            let mut image = self.image.borrow_mut();
            records.iter().for_each(|record| image.replay(record));
            image.version = index;
        }
        self.applied.set(Some(entry.log_id));
        for subscriber in self.subscribers.borrow().iter() {
            let records = Arc::clone(&records);
            subscriber.committed.do_send(Committed { index, records });
        }
        self.own_entry_applied(entry.log_id.leader_id);
        let entries = self.entries_since_snapshot.get().saturating_add(1);
        self.entries_since_snapshot.set(entries);
        self.ask_for_snapshot();
    }

    /// The first entry of this node's own reign is committed: so are all in front of it.
    fn own_entry_applied(&self, leader: CommittedLeaderId<u64>) {
        let vote = self.vote.get();
        let is_current = vote.committed && vote.leader_id == leader;
        if !is_current || leader.node_id != self.own_id || self.leads_as.get() == Some(leader) {
            return;
        }
        if self.leads_as.get().is_some() {
            // The reign in between was another's: what was planned before may be void.
            self.resigned();
        }
        self.leads_as.set(Some(leader));
        self.tell_leadership(true, Some(leader.node_id));
    }

    /// openraft says who leads. What it says of this node's own reign is told by `apply`, later.
    pub(super) fn saw_metrics(&self, metrics: &RaftMetrics<u64, openraft::BasicNode>) {
        let leads_as = self.leads_as.get();
        // Metrics lag behind: an older vote than that of our reign is no news.
        if leads_as.is_some_and(|own| metrics.vote.leader_id <= own) {
            return;
        }
        if metrics.state != ServerState::Leader {
            self.tell_leadership(false, metrics.current_leader);
        }
    }

    /// This node leads no more, and knows nobody who does.
    pub(super) fn resigned(&self) {
        self.tell_leadership(false, None);
    }

    fn tell_leadership(&self, leads: bool, leader: Option<u64>) {
        let leader = leader.map(broker_id);
        let news = LeadershipChanged { leads, leader };
        if !leads {
            self.leads_as.set(None);
        }
        if self.told.replace(Some(news)) == Some(news) {
            return;
        }
        let subscribers = self.subscribers.borrow();
        for recipient in subscribers.iter().filter_map(|s| s.leadership.as_ref()) {
            recipient.do_send(news);
        }
    }

    /// Adds a subscriber, which is told where things stand.
    pub(super) fn subscribe(&self, subscriber: Subscriber) {
        self.tell_image(&subscriber);
        if let (Some(recipient), Some(news)) = (&subscriber.leadership, self.told.get()) {
            recipient.do_send(news);
        }
        let mut subscribers = self.subscribers.borrow_mut();
        subscribers.retain(|known| known.committed.connected());
        subscribers.push(subscriber);
    }

    fn tell_image(&self, subscriber: &Subscriber) {
        if let Some(applied) = self.applied.get() {
            subscriber.installed.do_send(SnapshotInstalled {
                index: applied.index,
                records: self.image.borrow().to_records().into(),
            });
        }
    }

    pub(super) fn set_snapshot_due(&self, recipient: Recipient<SnapshotDue>) {
        self.snapshot_due.replace(Some(recipient));
    }

    /// Counts bytes that were written to the log.
    pub(super) fn wrote(&self, bytes: usize) {
        let bytes = self.bytes_since_snapshot.get().saturating_add(bytes as u64);
        self.bytes_since_snapshot.set(bytes);
    }

    /// A snapshot is being built of what is applied now.
    pub(super) fn snapshot_taken(&self) {
        self.entries_since_snapshot.set(0);
        self.bytes_since_snapshot.set(0);
    }

    fn ask_for_snapshot(&self) {
        let due = self.entries_since_snapshot.get() >= self.limits.entries
            || self.bytes_since_snapshot.get() >= self.limits.bytes;
        if due && let Some(actor) = self.snapshot_due.borrow().as_ref() {
            self.snapshot_taken();
            actor.do_send(SnapshotDue);
        }
    }
}
