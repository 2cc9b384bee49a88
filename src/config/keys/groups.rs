//! Keys of classic, consumer and streams groups and of their coordinator.
//!
//! Invariant: bounds are Kafka's, so that a file is judged alike. `broker::groups` reads them.

use super::entry::{NO_GROUPS, NO_POOL, int, list, long, short, string};
use crate::model::config_key::ConfigKey;

/// The keys of the coordinator and of classic groups.
pub(super) const COORDINATOR: &[ConfigKey] = &[
    int("offsets.topic.num.partitions", "50")
        .at_least(1)
        .doc("Partitions of `__consumer_offsets`; groups are spread over them, so it must not change later."),
    short("offsets.topic.replication.factor", "1")
        .at_least(1)
        .doc("Replicas of `__consumer_offsets`.")
        .deviates("Default 1, as in Kafka's quick-start file, where Kafka has 3."),
    int("offsets.topic.segment.bytes", "104857600")
        .at_least(1)
        .doc("Segment size of `__consumer_offsets`."),
    int("offsets.topic.compression.codec", "0")
        .between(0, 4)
        .doc("The codec of the coordinator's own batches: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    int("offset.metadata.max.bytes", "4096")
        .doc("The longest text a client may attach to a committed offset."),
    int("offsets.commit.timeout.ms", "5000")
        .at_least(1)
        .doc("How long a commit may wait for its replicas."),
    int("offsets.load.buffer.size", "5242880")
        .at_least(1)
        .doc("Bytes read at once when a coordinator loads its groups."),
    int("offsets.retention.minutes", "10080")
        .at_least(1)
        .doc("How long the offsets of an empty group are kept."),
    long("offsets.retention.check.interval.ms", "600000")
        .at_least(1)
        .doc("How often offsets are looked through for expired ones."),
    int("group.coordinator.threads", "4")
        .at_least(1)
        .doc("In Kafka, threads of the group coordinator.")
        .deviates(NO_POOL),
    int("group.coordinator.background.threads", "2")
        .at_least(1)
        .doc("In Kafka, threads for the coordinator's longer work.")
        .deviates(NO_POOL),
    int("group.coordinator.append.linger.ms", "-1")
        .at_least(-1)
        .doc("How long the coordinator gathers writes into one batch; -1 is by load.")
        .deviates("Without effect: writes that come while one is under way go together, as by load."),
    int("group.coordinator.cached.buffer.max.bytes", "1048588")
        .at_least(524_288)
        .at_start_here()
        .doc("The largest write buffer the coordinator keeps for use again.")
        .deviates("Without effect: no buffer is kept."),
    list("group.coordinator.rebalance.protocols", "classic,consumer,streams")
        .list_of(&["classic", "consumer", "share", "streams"])
        .doc("The group protocols that are served; on its way out in Kafka in favour of feature versions.")
        .deviates("`streams` and `share` do nothing until such groups are built."),
    int("group.initial.rebalance.delay.ms", "3000")
        .doc("How long a new group waits for further members before it first assigns."),
    int("group.min.session.timeout.ms", "6000")
        .doc("The shortest session timeout a classic member may ask for."),
    int("group.max.session.timeout.ms", "1800000")
        .doc("The longest session timeout a classic member may ask for."),
    int("group.max.size", "2147483647")
        .at_least(1)
        .doc("The most members of a classic group."),
];

/// The keys of consumer groups (KIP-848).
pub(super) const CONSUMER: &[ConfigKey] = &[
    int("group.consumer.session.timeout.ms", "45000")
        .at_least(1)
        .doc("A member silent for this long is taken out of its group."),
    int("group.consumer.min.session.timeout.ms", "45000")
        .at_least(1)
        .doc("The shortest `consumer.session.timeout.ms` a group may set."),
    int("group.consumer.max.session.timeout.ms", "60000")
        .at_least(1)
        .doc("The longest `consumer.session.timeout.ms` a group may set."),
    int("group.consumer.heartbeat.interval.ms", "5000")
        .at_least(1)
        .doc("How often a member is told to report."),
    int("group.consumer.min.heartbeat.interval.ms", "5000")
        .at_least(1)
        .doc("The shortest `consumer.heartbeat.interval.ms` a group may set."),
    int("group.consumer.max.heartbeat.interval.ms", "15000")
        .at_least(1)
        .doc("The longest `consumer.heartbeat.interval.ms` a group may set."),
    int("group.consumer.assignment.interval.ms", "1000")
        .at_least(0)
        .at_start_here()
        .doc("The shortest time between two assignments of a group."),
    int("group.consumer.min.assignment.interval.ms", "0")
        .at_least(0)
        .doc("The shortest `consumer.assignment.interval.ms` a group may set."),
    int("group.consumer.max.assignment.interval.ms", "15000")
        .at_least(0)
        .doc("The longest `consumer.assignment.interval.ms` a group may set."),
    int("group.consumer.max.size", "2147483647")
        .at_least(1)
        .doc("The most members of a consumer group."),
    list("group.consumer.assignors", "uniform,range").doc(
        "The assignors a consumer group may use; the first is the one when a member names none.",
    ),
    string("group.consumer.migration.policy", "bidirectional")
        .one_of(&[
            "bidirectional",
            "upgrade",
            "downgrade",
            "disabled",
            "BIDIRECTIONAL",
            "UPGRADE",
            "DOWNGRADE",
            "DISABLED",
        ])
        .doc("Whether a group with members may turn from classic to consumer, and back."),
];

/// The keys of streams groups (KIP-1071).
pub(super) const STREAMS: &[ConfigKey] = &[
    int("group.streams.session.timeout.ms", "45000")
        .at_least(1)
        .doc("A streams member silent for this long is taken out of its group.")
        .deviates(NO_GROUPS),
    int("group.streams.min.session.timeout.ms", "45000")
        .at_least(1)
        .doc("The shortest `streams.session.timeout.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.streams.max.session.timeout.ms", "60000")
        .at_least(1)
        .doc("The longest `streams.session.timeout.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.streams.heartbeat.interval.ms", "5000")
        .at_least(1)
        .doc("How often a streams member is told to report.")
        .deviates(NO_GROUPS),
    int("group.streams.min.heartbeat.interval.ms", "5000")
        .at_least(1)
        .doc("The shortest `streams.heartbeat.interval.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.streams.max.heartbeat.interval.ms", "15000")
        .at_least(1)
        .doc("The longest `streams.heartbeat.interval.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.streams.assignment.interval.ms", "1000")
        .at_least(0)
        .at_start_here()
        .doc("The shortest time between two assignments of a streams group.")
        .deviates(NO_GROUPS),
    int("group.streams.min.assignment.interval.ms", "0")
        .at_least(0)
        .doc("The shortest `streams.assignment.interval.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.streams.max.assignment.interval.ms", "15000")
        .at_least(0)
        .doc("The longest `streams.assignment.interval.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.streams.initial.rebalance.delay.ms", "3000")
        .at_least(0)
        .doc("How long a new streams group waits for further members before it first assigns.")
        .deviates(NO_GROUPS),
    int("group.streams.num.standby.replicas", "0")
        .at_least(0)
        .doc("Standby copies of each task's state.")
        .deviates(NO_GROUPS),
    int("group.streams.max.standby.replicas", "2")
        .at_least(0)
        .doc("The largest `streams.num.standby.replicas` a group may set.")
        .deviates(NO_GROUPS),
    int("group.streams.max.size", "2147483647")
        .at_least(1)
        .doc("The most members of a streams group.")
        .deviates(NO_GROUPS),
];
