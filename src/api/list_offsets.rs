//! ListOffsets: the first and the last offset, the one of a point in time, and the special ones.
//!
//! Source: Kafka's `KafkaApis.handleListOffsetRequest`, `UnifiedLog.fetchOffsetByTimestamp`. Versions:
//! 2 isolation level, 4 leader epochs, 7 max timestamp (-3), 8 earliest local (-4), 9 latest tiered
//! (-5), 11 earliest pending upload (-6). Questions that read files run on the disk threads.

use std::collections::HashSet;

use super::data_path::find_topic;
use super::errors;
use super::gateway::Gateway;
use super::looking::{look, target};
use super::peer::{Operation, Peer, Resource, authorize};
use crate::actors::partition_messages::View;
use crate::message;
use crate::model::{ErrorCode, LeaderEpoch, Offset, Timestamp};
use crate::protocol::TopicKey;
use crate::protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, StrBytes};
use crate::storage::{StorageError, TimestampedOffset};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;

/// What is asked of every partition of the request.
#[derive(Clone, Copy)]
struct Manner {
    version: i16,
    replica: bool,
    committed_only: bool,
}

/// An offset that was found, with the timestamp and the epoch it goes with.
type Place = (Timestamp, Offset, LeaderEpoch);

/// Handles one request.
pub(super) async fn handle(
    gateway: &Gateway,
    request: ListOffsetsRequest,
    version: i16,
    peer: &Peer,
) -> ListOffsetsResponse {
    let image = gateway.image.load_full();
    let repeated = repeated_partitions(&request);
    let (mut targets, mut epochs, mut timestamps) = (Vec::new(), Vec::new(), Vec::new());
    for topic in &request.topics {
        let allowed = authorize(peer, Operation::Describe, Resource::Topic(&topic.name));
        let found = if allowed {
            find_topic(&image, &TopicKey::Name(topic.name.clone()))
        } else {
            Err(ErrorCode::TopicAuthorizationFailed)
        };
        for partition in &topic.partitions {
            let place = (topic.name.clone(), partition.partition_index);
            targets.push(if repeated.contains(&place) {
                Err(ErrorCode::InvalidRequest)
            } else {
                target(found, partition.partition_index)
            });
            epochs.push(LeaderEpoch(partition.current_leader_epoch));
            timestamps.push(partition.timestamp);
        }
    }
    let manner = Manner {
        version,
        replica: request.replica_id >= 0,
        committed_only: request.isolation_level == 1,
    };
    let mut places = Vec::with_capacity(targets.len());
    for (view, timestamp) in look(gateway, &targets, &epochs)
        .await
        .into_iter()
        .zip(timestamps)
    {
        places.push(match view {
            Ok(view) => find(view, timestamp, manner).await,
            Err(error) => Err(error),
        });
    }
    let mut places = places.into_iter();
    let mut told = HashSet::new();
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic
            .partitions
            .iter()
            .zip(places.by_ref())
            // What is asked for twice is refused once, as in Kafka.
            .filter(|(partition, _)| {
                let place = (topic.name.clone(), partition.partition_index);
                !repeated.contains(&place) || told.insert(place)
            })
            .map(|(partition, place)| answer(partition.partition_index, place, version));
        message!(ListOffsetsTopicResponse {
            name: topic.name.clone(),
            partitions: partitions.collect(),
        })
    });
    message!(ListOffsetsResponse {
        topics: topics.collect()
    })
}

/// Partitions that the request names more than once.
fn repeated_partitions(request: &ListOffsetsRequest) -> HashSet<(StrBytes, i32)> {
    let topics = request.topics.iter();
    let named: Vec<_> = topics
        .flat_map(|topic| {
            let partitions = topic.partitions.iter();
            partitions.map(|partition| (topic.name.clone(), partition.partition_index))
        })
        .collect();
    super::repeated(named.iter())
}

fn answer(
    index: i32,
    place: Result<Option<Place>, ErrorCode>,
    version: i16,
) -> ListOffsetsPartitionResponse {
    let nowhere = (Timestamp::NONE, Offset::NONE, LeaderEpoch::NONE);
    let (error, (timestamp, offset, epoch)) = match place {
        Ok(place) => (ErrorCode::None, place.unwrap_or(nowhere)),
        Err(error) => (error, nowhere),
    };
    let mut answer = message!(ListOffsetsPartitionResponse {
        partition_index: index,
        error_code: error.code(),
        timestamp: timestamp.0,
        offset: offset.0,
    });
    if version >= 4 {
        answer.leader_epoch = epoch.0;
    }
    answer
}

/// The offset asked for; `None` when no record answers the question.
async fn find(view: View, timestamp: i64, manner: Manner) -> Result<Option<Place>, ErrorCode> {
    let log = &view.log;
    let at = |offset: Offset| {
        let epoch = log.epoch_for(offset).unwrap_or(view.leader_epoch);
        Ok(Some((Timestamp::NONE, offset, epoch)))
    };
    match (timestamp, manner.version) {
        (LATEST, _) => {
            let end = match (manner.replica, manner.committed_only) {
                (true, _) => log.log_end_offset(),
                (false, true) => view.last_stable_offset,
                (false, false) => view.high_watermark,
            };
            Ok(Some((Timestamp::NONE, end, view.leader_epoch)))
        }
        (EARLIEST, _) | (EARLIEST_LOCAL, 8..) => at(log.log_start_offset()),
        // Without tiered storage nothing has been uploaded and nothing waits for it.
        (LATEST_TIERED, 9..) | (EARLIEST_PENDING_UPLOAD, 11..) => Ok(None),
        (MAX_TIMESTAMP, 7..) => by_reading(view, |view| view.log.max_timestamp()).await,
        (..0, _) => Err(ErrorCode::UnsupportedVersion),
        (0.., _) => {
            let timestamp = Timestamp(timestamp);
            by_reading(view, move |view| view.log.offset_for_timestamp(timestamp)).await
        }
    }
}

/// Searches files on a disk thread; what lies beyond the high watermark is not there yet.
async fn by_reading(
    view: View,
    search: impl FnOnce(&View) -> Result<Option<TimestampedOffset>, StorageError> + Send + 'static,
) -> Result<Option<Place>, ErrorCode> {
    let (threads, bound) = (view.threads.clone(), view.high_watermark);
    let found = threads.run(move || search(&view)).await;
    match found {
        Ok(Ok(found)) => Ok(found
            .filter(|found| found.offset < bound)
            .map(|found| (found.timestamp, found.offset, found.leader_epoch))),
        Ok(Err(error)) => {
            log::error!("cannot search a log: {error}");
            Err(errors::read_storage_code(&error))
        }
        Err(_) => Err(ErrorCode::KafkaStorageError),
    }
}
