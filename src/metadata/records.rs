//! The records of the metadata log: everything the cluster agrees on, one change each.
//!
//! They are our own (bincode in framed entries, `storage::quorum_log`), not Kafka's. New variants
//! and fields are added at the end of the enum only, with a new schema version: bincode tells
//! variants apart by their number.

use serde::{Deserialize, Serialize};

use crate::model::{BrokerId, DirectoryId, TopicId};

/// What a configuration belongs to (`ConfigResource.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ResourceKind {
    /// A topic, by name.
    Topic,
    /// A broker by its id, or all brokers when the name is empty.
    Broker,
    /// A consumer group, by id.
    Group,
    /// A client-metrics subscription, by name.
    ClientMetrics,
}

/// One thing that has configurations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ConfigResource {
    /// The kind of thing.
    pub kind: ResourceKind,
    /// Its name; empty for the default of all brokers.
    pub name: String,
}

/// A listener of a broker, as clients are told to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// The listener's name, for example `PLAINTEXT`.
    pub listener: String,
    /// The advertised host.
    pub host: String,
    /// The advertised port.
    pub port: u16,
}

/// One change of the cluster's metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetadataRecord {
    /// A topic exists; its partitions follow.
    Topic {
        /// Its name.
        name: String,
        /// Its identity.
        id: TopicId,
    },
    /// A topic and all its partitions and configurations are gone.
    RemoveTopic {
        /// Its identity.
        id: TopicId,
    },
    /// A partition exists, with all its state. Partitions of a topic come in order of their index.
    Partition {
        /// The topic's identity.
        topic_id: TopicId,
        /// The partition's index.
        partition: i32,
        /// The brokers that hold a replica, the preferred leader first.
        replicas: Vec<BrokerId>,
        /// The replicas' log directories, in the same order; zero means "the broker chooses".
        directories: Vec<DirectoryId>,
        /// The replicas in sync.
        isr: Vec<BrokerId>,
        /// The leader, or `BrokerId::NONE`.
        leader: BrokerId,
        /// The leader's epoch.
        leader_epoch: i32,
        /// Rises with every change of this partition.
        partition_epoch: i32,
    },
    /// A partition changed; absent fields stay. Every change raises the partition epoch by one.
    PartitionChange {
        /// The topic's identity.
        topic_id: TopicId,
        /// The partition's index.
        partition: i32,
        /// The new replicas in sync.
        isr: Option<Vec<BrokerId>>,
        /// The new leader; raises the leader epoch by one, also when it is the old one.
        leader: Option<BrokerId>,
        /// The new replicas and their directories.
        replicas: Option<(Vec<BrokerId>, Vec<DirectoryId>)>,
    },
    /// A configuration value was set, or removed when `None`.
    Config {
        /// What it belongs to.
        resource: ConfigResource,
        /// The key.
        key: String,
        /// The value.
        value: Option<String>,
    },
    /// A broker is (again) part of the cluster.
    RegisterBroker {
        /// Its id.
        id: BrokerId,
        /// Identifies this run of the broker's process.
        incarnation: crate::model::Uuid,
        /// Rises with every registration.
        broker_epoch: i64,
        /// How clients reach it.
        endpoints: Vec<EndpointRecord>,
        /// Its rack.
        rack: Option<String>,
        /// Its log directories.
        directories: Vec<DirectoryId>,
    },
    /// A broker was fenced (it leads nothing) or unfenced.
    FenceBroker {
        /// Its id.
        id: BrokerId,
        /// Whether it is fenced.
        fenced: bool,
    },
    /// A broker was taken out of the cluster.
    UnregisterBroker {
        /// Its id.
        id: BrokerId,
    },
    /// Producer ids below `next` were handed out in blocks.
    ProducerIds {
        /// The first id of the next block.
        next: i64,
    },
    /// A feature's level was finalized; 0 removes it.
    FeatureLevel {
        /// The feature, for example `metadata.version`.
        name: String,
        /// The level.
        level: i16,
    },
    /// The broker lost what it had not flushed: every partition it leads starts a new leader epoch
    /// (and partition epoch). One record for all of them, or each crash would write one per
    /// partition.
    RaiseLeaderEpochs {
        /// The leader.
        broker: BrokerId,
    },
    /// A broker that runs can use other log directories than before (KIP-858), or wants other ones
    /// spared (KIP-1066).
    BrokerDirectories {
        /// The broker.
        id: BrokerId,
        /// Those it can use now.
        online: Vec<DirectoryId>,
        /// Those that take no new replicas.
        cordoned: Vec<DirectoryId>,
    },
    /// Replicas of a broker lie in this directory (KIP-858); raises the partition epoch of each. One
    /// record for many, or a thousand new partitions would write as many.
    AssignDirectory {
        /// The broker.
        broker: BrokerId,
        /// Where they are.
        directory: DirectoryId,
        /// The partitions, by topic.
        partitions: Vec<(TopicId, Vec<i32>)>,
    },
}
