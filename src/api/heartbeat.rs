//! Heartbeat: a member of a classic group is alive (`GroupCoordinatorService.heartbeat`).

use super::errors::group_code;
use super::gateway::Gateway;
use super::groups::{failure, owned, owned_option};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{GroupError, Identity, Reply, Request};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::{HeartbeatRequest, HeartbeatResponse};

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: HeartbeatRequest,
    _version: i16,
    peer: &Peer,
) -> HeartbeatResponse {
    let code = if !authorize(peer, Operation::Read, Resource::Group(&request.group_id)) {
        ErrorCode::GroupAuthorizationFailed
    } else if request.group_id.is_empty() {
        ErrorCode::InvalidGroupId
    } else {
        ask(gateway, &request).await
    };
    message!(HeartbeatResponse {
        error_code: code.code()
    })
}

async fn ask(gateway: &Gateway, request: &HeartbeatRequest) -> ErrorCode {
    let identity = Identity {
        member_id: owned(&request.member_id),
        instance_id: owned_option(request.group_instance_id.as_ref()),
        generation: request.generation_id,
    };
    let asked = gateway
        .groups
        .ask(&request.group_id, Request::Heartbeat(identity));
    match asked.await {
        Reply::Heartbeat(Ok(())) => ErrorCode::None,
        Reply::Heartbeat(Err(error)) => group_code(&error),
        other => match failure(other) {
            // Nobody can be late while the group is loading.
            GroupError::LoadInProgress => ErrorCode::None,
            error => group_code(&error),
        },
    }
}
