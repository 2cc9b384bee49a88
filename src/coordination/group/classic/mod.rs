//! A classic group: its members agree on a generation by joining, and one of them, the leader, tells
//! the others by syncing what each is to have (Kafka's `ClassicGroup`, KIP-62, 345, 394, 814).
//!
//! Owned by the group's facade, which hands it the classic requests. Hard is what the last
//! `ClassicGroup` record says: the generation that was last completed, or that the group is empty.
//! What is live is soft: ahead of it while a rebalance runs, and made from it by a new coordinator. Invariants: in `Stable` and in `Empty` the live state is what a replay
//! of the last record makes; every member has a session deadline, or a join or sync parked here; a
//! ticket is answered exactly once.

mod commit;
mod describe;
mod expiry;
mod heartbeat;
mod join;
mod leave;
mod loading;
mod member;
mod members;
mod new_member;
mod rebalance;
mod static_member;
mod subscription;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::coordination::messages::{GroupError, JoinRefused, Reply};
use crate::coordination::timers::Timers;
use crate::coordination::{Now, Step, Ticket};
use crate::model::{Moment, Timestamp};
use crate::protocol::consumer_offsets::{ClassicGroupValue, Record};

pub(super) use join::own_protocols;
pub use member::Member;
use members::Members;

/// The machine of one classic group. A group nobody knows yet is a new machine.
#[derive(Debug)]
pub struct ClassicGroup {
    id: Arc<str>,
    /// Hard: what the last record of this group says.
    stored: Option<Box<ClassicGroupValue>>,
    /// What a record that is under way will change, once it is replayed.
    plan: Option<Plan>,
    state: State,
    /// The state before; a rebalance that began with an empty group waits for latecomers.
    previous: State,
    state_since: Timestamp,
    generation: i32,
    protocol_type: Option<Arc<str>>,
    /// The protocol that was chosen for the generation.
    protocol: Option<Arc<str>>,
    /// As of the last completed join phase.
    subscribed_topics: Option<BTreeSet<Arc<str>>>,
    members: Members,
    /// Ids that were given out and not yet used (KIP-394).
    pending: BTreeSet<Arc<str>>,
    /// Members that were let into the generation and have not asked for their assignment.
    pending_sync: BTreeSet<Arc<str>>,
    initial: Option<InitialRebalance>,
    deadlines: Timers<Deadline>,
}

/// Kafka's `ClassicGroupState`, without `Dead`: a dead group is forgotten by its shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Empty,
    PreparingRebalance,
    CompletingRebalance,
    Stable,
}

/// What is due when.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Deadline {
    /// The join phase ends, whoever is missing.
    Join,
    /// Members that have not synced are removed.
    Sync,
    /// The session of a member, or of an id that was given out.
    Session(Arc<str>),
}

/// A record that was planned and not yet replayed.
#[derive(Debug)]
enum Plan {
    /// The first record of a new group. It changes nothing that is live.
    Founding,
    /// The leader's assignment.
    Assignment,
    /// The group became empty.
    Emptying,
    /// A static member came back under another id, which took the place of this one.
    Replacement {
        old: Box<Member>,
        new: Arc<str>,
        was_leader: bool,
    },
}

/// The patience with a new group: it waits for `delay`, and again as long as members keep coming, up
/// to the rebalance timeout in all (KIP-134).
#[derive(Debug, Clone, Copy)]
struct InitialRebalance {
    /// `group.initial.rebalance.delay.ms` as it was when the rebalance began.
    delay: Duration,
    /// How long the pause lasts that is under way.
    pause: Duration,
    /// How long the pauses after this one may last together.
    remaining: Duration,
    has_new_member: bool,
}

impl ClassicGroup {
    /// A group without members that is not in the log.
    pub fn new(id: Arc<str>) -> ClassicGroup {
        ClassicGroup {
            id,
            stored: None,
            plan: None,
            state: State::Empty,
            previous: State::Empty,
            state_since: Timestamp::NONE,
            generation: 0,
            protocol_type: None,
            protocol: None,
            subscribed_topics: None,
            members: Members::default(),
            pending: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            initial: None,
            deadlines: Timers::default(),
        }
    }

    /// The earliest deadline.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.deadlines.next()
    }

    /// The hard state as the record that would make it again; `None` if the log has none.
    pub fn to_record(&self) -> Option<Record> {
        let value = self.stored.as_deref().cloned()?;
        Some(Record::ClassicGroup {
            group: self.id.clone(),
            value: Some(value),
        })
    }

    /// Whether the log has a record of this group, which a tombstone would have to take away.
    pub fn is_stored(&self) -> bool {
        self.stored.is_some()
    }

    /// Whether there is anything to say about this group beyond its committed offsets.
    pub fn is_known(&self) -> bool {
        self.is_stored() || !self.is_idle()
    }

    /// Whether the group is in state `Empty`: nobody is a member and no rebalance runs.
    pub fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Whether nothing is live here: no member, no id given out, no rebalance.
    pub fn is_idle(&self) -> bool {
        self.is_empty() && self.pending.is_empty()
    }

    /// Whether all members joined and the leader's assignment is stored.
    pub fn is_stable(&self) -> bool {
        self.state == State::Stable
    }

    /// The generation.
    pub fn generation(&self) -> i32 {
        self.generation
    }

    /// `consumer`, `connect`, …; `None` for a group that never had members.
    pub fn protocol_type(&self) -> Option<&Arc<str>> {
        self.protocol_type.as_ref()
    }

    /// Whether the members are consumers of topics (Kafka's `usesConsumerGroupProtocol`).
    pub fn uses_consumer_protocol(&self) -> bool {
        self.protocol_type.as_deref() == Some(subscription::CONSUMER)
    }

    /// The protocol that was chosen for the generation.
    pub fn protocol(&self) -> Option<&Arc<str>> {
        self.protocol.as_ref()
    }

    /// Since when the group is in its state; [`Timestamp::NONE`] if unknown.
    pub fn state_since(&self) -> Timestamp {
        self.state_since
    }

    /// The members, in order of their ids.
    pub fn members(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.members.iter()
    }

    /// Answers everybody whose join or sync is parked here with `error`: before the group becomes a
    /// consumer group, or is given up.
    pub fn release_parked(&mut self, error: &GroupError) -> Step {
        let mut step = Step::none();
        for member_id in self.members.ids() {
            self.refuse_parked_join(&member_id, error.clone(), member_id.clone(), &mut step);
            self.refuse_parked_sync(&member_id, error.clone(), &mut step);
        }
        step
    }

    fn transition(&mut self, state: State, now: Now) {
        self.previous = self.state;
        self.state = state;
        self.state_since = now.wall;
    }

    /// Restarts the session of a member.
    fn restart_session(&mut self, member_id: &Arc<str>, now: Now) {
        if let Some(member) = self.members.get(member_id) {
            let deadline = now.moment + member.session_timeout();
            self.deadlines
                .set(Deadline::Session(member_id.clone()), deadline);
        }
    }

    fn stop_session(&mut self, member_id: &Arc<str>) {
        self.deadlines.stop(&Deadline::Session(member_id.clone()));
    }

    /// Takes a member or a pending id out, with its session. Whoever still waits in its name is
    /// told to begin anew without an id.
    fn remove_member(&mut self, member_id: &Arc<str>, step: &mut Step) {
        let unknown = GroupError::UnknownMemberId;
        self.refuse_parked_join(member_id, unknown.clone(), Arc::from(""), step);
        self.refuse_parked_sync(member_id, unknown, step);
        self.members.remove(member_id);
        self.pending.remove(member_id);
        self.pending_sync.remove(member_id);
        self.stop_session(member_id);
    }

    fn refuse_parked_join(
        &mut self,
        waiting: &str,
        error: GroupError,
        member_id: Arc<str>,
        step: &mut Step,
    ) {
        if let Some(ticket) = self.members.take_join(waiting) {
            refuse_join(ticket, error, member_id, step);
        }
    }

    fn refuse_parked_sync(&mut self, waiting: &str, error: GroupError, step: &mut Step) {
        if let Some(ticket) = self.members.take_sync(waiting) {
            step.replies.push((ticket, Reply::Sync(Err(error))));
        }
    }
}

fn refuse_join(ticket: Ticket, error: GroupError, member_id: Arc<str>, step: &mut Step) {
    let refused = JoinRefused { error, member_id };
    step.replies.push((ticket, Reply::Join(Err(refused))));
}
