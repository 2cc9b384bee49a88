//! DeleteGroups: groups without members are taken away with their offsets (KIP-229).

use super::errors::group_code;
use super::gateway::Gateway;
use super::groups::{bounded_once, failure, owned};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{GroupError, Reply, Request};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::delete_groups_response::DeletableGroupResult;
use crate::protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse, StrBytes};

/// Answers each group once, however often it is named.
pub(super) async fn handle(
    gateway: &Gateway,
    mut request: DeleteGroupsRequest,
    _version: i16,
    peer: &Peer,
) -> DeleteGroupsResponse {
    request.groups_names = bounded_once(gateway, request.groups_names, |group| group);
    let may = |group: &StrBytes| authorize(peer, Operation::Delete, Resource::Group(group));
    let asked = request.groups_names.iter().filter(|group| may(group));
    let questions = asked.map(|group| (owned(group), Request::Delete));
    let mut replies = gateway
        .groups
        .ask_many(questions.collect())
        .await
        .into_iter();
    let results = request.groups_names.into_iter().map(|group| {
        let code = if !may(&group) {
            ErrorCode::GroupAuthorizationFailed
        } else {
            match replies.next() {
                Some(Reply::Delete(Ok(()))) => ErrorCode::None,
                Some(Reply::Delete(Err(error))) => group_code(&error),
                Some(other) => group_code(&failure(other)),
                None => group_code(&GroupError::CoordinatorNotAvailable),
            }
        };
        message!(DeletableGroupResult {
            group_id: group,
            error_code: code.code(),
            error_message: None,
        })
    });
    message!(DeleteGroupsResponse {
        results: results.collect()
    })
}
