//! What batches say about their producers: checked before an append, noted after it, and noted
//! again when a log is opened.

use std::sync::Arc;

use crate::model::Offset;
use crate::record::{BatchHeader, EndTransactionMarker, Scratch, records};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::producer_state::{
    CompletedTransaction, ProducerBatch, ProducerStates, RecentBatch, SequenceError,
    TransactionMarker, Verdict, snapshot_path, write_snapshot,
};
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::segment::scan::Located;
use crate::storage::transaction_index::{AbortedTransaction, TransactionIndex};

use super::Log;
use super::view::Shared;

/// A control batch is one small record; a larger one is no marker of ours or of Kafka's.
const MARKER_BYTES_MAX: usize = 4096;

/// The marker in a control batch that ends a transaction; none for other control batches.
fn marker_of(header: &BatchHeader, bytes: &[u8]) -> Option<TransactionMarker> {
    if !header.is_control() || !header.has_producer_id() {
        return None;
    }
    let mut scratch = Scratch::new();
    let mut reader = records(header, bytes, MARKER_BYTES_MAX, &mut scratch).ok()?;
    let record = reader.next().ok()??;
    let marker = EndTransactionMarker::parse(&record).ok()?;
    Some(TransactionMarker {
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        coordinator_epoch: marker.coordinator_epoch,
        aborted: !marker.committed,
        timestamp: header.max_timestamp,
    })
}

/// Takes note of a batch that is in the log; an ended transaction comes back.
fn note(
    states: &mut ProducerStates,
    header: &BatchHeader,
    bytes: &[u8],
) -> Option<CompletedTransaction> {
    let completed = if header.is_control() {
        marker_of(header, bytes)
            .and_then(|marker| states.update_marker(&marker, header.base_offset))
    } else {
        if let Some(batch) = ProducerBatch::of(header) {
            states.update(&batch, header.base_offset);
        }
        None
    };
    states.set_end_offset(header.next_offset());
    completed
}

/// Takes note of a batch found in a segment; an ended transaction comes back.
pub(crate) fn note_batch(
    states: &mut ProducerStates,
    located: &Located,
    file: &dyn DiskFile,
) -> Result<Option<CompletedTransaction>, StorageError> {
    let mut bytes = Vec::new();
    if located.header.is_control() && located.header.size() <= MARKER_BYTES_MAX {
        bytes.resize(located.header.size(), 0);
        file.read_exact_at(&mut bytes, located.position)?;
    }
    Ok(note(states, &located.header, &bytes))
}

impl Log {
    /// Decides about a batch before it is written; one that is in the log already comes back.
    pub(super) fn check_producer(
        &self,
        header: &BatchHeader,
        bytes: &[u8],
    ) -> Result<Option<RecentBatch>, SequenceError> {
        if header.is_control() {
            if let Some(marker) = marker_of(header, bytes) {
                self.producers.check_marker(&marker)?;
            }
            return Ok(None);
        }
        let Some(batch) = ProducerBatch::of(header) else {
            return Ok(None);
        };
        match self.producers.check(&batch)? {
            Verdict::Append => Ok(None),
            Verdict::Duplicate(known) => Ok(Some(known)),
        }
    }

    /// Takes note of a batch that was written.
    pub(super) fn note_producer(&mut self, header: &BatchHeader, bytes: &[u8]) {
        // What it aborts is in the index already.
        let _ = note(&mut self.producers, header, bytes);
    }

    /// Puts the transaction that a marker is about to abort into the index: before the marker is
    /// written, so that a marker that was written is never without its entry. Says whether there is
    /// one.
    pub(super) fn index_what_it_aborts(
        &mut self,
        header: &BatchHeader,
        bytes: &[u8],
    ) -> Result<bool, StorageError> {
        if !header.is_control() {
            return Ok(false);
        }
        let completed = marker_of(header, bytes)
            .and_then(|marker| self.producers.would_complete(&marker, header.base_offset))
            .filter(|(completed, _)| completed.aborted);
        let base_offset = self.shared.view().segments.last().map(|s| s.base_offset);
        let (Some((completed, stable)), Some(base_offset)) = (completed, base_offset) else {
            return Ok(false);
        };
        let entry = AbortedTransaction::new(&completed, stable);
        let added = self.index_aborted(base_offset, entry);
        if added.is_err() {
            // Half an entry may be there.
            self.unindex_from(header.base_offset)?;
        }
        self.note_failure(added).map(|()| true)
    }

    /// The marker was not written.
    pub(super) fn unindex_from(&mut self, offset: Offset) -> Result<(), StorageError> {
        let base_offset = self.shared.view().segments.last().map(|s| s.base_offset);
        let Some(base_offset) = base_offset else {
            return Ok(());
        };
        let cut = cut_transaction_index(&self.shared, base_offset, offset);
        self.note_failure(cut)
    }

    fn index_aborted(
        &mut self,
        base_offset: Offset,
        entry: AbortedTransaction,
    ) -> Result<(), StorageError> {
        let disk: &Arc<dyn Disk> = &self.shared.disk;
        let name = FileName::live(base_offset, FileKind::TransactionIndex).to_string();
        let path = self.shared.directory.join(name);
        let mut index = TransactionIndex::open(&**disk, path, base_offset)?;
        index.append(&**disk, entry)?;
        self.names_changed = true;
        self.note_unflushed(index.path());
        if let Some(info) = self.shared.view().segments.last_mut() {
            info.has_aborted = true;
        }
        Ok(())
    }

    /// Writes the producers' state at the log's end. Without space there is none: the next start
    /// reads more of the log instead.
    pub(super) fn write_snapshot(&mut self) -> Result<(), StorageError> {
        self.producers.set_end_offset(self.log_end_offset);
        let disk = Arc::clone(&self.shared.disk);
        match write_snapshot(&*disk, &self.shared.directory, &self.producers, false) {
            Err(error) if error.is_passing() => {
                log::warn!("no producer snapshot at {}: {error}", self.log_end_offset);
                Ok(())
            }
            Err(error) => self.note_failure(Err(error)),
            Ok(offset) => {
                self.names_changed = true;
                // Else one of another history, which this one replaced, could come back.
                self.note_unflushed(&snapshot_path(self.directory(), offset));
                Ok(())
            }
        }
    }
}

/// Takes the transactions whose markers lie at or above `offset` out of a segment's index, and what
/// is left of an entry that was not written whole.
pub(super) fn cut_transaction_index(
    shared: &Shared,
    base_offset: Offset,
    offset: Offset,
) -> Result<(), StorageError> {
    let name = FileName::live(base_offset, FileKind::TransactionIndex).to_string();
    TransactionIndex::cut(
        &*shared.disk,
        shared.directory.join(name),
        base_offset,
        offset,
    )
}
