//! FindCoordinator: there is no coordinator of any kind yet, and every client is told so once and
//! for good.
//!
//! Kafka has no code for "this broker has none". Codes that clients retry (15, 16) would let them
//! wait for ever, so each kind is refused with the code its clients give up on: INVALID_REQUEST
//! (42) for groups and share groups, which no client retries and for which the Java client says
//! "sent to an incompatible broker"; TRANSACTIONAL_ID_AUTHORIZATION_FAILED (53) for transactions,
//! because it is the only one librdkafka's transactional producer does not retry. Both carry a
//! sentence that says what is missing.

use super::gateway::Gateway;
use super::peer::Peer;
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::find_coordinator_response::Coordinator;
use crate::protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

/// The first version that asks for many keys at once (KIP-699).
const FIRST_WITH_MANY_KEYS: i16 = 4;
/// The first version with a sentence beside the code.
const FIRST_WITH_MESSAGE: i16 = 1;
const NO_NODE: i32 = -1;

/// Refuses.
pub(super) async fn handle(
    gateway: &Gateway,
    request: FindCoordinatorRequest,
    version: i16,
    peer: &Peer,
) -> FindCoordinatorResponse {
    let (code, sentence) = refusal(request.key_type);
    tell_operator(gateway, peer, sentence);
    if version < FIRST_WITH_MANY_KEYS {
        let message = (version >= FIRST_WITH_MESSAGE).then(|| sentence.into());
        return message!(FindCoordinatorResponse {
            error_code: code.code(),
            error_message: message,
            node_id: NO_NODE,
            port: NO_NODE,
        });
    }
    let coordinators = request
        .coordinator_keys
        .into_iter()
        .map(|key| {
            message!(Coordinator {
                key: key,
                node_id: NO_NODE,
                port: NO_NODE,
                error_code: code.code(),
                error_message: Some(sentence.into()),
            })
        })
        .collect();
    message!(FindCoordinatorResponse {
        coordinators: coordinators
    })
}

/// Most clients show no sentence of ours but one of their own, which sends people to this log.
fn tell_operator(gateway: &Gateway, peer: &Peer, sentence: &str) {
    let data = &gateway.data;
    if let Some(held_back) = data.coordinator_lines.admit(data.clock.now()) {
        let client = peer.client_id.as_deref().unwrap_or("without a name");
        log::warn!("refused client {client}: {sentence} ({held_back} such lines were held back)");
    }
}

fn refusal(key_type: i8) -> (ErrorCode, &'static str) {
    match key_type {
        0 => (
            ErrorCode::InvalidRequest,
            "Milena has no group coordinator yet: assign partitions instead of subscribing with a group.id.",
        ),
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
    }
}
