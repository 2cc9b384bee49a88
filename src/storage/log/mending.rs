//! Making indexes anew of which readers found that they do not say what the batches do.
//!
//! Called in the round that also deletes what retention allows, on a disk thread. Nothing is cut
//! here: what is wrong with the batches themselves is found by whoever reads them.

use crate::model::Offset;
use crate::storage::StorageError;
use crate::storage::recovery::{self, Site};

use super::{Log, unless_full};

impl Log {
    /// Makes the doubted indexes of closed segments anew; how many segments had some. Those of the
    /// active one wait until it is closed.
    ///
    /// # Errors
    /// When files cannot be read or written: the log is then poisoned.
    pub fn mend_indexes(&mut self) -> Result<usize, StorageError> {
        self.refuse_if_poisoned()?;
        if self.shared.doubts.is_empty() {
            return Ok(0);
        }
        let mut mended = 0;
        for base_offset in self.shared.doubts.take() {
            let rebuilt = self.mend(base_offset);
            if unless_full(rebuilt)? == Some(true) {
                mended += 1;
            }
        }
        Ok(mended)
    }

    fn mend(&mut self, base_offset: Offset) -> Result<bool, StorageError> {
        let segment = {
            let view = self.shared.view();
            let at = view.segments.position_of(base_offset);
            let closed = at.filter(|at| at + 1 < view.segments.len());
            closed.map(|at| view.segments[at])
        };
        let Some(segment) = segment else {
            return Ok(false);
        };
        let site = Site::of(&self.shared.disk, &self.shared.directory, &self.config);
        let indexed = recovery::index_again(&site, segment);
        let (indexed, is_right) = self.note_failure(indexed)?;
        if !is_right {
            self.shared.suspect(base_offset);
        }
        log::info!("the indexes of segment {base_offset} were made anew");
        self.shared.handles.forget(base_offset);
        self.names_changed = true;
        let mut view = self.shared.view();
        if let Some(at) = view.segments.position_of(base_offset) {
            view.segments.change(|all| all[at] = indexed);
        }
        Ok(true)
    }
}
