//! The topics a group is concerned with, as the cluster has them now.
//!
//! A cache in front of [`Topics`]: emptied when the metadata's version changes, so that a thousand
//! heartbeats of one rebalance do not ask for the same facts a thousand times.

use std::collections::HashMap;
use std::sync::Arc;

use crate::coordination::topics::{TopicFacts, Topics};
use crate::model::TopicId;

/// What a group needs of a topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KnownTopic {
    pub(super) id: TopicId,
    pub(super) name: Arc<str>,
    pub(super) partitions: i32,
    /// Of its id, name, partitions and their racks.
    hash: u64,
}

/// The cache.
#[derive(Debug, Default)]
pub(super) struct KnownTopics {
    version: Option<i64>,
    by_name: HashMap<Arc<str>, Option<Arc<KnownTopic>>>,
    by_id: HashMap<TopicId, Option<Arc<KnownTopic>>>,
}

impl KnownTopics {
    /// Forgets what may be outdated.
    pub(super) fn refresh(&mut self, topics: &dyn Topics) {
        let version = Some(topics.version());
        if self.version != version {
            *self = KnownTopics {
                version,
                ..KnownTopics::default()
            };
        }
    }

    pub(super) fn by_name(
        &mut self,
        topics: &dyn Topics,
        name: &Arc<str>,
    ) -> Option<Arc<KnownTopic>> {
        if let Some(known) = self.by_name.get(name) {
            return known.clone();
        }
        let known = topics.by_name(name).map(|facts| self.learn(&facts));
        self.by_name.insert(Arc::clone(name), known.clone());
        known
    }

    pub(super) fn by_id(&mut self, topics: &dyn Topics, id: &TopicId) -> Option<Arc<KnownTopic>> {
        if let Some(known) = self.by_id.get(id) {
            return known.clone();
        }
        let known = topics.by_id(id).map(|facts| self.learn(&facts));
        self.by_id.insert(*id, known.clone());
        known
    }

    /// A hash of all these topics that exist; 0 when none does. It is compared with the one that was
    /// recorded, so it must stay the same from version to version of Milena.
    pub(super) fn hash<'a>(
        &mut self,
        topics: &dyn Topics,
        names: impl Iterator<Item = &'a Arc<str>>,
    ) -> i64 {
        let mut hash = Fnv::new();
        let mut any = false;
        for name in names {
            if let Some(known) = self.by_name(topics, name) {
                hash.write(&known.hash.to_le_bytes());
                any = true;
            }
        }
        if any { hash.0.cast_signed() } else { 0 }
    }

    fn learn(&mut self, facts: &TopicFacts) -> Arc<KnownTopic> {
        let known = Arc::new(KnownTopic {
            id: facts.id,
            name: Arc::clone(&facts.name),
            partitions: facts.partitions,
            hash: hash_of(facts),
        });
        self.by_id.insert(facts.id, Some(Arc::clone(&known)));
        self.by_name
            .insert(Arc::clone(&facts.name), Some(Arc::clone(&known)));
        known
    }
}

fn hash_of(facts: &TopicFacts) -> u64 {
    let mut hash = Fnv::new();
    hash.write(&facts.id.0);
    hash.write(facts.name.as_bytes());
    hash.write(&facts.partitions.to_le_bytes());
    for racks in &facts.racks {
        hash.write(&[0]);
        for rack in racks {
            hash.write(rack.as_bytes());
            hash.write(&[1]);
        }
    }
    hash.0
}

/// FNV-1a with 64 bits: short, and fixed for all time.
struct Fnv(u64);

impl Fnv {
    fn new() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
