//! Building batches: for our own topics, control records, the client and tests.
//!
//! Called by whoever writes records of its own; what producers send is never rebuilt with this.
//! Invariant: what it builds is valid by `validation`, unless it was told to be a control batch.

use bytes::Bytes;

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::attributes::{Attributes, Codec, TimestampType};
use super::batch_header::{BatchHeader, HEADER_SIZE, seal};
use super::compression::Compressor;
use super::varint::{put_varint, put_varlong, varint_size};

/// A batch larger than its length field can say is not built.
/// Incompressible bytes grow a little, for which there is room.
pub(super) const BATCH_BYTES_MAX: usize = i32::MAX as usize / 2;

/// Why a batch could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// More bytes, or more records, than a batch can have.
    #[error("a batch of {bytes} bytes and {records} records is too large")]
    TooLarge {
        /// Bytes of the records, uncompressed.
        bytes: usize,
        /// How many records.
        records: usize,
    },
    /// The codec failed, as it does without memory.
    #[error("the records cannot be compressed as {codec}: {reason}")]
    Compression {
        /// The codec's name.
        codec: &'static str,
        /// What the compressor says.
        reason: String,
    },
}

/// Collects records, then makes the batch of them.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    /// Room for the header, then the records, uncompressed.
    batch: Vec<u8>,
    records: usize,
    log_append_time: Option<Timestamp>,
    codec: Codec,
    level: Option<i32>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        BatchBuilder::new()
    }
}

impl BatchBuilder {
    /// An empty, uncompressed batch at offset 0, without a producer id.
    pub fn new() -> BatchBuilder {
        BatchBuilder {
            header: BatchHeader {
                base_offset: Offset::ZERO,
                batch_length: 0,
                partition_leader_epoch: LeaderEpoch::NONE,
                crc: 0,
                attributes: Attributes::default(),
                last_offset_delta: 0,
                base_timestamp: Timestamp::NONE,
                max_timestamp: Timestamp::NONE,
                producer_id: ProducerId::NONE,
                producer_epoch: ProducerEpoch::NONE,
                base_sequence: -1,
                records_count: 0,
            },
            batch: vec![0; HEADER_SIZE],
            records: 0,
            log_append_time: None,
            codec: Codec::None,
            level: None,
        }
    }

    /// Sets the offset of the first record.
    pub fn base_offset(mut self, offset: Offset) -> Self {
        self.header.base_offset = offset;
        self
    }

    /// Sets the leader epoch of the batch.
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.header.partition_leader_epoch = epoch;
        self
    }

    /// Makes it a batch of an idempotent producer.
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Makes it part of a transaction.
    pub fn transactional(mut self) -> Self {
        self.header.attributes = self.header.attributes.with_transactional(true);
        self
    }

    /// Makes it a batch of control records.
    pub fn control(mut self) -> Self {
        self.header.attributes = self.header.attributes.with_control(true);
        self
    }

    /// Compresses the records, at the codec's own level.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// Compresses at this level, where the codec has levels.
    pub fn compression_level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Gives all records the time of append instead of their own.
    pub fn log_append_time(mut self, timestamp: Timestamp) -> Self {
        self.log_append_time = Some(timestamp);
        self
    }

    /// Adds a record; a header is a key and a value that may be null. Keys may come twice.
    pub fn append(
        &mut self,
        timestamp: Timestamp,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        if self.records == 0 {
            self.header.base_timestamp = timestamp;
        }
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.0.wrapping_sub(self.header.base_timestamp.0);
        // What does not fit is caught by `build`, which looks at the totals.
        let offset_delta = i32::try_from(self.records).unwrap_or(i32::MAX);
        let size = 1
            + varint_size(timestamp_delta)
            + varint_size(offset_delta.into())
            + bytes_size(key)
            + bytes_size(value)
            + varint_size(length_of(headers.len()).into())
            + headers
                .iter()
                .map(|(key, value)| bytes_size(Some(key)) + bytes_size(*value))
                .sum::<usize>();
        let out = &mut self.batch;
        put_varint(out, length_of(size));
        out.push(0);
        put_varlong(out, timestamp_delta);
        put_varint(out, offset_delta);
        put_bytes(out, key);
        put_bytes(out, value);
        put_varint(out, length_of(headers.len()));
        for (key, value) in headers {
            put_bytes(out, Some(key));
            put_bytes(out, *value);
        }
        self.records += 1;
    }

    /// How many records were added.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Bytes of the batch so far, uncompressed, header included.
    pub fn size(&self) -> usize {
        self.batch.len()
    }

    /// Makes the batch. Without records it is a bare header, as compaction leaves them.
    pub fn build(self) -> Result<Bytes, BuildError> {
        let (mut header, mut batch) = (self.header, self.batch);
        let too_large = BuildError::TooLarge {
            bytes: batch.len() - HEADER_SIZE,
            records: self.records,
        };
        if batch.len() > BATCH_BYTES_MAX {
            return Err(too_large);
        }
        header.records_count = i32::try_from(self.records).map_err(|_| too_large)?;
        header.last_offset_delta = (header.records_count - 1).max(0);
        if let Some(timestamp) = self.log_append_time {
            header.max_timestamp = timestamp;
            header.attributes = header
                .attributes
                .with_timestamp_type(TimestampType::LogAppendTime);
        }
        // A batch without records has nothing to compress: its header says so, as Kafka's do.
        if self.codec != Codec::None && self.records > 0 {
            header.attributes = header.attributes.with_codec(self.codec);
            batch = compress(self.codec, self.level, &batch[HEADER_SIZE..]).map_err(|reason| {
                BuildError::Compression {
                    codec: self.codec.name(),
                    reason,
                }
            })?;
        }
        seal(header, &mut batch);
        Ok(batch.into())
    }
}

/// A batch of these records, its header still to be written.
fn compress(codec: Codec, level: Option<i32>, records: &[u8]) -> Result<Vec<u8>, String> {
    let mut compressor = Compressor::new(codec, level, vec![0; HEADER_SIZE])?;
    compressor.write(records)?;
    compressor.finish()
}

/// Lengths beyond the range make a batch beyond the range, which `build` refuses.
fn length_of(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}

fn bytes_size(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| {
        varint_size(length_of(bytes.len()).into()) + bytes.len()
    })
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, length_of(bytes.len()));
            out.extend_from_slice(bytes);
        }
    }
}
