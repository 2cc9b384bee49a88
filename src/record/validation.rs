//! Whether a produced batch may be appended, and what is stored of it.
//!
//! Called by `api` for each partition of a Produce request. The rules are those of Kafka's
//! `ProduceRequest.validateRecords`, `UnifiedLog.analyzeAndValidateRecords` and `LogValidator`, in
//! their order, and stricter in these: bytes behind the batch, offset deltas that do not count up
//! from zero, a producer id without an epoch, and time of append claimed by a producer are refused
//! with INVALID_RECORD or INVALID_TIMESTAMP, where Kafka cuts, renumbers or ignores them.
//! Invariant: every record is looked at once, and nothing is allocated for it unless it is wrong.

use bytes::{Bytes, BytesMut};

use crate::model::{Offset, Timestamp};

use super::attributes::{Codec, TimestampType};
use super::batch_header::{BatchError, BatchHeader, seal, verify_crc};
use super::recompress::{check_size, recompress};
use super::record_reader::{Heads, RecordBytes, Scratch, open};
use super::record_view::RecordFault;
use super::rules::{InvalidBatch, ProduceRules, RecordError, TopicCompression, ValidBatch};

/// How many records at fault are told; a batch may hold a hundred thousand.
const RECORD_ERRORS_MAX: usize = 100;

/// Checks what a producer sent for one partition, which must be exactly one batch, and makes it what
/// the topic stores: the same bytes, unless time of append, `compression.type` or a wrong max
/// timestamp in the header demand others.
pub fn validate_produce(
    batch: Bytes,
    rules: &ProduceRules,
    scratch: &mut Scratch,
) -> Result<ValidBatch, InvalidBatch> {
    let (header, codec) = check_batch(&batch, rules)?;
    let summary = match open(codec, &batch, rules.decompressed_bytes_max, scratch) {
        RecordBytes::Plain(records) => check_records(records, &header, rules),
        RecordBytes::Stream(window) => check_records(window, &header, rules),
    };
    let valid = summary.and_then(|summary| store(batch, header, codec, summary, rules, scratch));
    scratch.trim();
    valid
}

impl ValidBatch {
    /// Takes a batch this broker built itself, such as an end-of-transaction marker. The format is
    /// checked; what only producers may not do, control records for one, is allowed.
    pub fn from_builder(batch: Bytes, scratch: &mut Scratch) -> Result<ValidBatch, InvalidBatch> {
        let header = check_frame(&batch)?;
        check_crc(&header, &batch)?;
        let codec = header.codec().map_err(RecordFault::UnknownCodec)?;
        let lenient = ProduceRules {
            max_message_bytes: usize::MAX,
            compression: TopicCompression::Producer,
            timestamp_type: TimestampType::LogAppendTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: i64::MAX,
            key_required: false,
            zstd_allowed: true,
            decompressed_bytes_max: usize::MAX,
            now: header.max_timestamp,
        };
        let summary = match open(codec, &batch, usize::MAX, scratch) {
            RecordBytes::Plain(records) => check_records(records, &header, &lenient),
            RecordBytes::Stream(window) => check_records(window, &header, &lenient),
        };
        let offset_delta_of_max_timestamp = match header.timestamp_type() {
            TimestampType::CreateTime => summary?.offset_delta_of_max_timestamp,
            TimestampType::LogAppendTime => summary.map(|_| 0)?,
        };
        Ok(ValidBatch {
            header,
            bytes: batch,
            offset_delta_of_max_timestamp,
        })
    }
}

/// Everything about the batch but its records.
fn check_batch(batch: &[u8], rules: &ProduceRules) -> Result<(BatchHeader, Codec), InvalidBatch> {
    let header = check_frame(batch)?;
    if header.codec() == Ok(Codec::Zstd) && !rules.zstd_allowed {
        return Err(InvalidBatch::UnsupportedCompression {
            message: "zstd needs version 7 of the Produce request".to_owned(),
        });
    }
    if header.base_offset != Offset::ZERO {
        return refuse(format!(
            "the base offset of a produced batch is 0, not {}",
            header.base_offset
        ));
    }
    check_size(batch.len(), rules)?;
    check_crc(&header, batch)?;
    let codec = header.codec().map_err(RecordFault::UnknownCodec)?;
    check_header(&header)?;
    Ok((header, codec))
}

/// Exactly one whole batch of version 2.
fn check_frame(batch: &[u8]) -> Result<BatchHeader, InvalidBatch> {
    let header = match BatchHeader::parse(batch) {
        Ok(header) => header,
        Err(error @ (BatchError::Partial { .. } | BatchError::Magic(0 | 1))) => {
            return refuse(error.to_string());
        }
        Err(error) => {
            return Err(InvalidBatch::Corrupt {
                message: error.to_string(),
            });
        }
    };
    if header.size() > batch.len() {
        let error = BatchError::Partial {
            available: batch.len(),
            needed: header.size(),
        };
        return refuse(error.to_string());
    }
    if header.size() < batch.len() {
        return refuse(format!(
            "{} bytes follow the batch; a partition takes exactly one",
            batch.len() - header.size()
        ));
    }
    Ok(header)
}

fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), InvalidBatch> {
    if verify_crc(batch) {
        return Ok(());
    }
    Err(InvalidBatch::Corrupt {
        message: format!(
            "the batch does not have the checksum {:#010x} it claims",
            header.crc
        ),
    })
}

/// What the header says about offsets, producer and kind.
fn check_header(header: &BatchHeader) -> Result<(), InvalidBatch> {
    let (count, last) = (header.records_count, header.last_offset_delta);
    if count <= 0 || last != count - 1 {
        return refuse(format!(
            "a count of {count} records does not fit a last offset delta of {last}"
        ));
    }
    if header.is_control() {
        return refuse("producers may not write control records".to_owned());
    }
    if header.has_producer_id() && (header.base_sequence < 0 || header.producer_epoch.0 < 0) {
        return refuse(format!(
            "producer id {} needs an epoch and a sequence, not {} and {}",
            header.producer_id, header.producer_epoch.0, header.base_sequence
        ));
    }
    if header.timestamp_type() == TimestampType::LogAppendTime {
        return Err(InvalidBatch::InvalidTimestamp {
            message: "producers may not claim the time of append".to_owned(),
            record_errors: Vec::new(),
        });
    }
    Ok(())
}

/// What the records add up to.
struct Summary {
    max_timestamp: Timestamp,
    offset_delta_of_max_timestamp: i32,
}

fn check_records(
    mut heads: impl Heads,
    header: &BatchHeader,
    rules: &ProduceRules,
) -> Result<Summary, InvalidBatch> {
    let checks_timestamps = rules.timestamp_type == TimestampType::CreateTime;
    let earliest = rules.now.0.saturating_sub(rules.timestamp_before_max_ms);
    let latest = rules.now.0.saturating_add(rules.timestamp_after_max_ms);
    let mut faults = Faults::default();
    let (mut max_timestamp, mut of_max) = (Timestamp::NONE.0, 0);
    for index in 0..header.records_count {
        let head = heads.next()?;
        if head.offset_delta != index {
            return Err(misnumbered(index, head.offset_delta));
        }
        let timestamp = header
            .base_timestamp
            .0
            .checked_add(head.timestamp_delta)
            .ok_or(RecordFault::Malformed("timestamp delta"))?;
        if timestamp > max_timestamp {
            (max_timestamp, of_max) = (timestamp, index);
        }
        if rules.key_required && !head.has_key {
            faults.add_missing_key(index);
        } else if checks_timestamps
            && !(earliest..=latest).contains(&timestamp)
            && timestamp != Timestamp::NONE.0
        {
            faults.add_timestamp(index, timestamp, earliest, latest);
        }
    }
    heads.finish()?;
    faults.into_result()?;
    Ok(Summary {
        max_timestamp: Timestamp(max_timestamp),
        offset_delta_of_max_timestamp: of_max,
    })
}

/// The records at fault, counted all and told up to a limit.
#[derive(Default)]
struct Faults {
    errors: Vec<RecordError>,
    count: usize,
    timestamps: bool,
}

impl Faults {
    #[cold]
    fn add_missing_key(&mut self, index: i32) {
        self.add(index, || {
            "a compacted topic takes no record without a key".to_owned()
        });
    }

    #[cold]
    fn add_timestamp(&mut self, index: i32, timestamp: i64, earliest: i64, latest: i64) {
        self.timestamps = true;
        self.add(index, || {
            format!("timestamp {timestamp} lies outside of {earliest} to {latest}")
        });
    }

    fn add(&mut self, index: i32, message: impl FnOnce() -> String) {
        self.count += 1;
        if self.errors.len() < RECORD_ERRORS_MAX {
            self.errors.push(RecordError {
                index,
                message: message(),
            });
        }
    }

    /// One wrong timestamp makes it INVALID_TIMESTAMP, whatever else is wrong, as in Kafka.
    fn into_result(self) -> Result<(), InvalidBatch> {
        if self.count == 0 {
            return Ok(());
        }
        let first = self.errors.first().map_or("", |error| &error.message);
        let message = format!("{} of the records were refused: {first}", self.count);
        let record_errors = self.errors;
        Err(if self.timestamps {
            InvalidBatch::InvalidTimestamp {
                message,
                record_errors,
            }
        } else {
            InvalidBatch::InvalidRecord {
                message,
                record_errors,
            }
        })
    }
}

/// Makes of a batch found valid what the topic stores.
fn store(
    batch: Bytes,
    header: BatchHeader,
    codec: Codec,
    summary: Summary,
    rules: &ProduceRules,
    scratch: &mut Scratch,
) -> Result<ValidBatch, InvalidBatch> {
    let target = rules.compression.target(codec);
    let mut stored = header;
    stored.attributes = header
        .attributes
        .with_timestamp_type(rules.timestamp_type)
        .with_codec(target);
    let mut of_max = summary.offset_delta_of_max_timestamp;
    stored.max_timestamp = summary.max_timestamp;
    if rules.timestamp_type == TimestampType::LogAppendTime {
        (stored.max_timestamp, of_max) = (rules.now, 0);
    }
    let (header, bytes) = if target != codec {
        let mut rebuilt = recompress(&batch, codec, target, rules, scratch)?;
        (seal(stored, &mut rebuilt), rebuilt.into())
    } else if stored != header {
        let mut copy = BytesMut::from(batch);
        (seal(stored, &mut copy), copy.freeze())
    } else {
        (header, batch)
    };
    Ok(ValidBatch {
        header,
        bytes,
        offset_delta_of_max_timestamp: of_max,
    })
}

fn refuse<T>(message: String) -> Result<T, InvalidBatch> {
    Err(InvalidBatch::InvalidRecord {
        message,
        record_errors: Vec::new(),
    })
}

#[cold]
fn misnumbered(index: i32, offset_delta: i32) -> InvalidBatch {
    let message = format!("record {index} has offset delta {offset_delta}");
    InvalidBatch::InvalidRecord {
        message: message.clone(),
        record_errors: vec![RecordError { index, message }],
    }
}

impl From<RecordFault> for InvalidBatch {
    fn from(fault: RecordFault) -> InvalidBatch {
        InvalidBatch::InvalidRecord {
            message: fault.to_string(),
            record_errors: Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "validation_tests.rs"]
mod tests;
