//! JoinGroup: a member joins a classic group and waits until all have (`GroupCoordinatorService.joinGroup`).
//!
//! Versions: 1 has a rebalance timeout, 4 makes new members ask twice (KIP-394), 5 knows static
//! members (KIP-345), 9 can skip the assignment (KIP-814). The answer waits as long as the group
//! lets its members take; the connection's later requests wait behind it, as in Kafka.

use super::errors::group_code;
use super::gateway::Gateway;
use super::groups::{client, failure, owned, owned_option};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{Join, JoinRefused, Joined, Reply, Request};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::join_group_response::JoinGroupResponseMember;
use crate::protocol::messages::{JoinGroupRequest, JoinGroupResponse, StrBytes};

/// The first version with a rebalance timeout; before it the session timeout counts.
const FIRST_WITH_REBALANCE_TIMEOUT: i16 = 1;
/// The first version in which a new member is told its id before it may join.
const FIRST_WITH_KNOWN_MEMBER_ID: i16 = 4;
/// The first version whose answer names the protocol type, and may name no protocol.
const FIRST_WITH_PROTOCOL_TYPE: i16 = 7;
/// The first version whose members can skip the assignment.
const FIRST_WITH_SKIPPING: i16 = 9;
const NO_GENERATION: i32 = -1;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: JoinGroupRequest,
    version: i16,
    peer: &Peer,
) -> JoinGroupResponse {
    if !authorize(peer, Operation::Read, Resource::Group(&request.group_id)) {
        return refused(
            ErrorCode::GroupAuthorizationFailed,
            StrBytes::default(),
            version,
        );
    }
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId, request.member_id, version);
    }
    let join = Request::Join(join(gateway, &request, version, peer));
    match gateway.groups.ask(&request.group_id, join).await {
        Reply::Join(Ok(joined)) => welcome(joined, version),
        Reply::Join(Err(JoinRefused { error, member_id })) => {
            refused(group_code(&error), (&*member_id).into(), version)
        }
        other => refused(group_code(&failure(other)), request.member_id, version),
    }
}

fn join(gateway: &Gateway, request: &JoinGroupRequest, version: i16, peer: &Peer) -> Join {
    let protocols = request.protocols.iter();
    let protocols = protocols.map(|protocol| {
        // A copy, so that a group keeps only what it needs of a request.
        let metadata = bytes::Bytes::copy_from_slice(&protocol.metadata);
        (owned(&protocol.name), metadata)
    });
    Join {
        client: client(peer),
        member_id: owned(&request.member_id),
        instance_id: owned_option(request.group_instance_id.as_ref()),
        protocol_type: owned(&request.protocol_type),
        protocols: protocols.collect(),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: if version >= FIRST_WITH_REBALANCE_TIMEOUT {
            request.rebalance_timeout_ms
        } else {
            request.session_timeout_ms
        },
        reason: owned_option(request.reason.as_ref()),
        requires_known_member_id: version >= FIRST_WITH_KNOWN_MEMBER_ID,
        supports_skipping_assignment: version >= FIRST_WITH_SKIPPING,
        fresh: gateway.groups.fresh_id(),
    }
}

fn welcome(joined: Joined, version: i16) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        message!(JoinGroupResponseMember {
            member_id: (&*member.member_id).into(),
            group_instance_id: member.instance_id.as_deref().map(StrBytes::from),
            metadata: member.metadata,
        })
    });
    message!(JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: protocol_type(&joined.protocol_type, version),
        protocol_name: Some((&*joined.protocol).into()),
        leader: (&*joined.leader).into(),
        skip_assignment: joined.skip_assignment && version >= FIRST_WITH_SKIPPING,
        member_id: (&*joined.member_id).into(),
        members: members.collect(),
    })
}

fn protocol_type(text: &str, version: i16) -> Option<StrBytes> {
    (version >= FIRST_WITH_PROTOCOL_TYPE).then(|| text.into())
}

fn refused(code: ErrorCode, member_id: StrBytes, version: i16) -> JoinGroupResponse {
    message!(JoinGroupResponse {
        error_code: code.code(),
        generation_id: NO_GENERATION,
        protocol_type: None,
        // Before version 7 there is no way to name none.
        protocol_name: (version < FIRST_WITH_PROTOCOL_TYPE).then(StrBytes::default),
        member_id: member_id,
    })
}
