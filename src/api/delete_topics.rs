//! DeleteTopics: by name, and from version 6 on by id.

use std::collections::HashSet;

use super::errors::ApiError;
use super::gateway::Gateway;
use super::patience;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::message;
use crate::metadata::Image;
use crate::metadata::controller::{DeletedTopic, Reply, Request, TopicRef};
use crate::model::ErrorCode;
use crate::protocol::messages::delete_topics_request::DeleteTopicState;
use crate::protocol::messages::delete_topics_response::DeletableTopicResult;
use crate::protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, StrBytes, Uuid, model_uuid, wire_uuid,
};

/// The first version that names topics by id as well.
const FIRST_WITH_TOPIC_IDS: i16 = 6;
/// The first version whose clients know TOPIC_DELETION_DISABLED.
const FIRST_WITH_DELETION_DISABLED: i16 = 3;
/// The first version with a sentence beside the code.
const FIRST_WITH_MESSAGE: i16 = 5;

/// A topic as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Asked {
    name: Option<StrBytes>,
    id: Uuid,
}

/// Deletes.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DeleteTopicsRequest,
    version: i16,
    peer: &Peer,
) -> DeleteTopicsResponse {
    let timeout_ms = request.timeout_ms;
    let topics = asked(request, version);
    let image = gateway.image.load_full();
    let mut responses = Vec::new();
    let mut wanted = Vec::new();
    for (topic, error) in judged(topics, &image) {
        match error.or_else(|| objection(gateway, &topic, &image, version, peer)) {
            Some(error) => responses.push(refused(topic, error, version)),
            None => wanted.push(topic),
        }
    }
    let results = ask(gateway, &wanted, timeout_ms).await;
    for (topic, result) in wanted.into_iter().zip(results) {
        responses.push(match result {
            Ok(deleted) => message!(DeletableTopicResult {
                name: Some(deleted.name.as_str().into()),
                topic_id: if version >= FIRST_WITH_TOPIC_IDS {
                    wire_uuid(deleted.id)
                } else {
                    Uuid::default()
                },
            }),
            Err(error) => refused(topic, error, version),
        });
    }
    message!(DeleteTopicsResponse {
        responses: responses
    })
}

fn asked(request: DeleteTopicsRequest, version: i16) -> Vec<Asked> {
    if version >= FIRST_WITH_TOPIC_IDS {
        return request
            .topics
            .into_iter()
            .map(|DeleteTopicState { name, topic_id, .. }| Asked { name, id: topic_id })
            .collect();
    }
    request
        .topic_names
        .into_iter()
        .map(|name| Asked {
            name: Some(name),
            id: Uuid::default(),
        })
        .collect()
}

/// Each topic once, with what is wrong about how it is asked for.
fn judged(topics: Vec<Asked>, image: &Image) -> Vec<(Asked, Option<ApiError>)> {
    let repeated = super::repeated(topics.iter());
    let by_id: HashSet<Uuid> = topics
        .iter()
        .filter(|topic| topic.name.is_none())
        .map(|topic| topic.id)
        .collect();
    let id_of = |name: &StrBytes| image.topic(name).map(|topic| wire_uuid(topic.id));
    let ids_by_name: HashSet<Uuid> = topics
        .iter()
        .filter_map(|topic| topic.name.as_ref().and_then(id_of))
        .collect();
    let mut seen = HashSet::new();
    let mut judged = Vec::with_capacity(topics.len());
    for mut topic in topics {
        if !seen.insert(topic.clone()) {
            continue;
        }
        let sentence = match &topic.name {
            None if topic.id.is_zero() => Some("Neither topic name nor id were specified."),
            Some(_) if !topic.id.is_zero() => {
                Some("You may not specify both topic name and topic id.")
            }
            None if repeated.contains(&topic) => Some("Duplicate topic id."),
            Some(_) if repeated.contains(&topic) => Some("Duplicate topic name."),
            // Asked for twice, once by name and once by id: answered once, with both.
            None if ids_by_name.contains(&topic.id) => continue,
            None => None,
            Some(name) => id_of(name).filter(|id| by_id.contains(id)).map(|id| {
                topic.id = id;
                "The provided topic name maps to an ID that was already supplied."
            }),
        };
        judged.push((topic, sentence.map(ApiError::invalid_request)));
    }
    judged
}

fn objection(
    gateway: &Gateway,
    topic: &Asked,
    image: &Image,
    version: i16,
    peer: &Peer,
) -> Option<ApiError> {
    if !gateway.facts.deletes_topics() {
        return Some(if version < FIRST_WITH_DELETION_DISABLED {
            ErrorCode::InvalidRequest.into()
        } else {
            ErrorCode::TopicDeletionDisabled.into()
        });
    }
    let name = match &topic.name {
        Some(name) => Some(name.as_str()),
        None => image
            .topic_by_id(&model_uuid(topic.id))
            .map(|topic| &*topic.name),
    };
    let allowed = name.is_none_or(|n| authorize(peer, Operation::Delete, Resource::Topic(n)));
    (!allowed).then(|| ErrorCode::TopicAuthorizationFailed.into())
}

/// One result per topic, in order.
async fn ask(
    gateway: &Gateway,
    topics: &[Asked],
    timeout_ms: i32,
) -> Vec<Result<DeletedTopic, ApiError>> {
    if topics.is_empty() {
        return Vec::new();
    }
    let request = Request::DeleteTopics {
        topics: topics
            .iter()
            .map(|topic| match &topic.name {
                Some(name) => TopicRef::Name(name.as_str().to_owned()),
                None => TopicRef::Id(model_uuid(topic.id)),
            })
            .collect(),
    };
    match gateway.controller.ask(request, patience(timeout_ms)).await {
        Ok(Reply::DeleteTopics(results)) => results
            .into_iter()
            .map(|result| result.map_err(|refusal| ApiError::from(&refusal)))
            .collect(),
        Ok(_) => vec![Err(ErrorCode::UnknownServerError.into()); topics.len()],
        Err(unavailable) => vec![Err(unavailable.into()); topics.len()],
    }
}

fn refused(topic: Asked, error: ApiError, version: i16) -> DeletableTopicResult {
    message!(DeletableTopicResult {
        name: topic.name,
        topic_id: topic.id,
        error_code: error.code.code(),
        error_message: error.message.filter(|_| version >= FIRST_WITH_MESSAGE),
    })
}

#[cfg(test)]
#[path = "delete_topics_tests.rs"]
mod tests;
