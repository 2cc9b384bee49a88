//! Zstandard frames as a stream, with a context that is used again.
//!
//! Called by the decompressor. Invariant: the end is reached only at the end of a whole frame and of
//! the input; the library itself refuses windows beyond 128 MiB.

use zstd::zstd_safe::{self, DCtx, InBuffer, OutBuffer, ResetDirective};

/// Reads one frame or several.
pub(crate) struct ZstdReader<'a> {
    input: &'a [u8],
    context: &'a mut DCtx<'static>,
    /// Whether the last step ended a frame.
    between_frames: bool,
    fresh: bool,
}

impl<'a> ZstdReader<'a> {
    /// A reader over `input`; whatever `context` was doing is forgotten.
    pub(super) fn new(input: &'a [u8], context: &'a mut DCtx<'static>) -> Self {
        ZstdReader {
            input,
            context,
            between_frames: false,
            fresh: true,
        }
    }

    /// Decompresses the next bytes; 0 at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, String> {
        if std::mem::take(&mut self.fresh) {
            self.context
                .reset(ResetDirective::SessionOnly)
                .map_err(describe)?;
        }
        loop {
            if self.input.is_empty() && self.between_frames {
                return Ok(0);
            }
            let mut input = InBuffer::around(self.input);
            let mut output = OutBuffer::around(&mut *out);
            let hint = self
                .context
                .decompress_stream(&mut output, &mut input)
                .map_err(describe)?;
            let (consumed, produced) = (input.pos(), output.pos());
            self.input = &self.input[consumed..];
            self.between_frames = hint == 0;
            if produced > 0 {
                return Ok(produced);
            }
            if consumed == 0 && !(self.between_frames && self.input.is_empty()) {
                return Err("the frame is cut short".to_owned());
            }
        }
    }
}

fn describe(code: zstd_safe::ErrorCode) -> String {
    zstd_safe::get_error_name(code).to_owned()
}
