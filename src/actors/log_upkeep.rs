//! What a log is asked to do beside appending: retention's rounds, and its end.
//!
//! Sent by `log_dir` and `partition_host`. Everything here runs on the directory's disk threads.
//! Invariant: files disappear in two steps, a new name at once and the end after
//! `file.delete.delay.ms`, so that readers in the middle keep their bytes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::log::{LogActor, show};
use super::log_dir::LogDir;
use crate::model::{Offset, Uuid};
use crate::storage::disk::Disk;
use crate::storage::log_dir::{DirectoryRole, PartitionDirectory, rename_partition};
use crate::storage::{ClosedLog, DeletedFiles, Log, StorageError};

/// Delete what retention allows, forget idle producers, close idle files; answers when it is done.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Tidy {
    /// Records at or above it are not deleted.
    pub high_watermark: Offset,
}

/// Close the log for a clean stop; answers when it is done, with what the next start is told of it.
/// Nothing is written afterwards.
#[derive(Message)]
#[rtype(result = "Result<Option<ClosedLog>, StorageError>")]
pub struct Close {
    /// Wait for the device, too. Else the asker has it take all there is, and notes recovery points.
    pub flush: bool,
}

/// The log belongs to a deleted partition: rename its directory at once, with this id in the name,
/// and delete it later. Making the new name last is the asker's business.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub struct Delete(pub Uuid);

/// The directory of the log has failed: its actor ends, and leaves the files as they are.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Abandon;

impl Handler<Abandon> for LogActor {
    type Result = ();

    fn handle(&mut self, _: Abandon, ctx: &mut Context<Self>) {
        self.abandon(ctx);
    }
}

/// The actor of a deleted log ends.
#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl LogActor {
    pub(super) fn file_delete_delay(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.config.file_delete_delay_ms).unwrap_or(0))
    }
}

impl Handler<Tidy> for LogActor {
    type Result = ResponseFuture<()>;

    /// Retention, expiry of producers, and closing of files nobody wrote to since the last round.
    fn handle(&mut self, Tidy { high_watermark }: Tidy, ctx: &mut Context<Self>) -> Self::Result {
        if self.retired {
            return Box::pin(std::future::ready(()));
        }
        let now = self.clock.wall();
        let idle = !std::mem::replace(&mut self.written_to, false);
        let gauges = Arc::clone(&self.gauges);
        let (told, deleted) = oneshot::channel();
        let home = Arc::clone(&self.dir);
        self.on_disk_thread(
            move |log| {
                log.advance_high_watermark(high_watermark);
                log.expire_producers(now);
                let deleted = log.delete_retained(now, high_watermark);
                let deleted = deleted.unwrap_or_else(|error| {
                    log::warn!("retention is put off: {error}");
                    home.fail_if_device(&error);
                    Vec::new()
                });
                tell_deleted(log, &deleted);
                if let Err(error) = log.mend_indexes() {
                    log::warn!("wrong indexes stay as they are: {error}");
                }
                if idle && let Err(error) = log.close_idle() {
                    log::warn!("files of an idle log stay open: {error}");
                }
                show(log, &gauges);
                // An actor that has stopped leaves the files to the next start.
                let _ = told.send(deleted);
            },
            ctx,
        );
        let (delay, dir) = (self.file_delete_delay(), Arc::clone(&self.dir));
        Box::pin(async move {
            let deleted = deleted.await.unwrap_or_default();
            if !deleted.is_empty() {
                dir.metrics().segments_deleted.inc_by(deleted.len() as u64);
                actix_rt::spawn(unlink_later(deleted, dir, delay));
            }
        })
    }
}

/// One line for what a round took from a log.
fn tell_deleted(log: &Log, deleted: &[DeletedFiles]) {
    let (Some(first), Some(last)) = (deleted.first(), deleted.last()) else {
        return;
    };
    let mut reasons: Vec<&str> = Vec::new();
    for reason in deleted.iter().map(|deleted| deleted.reason.as_str()) {
        if reasons.last() != Some(&reason) {
            reasons.push(reason);
        }
    }
    log::info!(
        "{}: deleted {} segments of {} bytes, from {} to {}, because of {}; the log starts at {}",
        log.directory().display(),
        deleted.len(),
        deleted.iter().map(|deleted| deleted.size).sum::<u64>(),
        first.base_offset,
        last.base_offset,
        reasons.join(" and "),
        log.log_start_offset()
    );
}

pub(super) async fn unlink_later(deleted: Vec<DeletedFiles>, dir: Arc<LogDir>, delay: Duration) {
    tokio::time::sleep(delay).await;
    for files in deleted {
        let disk = Arc::clone(dir.disk());
        let unlink = move || {
            if let Err(error) = files.unlink(disk.as_ref()) {
                log::warn!("files of a deleted segment stay until the next start: {error}");
            }
        };
        // Threads that have ended leave it to the next start.
        let _ = dir.threads().run(unlink).await;
    }
}

impl Handler<Close> for LogActor {
    type Result = ResponseFuture<Result<Option<ClosedLog>, StorageError>>;

    fn handle(&mut self, Close { flush }: Close, ctx: &mut Context<Self>) -> Self::Result {
        self.retired = true;
        let (told, closed) = oneshot::channel();
        let gauges = Arc::clone(&self.gauges);
        let close = move |log: &mut Log| {
            let closed = if flush {
                log.close()
            } else {
                log.close_unflushed()
            };
            show(log, &gauges);
            let _ = told.send(closed.and_then(|()| log.closed()));
        };
        if self.closes_at_once() {
            self.with_log(close);
        } else {
            self.on_disk_thread(close, ctx);
        }
        let dir = Arc::clone(&self.dir);
        Box::pin(async move {
            // A job that panicked closed nothing.
            let closed = closed.await.unwrap_or_else(|_| {
                let path = dir.path().clone();
                Err(StorageError::Poisoned { path })
            });
            if closed.is_err() {
                dir.mark_unclean();
            }
            closed
        })
    }
}

impl Handler<Delete> for LogActor {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, Delete(unique): Delete, ctx: &mut Context<Self>) -> Self::Result {
        self.retired = true;
        let (told, renamed) = oneshot::channel();
        let disk = Arc::clone(self.dir.disk());
        let rename = move |log: &mut Log| {
            let _ = told.send(rename_away(log, disk.as_ref(), unique));
        };
        self.on_disk_thread(rename, ctx);
        let (delay, dir, actor) = (
            self.file_delete_delay(),
            Arc::clone(&self.dir),
            ctx.address(),
        );
        Box::pin(async move {
            let gone = Err(StorageError::Poisoned {
                path: dir.path().clone(),
            });
            let renamed = renamed.await.unwrap_or(gone);
            actor.do_send(Stop);
            if let Some(path) = renamed? {
                actix_rt::spawn(remove_later(path, dir, delay));
            }
            Ok(())
        })
    }
}

pub(super) async fn remove_later(path: PathBuf, dir: Arc<LogDir>, delay: Duration) {
    tokio::time::sleep(delay).await;
    let disk = Arc::clone(dir.disk());
    let remove = move || {
        if let Err(error) = disk.remove_dir_all(&path) {
            log::warn!("the remains of a deleted partition stay: {error}");
        }
    };
    // Threads that have ended leave it to the next start.
    let _ = dir.threads().run(remove).await;
}

/// Gives the directory of a deleted partition the name under which it waits for its end; `None` when
/// it was never made.
pub(super) fn rename_away(
    log: &mut Log,
    disk: &dyn Disk,
    unique: Uuid,
) -> Result<Option<PathBuf>, StorageError> {
    if let Err(error) = log.close_idle() {
        // It is deleted anyway.
        log::debug!("closing a deleted log: {error}");
    }
    let (parent, name) = (log.directory().parent(), log.directory().file_name());
    let name = name.and_then(|name| name.to_str()).unwrap_or_default();
    let parsed = PartitionDirectory::parse(name);
    let (Some(parent), Some(partition)) = (parent, parsed) else {
        return Ok(None);
    };
    if !disk.exists(log.directory()).unwrap_or(true) {
        return Ok(None);
    }
    let partition = partition.partition;
    let renamed = rename_partition(
        disk,
        parent,
        name,
        &partition,
        DirectoryRole::Deleted,
        unique,
    )?;
    Ok(Some(parent.join(renamed)))
}

impl Handler<Stop> for LogActor {
    type Result = ();

    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
