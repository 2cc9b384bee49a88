//! A piece of a segment in memory, moved along by whoever walks over it.
//!
//! Used by `walk`. Invariant: memory is one buffer, whatever a file claims; bytes the device does not
//! give are zeroes, and remembered as trouble.

use std::sync::Arc;

use crate::storage::StorageError;
use crate::storage::disk::DiskFile;

/// Bytes of one read: what is read ahead of a walk, too, and dropped from memory behind it.
const WINDOW_BYTES: usize = 256 << 10;
/// The unit in which devices fail.
const SECTOR_BYTES: usize = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Window {
    file: Arc<dyn DiskFile>,
    end: u64,
    buffer: Vec<u8>,
    position: u64,
    /// All bytes that were read so far.
    read: u64,
    trouble: Option<String>,
}

impl Window {
    /// Looks at the first `end` bytes of a file.
    pub(crate) fn new(file: Arc<dyn DiskFile>, end: u64) -> Window {
        Window {
            file,
            end,
            buffer: Vec::new(),
            position: 0,
            read: 0,
            trouble: None,
        }
    }

    /// The file.
    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        &self.file
    }

    /// How many bytes were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.read
    }

    /// What the device said when it last did not give bytes, told once.
    pub(crate) fn take_trouble(&mut self) -> Option<String> {
        self.trouble.take()
    }

    /// Bytes from `position` on: as many as are at hand, and `least` or more of them unless the file
    /// ends before.
    pub(crate) fn get(&mut self, position: u64, least: usize) -> Result<&[u8], StorageError> {
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let least = least.min(left).min(WINDOW_BYTES);
        let skipped = self.skipped(position);
        let held = skipped.is_some_and(|skipped| skipped + least <= self.buffer.len());
        if !held {
            self.load(position, left.min(WINDOW_BYTES))?;
        }
        let skipped = self.skipped(position).unwrap_or(0);
        Ok(self.buffer.get(skipped..).unwrap_or_default())
    }

    fn skipped(&self, position: u64) -> Option<usize> {
        let skipped = position.checked_sub(self.position)?;
        usize::try_from(skipped).ok()
    }

    fn load(&mut self, position: u64, length: usize) -> Result<(), StorageError> {
        self.buffer.clear();
        self.buffer.resize(length, 0);
        self.position = position;
        let read = match self.file.read_aside(&mut self.buffer, position) {
            Err(error @ StorageError::Failed { .. }) => self.load_sectors(error)?,
            read => read?,
        };
        self.buffer.truncate(read);
        self.read += read as u64;
        Ok(())
    }

    /// Reads what the device gives of a piece that it does not give whole.
    fn load_sectors(&mut self, error: StorageError) -> Result<usize, StorageError> {
        let mut given = 0;
        for (at, sector) in self.buffer.chunks_mut(SECTOR_BYTES).enumerate() {
            let position = self.position + (at * SECTOR_BYTES) as u64;
            match self.file.read_at(sector, position) {
                Ok(read) => {
                    given += read;
                    sector[read..].fill(0);
                }
                Err(StorageError::Failed { .. }) => sector.fill(0),
                Err(error) => return Err(error),
            }
        }
        if given == 0 && self.read == 0 {
            // Not a bad spot: nothing of the file can be read at all.
            return Err(error);
        }
        self.trouble = Some(error.to_string());
        Ok(self.buffer.len())
    }
}
