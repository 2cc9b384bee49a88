//! Where the bytes for a fetch are: made from memory by the log's reader, carried out by whoever
//! has a thread to spend.
//!
//! A plan keeps its file open: the segment may be deleted meanwhile and the bytes still come.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::model::Offset;

use super::StorageError;
use super::disk::DiskFile;
use crate::protocol::{FileRange, RangeSource};

/// Bytes read at once for their effect on the page cache.
const WARM_UP_CHUNK: usize = 256 << 10;

/// A segment's file as an answer holds it.
struct SegmentBytes(Arc<dyn DiskFile>);

impl RangeSource for SegmentBytes {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.0
            .read_exact_at(buffer, position)
            .map_err(io::Error::other)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.0.descriptor()
    }
}

/// A range of whole batches in one file.
#[derive(Debug, Clone)]
pub struct ReadPlan {
    /// The segment's file and where in it to begin; none when there is nothing to read.
    pub(crate) range: Option<(Arc<dyn DiskFile>, u64)>,
    pub(crate) length: usize,
    pub(crate) next_offset: Offset,
    pub(crate) warm: bool,
    pub(crate) log_start_offset: Offset,
    pub(crate) log_end_offset: Offset,
}

impl ReadPlan {
    /// Bytes of the range.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The file and the position where the range begins.
    pub fn range(&self) -> Option<(&Arc<dyn DiskFile>, u64)> {
        self.range.as_ref().map(|(file, at)| (file, *at))
    }

    /// Where to go on reading behind this range.
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Whether the bytes were written so recently that they are surely in memory. Others may have
    /// to be read from the device first, which is work for a disk thread.
    pub fn is_warm(&self) -> bool {
        self.warm
    }

    /// Where the log began when the plan was made.
    pub fn log_start_offset(&self) -> Offset {
        self.log_start_offset
    }

    /// Where the log ended when the plan was made.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    /// Appends the range to `buffer`.
    ///
    /// # Errors
    /// When the file ends before the range does, because the log was cut meanwhile, or when the
    /// device fails. The buffer is then as it was.
    pub fn read(&self, buffer: &mut BytesMut) -> Result<(), StorageError> {
        let start = buffer.len();
        buffer.resize(start + self.length, 0);
        let result = self.read_into(&mut buffer[start..]);
        if result.is_err() {
            buffer.truncate(start);
        }
        result
    }

    /// Whether reading now would find everything in memory, so that it may be done on an arbiter.
    pub fn is_in_memory(&self) -> bool {
        self.warm
            || self
                .range
                .as_ref()
                .is_none_or(|(file, at)| file.is_cached(*at, self.length))
    }

    /// The range without a copy, when it lies in memory in one piece.
    pub fn share(&self) -> Option<Bytes> {
        let (file, position) = self.range.as_ref()?;
        file.share_at(*position, self.length)
    }

    /// Reads the range once, for its effect on the page cache. Work for a disk thread.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn warm_up(&self) -> Result<(), StorageError> {
        let Some((file, position)) = &self.range else {
            return Ok(());
        };
        let mut chunk = vec![0; WARM_UP_CHUNK.min(self.length)];
        let mut done = 0;
        while done < self.length {
            let length = chunk.len().min(self.length - done);
            file.read_exact_at(&mut chunk[..length], position + done as u64)?;
            done += length;
        }
        Ok(())
    }

    /// The range for sendfile(2); none when there is no file behind it.
    pub fn file_range(&self) -> Option<FileRange> {
        let (file, position) = self.range.as_ref()?;
        file.descriptor()?;
        let file: Arc<dyn RangeSource> = Arc::new(SegmentBytes(Arc::clone(file)));
        Some(FileRange {
            file,
            position: *position,
            length: self.length,
        })
    }

    /// Reads the beginning of the range into a buffer that may be shorter.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_into(&self, buffer: &mut [u8]) -> Result<(), StorageError> {
        let length = buffer.len().min(self.length);
        match &self.range {
            Some((file, position)) => file.read_exact_at(&mut buffer[..length], *position),
            None => Ok(()),
        }
    }
}
