//! Reading the records of a batch one by one, compressed or not, without an allocation per record.
//!
//! Called by whoever looks into records: compaction, lookups by timestamp, the loading of internal
//! topics, dumps and tests. Invariant: exactly as many records come out as the header counts, or an
//! error; and never more bytes than the caller allows.

use super::attributes::Codec;
use super::batch_header::{BatchHeader, HEADER_SIZE};
use super::compression::{CodecScratch, Decompressor};
use super::fast_head::usual_head;
use super::record_view::{RecordFault, RecordView};
use super::varint::take_varint;
use super::window::{RecordHead, WINDOW_BYTES, Window};

/// A window larger than this is not kept from batch to batch.
const WINDOW_BYTES_KEPT_MAX: usize = 1 << 20;

/// Buffers that are used again from batch to batch; one for each thread of work is enough. Empty
/// until a compressed batch comes.
#[derive(Default)]
pub struct Scratch {
    window: Vec<u8>,
    codecs: CodecScratch,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch")
            .field("window_bytes", &self.window.len())
            .finish_non_exhaustive()
    }
}

impl Scratch {
    /// Empty buffers.
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// Gives back what only an unusually large batch needed. Validation does it by itself; readers
    /// of batches may do it between batches.
    pub fn trim(&mut self) {
        if self.window.len() > WINDOW_BYTES_KEPT_MAX {
            self.window = vec![0; WINDOW_BYTES];
        }
        self.codecs.trim();
    }
}

/// The bytes behind a header: records as they are, or a window over what they decompress to.
#[allow(
    clippy::large_enum_variant,
    reason = "one for each batch, on the stack of whoever walks over it"
)]
pub(super) enum RecordBytes<'a> {
    /// Uncompressed.
    Plain(&'a [u8]),
    /// Compressed.
    Stream(Window<'a>),
}

/// Opens the bytes behind the header of `batch`, which is whole. At most `bytes_max` bytes come out
/// of compressed ones.
pub(super) fn open<'a>(
    codec: Codec,
    batch: &'a [u8],
    bytes_max: usize,
    scratch: &'a mut Scratch,
) -> RecordBytes<'a> {
    let bytes = batch.get(HEADER_SIZE..).unwrap_or_default();
    match Decompressor::new(codec, bytes, bytes_max, &mut scratch.codecs) {
        None => RecordBytes::Plain(bytes),
        Some(source) => RecordBytes::Stream(Window::new(source, bytes_max, &mut scratch.window)),
    }
}

/// A reader over the records of `batch`, whose header is `header`. Compressed ones may come to at
/// most `decompressed_bytes_max` bytes. The checksum is the caller's business.
pub fn records<'a>(
    header: &BatchHeader,
    batch: &'a [u8],
    decompressed_bytes_max: usize,
    scratch: &'a mut Scratch,
) -> Result<RecordReader<'a>, RecordFault> {
    let codec = header.codec().map_err(RecordFault::UnknownCodec)?;
    if header.records_count < 0 {
        return Err(RecordFault::Malformed("negative count of records"));
    }
    let bytes = if header.records_count == 0 {
        // A batch that compaction emptied keeps its codec and has no stream.
        RecordBytes::Plain(batch.get(HEADER_SIZE..).unwrap_or_default())
    } else {
        open(codec, batch, decompressed_bytes_max, scratch)
    };
    Ok(RecordReader {
        left: header.records_count,
        bytes,
    })
}

/// Lends the records of a batch, one at a time.
pub struct RecordReader<'a> {
    left: i32,
    bytes: RecordBytes<'a>,
}

impl std::fmt::Debug for RecordReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordReader")
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl RecordReader<'_> {
    /// The next record, or None behind the last one. After an error there is nothing more to ask.
    #[allow(
        clippy::should_implement_trait,
        reason = "lends from the reader, which Iterator cannot say"
    )]
    pub fn next(&mut self) -> Result<Option<RecordView<'_>>, RecordFault> {
        if self.left == 0 {
            return match &mut self.bytes {
                RecordBytes::Plain(rest) => finish_plain(rest).map(|()| None),
                RecordBytes::Stream(window) => window.finish().map(|()| None),
            };
        }
        self.left -= 1;
        match &mut self.bytes {
            RecordBytes::Plain(rest) => {
                let body = take_body(rest)?;
                let record = RecordView::parse(body).map_err(RecordFault::Malformed)?;
                Ok(Some(record))
            }
            RecordBytes::Stream(window) => window.next_record().map(Some),
        }
    }
}

/// The heads of records, in their order: what validation walks over.
pub(super) trait Heads {
    /// The next one; asked as often as the header counts records.
    fn next(&mut self) -> Result<RecordHead, RecordFault>;

    /// Makes sure that nothing follows.
    fn finish(&mut self) -> Result<(), RecordFault>;
}

impl Heads for &[u8] {
    #[inline(always)]
    fn next(&mut self) -> Result<RecordHead, RecordFault> {
        let bytes: &[u8] = self;
        let (head, rest) = match usual_head(bytes) {
            Some((head, end)) => (head, bytes.get(end..).ok_or(RecordFault::Truncated)?),
            None => take_head(bytes)?,
        };
        *self = rest;
        Ok(head)
    }

    fn finish(&mut self) -> Result<(), RecordFault> {
        finish_plain(self)
    }
}

impl Heads for Window<'_> {
    fn next(&mut self) -> Result<RecordHead, RecordFault> {
        self.next_head()
    }

    fn finish(&mut self) -> Result<(), RecordFault> {
        Window::finish(self)
    }
}

/// Takes a record from the front of `bytes`, field by field, and says what follows it. By value, so
/// that whoever walks over records keeps its place in registers.
#[inline(never)]
pub(super) fn take_head(mut bytes: &[u8]) -> Result<(RecordHead, &[u8]), RecordFault> {
    let body = take_body(&mut bytes)?;
    Ok((RecordHead::parse(body)?, bytes))
}

/// Takes the body of a record from the front of `rest`.
#[inline(always)]
pub(super) fn take_body<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], RecordFault> {
    if rest.is_empty() {
        return Err(RecordFault::Truncated);
    }
    let size = take_varint(rest)
        .and_then(|size| usize::try_from(size).ok())
        .ok_or(RecordFault::Malformed("length"))?;
    let (body, behind) = rest.split_at_checked(size).ok_or(RecordFault::Truncated)?;
    *rest = behind;
    Ok(body)
}

pub(super) fn finish_plain(rest: &[u8]) -> Result<(), RecordFault> {
    if rest.is_empty() {
        Ok(())
    } else {
        Err(RecordFault::TrailingBytes)
    }
}
