//! One move from its beginning to its end.
//!
//! Piece by piece: read on the threads of the directory it leaves, written on those of the directory
//! it goes to, so that a slow disk holds up no other; between the pieces the budget is kept. When
//! the copy has caught up, the controller is told, and the log's actor takes the last step
//! (`log_switch`). Invariant: the log that is copied is only read.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::prelude::*;

use super::Common;
use crate::actors::directory_keeper::Assign;
use crate::actors::log::LogActor;
use crate::actors::log_dir::LogDir;
use crate::actors::log_switch::{DescribeCopy, NotSwitched, Switch};
use crate::actors::partition_messages::PartitionKey;
use crate::model::{TopicPartition, Uuid};
use crate::storage::log_dir::{DirectoryRole, suffixed_directory_name};
use crate::storage::{Chunk, CopyError, Log, LogReader, StorageError};

/// So much of a copy waits for the device at most.
const UNFLUSHED_BYTES_MAX: u64 = 16 << 20;
/// How long a move waits when the disk it goes to is full.
const FULL_BACKOFF: Duration = Duration::from_secs(5);

/// After so long without an answer the controller is told again.
const TOLD_AGAIN: Duration = Duration::from_secs(1);

/// A move.
pub(super) struct Move {
    pub(super) common: Rc<Common>,
    pub(super) name: TopicPartition,
    pub(super) key: PartitionKey,
    pub(super) from: Arc<LogDir>,
    pub(super) to: Arc<LogDir>,
    pub(super) log: Addr<LogActor>,
    pub(super) unique: Uuid,
    /// Set when the partition shall stay where it is, or is gone.
    pub(super) stop: Arc<AtomicBool>,
    /// Set when the broker stops.
    pub(super) ended: Arc<AtomicBool>,
}

/// How a move ended.
pub(super) enum Carried {
    /// The partition lives in the other directory.
    Whole,
    /// It was told to stop.
    Stopped,
    /// Something failed.
    Failed(String),
}

impl From<CopyError> for Carried {
    fn from(error: CopyError) -> Carried {
        Carried::Failed(error.to_string())
    }
}

/// Carries a move out.
pub(super) async fn carry(moving: Move) -> Carried {
    let unique = suffixed_directory_name(&moving.name, DirectoryRole::Future, moving.unique);
    let path = moving.to.path().join(unique);
    log::info!(
        "{} moves from {} to {}",
        moving.name,
        moving.from.path().display(),
        moving.to.path().display()
    );
    let mut assigned = false;
    let carried = moving.copy(path.clone(), &mut assigned).await;
    if matches!(carried, Carried::Whole) {
        return carried;
    }
    moving.to.end_future(&moving.name);
    if assigned && moving.common.dirs.resident(&moving.name).is_some() {
        // The broker may be about to end; then the next life says where it found the log.
        let stays = Assign {
            key: moving.key,
            directory: moving.from.id(),
        };
        moving.common.assign.do_send(stays);
    }
    if !moving.ended.load(Ordering::Acquire) {
        moving.remove(path).await;
    }
    carried
}

/// Removes what is left of a move in the background.
pub(super) fn remove_unwatched(dir: &LogDir, path: PathBuf) {
    let disk = Arc::clone(dir.disk());
    dir.threads().run_unwatched(move || {
        if let Err(error) = disk.remove_dir_all(&path) {
            log::warn!("what is left of a move stays: {error}");
        }
    });
}

/// Why a move does not go on.
enum Halt {
    Stopped,
    Failed(CopyError),
    Ended(&'static str),
}

impl From<Halt> for Carried {
    fn from(halt: Halt) -> Carried {
        match halt {
            Halt::Stopped => Carried::Stopped,
            Halt::Failed(error) => error.into(),
            Halt::Ended(why) => Carried::Failed(why.to_owned()),
        }
    }
}

impl From<CopyError> for Halt {
    fn from(error: CopyError) -> Halt {
        Halt::Failed(error)
    }
}

impl From<StorageError> for Halt {
    fn from(error: StorageError) -> Halt {
        Halt::Failed(error.into())
    }
}

const THREADS_ENDED: Halt = Halt::Ended("the threads of a log directory have ended");

impl Move {
    async fn copy(&self, path: PathBuf, assigned: &mut bool) -> Carried {
        match self.try_copy(path, assigned).await {
            Ok(()) => Carried::Whole,
            Err(halt) => halt.into(),
        }
    }

    async fn try_copy(&self, path: PathBuf, assigned: &mut bool) -> Result<(), Halt> {
        let gone = Halt::Ended("the partition is gone");
        let described = self.log.send(DescribeCopy).await.ok().flatten();
        let (blueprint, reader, _not_cleaned) = described.ok_or(gone)?;
        let source = reader.clone();
        let start = self.on_source(move || source.copy_start()).await??;
        let now = self.common.clock.wall();
        let begun = self.on_target(move || blueprint.begin(path, start, now));
        let mut copy = Box::new(begun.await??);
        self.to.begin_future(self.name.clone(), copy.reader());
        let mut flushed = false;
        loop {
            self.may_go_on()?;
            let (next, caught_up) = self.copy_piece(copy, &reader).await?;
            copy = next;
            if !caught_up {
                continue;
            }
            if !*assigned {
                *assigned = true;
                self.tell(self.to.id()).await?;
                continue;
            }
            if !flushed {
                // So that the last step, in which the log is held, has little to flush.
                flushed = true;
                let job = self.on_target(move || (flush(&mut copy), copy));
                let (done, next) = job.await?;
                self.judge(done)?;
                copy = next;
                continue;
            }
            match self.switch(copy).await? {
                None => return Ok(()),
                Some(behind) => (copy, flushed) = (behind, false),
            }
        }
    }

    /// Copies the next piece when its turn has come; the second value is whether the copy has all
    /// that there was when the piece was read.
    async fn copy_piece(
        &self,
        mut copy: Box<Log>,
        reader: &LogReader,
    ) -> Result<(Box<Log>, bool), Halt> {
        while let Some(wait) = self.common.pace.wait() {
            tokio::time::sleep(wait).await;
            self.may_go_on()?;
        }
        let permit = self.common.threads.acquire().await;
        let _permit = permit.map_err(|_| Halt::Stopped)?;
        let (from, size) = (copy.log_end_offset(), self.common.pace.piece());
        let source = reader.clone();
        let read = self.on_source(move || {
            let chunk = source.chunk(from, size);
            (chunk, source.log_end_offset())
        });
        let (chunk, end) = read.await?;
        let now = self.common.clock.wall();
        let chunk = match chunk {
            Err(CopyError::Overtaken { .. }) => {
                let source = reader.clone();
                let start = self.on_source(move || source.copy_start()).await??;
                let restarted = self.on_target(move || (copy.restart_copy(start, now), copy));
                let (restarted, copy) = restarted.await?;
                restarted?;
                return Ok((copy, false));
            }
            chunk => chunk?,
        };
        let bytes = chunk.bytes.len();
        self.common.pace.pay(bytes);
        let written = self.on_target(move || {
            let written = write(&mut copy, &chunk, now);
            (copy, written)
        });
        let (next, written) = written.await?;
        copy = next;
        match written {
            Err(CopyError::Storage(error)) if error.is_passing() => {
                log::warn!("the move of {} waits: {error}", self.name);
                tokio::time::sleep(FULL_BACKOFF).await;
            }
            written => self.judge(written)?,
        }
        let caught_up = copy.log_end_offset() >= end || bytes == 0;
        Ok((copy, caught_up))
    }

    /// A device that refused takes its directory with it.
    fn judge(&self, result: Result<(), CopyError>) -> Result<(), Halt> {
        if let Err(CopyError::Storage(error)) = &result
            && error.is_of_device()
        {
            self.to.fail(error);
        }
        Ok(result?)
    }

    /// Has the log's actor take the last step; the copy comes back if it had fallen behind.
    async fn switch(&self, copy: Box<Log>) -> Result<Option<Box<Log>>, Halt> {
        self.may_go_on()?;
        let switch = Switch {
            copy,
            name: self.name.clone(),
            to: Arc::clone(&self.to),
            dirs: Arc::clone(&self.common.dirs),
            unique: Uuid::from_random((self.common.random)()),
        };
        match self.log.send(switch).await {
            Ok(Ok(())) => Ok(None),
            Ok(Err(NotSwitched::Behind(copy))) => Ok(Some(copy)),
            Ok(Err(NotSwitched::Failed(error))) => {
                self.judge(Err(error))?;
                Ok(None)
            }
            Ok(Err(NotSwitched::Gone)) | Err(_) => Err(Halt::Ended("the partition is gone")),
        }
    }

    /// Waits until the controller knows where the replica is about to live.
    async fn tell(&self, directory: crate::model::DirectoryId) -> Result<(), Halt> {
        let assign = Assign {
            key: self.key,
            directory,
        };
        loop {
            let told = tokio::time::timeout(TOLD_AGAIN, self.common.assign.send(assign)).await;
            match told {
                Ok(told) => {
                    return told.map_err(|_| Halt::Ended("the controller cannot be told of it"));
                }
                // There may be no controller for long, and the move be stopped meanwhile.
                Err(_) => self.may_go_on()?,
            }
        }
    }

    fn may_go_on(&self) -> Result<(), Halt> {
        if self.stop.load(Ordering::Acquire) || self.ended.load(Ordering::Acquire) {
            return Err(Halt::Stopped);
        }
        if self.from.is_offline() || self.to.is_offline() {
            return Err(Halt::Ended("a log directory has failed"));
        }
        Ok(())
    }

    async fn on_source<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Halt> {
        let done = self.from.threads().run(job).await;
        done.map_err(|_| THREADS_ENDED)
    }

    async fn on_target<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Halt> {
        let done = self.to.threads().run(job).await;
        done.map_err(|_| THREADS_ENDED)
    }

    /// Removes the copy.
    async fn remove(&self, path: PathBuf) {
        let disk = Arc::clone(self.to.disk());
        let removed = self.on_target(move || match disk.exists(&path) {
            Ok(true) => disk.remove_dir_all(&path),
            exists => exists.map(|_| ()),
        });
        if let Ok(Err(error)) = removed.await {
            log::warn!("what is left of a move stays: {error}");
        }
    }
}

/// Appends a piece, and has the device keep up.
fn write(copy: &mut Log, chunk: &Chunk, now: crate::model::Timestamp) -> Result<(), CopyError> {
    copy.append_chunk(chunk, now)?;
    match copy.unflushed_bytes() >= UNFLUSHED_BYTES_MAX {
        true => flush(copy),
        false => Ok(()),
    }
}

fn flush(copy: &mut Log) -> Result<(), CopyError> {
    if let Some(job) = copy.flush_job() {
        let flushed = job.run()?;
        copy.flushed(&flushed);
    }
    Ok(())
}
