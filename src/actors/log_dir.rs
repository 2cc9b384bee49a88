//! One log directory while the broker runs: its disk threads, what it owes the disk, its checkpoints.
//!
//! [`LogDir`] is shared by the logs in it; [`LogDirActor`] has its timers: checkpoints of recovery
//! points, log starts and high watermarks, and the round that lets each log delete what retention
//! allows. Invariant: checkpoints are written on a disk thread, one at a time, from what the logs
//! show of themselves; no log is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;

use super::disk_threads::DiskThreads;
use super::log::{LogActor, Tidy};
use super::partition::PartitionGauges;
use crate::model::{DirectoryId, Offset, TopicPartition};
use crate::storage::disk::Disk;
use crate::storage::{Checkpoints, LogReader, StorageError};

/// Bounds that `broker.rs` hands in.
#[derive(Debug, Clone, Copy)]
pub struct LogDirLimits {
    /// While more than this is on its way to the disk, appends go through the disk threads, which
    /// the kernel may stop, instead of the arbiter, which it must not.
    pub unflushed_bytes_max: u64,
    /// How many bytes a log gathers before a disk thread begins to write them back.
    pub write_back_bytes: u64,
}

/// A log that lives in the directory.
#[derive(Clone)]
pub struct ResidentLog {
    /// Shows its offsets.
    pub reader: LogReader,
    /// Shows its high watermark.
    pub gauges: Arc<PartitionGauges>,
    /// Its actor.
    pub actor: Addr<LogActor>,
}

/// What a log directory in use is made of.
pub struct LogDirParts {
    /// Its identity (KIP-858).
    pub id: DirectoryId,
    /// Where it is.
    pub path: PathBuf,
    /// The door to its files.
    pub disk: Arc<dyn Disk>,
    /// Where to run what can block.
    pub threads: DiskThreads,
    /// Bounds.
    pub limits: LogDirLimits,
    /// What the checkpoints said at the start.
    pub at_start: Checkpoints,
    /// Whether the last broker here stopped after flushing everything.
    pub stopped_cleanly: bool,
}

/// See the module.
pub struct LogDir {
    parts: LogDirParts,
    bytes_on_their_way: AtomicU64,
    offline: AtomicBool,
    residents: Mutex<BTreeMap<TopicPartition, ResidentLog>>,
}

impl LogDir {
    /// A directory that was taken into use.
    pub fn new(parts: LogDirParts) -> LogDir {
        LogDir {
            parts,
            bytes_on_their_way: AtomicU64::new(0),
            offline: AtomicBool::new(false),
            residents: Mutex::default(),
        }
    }

    /// Its identity (KIP-858).
    pub fn id(&self) -> DirectoryId {
        self.parts.id
    }

    /// Where it is.
    pub fn path(&self) -> &PathBuf {
        &self.parts.path
    }

    /// The door to its files.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.parts.disk
    }

    /// Where to run what can block.
    pub fn threads(&self) -> &DiskThreads {
        &self.parts.threads
    }

    /// What the checkpoints said at the start.
    pub fn at_start(&self) -> &Checkpoints {
        &self.parts.at_start
    }

    /// Whether the last broker here stopped after flushing everything.
    pub fn was_stopped_cleanly(&self) -> bool {
        self.parts.stopped_cleanly
    }

    /// Whether the disk keeps up, so that an append may write on the arbiter.
    pub fn keeps_up(&self) -> bool {
        self.bytes_on_their_way.load(Ordering::Relaxed) <= self.parts.limits.unflushed_bytes_max
    }

    /// See [`LogDirLimits::write_back_bytes`].
    pub fn write_back_bytes(&self) -> u64 {
        self.parts.limits.write_back_bytes
    }

    /// Counts bytes as on their way until the guard is dropped.
    pub fn count_on_its_way(self: &Arc<Self>, bytes: u64) -> OnTheirWay {
        self.bytes_on_their_way.fetch_add(bytes, Ordering::Relaxed);
        OnTheirWay {
            dir: Arc::clone(self),
            bytes,
        }
    }

    /// Whether the directory has failed.
    pub fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Acquire)
    }

    /// Marks the directory as failed.
    pub fn set_offline(&self) {
        self.offline.store(true, Ordering::Release);
    }

    /// A log lives here from now on.
    pub fn move_in(&self, partition: TopicPartition, log: ResidentLog) {
        self.residents().insert(partition, log);
    }

    /// A log is deleted or moves away.
    pub fn move_out(&self, partition: &TopicPartition) {
        self.residents().remove(partition);
    }

    /// How many logs live here.
    pub fn count(&self) -> usize {
        self.residents().len()
    }

    /// Every log that lives here.
    pub fn list(&self) -> Vec<(TopicPartition, ResidentLog)> {
        self.residents()
            .iter()
            .map(|(name, log)| (name.clone(), log.clone()))
            .collect()
    }

    /// What the checkpoints should say now. A log that has nothing says nothing.
    pub fn checkpoints(&self) -> Checkpoints {
        let mut checkpoints = Checkpoints::default();
        for (name, log) in self.residents().iter() {
            let high_watermark = log.gauges.high_watermark();
            if log.reader.log_end_offset() == Offset::ZERO {
                continue;
            }
            checkpoints
                .recovery_points
                .insert(name.clone(), log.gauges.recovery_point());
            checkpoints
                .high_watermarks
                .insert(name.clone(), high_watermark);
            if log.reader.log_start_offset() > Offset::ZERO {
                checkpoints
                    .log_starts
                    .insert(name.clone(), log.reader.log_start_offset());
            }
        }
        checkpoints
    }

    fn residents(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, ResidentLog>> {
        self.residents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes counted as on their way to the disk.
pub struct OnTheirWay {
    dir: Arc<LogDir>,
    bytes: u64,
}

impl Drop for OnTheirWay {
    fn drop(&mut self) {
        self.dir
            .bytes_on_their_way
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// How often the directory's rounds are made.
#[derive(Debug, Clone, Copy)]
pub struct LogDirIntervals {
    /// `replica.high.watermark.checkpoint.interval.ms` and
    /// `log.flush.offset.checkpoint.interval.ms`, whichever is shorter.
    pub checkpoint: Duration,
    /// `log.retention.check.interval.ms`.
    pub tidy: Duration,
}

/// Keeps a directory's rounds.
pub struct LogDirActor {
    dir: Arc<LogDir>,
    intervals: LogDirIntervals,
    written: Checkpoints,
    writing: bool,
}

impl LogDirActor {
    /// The actor of `dir`.
    pub fn new(dir: Arc<LogDir>, intervals: LogDirIntervals) -> LogDirActor {
        let written = dir.at_start().clone();
        LogDirActor {
            dir,
            intervals,
            written,
            writing: false,
        }
    }

    /// Writes the checkpoints when they have changed, on a disk thread.
    fn checkpoint(&mut self, ctx: &mut Context<Self>) {
        let current = self.dir.checkpoints();
        if self.writing || current == self.written {
            return;
        }
        self.writing = true;
        let (dir, before) = (Arc::clone(&self.dir), self.written.clone());
        let job = async move {
            let threads = dir.threads().clone();
            let write = move || {
                current
                    .write(&before, dir.disk().as_ref(), dir.path())
                    .map(|()| current)
            };
            threads.run(write).await
        };
        ctx.spawn(job.into_actor(self).map(|result, actor, _| {
            actor.writing = false;
            match result {
                Ok(Ok(written)) => actor.written = written,
                // Old checkpoints are safe, only slower to recover from: tried again next round.
                Ok(Err(error)) => log::warn!("checkpoints were not written: {error}"),
                Err(error) => log::error!("checkpoints were not written: {error}"),
            }
        }));
    }

    fn tidy(&self) {
        for (_, log) in self.dir.list() {
            log.actor.do_send(Tidy {
                high_watermark: log.gauges.high_watermark(),
            });
        }
    }
}

impl Actor for LogDirActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(self.intervals.checkpoint, LogDirActor::checkpoint);
        ctx.run_interval(self.intervals.tidy, |actor, _| actor.tidy());
    }
}

/// Writes the last checkpoints of a clean stop, after every log was closed; then the actor ends.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub struct LastCheckpoint;

impl Handler<LastCheckpoint> for LogDirActor {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, _: LastCheckpoint, ctx: &mut Context<Self>) -> Self::Result {
        let dir = Arc::clone(&self.dir);
        ctx.stop();
        Box::pin(async move {
            let threads = dir.threads().clone();
            let nothing = Checkpoints::default();
            let job = move || {
                dir.checkpoints()
                    .write(&nothing, dir.disk().as_ref(), dir.path())
            };
            // Threads that have ended write nothing: the directory failed, and said so.
            threads.run(job).await.unwrap_or(Ok(()))
        })
    }
}
