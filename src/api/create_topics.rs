//! CreateTopics: asks the controller, and describes what came of it.
//!
//! From version 5 on counts and configurations are always there, never null: clients count on it.

use std::collections::{HashMap, HashSet};

use super::errors::ApiError;
use super::gateway::Gateway;
use super::peer::{Operation, Peer, Resource, authorize};
use super::{patience, repeated};
use crate::message;
use crate::metadata::controller::{CreatedTopic, NewTopic, Reply, Request};
use crate::model::{BrokerId, ErrorCode};
use crate::protocol::messages::create_topics_request::CreatableTopic;
use crate::protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use crate::protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, StrBytes, wire_uuid};

/// The first version that describes what was created (KIP-525).
const FIRST_WITH_DESCRIPTION: i16 = 5;
/// The first version that carries the topic's id.
const FIRST_WITH_TOPIC_ID: i16 = 7;
/// The name of Kafka's metadata log, which nobody may take.
const METADATA_TOPIC: &str = "__cluster_metadata";

/// Creates, or only tells what would happen.
pub(super) async fn handle(
    gateway: &Gateway,
    request: CreateTopicsRequest,
    version: i16,
    peer: &Peer,
) -> CreateTopicsResponse {
    let repeated: HashSet<StrBytes> = repeated(request.topics.iter().map(|topic| &topic.name));
    let mut order = Vec::new();
    let mut answers = HashMap::new();
    let mut asked = Vec::new();
    for topic in request.topics {
        if answers.contains_key(&topic.name) {
            continue;
        }
        order.push(topic.name.clone());
        match objection(&topic, &repeated, peer) {
            Some(error) => {
                answers.insert(topic.name, Err(error));
            }
            None => asked.push(topic),
        }
    }
    let names: Vec<StrBytes> = asked.iter().map(|topic| topic.name.clone()).collect();
    let results = ask(gateway, asked, request.validate_only, request.timeout_ms).await;
    answers.extend(names.into_iter().zip(results));
    message!(CreateTopicsResponse {
        topics: order
            .into_iter()
            .map(|name| {
                let answer = answers.remove(&name);
                let result = answer.unwrap_or(Err(ErrorCode::UnknownServerError.into()));
                describe(name, result, version)
            })
            .collect(),
    })
}

fn objection(
    topic: &CreatableTopic,
    repeated: &HashSet<StrBytes>,
    peer: &Peer,
) -> Option<ApiError> {
    if repeated.contains(&topic.name) {
        return Some(ApiError::invalid_request("Duplicate topic name."));
    }
    if *topic.name == *METADATA_TOPIC {
        return Some(ApiError::invalid_request(
            "Creation of internal topic __cluster_metadata is prohibited.",
        ));
    }
    let allowed = authorize(peer, Operation::Create, Resource::Cluster)
        || authorize(peer, Operation::Create, Resource::Topic(&topic.name));
    (!allowed).then(|| ErrorCode::TopicAuthorizationFailed.into())
}

/// One result per topic, in order.
async fn ask(
    gateway: &Gateway,
    topics: Vec<CreatableTopic>,
    validate_only: bool,
    timeout_ms: i32,
) -> Vec<Result<CreatedTopic, ApiError>> {
    let count = topics.len();
    if count == 0 {
        return Vec::new();
    }
    let names: Vec<StrBytes> = topics.iter().map(|topic| topic.name.clone()).collect();
    let request = Request::CreateTopics {
        topics: topics.into_iter().map(new_topic).collect(),
        validate_only,
    };
    match gateway.controller.ask(request, patience(timeout_ms)).await {
        Ok(Reply::CreateTopics(results)) => results
            .into_iter()
            .zip(names)
            .map(|(result, name)| match result {
                Ok(created) => {
                    if !validate_only {
                        warn_of_collisions(&name);
                    }
                    Ok(created)
                }
                Err(refusal) => Err(ApiError::from(&refusal)),
            })
            .collect(),
        Ok(_) => vec![Err(ErrorCode::UnknownServerError.into()); count],
        Err(unavailable) => vec![Err(unavailable.into()); count],
    }
}

/// Kafka's tools say this themselves; other clients do not.
fn warn_of_collisions(name: &str) {
    if name.contains('.') && name.contains('_') {
        log::warn!(
            "topic {name} has both '.' and '_' in its name; the two are the same in the names of \
             metrics, so a name that differs from it only there will be refused"
        );
    }
}

fn new_topic(topic: CreatableTopic) -> NewTopic {
    NewTopic {
        name: topic.name.into_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .into_iter()
            .map(|assignment| {
                let brokers = assignment.broker_ids.into_iter().map(BrokerId).collect();
                (assignment.partition_index, brokers)
            })
            .collect(),
        configs: topic
            .configs
            .into_iter()
            .map(|config| {
                let value = config.value.map(StrBytes::into_string);
                (config.name.into_string(), value)
            })
            .collect(),
    }
}

fn describe(
    name: StrBytes,
    result: Result<CreatedTopic, ApiError>,
    version: i16,
) -> CreatableTopicResult {
    let mut answer = message!(CreatableTopicResult {
        name: name,
        error_message: None,
    });
    let described = version >= FIRST_WITH_DESCRIPTION;
    match result {
        Err(error) => {
            answer.error_code = error.code.code();
            answer.error_message = error.message;
            if described {
                answer.num_partitions = -1;
                answer.replication_factor = -1;
                answer.configs = Some(Vec::new());
            }
        }
        Ok(created) => {
            if version >= FIRST_WITH_TOPIC_ID {
                answer.topic_id = wire_uuid(created.id);
            }
            if described {
                answer.num_partitions = created.partitions;
                answer.replication_factor = created.replication_factor;
                answer.configs = Some(configs(created));
            }
        }
    }
    answer
}

fn configs(created: CreatedTopic) -> Vec<CreatableTopicConfigs> {
    created
        .configs
        .into_iter()
        .map(|config| {
            message!(CreatableTopicConfigs {
                name: config.name.into(),
                value: config.value.map(StrBytes::from),
                config_source: config.source.wire(),
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "create_topics_tests.rs"]
mod tests;
