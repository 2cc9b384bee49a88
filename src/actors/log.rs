//! The actor that owns one partition's log: the only writer of its segment files.
//!
//! Its partition asks it to append; it writes here, on the arbiter, while the directory's disk keeps
//! up, and through the directory's disk threads when it does not, always in order. Flushes,
//! write-back, rolling deletions and recovery run on the disk threads. Invariant: at any moment the
//! [`Log`] is here or with exactly one job that brings it back.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::gather::Slot;
use super::log_dir::LogDir;
use super::observe::PanicWatch;
use super::partition::{PartitionActor, PartitionGauges};
use super::partition_messages::{
    Append, AppendAnswer, AppendReply, DeleteRecordsError, DescribedProducer, ListProducers,
    WriteError,
};
use crate::model::{LeaderEpoch, Moment, Offset, Timestamp, Uuid};
use crate::record::TimestampType;
use crate::replication::Acks;
use crate::storage::log_dir::{DirectoryRole, PartitionDirectory, rename_partition};
use crate::storage::{AppendError, Flushed, Log, LogConfig, StorageError};

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

/// Delete what retention allows, forget idle producers, close idle files.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tidy {
    /// Records at or above it are not deleted.
    pub high_watermark: Offset,
}

/// Flush and close the log for a clean stop; answers when it is done.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub struct Close;

/// The log belongs to a deleted partition: rename its directory at once, with this id in the name,
/// and delete it later.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub struct Delete(pub Uuid);

/// Where the log is.
enum Seat {
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
    /// Appends wait for the disk up to here.
    owed: Option<Offset>,
    /// `flush.ms` runs.
    timer: Option<SpawnHandle>,
}

/// See the module.
pub struct LogActor {
    seat: Seat,
    waiting: VecDeque<Waiting>,
    partition: Option<Addr<PartitionActor>>,
    dir: Arc<LogDir>,
    config: Arc<LogConfig>,
    clock: Clock,
    flush: FlushState,
    gauges: Arc<PartitionGauges>,
    bytes_unflushed: u64,
    /// Since the last round.
    written_to: bool,
    _watch: PanicWatch,
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
            partition: None,
            dir,
            config,
            clock,
            flush: FlushState::default(),
            gauges,
            bytes_unflushed: 0,
            written_to: true,
            _watch: watch,
        }
    }

    /// Does something with the log: now when it is here and nothing waits, else in its turn.
    fn with_log(
        &mut self,
        action: impl FnOnce(&mut Log) + Send + 'static,
        ctx: &mut Context<Self>,
    ) {
        match &mut self.seat {
            Seat::Here(log) if self.waiting.is_empty() => action(log),
            _ => {
                self.waiting.push_back(Waiting::Other(Box::new(action)));
                self.send_away(ctx);
            }
        }
    }

    /// Does something that may block, on a disk thread, in its turn.
    fn on_disk_thread(
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
        let waiting = std::mem::take(&mut self.waiting);
        let now = self.clock.wall();
        let job = move || {
            let done: Vec<_> = waiting
                .into_iter()
                .filter_map(|waiting| match waiting {
                    Waiting::Append(append) => Some(write(&mut log, append, now)),
                    Waiting::Other(action) => {
                        action(&mut log);
                        None
                    }
                })
                .collect();
            (log, done)
        };
        let threads = self.dir.threads().clone();
        let job = async move { threads.run(job).await }.into_actor(self);
        ctx.spawn(job.map(|result, actor, ctx| match result {
            Ok((log, done)) => actor.welcome_back(log, done, ctx),
            // The job panicked and the log is lost with it: this partition is offline.
            Err(_) => ctx.stop(),
        }));
    }

    fn welcome_back(&mut self, log: Box<Log>, done: Vec<Written>, ctx: &mut Context<Self>) {
        self.seat = Seat::Here(log);
        for written in done {
            self.settle(written, ctx);
        }
        if !self.waiting.is_empty() {
            self.send_away(ctx);
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
            Err(error) => return append.slot.answer(Err(WriteError::Log(error))),
        };
        let end = appended.last_offset + 1;
        let flush_owed = unflushed_messages >= self.config.flush_messages;
        if flush_owed {
            self.flush.owed = Some(end);
        }
        if flush_owed || appended.rolled {
            self.start_flush(ctx);
        } else {
            self.arm_flush_timer(ctx);
        }
        self.written_to = true;
        let bytes = if appended.duplicate {
            0
        } else {
            append.batch.bytes.len()
        };
        self.count_for_write_back(bytes, ctx);
        let log_append_time = match append.batch.header.timestamp_type() {
            TimestampType::LogAppendTime => appended.timestamp,
            TimestampType::CreateTime => Timestamp::NONE,
        };
        let Some(partition) = &self.partition else {
            return;
        };
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
        if self.flush.under_way {
            return;
        }
        let Seat::Here(log) = &mut self.seat else {
            // The log comes back with the answers of its appends, which ask again.
            return;
        };
        let Some(job) = log.flush_job() else {
            return;
        };
        self.flush.under_way = true;
        let threads = self.dir.threads().clone();
        let on_its_way = self
            .dir
            .count_on_its_way(std::mem::take(&mut self.bytes_unflushed));
        let run = async move {
            let result = threads.run(move || job.run()).await;
            drop(on_its_way);
            result
        };
        ctx.spawn(run.into_actor(self).map(|result, actor, ctx| {
            actor.flush.under_way = false;
            match result {
                Ok(Ok(flushed)) => actor.flushed(flushed, ctx),
                Ok(Err(error)) => actor.fail(&error, ctx),
                Err(_) => ctx.stop(),
            }
        }));
    }

    fn flushed(&mut self, flushed: Flushed, ctx: &mut Context<Self>) {
        let (end, gauges) = (flushed.upto, Arc::clone(&self.gauges));
        let note = move |log: &mut Log| {
            log.flushed(&flushed);
            gauges.set_recovery_point(log.recovery_point());
        };
        self.with_log(note, ctx);
        if let Some(partition) = &self.partition {
            partition.do_send(OnDisk(end));
        }
        match self.flush.owed {
            Some(owed) if owed > end => self.start_flush(ctx),
            _ => self.flush.owed = None,
        }
    }

    /// After a failed flush nobody knows what is on the disk: the log is offline for good.
    fn fail(&mut self, error: &StorageError, ctx: &mut Context<Self>) {
        log::error!("{error}; the partition is offline until the broker is restarted");
        self.with_log(Log::flush_failed, ctx);
        if let Some(partition) = &self.partition {
            partition.do_send(LogFailed);
        }
    }

    /// Has a disk thread write back early, so that the kernel never has to stop this arbiter for it.
    fn count_for_write_back(&mut self, bytes: usize, ctx: &mut Context<Self>) {
        self.bytes_unflushed += bytes as u64;
        if self.bytes_unflushed >= self.dir.write_back_bytes() {
            self.start_flush(ctx);
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
fn show(log: &Log, gauges: &PartitionGauges) {
    gauges.set_recovery_point(log.recovery_point());
    gauges.set_first_unstable_offset(log.first_unstable_offset());
}

fn write(log: &mut Log, AppendToLog { append, epoch }: AppendToLog, now: Timestamp) -> Written {
    let result = log.append_as_leader(&append.batch, epoch, now);
    // A duplicate may wait for a flush that its original still waits for.
    Written {
        append,
        result,
        unflushed_messages: log.unflushed_messages(),
    }
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

impl Handler<ReportTo> for LogActor {
    type Result = ();

    fn handle(&mut self, ReportTo(partition): ReportTo, _: &mut Context<Self>) {
        self.partition = Some(partition);
    }
}

impl Handler<AppendToLog> for LogActor {
    type Result = ();

    fn handle(&mut self, append: AppendToLog, ctx: &mut Context<Self>) {
        match &mut self.seat {
            Seat::Here(log) if self.dir.keeps_up() && self.waiting.is_empty() => {
                let written = write(log, append, self.clock.wall());
                self.settle(written, ctx);
            }
            _ => {
                self.waiting.push_back(Waiting::Append(append));
                self.send_away(ctx);
            }
        }
    }
}

impl Handler<MoveLogStart> for LogActor {
    type Result = ();

    fn handle(&mut self, MoveLogStart { before, slot }: MoveLogStart, ctx: &mut Context<Self>) {
        self.with_log(
            move |log| {
                // An offset that lies behind the start already changes nothing, as with Kafka.
                log.advance_log_start_offset(before);
                slot.answer(Ok(log.log_start_offset()));
            },
            ctx,
        );
    }
}

impl Handler<ListProducers> for LogActor {
    type Result = ();

    fn handle(&mut self, ListProducers { slot }: ListProducers, ctx: &mut Context<Self>) {
        self.with_log(move |log| slot.answer(Ok(describe(log))), ctx);
    }
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
        self.with_log(move |log| log.set_config(config), ctx);
    }
}

impl Handler<StartEpoch> for LogActor {
    type Result = ();

    fn handle(&mut self, StartEpoch(epoch): StartEpoch, ctx: &mut Context<Self>) {
        self.with_log(
            move |log| {
                if let Err(error) = log.assign_epoch(epoch) {
                    log::error!("cannot write the leader epoch {epoch}: {error}");
                }
            },
            ctx,
        );
    }
}

impl Handler<Tidy> for LogActor {
    type Result = ();

    /// Retention, expiry of producers, and closing of files nobody wrote to since the last round.
    fn handle(&mut self, Tidy { high_watermark }: Tidy, ctx: &mut Context<Self>) {
        let now = self.clock.wall();
        let idle = !std::mem::replace(&mut self.written_to, false);
        let gauges = Arc::clone(&self.gauges);
        let (told, deleted) = oneshot::channel();
        self.on_disk_thread(
            move |log| {
                log.advance_high_watermark(high_watermark);
                log.expire_producers(now);
                let deleted = log
                    .delete_retained(now, high_watermark)
                    .unwrap_or_else(|error| {
                        log::warn!("retention is put off: {error}");
                        Vec::new()
                    });
                if idle && let Err(error) = log.close_idle() {
                    log::warn!("files of an idle log stay open: {error}");
                }
                show(log, &gauges);
                // An actor that has stopped leaves the files to the next start.
                let _ = told.send(deleted);
            },
            ctx,
        );
        let delay =
            Duration::from_millis(u64::try_from(self.config.file_delete_delay_ms).unwrap_or(0));
        let dir = Arc::clone(&self.dir);
        actix_rt::spawn(async move {
            let deleted = deleted.await.unwrap_or_default();
            if deleted.is_empty() {
                return;
            }
            tokio::time::sleep(delay).await;
            for files in deleted {
                let disk = Arc::clone(dir.disk());
                dir.threads().run_unwatched(move || {
                    if let Err(error) = files.unlink(disk.as_ref()) {
                        log::warn!("files of a deleted segment stay until the next start: {error}");
                    }
                });
            }
        });
    }
}

impl Handler<Close> for LogActor {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, _: Close, ctx: &mut Context<Self>) -> Self::Result {
        let (told, closed) = oneshot::channel();
        let gauges = Arc::clone(&self.gauges);
        let close = move |log: &mut Log| {
            let closed = log.close();
            show(log, &gauges);
            let _ = told.send(closed);
        };
        self.on_disk_thread(close, ctx);
        Box::pin(async move { closed.await.unwrap_or(Ok(())) })
    }
}

impl Handler<Delete> for LogActor {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, Delete(unique): Delete, ctx: &mut Context<Self>) -> Self::Result {
        let (told, renamed) = oneshot::channel();
        let dir = Arc::clone(&self.dir);
        let rename = move |log: &mut Log| {
            let _ = told.send(rename_away(log, &dir, unique));
        };
        self.on_disk_thread(rename, ctx);
        let delay =
            Duration::from_millis(u64::try_from(self.config.file_delete_delay_ms).unwrap_or(0));
        let (dir, actor) = (Arc::clone(&self.dir), ctx.address());
        Box::pin(async move {
            let renamed = renamed.await.unwrap_or(Ok(None));
            actor.do_send(Stop);
            let Some(path) = renamed? else {
                return Ok(());
            };
            actix_rt::spawn(async move {
                tokio::time::sleep(delay).await;
                let disk = Arc::clone(dir.disk());
                dir.threads().run_unwatched(move || {
                    if let Err(error) = disk.remove_dir_all(&path) {
                        log::warn!("the remains of a deleted partition stay: {error}");
                    }
                });
            });
            Ok(())
        })
    }
}

/// Gives the directory of a deleted partition the name under which it waits for its end; `None` when
/// it was never made.
fn rename_away(log: &mut Log, dir: &LogDir, unique: Uuid) -> Result<Option<PathBuf>, StorageError> {
    if let Err(error) = log.close_idle() {
        // It is deleted anyway.
        log::debug!("closing a deleted log: {error}");
    }
    let name = log
        .directory()
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let parsed = PartitionDirectory::parse(name);
    let Some(partition) = parsed.filter(|_| dir.disk().exists(log.directory()).unwrap_or(true))
    else {
        return Ok(None);
    };
    let partition = partition.partition;
    let role = DirectoryRole::Deleted;
    let renamed = rename_partition(
        dir.disk().as_ref(),
        dir.path(),
        name,
        &partition,
        role,
        unique,
    )?;
    Ok(Some(dir.path().join(renamed)))
}

/// The actor of a deleted log ends.
#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for LogActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
