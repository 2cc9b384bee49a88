//! ConsumerGroupDescribe: consumer groups with their members and assignments (KIP-848).
//!
//! Version 1 tells which members speak the classic protocol (KIP-1099).

use super::errors::ApiError;
use super::gateway::Gateway;
use super::groups::{bounded_once, consumer_protocol_is_on, failure, owned};
use super::peer::{Operation, Peer, Resource, authorize, authorized_operations};
use crate::coordination::messages::{
    ConsumerDescription, ConsumerMemberDescription, GroupError, Reply, Request,
};
use crate::message;
use crate::metadata::Image;
use crate::model::ErrorCode;
use crate::protocol::consumer_offsets;
use crate::protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions,
};
use crate::protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, StrBytes, wire_uuid,
};

const CLASSIC_MEMBER: i8 = 0;
const CONSUMER_MEMBER: i8 = 1;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: ConsumerGroupDescribeRequest,
    _version: i16,
    peer: &Peer,
) -> ConsumerGroupDescribeResponse {
    let named = bounded_once(gateway, request.group_ids, |group| group);
    let image = gateway.image.load_full();
    let refusal = |group: &StrBytes| {
        if !consumer_protocol_is_on(gateway, &image) {
            Some(ErrorCode::UnsupportedVersion)
        } else if !authorize(peer, Operation::Describe, Resource::Group(group)) {
            Some(ErrorCode::GroupAuthorizationFailed)
        } else if group.is_empty() {
            Some(ErrorCode::InvalidGroupId)
        } else {
            None
        }
    };
    let asked = named.iter().filter(|group| refusal(group).is_none());
    let questions = asked.map(|group| (owned(group), Request::DescribeConsumer));
    let mut replies = gateway
        .groups
        .ask_many(questions.collect())
        .await
        .into_iter();
    let operations = request.include_authorized_operations;
    let groups = named.into_iter().map(|group| {
        if let Some(code) = refusal(&group) {
            return refused(group, code.into());
        }
        let description = match replies.next() {
            Some(Reply::DescribeConsumer(description)) => description,
            Some(other) => Err(failure(other)),
            None => Err(GroupError::CoordinatorNotAvailable),
        };
        match description {
            Ok(description) => {
                let mut described = describe(group, description, &image);
                if operations {
                    let group = Resource::Group(&described.group_id);
                    described.authorized_operations = authorized_operations(peer, group);
                }
                described
            }
            Err(error) => refused(group, (&error).into()),
        }
    });
    message!(ConsumerGroupDescribeResponse {
        groups: groups.collect()
    })
}

fn describe(group: StrBytes, description: ConsumerDescription, image: &Image) -> DescribedGroup {
    let members = description.members.into_iter();
    message!(DescribedGroup {
        error_message: None,
        group_id: group,
        group_state: description.state.into(),
        group_epoch: description.epoch,
        assignment_epoch: description.assignment_epoch,
        assignor_name: (&*description.assignor).into(),
        members: members.map(|each| member(each, image)).collect(),
    })
}

fn member(member: ConsumerMemberDescription, image: &Image) -> Member {
    let text = |text: Option<std::sync::Arc<str>>| text.as_deref().map(StrBytes::from);
    let topics = member.subscribed_topics.iter();
    message!(Member {
        member_id: (&*member.member_id).into(),
        instance_id: text(member.instance_id),
        rack_id: text(member.rack_id),
        member_epoch: member.member_epoch,
        client_id: (&*member.client.id).into(),
        client_host: (&*member.client.host).into(),
        subscribed_topic_names: topics.map(|topic| (&**topic).into()).collect(),
        // Kafka tells of no expression as of an empty one.
        subscribed_topic_regex: Some(
            member
                .subscribed_regex
                .as_deref()
                .unwrap_or_default()
                .into()
        ),
        assignment: assignment(&member.assigned, image),
        target_assignment: assignment(&member.target, image),
        member_type: if member.is_classic {
            CLASSIC_MEMBER
        } else {
            CONSUMER_MEMBER
        },
    })
}

/// Partitions with the names of their topics; topics that are gone have none and are left out.
fn assignment(partitions: &consumer_offsets::Assignment, image: &Image) -> Assignment {
    let topics = partitions.iter().filter_map(|(id, partitions)| {
        let topic = image.topic_by_id(id)?;
        Some(message!(TopicPartitions {
            topic_id: wire_uuid(*id),
            topic_name: (&*topic.name).into(),
            partitions: partitions.clone(),
        }))
    });
    message!(Assignment {
        topic_partitions: topics.collect()
    })
}

fn refused(group: StrBytes, error: ApiError) -> DescribedGroup {
    message!(DescribedGroup {
        error_code: error.code.code(),
        error_message: error.message,
        group_id: group,
    })
}
