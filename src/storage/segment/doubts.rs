//! Segments whose indexes were found to say what their batches do not.
//!
//! A reader that meets such an entry goes on without the index and leaves a doubt here; the log's
//! writer makes the indexes anew in its next round. Each segment is said once in the log of the
//! broker until then.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::Offset;

/// Doubts about one log: more segments than this are remembered in later rounds.
const DOUBTED_MAX: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Doubts(Mutex<BTreeSet<Offset>>);

impl Doubts {
    /// Notes that an index of a segment is wrong.
    pub(crate) fn note(&self, base_offset: Offset, why: &str) {
        let mut doubted = self.doubted();
        if doubted.len() < DOUBTED_MAX && doubted.insert(base_offset) {
            log::warn!("segment {base_offset}: {why}; reading without it until it is made anew");
        }
    }

    /// All of them, which are then forgotten.
    pub(crate) fn take(&self) -> BTreeSet<Offset> {
        std::mem::take(&mut *self.doubted())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.doubted().is_empty()
    }

    fn doubted(&self) -> MutexGuard<'_, BTreeSet<Offset>> {
        // A set of numbers is right whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
