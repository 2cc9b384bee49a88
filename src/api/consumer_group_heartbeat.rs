//! ConsumerGroupHeartbeat: the one request of members of the consumer protocol (KIP-848).
//!
//! Version 1 has expressions and wants members to choose their ids. What makes no sense whatever
//! the group is refused here (`GroupCoordinatorService.throwIfConsumerGroupHeartbeatRequestIsInvalid`).

use super::errors::ApiError;
use super::gateway::Gateway;
use super::groups::{client, consumer_protocol_is_on, failure, owned, owned_option};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::coordination::messages::{ConsumerHeartbeat, ConsumerHeartbeatReply, Reply, Request};
use crate::message;
use crate::model::ErrorCode;
use crate::protocol::consumer_offsets::Assignment;
use crate::protocol::messages::consumer_group_heartbeat_response as response;
use crate::protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, StrBytes, model_uuid, wire_uuid,
};

/// The first version in which every member brings its own id (KIP-1082).
const FIRST_WITH_OWN_MEMBER_ID: i16 = 1;
/// Epochs with a meaning of their own.
const LEAVE: i32 = -1;
const LEAVE_FOR_A_WHILE: i32 = -2;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: ConsumerGroupHeartbeatRequest,
    version: i16,
    peer: &Peer,
) -> ConsumerGroupHeartbeatResponse {
    if let Err(error) = permit(gateway, &request, peer) {
        return refused(error);
    }
    if let Err(error) = judge(&request, version).and_then(|()| judge_assignor(gateway, &request)) {
        return refused(error);
    }
    let heartbeat = Request::ConsumerHeartbeat(heartbeat(gateway, &request, peer));
    match gateway.groups.ask(&request.group_id, heartbeat).await {
        Reply::ConsumerHeartbeat(Ok(reply)) => answer(reply),
        Reply::ConsumerHeartbeat(Err(error)) => refused((&error).into()),
        other => refused((&failure(other)).into()),
    }
}

fn permit(
    gateway: &Gateway,
    request: &ConsumerGroupHeartbeatRequest,
    peer: &Peer,
) -> Result<(), ApiError> {
    if !consumer_protocol_is_on(gateway, &gateway.image.load()) {
        return Err(ErrorCode::UnsupportedVersion.into());
    }
    if !authorize(peer, Operation::Read, Resource::Group(&request.group_id)) {
        return Err(ErrorCode::GroupAuthorizationFailed.into());
    }
    let may = |topic: &StrBytes| authorize(peer, Operation::Describe, Resource::Topic(topic));
    if !request.subscribed_topic_names.iter().flatten().all(may) {
        return Err(ErrorCode::TopicAuthorizationFailed.into());
    }
    Ok(())
}

fn judge(request: &ConsumerGroupHeartbeatRequest, version: i16) -> Result<(), ApiError> {
    let invalid = |sentence: &str| Err(ApiError::invalid_request(sentence));
    let epoch = request.member_epoch;
    let needs_id = version >= FIRST_WITH_OWN_MEMBER_ID || epoch > 0 || epoch == LEAVE;
    // Kafka calls what only holds blanks empty.
    let is_empty = |text: &StrBytes| text.trim().is_empty();
    if needs_id && is_empty(&request.member_id) {
        return invalid("MemberId can't be empty.");
    }
    if is_empty(&request.group_id) {
        return invalid("GroupId can't be empty.");
    }
    if request.instance_id.as_ref().is_some_and(is_empty) {
        return invalid("InstanceId can't be empty.");
    }
    if request.rack_id.as_ref().is_some_and(is_empty) {
        return invalid("RackId can't be empty.");
    }
    match epoch {
        0 => judge_joining(request),
        LEAVE_FOR_A_WHILE if request.instance_id.is_none() => invalid("InstanceId can't be null."),
        ..LEAVE_FOR_A_WHILE => invalid("MemberEpoch is invalid."),
        _ => Ok(()),
    }
}

fn judge_joining(request: &ConsumerGroupHeartbeatRequest) -> Result<(), ApiError> {
    let invalid = |sentence: &str| Err(ApiError::invalid_request(sentence));
    if request.rebalance_timeout_ms == -1 {
        return invalid("RebalanceTimeoutMs must be provided in first request.");
    }
    if request
        .topic_partitions
        .as_ref()
        .is_none_or(|owned| !owned.is_empty())
    {
        return invalid("TopicPartitions must be empty when (re-)joining.");
    }
    if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() {
        return invalid(
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        );
    }
    Ok(())
}

fn judge_assignor(
    gateway: &Gateway,
    request: &ConsumerGroupHeartbeatRequest,
) -> Result<(), ApiError> {
    let Some(assignor) = &request.server_assignor else {
        return Ok(());
    };
    let supported = gateway.facts.static_value("group.consumer.assignors");
    let supported: Vec<&str> = supported
        .unwrap_or_default()
        .split(',')
        .map(str::trim)
        .collect();
    if supported.contains(&assignor.as_str()) {
        return Ok(());
    }
    Err(ApiError::new(
        ErrorCode::UnsupportedAssignor,
        format!(
            "ServerAssignor {assignor} is not supported. Supported assignors: {}.",
            supported.join(", ")
        ),
    ))
}

fn heartbeat(
    gateway: &Gateway,
    request: &ConsumerGroupHeartbeatRequest,
    peer: &Peer,
) -> ConsumerHeartbeat {
    let topics = request.subscribed_topic_names.as_ref();
    ConsumerHeartbeat {
        client: client(peer),
        member_id: owned(&request.member_id),
        member_epoch: request.member_epoch,
        instance_id: owned_option(request.instance_id.as_ref()),
        rack_id: owned_option(request.rack_id.as_ref()),
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|ms| *ms != -1),
        subscribed_topics: topics.map(|topics| topics.iter().map(owned).collect()),
        subscribed_regex: owned_option(request.subscribed_topic_regex.as_ref()),
        server_assignor: owned_option(request.server_assignor.as_ref()),
        owned: owned_partitions(request),
        fresh: gateway.groups.fresh_id(),
    }
}

/// The partitions a member says it has, each once.
fn owned_partitions(request: &ConsumerGroupHeartbeatRequest) -> Option<Assignment> {
    let mut owned = Assignment::new();
    for topic in request.topic_partitions.as_ref()? {
        let partitions = owned.entry(model_uuid(topic.topic_id)).or_default();
        partitions.extend_from_slice(&topic.partitions);
    }
    for partitions in owned.values_mut() {
        partitions.sort_unstable();
        partitions.dedup();
    }
    Some(owned)
}

fn answer(reply: ConsumerHeartbeatReply) -> ConsumerGroupHeartbeatResponse {
    let assignment = reply.assignment.map(|assignment| {
        let topics = assignment.into_iter().map(|(topic, partitions)| {
            message!(response::TopicPartitions {
                topic_id: wire_uuid(topic),
                partitions: partitions,
            })
        });
        message!(response::Assignment {
            topic_partitions: topics.collect()
        })
    });
    message!(ConsumerGroupHeartbeatResponse {
        error_message: None,
        member_id: Some((&*reply.member_id).into()),
        member_epoch: reply.member_epoch,
        heartbeat_interval_ms: reply.heartbeat_interval_ms,
        assignment: assignment,
    })
}

fn refused(error: ApiError) -> ConsumerGroupHeartbeatResponse {
    message!(ConsumerGroupHeartbeatResponse {
        error_code: error.code.code(),
        error_message: error.message,
        member_id: None,
        assignment: None,
    })
}
