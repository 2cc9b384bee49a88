//! Keys of share groups (KIP-932) and of the share coordinator.
//!
//! Invariant: none does anything before share groups exist; bounds are Kafka's.

use super::entry::{NO_GROUPS, int, list, short};
use crate::model::config_key::ConfigKey;

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    int("group.share.session.timeout.ms", "45000")
        .at_least(1)
        .doc("A share member silent for this long is taken out of its group.")
        .deviates(NO_GROUPS),
    int("group.share.min.session.timeout.ms", "45000")
        .at_least(1)
        .doc("The shortest `share.session.timeout.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.max.session.timeout.ms", "60000")
        .at_least(1)
        .doc("The longest `share.session.timeout.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.heartbeat.interval.ms", "5000")
        .at_least(1)
        .doc("How often a share member is told to report.")
        .deviates(NO_GROUPS),
    int("group.share.min.heartbeat.interval.ms", "5000")
        .at_least(1)
        .doc("The shortest `share.heartbeat.interval.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.max.heartbeat.interval.ms", "15000")
        .at_least(1)
        .doc("The longest `share.heartbeat.interval.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.assignment.interval.ms", "1000")
        .at_least(0)
        .at_start_here()
        .doc("The shortest time between two assignments of a share group.")
        .deviates(NO_GROUPS),
    int("group.share.min.assignment.interval.ms", "0")
        .at_least(0)
        .doc("The shortest `share.assignment.interval.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.max.assignment.interval.ms", "15000")
        .at_least(0)
        .doc("The longest `share.assignment.interval.ms` a group may set.")
        .deviates(NO_GROUPS),
    list("group.share.assignors", "simple")
        .doc("The one assignor of share groups.")
        .deviates(NO_GROUPS),
    int("group.share.max.size", "200")
        .between(1, 1000)
        .doc("The most members of a share group.")
        .deviates(NO_GROUPS),
    int("group.share.max.share.sessions", "2000")
        .at_least(1)
        .doc("The most share sessions of a broker.")
        .deviates(NO_GROUPS),
    int("group.share.delivery.count.limit", "5")
        .between(2, 10)
        .doc("How often a record is delivered before it is given up.")
        .deviates(NO_GROUPS),
    int("group.share.min.delivery.count.limit", "2")
        .between(2, 5)
        .doc("The smallest `share.delivery.count.limit` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.max.delivery.count.limit", "10")
        .between(5, 25)
        .doc("The largest `share.delivery.count.limit` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.record.lock.duration.ms", "30000")
        .between(1000, 3_600_000)
        .doc("How long a delivered record is reserved for its consumer.")
        .deviates(NO_GROUPS),
    int("group.share.min.record.lock.duration.ms", "15000")
        .between(1000, 30_000)
        .doc("The shortest `share.record.lock.duration.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.max.record.lock.duration.ms", "60000")
        .between(30_000, 3_600_000)
        .doc("The longest `share.record.lock.duration.ms` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.partition.max.record.locks", "2000")
        .between(100, 10_000)
        .doc("How many records of a partition may be reserved at once.")
        .deviates(NO_GROUPS),
    int("group.share.min.partition.max.record.locks", "100")
        .between(100, 2000)
        .doc("The smallest `share.partition.max.record.locks` a group may set.")
        .deviates(NO_GROUPS),
    int("group.share.max.partition.max.record.locks", "4000")
        .between(2000, 10_000)
        .doc("The largest `share.partition.max.record.locks` a group may set.")
        .deviates(NO_GROUPS),
    int("share.coordinator.state.topic.num.partitions", "50")
        .at_least(1)
        .doc("Partitions of `__share_group_state`; it must not change later.")
        .deviates(NO_GROUPS),
    short("share.coordinator.state.topic.replication.factor", "1")
        .at_least(1)
        .doc("Replicas of `__share_group_state`.")
        .deviates("Default 1, as in Kafka's quick-start file, where Kafka has 3."),
    short("share.coordinator.state.topic.min.isr", "1")
        .at_least(1)
        .doc("How many replicas of `__share_group_state` must be in sync for a write.")
        .deviates("Default 1, as in Kafka's quick-start file, where Kafka has 2."),
    int("share.coordinator.state.topic.segment.bytes", "104857600")
        .at_least(1)
        .doc("Segment size of `__share_group_state`.")
        .deviates(NO_GROUPS),
    int("share.coordinator.state.topic.compression.codec", "0")
        .between(0, 4)
        .doc("The codec of the share coordinator's own batches, by number.")
        .deviates(NO_GROUPS),
    int("share.coordinator.threads", "1")
        .at_least(1)
        .doc("In Kafka, threads of the share coordinator.")
        .deviates(NO_GROUPS),
    int("share.coordinator.append.linger.ms", "-1")
        .at_least(-1)
        .doc("How long the share coordinator gathers writes into one batch; -1 is by load.")
        .deviates(NO_GROUPS),
    int("share.coordinator.cached.buffer.max.bytes", "1048588")
        .at_least(524_288)
        .at_start_here()
        .doc("The largest write buffer the share coordinator keeps for use again.")
        .deviates(NO_GROUPS),
    int("share.coordinator.load.buffer.size", "5242880")
        .at_least(1)
        .doc("Bytes read at once when a share coordinator loads its state.")
        .deviates(NO_GROUPS),
    int(
        "share.coordinator.snapshot.update.records.per.snapshot",
        "500",
    )
    .between(0, 500)
    .doc("How many changes the share coordinator writes between two whole states.")
    .deviates(NO_GROUPS),
    int("share.coordinator.write.timeout.ms", "5000")
        .at_least(1)
        .doc("How long a write of the share coordinator may wait for its replicas.")
        .deviates(NO_GROUPS),
];
