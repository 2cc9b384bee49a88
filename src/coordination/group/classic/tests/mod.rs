//! A classic group played step by step: [`Play`] is its shell, log and clock.
//!
//! After every step the play checks what must always hold.

mod joining;
mod leaving;
mod loading;
mod properties;
mod statics;
mod syncing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::{ClassicGroup, Deadline, State};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{
    Client, CommitOffsets, GroupError, Identity, Join, JoinRefused, Joined, Leaving, Reply, Sync,
    Synced,
};
use crate::coordination::{Now, Step, Ticket};
use crate::model::{Moment, Timestamp, Uuid};
use crate::protocol::consumer_offsets::{ClassicGroupValue, Record};

const WALL: i64 = 1_000_000;
/// Of everybody, unless a test says otherwise.
const SESSION: u64 = 10_000;
const REBALANCE: u64 = 60_000;

struct Play {
    group: ClassicGroup,
    config: GroupConfig,
    now: u64,
    log: Vec<Record>,
    /// Whether the next records are refused by the log.
    log_refuses: bool,
    /// Whether the log lacks what the last refused record said.
    log_is_behind: bool,
    tickets: u64,
    waiting: BTreeSet<Ticket>,
    answered: BTreeMap<Ticket, Reply>,
    generation: i32,
}

impl Play {
    /// A group that does not wait for latecomers.
    fn new() -> Play {
        Play::with(GroupConfig {
            initial_rebalance_delay: std::time::Duration::ZERO,
            ..GroupConfig::default()
        })
    }

    fn with(config: GroupConfig) -> Play {
        Play {
            group: ClassicGroup::new(Arc::from("g")),
            config,
            now: 0,
            log: Vec::new(),
            log_refuses: false,
            log_is_behind: false,
            tickets: 0,
            waiting: BTreeSet::new(),
            answered: BTreeMap::new(),
            generation: 0,
        }
    }

    /// A stable group of static or dynamic members; the first leads. Their ids.
    fn stable(joins: Vec<Join>) -> (Play, Vec<Arc<str>>) {
        let mut play = Play::new();
        let tickets: Vec<Ticket> = joins.into_iter().map(|join| play.join(join)).collect();
        play.advance(0);
        let ids: Vec<Arc<str>> = tickets.iter().map(|t| play.joined(*t).member_id).collect();
        play.sync_all(&ids);
        (play, ids)
    }

    fn now(&self) -> Now {
        Now {
            moment: Moment(self.now),
            wall: Timestamp(WALL + self.now as i64),
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket);
        ticket
    }

    fn join(&mut self, mut join: Join) -> Ticket {
        let ticket = self.ticket();
        join.fresh = Uuid(u128::from(ticket.0).to_be_bytes());
        let step = self
            .group
            .handle_join(self.now(), &self.config, join, ticket);
        self.play(step);
        ticket
    }

    fn sync(&mut self, member_id: &Arc<str>, assignments: &[(&Arc<str>, &'static str)]) -> Ticket {
        let generation = self.group.generation;
        self.sync_as(Sync {
            identity: identity(member_id, generation),
            protocol_type: None,
            protocol_name: None,
            assignments: assignments
                .iter()
                .map(|(member_id, text)| ((*member_id).clone(), Bytes::from(*text)))
                .collect(),
        })
    }

    fn sync_as(&mut self, sync: Sync) -> Ticket {
        let ticket = self.ticket();
        let step = self.group.handle_sync(self.now(), sync, ticket);
        self.play(step);
        ticket
    }

    /// All sync, the leader last. Everybody gets "to <id>".
    fn sync_all(&mut self, ids: &[Arc<str>]) {
        let leader = self.group.members.leader().cloned().expect("a leader");
        for member_id in ids.iter().filter(|id| **id != leader) {
            self.sync(member_id, &[]);
        }
        let ticket = self.ticket();
        let assignments = ids
            .iter()
            .map(|id| (id.clone(), Bytes::from(format!("to {id}"))))
            .collect();
        let sync = Sync {
            identity: identity(&leader, self.group.generation),
            protocol_type: None,
            protocol_name: None,
            assignments,
        };
        let step = self.group.handle_sync(self.now(), sync, ticket);
        self.play(step);
        assert_eq!(self.group.state, State::Stable);
    }

    fn heartbeat(&mut self, member_id: &Arc<str>, generation: i32) -> Result<(), GroupError> {
        let identity = identity(member_id, generation);
        self.heartbeat_as(&identity)
    }

    fn heartbeat_as(&mut self, identity: &Identity) -> Result<(), GroupError> {
        let ticket = self.ticket();
        let step = self.group.handle_heartbeat(self.now(), identity, ticket);
        self.play(step);
        match self.reply(ticket) {
            Reply::Heartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, leaving: &[Leaving]) -> Result<Vec<Result<(), GroupError>>, GroupError> {
        let ticket = self.ticket();
        let step = self.group.handle_leave(self.now(), leaving, ticket);
        self.play(step);
        match self.reply(ticket) {
            Reply::Leave(result) => result,
            Reply::Failed(error) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, identity: Identity) -> Result<(), GroupError> {
        let commit = CommitOffsets {
            identity,
            retention_ms: None,
            version: 8,
            offsets: Vec::new(),
        };
        let result = self.group.check_commit(self.now(), &commit);
        self.check();
        result
    }

    /// Lets time pass, deadline by deadline.
    fn advance(&mut self, ms: u64) {
        let end = self.now + ms;
        for _ in 0..1_000_000 {
            match self.group.next_timeout() {
                Some(Moment(at)) if at <= end => {
                    self.now = self.now.max(at);
                    let step = self.group.handle_timeout(self.now());
                    self.play(step);
                }
                _ => {
                    self.now = end;
                    return;
                }
            }
        }
        panic!("the deadlines never end");
    }

    /// Does what a shell does with a step.
    fn play(&mut self, step: Step) {
        assert!(step.records.len() <= 1, "{:?}", step.records);
        if !step.records.is_empty() && std::mem::take(&mut self.log_refuses) {
            for (ticket, _) in step.replies {
                self.answer(ticket, Reply::Failed(GroupError::CoordinatorNotAvailable));
            }
            self.log_is_behind = true;
            let step = self.group.handle_append_failed(self.now());
            self.play(step);
            return;
        }
        for record in step.records {
            self.log_is_behind = false;
            self.group.replay(Some(value_of(&record)));
            self.log.push(record);
        }
        for (ticket, reply) in step.replies {
            self.answer(ticket, reply);
        }
        self.check();
    }

    fn answer(&mut self, ticket: Ticket, reply: Reply) {
        assert!(self.waiting.remove(&ticket), "{ticket:?} twice: {reply:?}");
        self.answered.insert(ticket, reply);
    }

    /// Another coordinator takes over. Who waits is told so by the shell.
    fn reload(&mut self) {
        self.waiting.clear();
        self.group = self.loaded();
        self.generation = 0;
        self.log_is_behind = false;
        let step = self.group.handle_loaded(self.now(), &self.config);
        self.play(step);
    }

    /// What a replay of the log makes.
    fn loaded(&self) -> ClassicGroup {
        let mut group = ClassicGroup::new(Arc::from("g"));
        for record in &self.log {
            group.replay(Some(value_of(record)));
        }
        group
    }

    fn last_record(&self) -> &ClassicGroupValue {
        value_of(self.log.last().expect("a record"))
    }

    fn reply(&mut self, ticket: Ticket) -> Reply {
        self.answered.remove(&ticket).expect("an answer")
    }

    fn is_parked(&self, ticket: Ticket) -> bool {
        self.waiting.contains(&ticket)
    }

    fn joined(&mut self, ticket: Ticket) -> Joined {
        match self.reply(ticket) {
            Reply::Join(Ok(joined)) => joined,
            other => panic!("{other:?}"),
        }
    }

    fn join_refused(&mut self, ticket: Ticket) -> (GroupError, String) {
        match self.reply(ticket) {
            Reply::Join(Err(JoinRefused { error, member_id })) => (error, member_id.to_string()),
            other => panic!("{other:?}"),
        }
    }

    fn synced(&mut self, ticket: Ticket) -> Synced {
        match self.reply(ticket) {
            Reply::Sync(Ok(synced)) => synced,
            other => panic!("{other:?}"),
        }
    }

    fn sync_refused(&mut self, ticket: Ticket) -> GroupError {
        match self.reply(ticket) {
            Reply::Sync(Err(error)) => error,
            other => panic!("{other:?}"),
        }
    }

    /// What must hold after every step.
    fn check(&mut self) {
        self.check_tickets();
        self.check_members();
        self.check_hard_state();
        assert!(self.group.generation >= self.generation);
        self.generation = self.group.generation;
    }

    fn check_tickets(&self) {
        let mut parked = BTreeSet::new();
        for member in self.group.members.iter() {
            for ticket in [member.join, member.sync].into_iter().flatten() {
                assert!(parked.insert(ticket), "{ticket:?} is parked twice");
            }
        }
        assert_eq!(parked, self.waiting);
    }

    fn check_members(&self) {
        let group = &self.group;
        let members = &group.members;
        for member in members.iter() {
            let session = group.deadlines.get(&Deadline::Session(member.id.clone()));
            assert!(session.is_some() || member.is_waiting(), "{}", member.id);
            assert!(!group.pending.contains(&member.id));
            assert!(member.join.is_none() || group.state == State::PreparingRebalance);
            assert!(member.sync.is_none() || group.state == State::CompletingRebalance);
        }
        for member_id in &group.pending {
            let session = Deadline::Session(member_id.clone());
            assert!(group.deadlines.get(&session).is_some());
        }
        let joining = members.iter().filter(|m| m.join.is_some()).count();
        assert_eq!(members.joining(), joining);
        assert_eq!(members.is_empty(), members.leader().is_none());
        assert!(members.leader().is_none_or(|id| members.contains(id)));
        assert!(members.is_empty() || !group.is_empty());
        assert!(members.is_empty() || members.select_protocol().is_some());
        assert!(group.pending_sync.iter().all(|id| members.contains(id)));
    }

    /// Between rebalances the live state is what the log makes.
    fn check_hard_state(&self) {
        let group = &self.group;
        let is_settled = matches!(group.state, State::Stable | State::Empty);
        assert_eq!(group.to_record().as_ref(), self.log.last());
        let is_in_log = !self.log.is_empty() && !self.log_is_behind;
        if is_settled && is_in_log {
            let loaded = self.loaded();
            assert_eq!(group.value(), loaded.value());
            assert_eq!(group.state, loaded.state);
            assert_eq!(group.describe(), loaded.describe());
            assert_eq!(group.subscribed_topics, loaded.subscribed_topics);
        }
        let generations = self.log.iter().map(|r| value_of(r).generation);
        assert!(generations.is_sorted());
    }
}

fn value_of(record: &Record) -> &ClassicGroupValue {
    match record {
        Record::ClassicGroup {
            value: Some(value), ..
        } => value,
        other => panic!("{other:?}"),
    }
}

/// A dynamic consumer that joins for the first time, in a version that needs no id.
fn consumer() -> Join {
    Join {
        client: Client {
            id: Arc::from("c"),
            host: Arc::from("/127.0.0.1"),
        },
        member_id: Arc::from(""),
        instance_id: None,
        protocol_type: Arc::from("consumer"),
        protocols: vec![protocol("range", &["t"])],
        session_timeout_ms: SESSION as i32,
        rebalance_timeout_ms: REBALANCE as i32,
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: false,
        fresh: Uuid::ZERO,
    }
}

fn as_member(member_id: &Arc<str>) -> Join {
    Join {
        member_id: member_id.clone(),
        ..consumer()
    }
}

fn static_consumer(instance_id: &str) -> Join {
    Join {
        instance_id: Some(Arc::from(instance_id)),
        ..consumer()
    }
}

/// A protocol with the subscription of a consumer, version 0.
fn protocol(name: &str, topics: &[&str]) -> (Arc<str>, Bytes) {
    let mut bytes = vec![0, 0];
    bytes.extend((topics.len() as i32).to_be_bytes());
    for topic in topics {
        bytes.extend((topic.len() as i16).to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    (Arc::from(name), Bytes::from(bytes))
}

fn identity(member_id: &Arc<str>, generation: i32) -> Identity {
    Identity {
        member_id: member_id.clone(),
        instance_id: None,
        generation,
    }
}

fn leaving(member_id: &str, instance_id: Option<&str>) -> Leaving {
    Leaving {
        member_id: Arc::from(member_id),
        instance_id: instance_id.map(Arc::from),
        reason: None,
    }
}
