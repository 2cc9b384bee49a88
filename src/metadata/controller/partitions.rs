//! Partitions: more of them, and who is in sync (Kafka's `ReplicationControlManager`).

use super::elections::is_alive;
use super::requests::{IsrChange, NewPartitions, PartitionState};
use super::{PARTITIONS_PER_REQUEST_MAX, Planner, placement};
use crate::metadata::image::{Image, PartitionImage, TopicImage};
use crate::metadata::records::MetadataRecord;
use crate::metadata::refusal::Refusal;
use crate::model::{BrokerId, DirectoryId, TopicId};

/// Where the replicas of a new partition are, the preferred leader first.
pub(super) type Replicas = Vec<BrokerId>;

impl Planner<'_, '_> {
    pub(super) fn create_partitions(
        &mut self,
        topics: Vec<NewPartitions>,
        validate_only: bool,
    ) -> Vec<Result<(), Refusal>> {
        let mut left = PARTITIONS_PER_REQUEST_MAX;
        topics
            .into_iter()
            .map(|topic| {
                let (id, first, placed) = self.place_more(&topic, left)?;
                left -= placed.len();
                if !validate_only {
                    self.write_partitions(id, first, placed);
                }
                Ok(())
            })
            .collect()
    }

    /// The topic, the index of its first new partition, and where the new ones go.
    fn place_more(
        &mut self,
        asked: &NewPartitions,
        left: usize,
    ) -> Result<(TopicId, usize, Vec<Replicas>), Refusal> {
        let topic = self.image().topic(&asked.topic).cloned();
        let topic = topic.ok_or_else(|| Refusal::UnknownTopicOrPartition(String::new()))?;
        let present = topic.partitions.len();
        let wanted = usize::try_from(asked.count).unwrap_or(0);
        if wanted < present {
            return Err(Refusal::InvalidPartitions(format!(
                "The topic {} currently has {present} partition(s); {} would not be an increase.",
                asked.topic, asked.count
            )));
        }
        if wanted == present {
            return Err(Refusal::InvalidPartitions(format!(
                "Topic already has {present} partition(s)."
            )));
        }
        let more = wanted - present;
        let placed = match &asked.assignments {
            Some(assignments) => self.place_more_by_hand(&topic, more, assignments)?,
            None if more > left => return Err(too_many_partitions()),
            None => {
                let factor = topic.partitions.first().map_or(1, |p| p.replicas.len());
                self.place(more, factor)?
            }
        };
        Ok((topic.id, present, placed))
    }

    fn place_more_by_hand(
        &self,
        topic: &TopicImage,
        more: usize,
        assignments: &[Replicas],
    ) -> Result<Vec<Replicas>, Refusal> {
        if assignments.len() != more {
            return Err(Refusal::InvalidReplicaAssignment(format!(
                "Attempted to add {more} additional partition(s), but only {} assignment(s) were \
                 specified.",
                assignments.len()
            )));
        }
        let factor = topic.partitions.first().map(|p| p.replicas.len());
        for (replicas, index) in assignments.iter().zip(topic.partitions.len()..) {
            self.judge_assignment(index, replicas, factor)?;
        }
        Ok(assignments.to_vec())
    }

    /// Lets the controller choose.
    pub(super) fn place(
        &mut self,
        partitions: usize,
        factor: usize,
    ) -> Result<Vec<Replicas>, Refusal> {
        placement::place(&self.controller.planned, partitions, factor, self.random).map_err(|why| {
            Refusal::InvalidReplicationFactor(format!(
                "Unable to replicate the partition {factor} time(s): {why}"
            ))
        })
    }

    /// Judges the replicas someone chose for a partition; `factor` is that of earlier partitions.
    pub(super) fn judge_assignment(
        &self,
        partition: usize,
        replicas: &[BrokerId],
        factor: Option<usize>,
    ) -> Result<(), Refusal> {
        let refuse = |why: String| Err(Refusal::InvalidReplicaAssignment(why));
        if replicas.is_empty() {
            return refuse(
                "The manual partition assignment includes an empty replica list.".to_owned(),
            );
        }
        let mut sorted = replicas.to_vec();
        sorted.sort();
        for (place, broker) in sorted.iter().enumerate() {
            if !self.image().brokers.contains_key(broker) {
                return refuse(format!(
                    "The manual partition assignment includes broker {broker}, but no such broker \
                     is registered."
                ));
            }
            if place > 0 && sorted.get(place - 1) == Some(broker) {
                return refuse(format!(
                    "The manual partition assignment includes the broker {broker} more than once."
                ));
            }
        }
        if let Some(factor) = factor.filter(|factor| *factor != replicas.len()) {
            return refuse(format!(
                "The manual partition assignment includes a partition with {} replica(s), but \
                 this is not consistent with previous partitions, which have {factor} replica(s).",
                replicas.len()
            ));
        }
        if !replicas.iter().any(|id| is_alive(self.image(), *id)) {
            return refuse(format!(
                "All brokers specified in the manual partition assignment for partition \
                 {partition} are fenced or in controlled shutdown."
            ));
        }
        Ok(())
    }

    /// Plans new partitions: every live replica is in sync, the first of them leads.
    pub(super) fn write_partitions(&mut self, topic: TopicId, first: usize, placed: Vec<Replicas>) {
        for (replicas, index) in placed.into_iter().zip(first..) {
            let image = self.image();
            let isr: Vec<BrokerId> = replicas
                .iter()
                .copied()
                .filter(|id| is_alive(image, *id))
                .collect();
            let record = MetadataRecord::Partition {
                topic_id: topic,
                partition: i32::try_from(index).unwrap_or(i32::MAX),
                directories: replicas.iter().map(|id| directory_on(image, *id)).collect(),
                leader: isr.first().copied().unwrap_or(BrokerId::NONE),
                replicas,
                isr,
                leader_epoch: 0,
                partition_epoch: 0,
            };
            self.write(record);
        }
    }

    pub(super) fn alter_partition(
        &mut self,
        broker: BrokerId,
        broker_epoch: i64,
        partitions: &[IsrChange],
    ) -> Result<Vec<Result<PartitionState, Refusal>>, Refusal> {
        let current = self.registered(broker)?.broker_epoch;
        if current != broker_epoch {
            return Err(Refusal::StaleBrokerEpoch(format!(
                "Expected broker epoch {current}, but got broker epoch {broker_epoch}"
            )));
        }
        let each = partitions.iter();
        Ok(each.map(|change| self.change_isr(broker, change)).collect())
    }

    fn change_isr(
        &mut self,
        broker: BrokerId,
        change: &IsrChange,
    ) -> Result<PartitionState, Refusal> {
        let topic = self.image().topic_by_id(&change.topic_id);
        let topic = topic.ok_or_else(|| {
            Refusal::UnknownTopicId("This server does not host this topic ID.".to_owned())
        })?;
        let partition = topic.partition(change.partition).ok_or_else(|| {
            Refusal::UnknownTopicOrPartition(format!(
                "The topic {} has no partition {}.",
                topic.name, change.partition
            ))
        })?;
        judge_isr_change(self.image(), broker, partition, change)?;
        let isr: Vec<BrokerId> = change.isr.iter().map(|(id, _)| *id).collect();
        if *isr != *partition.isr {
            self.write(MetadataRecord::PartitionChange {
                topic_id: change.topic_id,
                partition: change.partition,
                isr: Some(isr),
                leader: None,
                replicas: None,
            });
        }
        let topic = self.image().topic_by_id(&change.topic_id);
        let partition = topic
            .and_then(|topic| topic.partition(change.partition))
            .expect("the partition was just seen, and a change removes none");
        Ok(PartitionState {
            leader: partition.leader,
            leader_epoch: partition.leader_epoch,
            isr: partition.isr.to_vec(),
            partition_epoch: partition.partition_epoch,
        })
    }
}

fn judge_isr_change(
    image: &Image,
    broker: BrokerId,
    partition: &PartitionImage,
    change: &IsrChange,
) -> Result<(), Refusal> {
    let known = (partition.leader_epoch.0, partition.partition_epoch);
    let told = (change.leader_epoch.0, change.partition_epoch);
    let epochs = || {
        format!(
            "The leader and partition epochs are {} and {}, not {} and {}.",
            known.0, known.1, told.0, told.1
        )
    };
    if told.0 > known.0 || told.1 > known.1 {
        return Err(Refusal::NotController(epochs()));
    }
    if told.0 < known.0 {
        return Err(Refusal::FencedLeaderEpoch(epochs()));
    }
    if broker != partition.leader {
        let sentence = format!("The leader is {}, not {broker}.", partition.leader);
        return Err(Refusal::InvalidRequest(sentence));
    }
    if told.1 < known.1 {
        return Err(Refusal::InvalidUpdateVersion(epochs()));
    }
    let mut ids: Vec<BrokerId> = change.isr.iter().map(|(id, _)| *id).collect();
    let holds_leader = ids.contains(&partition.leader);
    let all_replicas = ids.iter().all(|id| partition.replicas.contains(id));
    ids.sort();
    ids.dedup();
    if !holds_leader || !all_replicas || ids.len() != change.isr.len() {
        return Err(Refusal::InvalidRequest(
            "The replicas in sync must be different replicas of the partition, the leader among \
             them."
                .to_owned(),
        ));
    }
    for (id, epoch) in &change.isr {
        let fits = image
            .brokers
            .get(id)
            .is_some_and(|b| !b.fenced && (*epoch == -1 || *epoch == b.broker_epoch));
        if !fits {
            return Err(Refusal::IneligibleReplica(format!(
                "Broker {id} is fenced, or was registered again since."
            )));
        }
    }
    Ok(())
}

/// The directory a new replica goes to: the broker's only one, else the broker chooses.
fn directory_on(image: &Image, broker: BrokerId) -> DirectoryId {
    match image
        .brokers
        .get(&broker)
        .map(|broker| &*broker.directories)
    {
        Some([only]) => *only,
        _ => DirectoryId::ZERO,
    }
}

/// The refusal of a request that asks for too many partitions at once.
pub(super) fn too_many_partitions() -> Refusal {
    Refusal::PolicyViolation("Excessively large number of partitions per request.".to_owned())
}
