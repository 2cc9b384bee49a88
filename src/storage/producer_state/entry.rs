//! What one partition remembers about one producer.
//!
//! Owned by [`super::ProducerStates`]. Invariant: `recent` holds at most five batches of the
//! current epoch, oldest first, and their sequences follow one another unless the first of them
//! was the first that this partition saw of the producer.

use crate::model::{Offset, ProducerEpoch, Timestamp};

/// How many batches are kept per producer: a client may have five requests in flight, and each of
/// them may come again (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub const BATCHES_RETAINED: usize = 5;

/// The sequence of "no batch".
const NO_SEQUENCE: i32 = -1;

/// A batch that is in the log, as far as recognising it again needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RecentBatch {
    /// The sequence of its last record.
    pub last_sequence: i32,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// The last offset minus the first.
    pub offset_delta: i32,
    /// The batch's largest timestamp: the append time on topics that use it.
    pub timestamp: Timestamp,
}

impl RecentBatch {
    /// The sequence of the first record. Sequences wrap from `i32::MAX` to 0.
    pub fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        let wrapped = if first < 0 { first + (1 << 31) } else { first };
        i32::try_from(wrapped).unwrap_or(NO_SEQUENCE)
    }

    /// The offset of the first record.
    pub fn first_offset(&self) -> Offset {
        self.last_offset + -i64::from(self.offset_delta)
    }
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerEntry {
    /// The newest epoch seen; lower ones are fenced.
    pub producer_epoch: ProducerEpoch,
    /// The epoch of the coordinator that last ended a transaction here, or -1.
    pub coordinator_epoch: i32,
    /// The timestamp of what was last appended: when it lies back too far, the producer expires.
    pub last_timestamp: Timestamp,
    /// Where the transaction began that is open in this partition.
    pub transaction_first_offset: Option<Offset>,
    recent: [RecentBatch; BATCHES_RETAINED],
    recent_count: u8,
}

impl ProducerEntry {
    /// A producer of which nothing was seen yet.
    pub fn new(producer_epoch: ProducerEpoch) -> ProducerEntry {
        ProducerEntry {
            producer_epoch,
            coordinator_epoch: -1,
            last_timestamp: Timestamp::NONE,
            transaction_first_offset: None,
            recent: [RecentBatch::default(); BATCHES_RETAINED],
            recent_count: 0,
        }
    }

    /// The batches that are remembered, oldest first.
    pub fn recent(&self) -> &[RecentBatch] {
        &self.recent[..usize::from(self.recent_count)]
    }

    /// The batch that came last in the current epoch.
    pub fn last_batch(&self) -> Option<&RecentBatch> {
        self.recent().last()
    }

    /// The last sequence of the current epoch, or -1 when it has none: then 0 comes next.
    pub fn last_sequence(&self) -> i32 {
        self.last_batch()
            .map_or(NO_SEQUENCE, |batch| batch.last_sequence)
    }

    /// Whether a batch that starts with `sequence` continues where the last one ended.
    pub fn continues_with(&self, sequence: i32) -> bool {
        let last = self.last_sequence();
        match last.checked_add(1) {
            Some(next) => sequence == next,
            None => sequence == 0,
        }
    }

    /// The remembered batch with exactly these sequences.
    pub fn find(&self, first_sequence: i32, last_sequence: i32) -> Option<&RecentBatch> {
        self.recent().iter().find(|batch| {
            batch.last_sequence == last_sequence && batch.first_sequence() == first_sequence
        })
    }

    /// Moves to an epoch. A new one begins with no batches.
    pub fn move_to_epoch(&mut self, epoch: ProducerEpoch) {
        if self.producer_epoch != epoch {
            self.producer_epoch = epoch;
            self.recent = [RecentBatch::default(); BATCHES_RETAINED];
            self.recent_count = 0;
        }
    }

    /// Remembers a batch, forgetting the oldest of more than five.
    pub fn push(&mut self, batch: RecentBatch) {
        let count = usize::from(self.recent_count);
        if count == BATCHES_RETAINED {
            self.recent.rotate_left(1);
            self.recent[BATCHES_RETAINED - 1] = batch;
        } else {
            self.recent[count] = batch;
            self.recent_count += 1;
        }
        self.last_timestamp = batch.timestamp;
    }

    /// This entry, with the batches of an older one of the same epoch remembered before its own.
    pub(super) fn behind(self, older: &ProducerEntry) -> ProducerEntry {
        let mut merged = ProducerEntry::new(self.producer_epoch);
        if older.producer_epoch == self.producer_epoch {
            merged = older.clone();
        }
        for batch in self.recent() {
            merged.push(*batch);
        }
        ProducerEntry {
            recent: merged.recent,
            recent_count: merged.recent_count,
            ..self
        }
    }
}
