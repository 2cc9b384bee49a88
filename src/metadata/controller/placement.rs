//! Where the replicas of new partitions go: racks first, then brokers, leaders on both evenly.
//!
//! Same goals as Kafka's `StripedReplicaPlacer`: replicas of a partition on as many racks as there
//! are, no broker twice, the first replica (the preferred leader) on a broker that is alive.
//! Invariant: every placement has exactly as many different brokers as were asked for.

use std::sync::Arc;

use super::Random;
use crate::metadata::image::{BrokerImage, Image};
use crate::model::BrokerId;

/// Places `partitions` partitions of `replicas` replicas each on the brokers of the image.
/// The error is the sentence to refuse with.
pub(super) fn place(
    image: &Image,
    partitions: usize,
    replicas: usize,
    random: Random<'_>,
) -> Result<Vec<Vec<BrokerId>>, String> {
    let usable = |broker: &&Arc<BrokerImage>| !broker.is_cordoned();
    let alive = image.alive_brokers().filter(usable).count();
    let spared = image.brokers.values().any(|broker| broker.is_cordoned());
    let registered = image.brokers.values().filter(usable).count();
    if alive == 0 && spared {
        return Err(
            "All brokers are currently fenced or have all their log directories cordoned."
                .to_owned(),
        );
    }
    if alive == 0 {
        return Err("All brokers are currently fenced.".to_owned());
    }
    if replicas > registered {
        let or_spared = match spared {
            true => " or some brokers have all their log directories cordoned",
            false => "",
        };
        return Err(format!(
            "The target replication factor of {replicas} cannot be reached because only {registered} \
             broker(s) are registered{or_spared}."
        ));
    }
    let mut striping = Striping::new(image, Dice::new(random()));
    let mut placements = Vec::with_capacity(partitions);
    for index in 0..partitions {
        // Once every broker has led a partition the order is drawn anew, so that the same brokers
        // do not share every partition.
        let turn = index % alive;
        if turn == 0 {
            striping.shuffle();
        }
        placements.push(striping.place(turn, replicas));
    }
    Ok(placements)
}

/// The brokers of one rack; those without a rack share one.
struct Rack {
    alive: Vec<BrokerId>,
    fenced: Vec<BrokerId>,
}

impl Rack {
    /// Its brokers in the order in which a partition of this turn takes them.
    fn brokers(&self, turn: usize) -> impl Iterator<Item = BrokerId> {
        let start = turn.checked_rem(self.alive.len()).unwrap_or(0);
        let (head, tail) = self.alive.split_at(start);
        tail.iter().chain(head).chain(&self.fenced).copied()
    }
}

struct Striping {
    /// Racks with a live broker first: only those can hold a leader.
    racks: Vec<Rack>,
    leading_racks: usize,
    dice: Dice,
}

impl Striping {
    fn new(image: &Image, dice: Dice) -> Striping {
        let mut by_name = std::collections::BTreeMap::<Option<&str>, Rack>::new();
        let usable = |broker: &&Arc<BrokerImage>| !broker.is_cordoned();
        for broker in image.brokers.values().filter(usable) {
            let rack = by_name.entry(broker.rack.as_deref()).or_insert(Rack {
                alive: Vec::new(),
                fenced: Vec::new(),
            });
            let group = if broker.fenced {
                &mut rack.fenced
            } else {
                &mut rack.alive
            };
            group.push(broker.id);
        }
        let (mut racks, without): (Vec<Rack>, Vec<Rack>) = by_name
            .into_values()
            .partition(|rack| !rack.alive.is_empty());
        let leading_racks = racks.len();
        racks.extend(without);
        Striping {
            racks,
            leading_racks,
            dice,
        }
    }

    fn shuffle(&mut self) {
        let (leading, _) = self.racks.split_at_mut(self.leading_racks);
        self.dice.shuffle(leading);
        for rack in &mut self.racks {
            self.dice.shuffle(&mut rack.alive);
            self.dice.shuffle(&mut rack.fenced);
        }
    }

    /// The replicas of the partition whose turn it is: one from each rack, beginning with the rack
    /// that leads this turn, then a second one from each, until there are enough.
    fn place(&self, turn: usize, replicas: usize) -> Vec<BrokerId> {
        let first = turn.checked_rem(self.leading_racks).unwrap_or(0);
        let round = turn.checked_div(self.leading_racks).unwrap_or(0);
        let (head, tail) = self.racks.split_at(first);
        let mut queues: Vec<_> = tail
            .iter()
            .chain(head)
            .enumerate()
            .map(|(place, rack)| rack.brokers(round + place))
            .collect();
        let mut placed = Vec::with_capacity(replicas);
        while placed.len() < replicas {
            let before = placed.len();
            let wanted = replicas - before;
            placed.extend(queues.iter_mut().filter_map(Iterator::next).take(wanted));
            if placed.len() == before {
                break;
            }
        }
        placed
    }
}

/// A small generator of numbers (SplitMix64), fed with the randomness handed in: a placement
/// needs many draws and none of them is a secret.
struct Dice(u64);

impl Dice {
    fn new(seed: [u8; 16]) -> Dice {
        let [a, b, c, d, e, f, g, h, ..] = seed;
        Dice(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            let below = index as u64 + 1;
            let other = usize::try_from(self.next() % below).unwrap_or(0);
            items.swap(index, other);
        }
    }
}
