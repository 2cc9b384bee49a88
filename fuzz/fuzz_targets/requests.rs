//! Whole requests: the head, then the body by the number and version the head names.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use milena::protocol::fetch::FetchRequest;
use milena::protocol::produce::ProduceRequest;
use milena::protocol::{RequestHead, api_key, decode_body, messages, parse_request};

macro_rules! decode_by_key {
    ($head:ident: $($key:ident $request:ident,)*) => {
        match $head.api_key {
            $(api_key::$key => {
                decode_body::<messages::$request>($head.body, $head.api_version).ok();
            })*
            _ => {}
        }
    };
}

fn decode(head: RequestHead) {
    decode_by_key! { head:
        PRODUCE ProduceRequest,
        FETCH FetchRequest,
        LIST_OFFSETS ListOffsetsRequest,
        METADATA MetadataRequest,
        OFFSET_COMMIT OffsetCommitRequest,
        OFFSET_FETCH OffsetFetchRequest,
        FIND_COORDINATOR FindCoordinatorRequest,
        JOIN_GROUP JoinGroupRequest,
        HEARTBEAT HeartbeatRequest,
        LEAVE_GROUP LeaveGroupRequest,
        SYNC_GROUP SyncGroupRequest,
        DESCRIBE_GROUPS DescribeGroupsRequest,
        LIST_GROUPS ListGroupsRequest,
        SASL_HANDSHAKE SaslHandshakeRequest,
        API_VERSIONS ApiVersionsRequest,
        CREATE_TOPICS CreateTopicsRequest,
        DELETE_TOPICS DeleteTopicsRequest,
        DELETE_RECORDS DeleteRecordsRequest,
        INIT_PRODUCER_ID InitProducerIdRequest,
        OFFSET_FOR_LEADER_EPOCH OffsetForLeaderEpochRequest,
        ADD_PARTITIONS_TO_TXN AddPartitionsToTxnRequest,
        ADD_OFFSETS_TO_TXN AddOffsetsToTxnRequest,
        END_TXN EndTxnRequest,
        WRITE_TXN_MARKERS WriteTxnMarkersRequest,
        TXN_OFFSET_COMMIT TxnOffsetCommitRequest,
        DESCRIBE_ACLS DescribeAclsRequest,
        CREATE_ACLS CreateAclsRequest,
        DELETE_ACLS DeleteAclsRequest,
        DESCRIBE_CONFIGS DescribeConfigsRequest,
        ALTER_CONFIGS AlterConfigsRequest,
        ALTER_REPLICA_LOG_DIRS AlterReplicaLogDirsRequest,
        DESCRIBE_LOG_DIRS DescribeLogDirsRequest,
        SASL_AUTHENTICATE SaslAuthenticateRequest,
        CREATE_PARTITIONS CreatePartitionsRequest,
        DELETE_GROUPS DeleteGroupsRequest,
        ELECT_LEADERS ElectLeadersRequest,
        INCREMENTAL_ALTER_CONFIGS IncrementalAlterConfigsRequest,
        ALTER_PARTITION_REASSIGNMENTS AlterPartitionReassignmentsRequest,
        LIST_PARTITION_REASSIGNMENTS ListPartitionReassignmentsRequest,
        OFFSET_DELETE OffsetDeleteRequest,
        DESCRIBE_CLIENT_QUOTAS DescribeClientQuotasRequest,
        ALTER_CLIENT_QUOTAS AlterClientQuotasRequest,
        DESCRIBE_USER_SCRAM_CREDENTIALS DescribeUserScramCredentialsRequest,
        ALTER_USER_SCRAM_CREDENTIALS AlterUserScramCredentialsRequest,
        DESCRIBE_QUORUM DescribeQuorumRequest,
        ALTER_PARTITION AlterPartitionRequest,
        UPDATE_FEATURES UpdateFeaturesRequest,
        DESCRIBE_CLUSTER DescribeClusterRequest,
        DESCRIBE_PRODUCERS DescribeProducersRequest,
        BROKER_REGISTRATION BrokerRegistrationRequest,
        BROKER_HEARTBEAT BrokerHeartbeatRequest,
        UNREGISTER_BROKER UnregisterBrokerRequest,
        DESCRIBE_TRANSACTIONS DescribeTransactionsRequest,
        LIST_TRANSACTIONS ListTransactionsRequest,
        ALLOCATE_PRODUCER_IDS AllocateProducerIdsRequest,
        CONSUMER_GROUP_HEARTBEAT ConsumerGroupHeartbeatRequest,
        CONSUMER_GROUP_DESCRIBE ConsumerGroupDescribeRequest,
        LIST_CONFIG_RESOURCES ListConfigResourcesRequest,
        DESCRIBE_TOPIC_PARTITIONS DescribeTopicPartitionsRequest,
    }
}

fuzz_target!(|frame: &[u8]| {
    let Ok(head) = parse_request(Bytes::copy_from_slice(frame)) else {
        return;
    };
    let version = head.api_version;
    let (ours, theirs) = match head.api_key {
        api_key::PRODUCE => (
            ProduceRequest::decode(head.body.clone(), version).is_ok(),
            decode_body::<messages::ProduceRequest>(head.body.clone(), version).is_ok(),
        ),
        api_key::FETCH => (
            FetchRequest::decode(head.body.clone(), version).is_ok(),
            decode_body::<messages::FetchRequest>(head.body.clone(), version).is_ok(),
        ),
        _ => (true, true),
    };
    assert_eq!(ours, theirs, "the codecs differ about {frame:02x?}");
    decode(head);
});
