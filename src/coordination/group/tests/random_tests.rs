//! Whatever members, admins, topics, clocks and logs do to a group: its hard state is what the log
//! says, everybody is answered once, and no partition has two owners.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::driven::{Driven, commit_by};
use crate::coordination::Ticket;
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{
    Client, ConsumerHeartbeat, FetchOffsets, GroupError, Identity, Join, Leaving, Reply, Request,
    Sync,
};
use crate::model::Uuid;
use crate::protocol::consumer_offsets::{Assignment, Record};
use crate::protocol::consumer_protocol::{MemberAssignment, Subscription};

const CLIENTS: usize = 3;
const TOPICS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Event {
    Join {
        client: usize,
        requires_known_member_id: bool,
        is_connect: bool,
    },
    Sync(usize),
    Beat(usize),
    Leave(usize),
    ConsumerBeat {
        client: usize,
        topics: u8,
        expression: bool,
    },
    ConsumerLeave {
        client: usize,
        is_back_soon: bool,
    },
    Commit {
        who: Committer,
        topic: usize,
        partition: i32,
        retention_ms: Option<i64>,
    },
    Fetch,
    DeleteOffsets(usize),
    Delete,
    Pass(u64),
    Expire,
    Reload,
    /// The log refuses the next records.
    Refuse,
    Grow(usize),
    DeleteTopic(usize),
}

#[derive(Debug, Clone)]
enum Committer {
    Nobody,
    Classic(usize),
    Consumer(usize),
    Stranger(i32),
}

/// A client as far as it knows itself.
#[derive(Debug, Default)]
struct Member {
    member_id: Arc<str>,
    /// Generation, or member epoch.
    epoch: i32,
    followers: Vec<Arc<str>>,
    waits: Option<Ticket>,
    owned: Assignment,
}

struct World {
    group: Driven,
    classic: [Member; CLIENTS],
    consumer: [Member; CLIENTS],
    fresh: u8,
    offset: i64,
}

impl World {
    fn new() -> World {
        let group = Driven::new(GroupConfig {
            initial_rebalance_delay: Duration::from_millis(500),
            offsets_retention: Duration::from_secs(60),
            batch_bytes_max: 2_000,
            ..GroupConfig::default()
        });
        for (topic, id) in TOPICS.iter().zip(1..) {
            group.cluster.put(topic, id, 2);
        }
        World {
            group,
            classic: Default::default(),
            consumer: Default::default(),
            fresh: 10,
            offset: 0,
        }
    }

    fn fresh(&mut self) -> Uuid {
        self.fresh += 1;
        Uuid([self.fresh; 16])
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Join {
                client,
                requires_known_member_id,
                is_connect,
            } => self.join(client, requires_known_member_id, is_connect),
            Event::Sync(client) => self.sync(client),
            Event::Beat(client) => {
                let request = Request::Heartbeat(self.identity(client));
                self.group.ask(request);
            }
            Event::Leave(client) => {
                let leaving = Leaving {
                    member_id: Arc::clone(&self.classic[client].member_id),
                    instance_id: None,
                    reason: None,
                };
                self.group.ask(Request::Leave(vec![leaving]));
            }
            Event::ConsumerBeat {
                client,
                topics,
                expression,
            } => self.consumer_beat(client, topics, expression),
            Event::ConsumerLeave {
                client,
                is_back_soon,
            } => self.consumer_leave(client, is_back_soon),
            Event::Commit {
                ref who,
                topic,
                partition,
                retention_ms,
            } => self.commit(who, topic, partition, retention_ms),
            Event::DeleteOffsets(topic) => {
                let asked = vec![(Arc::from(TOPICS[topic]), vec![0, 1, 2])];
                self.group.ask(Request::DeleteOffsets(asked));
            }
            Event::Grow(topic) => self.grow(topic),
            Event::Fetch => self.fetch(),
            Event::Delete => {
                self.group.ask(Request::Delete);
            }
            Event::Pass(ms) => self.group.pass(Duration::from_millis(ms)),
            Event::Expire => self.group.expire(),
            Event::Reload => self.group.reload(),
            Event::Refuse => self.group.refuses = true,
            Event::DeleteTopic(topic) => self.group.delete_topics(&[TOPICS[topic]]),
        }
        self.hear();
        self.group.assert_state_is_the_log();
        self.assert_one_owner();
    }

    fn identity(&self, client: usize) -> Identity {
        let member = &self.classic[client];
        Identity {
            member_id: Arc::clone(&member.member_id),
            instance_id: None,
            generation: member.epoch,
        }
    }

    fn join(&mut self, client: usize, requires_known_member_id: bool, is_connect: bool) {
        let subscription = Subscription {
            version: 1,
            topics: vec![Arc::from(TOPICS[client])],
            user_data: None,
            owned: Vec::new(),
            generation: -1,
            rack_id: None,
        };
        let protocol_type = if is_connect { "connect" } else { "consumer" };
        let request = Request::Join(Join {
            client: Client {
                id: Arc::from("c"),
                host: Arc::from("/h"),
            },
            member_id: Arc::clone(&self.classic[client].member_id),
            instance_id: (client == 0).then(|| Arc::from("static")),
            protocol_type: Arc::from(protocol_type),
            protocols: vec![(Arc::from("range"), subscription.encode().unwrap())],
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 20_000,
            reason: None,
            requires_known_member_id,
            supports_skipping_assignment: true,
            fresh: self.fresh(),
        });
        let ticket = self.group.ask(request);
        self.classic[client].waits = Some(ticket);
    }

    fn sync(&mut self, client: usize) {
        // No partition to two, as a leader does that is in its senses.
        let partitions = [("a", 0), ("a", 1), ("b", 0), ("b", 1)];
        let followers = self.classic[client].followers.iter().zip(partitions);
        let assignments: Vec<(Arc<str>, Bytes)> = followers
            .map(|(member_id, (topic, partition))| {
                let assignment = MemberAssignment {
                    version: 1,
                    partitions: vec![(Arc::from(topic), vec![partition])],
                    user_data: None,
                };
                (Arc::clone(member_id), assignment.encode().unwrap())
            })
            .collect();
        let request = Request::Sync(Sync {
            identity: self.identity(client),
            protocol_type: None,
            protocol_name: None,
            assignments,
        });
        self.group.ask(request);
    }

    fn consumer_beat(&mut self, client: usize, topics: u8, expression: bool) {
        let joins = self.consumer[client].epoch <= 0;
        if joins && self.consumer[client].member_id.is_empty() {
            self.consumer[client].member_id = Arc::from(format!("m{client}"));
        }
        let member = &self.consumer[client];
        let names = TOPICS.iter().enumerate();
        let names = names.filter(|(at, _)| topics & (1 << at) != 0);
        let names: Vec<Arc<str>> = names.map(|(_, name)| Arc::from(*name)).collect();
        let request = ConsumerHeartbeat {
            member_epoch: member.epoch.max(0),
            rebalance_timeout_ms: joins.then_some(20_000),
            subscribed_topics: (joins || topics > 0).then_some(names),
            subscribed_regex: expression.then(|| Arc::from("a|b")),
            owned: (joins || topics > 3).then(|| match joins {
                true => Assignment::new(),
                false => member.owned.clone(),
            }),
            ..self.consumer_heartbeat(client)
        };
        let ticket = self.group.ask(Request::ConsumerHeartbeat(request));
        self.consumer[client].waits = Some(ticket);
    }

    fn consumer_leave(&mut self, client: usize, is_back_soon: bool) {
        let is_static = client == 0;
        let request = ConsumerHeartbeat {
            member_epoch: if is_back_soon && is_static { -2 } else { -1 },
            ..self.consumer_heartbeat(client)
        };
        let ticket = self.group.ask(Request::ConsumerHeartbeat(request));
        self.consumer[client].waits = Some(ticket);
    }

    /// A heartbeat that says nothing.
    fn consumer_heartbeat(&self, client: usize) -> ConsumerHeartbeat {
        let member = &self.consumer[client];
        ConsumerHeartbeat {
            client: Client {
                id: Arc::from("c"),
                host: Arc::from("/h"),
            },
            member_id: Arc::clone(&member.member_id),
            member_epoch: member.epoch,
            instance_id: (client == 0).then(|| Arc::from("static")),
            rack_id: None,
            rebalance_timeout_ms: None,
            subscribed_topics: None,
            subscribed_regex: None,
            server_assignor: None,
            owned: None,
            fresh: Uuid::ZERO,
        }
    }

    fn commit(&mut self, who: &Committer, topic: usize, partition: i32, retention: Option<i64>) {
        self.offset += 1;
        let (member_id, generation) = match who {
            Committer::Nobody => (Arc::from(""), -1),
            Committer::Stranger(generation) => (Arc::from("stranger"), *generation),
            Committer::Classic(client) => {
                let member = &self.classic[*client];
                (Arc::clone(&member.member_id), member.epoch)
            }
            Committer::Consumer(client) => {
                let member = &self.consumer[*client];
                (Arc::clone(&member.member_id), member.epoch)
            }
        };
        let offsets = [(TOPICS[topic], partition, self.offset)];
        let mut commit = commit_by(&member_id, generation, &offsets);
        commit.retention_ms = retention;
        let facts =
            crate::coordination::topics::Topics::by_name(&self.group.cluster, TOPICS[topic]);
        commit.offsets[0].topic_id = facts.map(|facts| facts.id).unwrap_or_default();
        let ticket = self.group.ask(Request::CommitOffsets(commit));
        let taken = Reply::CommitOffsets(Ok(vec![Ok(())]));
        if self.group.answers.get(&ticket) == Some(&taken) {
            let value = self.group.group.offsets.get(TOPICS[topic], partition);
            assert_eq!(value.map(|it| it.offset.0), Some(self.offset));
        }
    }

    fn fetch(&mut self) {
        let request = FetchOffsets {
            member: None,
            require_stable: true,
            wanted: None,
        };
        for request in [
            Request::FetchOffsets(request),
            Request::DescribeClassic,
            Request::DescribeConsumer,
            Request::Summarize,
        ] {
            let answer = self.group.answer(request);
            assert!(!matches!(answer, Reply::Failed(_)));
        }
    }

    fn grow(&mut self, topic: usize) {
        let known =
            crate::coordination::topics::Topics::by_name(&self.group.cluster, TOPICS[topic]);
        match known {
            Some(facts) if facts.partitions < 6 => {
                let id = facts.id.0[0];
                self.group
                    .cluster
                    .put(TOPICS[topic], id, facts.partitions + 1);
            }
            Some(_) => {}
            None => {
                let id = self.fresh().0[0];
                self.group.cluster.put(TOPICS[topic], id, 1);
            }
        }
        self.group.topics_changed(&[]);
    }

    /// Clients take note of what they were answered.
    fn hear(&mut self) {
        let answers = std::mem::take(&mut self.group.answers);
        let members = self.classic.iter_mut().chain(&mut self.consumer);
        for member in members {
            let Some(reply) = member.waits.and_then(|ticket| answers.get(&ticket)) else {
                continue;
            };
            member.waits = None;
            member.hear(reply);
        }
    }

    /// Of the partitions that members of a consumer group have.
    fn assert_one_owner(&mut self) {
        let Reply::DescribeConsumer(Ok(group)) = self.group.answer(Request::DescribeConsumer)
        else {
            return;
        };
        let mut owned = BTreeSet::new();
        for member in &group.members {
            for (topic, partitions) in &member.assigned {
                for partition in partitions {
                    let is_free = owned.insert((*topic, *partition));
                    assert!(is_free, "two have {topic}-{partition}: {group:#?}");
                }
            }
        }
    }

    /// Epochs and generations, from the group's beginning to its tombstone.
    fn assert_epochs_rise(&self) {
        let (mut epoch, mut generation) = (-1, -1);
        for record in &self.group.log {
            match record {
                Record::ConsumerGroup { value, .. } => {
                    let next = value.map_or(-1, |value| value.epoch);
                    assert!(next == -1 || next > epoch, "{:#?}", self.group.log);
                    epoch = next;
                }
                Record::ClassicGroup { value, .. } => {
                    let next = value.as_ref().map_or(-1, |value| value.generation);
                    assert!(next == -1 || next >= generation, "{:#?}", self.group.log);
                    generation = next;
                }
                _ => {}
            }
        }
    }
}

impl Member {
    fn hear(&mut self, reply: &Reply) {
        match reply {
            Reply::Join(Ok(joined)) => {
                self.member_id = Arc::clone(&joined.member_id);
                self.epoch = joined.generation;
                self.followers = joined
                    .members
                    .iter()
                    .map(|member| Arc::clone(&member.member_id))
                    .collect();
            }
            Reply::Join(Err(refused)) => {
                self.member_id = match refused.error {
                    GroupError::MemberIdRequired => Arc::clone(&refused.member_id),
                    _ => Arc::default(),
                };
            }
            Reply::ConsumerHeartbeat(Ok(reply)) => {
                self.epoch = reply.member_epoch;
                if let Some(assignment) = &reply.assignment {
                    self.owned = assignment.clone();
                }
            }
            Reply::ConsumerHeartbeat(Err(_)) => {
                self.epoch = 0;
                self.owned = Assignment::new();
            }
            _ => {}
        }
    }
}

fn client() -> impl Strategy<Value = usize> {
    0..CLIENTS
}

fn topic() -> impl Strategy<Value = usize> {
    0..TOPICS.len()
}

fn committer() -> impl Strategy<Value = Committer> {
    prop_oneof![
        2 => Just(Committer::Nobody),
        3 => client().prop_map(Committer::Classic),
        3 => client().prop_map(Committer::Consumer),
        1 => (-1..3i32).prop_map(Committer::Stranger),
    ]
}

fn classic_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (client(), any::<bool>(), prop::bool::weighted(0.1)).prop_map(
            |(client, requires_known_member_id, is_connect)| Event::Join {
                client,
                requires_known_member_id,
                is_connect,
            }
        ),
        3 => client().prop_map(Event::Sync),
        2 => client().prop_map(Event::Beat),
        1 => client().prop_map(Event::Leave),
    ]
}

fn consumer_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (client(), 0..8u8, prop::bool::weighted(0.2)).prop_map(
            |(client, topics, expression)| Event::ConsumerBeat {
                client,
                topics,
                expression,
            }
        ),
        1 => (client(), any::<bool>()).prop_map(|(client, is_back_soon)| Event::ConsumerLeave {
            client,
            is_back_soon,
        }),
    ]
}

fn other_event() -> impl Strategy<Value = Event> {
    let retention_ms = prop::option::weighted(0.2, 0..100_000i64);
    prop_oneof![
        5 => (committer(), topic(), 0..40i32, retention_ms).prop_map(
            |(who, topic, partition, retention_ms)| Event::Commit {
                who,
                topic,
                partition,
                retention_ms,
            }
        ),
        1 => Just(Event::Fetch),
        1 => topic().prop_map(Event::DeleteOffsets),
        1 => Just(Event::Delete),
        4 => prop_oneof![Just(100u64), Just(600), Just(11_000), Just(70_000)].prop_map(Event::Pass),
        1 => Just(Event::Expire),
        1 => Just(Event::Reload),
        1 => Just(Event::Refuse),
        1 => topic().prop_map(Event::Grow),
        1 => topic().prop_map(Event::DeleteTopic),
    ]
}

/// Stretches of one protocol, for members that always get in each other's way come nowhere.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let stretch = |event: BoxedStrategy<Event>| {
        prop::collection::vec(prop_oneof![2 => event, 1 => other_event()], 1..20)
    };
    let stretches = prop_oneof![
        stretch(classic_event().boxed()),
        stretch(consumer_event().boxed()),
        stretch(prop_oneof![classic_event(), consumer_event()].boxed()),
    ];
    prop::collection::vec(stretches, 1..5).prop_map(|stretches| stretches.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_happens_to_a_group_the_log_makes_it_and_everybody_is_answered_once(
        events in events(),
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
        world.assert_epochs_rise();
        // Nobody waits for ever.
        world.group.refuses = false;
        world.group.pass(Duration::from_secs(600));
        prop_assert!(world.group.waiting.is_empty(), "{:?} wait", world.group.waiting);
        world.hear();
        world.group.assert_state_is_the_log();
        // Members that are silent are gone, and with time so is everything.
        world.group.pass(Duration::from_secs(600));
        world.group.expire();
        world.group.expire();
        let left = world.group.group.hard_state();
        prop_assert!(world.group.group.is_gone(), "{left:#?}");
    }
}
