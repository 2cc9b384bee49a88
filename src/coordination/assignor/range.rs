//! The `range` assignor: each subscriber of a topic gets neighbouring partitions of it.
//!
//! As Kafka's `RangeAssignor` of the group coordinator: members in the order of their instance ids,
//! those without one after them in the order of their member ids. Topics with as many partitions and
//! the same subscribers are cut alike, so a member gets the same numbers of each (co-partitioning).
//! It remembers nothing: a static member keeps its partitions because it keeps its place in the order.

use super::Subscriptions;
use crate::protocol::consumer_offsets::Assignment;

/// How far a topic has been dealt out.
struct Cut {
    partitions: i32,
    /// How many subscribers have not had their share yet.
    subscribers: i32,
    next: i32,
}

impl Cut {
    /// The next share. Dividing what is left by those who are left gives the larger shares first.
    fn share(&mut self) -> std::ops::Range<i32> {
        let left = self.partitions - self.next;
        let size = left / self.subscribers + i32::from(left % self.subscribers != 0);
        let start = self.next;
        self.next += size;
        self.subscribers -= 1;
        start..self.next
    }
}

/// Decides.
pub(super) fn assign(subscriptions: &Subscriptions<'_>) -> Vec<Assignment> {
    let members = &subscriptions.members;
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|index| {
        let member = &members[*index];
        (
            member.instance_id.is_none(),
            member.instance_id.unwrap_or(member.member_id),
        )
    });
    let mut cuts: Vec<Cut> = subscriptions
        .topics
        .iter()
        .map(|topic| Cut {
            partitions: topic.partitions.max(0),
            subscribers: 0,
            next: 0,
        })
        .collect();
    for topic in members.iter().flat_map(|member| member.topics.iter()) {
        cuts[*topic].subscribers += 1;
    }
    let mut assignments = vec![Assignment::new(); members.len()];
    for index in order {
        for topic in members[index].topics.iter() {
            let share = cuts[*topic].share();
            if !share.is_empty() {
                assignments[index].insert(subscriptions.topics[*topic].id, share.collect());
            }
        }
    }
    assignments
}
