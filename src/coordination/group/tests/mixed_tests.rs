//! Members of both protocols at random: whatever they do, no partition has two owners while the group
//! is a consumer group, the state is what the log says, and in the end all of them are at rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::driven::Driven;
use super::migration_tests::{arriving, assigned, beating, identity, joining, world_with};
use crate::coordination::Ticket;
use crate::coordination::config::MigrationPolicy;
use crate::coordination::messages::{ConsumerHeartbeat, GroupError, Leaving, Reply, Request, Sync};
use crate::model::{TopicId, Uuid};
use crate::protocol::consumer_offsets::Assignment;
use crate::protocol::consumer_protocol::MemberAssignment;

const CLIENTS: usize = 4;

#[derive(Debug, Clone)]
enum Event {
    /// A client does what is next for it.
    Act {
        client: usize,
        is_refused: bool,
    },
    Leave {
        client: usize,
    },
    /// A client stops without a word, and starts anew, perhaps with the other protocol.
    Restart {
        client: usize,
        is_classic: bool,
    },
    Pass {
        seconds: u64,
    },
    Reload,
}

fn any_event() -> impl Strategy<Value = Event> {
    let client = 0..CLIENTS;
    prop_oneof![
        16 => (client.clone(), prop::bool::weighted(0.05))
            .prop_map(|(client, is_refused)| Event::Act { client, is_refused }),
        1 => client.clone().prop_map(|client| Event::Leave { client }),
        2 => (client, any::<bool>())
            .prop_map(|(client, is_classic)| Event::Restart { client, is_classic }),
        2 => prop_oneof![Just(1u64), Just(4), Just(20)].prop_map(|seconds| Event::Pass { seconds }),
        1 => Just(Event::Reload),
    ]
}

/// Where a classic client stands.
#[derive(Debug, Clone, PartialEq)]
enum Doing {
    Starting,
    Joining(Ticket),
    Syncing(Ticket),
    Working,
}

#[derive(Debug)]
struct Client {
    number: u8,
    starts: u8,
    is_classic: bool,
    id: Arc<str>,
    /// Epoch or generation.
    epoch: i32,
    holds: Vec<i32>,
    doing: Doing,
}

impl Client {
    fn start(&mut self, is_classic: bool) {
        self.starts += 1;
        self.is_classic = is_classic;
        self.forget();
    }

    fn forget(&mut self) {
        self.id = match self.is_classic {
            true => Arc::from(""),
            false => Arc::from(format!("consumer-{}-{}", self.number, self.starts)),
        };
        self.epoch = 0;
        self.holds.clear();
        self.doing = Doing::Starting;
    }

    fn instance(&self) -> Option<Arc<str>> {
        (self.number == 0).then(|| Arc::from("zero"))
    }
}

struct Play {
    world: Driven,
    clients: Vec<Client>,
    fresh: u8,
}

impl Play {
    fn new(policy: MigrationPolicy) -> Play {
        let client = |number| Client {
            number,
            starts: 0,
            is_classic: number % 2 == 0,
            id: Arc::from(""),
            epoch: 0,
            holds: Vec::new(),
            doing: Doing::Starting,
        };
        let mut play = Play {
            world: world_with(policy),
            clients: (0u8..).map(client).take(CLIENTS).collect(),
            fresh: 0,
        };
        play.clients.iter_mut().for_each(Client::forget);
        play
    }

    fn happen(&mut self, event: &Event) {
        match event {
            Event::Act { client, is_refused } if self.clients[*client].is_classic => {
                self.act_classic(*client, *is_refused);
            }
            Event::Act { client, is_refused } => self.beat(*client, *is_refused),
            Event::Leave { client } => self.leave(*client),
            Event::Restart { client, is_classic } => self.clients[*client].start(*is_classic),
            Event::Pass { seconds } => self.world.pass(Duration::from_secs(*seconds)),
            Event::Reload => self.world.reload(),
        }
        self.check_owners();
    }

    fn beat(&mut self, number: usize, is_refused: bool) {
        let client = &self.clients[number];
        let holds = Assignment::from([(Uuid([1; 16]), client.holds.clone())]);
        let request = ConsumerHeartbeat {
            instance_id: client.instance(),
            ..match client.epoch {
                0 => arriving(&client.id),
                epoch => ConsumerHeartbeat {
                    owned: Some(holds),
                    ..beating(&client.id, epoch)
                },
            }
        };
        if is_refused {
            let ticket = self.world.ask_in_vain(Request::ConsumerHeartbeat(request));
            self.world.answers.remove(&ticket);
            return;
        }
        let reply = self.world.answer(Request::ConsumerHeartbeat(request));
        let client = &mut self.clients[number];
        match reply {
            Reply::ConsumerHeartbeat(Ok(reply)) => {
                client.epoch = reply.member_epoch;
                if let Some(assignment) = reply.assignment {
                    client.holds = assignment.into_values().flatten().collect();
                }
            }
            Reply::ConsumerHeartbeat(Err(GroupError::UnreleasedInstanceId)) => {}
            Reply::ConsumerHeartbeat(Err(_)) => {
                let is_classic = client.is_classic;
                client.start(is_classic);
            }
            other => panic!("{other:?}"),
        }
    }

    fn act_classic(&mut self, number: usize, is_refused: bool) {
        match self.clients[number].doing.clone() {
            Doing::Starting => self.join(number, is_refused),
            Doing::Joining(ticket) => self.hear_join(number, ticket),
            Doing::Syncing(ticket) => self.hear_sync(number, ticket),
            Doing::Working => self.beat_classic(number),
        }
    }

    fn join(&mut self, number: usize, is_refused: bool) {
        self.fresh = self.fresh.wrapping_add(1);
        let client = &mut self.clients[number];
        let mut join = joining(&client.id, &client.holds);
        join.instance_id = client.instance();
        join.fresh = Uuid([self.fresh; 16]);
        let ticket = match is_refused {
            true => self.world.ask_in_vain(Request::Join(join)),
            false => self.world.ask(Request::Join(join)),
        };
        client.doing = Doing::Joining(ticket);
    }

    fn hear_join(&mut self, number: usize, ticket: Ticket) {
        let Some(reply) = self.world.answers.remove(&ticket) else {
            return;
        };
        let client = &mut self.clients[number];
        let joined = match reply {
            Reply::Join(Ok(joined)) => joined,
            Reply::Join(Err(refused)) => {
                if refused.error != GroupError::RebalanceInProgress {
                    client.forget();
                }
                client.doing = Doing::Starting;
                return;
            }
            Reply::Failed(_) => return client.doing = Doing::Starting,
            other => panic!("{other:?}"),
        };
        client.id = Arc::clone(&joined.member_id);
        client.epoch = joined.generation;
        let mut identity = identity(&client.id, client.epoch);
        identity.instance_id = client.instance();
        // A leader of a classic group deals out all there is; cooperative or not is all the same here.
        let assignments = joined.members.iter().enumerate().map(|(place, member)| {
            let count = joined.members.len();
            let share: Vec<i32> = (0i32..4)
                .filter(|partition| usize::try_from(*partition).unwrap() % count == place)
                .collect();
            (Arc::clone(&member.member_id), assigned(&share))
        });
        let sync = Sync {
            identity,
            protocol_type: Some(Arc::from("consumer")),
            protocol_name: Some(Arc::from("range")),
            assignments: assignments.collect(),
        };
        let ticket = self.world.ask(Request::Sync(sync));
        self.clients[number].doing = Doing::Syncing(ticket);
    }

    fn hear_sync(&mut self, number: usize, ticket: Ticket) {
        let Some(reply) = self.world.answers.remove(&ticket) else {
            return;
        };
        let client = &mut self.clients[number];
        client.doing = match reply {
            Reply::Sync(Ok(synced)) => {
                let partitions = match synced.assignment.is_empty() {
                    true => Vec::new(),
                    false => {
                        MemberAssignment::parse(&synced.assignment)
                            .unwrap()
                            .partitions
                    }
                };
                client.holds = partitions.into_iter().flat_map(|(_, p)| p).collect();
                Doing::Working
            }
            Reply::Sync(Err(GroupError::RebalanceInProgress)) | Reply::Failed(_) => Doing::Starting,
            Reply::Sync(Err(_)) => {
                client.forget();
                Doing::Starting
            }
            other => panic!("{other:?}"),
        };
    }

    fn beat_classic(&mut self, number: usize) {
        let client = &self.clients[number];
        let mut identity = identity(&client.id, client.epoch);
        identity.instance_id = client.instance();
        let reply = self.world.answer(Request::Heartbeat(identity));
        let client = &mut self.clients[number];
        match reply {
            Reply::Heartbeat(Ok(())) => {}
            Reply::Heartbeat(Err(GroupError::RebalanceInProgress)) => {
                client.doing = Doing::Starting;
            }
            Reply::Heartbeat(Err(_)) => client.forget(),
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, number: usize) {
        let client = &mut self.clients[number];
        let leaving = Leaving {
            member_id: Arc::clone(&client.id),
            instance_id: client.instance(),
            reason: None,
        };
        let is_classic = client.is_classic;
        client.start(is_classic);
        self.world.ask(Request::Leave(vec![leaving]));
    }

    fn check_owners(&mut self) {
        let Reply::DescribeConsumer(Ok(description)) = self.world.answer(Request::DescribeConsumer)
        else {
            return;
        };
        let mut seen: BTreeMap<(TopicId, i32), Arc<str>> = BTreeMap::new();
        for member in description.members {
            for (topic, partitions) in member.assigned {
                for partition in partitions {
                    let id = Arc::clone(&member.member_id);
                    let other = seen.insert((topic, partition), id);
                    assert!(other.is_none(), "{} and {other:?}", member.member_id);
                }
            }
        }
    }

    fn settle(&mut self) {
        for _ in 0..40 {
            for client in 0..CLIENTS {
                for _ in 0..3 {
                    self.happen(&Event::Act {
                        client,
                        is_refused: false,
                    });
                }
            }
            self.happen(&Event::Pass { seconds: 2 });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn members_of_both_protocols_share_a_group_and_come_to_rest(
        events in prop::collection::vec(any_event(), 1..60),
        policy in prop_oneof![
            Just(MigrationPolicy::Bidirectional),
            Just(MigrationPolicy::Upgrade)
        ],
    ) {
        let mut play = Play::new(policy);
        for event in &events {
            play.happen(event);
            play.world.assert_state_is_the_log();
        }
        play.settle();
        play.world.assert_state_is_the_log();
        let Reply::Summarize(Some(summary)) = play.world.answer(Request::Summarize) else {
            panic!("no group");
        };
        prop_assert_eq!(summary.state, "Stable");
        let mut held: Vec<i32> = play.clients.iter().flat_map(|c| c.holds.clone()).collect();
        held.sort_unstable();
        prop_assert_eq!(held, vec![0, 1, 2, 3]);
    }
}
