//! Reading the batches of a segment one after the other, checked, at the pace a cleaner is given.
//!
//! Owned by a cleaning, which lends its buffer from segment to segment. Invariant: what is handed out
//! is whole, has the right checksum and lies behind what was handed out before; memory is bounded.

use std::path::PathBuf;
use std::sync::Arc;

use crate::model::Offset;
use crate::record::{BatchHeader, HEADER_SIZE, verify_crc};
use crate::storage::StorageError;
use crate::storage::disk::DiskFile;
use crate::storage::segment::scan::Located;
use crate::storage::segment::{SegmentInfo, fits_relative};

use super::{CleaningError, Pace};

/// Bytes of one read.
const CHUNK_BYTES: usize = 1 << 20;
/// The largest batch that is taken into memory; `segment.bytes` bounds what was ever appended.
pub(crate) const BATCH_BYTES_MAX: usize = 1 << 29;

/// One segment being read.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    file: Arc<dyn DiskFile>,
    base_offset: Offset,
    expected: Offset,
    end: u64,
    /// Bytes of the file from `buffer_position` on, as far as they were read.
    buffer: &'a mut Vec<u8>,
    buffer_position: u64,
    filled: usize,
    used: usize,
}

impl<'a> Source<'a> {
    /// Reads from the batch at `position` to the end of the segment.
    pub(crate) fn new(
        file: Arc<dyn DiskFile>,
        info: &SegmentInfo,
        position: u64,
        buffer: &'a mut Vec<u8>,
    ) -> Source<'a> {
        if buffer.len() > CHUNK_BYTES {
            buffer.truncate(CHUNK_BYTES);
            buffer.shrink_to_fit();
        }
        Source {
            file,
            base_offset: info.base_offset,
            expected: info.base_offset,
            end: info.size,
            buffer,
            buffer_position: position,
            filled: 0,
            used: 0,
        }
    }

    /// Where the next batch begins.
    fn position(&self) -> u64 {
        self.buffer_position + self.used as u64
    }

    /// The next batch; none at the end.
    pub(crate) fn next(
        &mut self,
        pace: &mut dyn Pace,
    ) -> Result<Option<(Located, &[u8])>, CleaningError> {
        let position = self.position();
        if position >= self.end {
            return Ok(None);
        }
        self.fill(HEADER_SIZE, pace)?;
        let header = BatchHeader::parse(&self.buffer[self.used..self.filled])
            .map_err(|error| self.damaged(error.to_string()))?;
        let size = header.size();
        if size > BATCH_BYTES_MAX && self.end - position >= size as u64 {
            return Err(self.too_large(size as u64, BATCH_BYTES_MAX as u64));
        }
        self.fill(size, pace)?;
        let bytes = self.used..self.used + size;
        self.check(&header, &self.buffer[bytes.clone()])?;
        self.expected = header.next_offset();
        self.used += size;
        Ok(Some((Located { header, position }, &self.buffer[bytes])))
    }

    fn check(&self, header: &BatchHeader, bytes: &[u8]) -> Result<(), CleaningError> {
        if !verify_crc(bytes) {
            let offset = header.base_offset;
            return Err(self.damaged(format!("the checksum of the batch at {offset} is wrong")));
        }
        let in_order = header.base_offset >= self.expected && header.last_offset_delta >= 0;
        if !in_order || !fits_relative(self.base_offset, header.last_offset()) {
            return Err(self.damaged(format!(
                "the batch claims offset {}, where {} or more was expected",
                header.base_offset, self.expected
            )));
        }
        Ok(())
    }

    /// Has at least `wanted` unused bytes in the buffer.
    fn fill(&mut self, wanted: usize, pace: &mut dyn Pace) -> Result<(), CleaningError> {
        let unused = self.filled - self.used;
        if unused >= wanted {
            return Ok(());
        }
        // Only what the file has may decide an allocation.
        if self.end - self.position() < wanted as u64 {
            return Err(self.damaged("the last batch is not whole".to_owned()));
        }
        self.buffer_position = self.position();
        self.buffer.copy_within(self.used..self.filled, 0);
        self.used = 0;
        self.filled = unused;
        let left = usize::try_from(self.end - self.buffer_position).unwrap_or(usize::MAX);
        let length = left.min(wanted.max(CHUNK_BYTES));
        if self.buffer.len() < length {
            self.buffer.resize(length, 0);
        }
        let position = self.buffer_position + unused as u64;
        match self
            .file
            .read_exact_at(&mut self.buffer[unused..length], position)
        {
            Ok(()) => self.filled = length,
            Err(StorageError::Corrupt { detail, .. }) => return Err(self.damaged(detail)),
            Err(error) => return Err(error.into()),
        }
        pace.moved((length - unused) as u64)?;
        Ok(())
    }

    /// The next batch cannot be what was appended.
    fn damaged(&self, detail: String) -> CleaningError {
        damaged(&*self.file, self.position(), self.expected, detail)
    }

    fn too_large(&self, bytes: u64, bytes_max: u64) -> CleaningError {
        CleaningError::TooLarge {
            path: self.file.path().to_owned(),
            position: self.position(),
            bytes,
            bytes_max,
        }
    }

    /// The file, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.file.path().to_owned()
    }
}

fn damaged(file: &dyn DiskFile, position: u64, offset: Offset, detail: String) -> CleaningError {
    CleaningError::Damaged {
        path: file.path().to_owned(),
        position,
        offset,
        detail,
    }
}
