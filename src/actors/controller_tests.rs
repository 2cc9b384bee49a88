//! The shell in stopped time, on a quorum that does as it is told.

use std::sync::{Arc, Mutex};

use super::*;
use crate::metadata::Refusal;
use crate::metadata::controller::{BrokerRegistration, ControllerConfig, NewTopic};
use crate::model::Uuid;

/// What becomes of a proposal.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Committed,
    NotLeader,
    /// Nobody is told, but it gets into the log.
    Lost,
}

/// Stands in for the quorum: one flush per proposal.
struct FakeQuorum {
    flush: Duration,
    fates: VecDeque<Fate>,
    proposals: Arc<Mutex<Vec<usize>>>,
    index: u64,
    follower: Option<Addr<ControllerActor>>,
}

impl Actor for FakeQuorum {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Follow(Addr<ControllerActor>);

impl Handler<Follow> for FakeQuorum {
    type Result = ();
    fn handle(&mut self, Follow(controller): Follow, _: &mut Context<Self>) {
        self.follower = Some(controller);
    }
}

impl Handler<Propose> for FakeQuorum {
    type Result = ResponseActFuture<Self, Result<u64, ProposeError>>;

    fn handle(&mut self, Propose(records): Propose, _: &mut Context<Self>) -> Self::Result {
        let fate = self.fates.pop_front().unwrap_or(Fate::Committed);
        self.proposals.lock().unwrap().push(records.len());
        let flushed = tokio::time::sleep(self.flush).into_actor(self);
        Box::pin(flushed.map(move |(), quorum, _| {
            if fate == Fate::NotLeader {
                return Err(ProposeError::NotLeader { leader: None });
            }
            quorum.index += 1;
            let index = quorum.index;
            let records = records.into();
            let follower = quorum.follower.as_ref().expect("followed");
            follower.do_send(Committed { index, records });
            match fate {
                Fate::Lost => Err(ProposeError::Undecided),
                _ => Ok(index),
            }
        }))
    }
}

/// Stands in for the metadata actor: publishes after a while.
struct FakePublication(Duration);

impl Actor for FakePublication {
    type Context = Context<Self>;
}

impl Handler<AwaitPublished> for FakePublication {
    type Result = ResponseFuture<()>;
    fn handle(&mut self, _: AwaitPublished, _: &mut Context<Self>) -> Self::Result {
        Box::pin(tokio::time::sleep(self.0))
    }
}

struct Node {
    controller: Addr<ControllerActor>,
    proposals: Arc<Mutex<Vec<usize>>>,
}

const FLUSH: Duration = Duration::from_millis(5);
const PUBLICATION: Duration = Duration::from_millis(2);

impl Node {
    /// A node that leads and has a broker; the fates are those of the proposals after that.
    async fn start(fates: &[Fate]) -> Node {
        tokio::time::pause();
        let proposals = Arc::new(Mutex::new(Vec::new()));
        let quorum = FakeQuorum {
            flush: FLUSH,
            fates: std::iter::once(Fate::Committed)
                .chain(fates.iter().copied())
                .collect(),
            proposals: Arc::clone(&proposals),
            index: 0,
            follower: None,
        };
        let quorum = quorum.start();
        let machine = Controller::new(ControllerConfig {
            tables: Default::default(),
            node: BrokerId(1),
            num_partitions: 1,
            default_replication_factor: 1,
            log_dirs: Vec::new(),
        });
        let mut counter = 0u8;
        let random = move || {
            counter = counter.wrapping_add(1);
            [counter; 16]
        };
        let controller = ControllerActor::new(
            machine,
            quorum.clone().recipient(),
            FakePublication(PUBLICATION).start().recipient(),
            Box::new(random),
            PanicWatch::new("controller", Arc::new(|_| {})),
        );
        let controller = controller.start();
        quorum.send(Follow(controller.clone())).await.unwrap();
        let node = Node {
            controller,
            proposals,
        };
        node.lead(true).await;
        node.ask(register()).await.unwrap();
        node.proposals.lock().unwrap().clear();
        node
    }

    async fn lead(&self, leads: bool) {
        let leader = None;
        self.controller
            .send(LeadershipChanged { leads, leader })
            .await
            .unwrap();
    }

    async fn ask(&self, request: Request) -> Outcome {
        self.controller.send(AskController(request)).await.unwrap()
    }

    /// Asks without waiting: the question is in the mailbox when this returns.
    fn begin(&self, request: Request) -> tokio::task::JoinHandle<Outcome> {
        let asking = self.controller.send(AskController(request));
        actix::spawn(async move { asking.await.unwrap() })
    }

    fn proposals(&self) -> Vec<usize> {
        self.proposals.lock().unwrap().clone()
    }
}

fn register() -> Request {
    Request::RegisterBroker(BrokerRegistration {
        broker: BrokerId(1),
        incarnation: Uuid([1; 16]),
        endpoints: Vec::new(),
        rack: None,
        directories: Vec::new(),
        unclean: false,
    })
}

fn create(name: &str) -> Request {
    let topic = NewTopic {
        name: name.to_owned(),
        partitions: 1,
        replication_factor: 1,
        ..NewTopic::default()
    };
    Request::CreateTopics {
        topics: vec![topic],
        validate_only: false,
    }
}

/// What became of a creation.
fn shown(outcome: &Outcome) -> &'static str {
    match outcome {
        Ok(Reply::CreateTopics(results)) => match &results[..] {
            [Ok(_)] => "created",
            [Err(Refusal::TopicAlreadyExists(_))] => "exists",
            _ => "refused",
        },
        Ok(_) => "something else",
        Err(ControllerUnavailable::NotController { .. }) => "not the controller",
        Err(ControllerUnavailable::Busy) => "busy",
        Err(ControllerUnavailable::Full) => "full",
        Err(ControllerUnavailable::Undecided) => "undecided",
    }
}

#[actix::test]
async fn who_waits_for_it_to_lead_is_answered_when_it_does() {
    let node = Node::start(&[]).await;
    node.controller.send(AwaitLeadership).await.unwrap();
    node.lead(false).await;
    let waiting = actix::spawn(node.controller.send(AwaitLeadership));
    node.lead(false).await;
    assert!(!waiting.is_finished());
    node.lead(true).await;
    waiting.await.unwrap().unwrap();
}

#[actix::test]
async fn what_is_asked_during_a_flush_shares_the_next() {
    let node = Node::start(&[]).await;
    let begun = tokio::time::Instant::now();
    let asking: Vec<_> = (0..100)
        .map(|i| node.begin(create(&format!("t{i}"))))
        .collect();
    for asked in asking {
        assert_eq!(shown(&asked.await.unwrap()), "created");
    }
    // Two records each: the first went alone, all others together.
    assert_eq!(node.proposals(), [2, 198]);
    // The runtime's timers have a grain of a millisecond.
    assert!(begun.elapsed() < FLUSH * 2 + PUBLICATION + Duration::from_millis(5));
}

#[actix::test]
async fn an_answer_waits_for_the_commit_and_for_this_nodes_readers() {
    let node = Node::start(&[]).await;
    let begun = tokio::time::Instant::now();
    let first = node.begin(create("t"));
    // This one writes nothing, but its answer tells of the first.
    let second = node.begin(create("t"));
    assert_eq!(shown(&second.await.unwrap()), "exists");
    assert!(begun.elapsed() >= FLUSH + PUBLICATION);
    assert_eq!(shown(&first.await.unwrap()), "created");
    assert_eq!(node.proposals(), [2]);
}

#[actix::test]
async fn a_node_that_does_not_lead_plans_nothing() {
    let node = Node::start(&[]).await;
    node.lead(false).await;
    assert_eq!(shown(&node.ask(create("t")).await), "not the controller");
    node.lead(true).await;
    assert_eq!(shown(&node.ask(create("t")).await), "created");
}

#[actix::test]
async fn who_loses_leadership_tells_everybody_and_forgets_its_plans() {
    let node = Node::start(&[]).await;
    let under_way = node.begin(create("a"));
    let pending = node.begin(create("b"));
    node.lead(false).await;
    assert_eq!(shown(&under_way.await.unwrap()), "undecided");
    assert_eq!(shown(&pending.await.unwrap()), "not the controller");
    tokio::time::sleep(FLUSH * 2).await;
    node.lead(true).await;
    // The first got into the log after all; the second never did.
    assert_eq!(shown(&node.ask(create("a")).await), "exists");
    assert_eq!(shown(&node.ask(create("b")).await), "created");
}

#[actix::test]
async fn a_refused_proposal_makes_the_node_a_follower() {
    let node = Node::start(&[Fate::NotLeader]).await;
    let first = node.begin(create("a"));
    let second = node.begin(create("b"));
    assert_eq!(shown(&first.await.unwrap()), "not the controller");
    assert_eq!(shown(&second.await.unwrap()), "not the controller");
    assert_eq!(shown(&node.ask(create("a")).await), "not the controller");
}

#[actix::test]
async fn after_a_lost_proposal_nothing_is_planned_until_its_fate_is_known() {
    let node = Node::start(&[Fate::Lost]).await;
    let lost = node.begin(create("a"));
    assert_eq!(shown(&lost.await.unwrap()), "undecided");
    assert_eq!(shown(&node.ask(create("a")).await), "busy");
    tokio::time::sleep(FLUSH * 2).await;
    assert_eq!(node.proposals(), [2, 0], "an empty entry tells");
    assert_eq!(shown(&node.ask(create("a")).await), "exists");
    assert_eq!(shown(&node.ask(create("b")).await), "created");
}

#[actix::test]
async fn a_quorum_that_never_answers_does_not_hold_an_asker_for_ever() {
    let node = Node::start(&[]).await;
    // A flush longer than any deadline.
    let stuck = FakeQuorum {
        flush: Duration::from_secs(86_400),
        fates: VecDeque::new(),
        proposals: Arc::default(),
        index: 0,
        follower: None,
    };
    let controller = ControllerActor::new(
        Controller::new(ControllerConfig {
            tables: Default::default(),
            node: BrokerId(1),
            num_partitions: 1,
            default_replication_factor: 1,
            log_dirs: Vec::new(),
        }),
        stuck.start().recipient(),
        FakePublication(PUBLICATION).start().recipient(),
        Box::new(|| [7; 16]),
        PanicWatch::new("controller", Arc::new(|_| {})),
    );
    let node = Node {
        controller: controller.start(),
        ..node
    };
    node.lead(true).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(shown(&node.ask(register()).await), "undecided");
    assert!(begun.elapsed() >= PROPOSE_DEADLINE);
}
