//! DeleteRecords: the records before an offset are no longer there (KIP-107).

use super::data_path::find_topic;
use super::errors;
use super::gateway::Gateway;
use super::looking::{ask, target};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::actors::partition_messages::{DeleteRecords, DeleteRecordsError};
use crate::message;
use crate::metadata::{Image, TopicImage};
use crate::model::{ErrorCode, Offset};
use crate::protocol::TopicKey;
use crate::protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

/// "Up to the high watermark".
const HIGH_WATERMARK: i64 = -1;
/// "Unknown" in an answer that tells of an error.
const NO_LOW_WATERMARK: Offset = Offset(-1);

/// Whether the newest record of each key shall stay (`Partition.deleteRecordsOnLeader`).
fn is_only_compacted(gateway: &Gateway, image: &Image, topic: &TopicImage) -> bool {
    let settings = gateway.data.settings(image, topic);
    settings.compacts && !settings.deletes
}

/// Handles one request.
pub(super) async fn handle(
    gateway: &Gateway,
    request: DeleteRecordsRequest,
    _version: i16,
    peer: &Peer,
) -> DeleteRecordsResponse {
    let image = gateway.image.load_full();
    let (mut targets, mut offsets) = (Vec::new(), Vec::new());
    for topic in &request.topics {
        let allowed = authorize(peer, Operation::Delete, Resource::Topic(&topic.name));
        let found = match find_topic(&image, &TopicKey::Name(topic.name.clone())) {
            _ if !allowed => Err(ErrorCode::TopicAuthorizationFailed),
            Ok(topic) if topic.is_internal() => Err(ErrorCode::InvalidTopicException),
            Ok(topic) if is_only_compacted(gateway, &image, topic) => {
                Err(ErrorCode::PolicyViolation)
            }
            found => found,
        };
        for partition in &topic.partitions {
            targets.push(target(found, partition.partition_index));
            offsets.push((partition.offset != HIGH_WATERMARK).then_some(Offset(partition.offset)));
        }
    }
    let deleted: Vec<Result<Result<Offset, DeleteRecordsError>, ErrorCode>> =
        ask(gateway, &targets, |at, slot| DeleteRecords {
            before: offsets[at],
            slot,
        })
        .await;
    let mut deleted = deleted.into_iter();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(deleted.by_ref());
        let partitions = partitions.map(|(partition, deleted)| {
            let deleted = deleted
                .and_then(|deleted| deleted.map_err(|error| errors::delete_records_code(&error)));
            let (error, low_watermark) = match deleted {
                Ok(low_watermark) => (ErrorCode::None, low_watermark),
                Err(error) => (error, NO_LOW_WATERMARK),
            };
            message!(DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: low_watermark.0,
                error_code: error.code(),
            })
        });
        message!(DeleteRecordsTopicResult {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        })
    });
    message!(DeleteRecordsResponse {
        topics: topics.collect()
    })
}
