//! Questions to many partitions at once, for handlers that name topics by name: ListOffsets,
//! OffsetForLeaderEpoch, DeleteRecords, DescribeProducers.

use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::prelude::*;

use super::errors;
use super::gateway::Gateway;
use crate::actors::gather::{Slot, gather};
use crate::actors::partition::PartitionActor;
use crate::actors::partition_messages::{Look, PartitionKey, View};
use crate::metadata::TopicImage;
use crate::model::{ErrorCode, LeaderEpoch};
use crate::replication::FetchRefusal;

/// One partition a request names, and whether it is there.
pub(super) type Target = Result<PartitionKey, ErrorCode>;

/// The partition of a topic found by name.
pub(super) fn target(topic: Result<&Arc<TopicImage>, ErrorCode>, index: i32) -> Target {
    let topic = topic?;
    topic
        .partition(index)
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    Ok((topic.id, index))
}

/// Asks each target one question, in one round; the answers are in the order of the targets. A
/// partition that should be here and does not answer is offline.
pub(super) async fn ask<M, T>(
    gateway: &Gateway,
    targets: &[Target],
    mut question: impl FnMut(usize, Slot<T>) -> M,
) -> Vec<Result<T, ErrorCode>>
where
    M: Message<Result = ()> + Send + 'static,
    PartitionActor: Handler<M>,
    <PartitionActor as Actor>::Context: ToEnvelope<PartitionActor, M>,
{
    let (slots, gathered) = gather(targets.iter().flatten().count());
    let asked = targets
        .iter()
        .enumerate()
        .filter_map(|(at, target)| Some((at, target.ok()?)));
    let questions = asked
        .zip(slots)
        .map(|((at, key), slot)| (key, question(at, slot)));
    gateway.data.router.send(questions.collect());
    let replies = tokio::time::timeout(gateway.data.limits.patience, gathered.all()).await;
    let mut replies = replies
        .map(Vec::into_iter)
        .map_err(|_| ErrorCode::RequestTimedOut);
    targets
        .iter()
        .map(|target| {
            target.and_then(|_| match &mut replies {
                Ok(replies) => replies.next().flatten().ok_or(ErrorCode::KafkaStorageError),
                Err(timed_out) => Err(*timed_out),
            })
        })
        .collect()
}

/// Asks each target for a view, under the leader epoch its asker believes in.
pub(super) async fn look(
    gateway: &Gateway,
    targets: &[Target],
    epochs: &[LeaderEpoch],
) -> Vec<Result<View, ErrorCode>> {
    let views: Vec<Result<Result<View, FetchRefusal>, ErrorCode>> =
        ask(gateway, targets, |at, slot| {
            let epoch = epochs.get(at).copied().unwrap_or(LeaderEpoch::NONE);
            let current_epoch = (epoch != LeaderEpoch::NONE).then_some(epoch);
            Look {
                current_epoch,
                any_replica: false,
                slot,
            }
        })
        .await;
    views
        .into_iter()
        .map(|view| view?.map_err(errors::fetch_refusal_code))
        .collect()
}
