//! SyncGroup: a member asks for its assignment, the leader brings everybody's
//! (`GroupCoordinatorService.syncGroup`).
//!
//! Versions: 3 knows static members, 5 names the protocol and must (KIP-559). The answer waits for
//! the leader, as long as the group allows.

use super::errors::group_code;
use super::gateway::Gateway;
use super::groups::{failure, owned, owned_option};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{Identity, Reply, Request, Sync, Synced};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::{StrBytes, SyncGroupRequest, SyncGroupResponse};

/// The first version with protocol type and name.
const FIRST_WITH_PROTOCOL: i16 = 5;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: SyncGroupRequest,
    version: i16,
    peer: &Peer,
) -> SyncGroupResponse {
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= FIRST_WITH_PROTOCOL && !named {
        return refused(ErrorCode::InconsistentGroupProtocol);
    }
    if !authorize(peer, Operation::Read, Resource::Group(&request.group_id)) {
        return refused(ErrorCode::GroupAuthorizationFailed);
    }
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    let sync = Request::Sync(sync(&request));
    match gateway.groups.ask(&request.group_id, sync).await {
        Reply::Sync(Ok(synced)) => assigned(synced, version),
        Reply::Sync(Err(error)) => refused(group_code(&error)),
        other => refused(group_code(&failure(other))),
    }
}

fn sync(request: &SyncGroupRequest) -> Sync {
    let assignments = request.assignments.iter().map(|assignment| {
        let bytes = bytes::Bytes::copy_from_slice(&assignment.assignment);
        (owned(&assignment.member_id), bytes)
    });
    Sync {
        identity: Identity {
            member_id: owned(&request.member_id),
            instance_id: owned_option(request.group_instance_id.as_ref()),
            generation: request.generation_id,
        },
        protocol_type: owned_option(request.protocol_type.as_ref()),
        protocol_name: owned_option(request.protocol_name.as_ref()),
        assignments: assignments.collect(),
    }
}

fn assigned(synced: Synced, version: i16) -> SyncGroupResponse {
    let shown = |text: Option<std::sync::Arc<str>>| {
        let text = text.filter(|_| version >= FIRST_WITH_PROTOCOL);
        text.as_deref().map(StrBytes::from)
    };
    message!(SyncGroupResponse {
        protocol_type: shown(synced.protocol_type),
        protocol_name: shown(synced.protocol),
        assignment: synced.assignment,
    })
}

fn refused(code: ErrorCode) -> SyncGroupResponse {
    message!(SyncGroupResponse {
        error_code: code.code(),
        protocol_type: None,
        protocol_name: None,
    })
}
