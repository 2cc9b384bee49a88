//! Appending several batches with one write.
//!
//! A producer that keeps requests in flight has several batches at the log at once. Written together
//! they cost one system call, and the kernel takes their pages in larger pieces, which is most of
//! what a small batch costs. Invariant: what comes out is what [`Log::append_as_leader`] would have
//! made of them one after the other.

use std::io::IoSlice;

use crate::model::{LeaderEpoch, Timestamp};
use crate::record::{BatchHeader, ValidBatch, next_sequence};
use crate::storage::StorageError;
use crate::storage::producer_state::{ProducerBatch, Verdict};

use super::Log;
use super::append::{AppendError, Appended, HEAD_SIZE, body_of, head_of};

/// Batches in one write; two slices each, and the system takes 1024.
pub const RUN_BATCHES_MAX: usize = 64;
/// Bytes in one write of more than one batch: beyond it nothing is gained.
pub const RUN_BYTES_MAX: usize = 1 << 20;

impl Log {
    /// Appends the first of these batches, each with the epoch to write, and as many of those behind
    /// it as go into the same write. Answers one result for each batch that was dealt with; those
    /// left over are to be given again.
    pub fn append_run_as_leader(
        &mut self,
        batches: &[(&ValidBatch, LeaderEpoch)],
        now: Timestamp,
    ) -> Vec<Result<Appended, AppendError>> {
        let run = self.run(batches, now);
        if run.len() > 1 {
            match self.write_run(&run, batches) {
                Ok(()) => {
                    let stored = run.iter().zip(batches);
                    return stored
                        .map(|(header, (batch, _))| Ok(self.publish(header, &batch.bytes, now)))
                        .collect();
                }
                // One by one as many are written as there is space for.
                Err(error) if error.is_passing() => {}
                Err(error) => return vec![Err(error.into())],
            }
        }
        let first = batches.first();
        first
            .map(|(batch, epoch)| self.append_as_leader(batch, *epoch, now))
            .into_iter()
            .collect()
    }

    /// The headers of the first batches, as they will be stored, as far as all of them go behind
    /// each other into the active segment and nothing but a write is to be done for them.
    fn run(&self, batches: &[(&ValidBatch, LeaderEpoch)], now: Timestamp) -> Vec<BatchHeader> {
        let mut run: Vec<BatchHeader> = Vec::new();
        let Some(active) = self.active.as_ref().filter(|active| active.size > 0) else {
            return run;
        };
        if batches.len() < 2 || self.poisoned || self.owes_epochs() {
            return run;
        }
        let mut offset = self.log_end_offset;
        let mut bytes = 0;
        for (batch, epoch) in batches.iter().take(RUN_BATCHES_MAX) {
            let header = BatchHeader {
                base_offset: offset,
                partition_leader_epoch: self.latest_epoch.max(*epoch),
                ..batch.header
            };
            let size = bytes + header.size();
            let goes = *epoch <= self.latest_epoch
                && (run.is_empty() || size <= RUN_BYTES_MAX)
                && !active.should_roll_behind((run.len(), bytes), &header, &self.config, now)
                && self.follows(&run, &header);
            if !goes {
                break;
            }
            offset = header.next_offset();
            bytes = size;
            run.push(header);
        }
        run
    }

    /// Whether the producer of a batch may go on with it once those in `run` are stored. What takes
    /// more than a look at the sequence is left to be judged alone.
    fn follows(&self, run: &[BatchHeader], header: &BatchHeader) -> bool {
        if header.is_control() || header.is_transactional() {
            return false;
        }
        let Some(batch) = ProducerBatch::of(header) else {
            return true;
        };
        let of_same = |earlier: &&BatchHeader| earlier.producer_id == header.producer_id;
        match run.iter().rev().find(of_same) {
            Some(earlier) => {
                earlier.producer_epoch == header.producer_epoch
                    && next_sequence(earlier.last_sequence(), 1) == header.base_sequence
            }
            None => matches!(self.producers.check(&batch), Ok(Verdict::Append)),
        }
    }

    /// One write of all; after an error the file is as it was before, or the log is poisoned.
    fn write_run(
        &mut self,
        run: &[BatchHeader],
        batches: &[(&ValidBatch, LeaderEpoch)],
    ) -> Result<(), StorageError> {
        let (log, position) = self.writable_log()?;
        let heads: Vec<[u8; HEAD_SIZE]> = run.iter().map(head_of).collect();
        let slices: Vec<IoSlice<'_>> = heads
            .iter()
            .zip(batches)
            .flat_map(|(head, (batch, _))| {
                [IoSlice::new(head), IoSlice::new(body_of(&batch.bytes))]
            })
            .collect();
        log.write_at(&slices, position)
            .map_err(|error| self.take_back(&*log, position, error))
    }
}
