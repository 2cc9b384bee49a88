//! ListGroups: the groups this broker coordinates (`GroupMetadataManager.listGroups`).
//!
//! Versions: 4 shows and filters by state (KIP-518), 5 by type (KIP-848). Filters are compared
//! without regard to case; one that names nothing there is lets nothing through.

use super::errors::group_code;
use super::gateway::Gateway;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::Summary;
use crate::message;
use crate::protocol::messages::list_groups_response::ListedGroup;
use crate::protocol::messages::{ListGroupsRequest, ListGroupsResponse, StrBytes};

/// Answers, in order of the groups' ids.
pub(super) async fn handle(
    gateway: &Gateway,
    request: ListGroupsRequest,
    _version: i16,
    peer: &Peer,
) -> ListGroupsResponse {
    let mut groups = match gateway.groups.list().await {
        Ok(groups) => groups,
        Err(error) => {
            return message!(ListGroupsResponse {
                error_code: group_code(&error).code()
            });
        }
    };
    let all = authorize(peer, Operation::Describe, Resource::Cluster);
    groups.retain(|group| {
        lets_through(&request.states_filter, group.state)
            && lets_through(&request.types_filter, group.group_type)
            && (all || authorize(peer, Operation::Describe, Resource::Group(&group.group_id)))
    });
    groups.sort_unstable_by(|a, b| a.group_id.cmp(&b.group_id));
    message!(ListGroupsResponse {
        groups: groups.iter().map(listed).collect()
    })
}

fn lets_through(filter: &[StrBytes], word: &str) -> bool {
    let mut words = filter.iter().map(|wanted| wanted.trim());
    filter.is_empty() || words.any(|wanted| wanted.eq_ignore_ascii_case(word))
}

fn listed(group: &Summary) -> ListedGroup {
    message!(ListedGroup {
        group_id: (&*group.group_id).into(),
        protocol_type: (&*group.protocol_type).into(),
        group_state: group.state.into(),
        group_type: group.group_type.into(),
    })
}
