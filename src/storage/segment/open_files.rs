//! How many files all logs of a broker together have open, and whose are closed when it is too many.
//!
//! Shared by the [`Handles`] of all logs: who opens a file beyond the limit closes those of the log
//! that was used longest ago. What is closed is opened again when it is needed, and a file that is
//! being read or flushed stays open with whoever does that. A file may be closed with bytes in it
//! that were not flushed: the flush opens it again, and the kernel tells a failed write-back to
//! whoever asks first, also through a new descriptor (Linux 4.17). Invariant: nobody holds two of the
//! locks here at a time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::handles::{Given, Handles};

/// See the module.
#[derive(Debug)]
pub struct OpenFiles {
    max: usize,
    count: AtomicUsize,
    /// Logs with open files, in the order in which they were last found in use.
    logs: Mutex<VecDeque<Weak<Handles>>>,
}

impl OpenFiles {
    /// At most `max` files, of all logs together.
    pub fn new(max: usize) -> OpenFiles {
        OpenFiles {
            max,
            count: AtomicUsize::new(0),
            logs: Mutex::default(),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Closes the files of every log that was not used since the last time this was asked.
    pub fn close_unused(&self) {
        let turns = self.logs().len();
        for _ in 0..turns {
            if !self.next_in_turn() {
                break;
            }
        }
    }

    pub(super) fn note_opened(&self, count: usize) {
        self.count.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn note_closed(&self, count: usize) {
        self.count.fetch_sub(count, Ordering::Relaxed);
    }

    /// A log that had no open file has one.
    pub(super) fn enter(&self, log: &Arc<Handles>) {
        self.logs().push_back(Arc::downgrade(log));
    }

    /// Closes files until no more than the limit are open.
    pub(super) fn make_room(&self) {
        // In the first round those in use are passed over, in the second nobody is.
        let turns = 2 * self.logs().len();
        for _ in 0..turns {
            if self.count() <= self.max || !self.next_in_turn() {
                break;
            }
        }
    }

    /// Lets the log whose turn it is stay, when it was used since its last turn, or closes its
    /// files. Whether there was one.
    fn next_in_turn(&self) -> bool {
        let Some(next) = self.logs().pop_front() else {
            return false;
        };
        if let Some(log) = next.upgrade() {
            match log.give_unless_used() {
                Given::Used => self.logs().push_back(next),
                // They are closed here, with no lock held.
                Given::Files(files) => drop(files),
            }
        }
        true
    }

    fn logs(&self) -> MutexGuard<'_, VecDeque<Weak<Handles>>> {
        // Every step leaves a list of logs, which is always a right one.
        self.logs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
