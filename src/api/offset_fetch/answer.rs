//! What was found of groups' offsets, in the words of each version of OffsetFetch.

use super::FIRST_WITH_GROUPS;
use crate::coordination::messages::FetchedOffset;
use crate::message;
use crate::model::{ErrorCode, LeaderEpoch, Offset};
use crate::protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::protocol::messages::{OffsetFetchResponse, StrBytes, Uuid};

/// The first version with an error of its own for the group.
const FIRST_WITH_GROUP_ERROR: i16 = 2;

/// What was found of one group.
pub(super) struct FoundGroup {
    pub(super) group_id: StrBytes,
    pub(super) found: Found,
}

/// See [`FoundGroup`].
pub(super) enum Found {
    /// Why nothing was found, and what was asked for.
    Failed(ErrorCode, Vec<FoundTopic>),
    Topics(Vec<FoundTopic>),
}

/// A topic of a group.
pub(super) struct FoundTopic {
    pub(super) name: StrBytes,
    pub(super) topic_id: Uuid,
    pub(super) partitions: Vec<FoundPartition>,
}

/// A partition of a topic of a group.
pub(super) struct FoundPartition {
    pub(super) index: i32,
    pub(super) error: ErrorCode,
    offset: Offset,
    leader_epoch: LeaderEpoch,
    metadata: StrBytes,
}

impl FoundPartition {
    pub(super) fn nothing(index: i32, error: ErrorCode) -> FoundPartition {
        FoundPartition {
            index,
            error,
            offset: Offset::NONE,
            leader_epoch: LeaderEpoch::NONE,
            metadata: StrBytes::default(),
        }
    }

    pub(super) fn of(offset: FetchedOffset) -> FoundPartition {
        if offset.unstable {
            return FoundPartition::nothing(offset.partition, ErrorCode::UnstableOffsetCommit);
        }
        FoundPartition {
            index: offset.partition,
            error: ErrorCode::None,
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata: StrBytes::from(&*offset.metadata),
        }
    }
}

/// The answer of a version.
pub(super) fn answer(groups: Vec<FoundGroup>, version: i16) -> OffsetFetchResponse {
    let groups = groups.into_iter();
    if version >= FIRST_WITH_GROUPS {
        return message!(OffsetFetchResponse {
            groups: groups.map(group).collect()
        });
    }
    let mut response = OffsetFetchResponse::default();
    for FoundGroup { found, .. } in groups {
        let topics = match found {
            Found::Failed(error, mut asked) if version < FIRST_WITH_GROUP_ERROR => {
                let partitions = asked.iter_mut().flat_map(|topic| &mut topic.partitions);
                partitions.for_each(|partition| partition.error = error);
                asked
            }
            Found::Failed(error, _) => {
                response.error_code = error.code();
                Vec::new()
            }
            Found::Topics(topics) => topics,
        };
        response.topics = topics.into_iter().map(old_topic).collect();
    }
    response
}

fn group(FoundGroup { group_id, found }: FoundGroup) -> OffsetFetchResponseGroup {
    let (error, topics) = match found {
        Found::Failed(error, _) => (error, Vec::new()),
        Found::Topics(topics) => (ErrorCode::None, topics),
    };
    let topics = topics.into_iter().map(|topic| {
        let partitions = topic.partitions.into_iter().map(|partition| {
            message!(OffsetFetchResponsePartitions {
                partition_index: partition.index,
                committed_offset: partition.offset.0,
                committed_leader_epoch: partition.leader_epoch.0,
                metadata: Some(partition.metadata),
                error_code: partition.error.code(),
            })
        });
        message!(OffsetFetchResponseTopics {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: partitions.collect(),
        })
    });
    message!(OffsetFetchResponseGroup {
        group_id: group_id,
        topics: topics.collect(),
        error_code: error.code(),
    })
}

fn old_topic(topic: FoundTopic) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|partition| {
        message!(OffsetFetchResponsePartition {
            partition_index: partition.index,
            committed_offset: partition.offset.0,
            committed_leader_epoch: partition.leader_epoch.0,
            metadata: Some(partition.metadata),
            error_code: partition.error.code(),
        })
    });
    message!(OffsetFetchResponseTopic {
        name: topic.name,
        partitions: partitions.collect(),
    })
}
