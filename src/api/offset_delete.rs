//! OffsetDelete: committed offsets are taken away (KIP-496, `KafkaApis.handleOffsetDeleteRequest`).

use std::sync::Arc;

use super::errors::{group_code, group_result_code};
use super::gateway::Gateway;
use super::groups::failure;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{GroupError, Reply, Request};
use crate::message;
use crate::metadata::{Image, TopicImage};
use crate::model::ErrorCode;
use crate::protocol::messages::offset_delete_request::OffsetDeleteRequestTopic;
use crate::protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: OffsetDeleteRequest,
    _version: i16,
    peer: &Peer,
) -> OffsetDeleteResponse {
    if !authorize(peer, Operation::Delete, Resource::Group(&request.group_id)) {
        return refused(ErrorCode::GroupAuthorizationFailed);
    }
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    let image = gateway.image.load_full();
    let mut verdicts: Vec<Option<ErrorCode>> = Vec::new();
    let mut wanted: Vec<(Arc<str>, Vec<i32>)> = Vec::new();
    for topic in &request.topics {
        let found = find(&image, topic, peer);
        let mut known = Vec::new();
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let exists = found.and_then(|topic| {
                let partition = topic.partition(index);
                partition.ok_or(ErrorCode::UnknownTopicOrPartition)
            });
            if exists.is_ok() {
                known.push(index);
            }
            verdicts.push(exists.err());
        }
        if let (Ok(topic), false) = (found, known.is_empty()) {
            wanted.push((Arc::clone(&topic.name), known));
        }
    }
    match ask(gateway, &request, wanted).await {
        Ok(results) => answer(&request, verdicts, &results),
        Err(error) => refused(group_code(&error)),
    }
}

fn find<'a>(
    image: &'a Image,
    topic: &OffsetDeleteRequestTopic,
    peer: &Peer,
) -> Result<&'a Arc<TopicImage>, ErrorCode> {
    if !authorize(peer, Operation::Read, Resource::Topic(&topic.name)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    let found = image.topic(&topic.name);
    found.ok_or(ErrorCode::UnknownTopicOrPartition)
}

/// Asks the group, also when nothing is left to delete: it may not exist.
async fn ask(
    gateway: &Gateway,
    request: &OffsetDeleteRequest,
    wanted: Vec<(Arc<str>, Vec<i32>)>,
) -> Result<Vec<Result<(), GroupError>>, GroupError> {
    let delete = Request::DeleteOffsets(wanted);
    match gateway.groups.ask(&request.group_id, delete).await {
        Reply::DeleteOffsets(results) => results,
        other => Err(failure(other)),
    }
}

fn answer(
    request: &OffsetDeleteRequest,
    verdicts: Vec<Option<ErrorCode>>,
    results: &[Result<(), GroupError>],
) -> OffsetDeleteResponse {
    let mut verdicts = verdicts.into_iter();
    let mut results = results.iter().map(group_result_code);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let refused = verdicts.next().flatten();
            let code = refused.or_else(|| results.next()).unwrap_or_default();
            message!(OffsetDeleteResponsePartition {
                partition_index: partition.partition_index,
                error_code: code.code(),
            })
        });
        message!(OffsetDeleteResponseTopic {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        })
    });
    message!(OffsetDeleteResponse {
        topics: topics.collect()
    })
}

fn refused(code: ErrorCode) -> OffsetDeleteResponse {
    message!(OffsetDeleteResponse {
        error_code: code.code()
    })
}
