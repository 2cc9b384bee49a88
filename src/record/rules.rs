//! What a produced batch is judged by, and what comes out: a valid batch, or why it was refused.
//!
//! Made by `api` (rules of a topic) and read by `api` (errors) and `storage` (valid batches).
//! Invariant: a `ValidBatch` comes from `validation`, whoever made the batch.

use bytes::Bytes;

use crate::model::Timestamp;

use super::attributes::{Codec, TimestampType};
use super::batch_header::BatchHeader;

/// What a topic demands of the batches produced to it, and what the request allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceRules {
    /// The largest batch, in bytes as stored (`max.message.bytes`).
    pub max_message_bytes: usize,
    /// How batches are stored (`compression.type` and its level).
    pub compression: TopicCompression,
    /// Whose timestamps count (`message.timestamp.type`).
    pub timestamp_type: TimestampType,
    /// How far a record's timestamp may lie behind `now` (`message.timestamp.before.max.ms`).
    pub timestamp_before_max_ms: i64,
    /// How far a record's timestamp may lie ahead of `now` (`message.timestamp.after.max.ms`).
    pub timestamp_after_max_ms: i64,
    /// Whether every record needs a key, as on a compacted topic.
    pub key_required: bool,
    /// Whether the request may use zstd: Produce version 7 and later (KIP-110).
    pub zstd_allowed: bool,
    /// The most bytes the records of one batch may decompress to.
    pub decompressed_bytes_max: usize,
    /// The wall time of the append.
    pub now: Timestamp,
}

/// How a topic stores its batches (`compression.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TopicCompression {
    /// As the producer sent them.
    #[default]
    Producer,
    /// Uncompressed.
    Uncompressed,
    /// With this codec, whatever came.
    Codec {
        /// Gzip, snappy, LZ4 or zstd.
        codec: Codec,
        /// The codec's own scale (`compression.gzip.level` and the like); ignored where it has none.
        level: i32,
    },
}

impl TopicCompression {
    /// The codec in which a batch that came in `codec` is stored.
    pub fn target(self, codec: Codec) -> Codec {
        match self {
            TopicCompression::Producer => codec,
            TopicCompression::Uncompressed => Codec::None,
            TopicCompression::Codec { codec, .. } => codec,
        }
    }
}

/// A batch that may be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidBatch {
    /// The header of `bytes`; base offset 0, leader epoch whatever the producer wrote.
    pub header: BatchHeader,
    /// The whole batch: as it came, or rebuilt where time of append, recompression or a wrong max
    /// timestamp demanded it.
    pub bytes: Bytes,
    /// Which record is the first with the max timestamp; 0 when the time of append counts.
    pub offset_delta_of_max_timestamp: i32,
}

/// Why a produced batch was refused, by the error code that says so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// CORRUPT_MESSAGE: the bytes are damaged; sending them again may help.
    #[error("{message}")]
    Corrupt {
        /// What is damaged.
        message: String,
    },
    /// MESSAGE_TOO_LARGE.
    #[error("the batch has {size} bytes, the topic takes at most {size_max}")]
    TooLarge {
        /// Bytes of the batch as it would be stored.
        size: usize,
        /// `max.message.bytes`.
        size_max: usize,
    },
    /// INVALID_RECORD: the batch breaks the format or the topic's rules.
    #[error("{message}")]
    InvalidRecord {
        /// What is wrong with the batch.
        message: String,
        /// What is wrong with single records, if it is their fault; the first of them only.
        record_errors: Vec<RecordError>,
    },
    /// INVALID_TIMESTAMP.
    #[error("{message}")]
    InvalidTimestamp {
        /// What is wrong with the batch.
        message: String,
        /// The records with wrong timestamps, or other errors beside; the first of them only.
        record_errors: Vec<RecordError>,
    },
    /// UNSUPPORTED_COMPRESSION_TYPE.
    #[error("{message}")]
    UnsupportedCompression {
        /// Which compression, and what it needs.
        message: String,
    },
}

impl InvalidBatch {
    /// The records at fault (KIP-467); empty when the whole batch is.
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            InvalidBatch::InvalidRecord { record_errors, .. }
            | InvalidBatch::InvalidTimestamp { record_errors, .. } => record_errors,
            _ => &[],
        }
    }
}

/// A record that was refused (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Which record of the batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub message: String,
}
