//! Keys of quotas: their windows, and the rates that only change while the broker runs.
//!
//! Invariant: none does anything before quotas exist, and each says so.

use super::entry::{NO_QUOTAS, class, int, long};
use crate::model::config_key::ConfigKey;

const UNTHROTTLED: &str = "Without effect until replication is throttled.";

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    int("quota.window.num", "11")
        .at_least(1)
        .doc("How many samples the quotas of clients are measured over.")
        .deviates(NO_QUOTAS),
    int("quota.window.size.seconds", "1")
        .at_least(1)
        .doc("How long one of these samples is.")
        .deviates(NO_QUOTAS),
    int("controller.quota.window.num", "11")
        .at_least(1)
        .doc("How many samples the quota of topic changes is measured over.")
        .deviates(NO_QUOTAS),
    int("controller.quota.window.size.seconds", "1")
        .at_least(1)
        .doc("How long one of these samples is.")
        .deviates(NO_QUOTAS),
    int("replication.quota.window.num", "11")
        .at_least(1)
        .doc("How many samples the throttle of replication is measured over.")
        .deviates(NO_QUOTAS),
    int("replication.quota.window.size.seconds", "1")
        .at_least(1)
        .doc("How long one of these samples is.")
        .deviates(NO_QUOTAS),
    int("alter.log.dirs.replication.quota.window.num", "11")
        .at_least(1)
        .doc("How many samples the throttle of moves between directories is measured over.")
        .deviates("Without effect: each piece of a move is paid for before the next is copied."),
    int("alter.log.dirs.replication.quota.window.size.seconds", "1")
        .at_least(1)
        .doc("How long one of these samples is.")
        .deviates("Without effect: each piece of a move is paid for before the next is copied."),
    class("client.quota.callback.class")
        .doc("In Kafka, a class that decides what quota a client has."),
];

/// Rates that are set while the broker runs and not in its file (Kafka's `QuotaConfig`). Kafka
/// describes one only when it is set.
pub(super) const DYNAMIC_ONLY: &[ConfigKey] = &[
    long("leader.replication.throttled.rate", "9223372036854775807")
        .at_least(0)
        .cluster_wide()
        .doc("Bytes per second a leader sends to throttled followers.")
        .deviates(UNTHROTTLED),
    long("follower.replication.throttled.rate", "9223372036854775807")
        .at_least(0)
        .cluster_wide()
        .doc("Bytes per second a follower takes for throttled partitions.")
        .deviates(UNTHROTTLED),
    long(
        "replica.alter.log.dirs.io.max.bytes.per.second",
        "9223372036854775807",
    )
    .at_least(0)
    .cluster_wide()
    .doc("Bytes per second that all partitions moving between directories may use together; 0 stops them."),
];
