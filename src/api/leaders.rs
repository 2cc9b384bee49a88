//! Where the leaders named in an answer are reached (KIP-951), so that a client needs not ask again.

use std::collections::BTreeSet;

use super::gateway::Gateway;
use crate::protocol::{CurrentLeader, NodeEndpoint};

/// The endpoints of leaders, each once, on the listener the request came in on.
pub(super) fn endpoints(
    gateway: &Gateway,
    listener: &str,
    leaders: impl IntoIterator<Item = CurrentLeader>,
) -> Vec<NodeEndpoint> {
    let ids: BTreeSet<_> = leaders.into_iter().map(|leader| leader.leader_id).collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let image = gateway.image.load();
    let reachable = ids.into_iter().filter_map(|id| {
        let broker = image.brokers.get(&id)?;
        let endpoint = broker.endpoint(listener)?;
        Some(NodeEndpoint {
            node_id: id,
            host: endpoint.host.clone(),
            port: i32::from(endpoint.port),
            rack: broker.rack.clone(),
        })
    });
    reachable.collect()
}
