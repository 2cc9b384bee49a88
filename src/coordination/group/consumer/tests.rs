//! The machine alone, step by step. The harness plays the shell: it appends what a step plans,
//! replays it, and checks each time that the state is what a replay of the whole log would make.

mod cost_tests;
mod expressions_tests;
mod joining_tests;
mod property_tests;
mod reconciling_tests;

use std::cell::Cell;
use std::collections::BTreeMap;

use super::*;
use crate::coordination::messages::Client;
use crate::coordination::topics::TopicFacts;
use crate::model::{Timestamp, TopicId, Uuid};
use crate::protocol::consumer_offsets::Assignment;

/// The topics of the cluster.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    topics: BTreeMap<Arc<str>, TopicFacts>,
    version: i64,
    /// How often all names were gone through.
    pub(super) scans: Cell<usize>,
    created: u8,
}

impl Cluster {
    pub(super) fn with(topics: &[(&str, i32)]) -> Cluster {
        let mut cluster = Cluster::default();
        for (name, partitions) in topics {
            cluster.put(name, *partitions);
        }
        cluster
    }

    /// Creates a topic, or changes the number of its partitions.
    pub(super) fn put(&mut self, name: &str, partitions: i32) {
        self.version += 1;
        self.created += 1;
        let mut id = [0; 16];
        (id[0], id[15]) = (1, self.created);
        let facts = self.topics.entry(Arc::from(name)).or_insert(TopicFacts {
            id: Uuid(id),
            name: Arc::from(name),
            partitions,
            racks: Vec::new(),
        });
        facts.partitions = partitions;
    }

    pub(super) fn delete(&mut self, name: &str) {
        self.version += 1;
        self.topics.remove(name);
    }

    pub(super) fn id(&self, name: &str) -> TopicId {
        self.topics[name].id
    }
}

impl Topics for Cluster {
    fn by_name(&self, name: &str) -> Option<TopicFacts> {
        self.topics.get(name).cloned()
    }

    fn by_id(&self, id: &TopicId) -> Option<TopicFacts> {
        let mut topics = self.topics.values();
        topics.find(|topic| topic.id == *id).cloned()
    }

    fn for_each_name(&self, visit: &mut dyn FnMut(&Arc<str>)) {
        self.scans.set(self.scans.get() + 1);
        self.topics.keys().for_each(visit);
    }

    fn version(&self) -> i64 {
        self.version
    }
}

/// A group, its log, and the time.
pub(super) struct World {
    pub(super) group: ConsumerGroup,
    pub(super) config: GroupConfig,
    pub(super) cluster: Cluster,
    pub(super) log: Vec<Record>,
    /// What the log makes, step by step.
    pub(super) replayed: State,
    pub(super) milliseconds: u64,
    /// The records of the last step.
    pub(super) last: Vec<Record>,
}

impl World {
    /// Assigns at once, unless a test is about the interval.
    pub(super) fn new(topics: &[(&str, i32)]) -> World {
        World {
            group: ConsumerGroup::new(Arc::from("group")),
            config: GroupConfig {
                consumer_assignment_interval: Duration::ZERO,
                ..GroupConfig::default()
            },
            cluster: Cluster::with(topics),
            log: Vec::new(),
            replayed: State::default(),
            milliseconds: 0,
            last: Vec::new(),
        }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            moment: Moment(self.milliseconds),
            wall: Timestamp(1_700_000_000_000 + i64::try_from(self.milliseconds).unwrap()),
        }
    }

    /// Does what the shell does with a step.
    pub(super) fn take(&mut self, step: Step) -> Vec<(Ticket, Reply)> {
        for record in &step.records {
            self.group.replay(record);
            self.replayed.replay(record);
        }
        self.log.extend(step.records.iter().cloned());
        self.last = step.records;
        assert_eq!(
            self.group.state, self.replayed,
            "state is not what the log says"
        );
        step.replies
    }

    pub(super) fn ask(
        &mut self,
        request: &ConsumerHeartbeat,
    ) -> Result<ConsumerHeartbeatReply, GroupError> {
        let now = self.now();
        let step =
            self.group
                .handle_heartbeat(now, &self.config, request, Ticket(7), &self.cluster);
        match self.take(step).pop() {
            Some((Ticket(7), Reply::ConsumerHeartbeat(reply))) => reply,
            other => panic!("not an answer to a heartbeat: {other:?}"),
        }
    }

    pub(super) fn join(&mut self, member: &str, topics: &[&str]) -> ConsumerHeartbeatReply {
        self.ask(&joining(member, topics)).unwrap()
    }

    /// A heartbeat that says nothing but the epoch.
    pub(super) fn beat(
        &mut self,
        member: &str,
        epoch: i32,
    ) -> Result<ConsumerHeartbeatReply, GroupError> {
        self.ask(&beating(member, epoch))
    }

    /// A heartbeat that also says what the member has.
    pub(super) fn report(
        &mut self,
        member: &str,
        epoch: i32,
        owned: &[(&str, &[i32])],
    ) -> Result<ConsumerHeartbeatReply, GroupError> {
        let owned = self.assignment(owned);
        self.ask(&ConsumerHeartbeat {
            owned: Some(owned),
            ..beating(member, epoch)
        })
    }

    pub(super) fn assignment(&self, topics: &[(&str, &[i32])]) -> Assignment {
        topics
            .iter()
            .map(|(name, partitions)| (self.cluster.id(name), partitions.to_vec()))
            .collect()
    }

    /// Lets time pass and acts on what is due.
    pub(super) fn pass(&mut self, milliseconds: u64) {
        let until = self.milliseconds + milliseconds;
        while let Some(next) = self.group.next_timeout().filter(|next| next.0 <= until) {
            self.milliseconds = self.milliseconds.max(next.0);
            let step = self
                .group
                .handle_timeout(self.now(), &self.config, &self.cluster);
            self.take(step);
        }
        self.milliseconds = until;
    }

    pub(super) fn topics_changed(&mut self) {
        let step = self
            .group
            .handle_topics_changed(self.now(), &self.config, &self.cluster);
        self.take(step);
    }

    /// Another broker takes over: nothing is left but the log.
    pub(super) fn reload(&mut self) {
        self.group = ConsumerGroup::new(Arc::from("group"));
        self.log.iter().for_each(|record| self.group.replay(record));
        assert_eq!(self.group.state, self.replayed);
        self.group.handle_loaded(self.now(), &self.config);
    }

    pub(super) fn epoch(&self) -> i32 {
        self.group.state.epoch
    }

    /// What a member has, in short.
    pub(super) fn has(&self, member: &str) -> String {
        shown(
            &self.cluster,
            &self.group.state.members[member].assigned.partitions(),
        )
    }

    pub(super) fn state_of(&self, member: &str) -> MemberState {
        self.group.state.members[member].state
    }
}

/// An assignment as text: `foo:0,1 bar:2`.
pub(super) fn shown(cluster: &Cluster, assignment: &Assignment) -> String {
    let topics: Vec<String> = assignment
        .iter()
        .map(|(id, partitions)| {
            let name = cluster
                .by_id(id)
                .map_or_else(|| Arc::from("?"), |facts| facts.name);
            let partitions: Vec<String> = partitions.iter().map(i32::to_string).collect();
            format!("{name}:{}", partitions.join(","))
        })
        .collect();
    topics.join(" ")
}

pub(super) fn beating(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        client: Client {
            id: Arc::from("client"),
            host: Arc::from("/127.0.0.1"),
        },
        member_id: Arc::from(member),
        member_epoch: epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: None,
        subscribed_topics: None,
        subscribed_regex: None,
        server_assignor: None,
        owned: None,
        fresh: Uuid([7; 16]),
    }
}

pub(super) fn joining(member: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout_ms: Some(30_000),
        subscribed_topics: Some(topics.iter().copied().map(Arc::from).collect()),
        owned: Some(Assignment::new()),
        ..beating(member, 0)
    }
}

pub(super) fn joining_static(member: &str, instance: &str, topics: &[&str]) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        instance_id: Some(Arc::from(instance)),
        ..joining(member, topics)
    }
}
