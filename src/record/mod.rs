//! Record batches, version 2 of Kafka's message format, over borrowed bytes.
//!
//! Owns the 61-byte batch header, the records behind it in all five compressions, the building of
//! batches and the rules a produced batch must keep. Called by `storage` (headers, checksums,
//! iteration), by `api` (validation of what clients send) and by whoever writes records of its own.
//! Invariant: nothing found in a batch is believed before it was checked against the bytes that are
//! there, and no number found in one decides an allocation.
//!
//! Layout, big-endian (Kafka's `DefaultRecordBatch`):
//!
//! | from | field | | from | field |
//! |--:|---|---|--:|---|
//! | 0 | base offset, i64 | | 27 | base timestamp, i64 |
//! | 8 | length behind this field, i32 | | 35 | max timestamp, i64 |
//! | 12 | partition leader epoch, i32 | | 43 | producer id, i64 |
//! | 16 | magic 2, i8 | | 51 | producer epoch, i16 |
//! | 17 | CRC-32C of 21..end, u32 | | 53 | base sequence, i32 |
//! | 21 | attributes, i16 | | 57 | count of records, i32 |
//! | 23 | last offset delta, i32 | | 61 | records, compressed as one |

mod attributes;
mod batch_header;
mod batches;
mod builder;
mod checksum;
mod compression;
mod control;
mod fast_head;
mod recompress;
mod record_reader;
mod record_view;
mod rewrite;
mod rules;
mod validation;
mod varint;
mod window;

pub use attributes::{Attributes, Codec, TimestampType};
pub use batch_header::{BatchError, BatchHeader, HEADER_SIZE, next_sequence, verify_crc};
pub use batches::{Batches, batches};
pub use builder::{BatchBuilder, BuildError};
pub use checksum::BatchChecksum;
pub use control::{ControlError, ControlType, EndTransactionMarker};
pub use record_reader::{RecordReader, Scratch, records};
pub use record_view::{HeaderView, Headers, RecordFault, RecordView};
pub use rewrite::{KeptRecords, PlainRecords, empty_batch, plain_records, rewrite_batch};
pub use rules::{InvalidBatch, ProduceRules, RecordError, TopicCompression, ValidBatch};
pub use validation::validate_produce;

#[cfg(test)]
mod batches_under_attack_tests;
#[cfg(test)]
mod round_trip_tests;
