//! LeaveGroup: members leave, by their own wish or an admin's (`GroupCoordinatorService.leaveGroup`).
//!
//! Versions: up to 2 one member leaves and its error is the answer's; from 3 on many do, static ones
//! by the name of their instance, and each has an error of its own.

use super::errors::{group_code, group_result_code};
use super::gateway::Gateway;
use super::groups::{failure, owned, owned_option};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{GroupError, Leaving, Reply, Request};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::leave_group_request::MemberIdentity;
use crate::protocol::messages::leave_group_response::MemberResponse;
use crate::protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

/// The first version in which many leave at once.
const FIRST_WITH_MEMBERS: i16 = 3;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    mut request: LeaveGroupRequest,
    version: i16,
    peer: &Peer,
) -> LeaveGroupResponse {
    if !authorize(peer, Operation::Read, Resource::Group(&request.group_id)) {
        return refused(ErrorCode::GroupAuthorizationFailed);
    }
    if request.group_id.is_empty() {
        return refused(ErrorCode::InvalidGroupId);
    }
    if version < FIRST_WITH_MEMBERS {
        request.members = vec![message!(MemberIdentity {
            member_id: request.member_id.clone(),
            group_instance_id: None,
        })];
    }
    let leaving = request.members.iter().map(|member| Leaving {
        member_id: owned(&member.member_id),
        instance_id: owned_option(member.group_instance_id.as_ref()),
        reason: owned_option(member.reason.as_ref()),
    });
    let leave = Request::Leave(leaving.collect());
    let results = match gateway.groups.ask(&request.group_id, leave).await {
        Reply::Leave(results) => results,
        other => Err(failure(other)),
    };
    let codes = match results {
        Ok(results) => results.iter().map(group_result_code).collect(),
        // A group that is not there has none of the members.
        Err(GroupError::UnknownMemberId) => {
            vec![ErrorCode::UnknownMemberId; request.members.len()]
        }
        Err(error) => return refused(group_code(&error)),
    };
    answer(request, &codes, version)
}

fn answer(request: LeaveGroupRequest, codes: &[ErrorCode], version: i16) -> LeaveGroupResponse {
    if version < FIRST_WITH_MEMBERS {
        return refused(codes.first().copied().unwrap_or_default());
    }
    let members = request
        .members
        .into_iter()
        .zip(codes)
        .map(|(member, code)| {
            message!(MemberResponse {
                member_id: member.member_id,
                group_instance_id: member.group_instance_id,
                error_code: code.code(),
            })
        });
    message!(LeaveGroupResponse {
        members: members.collect()
    })
}

fn refused(code: ErrorCode) -> LeaveGroupResponse {
    message!(LeaveGroupResponse {
        error_code: code.code()
    })
}
