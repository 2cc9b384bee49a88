//! Which batches and records stay (Kafka's `Cleaner.cleanInto` and `shouldRetainRecord`).
//!
//! Asked by the rewriting of a group for each batch, then for each record. Decides only.

use std::collections::HashMap;

use crate::model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::record::{BatchHeader, RecordView};
use crate::storage::producer_state::ProducerStates;

use super::OffsetMap;
use super::transactions::Marker;

/// What must stay of a producer that is still known, so that it is known after a start, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LastOfProducer {
    data_offset: Option<Offset>,
    epoch: ProducerEpoch,
}

/// The producers that were known when the cleaning began. Those that wrote since have their last
/// batch above what is cleaned.
#[derive(Debug, Default)]
pub(crate) struct ActiveProducers(HashMap<ProducerId, LastOfProducer>);

impl ActiveProducers {
    pub(crate) fn of(states: &ProducerStates) -> ActiveProducers {
        let producers = states.iter().map(|(id, entry)| {
            let last = LastOfProducer {
                data_offset: entry.last_batch().map(|batch| batch.last_offset),
                epoch: entry.producer_epoch,
            };
            (id, last)
        });
        ActiveProducers(producers.collect())
    }

    /// Whether a batch has what is known of its producer: the last sequence, or only the epoch.
    fn ends_with(&self, header: &BatchHeader) -> bool {
        let last = self.0.get(&header.producer_id);
        header.has_producer_id()
            && last.is_some_and(|last| match last.data_offset {
                Some(offset) => header.last_offset() == offset,
                None => header.is_control() && header.producer_epoch == last.epoch,
            })
    }
}

/// The rules of one round.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) map: &'a OffsetMap,
    /// The last offset the map knows all about.
    pub(crate) map_until: Offset,
    /// Behind the last batch that could be cleaned in this round.
    pub(crate) round_end: Offset,
    pub(crate) now: Timestamp,
    pub(crate) producers: &'a ActiveProducers,
}

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchVerdict {
    /// Its records go, whatever they are.
    pub(crate) discards_records: bool,
    /// Without records it stays as a bare header.
    pub(crate) stays_empty: bool,
    /// It is a marker that may go once its delete horizon is passed.
    pub(crate) is_spent_marker: bool,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordVerdict {
    Stays,
    Goes,
    /// It has no key, and so no place in a compacted log.
    HasNoKey,
}

/// When tombstones and spent markers of a batch may go, if that was decided (KIP-534).
pub(crate) fn delete_horizon(header: &BatchHeader) -> Option<Timestamp> {
    let known = header.attributes.has_delete_horizon();
    known.then_some(header.base_timestamp)
}

impl Rules<'_> {
    fn is_passed(&self, header: &BatchHeader) -> bool {
        delete_horizon(header).is_some_and(|horizon| horizon <= self.now)
    }

    /// Judges a batch of records, whose transaction may have been aborted.
    pub(crate) fn of_records(&self, header: &BatchHeader, aborted: bool) -> BatchVerdict {
        BatchVerdict {
            discards_records: aborted,
            stays_empty: self.stays_empty(header),
            is_spent_marker: false,
        }
    }

    /// Judges a control batch.
    pub(crate) fn of_control(&self, header: &BatchHeader, marker: Marker) -> BatchVerdict {
        let may_go = matches!(marker, Marker::MayGo { .. });
        BatchVerdict {
            discards_records: may_go && self.is_passed(header),
            stays_empty: self.stays_empty(header),
            is_spent_marker: may_go,
        }
    }

    /// The last batch of a round stays, so that the log is known to reach there.
    fn stays_empty(&self, header: &BatchHeader) -> bool {
        header.next_offset() == self.round_end || self.producers.ends_with(header)
    }

    /// Judges a record of a batch that is not discarded and no marker.
    #[inline]
    pub(crate) fn of_record(
        &self,
        header: &BatchHeader,
        horizon_passed: bool,
        record: &RecordView<'_>,
    ) -> RecordVerdict {
        let offset = header.base_offset + i64::from(record.offset_delta);
        if offset > self.map_until {
            return RecordVerdict::Stays;
        }
        let Some(key) = record.key else {
            return RecordVerdict::HasNoKey;
        };
        // A tombstone whose time is over goes without a look at the map.
        if record.value.is_none() && horizon_passed {
            return RecordVerdict::Goes;
        }
        match self.map.get(key) {
            Some(latest) if offset < latest => RecordVerdict::Goes,
            _ => RecordVerdict::Stays,
        }
    }

    /// Whether tombstones of a batch may go.
    pub(crate) fn horizon_passed(&self, header: &BatchHeader) -> bool {
        self.is_passed(header)
    }
}
