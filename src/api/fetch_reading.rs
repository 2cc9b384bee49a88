//! Asking the partitions of a fetch for plans, and keeping to its limits (KIP-74).

use super::data_path::{current_leader, find_topic};
use super::errors;
use super::fetch_session::{FetchContext, PartitionAsk, PartitionKey};
use super::gateway::Gateway;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::actors::disk_threads::DiskThreads;
use crate::actors::fetch_waiter::{FetchBell, FetchWaiter};
use crate::actors::gather::{Slot, gather};
use crate::actors::partition_messages::{self as partition, Read, ReadReply};
use crate::metadata::Image;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use crate::protocol::CurrentLeader;
use crate::protocol::fetch::{AbortedTransaction, EpochEndOffset};
use crate::storage::ReadPlan;

/// What one fetch asks of every partition.
pub(super) struct Reading<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) peer: &'a Peer,
    pub(super) replica: bool,
    /// The broker that replicates, when it is one.
    pub(super) follower: Option<BrokerId>,
    pub(super) committed_only: bool,
    /// The limit of the whole answer.
    pub(super) bytes_max: usize,
}

/// What was found in one partition.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) error: ErrorCode,
    pub(super) high_watermark: Offset,
    pub(super) last_stable_offset: Offset,
    pub(super) log_start_offset: Offset,
    pub(super) diverging: Option<EpochEndOffset>,
    pub(super) current_leader: Option<CurrentLeader>,
    pub(super) aborted: Option<Vec<AbortedTransaction>>,
    pub(super) plan: Option<ReadPlan>,
    /// How many bytes of the plan the limit of the whole answer leaves.
    pub(super) bytes_max: usize,
    /// Where to read what may be cold.
    pub(super) threads: Option<DiskThreads>,
}

impl Found {
    pub(super) fn failed(error: ErrorCode) -> Found {
        Found {
            error,
            high_watermark: Offset::NONE,
            last_stable_offset: Offset::NONE,
            log_start_offset: Offset::NONE,
            diverging: None,
            current_leader: None,
            // Empty, not null: what Kafka tells of partitions it did not even ask.
            aborted: Some(Vec::new()),
            plan: None,
            bytes_max: usize::MAX,
            threads: None,
        }
    }

    /// How many bytes of records, at the most.
    pub(super) fn bytes(&self) -> usize {
        self.plan
            .as_ref()
            .map_or(0, |plan| plan.length().min(self.bytes_max))
    }
}

impl Reading<'_> {
    /// Asks every partition at once, and cuts what they offer to the limit in the order of the
    /// session, which rotates so that none is starved.
    pub(super) async fn read(
        &self,
        context: &FetchContext,
        waiter: Option<&FetchWaiter>,
    ) -> Vec<Found> {
        let image = self.gateway.image.load_full();
        let targets: Vec<_> = context
            .partitions
            .iter()
            .map(|(key, _)| self.target(&image, key))
            .collect();
        let (slots, gathered) = gather(targets.iter().flatten().count());
        let asks = context.partitions.iter().map(|(_, ask)| ask);
        let asked = targets
            .iter()
            .zip(asks)
            .filter_map(|(target, ask)| Some((target.ok()?, ask)));
        let questions = asked.zip(slots).map(|((key, ask), slot)| {
            let bell = waiter.map(FetchWaiter::bell);
            (key, self.question(ask, bell, slot))
        });
        self.gateway.data.router.send(questions.collect());
        let mut replies = gathered.all().await.into_iter();
        let mut found: Vec<Found> = targets
            .iter()
            .zip(&context.partitions)
            .map(|(target, (key, _))| match target {
                Err(error @ ErrorCode::UnknownLeaderEpoch) => refused(&image, key, *error),
                Err(error) => Found::failed(*error),
                Ok(_) => self.found(&image, key, replies.next().flatten()),
            })
            .collect();
        self.keep_to_limit(&mut found);
        found
    }

    /// The partition a session names, if the peer may read it.
    fn target(
        &self,
        image: &Image,
        key: &PartitionKey,
    ) -> Result<partition::PartitionKey, ErrorCode> {
        let topic = find_topic(image, &key.topic)?;
        let allowed = if self.replica {
            authorize(self.peer, Operation::ClusterAction, Resource::Cluster)
        } else {
            authorize(self.peer, Operation::Read, Resource::Topic(&topic.name))
        };
        if !allowed {
            return Err(ErrorCode::TopicAuthorizationFailed);
        }
        let partition = topic
            .partition(key.partition)
            .ok_or(ErrorCode::UnknownTopicOrPartition)?;
        // A broker that is no replica believes in another assignment than the one of now.
        if (self.follower).is_some_and(|follower| !partition.replicas.contains(&follower)) {
            return Err(ErrorCode::UnknownLeaderEpoch);
        }
        Ok((topic.id, key.partition))
    }

    fn question(&self, ask: &PartitionAsk, bell: Option<FetchBell>, slot: Slot<ReadReply>) -> Read {
        let named = |epoch: LeaderEpoch| (epoch != LeaderEpoch::NONE).then_some(epoch);
        let bytes_max = usize::try_from(ask.max_bytes)
            .unwrap_or(0)
            .min(self.bytes_max);
        Read {
            offset: ask.fetch_offset,
            bytes_max,
            whole_first_batch: true,
            committed_only: self.committed_only,
            replica: self.replica,
            current_epoch: named(ask.current_leader_epoch),
            last_fetched_epoch: named(ask.last_fetched_epoch),
            bell,
            slot,
        }
    }

    fn found(&self, image: &Image, key: &PartitionKey, reply: Option<ReadReply>) -> Found {
        let answer = match reply {
            Some(Ok(answer)) => answer,
            Some(Err(failure)) => return refused(image, key, errors::read_code(&failure)),
            None => {
                let error = errors::absent_partition_code(image, &key.topic, key.partition);
                return Found::failed(error);
            }
        };
        let diverging = answer
            .diverging
            .map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset });
        let aborted = self.committed_only.then_some(answer.aborted);
        Found {
            error: ErrorCode::None,
            high_watermark: answer.high_watermark,
            last_stable_offset: answer.last_stable_offset,
            log_start_offset: answer.log_start_offset,
            diverging,
            current_leader: None,
            aborted,
            plan: Some(answer.plan).filter(|plan| !plan.is_empty()),
            bytes_max: usize::MAX,
            threads: Some(answer.threads),
        }
    }

    /// The first batch of the first partition that has anything comes whole, however large; of what
    /// comes after it as many whole batches as fit.
    fn keep_to_limit(&self, found: &mut [Found]) {
        let mut left = self.bytes_max;
        let mut first = true;
        for found in found.iter_mut().filter(|found| found.plan.is_some()) {
            if !first {
                found.bytes_max = left;
            }
            left = left.saturating_sub(found.bytes());
            first = false;
        }
    }
}

/// A refusal, with the leader to go to when this broker is not it.
fn refused(image: &Image, key: &PartitionKey, error: ErrorCode) -> Found {
    let partition = find_topic(image, &key.topic)
        .ok()
        .and_then(|topic| topic.partition(key.partition));
    let moved = matches!(
        error,
        ErrorCode::NotLeaderOrFollower | ErrorCode::FencedLeaderEpoch
    );
    Found {
        current_leader: partition.filter(|_| moved).map(current_leader),
        aborted: None,
        ..Found::failed(error)
    }
}
