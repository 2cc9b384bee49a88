//! Compressing records behind a header that is already in place.
//!
//! Called by the builder and by recompression. Invariant: what it writes is what Kafka's Java client
//! reads: gzip, xerial snappy, LZ4 frames of independent 64 KiB blocks, zstd frames.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};

use super::super::attributes::Codec;
use super::snappy::SnappyWriter;

/// Collects compressed bytes behind those it was given.
#[allow(
    clippy::large_enum_variant,
    reason = "one at a time, on the stack of the one function that uses it"
)]
pub(crate) enum Compressor {
    /// As they are.
    None(Vec<u8>),
    /// One gzip member.
    Gzip(GzEncoder<Vec<u8>>),
    /// Xerial frames.
    Snappy(SnappyWriter),
    /// One LZ4 frame.
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    /// One Zstandard frame.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    /// A compressor that appends to `out`. `level` None is the codec's own default; gzip takes -1
    /// (its default) and 1 to 9, zstd what the library takes, the others ignore it: the LZ4 library
    /// knows one level only.
    pub(crate) fn new(codec: Codec, level: Option<i32>, out: Vec<u8>) -> Result<Self, String> {
        Ok(match codec {
            Codec::None => Compressor::None(out),
            Codec::Gzip => {
                let level = level.and_then(|level| u32::try_from(level).ok());
                let level = level.map_or(Compression::default(), |level| {
                    Compression::new(level.clamp(1, 9))
                });
                Compressor::Gzip(GzEncoder::new(out, level))
            }
            Codec::Snappy => Compressor::Snappy(SnappyWriter::new(out)),
            Codec::Lz4 => {
                let frame = FrameInfo::new()
                    .block_size(BlockSize::Max64KB)
                    .block_mode(BlockMode::Independent);
                Compressor::Lz4(Box::new(FrameEncoder::with_frame_info(frame, out)))
            }
            Codec::Zstd => {
                let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
                let encoder = zstd::stream::write::Encoder::new(out, level);
                Compressor::Zstd(encoder.map_err(describe)?)
            }
        })
    }

    /// Bytes that came out so far, those it was given included; more may be on their way.
    pub(crate) fn written(&self) -> usize {
        match self {
            Compressor::None(out) => out.len(),
            Compressor::Gzip(gzip) => gzip.get_ref().len(),
            Compressor::Snappy(snappy) => snappy.written(),
            Compressor::Lz4(lz4) => lz4.get_ref().len(),
            Compressor::Zstd(zstd) => zstd.get_ref().len(),
        }
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        match self {
            Compressor::None(out) => {
                out.extend_from_slice(bytes);
                Ok(())
            }
            Compressor::Gzip(gzip) => gzip.write_all(bytes).map_err(describe),
            Compressor::Snappy(snappy) => snappy.write(bytes),
            Compressor::Lz4(lz4) => lz4.write_all(bytes).map_err(describe),
            Compressor::Zstd(zstd) => zstd.write_all(bytes).map_err(describe),
        }
    }

    /// Ends the stream and hands out all bytes.
    pub(crate) fn finish(self) -> Result<Vec<u8>, String> {
        match self {
            Compressor::None(out) => Ok(out),
            Compressor::Gzip(gzip) => gzip.finish().map_err(describe),
            Compressor::Snappy(snappy) => snappy.finish(),
            Compressor::Lz4(lz4) => lz4.finish().map_err(describe),
            Compressor::Zstd(zstd) => zstd.finish().map_err(describe),
        }
    }
}

fn describe(error: impl ToString) -> String {
    error.to_string()
}
