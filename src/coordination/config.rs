//! What of the configuration coordination obeys.

use std::sync::Arc;
use std::time::Duration;

/// `group.*` and `offsets.*` keys, and what group resources (`kafka-configs --entity-type groups`)
/// override for one group. Handed to a group by its shell; changed by `Group::set_config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_min: Duration,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_max: Duration,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`.
    pub members_max: usize,
    /// `group.consumer.session.timeout.ms`, or the group's `consumer.session.timeout.ms`.
    pub consumer_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`, or the group's `consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval: Duration,
    /// `group.consumer.max.size`.
    pub consumer_members_max: usize,
    /// `group.consumer.assignors`, the first is the default; names among `uniform` and `range`.
    pub consumer_assignors: Arc<[Arc<str>]>,
    /// `group.consumer.assignment.interval.ms`, or the group's: the least time between two target assignments.
    pub consumer_assignment_interval: Duration,
    /// `group.consumer.regex.refresh.interval.ms`: how often expressions are resolved anew at least.
    pub consumer_regex_refresh_interval: Duration,
    /// `group.consumer.migration.policy`.
    pub consumer_migration_policy: MigrationPolicy,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// The largest batch `__consumer_offsets` takes (its `max.message.bytes`): what one step may write.
    pub batch_bytes_max: usize,
}

/// `group.consumer.migration.policy`: which online changes of protocol are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Both ways.
    Bidirectional,
    /// Classic to consumer only.
    Upgrade,
    /// Consumer to classic only.
    Downgrade,
    /// None.
    Disabled,
}

impl MigrationPolicy {
    /// Whether a classic group may become a consumer group while it has members.
    pub fn may_upgrade(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Bidirectional | MigrationPolicy::Upgrade
        )
    }

    /// Whether a consumer group may become a classic group while it has members.
    pub fn may_downgrade(self) -> bool {
        matches!(
            self,
            MigrationPolicy::Bidirectional | MigrationPolicy::Downgrade
        )
    }
}

impl Default for GroupConfig {
    /// Kafka's defaults.
    fn default() -> GroupConfig {
        GroupConfig {
            session_timeout_min: Duration::from_millis(6_000),
            session_timeout_max: Duration::from_millis(1_800_000),
            initial_rebalance_delay: Duration::from_millis(3_000),
            members_max: usize::MAX,
            consumer_session_timeout: Duration::from_millis(45_000),
            consumer_heartbeat_interval: Duration::from_millis(5_000),
            consumer_members_max: usize::MAX,
            consumer_assignors: Arc::from([Arc::from("uniform"), Arc::from("range")]),
            consumer_assignment_interval: Duration::from_millis(1_000),
            consumer_regex_refresh_interval: Duration::from_millis(600_000),
            consumer_migration_policy: MigrationPolicy::Bidirectional,
            offset_metadata_bytes_max: 4_096,
            offsets_retention: Duration::from_secs(7 * 24 * 60 * 60),
            batch_bytes_max: 1_048_588,
        }
    }
}
