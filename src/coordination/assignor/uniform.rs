//! The `uniform` assignor when all members subscribed to the same topics.
//!
//! As Kafka's `UniformHomogeneousAssignmentBuilder`: balance first, no two members differ by more
//! than one partition; then stickiness, a member keeps what it had as far as its share allows.

use super::{SubscribedTopic, Subscriptions};
use crate::protocol::consumer_offsets::Assignment;

/// What every member may have.
struct Shares {
    /// What everybody gets.
    least: usize,
    /// How many members get one more.
    extra: usize,
}

/// Decides.
pub(super) fn assign(subscriptions: &Subscriptions<'_>) -> Vec<Assignment> {
    let Some(first) = subscriptions.members.first() else {
        return Vec::new();
    };
    let members = subscriptions.members.len();
    let topics: Vec<SubscribedTopic> = first
        .topics
        .iter()
        .map(|place| subscriptions.topics[*place])
        .collect();
    let total: usize = topics.iter().map(count).sum();
    let mut free = Free::all(&topics);
    let kept: Vec<Vec<(usize, i32)>> = subscriptions
        .members
        .iter()
        .map(|member| free.take(&topics, member.assigned))
        .collect();
    let shares = Shares {
        least: total / members,
        extra: total % members,
    };
    deal(&topics, kept, free, &shares)
}

fn count(topic: &SubscribedTopic) -> usize {
    usize::try_from(topic.partitions).unwrap_or(0)
}

/// The partitions that nobody has.
struct Free {
    /// Per topic and partition.
    is_free: Vec<Vec<bool>>,
}

impl Free {
    fn all(topics: &[SubscribedTopic]) -> Free {
        Free {
            is_free: topics
                .iter()
                .map(|topic| vec![true; count(topic)])
                .collect(),
        }
    }

    /// What of `assigned` is there to be kept: subscribed, existing, and nobody else's.
    fn take(&mut self, topics: &[SubscribedTopic], assigned: &Assignment) -> Vec<(usize, i32)> {
        let mut kept = Vec::with_capacity(assigned.values().map(Vec::len).sum());
        for (id, partitions) in assigned {
            let Ok(topic) = topics.binary_search_by(|topic| topic.id.cmp(id)) else {
                continue;
            };
            for partition in partitions {
                let place = usize::try_from(*partition).unwrap_or(usize::MAX);
                if let Some(is_free) = self.is_free[topic].get_mut(place).filter(|free| **free) {
                    *is_free = false;
                    kept.push((topic, *partition));
                }
            }
        }
        kept
    }

    fn give_back(&mut self, (topic, partition): (usize, i32)) {
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        if let Some(is_free) = self.is_free[topic].get_mut(place) {
            *is_free = true;
        }
    }

    /// In order of topic and partition.
    fn iter(&self) -> impl Iterator<Item = (usize, i32)> + '_ {
        self.is_free.iter().enumerate().flat_map(|(topic, free)| {
            (0i32..)
                .zip(free)
                .filter(|(_, is_free)| **is_free)
                .map(move |(partition, _)| (topic, partition))
        })
    }
}

/// Cuts what is too much, and gives what is free to those who have too little.
fn deal(
    topics: &[SubscribedTopic],
    mut kept: Vec<Vec<(usize, i32)>>,
    mut free: Free,
    shares: &Shares,
) -> Vec<Assignment> {
    // Who has more than the least share already is the first to be granted one more.
    let mut extra = shares.extra;
    let mut quotas: Vec<usize> = Vec::with_capacity(kept.len());
    for had in &kept {
        let granted = had.len() > shares.least && extra > 0;
        extra -= usize::from(granted);
        quotas.push(shares.least + usize::from(granted));
    }
    for quota in quotas.iter_mut().filter(|quota| **quota == shares.least) {
        let granted = extra > 0;
        extra -= usize::from(granted);
        *quota += usize::from(granted);
    }
    for (had, quota) in kept.iter_mut().zip(&quotas) {
        for partition in had.drain(had.len().min(*quota)..) {
            free.give_back(partition);
        }
    }
    let mut free = free.iter();
    kept.into_iter()
        .zip(quotas)
        .map(|(had, quota)| {
            let missing = quota.saturating_sub(had.len());
            collect(topics, had.into_iter().chain(free.by_ref().take(missing)))
        })
        .collect()
}

fn collect(
    topics: &[SubscribedTopic],
    partitions: impl Iterator<Item = (usize, i32)>,
) -> Assignment {
    let mut assignment = Assignment::new();
    for (topic, partition) in partitions {
        assignment
            .entry(topics[topic].id)
            .or_default()
            .push(partition);
    }
    for partitions in assignment.values_mut() {
        partitions.sort_unstable();
    }
    assignment
}
