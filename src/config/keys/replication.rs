//! Keys of replication: who is in sync, how followers fetch, who leads.
//!
//! Invariant: what needs a second broker says that it has no effect yet.

use super::entry::{NO_CLASSES, NO_POOL, ONE_NODE, boolean, int, long, unset};
use crate::model::config_key::{ConfigKey, ConfigType};

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    int("min.insync.replicas", "1")
        .at_least(1)
        .cluster_wide()
        .doc("How many replicas must be in sync for a produce with acks=all to be taken."),
    boolean("unclean.leader.election.enable", "false")
        .cluster_wide()
        .doc("Whether a replica that is behind may lead when no other is left, losing what it does not have.")
        .deviates(ONE_NODE),
    boolean("auto.leader.rebalance.enable", "true")
        .doc("Whether leadership returns by itself to the preferred replica.")
        .deviates(ONE_NODE),
    long("leader.imbalance.check.interval.seconds", "300")
        .at_least(1)
        .doc("How often leadership is looked at for that.")
        .deviates(ONE_NODE),
    long("replica.lag.time.max.ms", "30000")
        .doc("A follower that has not caught up for this long is no longer in sync.")
        .deviates(ONE_NODE),
    int("replica.socket.timeout.ms", "30000")
        .doc("How long a follower waits for its leader's answer.")
        .deviates(ONE_NODE),
    int("replica.socket.receive.buffer.bytes", "65536")
        .doc("The receive buffer of a follower's socket.")
        .deviates(ONE_NODE),
    int("replica.fetch.max.bytes", "1048576")
        .at_least(0)
        .doc("The most bytes of one partition a follower asks for.")
        .deviates(ONE_NODE),
    int("replica.fetch.response.max.bytes", "10485760")
        .at_least(0)
        .doc("The most bytes of all partitions a follower asks for.")
        .deviates(ONE_NODE),
    int("replica.fetch.wait.max.ms", "500")
        .doc("How long a leader holds a follower's fetch that finds too little.")
        .deviates(ONE_NODE),
    int("replica.fetch.min.bytes", "1")
        .doc("How many bytes a follower's fetch waits for.")
        .deviates(ONE_NODE),
    int("replica.fetch.backoff.ms", "1000")
        .at_least(0)
        .doc("How long a follower waits after a failed fetch.")
        .deviates(ONE_NODE),
    int("num.replica.fetchers", "1")
        .at_least(1)
        .at_start_here()
        .doc("In Kafka, threads that fetch from each leader.")
        .deviates(NO_POOL),
    unset("num.replica.alter.log.dirs.threads", ConfigType::Int)
        .at_least(1)
        .doc("How many partitions are copied from one directory to another at the same time; as many as there are directories when it is not set.")
        .deviates("They share the disk threads of their directories."),
    long("replica.high.watermark.checkpoint.interval.ms", "5000")
        .doc("How often it is written down up to where each partition is committed."),
    unset("replica.selector.class", ConfigType::String)
        .only("", NO_CLASSES)
        .doc("In Kafka, the class that chooses the replica a consumer reads from."),
    int("controller.socket.timeout.ms", "30000")
        .doc("How long the controller waits for a broker's answer.")
        .deviates(ONE_NODE),
    int("broker.heartbeat.interval.ms", "2000")
        .doc("How often a broker tells the controller that it lives.")
        .deviates(ONE_NODE),
    int("broker.session.timeout.ms", "9000")
        .doc("A broker silent for this long is taken for dead.")
        .deviates(ONE_NODE),
    int("initial.broker.registration.timeout.ms", "60000")
        .doc("How long a starting broker tries to register before it gives up.")
        .deviates(ONE_NODE),
    boolean("follower.fetch.last.tiered.offset.enable", "false")
        .at_start_here()
        .doc("Whether an empty follower begins behind what is in remote storage.")
        .deviates(ONE_NODE),
];
