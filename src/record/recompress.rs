//! Storing a batch in another codec than it came in.
//!
//! Called by validation, for batches it has found valid. Invariant: the records come out byte for
//! byte as they went in; only their compression changes.

use super::attributes::Codec;
use super::batch_header::HEADER_SIZE;
use super::compression::Compressor;
use super::record_reader::{RecordBytes, Scratch, open};
use super::rules::{InvalidBatch, ProduceRules, TopicCompression};

/// The records of `batch` in the codec `target`, behind room for a header.
pub(super) fn recompress(
    batch: &[u8],
    source: Codec,
    target: Codec,
    rules: &ProduceRules,
    scratch: &mut Scratch,
) -> Result<Vec<u8>, InvalidBatch> {
    let level = match rules.compression {
        TopicCompression::Codec { level, .. } => Some(level),
        TopicCompression::Producer | TopicCompression::Uncompressed => None,
    };
    let failed = |reason: String| InvalidBatch::UnsupportedCompression {
        message: format!("the batch cannot be stored as {}: {reason}", target.name()),
    };
    let mut compressor = Compressor::new(target, level, vec![0; HEADER_SIZE]).map_err(failed)?;
    match open(source, batch, rules.decompressed_bytes_max, scratch) {
        RecordBytes::Plain(records) => compressor.write(records).map_err(failed)?,
        RecordBytes::Stream(mut window) => {
            while let Some(chunk) = window.next_chunk().map_err(InvalidBatch::from)? {
                compressor.write(chunk).map_err(failed)?;
                check_size(compressor.written(), rules)?;
            }
        }
    }
    let rebuilt = compressor.finish().map_err(failed)?;
    check_size(rebuilt.len(), rules)?;
    Ok(rebuilt)
}

/// Refuses a batch larger than the topic takes.
pub(super) fn check_size(size: usize, rules: &ProduceRules) -> Result<(), InvalidBatch> {
    if size > rules.max_message_bytes {
        return Err(InvalidBatch::TooLarge {
            size,
            size_max: rules.max_message_bytes,
        });
    }
    Ok(())
}
