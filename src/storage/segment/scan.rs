//! Walking over a segment's batches: headers only, or whole with their checksums.

use std::sync::Arc;

use crate::model::Offset;
use crate::record::{BatchError, BatchHeader, HEADER_SIZE, verify_crc};
use crate::storage::StorageError;
use crate::storage::disk::DiskFile;

/// Bytes of one read when only headers matter: batches between two index entries fit in.
const WINDOW_BYTES: usize = 4096;

/// A header, and where its batch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Located {
    /// The header as stored.
    pub(crate) header: BatchHeader,
    /// Where the batch begins in the segment.
    pub(crate) position: u64,
}

impl Located {
    /// Where the batch ends in the segment.
    pub(crate) fn end(&self) -> u64 {
        self.position + self.header.size() as u64
    }
}

/// Goes from header to header, reading as little as it can.
#[derive(Debug)]
pub(crate) struct HeaderScan {
    file: Arc<dyn DiskFile>,
    position: u64,
    end: u64,
    window: [u8; WINDOW_BYTES],
    window_position: u64,
    window_length: usize,
}

impl HeaderScan {
    /// Walks from the batch at `position` to `end`, which is the segment's size.
    pub(crate) fn new(file: Arc<dyn DiskFile>, position: u64, end: u64) -> HeaderScan {
        HeaderScan {
            file,
            position,
            end,
            window: [0; WINDOW_BYTES],
            window_position: 0,
            window_length: 0,
        }
    }

    /// Where the next batch begins; at the end, where the last whole one ends.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Lets the scan begin again with a batch it has come to.
    pub(crate) fn go_back_to(&mut self, batch: &Located) {
        self.position = batch.position;
    }

    /// The next header; none at the end, or before a batch that is not whole.
    pub(crate) fn next(&mut self) -> Result<Option<Located>, StorageError> {
        if self.end.saturating_sub(self.position) < HEADER_SIZE as u64 {
            return Ok(None);
        }
        let header = match BatchHeader::parse(self.head()?) {
            Ok(header) => header,
            Err(error) => return Err(damaged(&*self.file, self.position, &error)),
        };
        let located = Located {
            header,
            position: self.position,
        };
        if located.end() > self.end {
            return Ok(None);
        }
        self.position = located.end();
        Ok(Some(located))
    }

    fn head(&mut self) -> Result<&[u8], StorageError> {
        let inside = self
            .position
            .checked_sub(self.window_position)
            .and_then(|skipped| usize::try_from(skipped).ok())
            .filter(|skipped| skipped + HEADER_SIZE <= self.window_length);
        if let Some(skipped) = inside {
            return Ok(&self.window[skipped..skipped + HEADER_SIZE]);
        }
        let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        let wanted = left.min(WINDOW_BYTES);
        let read = self
            .file
            .read_at(&mut self.window[..wanted], self.position)?;
        self.window_position = self.position;
        self.window_length = read;
        Ok(&self.window[..read.min(HEADER_SIZE)])
    }
}

fn damaged(file: &dyn DiskFile, position: u64, error: &BatchError) -> StorageError {
    StorageError::corrupt(file.path(), format!("no batch at byte {position}: {error}"))
}

/// Bytes of offset and length, with which a batch of any format begins.
const LENGTH_END: u64 = 12;

/// Bytes of one read when whole batches matter.
const CHUNK_BYTES: usize = 1 << 20;

/// Why a scan of whole batches stopped before the end of the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Torn {
    /// The file ends inside a batch.
    #[error("the last batch is not whole")]
    Partial,
    /// What follows is no batch.
    #[error("{0}")]
    NoBatch(BatchError),
    /// The bytes are not those that were appended.
    #[error("the checksum of the batch at offset {0} is wrong")]
    Checksum(Offset),
    /// What follows looks like a batch of a format that is not known here.
    #[error("a batch of format {0} follows, and only 2 is known")]
    Format(i8),
    /// The batch claims offsets that are taken, or belong into another segment.
    #[error("the batch claims offset {0}, where {1} or more was expected")]
    Offsets(Offset, Offset),
}

/// Goes from batch to batch with their bytes, believing nothing: used by recovery.
#[derive(Debug)]
pub(crate) struct BatchScan {
    file: Arc<dyn DiskFile>,
    base_offset: Offset,
    expected: Offset,
    end: u64,
    /// Bytes of the file from `buffer_position` on.
    buffer: Vec<u8>,
    buffer_position: u64,
    /// How much of the buffer was handed out.
    used: usize,
    torn: Option<Torn>,
}

impl BatchScan {
    /// Walks over a whole file of `length` bytes whose segment begins at `base_offset`.
    pub(crate) fn new(file: Arc<dyn DiskFile>, base_offset: Offset, length: u64) -> BatchScan {
        BatchScan {
            file,
            base_offset,
            expected: base_offset,
            end: length,
            buffer: Vec::new(),
            buffer_position: 0,
            used: 0,
            torn: None,
        }
    }

    /// Lets the walk begin behind a batch.
    pub(crate) fn behind(self, batch: &Located) -> BatchScan {
        BatchScan {
            expected: batch.header.next_offset(),
            buffer_position: batch.end(),
            ..self
        }
    }

    /// Where the last batch that was handed out ends: all before it is whole and right.
    pub(crate) fn position(&self) -> u64 {
        self.buffer_position + self.used as u64
    }

    /// Why the walk ended before the file did.
    pub(crate) fn torn(&self) -> Option<&Torn> {
        self.torn.as_ref()
    }

    /// The next batch, checked; none at the end or at the first thing that is wrong.
    pub(crate) fn next(&mut self) -> Result<Option<(Located, &[u8])>, StorageError> {
        if self.torn.is_some() || self.position() == self.end {
            return Ok(None);
        }
        let Some(size) = self.fill_batch()? else {
            return Ok(None);
        };
        let position = self.position();
        let bytes = &self.buffer[self.used..self.used + size];
        let header = match check(bytes, self.base_offset, self.expected) {
            Ok(header) => header,
            Err(torn) => {
                self.torn = Some(torn);
                return Ok(None);
            }
        };
        self.expected = header.next_offset();
        self.used += size;
        Ok(Some((Located { header, position }, bytes)))
    }

    /// Has the whole next batch in the buffer; its size, or none when there is no whole one.
    fn fill_batch(&mut self) -> Result<Option<usize>, StorageError> {
        if !self.fill(HEADER_SIZE)? {
            return Ok(None);
        }
        match BatchHeader::parse(&self.buffer[self.used..]) {
            Ok(header) => Ok(self.fill(header.size())?.then_some(header.size())),
            Err(BatchError::Magic(magic)) if self.is_like_a_batch() => {
                self.torn = Some(Torn::Format(magic));
                Ok(None)
            }
            Err(error) => {
                self.torn = Some(Torn::NoBatch(error));
                Ok(None)
            }
        }
    }

    /// Whether what follows has an offset and a length that would be right here. Every format of
    /// Kafka's begins with them, and no garbage does by chance.
    fn is_like_a_batch(&self) -> bool {
        let Some((offset, rest)) = self.buffer[self.used..].split_first_chunk() else {
            return false;
        };
        let Some(length) = rest.first_chunk() else {
            return false;
        };
        let offset = Offset(i64::from_be_bytes(*offset));
        let left = self.end - self.position();
        let fits = |length| u64::from(length) + LENGTH_END <= left;
        offset >= self.expected
            && super::fits_relative(self.base_offset, offset)
            && u32::try_from(i32::from_be_bytes(*length)).is_ok_and(fits)
    }

    /// Has at least `wanted` unused bytes in the buffer, if the file has them.
    fn fill(&mut self, wanted: usize) -> Result<bool, StorageError> {
        let unused = self.buffer.len() - self.used;
        if unused >= wanted {
            return Ok(true);
        }
        // Only now that the file is known to be that long may the size decide an allocation.
        if self.end - self.position() < wanted as u64 {
            self.torn = Some(Torn::Partial);
            return Ok(false);
        }
        self.buffer_position = self.position();
        self.buffer.drain(..self.used);
        self.used = 0;
        let left = usize::try_from(self.end - self.buffer_position).unwrap_or(usize::MAX);
        self.buffer.resize(left.min(wanted.max(CHUNK_BYTES)), 0);
        let position = self.buffer_position + unused as u64;
        self.file
            .read_exact_at(&mut self.buffer[unused..], position)?;
        Ok(true)
    }
}

fn check(bytes: &[u8], base_offset: Offset, expected: Offset) -> Result<BatchHeader, Torn> {
    let header = BatchHeader::parse(bytes).map_err(Torn::NoBatch)?;
    if !verify_crc(bytes) {
        return Err(Torn::Checksum(header.base_offset));
    }
    let in_order = header.base_offset >= expected && header.last_offset_delta >= 0;
    if !in_order || !super::fits_relative(base_offset, header.last_offset()) {
        return Err(Torn::Offsets(header.base_offset, expected));
    }
    Ok(header)
}
