//! One log under test, and the mirror beside it: what producers, leaders and upkeep do to it.
//!
//! Every method does one thing to the log and judges the answer by the mirror. Invariant: after a
//! step the mirror says what the log must hold, or, when the process ended in the middle, what it
//! may hold.

use std::path::PathBuf;
use std::sync::Arc;

use super::mirror::{Fault, Kept, Known, Made, Mirror, producer_epoch};
use super::script::{End, Flaw};
use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp, TopicPartition};
use crate::record::{BatchBuilder, Codec, EndTransactionMarker, ValidBatch, next_sequence};
use crate::storage::disk::seeded::SeededDisk;
use crate::storage::producer_state::ProducerEntry;
use crate::storage::{AppendError, Appended, DeletedFiles, FlushJob, Log, ReadPlan, StorageError};

/// Producers from this one on write transactions.
pub(super) const TRANSACTIONAL: i64 = 4;
const CODECS: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

/// A flush under way.
#[derive(Debug)]
pub(super) struct Flushing {
    pub(super) job: FlushJob,
    upto: i64,
    cuts: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: TopicPartition,
    pub(super) path: PathBuf,
    /// None when it could not be opened: it is offline.
    pub(super) log: Option<Log>,
    pub(super) mirror: Mirror,
    pub(super) epoch: i32,
    pub(super) flushing: Option<Flushing>,
    pub(super) deleted: Vec<DeletedFiles>,
    /// Plans of readers, and what they must get.
    pub(super) held: Vec<(ReadPlan, Vec<u8>)>,
    /// The worst end of a life since it was open last.
    pub(super) ended: End,
    /// Makes every record another one.
    records: u64,
}

/// What a batch is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) producer: i64,
    pub(super) records: usize,
    pub(super) bytes: usize,
    pub(super) codec: usize,
    pub(super) flaw: Flaw,
}

/// What must become of a batch.
#[derive(Debug, Clone, PartialEq)]
enum Verdict {
    Append,
    Duplicate(i64),
    Refused,
}

impl Place {
    pub(super) fn new(name: TopicPartition, path: PathBuf) -> Place {
        Place {
            name,
            path,
            log: None,
            mirror: Mirror::default(),
            epoch: 0,
            flushing: None,
            deleted: Vec::new(),
            held: Vec::new(),
            ended: End::Kill,
            records: 0,
        }
    }

    fn make(&mut self, wanted: &Wanted, known: Option<&Known>, sequence: i32, now: i64) -> Made {
        let mut builder = BatchBuilder::new();
        if wanted.producer > 0 {
            let epoch = match wanted.flaw {
                Flaw::OldEpoch => ProducerEpoch(producer_epoch(known).0 - 1),
                Flaw::NewEpoch => ProducerEpoch(producer_epoch(known).0 + 1),
                _ => producer_epoch(known),
            };
            builder = builder.producer(ProducerId(wanted.producer), epoch, sequence);
        }
        if wanted.producer >= TRANSACTIONAL {
            builder = builder.transactional();
        }
        if let Some(codec) = CODECS.get(wanted.codec) {
            builder = builder.codec(*codec);
        }
        let mut timestamps = Vec::new();
        for _ in 0..wanted.records.max(1) {
            self.records += 1;
            let skew = i64::try_from(self.records * 37 % 400).unwrap_or(0);
            let timestamp = now + skew;
            timestamps.push(timestamp);
            let mut value = format!("{}-{}-", self.name.partition, self.records).into_bytes();
            // Something that compresses and something that does not.
            value.extend((0..wanted.bytes).map(|at| match at % 2 {
                0 => b'x',
                _ => (self.records as usize * 131 + at * at) as u8,
            }));
            builder.append(Timestamp(timestamp), None, Some(&value), &[]);
        }
        Made {
            batch: valid(builder.build().expect("small")),
            timestamps,
            commits: None,
        }
    }

    /// The next batch of a producer, and what must become of it.
    fn next_batch(&mut self, wanted: &Wanted, now: i64) -> (Made, Verdict) {
        let known = self.mirror.producer(wanted.producer);
        let log_knows = self.log_knows(wanted.producer);
        let last = known.as_ref().map_or(-1, |known| known.last_sequence);
        // Of a producer whose records are deleted a marker may be all that is left.
        let entry = self
            .log
            .as_ref()
            .and_then(|log| log.producers().get(ProducerId(wanted.producer)));
        let last = entry.map_or(last, ProducerEntry::last_sequence);
        let next = match last {
            -1 => 0,
            last => next_sequence(last, 1),
        };
        let is_known = wanted.producer > 0 && log_knows && known.is_some();
        match wanted.flaw {
            Flaw::Again(back) if is_known => {
                if let Some(again) = self.sent_before(known.as_ref(), back) {
                    return again;
                }
            }
            Flaw::Gap if is_known && last >= 0 => {
                let made = self.make(wanted, known.as_ref(), next + 3, now);
                return (made, Verdict::Refused);
            }
            Flaw::OldEpoch if is_known && producer_epoch(known.as_ref()).0 > 0 => {
                let made = self.make(wanted, known.as_ref(), next, now);
                return (made, Verdict::Refused);
            }
            // A new epoch ends what the old one began.
            Flaw::NewEpoch if is_known && known.as_ref().is_some_and(|k| k.open.is_none()) => {
                let made = self.make(wanted, known.as_ref(), 0, now);
                return (made, Verdict::Append);
            }
            _ => {}
        }
        let plain = Wanted {
            flaw: Flaw::Sound,
            ..*wanted
        };
        (
            self.make(&plain, known.as_ref(), next, now),
            Verdict::Append,
        )
    }

    fn sent_before(&self, known: Option<&Known>, back: usize) -> Option<(Made, Verdict)> {
        let recent = &known?.recent;
        // Five are remembered.
        let at = recent.len().checked_sub(1 + back.min(4))?;
        let (_, base) = recent[at];
        let kept = self
            .mirror
            .batches
            .iter()
            .find(|kept| kept.base() == base)?;
        if kept.base() < self.mirror.start {
            return None;
        }
        let made = Made {
            batch: valid(kept.bytes.clone()),
            timestamps: kept.timestamps.clone(),
            commits: None,
        };
        Some((made, Verdict::Duplicate(base)))
    }

    fn log_knows(&self, producer: i64) -> bool {
        let log = self.log.as_ref();
        log.is_some_and(|log| log.producers().get(ProducerId(producer)).is_some())
    }

    pub(super) fn append(
        &mut self,
        wanted: &Wanted,
        now: i64,
        disk: &SeededDisk,
    ) -> Result<(), Fault> {
        if self.log.is_none() {
            return Ok(());
        }
        let (made, verdict) = self.next_batch(wanted, now);
        self.append_made(&made, &verdict, now, disk)
    }

    fn append_made(
        &mut self,
        made: &Made,
        verdict: &Verdict,
        now: i64,
        disk: &SeededDisk,
    ) -> Result<(), Fault> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let kept = Kept::stored(made, self.mirror.end, self.epoch);
        let was_poisoned = log.is_poisoned();
        let epoch = LeaderEpoch(self.epoch);
        let result = log.append_as_leader(&made.batch, epoch, Timestamp(now));
        if disk.has_ended() {
            self.mirror.maybe.push(kept);
            return Ok(());
        }
        if was_poisoned {
            return match result {
                Err(_) => Ok(()),
                Ok(_) => Err("a poisoned log took a batch".to_owned()),
            };
        }
        self.judge(kept, result, verdict)
    }

    fn judge(
        &mut self,
        kept: Kept,
        result: Result<Appended, AppendError>,
        verdict: &Verdict,
    ) -> Result<(), Fault> {
        let poisoned = self.log.as_ref().is_some_and(Log::is_poisoned);
        match (result, verdict) {
            (Ok(appended), Verdict::Append) if !appended.duplicate => {
                let placed = (appended.first_offset.0, appended.last_offset.0 + 1);
                if placed != (kept.base(), kept.next()) {
                    return Err(format!("{placed:?} was given to {:?}", kept.header));
                }
                self.mirror.push(kept)
            }
            (Ok(appended), Verdict::Duplicate(first))
                if appended.duplicate && appended.first_offset.0 == *first =>
            {
                Ok(())
            }
            (Err(AppendError::Sequence(_)), Verdict::Refused) => Ok(()),
            (Err(AppendError::LargerThanSegment { .. }), Verdict::Append) => Ok(()),
            (Err(AppendError::Storage(error)), Verdict::Append) => {
                if poisoned {
                    self.mirror.maybe.push(kept);
                } else if !error.is_passing() {
                    return Err(format!("the log goes on after: {error}"));
                }
                Ok(())
            }
            (result, verdict) => Err(format!(
                "{verdict:?} was due, {result:?} came, for {:?}",
                kept.header
            )),
        }
    }

    pub(super) fn run(
        &mut self,
        wanted: &Wanted,
        batches: usize,
        now: i64,
        disk: &SeededDisk,
    ) -> Result<(), Fault> {
        if self.log.as_ref().is_none_or(Log::is_poisoned) {
            return Ok(());
        }
        let known = self.mirror.producer(wanted.producer);
        let entry = self
            .log
            .as_ref()
            .and_then(|log| log.producers().get(ProducerId(wanted.producer)));
        let last = known.as_ref().map_or(-1, |known| known.last_sequence);
        let mut sequence = entry.map_or(last, ProducerEntry::last_sequence);
        let mut made = Vec::new();
        for _ in 0..batches {
            let first = match sequence {
                -1 => 0,
                last => next_sequence(last, 1),
            };
            made.push(self.make(wanted, known.as_ref(), first, now));
            sequence = first + i32::try_from(wanted.records.max(1)).unwrap_or(1) - 1;
        }
        let epoch = LeaderEpoch(self.epoch);
        let given: Vec<(&ValidBatch, LeaderEpoch)> =
            made.iter().map(|made| (&made.batch, epoch)).collect();
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let results = log.append_run_as_leader(&given, Timestamp(now));
        let (mut base, mut stored) = (self.mirror.end, Vec::new());
        for made in &made {
            let kept = Kept::stored(made, base, self.epoch);
            base = kept.next();
            stored.push(kept);
        }
        if disk.has_ended() {
            self.mirror.maybe.extend(stored);
            return Ok(());
        }
        let failed = results.iter().any(Result::is_err);
        let answered = results.len();
        for (kept, result) in stored.iter().zip(results) {
            self.judge(kept.clone(), result, &Verdict::Append)?;
        }
        if failed && self.log.as_ref().is_some_and(Log::is_poisoned) {
            // One write of all: any of them may be there.
            self.mirror.maybe.extend(stored.into_iter().skip(answered));
        }
        Ok(())
    }

    pub(super) fn end_transaction(
        &mut self,
        (producer, commit, bumps): (i64, bool, bool),
        now: i64,
        disk: &SeededDisk,
    ) -> Result<(), Fault> {
        let Some(known) = self.mirror.producer(producer) else {
            return Ok(());
        };
        let marker = EndTransactionMarker {
            committed: commit,
            coordinator_epoch: 1,
        };
        let epoch = ProducerEpoch(known.epoch + i16::from(bumps));
        let batch = marker.batch(ProducerId(producer), epoch, Timestamp(now));
        let made = Made {
            batch: valid(batch.expect("small")),
            timestamps: vec![now],
            commits: Some(commit),
        };
        self.append_made(&made, &Verdict::Append, now, disk)
    }

    pub(super) fn follow(
        &mut self,
        wanted: &Wanted,
        batches: usize,
        now: i64,
        disk: &SeededDisk,
    ) -> Result<(), Fault> {
        if self.log.as_ref().is_none_or(Log::is_poisoned) {
            return Ok(());
        }
        let (mut sent, mut base) = (Vec::new(), self.mirror.end);
        for _ in 0..batches {
            let made = self.make(wanted, None, 0, now);
            let kept = Kept::stored(&made, base, self.epoch);
            base = kept.next();
            sent.push(kept);
        }
        let bytes: Vec<u8> = sent.iter().flat_map(|kept| kept.bytes.to_vec()).collect();
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let result = log.append_as_follower(&bytes, Timestamp(now));
        if disk.has_ended() {
            self.mirror.maybe.extend(sent);
            return Ok(());
        }
        let (end, poisoned) = (log.log_end_offset().0, log.is_poisoned());
        match &result {
            Ok(_) if end != base => return Err(format!("it ends at {end}, not at {base}")),
            Ok(_) | Err(AppendError::LargerThanSegment { .. }) => {}
            Err(AppendError::Storage(error)) if error.is_passing() || poisoned => {}
            Err(error) => return Err(format!("a leader's batches were refused: {error}")),
        }
        for kept in sent {
            match kept.next() <= end {
                true => self.mirror.push(kept)?,
                false if poisoned => self.mirror.maybe.push(kept),
                false => {}
            }
        }
        Ok(())
    }

    pub(super) fn roll(&mut self, now: i64) {
        if let Some(log) = &mut self.log {
            // What it may not do shows in the checks behind every step.
            let _ = log.roll(Timestamp(now));
        }
    }

    pub(super) fn begin_flush(&mut self) {
        if self.flushing.is_some() {
            return;
        }
        if let Some(job) = self.log.as_mut().and_then(Log::flush_job) {
            self.flushing = Some(Flushing {
                job,
                upto: self.mirror.end,
                cuts: self.mirror.cuts,
            });
        }
    }

    pub(super) fn end_flush(&mut self, disk: &SeededDisk) -> Result<(), Fault> {
        let (Some(flushing), Some(log)) = (self.flushing.take(), self.log.as_mut()) else {
            return Ok(());
        };
        match flushing.job.run() {
            Ok(done) => {
                if done.upto.0 != flushing.upto {
                    return Err(format!("{done:?}, where {} was due", flushing.upto));
                }
                log.flushed(&done);
                if flushing.cuts == self.mirror.cuts && !disk.has_ended() {
                    self.mirror.flushed = self.mirror.flushed.max(flushing.upto);
                }
            }
            Err(_) => log.flush_failed(),
        }
        Ok(())
    }

    pub(super) fn truncate(
        &mut self,
        offset: i64,
        now: i64,
        disk: &SeededDisk,
    ) -> Result<(), Fault> {
        let Some(log) = self.log.as_mut().filter(|log| !log.is_poisoned()) else {
            return Ok(());
        };
        self.held.clear();
        self.mirror.cut = Some(offset);
        match log.truncate_to(Offset(offset), Timestamp(now)) {
            Ok(deleted) if !disk.has_ended() => {
                self.deleted.extend(deleted);
                self.mirror.cut = None;
                self.mirror.cut(offset);
                let (start, end) = (log.log_start_offset().0, log.log_end_offset().0);
                if end != self.mirror.end {
                    let due = self.mirror.end;
                    return Err(format!("cut to {offset} it ends at {end}, not at {due}"));
                }
                self.mirror.start = start;
                self.epoch += 1;
                log.assign_epoch(LeaderEpoch(self.epoch));
            }
            _ => self.set_offline(),
        }
        Ok(())
    }

    pub(super) fn truncate_fully(&mut self, offset: i64, disk: &SeededDisk) {
        let Some(log) = self.log.as_mut().filter(|log| !log.is_poisoned()) else {
            return;
        };
        self.held.clear();
        self.mirror.cut = Some(0);
        self.mirror.start_max = self.mirror.start_max.max(self.mirror.end).max(offset);
        match log.truncate_fully(Offset(offset)) {
            Ok(deleted) if !disk.has_ended() => {
                self.deleted.extend(deleted);
                self.mirror.cut(0);
                self.mirror.batches.clear();
                self.mirror.cut = None;
                (self.mirror.start, self.mirror.end) = (offset, offset);
                (self.mirror.flushed, self.mirror.high_watermark) = (0, offset);
                self.epoch += 1;
                log.assign_epoch(LeaderEpoch(self.epoch));
            }
            _ => self.set_offline(),
        }
    }

    /// A log whose cutting failed takes nothing more until the next start.
    fn set_offline(&mut self) {
        self.log = None;
        self.flushing = None;
    }

    pub(super) fn delete_records(&mut self, before: i64) -> Result<(), Fault> {
        let Some(log) = &mut self.log else {
            return Ok(());
        };
        let moved = log.advance_log_start_offset(Offset(before));
        if moved != (before > self.mirror.start) {
            return Err(format!("the start moved: {moved}"));
        }
        self.mirror.start = self.mirror.start.max(before);
        Ok(())
    }

    pub(super) fn raise_high_watermark(&mut self, offset: i64) {
        self.mirror.high_watermark = self.mirror.high_watermark.max(offset);
        if let Some(log) = &mut self.log {
            log.advance_high_watermark(Offset(self.mirror.high_watermark));
        }
    }

    pub(super) fn tidy(&mut self, now: i64, disk: &SeededDisk) -> Result<(), Fault> {
        let Some(log) = self.log.as_mut().filter(|log| !log.is_poisoned()) else {
            return Ok(());
        };
        let high_watermark = self.mirror.high_watermark;
        log.advance_high_watermark(Offset(high_watermark));
        self.mirror.start_max = self.mirror.start_max.max(high_watermark);
        let deleted = log.delete_retained(Timestamp(now), Offset(high_watermark));
        if disk.has_ended() {
            return Ok(());
        }
        let start = log.log_start_offset().0;
        self.deleted.extend(deleted.unwrap_or_default());
        if start < self.mirror.start || start > high_watermark.max(self.mirror.start) {
            let (was, bound) = (self.mirror.start, high_watermark);
            return Err(format!(
                "retention moved the start from {was} to {start} of {bound}"
            ));
        }
        self.mirror.start = start;
        Ok(())
    }

    pub(super) fn unlink(&mut self, disk: &SeededDisk) {
        for files in self.deleted.drain(..) {
            // They go at the next start.
            let _ = files.unlink(disk);
        }
    }

    pub(super) fn next_epoch(&mut self) {
        self.epoch += 1;
        if let Some(log) = &mut self.log {
            log.assign_epoch(LeaderEpoch(self.epoch));
        }
    }

    /// Closes the log for a clean stop; what it is remembered by.
    pub(super) fn close(
        &mut self,
        together: bool,
        disk: &SeededDisk,
    ) -> Result<Option<crate::storage::ClosedLog>, StorageError> {
        let Some(log) = &mut self.log else {
            let path = self.path.clone();
            return Err(StorageError::Poisoned { path });
        };
        if together {
            log.close_unflushed()?;
        } else {
            log.close()?;
            // Where a log begins that has nothing is in the checkpoint alone.
            if !disk.has_ended() && self.mirror.visible().next().is_some() {
                self.mirror.flushed = self.mirror.flushed.max(self.mirror.end);
            }
        }
        log.closed()
    }
}

fn valid(bytes: bytes::Bytes) -> ValidBatch {
    let valid = ValidBatch::from_builder(bytes, &mut Default::default());
    let mut valid = valid.expect("it was just made");
    // One that is sent again has the offset of its first life.
    valid.header.base_offset = Offset::ZERO;
    valid
}

/// The name of a log under test.
pub(super) fn name(at: usize) -> TopicPartition {
    TopicPartition::new(Arc::from("t"), i32::try_from(at).unwrap_or(0))
}
