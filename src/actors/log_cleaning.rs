//! What the cleaner asks of a log: to begin, and to put cleaned segments in the place of old ones.
//!
//! Sent by `cleaner`. Both run on the directory's disk threads and are short; what takes long is
//! done by the cleaner's own threads, with files of their own, while the log is appended to and
//! read. Invariant: a log that was closed or deleted is not touched any more.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::log::{LogActor, show};
use super::log_upkeep::unlink_later;
use crate::storage::{Cleanable, Cleaning, Replacement, StorageError};

/// Begin to clean; `None` when there is nothing to clean any more.
#[derive(Message)]
#[rtype(result = "Result<Option<Cleaning>, StorageError>")]
pub struct BeginCleaning(pub Cleanable);

/// Put cleaned segments in the place of those they were made from; those go later. Nothing happens
/// when these are not all there any more.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub struct ReplaceSegments(pub Replacement);

impl Handler<BeginCleaning> for LogActor {
    type Result = ResponseFuture<Result<Option<Cleaning>, StorageError>>;

    fn handle(
        &mut self,
        BeginCleaning(cleanable): BeginCleaning,
        ctx: &mut Context<Self>,
    ) -> Self::Result {
        if self.retired {
            return Box::pin(std::future::ready(Ok(None)));
        }
        let now = self.clock.wall();
        let gauges = Arc::clone(&self.gauges);
        let (told, begun) = oneshot::channel();
        self.on_disk_thread(
            move |log| {
                let begun = log.begin_cleaning(&cleanable, now);
                show(log, &gauges);
                let _ = told.send(begun);
            },
            ctx,
        );
        // A log that was lost with its job has told so.
        Box::pin(async move { begun.await.unwrap_or(Ok(None)) })
    }
}

impl Handler<ReplaceSegments> for LogActor {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(
        &mut self,
        ReplaceSegments(replacement): ReplaceSegments,
        ctx: &mut Context<Self>,
    ) -> Self::Result {
        if self.retired {
            return Box::pin(std::future::ready(Ok(())));
        }
        let gauges = Arc::clone(&self.gauges);
        let (told, replaced) = oneshot::channel();
        self.on_disk_thread(
            move |log| {
                let replaced = log.replace_segments(replacement);
                show(log, &gauges);
                let _ = told.send(replaced);
            },
            ctx,
        );
        let (delay, dir) = (self.file_delete_delay(), Arc::clone(&self.dir));
        Box::pin(async move {
            let deleted = replaced.await.unwrap_or(Ok(Vec::new()))?;
            if !deleted.is_empty() {
                actix_rt::spawn(unlink_later(deleted, dir, delay));
            }
            Ok(())
        })
    }
}
