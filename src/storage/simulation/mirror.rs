//! What a log should hold: kept beside it, by the simplest means.
//!
//! Invariant: `batches` are in order of their offsets and what a reader must get, byte for byte, from
//! `start` to `end`; `maybe` are those that may follow, because nobody knows whether their append
//! happened.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
use crate::record::{BatchHeader, ValidBatch};

/// What went wrong, in words.
pub(super) type Fault = String;

/// A batch as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
    /// Of its records.
    pub(super) timestamps: Vec<i64>,
    /// For a marker, whether it commits.
    pub(super) commits: Option<bool>,
}

impl Kept {
    /// What a log makes of a batch.
    pub(super) fn stored(made: &Made, base_offset: i64, epoch: i32) -> Kept {
        let header = BatchHeader {
            base_offset: Offset(base_offset),
            partition_leader_epoch: LeaderEpoch(epoch),
            ..made.batch.header
        };
        let mut bytes = BytesMut::new();
        bytes.put_i64(base_offset);
        bytes.put_i32(header.batch_length);
        bytes.put_i32(epoch);
        bytes.put_slice(&made.batch.bytes[16..]);
        Kept {
            header,
            bytes: bytes.freeze(),
            timestamps: made.timestamps.clone(),
            commits: made.commits,
        }
    }

    pub(super) fn base(&self) -> i64 {
        self.header.base_offset.0
    }

    pub(super) fn next(&self) -> i64 {
        self.header.next_offset().0
    }

    pub(super) fn epoch(&self) -> i32 {
        self.header.partition_leader_epoch.0
    }
}

/// A batch as a producer makes it.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) batch: ValidBatch,
    pub(super) timestamps: Vec<i64>,
    pub(super) commits: Option<bool>,
}

/// What the batches say of a producer.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Known {
    pub(super) epoch: i16,
    pub(super) last_sequence: i32,
    /// Batches of this epoch as (first sequence, first offset), oldest first.
    pub(super) recent: Vec<(i32, i64)>,
    /// Where its open transaction begins.
    pub(super) open: Option<i64>,
    /// The offsets of its records in it.
    pub(super) in_transaction: Vec<(i64, i64)>,
    /// Behind its last batch of records, and behind its last marker.
    pub(super) records_end: i64,
    pub(super) end: i64,
}

/// A transaction that was aborted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aborted {
    pub(super) producer: i64,
    pub(super) first: i64,
    /// The offsets of its records.
    pub(super) records: Vec<(i64, i64)>,
    /// Its marker.
    pub(super) last: i64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Mirror {
    pub(super) batches: Vec<Kept>,
    pub(super) maybe: Vec<Kept>,
    pub(super) start: i64,
    pub(super) end: i64,
    /// Below this all was promised to survive a loss of power.
    pub(super) flushed: i64,
    pub(super) high_watermark: i64,
    /// The start that the checkpoint on the device says.
    pub(super) floor: i64,
    /// How far the start may have come with what was under way.
    pub(super) start_max: i64,
    /// How far the log may have been cut back with what was under way.
    pub(super) cut: Option<i64>,
    /// Rises when offsets are given back.
    pub(super) cuts: u64,
    /// The checksum of everything that was ever at an offset of an epoch.
    written: BTreeMap<(i32, i64), u32>,
}

impl Mirror {
    /// Takes a batch that is in the log now.
    pub(super) fn push(&mut self, kept: Kept) -> Result<(), Fault> {
        self.note_written(&kept)?;
        self.end = kept.next();
        self.batches.push(kept);
        Ok(())
    }

    /// An offset of an epoch has one batch, for ever.
    pub(super) fn note_written(&mut self, kept: &Kept) -> Result<(), Fault> {
        let place = (kept.epoch(), kept.base());
        let known = self.written.entry(place).or_insert(kept.header.crc);
        match *known == kept.header.crc {
            true => Ok(()),
            false => Err(format!(
                "{place:?} (epoch, offset) was used for two batches"
            )),
        }
    }

    /// Forgets what is at or behind an offset, with the whole batch that has it.
    pub(super) fn cut(&mut self, offset: i64) {
        if offset >= self.end {
            return;
        }
        self.end = self.boundary(offset);
        let end = self.end;
        self.batches.retain(|kept| kept.next() <= end);
        self.flushed = self.flushed.min(end);
        self.high_watermark = self.high_watermark.min(end);
        self.start = self.start.min(end);
        self.cuts += 1;
    }

    /// Where the log ends when it is cut at an offset.
    pub(super) fn boundary(&self, offset: i64) -> i64 {
        let holds = |kept: &&Kept| (kept.base()..kept.next()).contains(&offset);
        let found = self.batches.iter().find(holds);
        found.map_or(offset.min(self.end), Kept::base)
    }

    /// Those that readers may get.
    pub(super) fn visible(&self) -> impl Iterator<Item = &Kept> {
        self.batches.iter().filter(|kept| kept.next() > self.start)
    }

    /// Where a share of the log ends.
    pub(super) fn at_share(&self, share: i64, of: i64) -> i64 {
        self.start + (of - self.start).max(0) * share / 100
    }

    /// What the batches say of producers, and the transactions that were aborted.
    pub(super) fn producers(&self) -> (BTreeMap<i64, Known>, Vec<Aborted>) {
        let (mut producers, mut aborted) = (BTreeMap::<i64, Known>::new(), Vec::new());
        for kept in &self.batches {
            let header = &kept.header;
            if header.producer_id == ProducerId::NONE {
                continue;
            }
            let id = header.producer_id.0;
            let epoch = header.producer_epoch.0;
            let known = producers.entry(id).or_insert_with(|| Known {
                epoch,
                last_sequence: -1,
                ..Known::default()
            });
            if known.epoch != epoch {
                known.epoch = epoch;
                known.last_sequence = -1;
                known.recent.clear();
            }
            known.end = kept.next();
            if let Some(commits) = kept.commits {
                let first = known.open.take();
                let records = std::mem::take(&mut known.in_transaction);
                if let Some(first) = first.filter(|_| !commits) {
                    aborted.push(Aborted {
                        producer: id,
                        first,
                        records,
                        last: kept.base(),
                    });
                }
                continue;
            }
            known.last_sequence = header.last_sequence();
            known.records_end = kept.next();
            known.recent.push((header.base_sequence, kept.base()));
            if header.is_transactional() {
                known.open.get_or_insert(kept.base());
                known.in_transaction.push((kept.base(), kept.next()));
            }
        }
        (producers, aborted)
    }

    pub(super) fn producer(&self, id: i64) -> Option<Known> {
        self.producers().0.remove(&id)
    }

    /// Where the reign of an epoch ended.
    pub(super) fn end_of_epoch(&self, epoch: i32) -> i64 {
        let later = self.batches.iter().find(|kept| kept.epoch() > epoch);
        later.map_or(self.end, Kept::base)
    }
}

/// The epoch a producer writes with.
pub(super) fn producer_epoch(known: Option<&Known>) -> ProducerEpoch {
    ProducerEpoch(known.map_or(0, |known| known.epoch))
}
