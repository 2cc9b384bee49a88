//! The rounds of a log directory: its checkpoints, what its logs may delete, and the last words of a
//! clean stop.
//!
//! Started by `broker/disks`. Invariant: one round of a kind at a time; none once the directory has
//! failed.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::super::log_upkeep::Tidy;
use super::super::scrubber::Scrubber;
use super::{LogDir, write_checkpoints};
use crate::model::Offset;
use crate::storage::StorageError;

/// Logs of one directory that are tidied at a time: each is away from its arbiter meanwhile, and
/// what is to be written waits behind them on the disk threads.
const TIDIED_AT_A_TIME: usize = 4;

/// How often the directory's rounds are made.
#[derive(Debug, Clone, Copy)]
pub struct LogDirIntervals {
    /// `replica.high.watermark.checkpoint.interval.ms` and
    /// `log.flush.offset.checkpoint.interval.ms`, whichever is shorter.
    pub checkpoint: Duration,
    /// `log.retention.check.interval.ms`.
    pub tidy: Duration,
    /// `log.initial.task.delay.ms`: the first of these rounds, if that is sooner.
    pub first_tidy: Duration,
    /// How long logs keep files open that nobody uses. One directory sees to it for all.
    pub close_unused: Option<Duration>,
}

/// Keeps a directory's rounds.
pub struct LogDirActor {
    dir: Arc<LogDir>,
    intervals: LogDirIntervals,
    writing: bool,
    tidying: bool,
    /// Until the actor runs.
    scrubber: Option<Scrubber>,
}

impl LogDirActor {
    /// The actor of `dir`.
    pub fn new(dir: Arc<LogDir>, intervals: LogDirIntervals) -> LogDirActor {
        LogDirActor {
            dir,
            intervals,
            writing: false,
            tidying: false,
            scrubber: None,
        }
    }

    /// Has this scrubber work as long as the actor lives.
    pub fn scrubbing(mut self, scrubber: Scrubber) -> LogDirActor {
        self.scrubber = Some(scrubber);
        self
    }

    /// Writes the checkpoints when they have changed, on a disk thread.
    fn checkpoint(&mut self, ctx: &mut Context<Self>) {
        if self.dir.is_offline() || std::mem::replace(&mut self.writing, true) {
            return;
        }
        let job = write_checkpoints(Arc::clone(&self.dir), false);
        ctx.spawn(job.into_actor(self).map(|result, actor, _| {
            actor.writing = false;
            if let Err(error) = result {
                // Old checkpoints are safe, only slower to recover from: tried again next round.
                log::warn!("checkpoints were not written: {error}");
                actor.dir.fail_if_device(&error);
            }
        }));
    }

    /// Lets every log delete what it may, a few at a time.
    fn tidy(&mut self, ctx: &mut Context<Self>) {
        if self.dir.is_offline() || std::mem::replace(&mut self.tidying, true) {
            return;
        }
        let mut logs = self.dir.list();
        // One that never had a record has nothing to tidy.
        logs.retain(|(_, log)| log.reader.log_end_offset() > Offset::ZERO);
        let round = async move {
            for some in logs.chunks(TIDIED_AT_A_TIME) {
                let asked: Vec<_> = some
                    .iter()
                    .map(|(_, log)| {
                        log.actor.send(Tidy {
                            high_watermark: log.gauges.high_watermark(),
                        })
                    })
                    .collect();
                for asked in asked {
                    // A log that is gone has nothing to tidy.
                    let _ = asked.await;
                }
            }
        };
        let round = round.into_actor(self);
        ctx.spawn(round.map(|(), actor, _| actor.tidying = false));
    }
}

impl Actor for LogDirActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(self.intervals.checkpoint, LogDirActor::checkpoint);
        if self.intervals.first_tidy < self.intervals.tidy {
            // A broker that is often restarted deletes, too.
            ctx.run_later(self.intervals.first_tidy, LogDirActor::tidy);
        }
        ctx.run_interval(self.intervals.tidy, LogDirActor::tidy);
        if let Some(scrubber) = self.scrubber.take() {
            ctx.spawn(scrubber.run().into_actor(self));
        }
        if let Some(after) = self.intervals.close_unused {
            ctx.run_interval(after, |actor, _| {
                let open_files = Arc::clone(actor.dir.open_files());
                let threads = actor.dir.threads();
                threads.run_unwatched(move || open_files.close_unused());
            });
        }
    }
}

/// Writes the last checkpoints of a clean stop, after every log was closed, and how they were closed;
/// then the actor ends. Answers what the mark of a clean stop must say of the latter.
#[derive(Message)]
#[rtype(result = "Result<u64, StorageError>")]
pub struct LastCheckpoint;

impl Handler<LastCheckpoint> for LogDirActor {
    type Result = ResponseFuture<Result<u64, StorageError>>;

    fn handle(&mut self, _: LastCheckpoint, ctx: &mut Context<Self>) -> Self::Result {
        let dir = Arc::clone(&self.dir);
        ctx.stop();
        Box::pin(async move {
            write_checkpoints(Arc::clone(&dir), true).await?;
            let threads = dir.threads().clone();
            let path = dir.path().clone();
            let written = threads.run(move || dir.write_closed()).await;
            written.unwrap_or(Err(StorageError::Poisoned { path }))
        })
    }
}

/// Ends the actor and writes nothing: the broker did not come to run.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EndRounds;

impl Handler<EndRounds> for LogDirActor {
    type Result = ();

    fn handle(&mut self, _: EndRounds, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
