//! DescribeGroups: classic groups with their members (`GroupMetadataManager.describeGroups`).
//!
//! Versions: 3 can tell what the asker may do, 4 names static members, 6 says of a group that is not
//! there that it is not (KIP-1043), where earlier ones call it dead.

use super::errors::ApiError;
use super::gateway::Gateway;
use super::groups::{bounded_once, failure, owned};
use super::peer::{Operation, Peer, Resource, authorize, authorized_operations};
use crate::coordination::messages::{
    ClassicDescription, ClassicMemberDescription, GroupError, Reply, Request,
};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use crate::protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, StrBytes};

/// The first version that tells what the asker may do.
const FIRST_WITH_OPERATIONS: i16 = 3;
/// The first version that knows a group which is not there.
const FIRST_WITH_NOT_FOUND: i16 = 6;
/// What Kafka calls the state of a group that is not there.
const DEAD: &str = "Dead";

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DescribeGroupsRequest,
    version: i16,
    peer: &Peer,
) -> DescribeGroupsResponse {
    let named = bounded_once(gateway, request.groups, |group| group);
    let may = |group: &StrBytes| authorize(peer, Operation::Describe, Resource::Group(group));
    let asked = named.iter().filter(|group| may(group));
    let questions = asked.map(|group| (owned(group), Request::DescribeClassic));
    let mut replies = gateway
        .groups
        .ask_many(questions.collect())
        .await
        .into_iter();
    let operations = version >= FIRST_WITH_OPERATIONS && request.include_authorized_operations;
    let groups = named.into_iter().map(|group| {
        if !may(&group) {
            return refused(
                group,
                ErrorCode::GroupAuthorizationFailed.into(),
                "",
                version,
            );
        }
        let description = match replies.next() {
            Some(Reply::DescribeClassic(description)) => description,
            Some(other) => Err(failure(other)),
            None => Err(GroupError::CoordinatorNotAvailable),
        };
        let mut described = describe(group, description, version);
        if operations && described.error_code == ErrorCode::None.code() {
            let group = Resource::Group(&described.group_id);
            described.authorized_operations = authorized_operations(peer, group);
        }
        described
    });
    message!(DescribeGroupsResponse {
        groups: groups.collect()
    })
}

fn describe(
    group: StrBytes,
    description: Result<ClassicDescription, GroupError>,
    version: i16,
) -> DescribedGroup {
    let description = match description {
        Ok(description) => description,
        Err(GroupError::GroupIdNotFound(_)) if version < FIRST_WITH_NOT_FOUND => {
            return message!(DescribedGroup {
                group_id: group,
                group_state: DEAD.into(),
                error_message: None,
            });
        }
        Err(error @ GroupError::GroupIdNotFound(_)) => {
            return refused(group, (&error).into(), DEAD, version);
        }
        Err(error) => return refused(group, (&error).into(), "", version),
    };
    message!(DescribedGroup {
        group_id: group,
        group_state: description.state.into(),
        protocol_type: (&*description.protocol_type).into(),
        protocol_data: (&*description.protocol).into(),
        members: description.members.into_iter().map(member).collect(),
        error_message: None,
    })
}

fn member(member: ClassicMemberDescription) -> DescribedGroupMember {
    message!(DescribedGroupMember {
        member_id: (&*member.member_id).into(),
        group_instance_id: member.instance_id.as_deref().map(StrBytes::from),
        client_id: (&*member.client.id).into(),
        client_host: (&*member.client.host).into(),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    })
}

fn refused(group: StrBytes, error: ApiError, state: &str, version: i16) -> DescribedGroup {
    message!(DescribedGroup {
        error_code: error.code.code(),
        error_message: error.message.filter(|_| version >= FIRST_WITH_NOT_FOUND),
        group_id: group,
        group_state: state.into(),
    })
}
