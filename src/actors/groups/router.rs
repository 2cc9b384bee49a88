//! The way from a group's id to its shard, for `api`.
//!
//! The hosts keep the table; every arbiter reads it. Invariant: a shard that is not in the table is
//! not here, and the slot of a question to it is dropped, which tells the asker so.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::prelude::*;
use arc_swap::ArcSwap;

use super::messages::AskGroup;
use super::shard::GroupShardActor;

/// The partition of `__consumer_offsets` that holds a group, of so many (`Utils.abs` of Java's
/// `String.hashCode`, modulo). None when there are no partitions.
pub fn partition_of(group: &str, partitions: i32) -> Option<i32> {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // Kafka's `abs` makes 0 of the one number that has no positive twin.
    hash.checked_abs().unwrap_or(0).checked_rem(partitions)
}

type Shards = BTreeMap<i32, Addr<GroupShardActor>>;

/// See the module. Clones share the table.
#[derive(Clone, Default)]
pub struct GroupRouter {
    shards: Arc<ArcSwap<Shards>>,
}

impl GroupRouter {
    /// Asks the shard of a partition.
    pub fn ask(&self, partition: i32, question: AskGroup) {
        if let Some(shard) = self.shards.load().get(&partition) {
            shard.do_send(question);
        }
    }

    /// Every shard of this broker.
    pub fn shards(&self) -> Vec<Addr<GroupShardActor>> {
        self.shards.load().values().cloned().collect()
    }

    pub(super) fn add(&self, partition: i32, shard: &Addr<GroupShardActor>) {
        self.change(|shards| {
            shards.insert(partition, shard.clone());
        });
    }

    pub(super) fn remove(&self, partition: i32) {
        self.change(|shards| {
            shards.remove(&partition);
        });
    }

    /// Hosts on other arbiters change other entries meanwhile.
    fn change(&self, change: impl Fn(&mut Shards)) {
        self.shards.rcu(|shards| {
            let mut shards = Shards::clone(shards);
            change(&mut shards);
            shards
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_lives_where_kafka_puts_it() {
        // As `hashCode()` in Java: 0, 103, 98629247, -648006740, and 1772802 for two UTF-16 units.
        assert_eq!(partition_of("", 50), Some(0));
        assert_eq!(partition_of("g", 50), Some(3));
        assert_eq!(partition_of("group", 50), Some(47));
        assert_eq!(partition_of("console-consumer", 50), Some(40));
        assert_eq!(partition_of("🦀", 50), Some(2));
        // i32::MIN.
        assert_eq!(partition_of("polygenelubricants", 50), Some(0));
        assert_eq!(partition_of("g", 0), None);
    }
}
