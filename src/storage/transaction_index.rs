//! `.txnindex`: the aborted transactions whose markers lie in one segment (`TransactionIndex`).
//!
//! Owned by a segment of `storage::Log`; made with the first aborted transaction. Consumers of
//! committed records are told which transactions to leave out. Invariant: entries rise in their
//! last offset; the file holds exactly the entries in memory.

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StorageError;
use super::disk::{Disk, DiskFile, OpenMode};
use super::producer_state::CompletedTransaction;
use crate::model::{Offset, ProducerId};

/// How the files' names end.
pub const TRANSACTION_INDEX_SUFFIX: &str = ".txnindex";
/// Bytes of one entry.
pub const ENTRY_SIZE: usize = 34;

const VERSION: i16 = 0;
/// Two million aborted transactions in one segment.
const LENGTH_MAX: usize = 68 << 20;

/// One aborted transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// Its first record in this partition.
    pub first_offset: Offset,
    /// Its marker.
    pub last_offset: Offset,
    /// Everything below this was decided when it ended.
    pub last_stable_offset: Offset,
}

impl AbortedTransaction {
    /// The entry of a transaction that just ended.
    pub fn new(completed: &CompletedTransaction, last_stable_offset: Offset) -> AbortedTransaction {
        AbortedTransaction {
            producer_id: completed.producer_id,
            first_offset: completed.first_offset,
            last_offset: completed.last_offset,
            last_stable_offset,
        }
    }

    /// Kafka's bytes: a version and four numbers, big-endian.
    pub fn encode(&self) -> [u8; ENTRY_SIZE] {
        let mut bytes = [0; ENTRY_SIZE];
        bytes[..2].copy_from_slice(&VERSION.to_be_bytes());
        let numbers = [
            self.producer_id.0,
            self.first_offset.0,
            self.last_offset.0,
            self.last_stable_offset.0,
        ];
        for (place, number) in bytes[2..].as_chunks_mut::<8>().0.iter_mut().zip(numbers) {
            *place = number.to_be_bytes();
        }
        bytes
    }

    /// Reads one entry; `None` when its version is not known.
    pub fn decode(bytes: &[u8; ENTRY_SIZE]) -> Option<AbortedTransaction> {
        let (version, numbers) = bytes.split_first_chunk::<2>()?;
        if i16::from_be_bytes(*version) != VERSION {
            return None;
        }
        let [producer_id, first, last, stable] = numbers.as_chunks::<8>().0 else {
            return None;
        };
        Some(AbortedTransaction {
            producer_id: ProducerId(i64::from_be_bytes(*producer_id)),
            first_offset: Offset(i64::from_be_bytes(*first)),
            last_offset: Offset(i64::from_be_bytes(*last)),
            last_stable_offset: Offset(i64::from_be_bytes(*stable)),
        })
    }
}

/// The aborted transactions of one segment.
#[derive(Debug, Clone)]
pub struct TransactionIndex {
    path: PathBuf,
    file: Option<Arc<dyn DiskFile>>,
    entries: Vec<AbortedTransaction>,
}

impl TransactionIndex {
    /// An index without entries; the file is made when there are some.
    pub fn empty(path: PathBuf) -> TransactionIndex {
        TransactionIndex {
            path,
            file: None,
            entries: Vec::new(),
        }
    }

    /// Reads the index of the segment that starts at `base_offset`. No file, no entries.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`]: the caller rebuilds it from the log, after [`Self::reset`].
    pub fn open(
        disk: &dyn Disk,
        path: PathBuf,
        base_offset: Offset,
    ) -> Result<TransactionIndex, StorageError> {
        let Some(entries) = Self::read(disk, &path, base_offset)? else {
            return Ok(TransactionIndex::empty(path));
        };
        let file = Some(disk.open(&path, OpenMode::Write)?);
        Ok(TransactionIndex {
            path,
            file,
            entries,
        })
    }

    /// Reads the entries alone; none when there is no file.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn read(
        disk: &dyn Disk,
        path: &Path,
        base_offset: Offset,
    ) -> Result<Option<Vec<AbortedTransaction>>, StorageError> {
        let bytes = match disk.read_file(path, LENGTH_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error),
        };
        TransactionIndex::understand(&bytes, path, base_offset).map(Some)
    }

    /// Understands the bytes of such a file, for looking only.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn of_bytes(
        bytes: &[u8],
        path: PathBuf,
        base_offset: Offset,
    ) -> Result<TransactionIndex, StorageError> {
        let entries = TransactionIndex::understand(bytes, &path, base_offset)?;
        Ok(TransactionIndex {
            path,
            file: None,
            entries,
        })
    }

    fn understand(
        bytes: &[u8],
        path: &Path,
        base_offset: Offset,
    ) -> Result<Vec<AbortedTransaction>, StorageError> {
        let corrupt = |detail: &str| StorageError::corrupt(path, detail);
        let (chunks, rest) = bytes.as_chunks::<ENTRY_SIZE>();
        if !rest.is_empty() {
            return Err(corrupt("it ends within an entry"));
        }
        let mut entries: Vec<AbortedTransaction> = Vec::new();
        for bytes in chunks {
            let entry = AbortedTransaction::decode(bytes)
                .ok_or_else(|| corrupt("it has an entry of an unknown version"))?;
            let after = entries.last().map_or(Offset(i64::MIN), |e| e.last_offset);
            if entry.last_offset < base_offset || entry.last_offset <= after {
                return Err(corrupt("its entries do not rise from the segment's start"));
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Takes transactions whose markers lie at or above `offset` out of a file, which need not be
    /// there, and what is left of an entry at its end that was not written whole.
    pub fn cut(
        disk: &dyn Disk,
        path: PathBuf,
        base_offset: Offset,
        offset: Offset,
    ) -> Result<(), StorageError> {
        let file = match disk.open(&path, OpenMode::Write) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
        };
        let length = file.length()?;
        let whole = length - length % ENTRY_SIZE as u64;
        if whole < length {
            file.truncate(whole)?;
        }
        drop(file);
        TransactionIndex::open(disk, path, base_offset)?.truncate_to(offset)
    }

    /// Reads the entries whose markers lie below `from`, up to the first that cannot be one, and cuts
    /// the file off behind them: a loss of power may have torn what was added last.
    pub fn open_below(
        disk: &dyn Disk,
        path: PathBuf,
        base_offset: Offset,
        from: Offset,
    ) -> Result<TransactionIndex, StorageError> {
        let mut index = TransactionIndex::empty(path);
        let bytes = match disk.read_file(&index.path, LENGTH_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Ok(index),
            Err(error) => return Err(error),
        };
        let entries = bytes.as_chunks::<ENTRY_SIZE>().0;
        for entry in entries.iter().map_while(AbortedTransaction::decode) {
            let last = index.entries.last().map(|last| last.last_offset);
            let rises = entry.last_offset >= base_offset && Some(entry.last_offset) > last;
            if !rises || entry.last_offset >= from {
                break;
            }
            index.entries.push(entry);
        }
        let file = disk.open(&index.path, OpenMode::Write)?;
        if index.length() < bytes.len() as u64 {
            file.truncate(index.length())?;
        }
        index.file = Some(file);
        Ok(index)
    }

    /// Adds a transaction that ended behind all others.
    pub fn append(
        &mut self,
        disk: &dyn Disk,
        entry: AbortedTransaction,
    ) -> Result<(), StorageError> {
        if self
            .entries
            .last()
            .is_some_and(|last| last.last_offset >= entry.last_offset)
        {
            return Err(self.corrupt("an aborted transaction ends before the one in front of it"));
        }
        let file = match &self.file {
            Some(file) => Arc::clone(file),
            None => disk.open(&self.path, OpenMode::Truncate)?,
        };
        file.write_at(&[IoSlice::new(&entry.encode())], self.length())?;
        self.file = Some(file);
        self.entries.push(entry);
        Ok(())
    }

    /// The aborted transactions that overlap the offsets `from..upper_bound`, and whether no later
    /// segment can hold another.
    pub fn collect(
        &self,
        from: Offset,
        upper_bound: Offset,
        found: &mut Vec<AbortedTransaction>,
    ) -> bool {
        for entry in &self.entries {
            if entry.last_offset >= from && entry.first_offset < upper_bound {
                found.push(*entry);
            }
            if entry.last_stable_offset >= upper_bound {
                return true;
            }
        }
        false
    }

    /// Removes transactions whose marker lies at or above `offset`: the log was cut back to it.
    pub fn truncate_to(&mut self, offset: Offset) -> Result<(), StorageError> {
        let kept = self.entries.partition_point(|e| e.last_offset < offset);
        if kept == self.entries.len() {
            return Ok(());
        }
        self.entries.truncate(kept);
        match &self.file {
            Some(file) => file.truncate(self.length()),
            None => Ok(()),
        }
    }

    /// Removes all entries, so that the index can be rebuilt.
    pub fn reset(&mut self) -> Result<(), StorageError> {
        self.truncate_to(Offset(i64::MIN))
    }

    /// The entries, in order of their markers.
    pub fn entries(&self) -> &[AbortedTransaction] {
        &self.entries
    }

    /// The file, when there is one: to flush it, or to delete it with its segment.
    pub fn file(&self) -> Option<&Arc<dyn DiskFile>> {
        self.file.as_ref()
    }

    /// Where the file is or will be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes in the file.
    pub fn length(&self) -> u64 {
        (self.entries.len() as u64).saturating_mul(ENTRY_SIZE as u64)
    }

    fn corrupt(&self, detail: &str) -> StorageError {
        StorageError::corrupt(&self.path, detail)
    }
}

#[cfg(test)]
#[path = "transaction_index_tests.rs"]
mod tests;
