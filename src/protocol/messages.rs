//! The requests and responses of Kafka's protocol, one plain struct each, under our name.
//!
//! They come from the codec crates, which nobody outside `protocol` names, so that they can be
//! replaced here. The structs may gain fields: start from the default and set what you mean,
//! which [`message!`](crate::message) writes down shortly. The types inside a message live in a
//! module of its own name (`create_topics_request::CreatableTopic`).

pub use kafka_wire::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, AllocateProducerIdsRequest, AllocateProducerIdsResponse,
    AlterClientQuotasRequest, AlterClientQuotasResponse, AlterConfigsRequest, AlterConfigsResponse,
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, AlterPartitionRequest,
    AlterPartitionResponse, AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse,
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, ApiVersionsRequest,
    ApiVersionsResponse, BrokerHeartbeatRequest, BrokerHeartbeatResponse,
    BrokerRegistrationRequest, BrokerRegistrationResponse, ConsumerGroupDescribeRequest,
    ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
    CreateAclsRequest, CreateAclsResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    CreateTopicsRequest, CreateTopicsResponse, DeleteAclsRequest, DeleteAclsResponse,
    DeleteGroupsRequest, DeleteGroupsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeAclsRequest, DescribeAclsResponse,
    DescribeClientQuotasRequest, DescribeClientQuotasResponse, DescribeClusterRequest,
    DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeProducersRequest, DescribeProducersResponse, DescribeQuorumRequest,
    DescribeQuorumResponse, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, DescribeUserScramCredentialsRequest,
    DescribeUserScramCredentialsResponse, ElectLeadersRequest, ElectLeadersResponse, EndTxnRequest,
    EndTxnResponse, FetchRequest, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    HeartbeatRequest, HeartbeatResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, InitProducerIdRequest, InitProducerIdResponse,
    JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListConfigResourcesRequest, ListConfigResourcesResponse, ListGroupsRequest, ListGroupsResponse,
    ListOffsetsRequest, ListOffsetsResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, ListTransactionsRequest, ListTransactionsResponse,
    MetadataRequest, MetadataResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse,
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
    SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
    UnregisterBrokerRequest, UnregisterBrokerResponse, UpdateFeaturesRequest,
    UpdateFeaturesResponse, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
pub use kafka_wire::{KafkaMessage as Message, KafkaRequest as Request, KafkaResponse as Answer};
pub use kafka_wire::{
    add_offsets_to_txn_request, add_offsets_to_txn_response, add_partitions_to_txn_request,
    add_partitions_to_txn_response, allocate_producer_ids_request, allocate_producer_ids_response,
    alter_client_quotas_request, alter_client_quotas_response, alter_configs_request,
    alter_configs_response, alter_partition_reassignments_request,
    alter_partition_reassignments_response, alter_partition_request, alter_partition_response,
    alter_replica_log_dirs_request, alter_replica_log_dirs_response,
    alter_user_scram_credentials_request, alter_user_scram_credentials_response,
    api_versions_request, api_versions_response, broker_heartbeat_request,
    broker_heartbeat_response, broker_registration_request, broker_registration_response,
    consumer_group_describe_request, consumer_group_describe_response,
    consumer_group_heartbeat_request, consumer_group_heartbeat_response, create_acls_request,
    create_acls_response, create_partitions_request, create_partitions_response,
    create_topics_request, create_topics_response, delete_acls_request, delete_acls_response,
    delete_groups_request, delete_groups_response, delete_records_request, delete_records_response,
    delete_topics_request, delete_topics_response, describe_acls_request, describe_acls_response,
    describe_client_quotas_request, describe_client_quotas_response, describe_cluster_request,
    describe_cluster_response, describe_configs_request, describe_configs_response,
    describe_groups_request, describe_groups_response, describe_log_dirs_request,
    describe_log_dirs_response, describe_producers_request, describe_producers_response,
    describe_quorum_request, describe_quorum_response, describe_topic_partitions_request,
    describe_topic_partitions_response, describe_transactions_request,
    describe_transactions_response, describe_user_scram_credentials_request,
    describe_user_scram_credentials_response, elect_leaders_request, elect_leaders_response,
    end_txn_request, end_txn_response, fetch_request, fetch_response, find_coordinator_request,
    find_coordinator_response, heartbeat_request, heartbeat_response,
    incremental_alter_configs_request, incremental_alter_configs_response,
    init_producer_id_request, init_producer_id_response, join_group_request, join_group_response,
    leave_group_request, leave_group_response, list_config_resources_request,
    list_config_resources_response, list_groups_request, list_groups_response,
    list_offsets_request, list_offsets_response, list_partition_reassignments_request,
    list_partition_reassignments_response, list_transactions_request, list_transactions_response,
    metadata_request, metadata_response, offset_commit_request, offset_commit_response,
    offset_delete_request, offset_delete_response, offset_fetch_request, offset_fetch_response,
    offset_for_leader_epoch_request, offset_for_leader_epoch_response, produce_request,
    produce_response, sasl_authenticate_request, sasl_authenticate_response,
    sasl_handshake_request, sasl_handshake_response, sync_group_request, sync_group_response,
    txn_offset_commit_request, txn_offset_commit_response, unregister_broker_request,
    unregister_broker_response, update_features_request, update_features_response,
    write_txn_markers_request, write_txn_markers_response,
};
pub use kafka_wire_core::{StrBytes, Uuid};

use crate::model;

/// An id as the messages carry it.
pub fn wire_uuid(id: model::Uuid) -> Uuid {
    Uuid::from_bytes(id.0)
}

/// An id of a message as the rest of the house speaks of it.
pub fn model_uuid(id: Uuid) -> model::Uuid {
    model::Uuid(id.to_bytes())
}

/// Builds a message from its default: `message!(DeleteTopicsResponse { responses: topics })`.
///
/// The structs of the codec crate may gain fields, so they cannot be written as literals.
#[macro_export]
macro_rules! message {
    ($name:ty { $($field:ident: $value:expr),* $(,)? }) => {{
        #[allow(unused_mut)]
        let mut message = <$name>::default();
        $(message.$field = $value;)*
        message
    }};
}
