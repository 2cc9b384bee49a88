//! The end of a host's partitions at a clean stop: all logs closed and on the device.
//!
//! Used by `partition_host` alone. A few logs flush their own files; where many have something to
//! flush, their directory's file system is asked once to write back all there is, which takes it one
//! run over the disk instead of several waits per log. Invariant: a recovery point is raised only
//! after the device has what is below it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::log_dir::LogDir;
use super::partition_opening::Residence;
use crate::model::{DirectoryId, TopicPartition};
use crate::storage::StorageError;

/// With at least so many logs to flush, the whole file system is flushed instead.
const FLUSHED_TOGETHER_MIN: usize = 64;

/// The logs of one directory that are flushed together.
struct Together {
    dir: Arc<LogDir>,
    closed: Vec<TopicPartition>,
}

/// Closes every log; the first error, when some could not be closed. Those have marked their
/// directory.
pub(super) async fn close_all(residences: Vec<Residence>) -> Result<(), StorageError> {
    let mut together: BTreeMap<DirectoryId, Option<Together>> = BTreeMap::new();
    let mut closings = Vec::with_capacity(residences.len());
    for residence in residences {
        let dir = residence.dir();
        let together = together.entry(dir.id()).or_insert_with(|| {
            let many = dir.unflushed_logs() >= FLUSHED_TOGETHER_MIN && dir.can_flush_whole();
            many.then(|| Together {
                dir: Arc::clone(&dir),
                closed: Vec::new(),
            })
        });
        closings.push((dir.id(), residence.close(together.is_none())));
    }
    let mut first_error = Ok(());
    for (dir, closing) in closings {
        match closing.await {
            Ok(Some(name)) => {
                if let Some(Some(together)) = together.get_mut(&dir) {
                    together.closed.push(name);
                }
            }
            Ok(None) => {}
            Err(error) => first_error = first_error.and(Err(error)),
        }
    }
    for together in together.into_values().flatten() {
        first_error = first_error.and(together.flush().await);
    }
    first_error
}

impl Together {
    async fn flush(self) -> Result<(), StorageError> {
        let dir = Arc::clone(&self.dir);
        let flushed = self.dir.threads().run(move || dir.flush_whole()).await;
        let path = self.dir.path().clone();
        let flushed = flushed.unwrap_or(Err(StorageError::Poisoned { path }));
        match &flushed {
            Ok(()) => self.dir.note_flushed(&self.closed),
            Err(_) => self.dir.mark_unclean(),
        }
        flushed
    }
}
