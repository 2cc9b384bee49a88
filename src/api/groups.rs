//! What the handlers of groups share: who asks, what a group that gave another answer means.

use std::sync::Arc;

use super::gateway::Gateway;
use super::peer::Peer;
use crate::coordination::messages::{Client, GroupError, Reply};
use crate::metadata::Image;
use crate::metadata::controller::GROUP_VERSION;
use crate::protocol::messages::StrBytes;

/// Who asks, as groups show their members.
pub(super) fn client(peer: &Peer) -> Client {
    Client {
        id: Arc::from(peer.client_id.as_deref().unwrap_or_default()),
        host: Arc::clone(&peer.connection.shown_host),
    }
}

/// A copy of a text: a slice of the request would keep its frame for as long as the group lives.
pub(super) fn owned(text: &StrBytes) -> Arc<str> {
    Arc::from(text.as_str())
}

/// The same of one that may be missing.
pub(super) fn owned_option(text: Option<&StrBytes>) -> Option<Arc<str>> {
    text.map(owned)
}

/// What went wrong when a group gave none of the answers its question has.
pub(super) fn failure(reply: Reply) -> GroupError {
    match reply {
        Reply::Failed(error) => error,
        // A group answers a question with its own answer, or with `Failed`.
        _ => GroupError::CoordinatorNotAvailable,
    }
}

/// Whether members may speak the consumer protocol: `group.version` is finalized, and
/// `group.coordinator.rebalance.protocols` has it (`KafkaApis.isConsumerGroupProtocolEnabled`).
pub(super) fn consumer_protocol_is_on(gateway: &Gateway, image: &Image) -> bool {
    let level = image.features.get(GROUP_VERSION).copied();
    level.unwrap_or_default() >= 1
        && gateway
            .facts
            .static_value("group.coordinator.rebalance.protocols")
            .is_none_or(|protocols| protocols.split(',').any(|p| p.trim() == "consumer"))
}
