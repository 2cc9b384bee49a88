//! The records of a shard's groups on their way into the log: few batches, one under way.
//!
//! What comes while a batch is under way goes into the next. Invariant: a step lies in one batch,
//! wholly, and steps lie in the log in the order in which they came.

use std::collections::VecDeque;

use super::group::GroupActor;
use super::messages::{AppendRecords, NotStored, Stored};
use crate::coordination::group::offsets::RECORD_OVERHEAD;
use crate::model::{Offset, Timestamp};
use crate::protocol::consumer_offsets::{EncodedRecord, encode};
use crate::record::{BatchBuilder, Codec, Scratch, ValidBatch};
use actix::Addr;

/// A batch that is being filled, and whose steps are in it.
struct Batch {
    builder: BatchBuilder,
    steps: Vec<AppendRecords>,
}

/// See the module.
pub(super) struct Appends {
    codec: Codec,
    /// `max.message.bytes` of the topic.
    pub(super) bytes_max: usize,
    waiting: VecDeque<Batch>,
    under_way: Vec<AppendRecords>,
    scratch: Scratch,
}

impl Appends {
    pub(super) fn new(codec: Codec, bytes_max: usize) -> Appends {
        Appends {
            codec,
            bytes_max,
            waiting: VecDeque::new(),
            under_way: Vec::new(),
            scratch: Scratch::new(),
        }
    }

    /// Puts a step behind those that wait; one that no batch can hold is refused at once.
    pub(super) fn push(&mut self, step: AppendRecords, now: Timestamp) {
        let encoded: Result<Vec<EncodedRecord>, _> = step.records.iter().map(encode).collect();
        let Ok(encoded) = encoded else {
            // A name is longer than the format can say.
            return refuse(step, NotStored::TooLarge);
        };
        let sizes = encoded.iter().map(|record| {
            let value = record.value.as_ref().map_or(0, |value| value.len());
            RECORD_OVERHEAD + record.key.len() + value
        });
        let size: usize = sizes.sum();
        let empty = BatchBuilder::new().codec(self.codec);
        if empty.size().saturating_add(size) > self.bytes_max {
            return refuse(step, NotStored::TooLarge);
        }
        let fits = |batch: &Batch| batch.builder.size().saturating_add(size) <= self.bytes_max;
        if !self.waiting.back().is_some_and(fits) {
            self.waiting.push_back(Batch {
                builder: empty,
                steps: Vec::new(),
            });
        }
        if let Some(batch) = self.waiting.back_mut() {
            for EncodedRecord { key, value } in &encoded {
                batch.builder.append(now, Some(key), value.as_deref(), &[]);
            }
            batch.steps.push(step);
        }
    }

    /// The batch to append now: none while one is under way, or when nothing waits.
    pub(super) fn next(&mut self) -> Option<ValidBatch> {
        while self.under_way.is_empty() {
            let Batch { builder, steps } = self.waiting.pop_front()?;
            let built = builder.build().map_err(|error| error.to_string());
            let valid = built.and_then(|bytes| {
                ValidBatch::from_builder(bytes, &mut self.scratch)
                    .map_err(|error| error.to_string())
            });
            match valid {
                Ok(batch) => {
                    self.under_way = steps;
                    return Some(batch);
                }
                Err(error) => {
                    log::error!("the records of groups cannot be made a batch: {error}");
                    steps
                        .into_iter()
                        .for_each(|step| refuse(step, NotStored::Failed));
                }
            }
        }
        None
    }

    /// The batch under way is in the log from `start` on. Tells each group the end of its records,
    /// and answers those whose commit is still to come.
    pub(super) fn stored(
        &mut self,
        start: Offset,
        high_watermark: Offset,
    ) -> Vec<(Offset, Addr<GroupActor>)> {
        let mut end = start;
        let mut waiting = Vec::new();
        for step in self.under_way.drain(..) {
            end = end + i64::try_from(step.records.len()).unwrap_or(i64::MAX);
            if end > high_watermark {
                waiting.push((end, step.group));
            }
            // A group whose actor is gone has dropped its callers.
            let _ = step.done.send(Ok(Stored {
                records: step.records,
                end,
                high_watermark,
            }));
        }
        waiting
    }

    /// Forgets the steps that are not under way yet; dropping them tells their groups.
    pub(super) fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Whether a batch is under way.
    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// The batch under way is not in the log.
    pub(super) fn failed(&mut self, why: NotStored) {
        for step in self.under_way.drain(..) {
            refuse(step, why);
        }
    }
}

fn refuse(step: AppendRecords, why: NotStored) {
    // As above.
    let _ = step.done.send(Err(why));
}
