//! The codecs of record batches: decompressing as a stream, compressing in one go.
//!
//! Called by the reader, by validation and by the builder of this room. Invariant: no codec makes
//! more than it is asked for at once, and what a frame claims about its size decides no allocation
//! that the compressed bytes could not justify.

mod compressor;
mod lz4;
mod snappy;
mod zstd_stream;

pub(super) use compressor::Compressor;

use std::io::Read;

use flate2::bufread::MultiGzDecoder;
use zstd::zstd_safe::DCtx;

use super::attributes::Codec;
use super::record_view::RecordFault;
use lz4::Lz4Reader;
use snappy::SnappyReader;
use zstd_stream::ZstdReader;

/// What is kept of the buffers after an unusually large batch; more is given back.
const BLOCK_BYTES_KEPT_MAX: usize = 1 << 20;
/// What a zstd context may hold to be kept: windows of up to 8 MiB, which the usual levels need.
const ZSTD_BYTES_KEPT_MAX: usize = 16 << 20;

/// The buffers the codecs use again from batch to batch.
#[derive(Default)]
pub(super) struct CodecScratch {
    /// The block of snappy that is being lent.
    block: Vec<u8>,
    zstd: Option<DCtx<'static>>,
}

impl CodecScratch {
    /// Gives back what only an unusual batch needed.
    pub(super) fn trim(&mut self) {
        if self.block.capacity() > BLOCK_BYTES_KEPT_MAX {
            self.block = Vec::new();
        }
        if self
            .zstd
            .as_ref()
            .is_some_and(|zstd| zstd.sizeof() > ZSTD_BYTES_KEPT_MAX)
        {
            self.zstd = None;
        }
    }
}

/// A stream of decompressed bytes.
pub(super) enum Decompressor<'a> {
    /// One gzip member or several.
    Gzip(MultiGzDecoder<&'a [u8]>),
    /// Xerial frames or one raw block.
    Snappy(SnappyReader<'a>),
    /// One LZ4 frame.
    Lz4(Lz4Reader<'a>),
    /// Zstandard frames.
    Zstd(ZstdReader<'a>),
}

impl<'a> Decompressor<'a> {
    /// A stream over `input`; `bytes_max` bounds what a block may claim. None for `Codec::None`.
    pub(super) fn new(
        codec: Codec,
        input: &'a [u8],
        bytes_max: usize,
        scratch: &'a mut CodecScratch,
    ) -> Option<Decompressor<'a>> {
        Some(match codec {
            Codec::None => return None,
            Codec::Gzip => Decompressor::Gzip(MultiGzDecoder::new(input)),
            Codec::Snappy => {
                Decompressor::Snappy(SnappyReader::new(input, bytes_max, &mut scratch.block))
            }
            Codec::Lz4 => Decompressor::Lz4(Lz4Reader::new(input)),
            Codec::Zstd => Decompressor::Zstd(ZstdReader::new(
                input,
                scratch.zstd.get_or_insert_with(DCtx::create),
            )),
        })
    }

    /// Decompresses the next bytes into `out`, which is not empty. 0 is the end: of the stream, and
    /// of the compressed bytes with it.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, RecordFault> {
        match self {
            Decompressor::Gzip(gzip) => gzip.read(out).map_err(|error| fault(Codec::Gzip, error)),
            Decompressor::Snappy(snappy) => snappy
                .read(out)
                .map_err(|error| fault(Codec::Snappy, error)),
            Decompressor::Lz4(lz4) => lz4.read(out).map_err(|error| fault(Codec::Lz4, error)),
            Decompressor::Zstd(zstd) => zstd.read(out).map_err(|error| fault(Codec::Zstd, error)),
        }
    }
}

fn fault(codec: Codec, reason: impl ToString) -> RecordFault {
    RecordFault::Decompression {
        codec: codec.name(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
