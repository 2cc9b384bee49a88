//! The one table of what is served: request, versions, handler. ApiVersions is answered from it, so
//! that nothing is promised that has no handler, and nothing has a handler that is not promised.
//!
//! The ranges are those of a stock Kafka 4.3 broker. Rows are in order of their key.

use std::rc::Rc;

use super::gateway::Gateway;
use super::peer::Peer;
use super::{
    alter_configs, alter_replica_log_dirs, api_versions, consumer_group_describe,
    consumer_group_heartbeat, create_partitions, create_topics, delete_groups, delete_records,
    delete_topics, describe_cluster, describe_configs, describe_groups, describe_log_dirs,
    describe_producers, describe_quorum, describe_topic_partitions, dispatch, fetch,
    find_coordinator, heartbeat, incremental_alter_configs, init_producer_id, join_group,
    leave_group, list_config_resources, list_groups, list_offsets, metadata, offset_commit,
    offset_delete, offset_fetch, offset_for_leader_epoch, produce, sync_group, update_features,
};
use crate::net::{LocalBoxFuture, Reply};
use crate::protocol::{RequestHead, api_key};

/// Serves one request: decodes it, handles it, encodes the answer.
pub type Serve = fn(Rc<Gateway>, Peer, RequestHead) -> LocalBoxFuture<'static, Reply>;

/// One request that is served.
pub struct Row {
    /// Its number.
    pub key: i16,
    /// Its name, for the log.
    pub name: &'static str,
    /// The lowest version that ApiVersions tells. Lower than `min` for Produce alone: librdkafka
    /// takes a minimum above 0 for a broker that cannot compress (KAFKA-18659).
    pub advertised_min: i16,
    /// The lowest version that is served.
    pub min: i16,
    /// The highest version that is served.
    pub max: i16,
    /// How it is served.
    pub serve: Serve,
}

/// A row whose handler is `module::handle(gateway, request, version, peer)`.
macro_rules! row {
    ($key:ident, $min:literal..=$max:literal, $module:ident, $request:ident) => {
        Row {
            key: api_key::$key,
            name: stringify!($module),
            advertised_min: $min,
            min: $min,
            max: $max,
            serve: |gateway, peer, head| {
                Box::pin(async move {
                    let (correlation_id, version) = (head.correlation_id, head.api_version);
                    let request =
                        match dispatch::decode::<crate::protocol::messages::$request>(head) {
                            Ok(request) => request,
                            Err(refused) => return refused,
                        };
                    let answer = $module::handle(&gateway, request, version, &peer).await;
                    dispatch::respond(correlation_id, version, &answer)
                })
            },
        }
    };
}

/// What is served.
pub static API_TABLE: &[Row] = &[
    Row {
        key: api_key::PRODUCE,
        name: "produce",
        advertised_min: 0,
        min: 3,
        max: 13,
        serve: produce::handle,
    },
    Row {
        key: api_key::FETCH,
        name: "fetch",
        advertised_min: 4,
        min: 4,
        max: 18,
        serve: fetch::handle,
    },
    row!(LIST_OFFSETS, 1..=11, list_offsets, ListOffsetsRequest),
    row!(METADATA, 0..=13, metadata, MetadataRequest),
    row!(OFFSET_COMMIT, 2..=10, offset_commit, OffsetCommitRequest),
    row!(OFFSET_FETCH, 1..=10, offset_fetch, OffsetFetchRequest),
    row!(
        FIND_COORDINATOR,
        0..=6,
        find_coordinator,
        FindCoordinatorRequest
    ),
    row!(JOIN_GROUP, 0..=9, join_group, JoinGroupRequest),
    row!(HEARTBEAT, 0..=4, heartbeat, HeartbeatRequest),
    row!(LEAVE_GROUP, 0..=5, leave_group, LeaveGroupRequest),
    row!(SYNC_GROUP, 0..=5, sync_group, SyncGroupRequest),
    row!(
        DESCRIBE_GROUPS,
        0..=6,
        describe_groups,
        DescribeGroupsRequest
    ),
    row!(LIST_GROUPS, 0..=5, list_groups, ListGroupsRequest),
    row!(API_VERSIONS, 0..=4, api_versions, ApiVersionsRequest),
    row!(CREATE_TOPICS, 2..=7, create_topics, CreateTopicsRequest),
    row!(DELETE_TOPICS, 1..=6, delete_topics, DeleteTopicsRequest),
    row!(DELETE_RECORDS, 0..=2, delete_records, DeleteRecordsRequest),
    row!(
        INIT_PRODUCER_ID,
        0..=5,
        init_producer_id,
        InitProducerIdRequest
    ),
    row!(
        OFFSET_FOR_LEADER_EPOCH,
        2..=4,
        offset_for_leader_epoch,
        OffsetForLeaderEpochRequest
    ),
    row!(
        DESCRIBE_CONFIGS,
        1..=4,
        describe_configs,
        DescribeConfigsRequest
    ),
    row!(ALTER_CONFIGS, 0..=2, alter_configs, AlterConfigsRequest),
    row!(
        ALTER_REPLICA_LOG_DIRS,
        1..=2,
        alter_replica_log_dirs,
        AlterReplicaLogDirsRequest
    ),
    row!(
        DESCRIBE_LOG_DIRS,
        1..=5,
        describe_log_dirs,
        DescribeLogDirsRequest
    ),
    row!(
        CREATE_PARTITIONS,
        0..=3,
        create_partitions,
        CreatePartitionsRequest
    ),
    row!(DELETE_GROUPS, 0..=2, delete_groups, DeleteGroupsRequest),
    row!(
        INCREMENTAL_ALTER_CONFIGS,
        0..=1,
        incremental_alter_configs,
        IncrementalAlterConfigsRequest
    ),
    row!(OFFSET_DELETE, 0..=0, offset_delete, OffsetDeleteRequest),
    row!(
        DESCRIBE_QUORUM,
        0..=2,
        describe_quorum,
        DescribeQuorumRequest
    ),
    row!(
        UPDATE_FEATURES,
        0..=2,
        update_features,
        UpdateFeaturesRequest
    ),
    row!(
        DESCRIBE_CLUSTER,
        0..=2,
        describe_cluster,
        DescribeClusterRequest
    ),
    row!(
        DESCRIBE_PRODUCERS,
        0..=0,
        describe_producers,
        DescribeProducersRequest
    ),
    row!(
        CONSUMER_GROUP_HEARTBEAT,
        0..=1,
        consumer_group_heartbeat,
        ConsumerGroupHeartbeatRequest
    ),
    row!(
        CONSUMER_GROUP_DESCRIBE,
        0..=1,
        consumer_group_describe,
        ConsumerGroupDescribeRequest
    ),
    row!(
        LIST_CONFIG_RESOURCES,
        0..=1,
        list_config_resources,
        ListConfigResourcesRequest
    ),
    row!(
        DESCRIBE_TOPIC_PARTITIONS,
        0..=0,
        describe_topic_partitions,
        DescribeTopicPartitionsRequest
    ),
];

/// The row of a request, if it is served.
pub fn find(key: i16) -> Option<&'static Row> {
    API_TABLE
        .binary_search_by_key(&key, |row| row.key)
        .ok()
        .and_then(|place| API_TABLE.get(place))
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
