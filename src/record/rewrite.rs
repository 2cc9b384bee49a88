//! Batches as compaction leaves them: some of the records taken out, or all, nothing else changed.
//!
//! Called by the cleaner of `storage`. Invariant: offsets, sequences, the codec, the kind of the batch
//! and the bytes of every record that stays are those of the batch it is made from; timestamps are,
//! too, though what they count from may change (Kafka's `MemoryRecords.filterTo`).

use std::ops::Range;

use crate::model::Timestamp;

use super::attributes::{Attributes, Codec, TimestampType};
use super::batch_header::{BatchHeader, HEADER_SIZE, seal};
use super::builder::{BATCH_BYTES_MAX, BuildError};
use super::compression::Compressor;
use super::record_reader::{RecordBytes, Scratch, finish_plain, open, take_body};
use super::record_view::{RecordFault, RecordView};
use super::varint::{VARLONG_BYTES_MAX, put_varint, put_varlong, take_varlong};

/// What is kept of the bytes of an unusually large batch.
const PLAIN_BYTES_KEPT_MAX: usize = 4 << 20;

/// The records of a batch, uncompressed and in one piece: the batch's own bytes, or those that it
/// decompresses to, at most `bytes_max`, in `plain`.
pub fn plain_records<'a>(
    header: &BatchHeader,
    batch: &'a [u8],
    bytes_max: usize,
    scratch: &mut Scratch,
    plain: &'a mut Vec<u8>,
) -> Result<PlainRecords<'a>, RecordFault> {
    let codec = header.codec().map_err(RecordFault::UnknownCodec)?;
    if header.records_count < 0 {
        return Err(RecordFault::Malformed("negative count of records"));
    }
    let own = batch.get(HEADER_SIZE..).unwrap_or_default();
    let bytes = if header.records_count == 0 || codec == Codec::None {
        own
    } else {
        plain.clear();
        plain.shrink_to(PLAIN_BYTES_KEPT_MAX);
        if let RecordBytes::Stream(mut window) = open(codec, batch, bytes_max, scratch) {
            while let Some(chunk) = window.next_chunk()? {
                plain.extend_from_slice(chunk);
            }
        }
        plain
    };
    Ok(PlainRecords {
        bytes,
        position: 0,
        left: header.records_count,
    })
}

/// Walks over uncompressed records, which may be walked over again.
#[derive(Debug, Clone)]
pub struct PlainRecords<'a> {
    bytes: &'a [u8],
    position: usize,
    left: i32,
}

impl<'a> PlainRecords<'a> {
    /// All bytes, which the ranges of [`Self::next`] are in.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next record, and where it lies with its length; None behind the last one.
    #[allow(
        clippy::should_implement_trait,
        reason = "a fault ends it, which callers ask for with `?`"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<(RecordView<'a>, Range<usize>)>, RecordFault> {
        let mut rest = self.bytes.get(self.position..).unwrap_or_default();
        if self.left == 0 {
            return finish_plain(rest).map(|()| None);
        }
        self.left -= 1;
        let body = take_body(&mut rest)?;
        let record = RecordView::parse(body).map_err(RecordFault::Malformed)?;
        let start = self.position;
        self.position = self.bytes.len() - rest.len();
        Ok(Some((record, start..self.position)))
    }
}

/// What stays of a batch.
#[derive(Debug, Default)]
pub struct KeptRecords {
    /// Where the records lie that stay, in order; neighbours in one range.
    runs: Vec<Range<usize>>,
    records: i32,
    max_timestamp: Timestamp,
}

impl KeptRecords {
    /// Nothing stays so far.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.records = 0;
        self.max_timestamp = Timestamp::NONE;
    }

    /// This record stays.
    #[inline]
    pub fn keep(&mut self, place: Range<usize>, timestamp: Timestamp) {
        self.records += 1;
        self.max_timestamp = self.max_timestamp.max(timestamp);
        match self.runs.last_mut() {
            Some(last) if last.end == place.start => last.end = place.end,
            _ => self.runs.push(place),
        }
    }

    /// How many records stay.
    pub fn records(&self) -> i32 {
        self.records
    }
}

/// Appends what stays of a batch to `out`: at least one record. `bytes` are all its records, plain.
/// With a delete horizon the base timestamp is that from now on (KIP-534).
///
/// # Errors
/// When the batch would be too large, or the codec fails; `out` is then as it was.
pub fn rewrite_batch(
    header: &BatchHeader,
    bytes: &[u8],
    kept: &KeptRecords,
    delete_horizon: Option<Timestamp>,
    out: &mut Vec<u8>,
) -> Result<BatchHeader, BuildError> {
    let mut new = BatchHeader {
        records_count: kept.records,
        ..*header
    };
    if header.timestamp_type() == TimestampType::CreateTime {
        new.max_timestamp = kept.max_timestamp;
    }
    let mut delta_change = None;
    if let Some(horizon) = delete_horizon {
        new.base_timestamp = horizon;
        new.attributes = header.attributes.with_delete_horizon(true);
        delta_change = Some(header.base_timestamp.0.wrapping_sub(horizon.0));
    }
    let start = out.len();
    let sealed = append_records(&new, bytes, kept, delta_change, out);
    if sealed.is_err() {
        out.truncate(start);
    }
    sealed
}

fn append_records(
    header: &BatchHeader,
    bytes: &[u8],
    kept: &KeptRecords,
    delta_change: Option<i64>,
    out: &mut Vec<u8>,
) -> Result<BatchHeader, BuildError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_SIZE]);
    for run in &kept.runs {
        let run = bytes.get(run.clone()).unwrap_or_default();
        match delta_change {
            None => out.extend_from_slice(run),
            Some(change) => shift_records(run, change, out),
        }
    }
    let codec = header.codec().unwrap_or_default();
    if codec != Codec::None {
        let compressed = compress(codec, &out[start + HEADER_SIZE..])?;
        out.truncate(start + HEADER_SIZE);
        out.extend_from_slice(&compressed);
    }
    let size = out.len() - start;
    if size > BATCH_BYTES_MAX {
        return Err(BuildError::TooLarge {
            bytes: size,
            records: usize::try_from(kept.records).unwrap_or(0),
        });
    }
    Ok(seal(*header, &mut out[start..]))
}

/// Appends records, each with another timestamp delta. They were walked over before.
fn shift_records(mut run: &[u8], change: i64, out: &mut Vec<u8>) {
    let mut moved = Vec::with_capacity(VARLONG_BYTES_MAX);
    while let Ok(body) = take_body(&mut run) {
        let Some((attributes, mut rest)) = body.split_first() else {
            return;
        };
        let Some(delta) = take_varlong(&mut rest) else {
            return;
        };
        moved.clear();
        put_varlong(&mut moved, delta.wrapping_add(change));
        let size = 1 + moved.len() + rest.len();
        put_varint(out, i32::try_from(size).unwrap_or(i32::MAX));
        out.push(*attributes);
        out.extend_from_slice(&moved);
        out.extend_from_slice(rest);
    }
}

fn compress(codec: Codec, records: &[u8]) -> Result<Vec<u8>, BuildError> {
    let compressed = Compressor::new(codec, None, Vec::new()).and_then(|mut compressor| {
        compressor.write(records)?;
        compressor.finish()
    });
    compressed.map_err(|reason| BuildError::Compression {
        codec: codec.name(),
        reason,
    })
}

/// The bare header that stays of a batch whose records are all gone, for its last offset, its
/// producer and its sequences (Kafka's `writeEmptyHeader`).
pub fn empty_batch(header: &BatchHeader) -> (BatchHeader, [u8; HEADER_SIZE]) {
    let attributes = Attributes::default()
        .with_timestamp_type(header.timestamp_type())
        .with_transactional(header.is_transactional())
        .with_control(header.is_control());
    let empty = BatchHeader {
        attributes,
        base_timestamp: Timestamp::NONE,
        records_count: 0,
        ..*header
    };
    let mut bytes = [0; HEADER_SIZE];
    let header = seal(empty, &mut bytes);
    (header, bytes)
}

#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
