//! What the front desk needs from downstairs, as the handlers see it.
//!
//! The composition root plugs actors in behind these traits; tests plug in a page of answers. One
//! gateway per data arbiter. Invariant: handlers ask downstairs only through here, and read the
//! cluster's metadata only from the published image.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::data_path::DataPath;
use crate::actors::moving::Wish;
use crate::coordination::messages as group;
use crate::coordination::messages::{GroupError, Summary};
use crate::metadata::controller::{Reply, Request};
use crate::metadata::{ConfigTables, Endpoint, Image};
use crate::model::{BrokerId, ClusterId, DirectoryId, ErrorCode, Timestamp, Uuid};
use crate::net::{LocalBoxFuture, LogGate};

/// Everything a handler may ask.
#[derive(Clone)]
pub struct Gateway {
    /// The cluster's metadata, as published last.
    pub image: Arc<ArcSwap<Image>>,
    /// What does not change while the broker runs.
    pub facts: Arc<BrokerFacts>,
    /// The controller.
    pub controller: Rc<dyn AskController>,
    /// The quorum's state.
    pub quorum: Rc<dyn AskQuorum>,
    /// The broker's log directories.
    pub log_dirs: Rc<dyn AskLogDirs>,
    /// The groups this broker coordinates.
    pub groups: Rc<dyn AskGroups>,
    /// The log's levels.
    pub loggers: Rc<dyn Loggers>,
    /// Where lines about what clients provoke go, a few in a second.
    pub complaints: Arc<LogGate>,
    /// The way of records.
    pub data: Rc<DataPath>,
}

/// What a broker knows of itself from its start on.
#[derive(Debug, Clone, Default)]
pub struct BrokerFacts {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// This broker.
    pub broker_id: BrokerId,
    /// The tables of keys, and the values of the configuration file.
    pub tables: Arc<ConfigTables>,
}

impl BrokerFacts {
    /// The value of a broker key that only the file can set: from the file, else its default.
    pub fn static_value(&self, name: &str) -> Option<&str> {
        let set = self.tables.static_broker.get(name).map(String::as_str);
        set.or_else(|| self.tables.broker.get(name).and_then(|key| key.default))
    }

    /// `auto.create.topics.enable`.
    pub fn creates_topics(&self) -> bool {
        self.static_value("auto.create.topics.enable") != Some("false")
    }

    /// `delete.topic.enable`.
    pub fn deletes_topics(&self) -> bool {
        self.static_value("delete.topic.enable") != Some("false")
    }

    /// `max.request.partition.size.limit`: the most partitions in one DescribeTopicPartitions
    /// answer.
    pub fn partitions_per_answer_max(&self) -> i32 {
        self.static_value("max.request.partition.size.limit")
            .and_then(|value| value.trim().parse().ok())
            .unwrap_or(2_000)
    }
}

/// Why the controller gave no reply. Whether it did what was asked is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControllerUnavailable {
    /// No reply before the deadline.
    #[error("The controller did not answer in time; the change may or may not take effect.")]
    TimedOut,
    /// It is stopping, or there is none.
    #[error("The controller is not available at the moment.")]
    Gone,
    /// Its disk is full; nothing was changed.
    #[error("The disk of the metadata log is full; delete topics or make space, and try again.")]
    Full,
}

/// Asks the controller to change something.
pub trait AskController {
    /// Sends a request and waits for its reply: until the change is committed and published in
    /// this broker's image, at most `patience`.
    fn ask(
        &self,
        request: Request,
        patience: Duration,
    ) -> LocalBoxFuture<'_, Result<Reply, ControllerUnavailable>>;
}

/// Asks the groups this broker coordinates.
///
/// Who cannot be asked answers [`group::Reply::Failed`] too: `NotCoordinator` when this broker is not
/// the group's coordinator, `CoordinatorNotAvailable` when no answer comes in time.
pub trait AskGroups {
    /// Asks one group, and waits for the answer: of a join and a sync as long as the group lets its
    /// members wait, of all else as long as a question to a partition may take.
    fn ask(&self, group: &str, request: group::Request) -> LocalBoxFuture<'_, group::Reply>;

    /// Asks many at once; the answers are in the order of the questions.
    fn ask_many(
        &self,
        questions: Vec<(Arc<str>, group::Request)>,
    ) -> LocalBoxFuture<'_, Vec<group::Reply>>;

    /// Every group there is; the first failure of a part of them is that of all.
    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<Summary>, GroupError>>;

    /// Randomness for a member's id.
    fn fresh_id(&self) -> Uuid;
}

/// A replica of the metadata log, as DescribeQuorum shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumReplica {
    /// The node.
    pub id: BrokerId,
    /// Its metadata log directory.
    pub directory_id: DirectoryId,
    /// The end of its log.
    pub log_end_offset: i64,
    /// When it last fetched.
    pub last_fetch: Timestamp,
    /// When it last had everything.
    pub last_caught_up: Timestamp,
}

/// The state of the metadata quorum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuorumStatus {
    /// Its leader, or `BrokerId::NONE`.
    pub leader: BrokerId,
    /// The leader's term.
    pub leader_epoch: i32,
    /// How far its log is committed.
    pub high_watermark: i64,
    /// Who votes.
    pub voters: Vec<QuorumReplica>,
    /// Who only listens.
    pub observers: Vec<QuorumReplica>,
    /// Where the voters are reached.
    pub nodes: Vec<(BrokerId, Vec<Endpoint>)>,
}

/// Asks for the quorum's state.
pub trait AskQuorum {
    /// The state as this node sees it; `None` while it is not known.
    fn status(&self) -> LocalBoxFuture<'_, Option<QuorumStatus>>;
}

/// A replica in a log directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirReplica {
    /// Its topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// The bytes of its segments.
    pub size_bytes: i64,
    /// How far its end lies behind the high watermark.
    pub offset_lag: i64,
    /// Whether it is being moved here from another directory.
    pub is_future: bool,
}

/// A log directory with everything in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogDirReport {
    /// Its path.
    pub path: String,
    /// `ErrorCode::KafkaStorageError` when it is offline.
    pub error: ErrorCode,
    /// The size of its file system, -1 when unknown.
    pub total_bytes: i64,
    /// What is free of it, -1 when unknown.
    pub usable_bytes: i64,
    /// Whether it takes no new replicas (KIP-1066).
    pub is_cordoned: bool,
    /// The replicas in it.
    pub replicas: Vec<LogDirReplica>,
}

/// Asks for the state of this broker's log directories.
pub trait AskLogDirs {
    /// Every directory with its replicas.
    fn log_dirs(&self) -> LocalBoxFuture<'_, Vec<LogDirReport>>;

    /// Puts replicas into other directories; answers when the moves have begun, in the order of the
    /// wishes.
    fn move_replicas(&self, wishes: Vec<Wish>) -> LocalBoxFuture<'_, Vec<ErrorCode>>;
}

/// How much a logger says, in the words of Kafka's tools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Also `FATAL`, which is taken for it.
    Error,
    /// Warnings too.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The level of this name; Kafka's `FATAL` counts as `ERROR`.
    pub fn parse(name: &str) -> Option<LogLevel> {
        Some(match name {
            "FATAL" | "ERROR" => LogLevel::Error,
            "WARN" => LogLevel::Warn,
            "INFO" => LogLevel::Info,
            "DEBUG" => LogLevel::Debug,
            "TRACE" => LogLevel::Trace,
            _ => return None,
        })
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            LogLevel::Error => "ERROR",
            LogLevel::Warn => "WARN",
            LogLevel::Info => "INFO",
            LogLevel::Debug => "DEBUG",
            LogLevel::Trace => "TRACE",
        }
    }
}

/// The loggers whose levels BROKER_LOGGER resources show and change. The root is called `root`.
pub trait Loggers {
    /// Every logger with its effective level.
    fn levels(&self) -> BTreeMap<String, LogLevel>;
    /// Gives a logger a level, or with `None` the root's again. Unknown loggers never get here.
    fn set(&self, logger: &str, level: Option<LogLevel>);
}
