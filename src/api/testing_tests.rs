//! A front desk for tests: the real controller and the real tables of keys behind the gateway, and
//! every request encoded, dispatched and decoded as on a connection.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::data_path::{DataLimits, DataPath};
use super::dispatch::dispatch;
use super::fetch_session::FetchSessions;
use super::gateway::{
    AskController, AskGroups, AskLogDirs, AskQuorum, BrokerFacts, ControllerUnavailable, Gateway,
    LogDirReport, LogLevel, Loggers, QuorumStatus,
};
use super::peer::Connection;
use crate::actors::clock::Clock;
use crate::actors::moving::Wish;
use crate::actors::partition_host::PartitionRouter;
use crate::config::keys;
use crate::coordination::messages as group;
use crate::coordination::messages::{GroupError, Summary};
use crate::message;
use crate::metadata::controller::{
    BrokerRegistration, Controller, ControllerConfig, Reply, Request,
};
use crate::metadata::{ConfigTables, Endpoint, Image, TopicSettings};
use crate::model::{BrokerId, ErrorCode, Timestamp, Uuid};
use crate::net::{self, LocalBoxFuture};
use crate::protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::protocol::messages::{Answer, CreateTopicsRequest, CreateTopicsResponse};
use crate::protocol::{decode_response, encode_request, messages};

/// A controller that commits at once, counting what it is asked; or one that never answers.
pub(super) struct FakeController {
    machine: RefCell<Controller>,
    image: Arc<ArcSwap<Image>>,
    random: Cell<u8>,
    pub(super) unavailable: Cell<Option<ControllerUnavailable>>,
    pub(super) asked: Cell<usize>,
}

impl FakeController {
    pub(super) fn plan(&self, request: Request) -> Reply {
        let mut machine = self.machine.borrow_mut();
        let plan = machine.handle(request, &mut || {
            self.random.set(self.random.get() + 1);
            [self.random.get(); 16]
        });
        let mut image = (**self.image.load()).clone();
        for record in &plan.records {
            machine.replay(record);
            image.replay(record);
            image.version += 1;
        }
        self.image.store(Arc::new(image));
        plan.reply
    }
}

impl AskController for FakeController {
    fn ask(
        &self,
        request: Request,
        _patience: Duration,
    ) -> LocalBoxFuture<'_, Result<Reply, ControllerUnavailable>> {
        self.asked.set(self.asked.get() + 1);
        let reply = match self.unavailable.get() {
            Some(unavailable) => Err(unavailable),
            None => Ok(self.plan(request)),
        };
        Box::pin(std::future::ready(reply))
    }
}

/// What the test says of quorum, log directories and loggers.
#[derive(Default)]
pub(super) struct FakeNode {
    pub(super) quorum: RefCell<Option<QuorumStatus>>,
    pub(super) log_dirs: RefCell<Vec<LogDirReport>>,
    pub(super) levels: RefCell<BTreeMap<String, Option<LogLevel>>>,
}

impl AskQuorum for FakeNode {
    fn status(&self) -> LocalBoxFuture<'_, Option<QuorumStatus>> {
        Box::pin(std::future::ready(self.quorum.borrow().clone()))
    }
}

impl AskLogDirs for FakeNode {
    fn log_dirs(&self) -> LocalBoxFuture<'_, Vec<LogDirReport>> {
        Box::pin(std::future::ready(self.log_dirs.borrow().clone()))
    }

    fn move_replicas(&self, wishes: Vec<Wish>) -> LocalBoxFuture<'_, Vec<ErrorCode>> {
        let answer = |wish: Wish| match (wish.to.to_str(), wish.key) {
            (Some("/data"), Some(_)) => ErrorCode::None,
            (Some("/data"), None) => ErrorCode::ReplicaNotAvailable,
            _ => ErrorCode::LogDirNotFound,
        };
        Box::pin(std::future::ready(wishes.into_iter().map(answer).collect()))
    }
}

impl Loggers for FakeNode {
    fn levels(&self) -> BTreeMap<String, LogLevel> {
        let levels = self.levels.borrow();
        let root = levels.get("root").copied().flatten();
        let root = root.unwrap_or(LogLevel::Info);
        levels
            .iter()
            .map(|(name, level)| (name.clone(), level.unwrap_or(root)))
            .collect()
    }

    fn set(&self, logger: &str, level: Option<LogLevel>) {
        self.levels.borrow_mut().insert(logger.to_owned(), level);
    }
}

/// Groups that answer what the test says, and remember what they were asked.
#[derive(Default)]
pub(super) struct FakeGroups {
    pub(super) asked: RefCell<Vec<(String, group::Request)>>,
    /// The next answers; `NotCoordinator` when there is none.
    pub(super) answers: RefCell<VecDeque<group::Reply>>,
    pub(super) list: RefCell<Option<Result<Vec<Summary>, GroupError>>>,
}

impl FakeGroups {
    fn reply(&self, group: &str, request: group::Request) -> group::Reply {
        self.asked.borrow_mut().push((group.to_owned(), request));
        let answer = self.answers.borrow_mut().pop_front();
        answer.unwrap_or(group::Reply::Failed(GroupError::NotCoordinator))
    }
}

impl AskGroups for FakeGroups {
    fn ask(&self, group: &str, request: group::Request) -> LocalBoxFuture<'_, group::Reply> {
        Box::pin(std::future::ready(self.reply(group, request)))
    }

    fn ask_many(
        &self,
        questions: Vec<(Arc<str>, group::Request)>,
    ) -> LocalBoxFuture<'_, Vec<group::Reply>> {
        let replies = questions.into_iter();
        let replies = replies.map(|(group, request)| self.reply(&group, request));
        Box::pin(std::future::ready(replies.collect()))
    }

    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<Summary>, GroupError>> {
        let list = self.list.borrow().clone();
        Box::pin(std::future::ready(list.unwrap_or(Ok(Vec::new()))))
    }

    fn fresh_id(&self) -> Uuid {
        Uuid([9; 16])
    }
}

/// A data path on which nobody lives: every partition is offline.
fn no_partitions() -> DataPath {
    let limits = DataLimits {
        decompressed_bytes_max: 1 << 20,
        sendfile_bytes_min: 1 << 18,
        fetch_bytes_max: 1 << 20,
        patience: Duration::from_secs(1),
    };
    DataPath::new(
        PartitionRouter::new(Vec::new()),
        Clock::simulated(Timestamp(0)),
        limits,
        Arc::new(|image, topic| {
            TopicSettings::resolve(image, &ConfigTables::default(), BrokerId(1), topic)
        }),
        FetchSessions::new(10, 100),
        Box::new(|| 1),
    )
}

/// A broker of id 1 with the listeners PLAINTEXT and INSIDE.
pub(super) struct Desk {
    pub(super) gateway: Rc<Gateway>,
    pub(super) controller: Rc<FakeController>,
    pub(super) node: Rc<FakeNode>,
    pub(super) groups: Rc<FakeGroups>,
    pub(super) connection: Rc<Connection>,
}

impl Desk {
    pub(super) fn new() -> Desk {
        Desk::with_file(&[])
    }

    /// A broker whose file says this.
    pub(super) fn with_file(lines: &[(&str, &str)]) -> Desk {
        let tables = ConfigTables {
            topic: Arc::new(keys::topic_table()),
            broker: Arc::new(keys::broker_table()),
            broker_dynamic_only: Arc::new(keys::dynamic_only_table()),
            group: Arc::new(keys::group_table()),
            client_metrics: Arc::new(keys::client_metrics_table()),
            static_broker: Arc::new(
                lines
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
        };
        let image = Arc::new(ArcSwap::from_pointee(Image::default()));
        let controller = Rc::new(FakeController {
            machine: RefCell::new(Controller::new(ControllerConfig {
                tables: tables.clone(),
                node: BrokerId(1),
                num_partitions: 1,
                default_replication_factor: 1,
                log_dirs: Vec::new(),
            })),
            image: Arc::clone(&image),
            random: Cell::new(0),
            unavailable: Cell::new(None),
            asked: Cell::new(0),
        });
        let node = Rc::new(FakeNode::default());
        let groups = Rc::new(FakeGroups::default());
        let gateway = Rc::new(Gateway {
            image,
            facts: Arc::new(BrokerFacts {
                cluster_id: "cluster".into(),
                broker_id: BrokerId(1),
                tables: Arc::new(tables),
            }),
            controller: Rc::clone(&controller) as Rc<dyn AskController>,
            quorum: Rc::clone(&node) as Rc<dyn AskQuorum>,
            log_dirs: Rc::clone(&node) as Rc<dyn AskLogDirs>,
            groups: Rc::clone(&groups) as Rc<dyn AskGroups>,
            loggers: Rc::clone(&node) as Rc<dyn Loggers>,
            complaints: Arc::new(crate::net::LogGate::new(1)),
            data: Rc::new(no_partitions()),
        });
        let desk = Desk {
            gateway,
            controller,
            node,
            groups,
            connection: Rc::new(Connection::anonymous("PLAINTEXT", "127.0.0.1")),
        };
        desk.register(1, &[("PLAINTEXT", 9092), ("INSIDE", 9094)]);
        desk
    }

    /// The same broker, asked through another listener.
    pub(super) fn through(&self, listener: &str) -> Desk {
        Desk {
            gateway: Rc::clone(&self.gateway),
            controller: Rc::clone(&self.controller),
            node: Rc::clone(&self.node),
            groups: Rc::clone(&self.groups),
            connection: Rc::new(Connection::anonymous(listener, "127.0.0.1")),
        }
    }

    pub(super) fn register(&self, id: i32, listeners: &[(&str, u16)]) {
        self.controller
            .plan(Request::RegisterBroker(BrokerRegistration {
                broker: BrokerId(id),
                incarnation: Uuid([id as u8; 16]),
                endpoints: listeners
                    .iter()
                    .map(|(listener, port)| Endpoint {
                        listener: (*listener).to_owned(),
                        host: format!("host-{id}"),
                        port: *port,
                    })
                    .collect(),
                rack: (id > 1).then(|| format!("rack-{id}")),
                directories: Vec::new(),
                unclean: false,
            }));
    }

    pub(super) fn fence(&self, id: i32, fenced: bool) {
        self.controller.plan(Request::FenceBroker {
            broker: BrokerId(id),
            fenced,
        });
    }

    /// Sends a frame, without its size in front.
    pub(super) fn send(&self, frame: Bytes) -> net::Reply {
        let gateway = Rc::clone(&self.gateway);
        let connection = Rc::clone(&self.connection);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(dispatch(gateway, connection, frame))
    }

    /// Asks as a client does.
    pub(super) fn ask<R: messages::Request, A: Answer>(&self, version: i16, request: R) -> A {
        let frame = encode_request(7, version, Some("test"), &request).unwrap();
        match self.send(frame.slice(4..)) {
            net::Reply::Respond(response) => {
                let answer = Bytes::from(response.read_to_bytes().unwrap());
                let (correlation_id, answer) = decode_response(answer.slice(4..), version).unwrap();
                assert_eq!(correlation_id, 7);
                answer
            }
            other => panic!("{other:?}"),
        }
    }

    /// Creates a topic with values set on it.
    pub(super) fn create(&self, name: &str, partitions: i32, configs: &[(&str, &str)]) {
        let topic = message!(CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs
                .iter()
                .map(|(key, value)| message!(CreatableTopicConfig {
                    name: (*key).into(),
                    value: Some((*value).into()),
                }))
                .collect(),
        });
        let answer: CreateTopicsResponse = self.ask(
            7,
            message!(CreateTopicsRequest {
                topics: vec![topic],
                timeout_ms: 1_000,
            }),
        );
        let result = &answer.topics[0];
        assert_eq!(result.error_code, 0, "{:?}", result.error_message);
    }
}
