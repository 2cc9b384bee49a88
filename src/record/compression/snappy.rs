//! Snappy as Kafka's clients use it: the xerial framing of the Java client, or one raw block.
//!
//! Called by the decompressor and the compressor. The framing (of the Java library's
//! `SnappyOutputStream`): eight bytes of magic, two versions, then blocks with their compressed
//! length in front. Invariant: a block is decompressed only when its claimed size is one that its
//! compressed bytes can have.

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

/// Magic, version 1, compatible with version 1.
const XERIAL_HEADER: [u8; 16] = [
    0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1,
];
/// Only the magic is looked at when reading.
const XERIAL_MAGIC_BYTES: usize = 8;
/// Uncompressed bytes of a block written here, as the Java client's.
const BLOCK_BYTES: usize = 32 * 1024;
/// The densest element of the format makes 64 bytes of 3.
const RATIO_MAX: usize = 22;

/// Reads either framing.
pub(crate) struct SnappyReader<'a> {
    input: &'a [u8],
    xerial: bool,
    bytes_max: usize,
    block: &'a mut Vec<u8>,
    start: usize,
    end: usize,
}

impl<'a> SnappyReader<'a> {
    /// A reader that decompresses blocks into `block`, none of more than `bytes_max`.
    pub(super) fn new(input: &'a [u8], bytes_max: usize, block: &'a mut Vec<u8>) -> Self {
        let xerial = input.starts_with(&XERIAL_HEADER[..XERIAL_MAGIC_BYTES]);
        let blocks = if xerial {
            input.get(XERIAL_HEADER.len()..).unwrap_or_default()
        } else {
            input
        };
        SnappyReader {
            input: blocks,
            xerial,
            bytes_max,
            block,
            start: 0,
            end: 0,
        }
    }

    /// Copies out the next bytes; 0 at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, String> {
        while self.start == self.end {
            if self.input.is_empty() {
                return Ok(0);
            }
            let compressed = self.take_block()?;
            self.decompress(compressed)?;
        }
        let count = out.len().min(self.end - self.start);
        out[..count].copy_from_slice(&self.block[self.start..self.start + count]);
        self.start += count;
        Ok(count)
    }

    fn take_block(&mut self) -> Result<&'a [u8], String> {
        if !self.xerial {
            return Ok(std::mem::take(&mut self.input));
        }
        let (length, rest) = self
            .input
            .split_first_chunk()
            .ok_or("a block length is cut short")?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (block, rest) = length
            .and_then(|length| rest.split_at_checked(length))
            .ok_or("a block length is beyond the bytes")?;
        self.input = rest;
        Ok(block)
    }

    fn decompress(&mut self, compressed: &[u8]) -> Result<(), String> {
        let size = decompress_len(compressed).map_err(|error| error.to_string())?;
        if size > compressed.len().saturating_mul(RATIO_MAX) || size > self.bytes_max {
            return Err(format!("a block claims {size} bytes"));
        }
        if self.block.len() < size {
            self.block.resize(size, 0);
        }
        self.start = 0;
        self.end = Decoder::new()
            .decompress(compressed, &mut self.block[..size])
            .map_err(|error| error.to_string())?;
        Ok(())
    }
}

/// Writes the xerial framing, which every client reads.
pub(crate) struct SnappyWriter {
    out: Vec<u8>,
    pending: Vec<u8>,
    encoder: Encoder,
}

impl SnappyWriter {
    /// A writer behind what `out` holds already.
    pub(super) fn new(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(&XERIAL_HEADER);
        SnappyWriter {
            out,
            pending: Vec::new(),
            encoder: Encoder::new(),
        }
    }

    /// Bytes written so far.
    pub(super) fn written(&self) -> usize {
        self.out.len()
    }

    /// Compresses `bytes`, whole blocks at once.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            let room = (BLOCK_BYTES - self.pending.len()).min(bytes.len());
            let (part, rest) = bytes.split_at(room);
            self.pending.extend_from_slice(part);
            bytes = rest;
            if self.pending.len() == BLOCK_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Compresses what is left and hands out everything.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, String> {
        if !self.pending.is_empty() {
            self.flush()?;
        }
        Ok(self.out)
    }

    fn flush(&mut self) -> Result<(), String> {
        let length_at = self.out.len();
        let block_at = length_at + 4;
        self.out
            .resize(block_at + max_compress_len(self.pending.len()), 0);
        let size = self
            .encoder
            .compress(&self.pending, &mut self.out[block_at..])
            .map_err(|error| error.to_string())?;
        self.out.truncate(block_at + size);
        let length = u32::try_from(size).map_err(|error| error.to_string())?;
        self.out[length_at..block_at].copy_from_slice(&length.to_be_bytes());
        self.pending.clear();
        Ok(())
    }
}
