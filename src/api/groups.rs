//! What the handlers of groups share: who asks, what a group that gave another answer means.

use std::collections::HashMap;
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

/// The most groups one request may name. An answer takes many times the bytes of its question, and
/// one request may hold fifty million empty names.
const GROUPS_PER_REQUEST_MAX: usize = 100_000;

/// Leaves out what a request names beyond the limit: it gets no answer, and the log says so.
pub(super) fn bounded<T>(gateway: &Gateway, mut groups: Vec<T>) -> Vec<T> {
    if groups.len() > GROUPS_PER_REQUEST_MAX {
        gateway.complaints.warn(format_args!(
            "a request names {} groups; those beyond {GROUPS_PER_REQUEST_MAX} are not answered",
            groups.len()
        ));
        groups.truncate(GROUPS_PER_REQUEST_MAX);
    }
    groups
}

/// The same, and each group once: one that is named a hundred thousand times would else be told with
/// all its members or offsets as often.
pub(super) fn bounded_once<T>(
    gateway: &Gateway,
    groups: Vec<T>,
    name: impl Fn(&T) -> &StrBytes,
) -> Vec<T> {
    bounded_times(gateway, groups, 1, name)
}

/// The same, and each group so many times: what may be asked of a group in several ways.
pub(super) fn bounded_times<T>(
    gateway: &Gateway,
    groups: Vec<T>,
    times_max: u32,
    name: impl Fn(&T) -> &StrBytes,
) -> Vec<T> {
    let mut seen: HashMap<StrBytes, u32> = HashMap::new();
    let mut groups = bounded(gateway, groups);
    groups.retain(|group| {
        let times = seen.entry(name(group).clone()).or_default();
        *times += 1;
        *times <= times_max
    });
    groups
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
