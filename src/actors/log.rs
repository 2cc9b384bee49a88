//! The actor that owns one partition's log: the only writer of its segment files.
//!
//! Its partition asks it to append; it writes here, on the arbiter, while the directory's disk keeps
//! up, and through the directory's disk threads when it does not, or when files must be made, always
//! in order. What comes in one turn of the actor is written together at its end. Flushes run on the
//! disk threads, as does the upkeep of `log_upkeep`. Invariant: at any moment the [`Log`] is here,
//! and what waits is done at the end of this turn, or with exactly one job that brings it back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::gather::Slot;
use super::log_dir::LogDir;
use super::log_switch::Switching;
use super::observe::PanicWatch;
use super::partition::{PartitionActor, PartitionGauges};
use super::partition_messages::{
    Append, AppendAnswer, AppendReply, DeleteRecordsError, DescribedProducer, ListProducers,
    WriteError,
};
use crate::model::{LeaderEpoch, Moment, Offset, Timestamp};
use crate::record::TimestampType;
use crate::replication::Acks;
use crate::storage::{
    AppendError, Flushed, Log, LogConfig, RUN_BATCHES_MAX, RUN_BYTES_MAX, StorageError,
};

/// How long a flush waits that found too many files open.
const FLUSH_RETRY: Duration = Duration::from_millis(100);

/// Append a batch under an epoch; the partition has judged it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AppendToLog {
    /// What the partition was asked.
    pub append: Append,
    /// The leader epoch to write.
    pub epoch: LeaderEpoch,
}

/// A batch is in the log. Told to the partition, which knows when its caller may be answered.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Appended {
    /// The offset of its first record.
    pub start: Offset,
    /// The offset after its last record.
    pub end: Offset,
    /// Whether the topic's flush policy wants it on disk before it counts.
    pub flush_owed: bool,
    /// As the caller asked.
    pub acks: Acks,
    /// As the caller asked.
    pub deadline: Moment,
    /// How many bytes became readable; zero for a duplicate.
    pub bytes: usize,
    /// Where the answer goes.
    pub slot: Slot<AppendReply>,
    /// The answer, once it may be given.
    pub answer: AppendAnswer,
}

/// The log is on disk up to this offset.
#[derive(Message)]
#[rtype(result = "()")]
pub struct OnDisk(pub Offset);

/// Move the log's start forward. The partition has judged it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct MoveLogStart {
    /// The new start.
    pub before: Offset,
    /// Where the answer goes.
    pub slot: Slot<Result<Offset, DeleteRecordsError>>,
}

/// The topic's settings changed.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reconfigure(pub Arc<LogConfig>);

/// A new leader epoch starts at the log's end.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StartEpoch(pub LeaderEpoch);

/// Where the log is.
pub(super) enum Seat {
    Here(Box<Log>),
    /// With a job on a disk thread.
    Away,
}

/// What waits for the log to come back.
enum Waiting {
    Append(AppendToLog),
    Other(Box<dyn FnOnce(&mut Log) + Send>),
}

#[derive(Default)]
struct FlushState {
    under_way: bool,
    /// Asked for while one was under way or the log was away: started as soon as that is over.
    wanted: bool,
    /// `flush.ms` runs.
    timer: Option<SpawnHandle>,
    /// The partition waits to hear that the log is on disk up to here.
    owed: Option<Offset>,
}

/// See the module.
pub struct LogActor {
    pub(super) seat: Seat,
    waiting: VecDeque<Waiting>,
    /// Bytes of the batches that wait for the end of this turn.
    gathered_bytes: usize,
    pub(super) partition: Option<Addr<PartitionActor>>,
    /// The step to another directory that waits for the log, or is being made.
    pub(super) switching: Switching,
    pub(super) dir: Arc<LogDir>,
    pub(super) config: Arc<LogConfig>,
    pub(super) clock: Clock,
    flush: FlushState,
    pub(super) gauges: Arc<PartitionGauges>,
    pub(super) bytes_unflushed: u64,
    /// Since the last round.
    pub(super) written_to: bool,
    /// It was closed or deleted: nothing is written any more.
    pub(super) retired: bool,
    /// Its failure was told.
    pub(super) failed: bool,
    watch: PanicWatch,
}

impl LogActor {
    /// An actor around an opened log.
    pub fn new(
        log: Log,
        dir: Arc<LogDir>,
        config: Arc<LogConfig>,
        clock: Clock,
        gauges: Arc<PartitionGauges>,
        watch: PanicWatch,
    ) -> LogActor {
        show(&log, &gauges);
        LogActor {
            seat: Seat::Here(Box::new(log)),
            waiting: VecDeque::new(),
            gathered_bytes: 0,
            partition: None,
            switching: Switching::default(),
            dir,
            config,
            clock,
            flush: FlushState::default(),
            gauges,
            bytes_unflushed: 0,
            written_to: true,
            retired: false,
            failed: false,
            watch,
        }
    }

    /// Whether the log is here and can be closed without reading or writing anything.
    pub(super) fn closes_at_once(&self) -> bool {
        matches!(&self.seat, Seat::Here(log) if log.closes_at_once())
    }

    /// Does something with the log: now when it is here and nothing waits, else in its turn.
    pub(super) fn with_log(&mut self, action: impl FnOnce(&mut Log) + Send + 'static) {
        match &mut self.seat {
            Seat::Here(log) if self.waiting.is_empty() => action(log),
            _ => self.waiting.push_back(Waiting::Other(Box::new(action))),
        }
    }

    /// Does what waits, at the end of a turn or when much has come in it; what may block goes to a
    /// disk thread.
    fn work_off(&mut self, ctx: &mut Context<Self>) {
        self.gathered_bytes = 0;
        while let (Seat::Here(log), Some(first)) = (&mut self.seat, self.waiting.front()) {
            let now = self.clock.wall();
            if let Waiting::Append(first) = first
                && (!self.dir.keeps_up() || log.makes_files(&first.append.batch.header, now))
            {
                return self.send_away(ctx);
            }
            for written in step(log, &mut self.waiting, now) {
                self.settle(written, ctx);
            }
        }
    }

    /// Does something that may block, on a disk thread, in its turn.
    pub(super) fn on_disk_thread(
        &mut self,
        action: impl FnOnce(&mut Log) + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        self.waiting.push_back(Waiting::Other(Box::new(action)));
        self.send_away(ctx);
    }

    /// Lets a disk thread do everything that waits, in order.
    fn send_away(&mut self, ctx: &mut Context<Self>) {
        let Seat::Here(mut log) = std::mem::replace(&mut self.seat, Seat::Away) else {
            return;
        };
        let mut waiting = std::mem::take(&mut self.waiting);
        let now = self.clock.wall();
        let job = move || {
            let mut done = Vec::new();
            while !waiting.is_empty() {
                done.append(&mut step(&mut log, &mut waiting, now));
            }
            (log, done)
        };
        let threads = self.dir.threads().clone();
        let job = async move { threads.run(job).await }.into_actor(self);
        ctx.spawn(job.map(|result, actor, ctx| match result {
            Ok((log, done)) => actor.welcome_back(log, done, ctx),
            Err(_) => actor.lose(ctx),
        }));
    }

    /// A job panicked, and the log is lost with it: this partition is offline.
    pub(super) fn lose(&mut self, ctx: &mut Context<Self>) {
        self.dir.mark_unclean();
        self.watch.report();
        ctx.stop();
    }

    fn welcome_back(&mut self, log: Box<Log>, done: Vec<Written>, ctx: &mut Context<Self>) {
        self.seat = Seat::Here(log);
        for written in done {
            self.settle(written, ctx);
        }
        self.go_on(ctx);
    }

    /// The log is here: does what waited for it.
    pub(super) fn go_on(&mut self, ctx: &mut Context<Self>) {
        if self.switching.waits() {
            self.begin_switch(ctx);
        } else if !self.waiting.is_empty() {
            self.send_away(ctx);
        } else if self.flush.wanted {
            self.start_flush(ctx);
        }
    }

    fn settle(&mut self, written: Written, ctx: &mut Context<Self>) {
        let Written {
            append,
            result,
            unflushed_messages,
        } = written;
        let appended = match result {
            Ok(appended) => appended,
            Err(error) => return self.refuse(append, error),
        };
        self.dir.note_written();
        let end = appended.last_offset + 1;
        let flush_owed = unflushed_messages >= self.config.flush_messages;
        self.written_to = true;
        let bytes = if appended.duplicate {
            0
        } else {
            append.batch.bytes.len()
        };
        let log_append_time = match append.batch.header.timestamp_type() {
            TimestampType::LogAppendTime => appended.timestamp,
            TimestampType::CreateTime => Timestamp::NONE,
        };
        if let Some(partition) = &self.partition {
            partition.do_send(Appended {
                start: appended.first_offset,
                end,
                flush_owed,
                acks: append.acks,
                deadline: append.deadline,
                bytes,
                slot: append.slot,
                answer: AppendAnswer {
                    base_offset: appended.first_offset,
                    log_append_time,
                    log_start_offset: appended.log_start_offset,
                },
            });
        }
        // Behind it: the partition must not hear of the flush before it hears of the batch.
        if flush_owed {
            self.flush.owed = self.flush.owed.max(Some(end));
        }
        self.count_for_write_back(bytes, flush_owed || appended.rolled, ctx);
    }

    /// A batch was not written. Without space the next one may be; after any other failure of the
    /// disk none will.
    fn refuse(&mut self, append: Append, error: AppendError) {
        if let AppendError::Storage(storage) = &error {
            if storage.is_passing() {
                self.dir.note_full(self.clock.now(), storage);
            } else {
                self.fail(storage);
            }
        }
        append.slot.answer(Err(WriteError::Log(error)));
    }

    fn arm_flush_timer(&mut self, ctx: &mut Context<Self>) {
        let Ok(after) = u64::try_from(self.config.flush_ms) else {
            return;
        };
        if self.config.flush_ms == i64::MAX || self.flush.timer.is_some() {
            return;
        }
        self.flush.timer = Some(ctx.run_later(Duration::from_millis(after), |actor, ctx| {
            actor.flush.timer = None;
            actor.start_flush(ctx);
        }));
    }

    /// Flushes on a disk thread. Everything appended until it starts shares it: group commit.
    fn start_flush(&mut self, ctx: &mut Context<Self>) {
        let Seat::Here(log) = &mut self.seat else {
            self.flush.wanted = true;
            return;
        };
        self.flush.wanted = self.flush.under_way;
        if self.flush.under_way {
            return;
        }
        let Some(job) = log.flush_job() else {
            let (left, upto) = (log.unflushed_messages() > 0, log.recovery_point());
            match log.refuse_if_poisoned() {
                Err(error) => self.fail(&error),
                Ok(()) if left => {
                    ctx.run_later(FLUSH_RETRY, LogActor::start_flush);
                }
                // The cleaner flushed it, or a move did.
                Ok(()) => self.tell_on_disk(upto),
            }
            return;
        };
        self.flush.under_way = true;
        let dir = Arc::clone(&self.dir);
        let threads = dir.threads().clone();
        let on_its_way = self
            .dir
            .count_on_its_way(std::mem::take(&mut self.bytes_unflushed));
        let run = async move {
            let result = threads.run(move || job.run()).await;
            drop(on_its_way);
            result
        };
        ctx.spawn(run.into_actor(self).map(move |result, actor, ctx| {
            actor.flush.under_way = false;
            if !Arc::ptr_eq(&dir, &actor.dir) {
                // The log has moved meanwhile, and all of it was flushed where it is now.
                return actor.start_flush(ctx);
            }
            match result {
                Ok(Ok(flushed)) => actor.flushed(flushed, ctx),
                Ok(Err(error)) => {
                    actor.with_log(Log::flush_failed);
                    actor.fail(&error);
                }
                Err(_) => actor.lose(ctx),
            }
        }));
    }

    fn flushed(&mut self, flushed: Flushed, ctx: &mut Context<Self>) {
        let (end, gauges) = (flushed.upto, Arc::clone(&self.gauges));
        self.with_log(move |log: &mut Log| {
            log.flushed(&flushed);
            gauges.set_recovery_point(log.recovery_point());
        });
        if let Some(partition) = &self.partition {
            partition.do_send(OnDisk(end));
        }
        self.flush.owed = self.flush.owed.filter(|owed| *owed > end);
        if self.flush.wanted {
            self.start_flush(ctx);
        }
    }

    /// Nothing is left to flush: tells so if somebody waits for it.
    fn tell_on_disk(&mut self, upto: Offset) {
        if self.flush.owed.take().is_some()
            && let Some(partition) = &self.partition
        {
            partition.do_send(OnDisk(upto));
        }
    }

    /// After a failed write or flush nobody knows what is on the disk: the log is offline for good.
    fn fail(&mut self, error: &StorageError) {
        if std::mem::replace(&mut self.failed, true) {
            return;
        }
        log::error!("{error}; the partition takes no writes until the broker is restarted");
        self.dir.mark_unclean();
        self.dir.fail_if_device(error);
        if let Some(partition) = &self.partition {
            partition.do_send(LogFailed);
        }
    }

    /// Has a disk thread write back early, so that the kernel never has to stop this arbiter for it;
    /// or at once.
    fn count_for_write_back(&mut self, bytes: usize, at_once: bool, ctx: &mut Context<Self>) {
        self.bytes_unflushed += bytes as u64;
        if at_once || self.bytes_unflushed >= self.dir.write_back_bytes() {
            self.start_flush(ctx);
        } else {
            self.arm_flush_timer(ctx);
        }
    }
}

/// An append that was tried.
struct Written {
    append: Append,
    result: Result<crate::storage::Appended, AppendError>,
    unflushed_messages: u64,
}

/// Shows what others read without asking.
pub(super) fn show(log: &Log, gauges: &PartitionGauges) {
    gauges.set_recovery_point(log.recovery_point());
    gauges.set_first_unstable_offset(log.first_unstable_offset());
}

/// Does the first thing that waits, and with an append those behind it that go into one write.
fn step(log: &mut Log, waiting: &mut VecDeque<Waiting>, now: Timestamp) -> Vec<Written> {
    if let Some(Waiting::Other(_)) = waiting.front()
        && let Some(Waiting::Other(action)) = waiting.pop_front()
    {
        action(log);
        return Vec::new();
    }
    let appends = waiting.iter().map_while(|waiting| match waiting {
        Waiting::Append(AppendToLog { append, epoch }) => Some((&append.batch, *epoch)),
        Waiting::Other(_) => None,
    });
    let batches: Vec<_> = appends.take(RUN_BATCHES_MAX).collect();
    let results = log.append_run_as_leader(&batches, now);
    let appends = waiting
        .drain(..results.len())
        .filter_map(|waiting| match waiting {
            Waiting::Append(append) => Some(append),
            Waiting::Other(_) => None,
        });
    appends
        .zip(results)
        .map(|(AppendToLog { append, .. }, result)| Written {
            append,
            // A duplicate may wait for a flush that its original still waits for.
            unflushed_messages: match &result {
                Ok(appended) if !appended.duplicate => {
                    let end = appended.last_offset + 1;
                    (end - log.recovery_point()).unsigned_abs()
                }
                _ => log.unflushed_messages(),
            },
            result,
        })
        .collect()
}

/// The log failed: what waits for the disk will never be known to be safe.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LogFailed;

/// Whom to tell of appends.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ReportTo(pub Addr<PartitionActor>);

impl Actor for LogActor {
    type Context = Context<Self>;
}

impl Drop for LogActor {
    /// Also after a panic: who waits for this log must not wait for its deadline.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.dir.mark_unclean();
        }
        if let Some(partition) = &self.partition {
            partition.do_send(LogFailed);
        }
    }
}

impl Handler<ReportTo> for LogActor {
    type Result = ();

    fn handle(&mut self, ReportTo(partition): ReportTo, _: &mut Context<Self>) {
        self.partition = Some(partition);
    }
}

impl Handler<AppendToLog> for LogActor {
    type Result = ();

    fn handle(&mut self, append: AppendToLog, ctx: &mut Context<Self>) {
        if self.retired {
            // Dropped: what is asked here belongs to a partition that is gone.
            return;
        }
        let size = append.append.batch.bytes.len();
        self.waiting.push_back(Waiting::Append(append));
        match self.seat {
            Seat::Here(_) if self.dir.keeps_up() => self.gather(size, ctx),
            _ => self.send_away(ctx),
        }
    }
}

impl LogActor {
    /// Sees to it that what waits is done when the turn is over: a producer that keeps requests in
    /// flight has more to bring in it.
    fn gather(&mut self, bytes: usize, ctx: &mut Context<Self>) {
        if self.waiting.len() == 1 {
            // The context comes to it when its mailbox is empty.
            let turn = actix::fut::ready::<_>(());
            ctx.spawn(turn.map(|(), actor: &mut LogActor, ctx| actor.work_off(ctx)));
        }
        self.gathered_bytes += bytes;
        if self.waiting.len() >= RUN_BATCHES_MAX || self.gathered_bytes >= RUN_BYTES_MAX {
            self.work_off(ctx);
        }
    }
}

impl Handler<MoveLogStart> for LogActor {
    type Result = ();

    /// Answers when the new start is in the checkpoint: what was said to be deleted must not come
    /// back, not even after a crash in the next minute.
    fn handle(&mut self, MoveLogStart { before, slot }: MoveLogStart, ctx: &mut Context<Self>) {
        let (tell, moved) = oneshot::channel();
        self.with_log(move |log| {
            // An offset that lies behind the start already changes nothing, as with Kafka.
            log.advance_log_start_offset(before);
            let _ = tell.send(log.log_start_offset());
        });
        // The log may have waited for the last step of a move: where it is now counts.
        ctx.spawn(moved.into_actor(self).map(move |moved, actor, _| {
            if let Ok(start) = moved {
                let dir = Arc::clone(&actor.dir);
                actix_rt::spawn(answer_moved(dir, start, slot));
            }
        }));
    }
}

impl Handler<ListProducers> for LogActor {
    type Result = ();

    fn handle(&mut self, ListProducers { slot }: ListProducers, _: &mut Context<Self>) {
        self.with_log(move |log| slot.answer(Ok(describe(log))));
    }
}

/// Answers that a log starts where it starts now, when that is in the checkpoint.
async fn answer_moved(
    dir: Arc<LogDir>,
    start: Offset,
    slot: Slot<Result<Offset, DeleteRecordsError>>,
) {
    if let Err(error) = dir.keep_starts().await {
        // As with Kafka, then: the next round writes it.
        log::warn!("a moved log start is not in its checkpoint yet: {error}");
    }
    slot.answer(Ok(start));
}

fn describe(log: &Log) -> Vec<DescribedProducer> {
    let producers = log
        .producers()
        .iter()
        .map(|(producer_id, entry)| DescribedProducer {
            producer_id,
            producer_epoch: entry.producer_epoch,
            last_sequence: entry.last_sequence(),
            last_timestamp: entry.last_timestamp,
            coordinator_epoch: entry.coordinator_epoch,
            transaction_start: entry.transaction_first_offset,
        });
    producers.collect()
}

impl Handler<Reconfigure> for LogActor {
    type Result = ();

    fn handle(&mut self, Reconfigure(config): Reconfigure, ctx: &mut Context<Self>) {
        self.config = Arc::clone(&config);
        self.with_log(move |log| log.set_config(config));
        if let Some(timer) = self.flush.timer.take() {
            ctx.cancel_future(timer);
            self.arm_flush_timer(ctx);
        }
    }
}

impl Handler<StartEpoch> for LogActor {
    type Result = ();

    fn handle(&mut self, StartEpoch(epoch): StartEpoch, _: &mut Context<Self>) {
        self.with_log(move |log| log.assign_epoch(epoch));
    }
}
