//! Which producers wrote into a partition: recognises batches that come again, refuses gaps and
//! fenced epochs, and knows the transactions that are open (KIP-98, `ProducerStateManager`).
//!
//! `storage::Log` owns one and calls `check` before a batch is written, `update` after. Invariant:
//! the state is the sum of the batches below `end_offset`; a snapshot of ours plus the batches
//! behind it gives the same, one of Kafka's all but the batches before each producer's last one.

mod entry;
mod files;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

pub use entry::{BATCHES_RETAINED, ProducerEntry, RecentBatch};
pub use files::{
    SNAPSHOT_SUFFIX, delete_snapshots, list_snapshots, load_newest_of, load_newest_snapshot,
    load_snapshot, snapshot_path, write_snapshot,
};
pub use snapshot::InvalidSnapshot;

use crate::model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use crate::record::BatchHeader;

/// What a data batch of a producer says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerBatch {
    /// Who wrote it.
    pub producer_id: ProducerId,
    /// In which incarnation.
    pub producer_epoch: ProducerEpoch,
    /// The sequence of its first record.
    pub first_sequence: i32,
    /// The sequence of its last record; smaller than the first when they wrapped.
    pub last_sequence: i32,
    /// The last offset minus the first.
    pub offset_delta: i32,
    /// Its largest timestamp.
    pub timestamp: Timestamp,
    /// Whether it is part of a transaction.
    pub transactional: bool,
}

impl ProducerBatch {
    /// What the header of a data batch says; `None` when no producer id is in it, as in batches
    /// that are not idempotent: those are not asked about.
    pub fn of(header: &BatchHeader) -> Option<ProducerBatch> {
        header.has_producer_id().then(|| ProducerBatch {
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            offset_delta: header.last_offset_delta,
            timestamp: header.max_timestamp,
            transactional: header.is_transactional(),
        })
    }
}

/// A control record that ends a transaction (`EndTransactionMarker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionMarker {
    /// Whose transaction ends.
    pub producer_id: ProducerId,
    /// The epoch the marker was written with.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the coordinator that wrote it.
    pub coordinator_epoch: i32,
    /// Whether the transaction was aborted.
    pub aborted: bool,
    /// The control record's timestamp.
    pub timestamp: Timestamp,
}

/// What to do with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new: append it.
    Append,
    /// It is in the log already: answer with where it is, write nothing.
    Duplicate(RecentBatch),
}

/// Why a batch or marker may not be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// A batch is missing before this one (OUT_OF_ORDER_SEQUENCE_NUMBER).
    #[error(
        "Out of order sequence number for producer {producer_id}: {sequence} (incoming sequence number), {last_sequence} (current end sequence number)"
    )]
    OutOfOrder {
        /// The producer.
        producer_id: ProducerId,
        /// What came.
        sequence: i32,
        /// The last sequence in the log, -1 for none in this epoch.
        last_sequence: i32,
    },
    /// The producer was fenced by a newer one (INVALID_PRODUCER_EPOCH).
    #[error(
        "Epoch of producer {producer_id} is {epoch}, which is smaller than the last seen epoch {current}"
    )]
    StaleEpoch {
        /// The producer.
        producer_id: ProducerId,
        /// What came.
        epoch: i16,
        /// The newest one seen.
        current: i16,
    },
    /// A plain batch inside the producer's own transaction (INVALID_TXN_STATE).
    #[error("Expected transactional write from producer {producer_id}")]
    TransactionOpen {
        /// The producer.
        producer_id: ProducerId,
    },
    /// A marker from a coordinator that was replaced (TRANSACTION_COORDINATOR_FENCED).
    #[error(
        "Coordinator epoch for producer {producer_id} is {epoch} (zombie), {current} (current)"
    )]
    StaleCoordinator {
        /// The producer.
        producer_id: ProducerId,
        /// What came.
        epoch: i32,
        /// The newest one seen.
        current: i32,
    },
}

/// A transaction that was ended here by its marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompletedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record here.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// Whether readers of committed records must leave it out.
    pub aborted: bool,
}

/// The producers of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerStates {
    producers: HashMap<ProducerId, ProducerEntry>,
    /// Open transactions by their first offset.
    ongoing: BTreeMap<Offset, ProducerId>,
    /// Ended transactions whose marker is not below the high watermark yet: first → last offset.
    unreplicated: BTreeMap<Offset, Offset>,
    end_offset: Offset,
    expiration_ms: i64,
}

impl ProducerStates {
    /// Nothing is known yet. Producers idle for `expiration_ms` are forgotten
    /// (`producer.id.expiration.ms`).
    pub fn new(expiration_ms: i64) -> ProducerStates {
        ProducerStates {
            producers: HashMap::new(),
            ongoing: BTreeMap::new(),
            unreplicated: BTreeMap::new(),
            end_offset: Offset::ZERO,
            expiration_ms,
        }
    }

    /// Takes over a snapshot file's content, which holds everything below `end_offset`. Producers
    /// that have expired by `now` are left out.
    pub fn from_snapshot(
        bytes: &[u8],
        end_offset: Offset,
        expiration_ms: i64,
        now: Timestamp,
    ) -> Result<ProducerStates, InvalidSnapshot> {
        let mut states = ProducerStates::new(expiration_ms);
        states.end_offset = end_offset;
        for (producer_id, entry) in snapshot::decode(bytes)? {
            if let Some(first_offset) = entry.transaction_first_offset {
                states.ongoing.insert(first_offset, producer_id);
            }
            if !states.is_expired(&entry, now) {
                states.producers.insert(producer_id, entry);
            }
        }
        Ok(states)
    }

    /// The content of a snapshot file at `end_offset`; producers in order of their ids.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let mut producers: Vec<_> = self.producers.iter().map(|(id, e)| (*id, e)).collect();
        producers.sort_unstable_by_key(|(id, _)| *id);
        snapshot::encode(producers.into_iter())
    }

    /// Decides about a batch that a client wants to append. Batches without a producer id are not
    /// asked about. The first batch of a producer that is not known here may start anywhere: its
    /// state may have expired.
    pub fn check(&self, batch: &ProducerBatch) -> Result<Verdict, SequenceError> {
        let producer_id = batch.producer_id;
        let Some(entry) = self.producers.get(&producer_id) else {
            return Ok(Verdict::Append);
        };
        let out_of_order = SequenceError::OutOfOrder {
            producer_id,
            sequence: batch.first_sequence,
            last_sequence: entry.last_sequence(),
        };
        let same_epoch = batch.producer_epoch == entry.producer_epoch;
        if same_epoch && let Some(known) = entry.find(batch.first_sequence, batch.last_sequence) {
            return Ok(Verdict::Duplicate(*known));
        }
        check_epoch(entry, producer_id, batch.producer_epoch)?;
        if same_epoch && !entry.continues_with(batch.first_sequence) {
            return Err(out_of_order);
        }
        // A marker may have made the entry before any epoch was seen; then nothing is bumped.
        let bumped = !same_epoch && entry.producer_epoch != ProducerEpoch::NONE;
        if bumped && batch.first_sequence != 0 {
            return Err(out_of_order);
        }
        if entry.transaction_first_offset.is_some() && !batch.transactional {
            return Err(SequenceError::TransactionOpen { producer_id });
        }
        Ok(Verdict::Append)
    }

    /// Takes note of a batch that was appended at `first_offset`, by a client, by replication or
    /// in an earlier life of this log: it is in the log, so nothing is checked any more.
    pub fn update(&mut self, batch: &ProducerBatch, first_offset: Offset) {
        let entry = self
            .producers
            .entry(batch.producer_id)
            .or_insert_with(|| ProducerEntry::new(batch.producer_epoch));
        let last_offset = first_offset + i64::from(batch.offset_delta);
        entry.move_to_epoch(batch.producer_epoch);
        entry.push(RecentBatch {
            last_sequence: batch.last_sequence,
            last_offset,
            offset_delta: batch.offset_delta,
            timestamp: batch.timestamp,
        });
        if batch.transactional && entry.transaction_first_offset.is_none() {
            entry.transaction_first_offset = Some(first_offset);
            self.ongoing.insert(first_offset, batch.producer_id);
        }
        self.end_offset = self.end_offset.max(last_offset + 1);
    }

    /// Decides about a marker that a coordinator wants to append.
    pub fn check_marker(&self, marker: &TransactionMarker) -> Result<(), SequenceError> {
        let producer_id = marker.producer_id;
        let Some(entry) = self.producers.get(&producer_id) else {
            return Ok(());
        };
        check_epoch(entry, producer_id, marker.producer_epoch)?;
        if marker.coordinator_epoch < entry.coordinator_epoch {
            return Err(SequenceError::StaleCoordinator {
                producer_id,
                epoch: marker.coordinator_epoch,
                current: entry.coordinator_epoch,
            });
        }
        Ok(())
    }

    /// The transaction that a marker would end at `offset`, and below what everything would be
    /// decided then; none when it ends none.
    pub fn would_complete(
        &self,
        marker: &TransactionMarker,
        offset: Offset,
    ) -> Option<(CompletedTransaction, Offset)> {
        let entry = self.producers.get(&marker.producer_id)?;
        let first_offset = entry.transaction_first_offset?;
        let others = self.ongoing.keys().find(|first| **first != first_offset);
        let completed = CompletedTransaction {
            producer_id: marker.producer_id,
            first_offset,
            last_offset: offset,
            aborted: marker.aborted,
        };
        Some((completed, others.copied().unwrap_or(offset + 1)))
    }

    /// Takes note of a marker that was appended at `offset`. The transaction it ended, if one was
    /// open here, still holds back the last stable offset until the high watermark passes it; an
    /// aborted one belongs into the transaction index, together with
    /// [`ProducerStates::last_stable_offset`].
    pub fn update_marker(
        &mut self,
        marker: &TransactionMarker,
        offset: Offset,
    ) -> Option<CompletedTransaction> {
        let entry = self
            .producers
            .entry(marker.producer_id)
            .or_insert_with(|| ProducerEntry::new(marker.producer_epoch));
        entry.move_to_epoch(marker.producer_epoch);
        entry.coordinator_epoch = marker.coordinator_epoch;
        entry.last_timestamp = marker.timestamp;
        self.end_offset = self.end_offset.max(offset + 1);
        let first_offset = entry.transaction_first_offset.take()?;
        self.ongoing.remove(&first_offset);
        self.unreplicated.insert(first_offset, offset);
        Some(CompletedTransaction {
            producer_id: marker.producer_id,
            first_offset,
            last_offset: offset,
            aborted: marker.aborted,
        })
    }

    /// Everything below this is decided, once `completed` is: what the transaction index records
    /// beside an aborted transaction.
    pub fn last_stable_offset(&self, completed: &CompletedTransaction) -> Offset {
        match self.ongoing.first_key_value() {
            Some((first_offset, _)) => *first_offset,
            None => completed.last_offset + 1,
        }
    }

    /// Where the oldest transaction starts that is open, or ended above the high watermark: the
    /// last stable offset is never above it.
    pub fn first_unstable_offset(&self) -> Option<Offset> {
        let open = self.ongoing.keys().next();
        let ended = self.unreplicated.keys().next();
        open.into_iter().chain(ended).min().copied()
    }

    /// Where the oldest open transaction starts. The cleaner stops there.
    pub fn first_undecided_offset(&self) -> Option<Offset> {
        self.ongoing.keys().next().copied()
    }

    /// The high watermark moved: transactions whose marker lies below it are stable.
    pub fn advance_high_watermark(&mut self, high_watermark: Offset) {
        self.unreplicated
            .retain(|_, last_offset| *last_offset >= high_watermark);
    }

    /// Forgets producers that have been idle too long, except those with an open transaction.
    pub fn expire(&mut self, now: Timestamp) {
        let expiration_ms = self.expiration_ms;
        self.producers
            .retain(|_, entry| !has_expired(entry, now, expiration_ms));
    }

    /// Changes after how long idle producers are forgotten.
    pub fn set_expiration_ms(&mut self, expiration_ms: i64) {
        self.expiration_ms = expiration_ms;
    }

    /// Forgets everything: the log was emptied and starts at `offset`.
    pub fn restart_at(&mut self, offset: Offset) {
        *self = ProducerStates::new(self.expiration_ms);
        self.end_offset = offset;
    }

    /// All batches below this offset are accounted for. A snapshot is named after it.
    pub fn end_offset(&self) -> Offset {
        self.end_offset
    }

    /// Batches without a producer id move the end, too.
    pub fn set_end_offset(&mut self, offset: Offset) {
        self.end_offset = offset;
    }

    /// What is known of a producer.
    pub fn get(&self, producer_id: ProducerId) -> Option<&ProducerEntry> {
        self.producers.get(&producer_id)
    }

    /// All producers, in no order, for DescribeProducers.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (ProducerId, &ProducerEntry)> {
        self.producers.iter().map(|(id, entry)| (*id, entry))
    }

    /// How many producers are known.
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether no producer is known.
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    fn is_expired(&self, entry: &ProducerEntry, now: Timestamp) -> bool {
        has_expired(entry, now, self.expiration_ms)
    }
}

fn has_expired(entry: &ProducerEntry, now: Timestamp, expiration_ms: i64) -> bool {
    entry.transaction_first_offset.is_none()
        && now.0.saturating_sub(entry.last_timestamp.0) >= expiration_ms
}

fn check_epoch(
    entry: &ProducerEntry,
    producer_id: ProducerId,
    epoch: ProducerEpoch,
) -> Result<(), SequenceError> {
    if epoch.0 < entry.producer_epoch.0 {
        return Err(SequenceError::StaleEpoch {
            producer_id,
            epoch: epoch.0,
            current: entry.producer_epoch.0,
        });
    }
    Ok(())
}
