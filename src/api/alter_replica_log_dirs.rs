//! AlterReplicaLogDirs: this broker's replicas go to other log directories of it (KIP-113).
//!
//! The answer tells that a move has begun, or why it has not; DescribeLogDirs tells how far it is.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use super::gateway::Gateway;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::actors::moving::Wish;
use crate::message;
use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode, TopicPartition, Uuid, validate_topic_name};
use crate::protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use crate::protocol::messages::{
    AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, StrBytes,
};
use crate::storage::log_dir::{DirectoryRole, suffixed_directory_name};

/// The longest name of a directory.
const NAME_BYTES_MAX: usize = 255;

/// Handles one request.
pub(super) async fn handle(
    gateway: &Gateway,
    request: AlterReplicaLogDirsRequest,
    _version: i16,
    peer: &Peer,
) -> AlterReplicaLogDirsResponse {
    // As in Kafka, of several directories for one partition the last one counts.
    let mut asked: BTreeMap<(StrBytes, i32), StrBytes> = BTreeMap::new();
    for dir in request.dirs {
        for topic in dir.topics {
            for partition in topic.partitions {
                asked.insert((topic.name.clone(), partition), dir.path.clone());
            }
        }
    }
    if !authorize(peer, Operation::Alter, Resource::Cluster) {
        let refused = ErrorCode::ClusterAuthorizationFailed;
        return respond(asked.into_keys().map(|partition| (partition, refused)));
    }
    let image = gateway.image.load_full();
    let (mut wishes, mut asking, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    for ((topic, partition), path) in asked {
        let name = TopicPartition::new(&*topic, partition);
        match judge_name(&name) {
            Err(error) => answers.push(((topic, partition), error)),
            Ok(()) => {
                wishes.push(Wish {
                    key: replica_here(&image, &name, gateway.facts.broker_id),
                    name,
                    to: PathBuf::from(&*path),
                });
                asking.push((topic, partition));
            }
        }
    }
    let told = gateway.log_dirs.move_replicas(wishes).await;
    for ((topic, partition), error) in asking.into_iter().zip(told) {
        let known = || {
            let topic = image.topic(&topic);
            topic.is_some_and(|topic| topic.partition(partition).is_some())
        };
        let error = match error {
            ErrorCode::ReplicaNotAvailable if !known() => ErrorCode::UnknownTopicOrPartition,
            error => error,
        };
        answers.push(((topic, partition), error));
    }
    respond(answers.into_iter())
}

/// A name too long for the directory of a copy cannot move (KAFKA-4893), and one that no topic can
/// have is not remembered.
fn judge_name(name: &TopicPartition) -> Result<(), ErrorCode> {
    let copy = suffixed_directory_name(name, DirectoryRole::Future, Uuid::ZERO);
    match validate_topic_name(&name.topic) {
        Ok(()) if copy.len() <= NAME_BYTES_MAX => Ok(()),
        _ => Err(ErrorCode::InvalidTopicException),
    }
}

/// The identity of a partition that has a replica on this broker.
pub(crate) fn replica_here(
    image: &Image,
    name: &TopicPartition,
    broker: BrokerId,
) -> Option<(Uuid, i32)> {
    let topic = image.topic(&name.topic)?;
    let partition = topic.partition(name.partition)?;
    let here = partition.replicas.contains(&broker);
    here.then_some((topic.id, name.partition))
}

fn respond(
    answers: impl Iterator<Item = ((StrBytes, i32), ErrorCode)>,
) -> AlterReplicaLogDirsResponse {
    let mut topics: HashMap<StrBytes, Vec<AlterReplicaLogDirPartitionResult>> = HashMap::new();
    for ((topic, partition), error) in answers {
        let result = message!(AlterReplicaLogDirPartitionResult {
            partition_index: partition,
            error_code: error.code(),
        });
        topics.entry(topic).or_default().push(result);
    }
    message!(AlterReplicaLogDirsResponse {
        results: topics
            .into_iter()
            .map(
                |(name, partitions)| message!(AlterReplicaLogDirTopicResult {
                    topic_name: name,
                    partitions: partitions,
                })
            )
            .collect(),
    })
}
