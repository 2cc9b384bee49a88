//! A sliding window over decompressed records, with a bound on all that passes through it.
//!
//! Called by the reader, which needs whole records, and by validation and recompression, which do
//! not. Invariant: the window grows only for the reader, and only as bytes arrive that fill it.

use super::compression::Decompressor;
use super::record_view::{RecordFault, RecordView};
use super::varint::{VARINT_BYTES_MAX, VARLONG_BYTES_MAX, take_varint, take_varlong};

/// Bytes of a window that has not grown. Records larger than it are validated piece by piece.
pub(super) const WINDOW_BYTES: usize = 64 * 1024;

/// What validation needs to know of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub(super) timestamp_delta: i64,
    pub(super) offset_delta: i32,
    pub(super) has_key: bool,
}

impl RecordHead {
    #[inline(always)]
    pub(super) fn parse(body: &[u8]) -> Result<RecordHead, RecordFault> {
        let record = RecordView::parse(body).map_err(RecordFault::Malformed)?;
        Ok(RecordHead {
            timestamp_delta: record.timestamp_delta,
            offset_delta: record.offset_delta,
            has_key: record.key.is_some(),
        })
    }
}

/// Decompressed bytes, in order, once.
pub(super) struct Window<'a> {
    source: Decompressor<'a>,
    buffer: &'a mut Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that may still come.
    left: usize,
    bytes_max: usize,
}

impl<'a> Window<'a> {
    /// A window that lets at most `bytes_max` bytes through.
    pub(super) fn new(
        source: Decompressor<'a>,
        bytes_max: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Window<'a> {
        if buffer.len() < WINDOW_BYTES {
            buffer.resize(WINDOW_BYTES, 0);
        }
        Window {
            source,
            buffer,
            start: 0,
            end: 0,
            left: bytes_max,
            bytes_max,
        }
    }

    /// The next bytes, whatever number of them; None at the end.
    pub(super) fn next_chunk(&mut self) -> Result<Option<&[u8]>, RecordFault> {
        (self.start, self.end) = (0, 0);
        if !self.fill()? {
            return Ok(None);
        }
        self.start = self.end;
        Ok(Some(&self.buffer[..self.end]))
    }

    /// The head of the next record, without keeping its contents together.
    pub(super) fn next_head(&mut self) -> Result<RecordHead, RecordFault> {
        let size = self.take_record_size()?;
        if size > self.buffer.len() {
            return self.skim(size);
        }
        while self.available() < size {
            if !self.fill()? {
                return Err(RecordFault::Truncated);
            }
        }
        let body = &self.buffer[self.start..self.start + size];
        self.start += size;
        RecordHead::parse(body)
    }

    /// The next record, whole; the window grows as far as that takes.
    pub(super) fn next_record(&mut self) -> Result<RecordView<'_>, RecordFault> {
        let size = self.take_record_size()?;
        while self.available() < size {
            if self.available() == self.buffer.len() {
                let grown = self.buffer.len().saturating_mul(2).min(size);
                self.buffer.resize(grown, 0);
            }
            if !self.fill()? {
                return Err(RecordFault::Truncated);
            }
        }
        let body = &self.buffer[self.start..self.start + size];
        self.start += size;
        RecordView::parse(body).map_err(RecordFault::Malformed)
    }

    /// Makes sure that nothing follows.
    pub(super) fn finish(&mut self) -> Result<(), RecordFault> {
        if self.available() > 0 || self.fill()? {
            return Err(RecordFault::TrailingBytes);
        }
        Ok(())
    }

    fn available(&self) -> usize {
        self.end - self.start
    }

    /// Reads more into the window, which is not full; false when there is no more.
    fn fill(&mut self) -> Result<bool, RecordFault> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let count = self.source.read(&mut self.buffer[self.end..])?;
        self.left = self
            .left
            .checked_sub(count)
            .ok_or(RecordFault::DecompressedTooLarge {
                bytes_max: self.bytes_max,
            })?;
        self.end += count;
        Ok(count > 0)
    }

    /// Reads until `bytes` are there or the end is reached, and lends what is there.
    fn peek(&mut self, bytes: usize) -> Result<&[u8], RecordFault> {
        while self.available() < bytes && self.fill()? {}
        Ok(&self.buffer[self.start..self.end])
    }

    fn take_record_size(&mut self) -> Result<usize, RecordFault> {
        let mut bytes = self.peek(VARINT_BYTES_MAX)?;
        if bytes.is_empty() {
            return Err(RecordFault::Truncated);
        }
        let before = bytes.len();
        let size = take_varint(&mut bytes).and_then(|size| usize::try_from(size).ok());
        let consumed = before - bytes.len();
        let size = size.ok_or(RecordFault::Malformed("length"))?;
        self.start += consumed;
        if size > self.available().saturating_add(self.left) {
            return Err(RecordFault::DecompressedTooLarge {
                bytes_max: self.bytes_max,
            });
        }
        Ok(size)
    }

    /// Walks through a record that is larger than the window.
    fn skim(&mut self, size: usize) -> Result<RecordHead, RecordFault> {
        let mut left = size;
        self.skip(1, &mut left)?;
        let timestamp_delta = self.take_number(&mut left, take_varlong, "timestamp delta")?;
        let offset_delta = self.take_number(&mut left, take_varint, "offset delta")?;
        let has_key = self.skip_bytes(&mut left, "key")?;
        self.skip_bytes(&mut left, "value")?;
        let headers = self.take_number(&mut left, take_varint, "header count")?;
        if headers < 0 {
            return Err(RecordFault::Malformed("negative header count"));
        }
        for _ in 0..headers {
            if !self.skip_bytes(&mut left, "header key")? {
                return Err(RecordFault::Malformed("null header key"));
            }
            self.skip_bytes(&mut left, "header value")?;
        }
        if left > 0 {
            return Err(RecordFault::Malformed(
                "its length is greater than its fields",
            ));
        }
        Ok(RecordHead {
            timestamp_delta,
            offset_delta,
            has_key,
        })
    }

    /// Reads a number that lies within the `left` bytes of a record.
    fn take_number<N>(
        &mut self,
        left: &mut usize,
        take: impl Fn(&mut &[u8]) -> Option<N>,
        field: &'static str,
    ) -> Result<N, RecordFault> {
        let bytes = self.peek(VARLONG_BYTES_MAX.min(*left))?;
        let mut rest = &bytes[..bytes.len().min(*left)];
        let before = rest.len();
        let number = take(&mut rest).ok_or(RecordFault::Malformed(field))?;
        let consumed = before - rest.len();
        self.start += consumed;
        *left -= consumed;
        Ok(number)
    }

    /// Skips a length and as many bytes; whether it was not null.
    fn skip_bytes(&mut self, left: &mut usize, field: &'static str) -> Result<bool, RecordFault> {
        let length = self.take_number(left, take_varint, field)?;
        if length == -1 {
            return Ok(false);
        }
        let length = usize::try_from(length).map_err(|_| RecordFault::Malformed(field))?;
        if length > *left {
            return Err(RecordFault::Malformed(field));
        }
        self.skip(length, left)?;
        Ok(true)
    }

    /// Skips bytes of a record that has at least as many left.
    fn skip(&mut self, mut bytes: usize, left: &mut usize) -> Result<(), RecordFault> {
        *left -= bytes;
        loop {
            let skipped = bytes.min(self.available());
            self.start += skipped;
            bytes -= skipped;
            if bytes == 0 {
                return Ok(());
            }
            if !self.fill()? {
                return Err(RecordFault::Truncated);
            }
        }
    }
}
