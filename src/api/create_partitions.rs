//! CreatePartitions: more partitions for topics that exist; never fewer.

use std::collections::HashMap;

use super::errors::ApiError;
use super::gateway::Gateway;
use super::peer::{Operation, Peer, Resource, authorize};
use super::{patience, repeated};
use crate::message;
use crate::metadata::controller::{NewPartitions, Reply, Request};
use crate::model::{BrokerId, ErrorCode};
use crate::protocol::messages::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, StrBytes};

/// Adds partitions, or only tells what would happen.
pub(super) async fn handle(
    gateway: &Gateway,
    request: CreatePartitionsRequest,
    _version: i16,
    peer: &Peer,
) -> CreatePartitionsResponse {
    let repeated = repeated(request.topics.iter().map(|topic| &topic.name));
    let mut order = Vec::new();
    let mut answers: HashMap<StrBytes, ApiError> = HashMap::new();
    let mut asked = Vec::new();
    for topic in request.topics {
        if answers.contains_key(&topic.name) {
            continue;
        }
        order.push(topic.name.clone());
        if repeated.contains(&topic.name) {
            let error = ApiError::invalid_request("Duplicate topic name.");
            answers.insert(topic.name, error);
        } else if !authorize(peer, Operation::Alter, Resource::Topic(&topic.name)) {
            answers.insert(topic.name, ErrorCode::TopicAuthorizationFailed.into());
        } else {
            asked.push(topic);
        }
    }
    let names: Vec<StrBytes> = asked.iter().map(|topic| topic.name.clone()).collect();
    let results = ask(gateway, asked, request.validate_only, request.timeout_ms).await;
    answers.extend(names.into_iter().zip(results));
    message!(CreatePartitionsResponse {
        results: order
            .into_iter()
            .map(|name| {
                let error = answers
                    .remove(&name)
                    .unwrap_or(ErrorCode::UnknownServerError.into());
                message!(CreatePartitionsTopicResult {
                    name: name,
                    error_code: error.code.code(),
                    error_message: error.message,
                })
            })
            .collect(),
    })
}

/// One result per topic, in order.
async fn ask(
    gateway: &Gateway,
    topics: Vec<CreatePartitionsTopic>,
    validate_only: bool,
    timeout_ms: i32,
) -> Vec<ApiError> {
    let count = topics.len();
    if count == 0 {
        return Vec::new();
    }
    let request = Request::CreatePartitions {
        topics: topics.into_iter().map(new_partitions).collect(),
        validate_only,
    };
    match gateway.controller.ask(request, patience(timeout_ms)).await {
        Ok(Reply::CreatePartitions(results)) => results
            .into_iter()
            .map(|result| result.map_or_else(|refusal| (&refusal).into(), |()| ApiError::NONE))
            .collect(),
        Ok(_) => vec![ErrorCode::UnknownServerError.into(); count],
        Err(unavailable) => vec![unavailable.into(); count],
    }
}

fn new_partitions(topic: CreatePartitionsTopic) -> NewPartitions {
    NewPartitions {
        topic: topic.name.into_string(),
        count: topic.count,
        assignments: topic.assignments.map(|assignments| {
            assignments
                .into_iter()
                .map(|assignment| assignment.broker_ids.into_iter().map(BrokerId).collect())
                .collect()
        }),
    }
}
