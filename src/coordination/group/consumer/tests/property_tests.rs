//! Whatever members, clocks, topics and brokers do: a partition has one owner.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::owned::OwnedPartitions;
use super::*;

const TOPICS: [&str; 3] = ["foo-1", "foo-2", "bar"];
const EXPRESSIONS: [&str; 3] = ["foo-.*", ".*", "bar|none"];
const CLIENTS: usize = 4;

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    /// A client sends its heartbeat, or joins if it is not in the group.
    Beat {
        client: usize,
        answer: Answer,
    },
    /// A client that must give something up does so.
    Follow {
        client: usize,
    },
    /// A client subscribes otherwise.
    Subscribe {
        client: usize,
        topics: u8,
        expression: Option<usize>,
    },
    /// A client leaves: for good, or as a static member that will be back under another id.
    Leave {
        client: usize,
        for_good: bool,
    },
    /// A client stops without a word, and starts anew under another id.
    Crash {
        client: usize,
    },
    Pass {
        milliseconds: u64,
    },
    /// A topic is created or gets more partitions.
    Grow {
        topic: usize,
    },
    Delete {
        topic: usize,
    },
    Reload,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Answer {
    Arrives,
    IsLost,
    /// The log refuses the records.
    Refused,
}

fn any_event() -> impl Strategy<Value = Event> {
    let client = 0..CLIENTS;
    let answer = prop_oneof![
        8 => Just(Answer::Arrives),
        2 => Just(Answer::IsLost),
        1 => Just(Answer::Refused)
    ];
    prop_oneof![
        12 => (client.clone(), answer).prop_map(|(client, answer)| Event::Beat { client, answer }),
        8 => client.clone().prop_map(|client| Event::Follow { client }),
        3 => (client.clone(), 0u8..8, prop::option::weighted(0.3, 0usize..3)).prop_map(
            |(client, topics, expression)| Event::Subscribe { client, topics, expression }
        ),
        2 => (client.clone(), any::<bool>())
            .prop_map(|(client, for_good)| Event::Leave { client, for_good }),
        1 => client.prop_map(|client| Event::Crash { client }),
        3 => prop_oneof![Just(400u64), Just(5_000), Just(20_000)]
            .prop_map(|milliseconds| Event::Pass { milliseconds }),
        2 => (0..TOPICS.len()).prop_map(|topic| Event::Grow { topic }),
        1 => (0..TOPICS.len()).prop_map(|topic| Event::Delete { topic }),
        1 => Just(Event::Reload),
    ]
}

/// A consumer, as honest as the protocol wants it.
#[derive(Debug, Clone, Default)]
struct Client {
    number: usize,
    /// How often it started: part of its id.
    starts: usize,
    epoch: i32,
    topics: Vec<Arc<str>>,
    expression: Option<Arc<str>>,
    /// Whether the group has heard of its subscription.
    is_subscribed: bool,
    /// What it works on.
    holds: Assignment,
    /// What it was told last.
    told: Assignment,
}

impl Client {
    fn id(&self) -> String {
        format!("client-{}-{}", self.number, self.starts)
    }

    /// Every other one is a static member.
    fn instance(&self) -> Option<Arc<str>> {
        self.number
            .is_multiple_of(2)
            .then(|| Arc::from(format!("instance-{}", self.number)))
    }

    fn start_anew(&mut self) {
        self.starts += 1;
        self.forget();
    }

    fn forget(&mut self) {
        self.epoch = 0;
        self.is_subscribed = false;
        self.holds.clear();
        self.told.clear();
    }

    fn request(&self) -> ConsumerHeartbeat {
        let is_full = self.epoch == 0 || !self.is_subscribed;
        let expression = self.expression.clone().unwrap_or_else(|| Arc::from(""));
        ConsumerHeartbeat {
            instance_id: self.instance(),
            rebalance_timeout_ms: is_full.then_some(15_000),
            subscribed_topics: is_full.then(|| self.topics.clone()),
            subscribed_regex: is_full.then_some(expression),
            owned: Some(self.holds.clone()),
            ..beating(&self.id(), self.epoch)
        }
    }

    /// Takes what it was given, unless it must give something up first. What it reports is then
    /// never less than what it may come to work on.
    fn take(&mut self) {
        let told = OwnedPartitions::at_epoch(&self.told, 0);
        if told.includes(&self.holds) {
            self.holds.clone_from(&self.told);
        }
    }

    fn hear(&mut self, reply: Result<ConsumerHeartbeatReply, GroupError>) {
        match reply {
            Ok(reply) => {
                assert!(
                    reply.member_epoch >= self.epoch,
                    "a member's epoch went back"
                );
                self.epoch = reply.member_epoch;
                self.is_subscribed = true;
                if let Some(assignment) = reply.assignment {
                    self.told = assignment;
                    self.take();
                }
            }
            Err(GroupError::UnreleasedInstanceId) => {}
            Err(GroupError::FencedInstanceId) => self.start_anew(),
            Err(
                GroupError::FencedMemberEpoch(_)
                | GroupError::UnknownMemberId
                | GroupError::GroupIdNotFound(_),
            ) => self.forget(),
            Err(error) => panic!("an honest client was refused: {error:?}"),
        }
    }
}

struct Play {
    world: World,
    clients: Vec<Client>,
}

impl Play {
    fn new(interval_ms: u64) -> Play {
        let mut world = World::new(&[("foo-1", 3), ("bar", 2)]);
        world.config.consumer_assignment_interval = Duration::from_millis(interval_ms);
        let client = |number| Client {
            number,
            topics: vec![Arc::from(TOPICS[0])],
            ..Client::default()
        };
        Play {
            world,
            clients: (0..CLIENTS).map(client).collect(),
        }
    }

    fn happen(&mut self, event: &Event) {
        let before = self.world.group.state.clone();
        match event {
            Event::Beat { client, answer } => self.beat(*client, *answer),
            Event::Follow { client } => self.follow(*client),
            Event::Subscribe {
                client,
                topics,
                expression,
            } => {
                let client = &mut self.clients[*client];
                client.topics = (0..TOPICS.len())
                    .filter(|topic| topics & (1 << topic) != 0)
                    .map(|topic| Arc::from(TOPICS[topic]))
                    .collect();
                client.topics.sort_unstable();
                client.expression = expression.map(|expression| Arc::from(EXPRESSIONS[expression]));
                client.is_subscribed = false;
            }
            Event::Leave { client, for_good } => self.leave(*client, *for_good),
            Event::Crash { client } => self.clients[*client].start_anew(),
            Event::Pass { milliseconds } => self.world.pass(*milliseconds),
            Event::Grow { topic } => {
                let name = TOPICS[*topic];
                let partitions = self.world.cluster.by_name(name).map_or(0, |t| t.partitions);
                self.world.cluster.put(name, partitions.min(6) + 1);
                self.world.topics_changed();
            }
            Event::Delete { topic } => {
                self.world.cluster.delete(TOPICS[*topic]);
                self.world.topics_changed();
            }
            Event::Reload => self.world.reload(),
        }
        let after = &self.world.group.state;
        assert!(after.epoch >= before.epoch && after.target_epoch >= before.target_epoch);
        assert!(after.target_epoch <= after.epoch);
        self.check_owners();
    }

    fn beat(&mut self, client: usize, answer: Answer) {
        let request = self.clients[client].request();
        if answer == Answer::Refused {
            let now = self.world.now();
            let World {
                group,
                config,
                cluster,
                ..
            } = &mut self.world;
            group.handle_heartbeat(now, config, &request, Ticket(1), cluster);
            group.handle_append_failed(now, config);
            return;
        }
        let reply = self.world.ask(&request);
        if answer == Answer::Arrives {
            self.clients[client].hear(reply);
        } else {
            // It asks again, in full.
            self.clients[client].is_subscribed = false;
        }
    }

    fn follow(&mut self, client: usize) {
        let client = &mut self.clients[client];
        client.holds = client.told.clone();
    }

    fn leave(&mut self, client: usize, for_good: bool) {
        let client = &mut self.clients[client];
        let epoch = if for_good || client.instance().is_none() {
            -1
        } else {
            -2
        };
        let request = ConsumerHeartbeat {
            instance_id: client.instance(),
            ..beating(&client.id(), epoch)
        };
        let is_member = client.epoch != 0;
        client.start_anew();
        if is_member {
            // Who was put out already is told so.
            let _ = self.world.ask(&request);
        }
    }

    /// Nobody works on what another may work on too, nor on what the group does not know of.
    fn check_owners(&self) {
        let mut seen = BTreeMap::new();
        for (id, member) in &self.world.group.state.members {
            for (topic, partition, _) in member
                .assigned
                .iter()
                .chain(member.pending_revocation.iter())
            {
                let other = seen.insert((topic, partition), id);
                assert!(
                    other.is_none(),
                    "{id} and {other:?} have {topic}-{partition}"
                );
            }
        }
        for client in &self.clients {
            let Some(member) = self.world.group.state.members.get(client.id().as_str()) else {
                // Put out without knowing it yet: its session is over, and it stopped by then.
                continue;
            };
            let mut all = member.assigned.clone();
            all.add(&member.pending_revocation);
            assert!(
                all.includes(&client.holds),
                "{} holds what was given away",
                client.id()
            );
        }
    }

    /// Everybody follows what it is told until nothing changes.
    fn settle(&mut self) {
        // Long enough for the silent to be put out; then until a round passes without records.
        for round in 0..40 {
            let before = self.world.log.len();
            for client in 0..CLIENTS {
                self.happen(&Event::Beat {
                    client,
                    answer: Answer::Arrives,
                });
                self.happen(&Event::Follow { client });
            }
            self.happen(&Event::Pass {
                milliseconds: 5_000,
            });
            if round > 12 && self.world.log.len() == before {
                break;
            }
        }
    }

    fn check_settled(&self) {
        assert_eq!(self.world.group.state_name(), "Stable");
        let state = &self.world.group.state;
        assert_eq!(state.members.len(), CLIENTS);
        let mut held = std::collections::BTreeSet::new();
        for client in &self.clients {
            let member = &state.members[client.id().as_str()];
            assert_eq!(client.holds, member.assigned.partitions());
            held.extend(
                member
                    .assigned
                    .iter()
                    .map(|(topic, partition, _)| (topic, partition)),
            );
        }
        let wanted = state
            .topics
            .keys()
            .filter_map(|name| self.world.cluster.by_name(name));
        let wanted = wanted.flat_map(|t| (0..t.partitions).map(move |partition| (t.id, partition)));
        assert_eq!(held, wanted.collect());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_partition_never_has_two_owners_and_in_the_end_it_has_one(
        events in prop::collection::vec(any_event(), 1..80),
        interval_ms in prop_oneof![Just(0u64), Just(1_000)],
    ) {
        let mut play = Play::new(interval_ms);
        for event in &events {
            play.happen(event);
        }
        play.settle();
        play.check_settled();
        let before = play.world.log.len();
        play.settle();
        let expressions = |record: &&Record| matches!(record, Record::RegularExpression { .. });
        let later = &play.world.log[before..];
        prop_assert_eq!(later.iter().filter(expressions).count(), later.len(), "the group is at rest");
    }
}
