//! Keys of the node itself: who it is, its threads, its requests, topic creation. Read by
//! `config::server_config`.
//!
//! Invariant: names, types and bounds are those a Kafka 4.3 broker describes; what differs says so.

use super::entry::{
    NO_CLASSES, NO_POOL, NO_PURGATORY, ONE_NODE, boolean, class, int, list, long, unset,
};
use crate::model::config_key::{ConfigKey, ConfigType};

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    list("process.roles", "broker,controller")
        .list_of(&["broker", "controller"])
        .doc("What this process is: it stores partitions (`broker`), takes part in the quorum (`controller`), or both.")
        .deviates("Default `broker,controller` where Kafka has none; only both together work until clusters are built."),
    int("node.id", "1")
        .at_least(0)
        .aliases(&[("broker.id", 1)])
        .doc("The number of this node, unique in the cluster and written into its data directories.")
        .deviates("Default 1 where Kafka has none."),
    int("broker.id", "-1").doc("An older name of `node.id`; both may be given if they are equal."),
    unset("broker.rack", ConfigType::String)
        .doc("Where this broker stands, so that replicas can be put in different racks; told in Metadata."),
    int("num.network.threads", "3")
        .at_least(1)
        .at_start_here()
        .doc("In Kafka, threads per listener that read and write sockets.")
        .deviates(NO_POOL),
    int("num.io.threads", "8")
        .at_least(1)
        .at_start_here()
        .doc("In Kafka, threads that handle requests.")
        .deviates(NO_POOL),
    int("background.threads", "10")
        .at_least(1)
        .at_start_here()
        .doc("In Kafka, threads for deletion and other background work.")
        .deviates(NO_POOL),
    int("queued.max.requests", "500")
        .at_least(1)
        .doc("In Kafka, requests that may wait for a handler thread.")
        .deviates("Without effect: `milena.requests.per.connection.max` and `queued.max.request.bytes` hold requests back."),
    long("queued.max.request.bytes", "268435456")
        .at_least(-1)
        .doc("Bytes of requests that may be in memory at once; when they are spent no socket is read. Answers that clients have not taken have a limit of the same size, above which slow readers are closed. -1 is no limit.")
        .deviates("Default 256 MiB where Kafka has no limit, so that memory is bounded."),
    int("request.timeout.ms", "30000")
        .doc("How long this broker waits for an answer of another one.")
        .deviates(ONE_NODE),
    int("max.request.partition.size.limit", "2000")
        .at_least(1)
        .doc("The most partitions one DescribeTopicPartitions answer lists."),
    int("fetch.max.bytes", "57671680")
        .at_least(1024)
        .doc("The most bytes a fetch answer carries, whatever the consumer asked for; a first batch larger than that is sent whole."),
    int("max.incremental.fetch.session.cache.slots", "1000")
        .at_least(0)
        .doc("How many incremental fetch sessions are remembered; further consumers send full requests."),
    int("fetch.purgatory.purge.interval.requests", "1000")
        .doc("In Kafka, how many answered fetches stay in memory before they are swept out.")
        .deviates(NO_PURGATORY),
    int("producer.purgatory.purge.interval.requests", "1000")
        .doc("In Kafka, how many answered produce requests stay in memory before they are swept out.")
        .deviates(NO_PURGATORY),
    int("delete.records.purgatory.purge.interval.requests", "1")
        .doc("In Kafka, how many answered DeleteRecords requests stay in memory before they are swept out.")
        .deviates(NO_PURGATORY),
    int("share.fetch.purgatory.purge.interval.requests", "1000")
        .doc("In Kafka, how many answered share fetches stay in memory before they are swept out.")
        .deviates(NO_PURGATORY),
    int("num.partitions", "1")
        .at_least(1)
        .doc("Partitions of a topic that is created without a count, by itself or by request."),
    int("default.replication.factor", "1")
        .between(1, 32767)
        .doc("Replicas of a topic that is created without a count, by itself or by request."),
    boolean("auto.create.topics.enable", "true")
        .doc("Whether asking for the metadata of a topic that does not exist creates it, if the client allows it."),
    boolean("delete.topic.enable", "true").doc("Whether topics can be deleted by request."),
    boolean("controlled.shutdown.enable", "true")
        .doc("Whether a stopping broker first hands its leaderships to others.")
        .deviates(ONE_NODE),
    class("create.topic.policy.class.name").doc("In Kafka, a class that may refuse a new topic."),
    class("alter.config.policy.class.name").doc("In Kafka, a class that may refuse a configuration change."),
    list("config.providers", "")
        .only("", NO_CLASSES)
        .doc("In Kafka, classes that fetch configuration values from elsewhere."),
];
