//! The actor of one partition replica: `replication::Partition` with a mailbox, a log and one timer.
//!
//! `partition_host` starts it and hands it questions. It asks its log actor to write, and answers
//! reads itself, from memory, with a plan that the asker carries out. Invariant: every slot it takes
//! is answered or dropped, never forgotten; parked ones have a deadline.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use actix::prelude::*;

use super::clock::Clock;
use super::disk_threads::DiskThreads;
use super::fetch_waiter::FetchBell;
use super::gather::Slot;
use super::log::{AppendToLog, Appended, LogActor, LogFailed, MoveLogStart, OnDisk};
use super::observe::PanicWatch;
use super::partition_messages::{
    Append, AppendAnswer, AppendReply, DeleteRecords, DeleteRecordsError, HighWatermarkMoved,
    ListProducers, Listen, Look, Read, ReadAnswer, ReadFailure, View, WriteError,
};
use crate::model::{LeaderEpoch, Moment, Offset};
use crate::protocol::fetch::AbortedTransaction;
use crate::replication::{
    Assignment, Effect, Partition, PartitionConfig, Reader, Ticket, WriteOutcome,
};
use crate::storage::{LogReader, ReadError};

/// What the partition shows without being asked: read by checkpoints and metrics.
#[derive(Debug, Default)]
pub struct PartitionGauges {
    high_watermark: AtomicI64,
    recovery_point: AtomicI64,
    /// -1 when there is none.
    first_unstable_offset: AtomicI64,
}

impl PartitionGauges {
    /// Up to where records are committed.
    pub fn high_watermark(&self) -> Offset {
        Offset(self.high_watermark.load(Ordering::Acquire))
    }

    /// Up to where the log is on the disk.
    pub fn recovery_point(&self) -> Offset {
        Offset(self.recovery_point.load(Ordering::Acquire))
    }

    /// Written by the log's actor alone.
    pub fn set_recovery_point(&self, offset: Offset) {
        self.recovery_point.store(offset.0, Ordering::Release);
    }

    /// Up to where readers of committed data may read: the first offset of an open transaction, or
    /// the high watermark.
    pub fn last_stable_offset(&self) -> Offset {
        let high_watermark = self.high_watermark();
        match self.first_unstable_offset.load(Ordering::Acquire) {
            ..0 => high_watermark,
            first => high_watermark.min(Offset(first)),
        }
    }

    /// Written by the log's actor alone.
    pub fn set_first_unstable_offset(&self, offset: Option<Offset>) {
        self.first_unstable_offset
            .store(offset.unwrap_or(Offset::NONE).0, Ordering::Release);
    }

    /// Written by the partition's own actor alone.
    pub fn set_high_watermark(&self, offset: Offset) {
        self.high_watermark.store(offset.0, Ordering::Release);
    }
}

/// A write that waits for other replicas or for the disk.
struct Caller {
    slot: Slot<AppendReply>,
    answer: AppendAnswer,
}

/// See the module.
pub struct PartitionActor {
    partition: Partition,
    clock: Clock,
    log: Addr<LogActor>,
    reader: LogReader,
    threads: DiskThreads,
    gauges: Arc<PartitionGauges>,
    callers: HashMap<Ticket, Caller>,
    next_ticket: u64,
    bells: Vec<FetchBell>,
    /// Coordinators that follow the high watermark.
    listeners: Vec<Recipient<HighWatermarkMoved>>,
    /// Bytes that were appended since the high watermark rose last.
    bytes_uncommitted: usize,
    effects: Vec<Effect>,
    /// The one real timer of this actor and the moment it fires.
    timer: Option<(Moment, SpawnHandle)>,
    _watch: PanicWatch,
}

/// What a partition actor is made of.
pub struct PartitionParts {
    /// The machine, loaded.
    pub partition: Partition,
    /// The time.
    pub clock: Clock,
    /// The log's actor.
    pub log: Addr<LogActor>,
    /// The log's reader.
    pub reader: LogReader,
    /// The disk threads of the log's directory.
    pub threads: DiskThreads,
    /// Where to show the high watermark.
    pub gauges: Arc<PartitionGauges>,
    /// Sees to it that a panic is seen.
    pub watch: PanicWatch,
}

impl PartitionActor {
    /// Assembles the actor.
    pub fn new(parts: PartitionParts) -> PartitionActor {
        parts
            .gauges
            .set_high_watermark(parts.partition.high_watermark());
        PartitionActor {
            partition: parts.partition,
            clock: parts.clock,
            log: parts.log,
            reader: parts.reader,
            threads: parts.threads,
            gauges: parts.gauges,
            callers: HashMap::new(),
            next_ticket: 0,
            bells: Vec::new(),
            listeners: Vec::new(),
            bytes_uncommitted: 0,
            effects: Vec::new(),
            timer: None,
            _watch: parts.watch,
        }
    }

    /// Carries out the effects of one step.
    fn carry_out(&mut self, ctx: &mut Context<Self>) {
        if self.effects.is_empty() {
            return self.rearm(ctx);
        }
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Committed(high_watermark) => {
                    self.gauges.set_high_watermark(high_watermark);
                    let bytes = std::mem::take(&mut self.bytes_uncommitted);
                    self.ring(bytes);
                    for listener in &self.listeners {
                        listener.do_send(HighWatermarkMoved(high_watermark));
                    }
                }
                Effect::Answer(ticket, outcome) => self.answer(ticket, outcome),
            }
        }
        self.effects = effects;
        self.rearm(ctx);
    }

    /// Tells readers who wait of bytes they may read now; of a change they must see when zero.
    fn ring(&mut self, bytes: usize) {
        self.bells.retain(|bell| {
            if bytes == 0 {
                bell.wake();
            } else {
                bell.add_bytes(bytes);
            }
            !bell.is_over()
        });
    }

    fn answer(&mut self, ticket: Ticket, outcome: WriteOutcome) {
        let Some(caller) = self.callers.remove(&ticket) else {
            return;
        };
        caller.slot.answer(match outcome {
            WriteOutcome::Done => Ok(caller.answer),
            other => Err(WriteError::Ended(other)),
        });
    }

    /// Sees to it that the timer fires no later than the machine's next deadline. One that fires
    /// early finds nothing due and is armed anew.
    fn rearm(&mut self, ctx: &mut Context<Self>) {
        let Some(at) = self.partition.next_timeout() else {
            return;
        };
        if let Some((armed, timer)) = self.timer {
            if armed <= at {
                return;
            }
            ctx.cancel_future(timer);
        }
        let timer = ctx.run_later(self.clock.until(at), |actor, ctx| {
            actor.timer = None;
            actor
                .partition
                .handle_timeout(actor.clock.now(), &mut actor.effects);
            actor.carry_out(ctx);
        });
        self.timer = Some((at, timer));
    }

    fn read(&mut self, read: &Read) -> Result<ReadAnswer, ReadFailure> {
        let last_stable_offset = self.gauges.last_stable_offset();
        let reader = match (read.replica, read.committed_only) {
            (true, _) => Reader::Replica,
            (false, true) => Reader::CommittedConsumer(last_stable_offset),
            (false, false) => Reader::Consumer,
        };
        let bound = self.partition.read_bound(reader, read.current_epoch)?;
        let diverging = self.divergence(read.last_fetched_epoch, read.offset)?;
        // A reader that has to go back is told so, and gets nothing.
        let bound = if diverging.is_some() {
            Offset::ZERO
        } else {
            bound
        };
        let offset = if diverging.is_some() {
            self.reader.log_start_offset()
        } else {
            read.offset
        };
        let plan = self
            .reader
            .plan(offset, read.bytes_max, bound, read.whole_first_batch)?;
        let aborted = match reader {
            Reader::CommittedConsumer(_) if !plan.is_empty() => {
                let aborted = self
                    .reader
                    .aborted_transactions(read.offset, plan.next_offset())?;
                let told = aborted.iter().map(|transaction| AbortedTransaction {
                    producer_id: transaction.producer_id,
                    first_offset: transaction.first_offset,
                });
                told.collect()
            }
            _ => Vec::new(),
        };
        Ok(ReadAnswer {
            high_watermark: self.partition.high_watermark(),
            last_stable_offset,
            log_start_offset: plan.log_start_offset(),
            diverging,
            threads: self.threads.clone(),
            aborted,
            plan,
        })
    }

    /// Where a reader's log left ours, if the epoch of its last record tells so (KIP-595). An
    /// epoch this log never heard of tells nothing: such a reader is out of range, as in Kafka.
    fn divergence(
        &self,
        last_fetched_epoch: Option<LeaderEpoch>,
        offset: Offset,
    ) -> Result<Option<(LeaderEpoch, Offset)>, ReadError> {
        let Some(asked) = last_fetched_epoch else {
            return Ok(None);
        };
        let known = self.reader.end_offset_for_epoch(asked);
        let log_start_offset = self.reader.log_start_offset();
        match known.filter(|(epoch, _)| *epoch != LeaderEpoch::NONE) {
            Some((epoch, end)) if offset >= log_start_offset => {
                Ok((epoch != asked || end < offset).then_some((epoch, end)))
            }
            _ => Err(ReadError::OffsetOutOfRange {
                offset,
                log_start_offset,
                log_end_offset: self.reader.log_end_offset(),
            }),
        }
    }
}

impl Actor for PartitionActor {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Context<Self>) {
        // Readers who wait ask once more and learn that the partition is gone.
        self.bells.iter().for_each(FetchBell::wake);
    }
}

impl Handler<Append> for PartitionActor {
    type Result = ();

    fn handle(&mut self, append: Append, _: &mut Context<Self>) {
        match self.partition.handle_append(append.acks) {
            Ok(epoch) => self.log.do_send(AppendToLog { append, epoch }),
            Err(refusal) => append.slot.answer(Err(refusal.into())),
        }
    }
}

impl Handler<Appended> for PartitionActor {
    type Result = ();

    fn handle(&mut self, appended: Appended, ctx: &mut Context<Self>) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let Appended {
            start,
            end,
            flush_owed,
            acks,
            deadline,
            bytes,
            slot,
            answer,
        } = appended;
        self.bytes_uncommitted = self.bytes_uncommitted.saturating_add(bytes);
        let caller = Some((ticket, acks, deadline));
        self.partition
            .handle_appended(start, end, flush_owed, caller, &mut self.effects);
        let caller = Caller { slot, answer };
        // The usual case, answered at once, never enters the map.
        match self.effects.last() {
            Some(Effect::Answer(answered, WriteOutcome::Done)) if *answered == ticket => {
                self.effects.pop();
                caller.slot.answer(Ok(caller.answer));
            }
            _ => {
                self.callers.insert(ticket, caller);
            }
        }
        self.carry_out(ctx);
    }
}

impl Handler<LogFailed> for PartitionActor {
    type Result = ();

    /// Whether what waits is stored nobody knows: dropping the callers answers them with a storage
    /// error, which tells a producer to try again.
    fn handle(&mut self, _: LogFailed, _: &mut Context<Self>) {
        self.callers.clear();
    }
}

impl Handler<OnDisk> for PartitionActor {
    type Result = ();

    fn handle(&mut self, OnDisk(end): OnDisk, ctx: &mut Context<Self>) {
        self.partition.handle_flushed(end, &mut self.effects);
        self.carry_out(ctx);
    }
}

impl Handler<Read> for PartitionActor {
    type Result = ();

    fn handle(&mut self, mut read: Read, _: &mut Context<Self>) {
        let reply = self.read(&read);
        if let Some(bell) = read.bell.take() {
            self.bells.retain(|bell| !bell.is_over());
            self.bells.push(bell);
        }
        read.slot.answer(reply);
    }
}

impl Handler<Look> for PartitionActor {
    type Result = ();

    fn handle(&mut self, look: Look, _: &mut Context<Self>) {
        let allowed = if look.any_replica {
            Ok(())
        } else {
            self.partition.check_leader(look.current_epoch)
        };
        look.slot.answer(allowed.map(|()| View {
            log: self.reader.clone(),
            high_watermark: self.partition.high_watermark(),
            last_stable_offset: self.gauges.last_stable_offset(),
            leader_epoch: self.partition.leader_epoch(),
            threads: self.threads.clone(),
        }));
    }
}

impl Handler<Listen> for PartitionActor {
    type Result = ();

    fn handle(&mut self, Listen { listener }: Listen, _: &mut Context<Self>) {
        self.listeners.retain(Recipient::connected);
        if !self.listeners.contains(&listener) {
            self.listeners.push(listener);
        }
    }
}

impl Handler<DeleteRecords> for PartitionActor {
    type Result = ();

    fn handle(&mut self, delete: DeleteRecords, _: &mut Context<Self>) {
        let high_watermark = self.partition.high_watermark();
        let before = delete.before.unwrap_or(high_watermark);
        let refusal = match self.partition.check_leader(None) {
            Err(refusal) => Some(refusal.into()),
            Ok(()) if before > high_watermark || before < Offset::ZERO => {
                Some(DeleteRecordsError::OutOfRange {
                    asked: before,
                    high_watermark,
                })
            }
            Ok(()) => None,
        };
        match refusal {
            Some(refusal) => delete.slot.answer(Err(refusal)),
            None => self.log.do_send(MoveLogStart {
                before,
                slot: delete.slot,
            }),
        }
    }
}

impl Handler<ListProducers> for PartitionActor {
    type Result = ();

    fn handle(&mut self, list: ListProducers, _: &mut Context<Self>) {
        match self.partition.check_leader(None) {
            Ok(()) => self.log.do_send(list),
            Err(refusal) => list.slot.answer(Err(refusal)),
        }
    }
}

/// The cluster decided anew, or the topic's settings changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reassign {
    /// The cluster's word.
    pub assignment: Assignment,
    /// The topic's settings.
    pub config: PartitionConfig,
}

impl Handler<Reassign> for PartitionActor {
    type Result = ();

    fn handle(&mut self, reassign: Reassign, ctx: &mut Context<Self>) {
        self.partition
            .handle_config(reassign.config, &mut self.effects);
        self.partition
            .handle_assignment(reassign.assignment, &mut self.effects);
        // Readers who wait must see a new leader at once.
        self.ring(0);
        self.carry_out(ctx);
    }
}

/// The log lives in another log directory now. Told by the log's actor.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Moved {
    /// Reads it there.
    pub reader: LogReader,
    /// The disk threads of that directory.
    pub threads: DiskThreads,
}

impl Handler<Moved> for PartitionActor {
    type Result = ();

    fn handle(&mut self, moved: Moved, _: &mut Context<Self>) {
        self.reader = moved.reader;
        self.threads = moved.threads;
    }
}

/// The partition is deleted or moves away: everybody who waits is told, then the actor ends.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Retire;

impl Handler<Retire> for PartitionActor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Context<Self>) {
        for (_, caller) in self.callers.drain() {
            caller
                .slot
                .answer(Err(WriteError::Ended(WriteOutcome::LeaderChanged)));
        }
        ctx.stop();
    }
}
