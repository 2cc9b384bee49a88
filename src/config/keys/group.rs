//! The keys of a group, and those of a subscription to clients' metrics.
//!
//! Invariant: each group key with a broker default names it.

use super::entry::{NO_GROUPS, boolean, int, list, string};
use crate::model::config_key::ConfigKey;

/// The keys of a group.
pub(super) const KEYS: &[ConfigKey] = &[
    int("consumer.assignment.interval.ms", "1000")
        .at_least(0)
        .synonym("group.consumer.assignment.interval.ms")
        .doc("The shortest time between two assignments."),
    int("consumer.heartbeat.interval.ms", "5000")
        .at_least(1)
        .synonym("group.consumer.heartbeat.interval.ms")
        .doc("How often a member is told to report."),
    int("consumer.session.timeout.ms", "45000")
        .at_least(1)
        .synonym("group.consumer.session.timeout.ms")
        .doc("A member silent for this long is taken out of its group."),
    int("share.assignment.interval.ms", "1000")
        .at_least(0)
        .synonym("group.share.assignment.interval.ms")
        .doc("The shortest time between two assignments.")
        .deviates(NO_GROUPS),
    string("share.auto.offset.reset", "latest")
        .doc("Where a new share group begins: `earliest`, `latest` or `by_duration:` and an ISO 8601 duration.")
        .deviates(NO_GROUPS),
    int("share.delivery.count.limit", "5")
        .at_least(2)
        .synonym("group.share.delivery.count.limit")
        .doc("How often a record is delivered before it is given up.")
        .deviates(NO_GROUPS),
    int("share.heartbeat.interval.ms", "5000")
        .at_least(1)
        .synonym("group.share.heartbeat.interval.ms")
        .doc("How often a member is told to report.")
        .deviates(NO_GROUPS),
    string("share.isolation.level", "read_uncommitted")
        .one_of(&["read_committed", "read_uncommitted"])
        .doc("Whether records of open and aborted transactions are delivered.")
        .deviates(NO_GROUPS),
    int("share.partition.max.record.locks", "2000")
        .at_least(100)
        .synonym("group.share.partition.max.record.locks")
        .doc("How many records of a partition may be reserved at once.")
        .deviates(NO_GROUPS),
    int("share.record.lock.duration.ms", "30000")
        .at_least(1000)
        .synonym("group.share.record.lock.duration.ms")
        .doc("How long a delivered record is reserved for its consumer.")
        .deviates(NO_GROUPS),
    boolean("share.renew.acknowledge.enable", "true")
        .doc("Whether a consumer may lengthen that time.")
        .deviates(NO_GROUPS),
    int("share.session.timeout.ms", "45000")
        .at_least(1)
        .synonym("group.share.session.timeout.ms")
        .doc("A member silent for this long is taken out of its group.")
        .deviates(NO_GROUPS),
    int("streams.assignment.interval.ms", "1000")
        .at_least(0)
        .synonym("group.streams.assignment.interval.ms")
        .doc("The shortest time between two assignments.")
        .deviates(NO_GROUPS),
    int("streams.heartbeat.interval.ms", "5000")
        .at_least(1)
        .synonym("group.streams.heartbeat.interval.ms")
        .doc("How often a member is told to report.")
        .deviates(NO_GROUPS),
    int("streams.initial.rebalance.delay.ms", "3000")
        .at_least(0)
        .synonym("group.streams.initial.rebalance.delay.ms")
        .doc("How long a new group waits for further members before it first assigns.")
        .deviates(NO_GROUPS),
    int("streams.num.standby.replicas", "0")
        .at_least(0)
        .synonym("group.streams.num.standby.replicas")
        .doc("Standby copies of each task's state.")
        .deviates(NO_GROUPS),
    int("streams.session.timeout.ms", "45000")
        .at_least(1)
        .synonym("group.streams.session.timeout.ms")
        .doc("A member silent for this long is taken out of its group.")
        .deviates(NO_GROUPS),
];

/// The keys of a subscription to clients' metrics (KIP-714).
pub(super) const CLIENT_METRICS: &[ConfigKey] = &[
    int("interval.ms", "300000")
        .between(100, 3_600_000)
        .doc("How often clients push their metrics.")
        .deviates(NO_TELEMETRY),
    list("match", "")
        .doc("Which clients are asked: `property=pattern`, comma-separated.")
        .deviates(NO_TELEMETRY),
    list("metrics", "")
        .doc("Which metrics are asked for, by the beginning of their names.")
        .deviates(NO_TELEMETRY),
];

const NO_TELEMETRY: &str = "Without effect until clients' telemetry is built.";
