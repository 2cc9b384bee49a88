//! Metadata: brokers, topics and who leads what, from the published image; creates topics that are
//! asked for and missing, where that is allowed.

use std::collections::HashSet;
use std::time::Duration;

use super::cluster_view::ClusterView;
use super::gateway::Gateway;
use super::peer::{
    OPERATIONS_NOT_ASKED, Operation, Peer, Resource, authorize, authorized_operations,
};
use crate::message;
use crate::metadata::controller::{NewTopic, Reply, Request};
use crate::metadata::{Image, TopicImage};
use crate::model::{ErrorCode, is_internal, validate_topic_name};
use crate::protocol::messages::metadata_request::MetadataRequestTopic;
use crate::protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::messages::{
    MetadataRequest, MetadataResponse, StrBytes, Uuid, model_uuid, wire_uuid,
};

/// The first version that can ask for "none": an empty list, where version 0 means all.
const FIRST_WITH_NULL_TOPICS: i16 = 1;
/// The first version whose clients know LISTENER_NOT_FOUND.
const FIRST_WITH_LISTENER_NOT_FOUND: i16 = 6;
/// The first version that really finds topics by id.
const FIRST_WITH_TOPIC_IDS: i16 = 12;
/// The versions that carry the cluster's authorized operations.
const WITH_CLUSTER_OPERATIONS: std::ops::RangeInclusive<i16> = 8..=10;
/// How long a request waits for a topic it creates by the way.
const CREATION_PATIENCE: Duration = Duration::from_secs(5);

/// What a request names.
enum Wanted {
    /// Everything there is.
    All,
    /// These, each once.
    Some(Vec<WantedTopic>),
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum WantedTopic {
    Name(StrBytes),
    Id(Uuid),
}

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: MetadataRequest,
    version: i16,
    peer: &Peer,
) -> MetadataResponse {
    if version < FIRST_WITH_TOPIC_IDS
        && let Some(refused) = refuse_ids(request.topics.as_deref())
    {
        return refused;
    }
    let listener = &*peer.connection.listener;
    let creates = request.allow_auto_topic_creation && gateway.facts.creates_topics();
    let with_operations = request.include_topic_authorized_operations;
    let topics = match wanted(request.topics, version) {
        Wanted::All => {
            let image = gateway.image.load();
            let desk = Desk::new(&image, listener, version, with_operations, peer);
            image
                .topic_ids
                .keys()
                .filter_map(|name| image.topic(name))
                .filter(|topic| authorize(peer, Operation::Describe, Resource::Topic(&topic.name)))
                .map(|topic| desk.topic(topic))
                .collect()
        }
        Wanted::Some(topics) => {
            let refused = if creates {
                create_missing(gateway, &topics, peer).await
            } else {
                HashSet::new()
            };
            // The image of now, not of before: it has what was just created.
            let image = gateway.image.load();
            let desk = Desk::new(&image, listener, version, with_operations, peer);
            topics
                .into_iter()
                .map(|topic| desk.wanted(topic, &refused))
                .collect()
        }
    };
    let mut response = cluster(gateway, listener);
    response.topics = topics;
    if WITH_CLUSTER_OPERATIONS.contains(&version) && request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = authorized_operations(peer, Resource::Cluster);
    }
    response
}

/// The answer to a request that names topics by id before ids are served: nothing but the error.
fn refuse_ids(topics: Option<&[MetadataRequestTopic]>) -> Option<MetadataResponse> {
    let topics = topics?;
    let by_id = |topic: &MetadataRequestTopic| topic.name.is_none() || !topic.topic_id.is_zero();
    topics.iter().any(by_id).then(|| {
        let refuse = |topic: &MetadataRequestTopic| {
            message!(MetadataResponseTopic {
                error_code: ErrorCode::InvalidRequest.code(),
                name: Some(topic.name.clone().unwrap_or_default()),
                topic_id: topic.topic_id,
                topic_authorized_operations: OPERATIONS_NOT_ASKED,
            })
        };
        message!(MetadataResponse {
            topics: topics.iter().map(refuse).collect(),
            controller_id: -1,
        })
    })
}

fn wanted(topics: Option<Vec<MetadataRequestTopic>>, version: i16) -> Wanted {
    let Some(topics) = topics else {
        return Wanted::All;
    };
    if topics.is_empty() && version < FIRST_WITH_NULL_TOPICS {
        return Wanted::All;
    }
    let mut seen = HashSet::with_capacity(topics.len());
    Wanted::Some(
        topics
            .into_iter()
            .map(|topic| match topic.name {
                Some(name) if topic.topic_id.is_zero() => WantedTopic::Name(name),
                _ => WantedTopic::Id(topic.topic_id),
            })
            .filter(|topic| seen.insert(topic.clone()))
            .collect(),
    )
}

/// Asks the controller for the topics that are named and missing. Answers the names it refuses as
/// names; every other failure shows as "not there (yet)", for which clients ask again.
async fn create_missing(
    gateway: &Gateway,
    topics: &[WantedTopic],
    peer: &Peer,
) -> HashSet<StrBytes> {
    let image = gateway.image.load_full();
    let missing: Vec<&StrBytes> = topics
        .iter()
        .filter_map(|topic| match topic {
            WantedTopic::Name(name) => Some(name),
            WantedTopic::Id(_) => None,
        })
        .filter(|name| image.topic(name).is_none())
        .filter(|name| validate_topic_name(name).is_ok() && !is_internal(name))
        .filter(|name| {
            authorize(peer, Operation::Create, Resource::Cluster)
                || authorize(peer, Operation::Create, Resource::Topic(name))
        })
        .collect();
    if missing.is_empty() {
        return HashSet::new();
    }
    let request = Request::CreateTopics {
        topics: missing
            .iter()
            .map(|name| NewTopic {
                name: name.as_str().to_owned(),
                partitions: -1,
                replication_factor: -1,
                ..NewTopic::default()
            })
            .collect(),
        validate_only: false,
    };
    let Ok(Reply::CreateTopics(results)) = gateway.controller.ask(request, CREATION_PATIENCE).await
    else {
        return HashSet::new();
    };
    let mut refused = HashSet::new();
    let (mut failures, mut first) = (0usize, None);
    for (name, result) in missing.into_iter().zip(results) {
        let Err(refusal) = result else { continue };
        match super::errors::refusal_code(&refusal) {
            ErrorCode::TopicAlreadyExists => {}
            ErrorCode::InvalidTopicException => {
                refused.insert(name.clone());
            }
            _ => {
                failures += 1;
                first.get_or_insert((name, refusal));
            }
        }
    }
    if let Some((name, refusal)) = first {
        // One line, however many: a request may name a hundred thousand.
        gateway.complaints.warn(format_args!(
            "{failures} topics could not be created by the way, among them {name}: {refusal}"
        ));
    }
    refused
}

fn cluster(gateway: &Gateway, listener: &str) -> MetadataResponse {
    let image = gateway.image.load();
    let view = ClusterView::new(&image, listener);
    let brokers = view
        .brokers()
        .map(|(broker, endpoint)| {
            message!(MetadataResponseBroker {
                node_id: broker.id.0,
                host: endpoint.host.as_str().into(),
                port: i32::from(endpoint.port),
                rack: broker.rack.as_deref().map(StrBytes::from),
            })
        })
        .collect();
    message!(MetadataResponse {
        brokers: brokers,
        cluster_id: Some(gateway.facts.cluster_id.as_str().into()),
        controller_id: view.controller(gateway.facts.broker_id),
    })
}

/// Describes topics for one answer.
struct Desk<'a> {
    image: &'a Image,
    view: ClusterView<'a>,
    version: i16,
    with_operations: bool,
    peer: &'a Peer,
}

impl<'a> Desk<'a> {
    fn new(
        image: &'a Image,
        listener: &'a str,
        version: i16,
        with_operations: bool,
        peer: &'a Peer,
    ) -> Desk<'a> {
        Desk {
            image,
            view: ClusterView::new(image, listener),
            version,
            with_operations,
            peer,
        }
    }

    fn wanted(&self, topic: WantedTopic, refused: &HashSet<StrBytes>) -> MetadataResponseTopic {
        match topic {
            WantedTopic::Name(name) => match self.image.topic(&name) {
                Some(topic) => self.topic(topic),
                None => no_topic_of_name(name, refused),
            },
            WantedTopic::Id(id) => self.topic_by_id(id),
        }
    }

    fn topic_by_id(&self, id: Uuid) -> MetadataResponseTopic {
        let refuse = |code: ErrorCode, name| {
            message!(MetadataResponseTopic {
                error_code: code.code(),
                name: name,
                topic_id: id,
                topic_authorized_operations: OPERATIONS_NOT_ASKED,
            })
        };
        if self.version < FIRST_WITH_TOPIC_IDS || id.is_zero() {
            return refuse(ErrorCode::InvalidRequest, Some(StrBytes::from("")));
        }
        match self.image.topic_by_id(&model_uuid(id)) {
            Some(topic) => self.topic(topic),
            None => refuse(ErrorCode::UnknownTopicId, None),
        }
    }

    fn topic(&self, topic: &TopicImage) -> MetadataResponseTopic {
        if !authorize(self.peer, Operation::Describe, Resource::Topic(&topic.name)) {
            return message!(MetadataResponseTopic {
                error_code: ErrorCode::TopicAuthorizationFailed.code(),
                name: Some((&*topic.name).into()),
                topic_authorized_operations: OPERATIONS_NOT_ASKED,
            });
        }
        let partitions = (0..)
            .zip(&topic.partitions)
            .map(|(index, partition)| {
                let view = self.view.partition(partition);
                message!(MetadataResponsePartition {
                    error_code: self.partition_error(view.error).code(),
                    partition_index: index,
                    leader_id: view.leader_id,
                    leader_epoch: view.leader_epoch,
                    replica_nodes: view.replicas,
                    isr_nodes: view.isr,
                    offline_replicas: view.offline,
                })
            })
            .collect();
        message!(MetadataResponseTopic {
            name: Some((&*topic.name).into()),
            topic_id: wire_uuid(topic.id),
            is_internal: topic.is_internal(),
            partitions: partitions,
            topic_authorized_operations: if self.with_operations {
                authorized_operations(self.peer, Resource::Topic(&topic.name))
            } else {
                OPERATIONS_NOT_ASKED
            },
        })
    }

    fn partition_error(&self, error: ErrorCode) -> ErrorCode {
        match error {
            ErrorCode::ListenerNotFound if self.version < FIRST_WITH_LISTENER_NOT_FOUND => {
                ErrorCode::LeaderNotAvailable
            }
            error => error,
        }
    }
}

fn no_topic_of_name(name: StrBytes, refused: &HashSet<StrBytes>) -> MetadataResponseTopic {
    let code = if validate_topic_name(&name).is_err() || refused.contains(&name) {
        ErrorCode::InvalidTopicException
    } else {
        ErrorCode::UnknownTopicOrPartition
    };
    message!(MetadataResponseTopic {
        error_code: code.code(),
        is_internal: is_internal(&name),
        name: Some(name),
        topic_authorized_operations: OPERATIONS_NOT_ASKED,
    })
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
