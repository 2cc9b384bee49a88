//! LZ4 frames, held to what Kafka's Java client reads.
//!
//! Called by the decompressor. Kafka's `Lz4BlockInputStream` wants version 1, independent blocks, no
//! dictionary and an end mark; a batch without them would be stored here and stop every Java
//! consumer. Invariant: the frame was walked, block by block, to the last byte of the input before
//! any of it is decompressed.

use std::io::Read;

use lz4_flex::frame::FrameDecoder;

const MAGIC: [u8; 4] = 0x184d_2204u32.to_le_bytes();
/// Version 1 (bits 6-7), independent blocks (bit 5), no reserved bit, no dictionary (bit 0).
const FLAGS_MASK: u8 = 0b1110_0011;
const FLAGS_WANTED: u8 = 0b0110_0000;
const BLOCK_CHECKSUMS: u8 = 0b0001_0000;
const CONTENT_SIZE: u8 = 0b0000_1000;
const CONTENT_CHECKSUM: u8 = 0b0000_0100;

/// Reads one frame.
pub(crate) struct Lz4Reader<'a> {
    decoder: FrameDecoder<&'a [u8]>,
    checked: bool,
}

impl<'a> Lz4Reader<'a> {
    /// A reader over `input`.
    pub(super) fn new(input: &'a [u8]) -> Self {
        Lz4Reader {
            decoder: FrameDecoder::new(input),
            checked: false,
        }
    }

    /// Decompresses the next bytes; 0 at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, String> {
        if !self.checked {
            check_frame(self.decoder.get_ref())?;
            self.checked = true;
        }
        let count = self.decoder.read(out).map_err(|error| error.to_string())?;
        // A block of nothing looks like an end to the decoder.
        if count == 0 && !self.decoder.get_ref().is_empty() {
            return Err("a block is empty".to_owned());
        }
        Ok(count)
    }
}

/// Walks over the blocks of a frame without looking into them.
fn check_frame(input: &[u8]) -> Result<(), &'static str> {
    let rest = input.strip_prefix(&MAGIC).ok_or("it is not a frame")?;
    let &flags = rest.first().ok_or("the frame is cut short")?;
    if flags & FLAGS_MASK != FLAGS_WANTED {
        return Err("only frames of version 1 with independent blocks are served");
    }
    let content_size = if flags & CONTENT_SIZE == 0 { 0 } else { 8 };
    let block_checksum = if flags & BLOCK_CHECKSUMS == 0 { 0 } else { 4 };
    let content_checksum = if flags & CONTENT_CHECKSUM == 0 { 0 } else { 4 };
    // Flags, block size and header checksum.
    let mut rest = rest
        .get(3 + content_size..)
        .ok_or("the frame is cut short")?;
    loop {
        let (size, behind) = rest
            .split_first_chunk()
            .ok_or("the frame has no end mark")?;
        // The top bit tells an uncompressed block.
        let size = (u32::from_le_bytes(*size) & 0x7fff_ffff) as usize;
        if size == 0 {
            return match behind.len() == content_checksum {
                true => Ok(()),
                false => Err("bytes follow the frame, or its checksum is missing"),
            };
        }
        rest = behind
            .get(size + block_checksum..)
            .ok_or("a block is cut short")?;
    }
}
