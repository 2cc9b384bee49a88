//! A group in the hands of a shell that appends at once, keeps the log, and counts answers.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::coordination::config::GroupConfig;
use crate::coordination::group::Group;
use crate::coordination::messages::{
    CommitOffset, CommitOffsets, FetchOffsets, FetchedOffset, GroupError, Identity, Reply, Request,
};
use crate::coordination::topics::{TopicFacts, Topics};
use crate::coordination::{Now, Step, Ticket};
use crate::model::{LeaderEpoch, Moment, Offset, Timestamp, TopicId, Uuid};
use crate::protocol::consumer_offsets::{Record, decode, encode};

/// Topics a test makes and deletes.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    topics: RefCell<BTreeMap<Arc<str>, (TopicId, i32)>>,
    version: RefCell<i64>,
}

impl Cluster {
    /// Makes a topic, or lets it grow; the id is made of the number.
    pub(crate) fn put(&self, name: &str, id: u8, partitions: i32) {
        let facts = (Uuid([id; 16]), partitions);
        self.topics.borrow_mut().insert(Arc::from(name), facts);
        *self.version.borrow_mut() += 1;
    }

    pub(crate) fn remove(&self, name: &str) {
        self.topics.borrow_mut().remove(name);
        *self.version.borrow_mut() += 1;
    }
}

impl Topics for Cluster {
    fn by_name(&self, name: &str) -> Option<TopicFacts> {
        let topics = self.topics.borrow();
        let (name, (id, partitions)) = topics.get_key_value(name)?;
        Some(TopicFacts {
            id: *id,
            name: Arc::clone(name),
            partitions: *partitions,
            racks: Vec::new(),
        })
    }

    fn by_id(&self, id: &TopicId) -> Option<TopicFacts> {
        let topics = self.topics.borrow();
        let name = topics.iter().find(|(_, (its, _))| its == id)?.0.clone();
        drop(topics);
        self.by_name(&name)
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&Arc<str>)) {
        self.topics.borrow().keys().for_each(visit);
    }

    fn version(&self) -> i64 {
        *self.version.borrow()
    }
}

/// A group, its log, and who waits.
pub(crate) struct Driven {
    pub(crate) group: Group,
    pub(crate) config: Arc<GroupConfig>,
    pub(crate) cluster: Cluster,
    pub(crate) log: Vec<Record>,
    pub(crate) moment: Moment,
    pub(crate) wall: Timestamp,
    tickets: u64,
    pub(crate) waiting: BTreeSet<Ticket>,
    /// The log refuses the next records that come.
    pub(crate) refuses: bool,
    /// Answers that nobody has looked at.
    pub(crate) answers: BTreeMap<Ticket, Reply>,
}

pub(crate) const GROUP: &str = "g";

impl Driven {
    pub(crate) fn new(config: GroupConfig) -> Driven {
        let config = Arc::new(config);
        Driven {
            group: Group::new(Arc::from(GROUP), Arc::clone(&config)),
            config,
            cluster: Cluster::default(),
            log: Vec::new(),
            moment: Moment(1_000),
            wall: Timestamp(1_700_000_000_000),
            tickets: 0,
            waiting: BTreeSet::new(),
            refuses: false,
            answers: BTreeMap::new(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now {
            moment: self.moment,
            wall: self.wall,
        }
    }

    /// Asks; the answer may come later.
    pub(crate) fn ask(&mut self, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket);
        let step = self
            .group
            .handle(self.now(), request, ticket, &self.cluster);
        self.store(step);
        self.run();
        ticket
    }

    /// Asks what is answered at once.
    pub(crate) fn answer(&mut self, request: Request) -> Reply {
        let ticket = self.ask(request);
        self.answers.remove(&ticket).expect("no answer yet")
    }

    /// Asks, and the log refuses the records, if there are any.
    pub(crate) fn ask_in_vain(&mut self, request: Request) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket);
        let step = self
            .group
            .handle(self.now(), request, ticket, &self.cluster);
        self.refuse(step);
        ticket
    }

    /// The log refuses the records of a step.
    pub(crate) fn refuse(&mut self, step: Step) {
        if step.records.is_empty() {
            return self.store(step);
        }
        let failed = Reply::Failed(GroupError::CoordinatorNotAvailable);
        for (ticket, _) in step.replies {
            self.take_answer(ticket, failed.clone());
        }
        let step = self.group.handle_append_failed(self.now());
        self.store(step);
        self.run();
    }

    /// Lets time pass, and does what comes due on the way, each at its moment.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.moment + time;
        while let Some(due) = self.group.next_timeout().filter(|due| *due <= end) {
            self.go_to(due.max(self.moment));
            self.run();
        }
        self.go_to(end);
    }

    fn go_to(&mut self, moment: Moment) {
        let passed = moment.since(self.moment).as_millis();
        self.wall.0 += i64::try_from(passed).unwrap();
        self.moment = moment;
    }

    /// Does what is due now.
    pub(crate) fn run(&mut self) {
        for _ in 0..1_000 {
            if self.group.next_timeout().is_none_or(|at| at > self.moment) {
                return;
            }
            let step = self.group.handle_timeout(self.now(), &self.cluster);
            self.store(step);
        }
        panic!("the group is never done");
    }

    pub(crate) fn expire(&mut self) {
        let step = self.group.handle_expiry(self.now());
        self.store(step);
        self.run();
    }

    pub(crate) fn delete_topics(&mut self, names: &[&str]) {
        names.iter().for_each(|name| self.cluster.remove(name));
        self.topics_changed(names);
    }

    pub(crate) fn topics_changed(&mut self, deleted: &[&str]) {
        let deleted: Vec<Arc<str>> = deleted.iter().copied().map(Arc::from).collect();
        let now = self.now();
        let step = self
            .group
            .handle_topics_changed(now, &self.cluster, &deleted);
        self.store(step);
        self.run();
    }

    /// Another coordinator takes over: who waited here is told by the shell, and the log is read.
    pub(crate) fn reload(&mut self) {
        for ticket in std::mem::take(&mut self.waiting) {
            self.answers
                .insert(ticket, Reply::Failed(GroupError::NotCoordinator));
        }
        self.group = replayed(&self.log, &self.config);
        let step = self.group.handle_loaded(self.now());
        self.store(step);
        self.run();
    }

    /// What the shell does with a step: appends, replays, answers.
    pub(crate) fn store(&mut self, step: Step) {
        if self.refuses && !step.records.is_empty() {
            self.refuses = false;
            return self.refuse(step);
        }
        for record in step.records {
            // Through the log, for what is read later must be what was replayed at once.
            let encoded = encode(&record).unwrap();
            let read = decode(&encoded.key, encoded.value.as_deref()).unwrap();
            assert_eq!(read.as_ref(), Some(&record));
            self.group.replay(&record);
            self.log.push(record);
        }
        for (ticket, reply) in step.replies {
            self.take_answer(ticket, reply);
        }
    }

    fn take_answer(&mut self, ticket: Ticket, reply: Reply) {
        let waited = self.waiting.remove(&ticket);
        assert!(waited, "{ticket:?} is answered twice: {reply:?}");
        self.answers.insert(ticket, reply);
    }

    /// The hard state is what a replay of the log makes, and what a replay of the log makes once
    /// it has been compacted, with and without its tombstones.
    pub(crate) fn assert_state_is_the_log(&self) {
        let of = |log: &[Record]| replayed(log, &self.config).hard_state();
        let state = self.group.hard_state();
        assert_eq!(state, of(&self.log), "the log is {:#?}", self.log);
        let mut compacted = compact(&self.log);
        assert_eq!(state, of(&compacted), "compacted: {compacted:#?}");
        compacted.retain(|record| !record.is_tombstone());
        assert_eq!(state, of(&compacted), "without tombstones: {compacted:#?}");
    }

    pub(crate) fn commit(&mut self, offsets: &[(&str, i32, i64)]) -> Reply {
        self.answer(Request::CommitOffsets(commit_by("", -1, offsets)))
    }

    pub(crate) fn fetch_all(&mut self) -> Vec<(String, i32, i64)> {
        let request = FetchOffsets {
            member: None,
            require_stable: false,
            wanted: None,
        };
        match self.answer(Request::FetchOffsets(request)) {
            Reply::FetchOffsets(Ok(offsets)) => offsets.iter().map(short).collect(),
            other => panic!("{other:?}"),
        }
    }
}

/// An offset as a test writes it.
pub(crate) fn short(offset: &FetchedOffset) -> (String, i32, i64) {
    (offset.topic.to_string(), offset.partition, offset.offset.0)
}

/// A commit of a member.
pub(crate) fn commit_by(
    member_id: &str,
    generation: i32,
    offsets: &[(&str, i32, i64)],
) -> CommitOffsets {
    CommitOffsets {
        identity: Identity {
            member_id: Arc::from(member_id),
            instance_id: None,
            generation,
        },
        retention_ms: None,
        version: 9,
        offsets: offsets
            .iter()
            .map(|(topic, partition, offset)| CommitOffset {
                topic: Arc::from(*topic),
                topic_id: TopicId::ZERO,
                partition: *partition,
                offset: Offset(*offset),
                leader_epoch: LeaderEpoch::NONE,
                metadata: Arc::from(""),
            })
            .collect(),
    }
}

pub(crate) fn replayed(log: &[Record], config: &Arc<GroupConfig>) -> Group {
    let mut group = Group::new(Arc::from(GROUP), Arc::clone(config));
    log.iter().for_each(|record| group.replay(record));
    group
}

/// The last record of each key, in the order of the log.
fn compact(log: &[Record]) -> Vec<Record> {
    let last: BTreeMap<_, usize> = log
        .iter()
        .enumerate()
        .map(|(at, record)| (encode(record).unwrap().key, at))
        .collect();
    let kept: BTreeSet<usize> = last.into_values().collect();
    kept.into_iter().map(|at| log[at].clone()).collect()
}
