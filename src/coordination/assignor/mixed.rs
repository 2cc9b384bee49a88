//! The `uniform` assignor when members subscribed to different topics.
//!
//! As Kafka's `UniformHeterogeneousAssignmentBuilder`: members keep what they had and still subscribe
//! to, what is free goes to the subscriber with the least, and then partitions move from those with
//! most to those with least, topic by topic, until no single move would help. That is not always the
//! best balance there could be (it would need chains of moves), but it is found quickly.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::Subscriptions;
use crate::protocol::consumer_offsets::Assignment;

/// How often all topics are gone through at most; each round about halves the imbalance.
const ROUNDS_MAX: usize = 16;

/// The decision so far. Members and topics are places in [`Subscriptions`].
struct Draft {
    /// Per topic who subscribed to it, ascending.
    subscribers: Vec<Vec<usize>>,
    /// Per topic and partition who has it.
    owners: Vec<Vec<Option<usize>>>,
    /// Per member how many partitions it has.
    loads: Vec<usize>,
}

/// Decides.
pub(super) fn assign(subscriptions: &Subscriptions<'_>) -> Vec<Assignment> {
    let mut draft = Draft::keep(subscriptions);
    let order = draft.order_of_topics();
    for topic in &order {
        draft.give_free(*topic);
    }
    for _ in 0..ROUNDS_MAX {
        let moves: usize = order.iter().map(|topic| draft.balance(*topic)).sum();
        if moves == 0 {
            break;
        }
    }
    draft.finish(subscriptions)
}

impl Draft {
    /// Starts with what members had and still may have.
    fn keep(subscriptions: &Subscriptions<'_>) -> Draft {
        let mut draft = Draft {
            subscribers: vec![Vec::new(); subscriptions.topics.len()],
            owners: subscriptions
                .topics
                .iter()
                .map(|topic| vec![None; usize::try_from(topic.partitions).unwrap_or(0)])
                .collect(),
            loads: vec![0; subscriptions.members.len()],
        };
        for (index, member) in subscriptions.members.iter().enumerate() {
            for topic in member.topics.iter() {
                draft.subscribers[*topic].push(index);
            }
            for (id, partitions) in member.assigned {
                let topic = subscriptions.place_of(id);
                let Some(topic) = topic.filter(|topic| member.topics.binary_search(topic).is_ok())
                else {
                    continue;
                };
                for partition in partitions {
                    draft.claim(topic, *partition, index);
                }
            }
        }
        draft
    }

    fn claim(&mut self, topic: usize, partition: i32, member: usize) {
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        if let Some(owner) = self.owners[topic].get_mut(place).filter(|o| o.is_none()) {
            *owner = Some(member);
            self.loads[member] += 1;
        }
    }

    /// Topics with many partitions per subscriber first: the others can then make up for them.
    fn order_of_topics(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.owners.len())
            .filter(|topic| !self.subscribers[*topic].is_empty())
            .collect();
        order.sort_by(|a, b| {
            let (partitions_a, partitions_b) = (self.owners[*a].len(), self.owners[*b].len());
            let (members_a, members_b) = (self.subscribers[*a].len(), self.subscribers[*b].len());
            (partitions_b * members_a)
                .cmp(&(partitions_a * members_b))
                .then(members_a.cmp(&members_b))
                .then(a.cmp(b))
        });
        order
    }

    fn give_free(&mut self, topic: usize) {
        if self.owners[topic].iter().all(Option::is_some) {
            return;
        }
        let mut takers: BinaryHeap<Reverse<(usize, usize)>> = self.subscribers[topic]
            .iter()
            .map(|member| Reverse((self.loads[*member], *member)))
            .collect();
        for owner in self.owners[topic].iter_mut().filter(|o| o.is_none()) {
            let Some(mut least) = takers.peek_mut() else {
                return;
            };
            let Reverse((load, member)) = &mut *least;
            *owner = Some(*member);
            *load += 1;
            self.loads[*member] = *load;
        }
    }

    /// Moves partitions of a topic from the members with most to those with least, as long as that
    /// makes the two more equal. Gives the number of moves.
    fn balance(&mut self, topic: usize) -> usize {
        let loads = |member: &usize| self.loads[*member];
        let least = self.subscribers[topic].iter().map(loads).min();
        let most = self.subscribers[topic].iter().map(loads).max();
        if most.unwrap_or(0) <= least.unwrap_or(0) + 1 {
            return 0;
        }
        let mut owned: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in self.owners[topic].iter().enumerate() {
            if let Some(owner) = owner {
                owned.entry(*owner).or_default().push(partition);
            }
        }
        // A giver never has to take nor a taker to give: they stop one apart. So both heaps may
        // keep the load the member had in the other role.
        let mut givers: BinaryHeap<(usize, usize)> = owned
            .keys()
            .map(|member| (self.loads[*member], *member))
            .collect();
        let mut takers: BinaryHeap<Reverse<(usize, usize)>> = self.subscribers[topic]
            .iter()
            .map(|member| Reverse((self.loads[*member], *member)))
            .collect();
        let mut moves = 0;
        while let (Some((most, giver)), Some(Reverse((least, taker)))) =
            (givers.pop(), takers.peek().copied())
        {
            if most <= least + 1 {
                break;
            }
            let Some(partition) = owned.get_mut(&giver).and_then(Vec::pop) else {
                continue;
            };
            self.owners[topic][partition] = Some(taker);
            self.loads[giver] = most - 1;
            self.loads[taker] = least + 1;
            givers.push((most - 1, giver));
            takers.pop();
            takers.push(Reverse((least + 1, taker)));
            moves += 1;
        }
        moves
    }

    fn finish(self, subscriptions: &Subscriptions<'_>) -> Vec<Assignment> {
        let mut assignments = vec![Assignment::new(); self.loads.len()];
        for (topic, owners) in subscriptions.topics.iter().zip(self.owners) {
            for (partition, owner) in (0i32..).zip(owners) {
                if let Some(owner) = owner {
                    assignments[owner]
                        .entry(topic.id)
                        .or_default()
                        .push(partition);
                }
            }
        }
        assignments
    }
}
