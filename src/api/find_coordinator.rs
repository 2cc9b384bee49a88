//! FindCoordinator: who coordinates a group (`KafkaApis.getCoordinator`).
//!
//! The first question makes `__consumer_offsets`, as in Kafka, but is answered when the topic is there
//! instead of being told to ask again. There is no coordinator of transactions and shares yet, and
//! every client is told so once and for good. Kafka has no code for that: codes that clients retry
//! (15, 16) would let them wait for ever, so share groups are refused with INVALID_REQUEST (42),
//! which no client retries, and transactions with TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53), the
//! only code librdkafka's transactional producer does not retry. Both carry a sentence.

use super::cluster_view::ClusterView;
use super::errors::ApiError;
use super::gateway::Gateway;
use super::groups::bounded;
use super::offsets_topic::create_offsets_topic;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::actors::groups::router::partition_of;
use crate::message;
use crate::metadata::{Endpoint, Image};
use crate::model::{BrokerId, CONSUMER_OFFSETS, ErrorCode};
use crate::protocol::messages::find_coordinator_response::Coordinator;
use crate::protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse, StrBytes};

/// The first version that asks for many keys at once (KIP-699).
const FIRST_WITH_MANY_KEYS: i16 = 4;
/// The first version with a sentence beside the code.
const FIRST_WITH_MESSAGE: i16 = 1;
const NO_NODE: i32 = -1;
const GROUP: i8 = 0;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: FindCoordinatorRequest,
    version: i16,
    peer: &Peer,
) -> FindCoordinatorResponse {
    let keys = if version < FIRST_WITH_MANY_KEYS {
        vec![request.key]
    } else {
        bounded(gateway, request.coordinator_keys)
    };
    let refused = refusal(request.key_type);
    match &refused {
        Some(error) => tell_operator(gateway, peer, error),
        None => see_to_offsets_topic(gateway).await,
    }
    let image = gateway.image.load_full();
    let coordinators: Vec<Coordinator> = keys
        .into_iter()
        .map(|key| {
            let found = match &refused {
                Some(error) => Err(error.clone()),
                None => find(&image, &key, peer),
            };
            coordinator(key, found)
        })
        .collect();
    answer(coordinators, version)
}

/// Why no coordinator of this kind is there.
fn refusal(key_type: i8) -> Option<ApiError> {
    let (code, sentence) = match key_type {
        GROUP => return None,
        1 => (
            ErrorCode::TransactionalIdAuthorizationFailed,
            "Milena has no transaction coordinator yet: produce without a transactional.id.",
        ),
        2 => (
            ErrorCode::InvalidRequest,
            "Milena has no share coordinator yet: share groups cannot be used.",
        ),
        _ => (
            ErrorCode::InvalidRequest,
            "There is no such kind of coordinator.",
        ),
    };
    Some(ApiError::new(code, sentence))
}

/// Most clients show no sentence of ours but one of their own, which sends people to this log.
fn tell_operator(gateway: &Gateway, peer: &Peer, error: &ApiError) {
    let data = &gateway.data;
    let sentence = error.message.as_deref().unwrap_or_default();
    if let Some(held_back) = data.coordinator_lines.admit(data.clock.now()) {
        let client = peer.client_id.as_deref().unwrap_or("without a name");
        log::warn!("refused client {client}: {sentence} ({held_back} such lines were held back)");
    }
}

/// Makes the topic if it is not there. What goes wrong shows as no coordinator, for which clients
/// ask again, and in the log.
async fn see_to_offsets_topic(gateway: &Gateway) {
    if gateway.image.load().topic(CONSUMER_OFFSETS).is_some() {
        return;
    }
    if let Err(error) = create_offsets_topic(gateway).await {
        gateway.complaints.warn(format_args!(
            "{CONSUMER_OFFSETS} could not be created, so that groups have no coordinator: {error}"
        ));
    }
}

fn find<'a>(
    image: &'a Image,
    group: &str,
    peer: &'a Peer,
) -> Result<(BrokerId, &'a Endpoint), ApiError> {
    if !authorize(peer, Operation::Describe, Resource::Group(group)) {
        return Err(ErrorCode::GroupAuthorizationFailed.into());
    }
    let leader = image.topic(CONSUMER_OFFSETS).and_then(|topic| {
        let count = i32::try_from(topic.partitions.len()).ok()?;
        let partition = topic.partition(partition_of(group, count)?)?;
        Some(partition.leader)
    });
    let listener = &*peer.connection.listener;
    let mut brokers = ClusterView::new(image, listener).brokers();
    let found = brokers.find(|(broker, _)| Some(broker.id) == leader);
    let (broker, endpoint) = found.ok_or(ApiError::from(ErrorCode::CoordinatorNotAvailable))?;
    Ok((broker.id, endpoint))
}

fn coordinator(key: StrBytes, found: Result<(BrokerId, &Endpoint), ApiError>) -> Coordinator {
    match found {
        Ok((broker, endpoint)) => message!(Coordinator {
            key: key,
            node_id: broker.0,
            host: endpoint.host.as_str().into(),
            port: i32::from(endpoint.port),
            error_message: None,
        }),
        Err(error) => message!(Coordinator {
            key: key,
            node_id: NO_NODE,
            port: NO_NODE,
            error_code: error.code.code(),
            error_message: error.message.or_else(|| Some(error.code.message().into())),
        }),
    }
}

fn answer(mut coordinators: Vec<Coordinator>, version: i16) -> FindCoordinatorResponse {
    if version >= FIRST_WITH_MANY_KEYS {
        return message!(FindCoordinatorResponse {
            coordinators: coordinators
        });
    }
    let found = coordinators.pop().unwrap_or_default();
    message!(FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: found
            .error_message
            .filter(|_| version >= FIRST_WITH_MESSAGE),
        node_id: found.node_id,
        host: found.host,
        port: found.port,
    })
}
