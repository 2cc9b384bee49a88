//! OffsetForLeaderEpoch: where an epoch ends in this leader's log (KIP-101, KIP-320).

use super::data_path::find_topic;
use super::gateway::Gateway;
use super::looking::{look, target};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::message;
use crate::model::{ErrorCode, LeaderEpoch, Offset};
use crate::protocol::TopicKey;
use crate::protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use crate::protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

/// Handles one request.
pub(super) async fn handle(
    gateway: &Gateway,
    request: OffsetForLeaderEpochRequest,
    _version: i16,
    peer: &Peer,
) -> OffsetForLeaderEpochResponse {
    let image = gateway.image.load_full();
    let (mut targets, mut currents, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    for topic in &request.topics {
        let allowed = authorize(peer, Operation::Describe, Resource::Topic(&topic.topic));
        let found = if allowed {
            find_topic(&image, &TopicKey::Name(topic.topic.clone()))
        } else {
            Err(ErrorCode::TopicAuthorizationFailed)
        };
        for partition in &topic.partitions {
            targets.push(target(found, partition.partition));
            currents.push(LeaderEpoch(partition.current_leader_epoch));
            asked.push(LeaderEpoch(partition.leader_epoch));
        }
    }
    let mut ends = look(gateway, &targets, &currents)
        .await
        .into_iter()
        .zip(asked);
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(ends.by_ref());
        let partitions = partitions.map(|(partition, (view, epoch))| {
            let end = view.map(|view| view.log.end_offset_for_epoch(epoch));
            let error = end.as_ref().err().copied().unwrap_or(ErrorCode::None);
            let unknown = (LeaderEpoch::NONE, Offset::NONE);
            let (epoch, end) = end.ok().flatten().unwrap_or(unknown);
            message!(EpochEndOffset {
                error_code: error.code(),
                partition: partition.partition,
                leader_epoch: epoch.0,
                end_offset: end.0,
            })
        });
        message!(OffsetForLeaderTopicResult {
            topic: topic.topic.clone(),
            partitions: partitions.collect(),
        })
    });
    message!(OffsetForLeaderEpochResponse {
        topics: topics.collect()
    })
}
