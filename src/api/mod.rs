//! The front desk: decode, authorise, ask downstairs, gather, encode. One file per request.
//!
//! A connection hands its frames to [`dispatch`], which finds the handler in the one [`table`].
//! Handlers read the cluster's metadata from the published image and ask actors through the
//! [`gateway`]. Architecture invariant: Kafka's error codes are chosen here, in [`errors`].

mod alter_configs;
pub(crate) mod alter_replica_log_dirs;
mod alteration;
mod api_versions;
mod cluster_view;
mod config_resource;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
pub mod data_path;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
pub mod dispatch;
pub mod errors;
mod fetch;
mod fetch_answer;
mod fetch_reading;
pub mod fetch_session;
mod find_coordinator;
pub mod gateway;
mod groups;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leaders;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod looking;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod offsets_topic;
pub mod peer;
mod produce;
mod sync_group;
pub mod table;
mod update_features;

#[cfg(test)]
mod testing_tests;

#[cfg(test)]
mod node_tests;

#[cfg(test)]
mod consumer_groups_tests;
#[cfg(test)]
mod groups_tests;

use std::collections::HashSet;
use std::hash::Hash;
use std::time::Duration;

/// How long a request that says `timeout_ms` waits; a negative timeout is none.
fn patience(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

/// What occurs more than once.
fn repeated<'a, T: Hash + Eq + Clone + 'a>(items: impl Iterator<Item = &'a T>) -> HashSet<T> {
    let mut seen = HashSet::new();
    items.filter(|item| !seen.insert(*item)).cloned().collect()
}
