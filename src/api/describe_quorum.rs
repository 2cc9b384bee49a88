//! DescribeQuorum: the state of the metadata quorum, under the name Kafka gives its log (KIP-595).
//!
//! The quorum here is not Kafka's log of that name, but leader, voters and progress mean the same
//! to an operator.

use super::gateway::{Gateway, QuorumReplica, QuorumStatus};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::describe_quorum_request;
use crate::protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use crate::protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse, wire_uuid};

/// The name under which Kafka's tools ask.
const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_PARTITION: i32 = 0;
/// The first version with messages and addresses (KIP-853).
const FIRST_WITH_NODES: i16 = 2;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DescribeQuorumRequest,
    version: i16,
    peer: &Peer,
) -> DescribeQuorumResponse {
    if !authorize(peer, Operation::Describe, Resource::Cluster) {
        return message!(DescribeQuorumResponse {
            error_code: ErrorCode::ClusterAuthorizationFailed.code()
        });
    }
    let status = gateway.quorum.status().await;
    let mut found = false;
    let mut describe = |topic: &str, partition: i32| {
        let ours = topic == METADATA_TOPIC && partition == METADATA_PARTITION;
        match &status {
            _ if !ours => unknown(partition, version),
            Some(status) if status.leader.0 >= 0 => {
                found = true;
                describe_status(status, version)
            }
            _ => failed(ErrorCode::LeaderNotAvailable, partition, version),
        }
    };
    let topics = request
        .topics
        .into_iter()
        .map(|topic| describe_topic(topic, &mut describe))
        .collect();
    let mut response = message!(DescribeQuorumResponse { topics: topics });
    if version >= FIRST_WITH_NODES {
        response.error_message = Some("".into());
        if let (true, Some(status)) = (found, &status) {
            response.nodes = nodes(status);
        }
    }
    response
}

fn describe_topic(
    topic: describe_quorum_request::TopicData,
    describe: &mut impl FnMut(&str, i32) -> PartitionData,
) -> TopicData {
    let partitions = topic
        .partitions
        .iter()
        .map(|partition| describe(&topic.topic_name, partition.partition_index))
        .collect();
    message!(TopicData {
        topic_name: topic.topic_name,
        partitions: partitions,
    })
}

fn unknown(partition: i32, version: i16) -> PartitionData {
    failed(ErrorCode::UnknownTopicOrPartition, partition, version)
}

fn failed(code: ErrorCode, partition: i32, version: i16) -> PartitionData {
    let mut answer = message!(PartitionData {
        partition_index: partition,
        error_code: code.code(),
    });
    if version >= FIRST_WITH_NODES {
        answer.error_message = Some(code.message().into());
    }
    answer
}

fn describe_status(status: &QuorumStatus, version: i16) -> PartitionData {
    let replicas = |replicas: &[QuorumReplica]| {
        replicas
            .iter()
            .map(|replica| describe_replica(replica, version))
            .collect()
    };
    let mut answer = message!(PartitionData {
        partition_index: METADATA_PARTITION,
        leader_id: status.leader.0,
        leader_epoch: status.leader_epoch,
        high_watermark: status.high_watermark,
        current_voters: replicas(&status.voters),
        observers: replicas(&status.observers),
    });
    if version >= FIRST_WITH_NODES {
        answer.error_message = Some("".into());
    }
    answer
}

fn describe_replica(replica: &QuorumReplica, version: i16) -> ReplicaState {
    let mut answer = message!(ReplicaState {
        replica_id: replica.id.0,
        log_end_offset: replica.log_end_offset,
        last_fetch_timestamp: replica.last_fetch.0,
        last_caught_up_timestamp: replica.last_caught_up.0,
    });
    if version >= FIRST_WITH_NODES {
        answer.replica_directory_id = wire_uuid(replica.directory_id);
    }
    answer
}

fn nodes(status: &QuorumStatus) -> Vec<Node> {
    status
        .nodes
        .iter()
        .map(|(id, endpoints)| {
            let listeners = endpoints.iter().map(|endpoint| {
                message!(Listener {
                    name: endpoint.listener.as_str().into(),
                    host: endpoint.host.as_str().into(),
                    port: endpoint.port,
                })
            });
            message!(Node {
                node_id: id.0,
                listeners: listeners.collect(),
            })
        })
        .collect()
}
