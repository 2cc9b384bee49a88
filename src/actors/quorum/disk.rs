//! Where the quorum's log is read and written: on a disk thread, or here.
//!
//! The arbiter never waits for a flush: openraft does, asynchronously. In tests of stopped time
//! everything happens here, because waiting for another thread would make the clock jump.
//! Invariant: one job at a time, in the order of asking.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::{AnyError, StorageIOError};

use super::types::EngineStorageError;
use crate::actors::disk_threads::DiskThreads;
use crate::storage::StorageError;
use crate::storage::quorum_log::QuorumLog;
use crate::storage::quorum_log::codec::CodecError;

/// Why the quorum's storage failed, as a sentence. openraft stops at the first one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct DiskFailure(pub(super) String);

impl From<StorageError> for DiskFailure {
    fn from(error: StorageError) -> DiskFailure {
        DiskFailure(error.to_string())
    }
}

impl From<CodecError> for DiskFailure {
    fn from(error: CodecError) -> DiskFailure {
        DiskFailure(format!("an entry of the metadata log: {error}"))
    }
}

/// The log and the thread it is used on. The thread, if any, is the only one of its pool.
#[derive(Debug, Clone)]
pub(super) struct QuorumDisk {
    log: Arc<Mutex<QuorumLog>>,
    thread: Option<DiskThreads>,
    first_failure: Rc<RefCell<Option<DiskFailure>>>,
}

impl QuorumDisk {
    pub(super) fn new(log: QuorumLog, thread: Option<DiskThreads>) -> QuorumDisk {
        QuorumDisk {
            log: Arc::new(Mutex::new(log)),
            thread,
            first_failure: Rc::default(),
        }
    }

    /// Does something with the log. After a failure the log may still be read.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut QuorumLog) -> Result<T, DiskFailure> + Send + 'static,
    ) -> Result<T, DiskFailure> {
        let log = Arc::clone(&self.log);
        let locked = move || match log.lock() {
            Ok(mut log) => job(&mut log),
            Err(PoisonError { .. }) => Err(DiskFailure(
                "the thread that wrote the metadata log panicked".to_owned(),
            )),
        };
        let result = match &self.thread {
            None => locked(),
            Some(thread) => match thread.run(locked).await {
                Ok(result) => result,
                Err(ended) => Err(DiskFailure(ended.to_string())),
            },
        };
        if let Err(failure) = &result {
            let mut first = self.first_failure.borrow_mut();
            first.get_or_insert_with(|| failure.clone());
        }
        result
    }

    /// The first thing that went wrong.
    pub(super) fn first_failure(&self) -> Option<DiskFailure> {
        self.first_failure.borrow().clone()
    }
}

/// openraft's words for a failed write.
pub(super) fn write_failed(failure: DiskFailure) -> EngineStorageError {
    StorageIOError::write(AnyError::new(&failure)).into()
}

/// openraft's words for a failed read.
pub(super) fn read_failed(failure: DiskFailure) -> EngineStorageError {
    StorageIOError::read(AnyError::new(&failure)).into()
}

/// openraft's flush callback takes an error of the system's kind.
pub(super) fn flush_failed(failure: &DiskFailure) -> io::Error {
    io::Error::other(failure.clone())
}
