//! OffsetCommit: how far a group has read (`KafkaApis.handleOffsetCommitRequest`).
//!
//! Versions: 5 leaves out the retention time, 6 has leader epochs, 7 static members, 9 the consumer
//! protocol, 10 names topics by id. Partitions that do not exist are answered here and not stored.

use std::sync::Arc;

use super::errors::{group_code, group_result_code};
use super::gateway::Gateway;
use super::groups::{failure, owned, owned_option};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{CommitOffset, CommitOffsets, Identity, Reply, Request};
use crate::message;
use crate::metadata::{Image, TopicImage};
use crate::model::{ErrorCode, LeaderEpoch, Offset};
use crate::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, model_uuid};

/// The first version that names topics by id.
const FIRST_WITH_TOPIC_IDS: i16 = 10;
/// The versions with a retention time of their own.
const WITH_RETENTION: std::ops::RangeInclusive<i16> = 2..=4;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: OffsetCommitRequest,
    version: i16,
    peer: &Peer,
) -> OffsetCommitResponse {
    if !authorize(peer, Operation::Read, Resource::Group(&request.group_id)) {
        return answer(&request, |_| ErrorCode::GroupAuthorizationFailed);
    }
    let image = gateway.image.load_full();
    // Per partition, in the request's order: the error it is refused with here.
    let mut refused: Vec<Option<ErrorCode>> = Vec::new();
    let mut offsets = Vec::new();
    for topic in &request.topics {
        let found = find(&image, topic, version, peer);
        for partition in &topic.partitions {
            let known = found.and_then(|topic| {
                let exists = topic.partition(partition.partition_index).is_some();
                exists
                    .then_some(topic)
                    .ok_or(ErrorCode::UnknownTopicOrPartition)
            });
            if let Ok(topic) = known {
                offsets.push(commit_offset(topic, partition));
            }
            refused.push(known.err());
        }
    }
    let results = if offsets.is_empty() {
        Vec::new()
    } else {
        ask(gateway, &request, version, offsets).await
    };
    let mut results = results.into_iter();
    let mut codes = refused
        .into_iter()
        .map(|refused| refused.or_else(|| results.next()).unwrap_or_default());
    answer(&request, |_| codes.next().unwrap_or_default())
}

fn find<'a>(
    image: &'a Image,
    topic: &OffsetCommitRequestTopic,
    version: i16,
    peer: &Peer,
) -> Result<&'a Arc<TopicImage>, ErrorCode> {
    let by_id = version >= FIRST_WITH_TOPIC_IDS;
    let found = if by_id {
        let found = image.topic_by_id(&model_uuid(topic.topic_id));
        Some(found.ok_or(ErrorCode::UnknownTopicId)?)
    } else {
        image.topic(&topic.name)
    };
    let name = found.map_or(topic.name.as_str(), |topic| &*topic.name);
    if !authorize(peer, Operation::Read, Resource::Topic(name)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    found.ok_or(ErrorCode::UnknownTopicOrPartition)
}

fn commit_offset(topic: &TopicImage, partition: &OffsetCommitRequestPartition) -> CommitOffset {
    CommitOffset {
        topic: Arc::clone(&topic.name),
        topic_id: topic.id,
        partition: partition.partition_index,
        offset: Offset(partition.committed_offset),
        leader_epoch: LeaderEpoch(partition.committed_leader_epoch),
        metadata: owned_option(partition.committed_metadata.as_ref()).unwrap_or_default(),
    }
}

/// Asks the group; one code per offset.
async fn ask(
    gateway: &Gateway,
    request: &OffsetCommitRequest,
    version: i16,
    offsets: Vec<CommitOffset>,
) -> Vec<ErrorCode> {
    let count = offsets.len();
    let own_retention = WITH_RETENTION.contains(&version) && request.retention_time_ms >= 0;
    let commit = Request::CommitOffsets(CommitOffsets {
        identity: Identity {
            member_id: owned(&request.member_id),
            instance_id: owned_option(request.group_instance_id.as_ref()),
            generation: request.generation_id_or_member_epoch,
        },
        retention_ms: own_retention.then_some(request.retention_time_ms),
        version,
        offsets,
    });
    let results = match gateway.groups.ask(&request.group_id, commit).await {
        Reply::CommitOffsets(results) => results,
        other => Err(failure(other)),
    };
    match results {
        Ok(results) => results.iter().map(group_result_code).collect(),
        Err(error) => vec![group_code(&error); count],
    }
}

/// The answer with a code per partition, asked for in the request's order.
fn answer(
    request: &OffsetCommitRequest,
    mut code: impl FnMut(&OffsetCommitRequestPartition) -> ErrorCode,
) -> OffsetCommitResponse {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            message!(OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                error_code: code(partition).code(),
            })
        });
        message!(OffsetCommitResponseTopic {
            partitions: partitions.collect(),
            name: topic.name.clone(),
            topic_id: topic.topic_id,
        })
    });
    message!(OffsetCommitResponse {
        topics: topics.collect()
    })
}
