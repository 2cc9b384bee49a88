//! What the controller is asked and what it answers.
//!
//! Replies keep the order and the number of the items asked. Duplicates inside one request are the
//! door's matter (`api`), which answers them before it asks.

use super::directories::Assignments;
use crate::metadata::config_layers::ConfigSource;
use crate::metadata::records::{ConfigResource, EndpointRecord, MetadataRecord};
use crate::metadata::refusal::Refusal;
use crate::model::{BrokerId, DirectoryId, LeaderEpoch, TopicId, Uuid};

/// One question to the controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Creates topics, each by itself.
    CreateTopics {
        /// The topics.
        topics: Vec<NewTopic>,
        /// Only tell what would happen.
        validate_only: bool,
    },
    /// Deletes topics, each by itself.
    DeleteTopics {
        /// The topics.
        topics: Vec<TopicRef>,
    },
    /// Adds partitions to topics, each by itself.
    CreatePartitions {
        /// The topics and their new counts.
        topics: Vec<NewPartitions>,
        /// Only tell what would happen.
        validate_only: bool,
    },
    /// Changes the values set on resources, each resource wholly or not at all.
    AlterConfigs {
        /// Each resource with what to do.
        resources: Vec<(ConfigResource, Vec<ConfigOperation>)>,
        /// The legacy AlterConfigs: what is not named returns to its default. All operations are
        /// then [`Operation::Set`].
        replace: bool,
        /// Only tell what would happen.
        validate_only: bool,
    },
    /// A broker starts.
    RegisterBroker(BrokerRegistration),
    /// A broker leads nothing from now on, or may lead again.
    FenceBroker {
        /// The broker.
        broker: BrokerId,
        /// Whether it is fenced from now on.
        fenced: bool,
    },
    /// A broker leaves for good.
    UnregisterBroker {
        /// The broker.
        broker: BrokerId,
    },
    /// A block of producer ids is needed.
    AllocateProducerIds {
        /// Who asks.
        broker: BrokerId,
        /// How many; Kafka's blocks have 1000.
        length: i32,
    },
    /// Finalizes feature levels, all or none.
    UpdateFeatures {
        /// The features.
        updates: Vec<FeatureUpdate>,
        /// Only tell what would happen.
        validate_only: bool,
    },
    /// A leader tells who is in sync (KIP-497).
    AlterPartition {
        /// The leader that asks.
        broker: BrokerId,
        /// Its registration.
        broker_epoch: i64,
        /// The partitions, each by itself.
        partitions: Vec<IsrChange>,
    },
    /// A running broker tells of its log directories, as a heartbeat does (KIP-858, KIP-1066).
    ChangeDirectories {
        /// The broker.
        broker: BrokerId,
        /// Its registration.
        broker_epoch: i64,
        /// Directories it cannot use any more.
        offline: Vec<DirectoryId>,
        /// All that take no new replicas.
        cordoned: Vec<DirectoryId>,
    },
    /// A broker tells in which log directories replicas are (AssignReplicasToDirs, KIP-858).
    AssignDirectories {
        /// The broker.
        broker: BrokerId,
        /// Its registration.
        broker_epoch: i64,
        /// Partitions by directory.
        assignments: Assignments,
    },
}

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the default, or when assigned by hand.
    pub partitions: i32,
    /// How many replicas; -1 for the default, or when assigned by hand.
    pub replication_factor: i16,
    /// Partitions with their replicas by hand; empty when the controller places them.
    pub assignments: Vec<(i32, Vec<BrokerId>)>,
    /// Values to set on it; a later one of the same key wins.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic by one of its two identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id.
    Id(TopicId),
}

/// More partitions for a topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NewPartitions {
    /// The topic's name.
    pub topic: String,
    /// How many there shall be in all.
    pub count: i32,
    /// The replicas of each new partition by hand. An empty list is not the same as `None`: it
    /// assigns nothing to the new partitions, and is refused.
    pub assignments: Option<Vec<Vec<BrokerId>>>,
}

/// What to do with one key (KIP-339).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Sets the value.
    Set,
    /// Returns to the default.
    Delete,
    /// Adds entries to a list.
    Append,
    /// Takes entries from a list.
    Subtract,
}

/// One key and what to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigOperation {
    /// The key.
    pub key: String,
    /// What to do.
    pub operation: Operation,
    /// The value; `None` is the wire's null, which only a Delete may carry.
    pub value: Option<String>,
}

/// A broker as it presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerRegistration {
    /// Its id.
    pub broker: BrokerId,
    /// Identifies this run of its process.
    pub incarnation: Uuid,
    /// How clients reach it, by listener.
    pub endpoints: Vec<EndpointRecord>,
    /// Its rack.
    pub rack: Option<String>,
    /// Its log directories.
    pub directories: Vec<DirectoryId>,
    /// Its last run did not end cleanly: what it leads starts a new leader epoch, so that offsets
    /// which were lost and given away twice can be told apart.
    pub unclean: bool,
}

/// How a feature's level may move (KIP-778).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpgradeType {
    /// Up only.
    Upgrade,
    /// Also down, when nothing is lost.
    SafeDowngrade,
    /// Also down, whatever is lost.
    UnsafeDowngrade,
    /// A number nobody knows.
    Unknown,
}

/// A feature and the level it shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureUpdate {
    /// Its name.
    pub feature: String,
    /// The level; 0 removes it.
    pub level: i16,
    /// How it may move.
    pub upgrade_type: UpgradeType,
}

/// A leader's view of one partition's replicas in sync.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsrChange {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition's index.
    pub partition: i32,
    /// The leader epoch the leader knows.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch the leader knows.
    pub partition_epoch: i32,
    /// The new replicas in sync, with their broker epochs; -1 where the leader knows none.
    pub isr: Vec<(BrokerId, i64)>,
}

/// What is to be written, and what to answer once it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The records, all in one entry of the log: they take effect together.
    pub records: Vec<MetadataRecord>,
    /// The answer.
    pub reply: Reply,
}

/// The answers, one kind per [`Request`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To `CreateTopics`.
    CreateTopics(Vec<Result<CreatedTopic, Refusal>>),
    /// To `DeleteTopics`.
    DeleteTopics(Vec<Result<DeletedTopic, Refusal>>),
    /// To `CreatePartitions`.
    CreatePartitions(Vec<Result<(), Refusal>>),
    /// To `AlterConfigs`.
    AlterConfigs(Vec<Result<(), Refusal>>),
    /// To `RegisterBroker`: the broker epoch.
    RegisterBroker(Result<i64, Refusal>),
    /// To `FenceBroker`.
    FenceBroker(Result<(), Refusal>),
    /// To `UnregisterBroker`.
    UnregisterBroker(Result<(), Refusal>),
    /// To `AllocateProducerIds`.
    AllocateProducerIds(Result<ProducerIdBlock, Refusal>),
    /// To `UpdateFeatures`.
    UpdateFeatures(Result<(), Refusal>),
    /// To `AlterPartition`: the whole is refused, or each partition is answered.
    AlterPartition(Result<Vec<Result<PartitionState, Refusal>>, Refusal>),
    /// To `ChangeDirectories`.
    ChangeDirectories(Result<(), Refusal>),
    /// To `AssignDirectories`.
    AssignDirectories(Result<(), Refusal>),
}

/// A topic that was created, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its identity; of no meaning when only validated.
    pub id: TopicId,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each has.
    pub replication_factor: i16,
    /// Every topic key in order of name, with the value that is in effect.
    pub configs: Vec<CreatedTopicConfig>,
}

/// One effective value of a new topic (CreateTopics v5+).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopicConfig {
    /// The key.
    pub name: &'static str,
    /// The value.
    pub value: Option<String>,
    /// Where the value came from.
    pub source: ConfigSource,
}

/// A topic that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its name.
    pub name: String,
    /// Its identity.
    pub id: TopicId,
}

/// Producer ids `first..first + length`, which no other broker gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// The first one.
    pub first: i64,
    /// How many.
    pub length: i32,
}

/// What the controller now holds of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionState {
    /// The leader.
    pub leader: BrokerId,
    /// Its epoch.
    pub leader_epoch: LeaderEpoch,
    /// The replicas in sync.
    pub isr: Vec<BrokerId>,
    /// Rises with every change.
    pub partition_epoch: i32,
}
