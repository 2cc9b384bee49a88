//! One fetch session: its partitions in the order in which they are served, and what the client
//! was last told of each.
//!
//! Owned by the cache in `fetch_session`. Invariant: `places` and `entries` hold the same
//! partitions.

use std::collections::{BTreeMap, HashMap};

use super::{PartitionAsk, PartitionKey, PartitionOutcome};
use crate::model::{ErrorCode, Moment, Offset};
use crate::protocol::TopicKey;

#[derive(Debug)]
struct Entry {
    key: PartitionKey,
    ask: PartitionAsk,
    /// What the client was told last; `Offset::NONE` makes the next answer differ.
    high_watermark: Offset,
    log_start_offset: Offset,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) privileged: bool,
    pub(super) uses_topic_ids: bool,
    pub(super) created: Moment,
    pub(super) used: Moment,
    /// The epoch the next request must carry.
    pub(super) epoch: i32,
    /// By place in the order of service.
    entries: BTreeMap<u64, Entry>,
    places: HashMap<PartitionKey, u64>,
    next_place: u64,
}

impl Session {
    pub(super) fn new(privileged: bool, uses_topic_ids: bool, now: Moment) -> Session {
        Session {
            privileged,
            uses_topic_ids,
            created: now,
            used: now,
            epoch: 0,
            entries: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What to read, in the order of service.
    pub(super) fn asks(&self) -> impl Iterator<Item = (PartitionKey, PartitionAsk)> + '_ {
        self.entries
            .values()
            .map(|entry| (entry.key.clone(), entry.ask))
    }

    /// Changes wishes, adds partitions at the end, forgets others.
    pub(super) fn update(
        &mut self,
        asks: &[(PartitionKey, PartitionAsk)],
        forgotten: &[PartitionKey],
    ) {
        for (key, ask) in asks {
            let known = self
                .places
                .get(key)
                .and_then(|place| self.entries.get_mut(place));
            match known {
                Some(entry) => entry.ask = *ask,
                None => self.add(key.clone(), *ask, None),
            }
        }
        for key in forgotten {
            if let Some(place) = self.places.remove(key) {
                self.entries.remove(&place);
            }
        }
    }

    /// Adds a partition that the session does not have yet, and what its client was told of it.
    pub(super) fn add(
        &mut self,
        key: PartitionKey,
        ask: PartitionAsk,
        told: Option<&PartitionOutcome>,
    ) {
        let key = detached(key);
        let entry = Entry {
            key: key.clone(),
            ask,
            high_watermark: told.map_or(Offset::NONE, |outcome| outcome.high_watermark),
            log_start_offset: told.map_or(Offset::NONE, |outcome| outcome.log_start_offset),
        };
        let place = self.take_place();
        self.places.insert(key, place);
        self.entries.insert(place, entry);
    }

    /// Notes what came of reading a partition; tells whether its client must hear of it. Who got
    /// data goes to the end, so that small limits serve everybody in turn.
    pub(super) fn finish(&mut self, key: &PartitionKey, outcome: &PartitionOutcome) -> bool {
        let Some(place) = self.places.get(key).copied() else {
            return false;
        };
        let Some(entry) = self.entries.get_mut(&place) else {
            return false;
        };
        let failed = outcome.error != ErrorCode::None;
        let news = outcome.records_bytes > 0
            || outcome.redirects
            || failed
            || entry.high_watermark != outcome.high_watermark
            || entry.log_start_offset != outcome.log_start_offset;
        // After an error the client must hear of the partition again once it is well.
        entry.high_watermark = if failed {
            Offset::NONE
        } else {
            outcome.high_watermark
        };
        entry.log_start_offset = outcome.log_start_offset;
        if outcome.records_bytes > 0 {
            self.move_to_end(place);
        }
        news
    }

    fn move_to_end(&mut self, place: u64) {
        if let Some(entry) = self.entries.remove(&place) {
            let end = self.take_place();
            self.places.insert(entry.key.clone(), end);
            self.entries.insert(end, entry);
        }
    }

    fn take_place(&mut self) -> u64 {
        let place = self.next_place;
        self.next_place = self.next_place.wrapping_add(1);
        place
    }
}

/// A name is a slice of the request's frame; kept as it is it would keep all of the frame.
fn detached(key: PartitionKey) -> PartitionKey {
    match key.topic {
        TopicKey::Id(_) => key,
        TopicKey::Name(name) => PartitionKey {
            topic: TopicKey::Name(name.as_str().into()),
            partition: key.partition,
        },
    }
}
