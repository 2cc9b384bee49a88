//! The last step of a move: the log's actor takes the copy in place of the log.
//!
//! Asked by `moving` when the copy has nearly caught up. The log is held for it: what comes
//! meanwhile waits and is written to the copy. In this order: the rest is copied and everything put
//! on the device of the new directory; its checkpoints say where the log begins; the copy gets the
//! log's name; the old log gets that of a deleted one. Invariant: until the copy has the name, the
//! old log is the log and unchanged; from then on nothing is written to it, so that whichever is
//! found after a crash, the one that reaches further is right.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::log::{LogActor, Seat, show};
use super::log_dir::{LogDir, ResidentLog};
use super::log_dirs::LogDirs;
use super::log_upkeep::{remove_later, rename_away};
use super::partition::Moved;
use crate::model::{Offset, Timestamp, TopicPartition, Uuid};
use crate::storage::log_dir::current_directory_name;
use crate::storage::{Blueprint, CleaningHold, CopyError, Log, LogReader, StorageError};

/// So much is copied at most while the log is held.
const HELD_BYTES_MAX: usize = 1 << 20;

/// Tell with what a copy of the log is made. The log is not compacted while the hold lives: keys that
/// are in the copy already would lose the tombstones behind it.
#[derive(Message)]
#[rtype(result = "Option<(Blueprint, LogReader, CleaningHold)>")]
pub struct DescribeCopy;

/// Take this copy in place of the log.
#[derive(Message)]
#[rtype(result = "Result<(), NotSwitched>")]
pub struct Switch {
    /// The copy.
    pub copy: Box<Log>,
    /// Whose it is.
    pub name: TopicPartition,
    /// The directory it is in.
    pub to: Arc<LogDir>,
    /// Remembers who lives where.
    pub dirs: Arc<LogDirs>,
    /// For the name of what is left.
    pub unique: Uuid,
}

/// Why the log is where it was.
pub enum NotSwitched {
    /// Too much is missing in the copy; here it is again.
    Behind(Box<Log>),
    /// The copy cannot become the log.
    Failed(CopyError),
    /// The log is closed, deleted, or has failed.
    Gone,
}

/// Answers a [`Switch`].
type Told = oneshot::Sender<Result<(), NotSwitched>>;

/// See [`LogActor::begin_switch`].
#[derive(Default)]
pub(super) struct Switching {
    wanted: Option<(Switch, Told)>,
    /// The step is being made.
    under_way: bool,
    /// The directory it leaves failed meanwhile, and nobody wants the log any more.
    abandoned: bool,
}

impl Switching {
    /// Whether a step waits for the log.
    pub(super) fn waits(&self) -> bool {
        self.wanted.is_some()
    }
}

/// What a step needs beside the logs.
struct Step {
    name: TopicPartition,
    to: Arc<LogDir>,
    high_watermark: Offset,
    now: Timestamp,
}

impl LogActor {
    /// Lets the copy take the log's place, when the log is here.
    pub(super) fn begin_switch(&mut self, ctx: &mut Context<Self>) {
        if matches!(self.seat, Seat::Away) {
            return;
        }
        let Some((switch, told)) = self.switching.wanted.take() else {
            return;
        };
        if self.retired || self.failed {
            let _ = told.send(Err(NotSwitched::Gone));
            return self.go_on(ctx);
        }
        let Seat::Here(log) = std::mem::replace(&mut self.seat, Seat::Away) else {
            return;
        };
        self.switching.under_way = true;
        let step = Step {
            name: switch.name.clone(),
            to: Arc::clone(&switch.to),
            high_watermark: self.gauges.high_watermark(),
            now: self.clock.wall(),
        };
        let (to, from) = (Arc::clone(&switch.to), Arc::clone(&self.dir));
        let (copy, unique) = (switch.copy, switch.unique);
        let job = async move {
            let threads = to.threads().clone();
            let settled = threads.run(move || {
                let settled = step.settle(copy, &log);
                (log, settled)
            });
            let (log, settled) = settled.await.ok()?;
            let new = match settled {
                Ok(new) => new,
                Err(refused) => return Some((log, Err(refused))),
            };
            let threads = from.threads().clone();
            // What is left goes away by itself when these threads have ended.
            let left = threads.run(move || leave(log, &from, unique)).await;
            Some((new, Ok(left.ok().flatten())))
        };
        let to = switch.to;
        let (name, dirs) = (switch.name, switch.dirs);
        ctx.spawn(job.into_actor(self).map(move |done, actor, ctx| {
            let Some((log, outcome)) = done else {
                return actor.lose(ctx);
            };
            actor.switching.under_way = false;
            let told_what = match outcome {
                Err(refused) => {
                    actor.seat = Seat::Here(log);
                    Err(refused)
                }
                // The next life finds the log where it is now, and what the checkpoints say of it.
                Ok(_) if actor.switching.abandoned => Err(NotSwitched::Gone),
                Ok(left) => {
                    actor.settle_in(log, &name, &to, &dirs, left, ctx);
                    Ok(())
                }
            };
            // Who does not wait any more sees it in the directories.
            let _ = told.send(told_what);
            match actor.switching.abandoned {
                true => ctx.stop(),
                false => actor.go_on(ctx),
            }
        }));
    }

    /// The directory has failed: ends, but not while a job has the log and its copy, which whoever
    /// clears up after a move must not find under its hands.
    pub(super) fn abandon(&mut self, ctx: &mut Context<Self>) {
        self.retired = true;
        self.switching.abandoned = true;
        if !self.switching.under_way {
            ctx.stop();
        }
    }

    /// The log is the one in the other directory from now on.
    fn settle_in(
        &mut self,
        mut log: Box<Log>,
        name: &TopicPartition,
        to: &Arc<LogDir>,
        dirs: &LogDirs,
        left: Option<std::path::PathBuf>,
        ctx: &Context<Self>,
    ) {
        let from = std::mem::replace(&mut self.dir, Arc::clone(to));
        log.set_config(Arc::clone(&self.config));
        let reader = log.reader();
        show(&log, &self.gauges);
        self.bytes_unflushed = 0;
        self.seat = Seat::Here(log);
        dirs.rehome(name, to);
        // Whether it still lived there or the directory failed meanwhile: it is here now.
        let cleaned = from.cleaned(name);
        from.move_out(name);
        to.end_future(name);
        let resident = ResidentLog {
            reader: reader.clone(),
            gauges: Arc::clone(&self.gauges),
            actor: ctx.address(),
            config: Arc::clone(&self.config),
        };
        to.move_in(name.clone(), resident);
        to.set_cleaned(name, cleaned);
        if let Some(partition) = &self.partition {
            let threads = to.threads().clone();
            partition.do_send(Moved { reader, threads });
        }
        if let Some(path) = left {
            actix_rt::spawn(remove_later(path, from, self.file_delete_delay()));
        }
    }
}

impl Step {
    /// Makes the copy the log's twin under the log's name, in its directory. Blocks, on the threads
    /// of the directory it goes to.
    fn settle(&self, mut copy: Box<Log>, log: &Log) -> Result<Box<Log>, NotSwitched> {
        let failed = |error: CopyError| NotSwitched::Failed(error);
        let reader = log.reader();
        let mut held = 0;
        while copy.log_end_offset() < log.log_end_offset() {
            if held >= HELD_BYTES_MAX {
                return Err(NotSwitched::Behind(copy));
            }
            let chunk = match reader.chunk(copy.log_end_offset(), HELD_BYTES_MAX) {
                Err(CopyError::Overtaken { .. }) => return Err(NotSwitched::Behind(copy)),
                chunk => chunk.map_err(failed)?,
            };
            if chunk.bytes.is_empty() {
                break;
            }
            held += chunk.bytes.len();
            copy.append_chunk(&chunk, self.now).map_err(failed)?;
        }
        copy.take_over(log).map_err(failed)?;
        self.rename(&copy, log).map_err(failed)
    }

    fn rename(&self, copy: &Log, log: &Log) -> Result<Box<Log>, CopyError> {
        let (start, end) = (log.log_start_offset(), log.log_end_offset());
        let (disk, parent) = (self.to.disk().as_ref(), self.to.path());
        let (from, into) = (
            copy.directory(),
            parent.join(current_directory_name(&self.name)),
        );
        if disk.exists(&into)? {
            return Err(CopyError::Damaged(format!(
                "{} is there already; move it away",
                into.display()
            )));
        }
        let expected = self
            .to
            .expect_log(&self.name, start, end, self.high_watermark);
        let renamed = expected.and_then(|()| {
            disk.rename(from, &into)?;
            disk.sync_dir(parent)
        });
        let opened = match renamed {
            Ok(()) => log.hand_over_to(into.clone(), self.now),
            Err(error) => Err(error.into()),
        };
        match opened {
            Ok(new) => {
                new.bound_open_files(Arc::clone(self.to.open_files()));
                new.watch_damage(Arc::clone(self.to.suspects()) as Arc<_>);
                log.refer_to(&new);
                Ok(Box::new(new))
            }
            Err(error) => {
                self.to.disown(&self.name);
                if let Err(worse) = disk.rename(&into, from)
                    && !worse.is_not_found()
                {
                    // Found beside the log at the next start, it will be the shorter one.
                    log::error!("{} stays: {worse}", into.display());
                }
                Err(error)
            }
        }
    }
}

/// Gives the old log's directory the name of a deleted one; under which it is now. Blocks, on the
/// threads of the directory it is in.
fn leave(mut log: Box<Log>, from: &LogDir, unique: Uuid) -> Option<std::path::PathBuf> {
    let disk = from.disk().as_ref();
    let renamed = rename_away(&mut log, disk, unique).and_then(|path| {
        disk.sync_dir(from.path())?;
        Ok(path)
    });
    match renamed {
        Ok(path) => path,
        Err(error) => {
            // If it is found at the next start, it is the shorter one of the two.
            tell_left(&log, &error, from);
            None
        }
    }
}

fn tell_left(log: &Log, error: &StorageError, from: &LogDir) {
    log::error!(
        "{} was moved and could not be renamed",
        log.directory().display()
    );
    if !error.is_passing() {
        from.fail(error);
    }
}

impl Handler<DescribeCopy> for LogActor {
    type Result = ResponseFuture<Option<(Blueprint, LogReader, CleaningHold)>>;

    fn handle(&mut self, _: DescribeCopy, _: &mut Context<Self>) -> Self::Result {
        let (told, described) = oneshot::channel();
        self.with_log(move |log| {
            let hold = log.hold_cleaning();
            let _ = told.send((log.blueprint(), log.reader(), hold));
        });
        Box::pin(async move { described.await.ok() })
    }
}

impl Handler<Switch> for LogActor {
    type Result = ResponseFuture<Result<(), NotSwitched>>;

    fn handle(&mut self, switch: Switch, ctx: &mut Context<Self>) -> Self::Result {
        let (told, switched) = oneshot::channel();
        if let Some((_, earlier)) = self.switching.wanted.replace((switch, told)) {
            let _ = earlier.send(Err(NotSwitched::Gone));
        }
        self.begin_switch(ctx);
        Box::pin(async move { switched.await.unwrap_or(Err(NotSwitched::Gone)) })
    }
}
