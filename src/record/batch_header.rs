//! The 61 bytes in front of every batch: read, written and summed up.
//!
//! Called by everything that handles batches. Invariant: a parsed header has magic 2 and a length
//! that covers at least itself; every other field is as it came and has to be judged by the caller.

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::attributes::{Attributes, Codec, TimestampType};

/// Bytes in front of the records of a batch (Kafka's `RECORD_BATCH_OVERHEAD`).
pub const HEADER_SIZE: usize = 61;
/// Bytes of base offset and length, which the length does not count (Kafka's `LOG_OVERHEAD`).
pub(super) const LENGTH_END: usize = 12;
/// Where the magic byte is.
pub(super) const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;
/// Where the bytes begin that the checksum covers.
pub(super) const CRC_COVERS_FROM: usize = 21;
/// The smallest length field: the header without base offset and length.
const LENGTH_MIN: i32 = 49;

/// What is wrong with the frame of a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes end before the header or the batch does; more of them might complete it.
    #[error("{available} bytes are there of a batch of at least {needed}")]
    Partial {
        /// Bytes that are there.
        available: usize,
        /// Bytes that are known to be needed; more may be when the length was not there to read.
        needed: usize,
    },
    /// The length cannot be that of a batch.
    #[error("a batch length of {0} is less than that of an empty batch")]
    Length(i32),
    /// The batch has a format other than version 2.
    #[error("magic {0} is not served, only 2")]
    Magic(i8),
}

/// The head of a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record; 0 in what producers send.
    pub base_offset: Offset,
    /// Bytes behind the length field; at least 49.
    pub batch_length: i32,
    /// The reign in which the batch was appended; not covered by the checksum.
    pub partition_leader_epoch: LeaderEpoch,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and kind.
    pub attributes: Attributes,
    /// Last offset minus base offset; stays when compaction takes records out.
    pub last_offset_delta: i32,
    /// What the records' timestamp deltas count from, or the delete horizon.
    pub base_timestamp: Timestamp,
    /// The greatest timestamp of the records, or the time of append; -1 without any.
    pub max_timestamp: Timestamp,
    /// Who wrote it, or a negative number.
    pub producer_id: ProducerId,
    /// The producer's incarnation, or a negative number.
    pub producer_epoch: ProducerEpoch,
    /// The producer's number of the first record, or -1.
    pub base_sequence: i32,
    /// How many records follow, by the sender's account.
    pub records_count: i32,
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may hold more or less than the whole batch.
    pub fn parse(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let Some((head, _)) = bytes.split_first_chunk::<HEADER_SIZE>() else {
            return Err(partial_header(bytes));
        };
        let header = BatchHeader::read(head);
        check_frame(header.batch_length, head[MAGIC_AT])?;
        Ok(header)
    }

    fn read(head: &[u8; HEADER_SIZE]) -> BatchHeader {
        BatchHeader {
            base_offset: Offset(i64_at(head, 0)),
            batch_length: i32_at(head, 8),
            partition_leader_epoch: LeaderEpoch(i32_at(head, 12)),
            crc: u32::from_be_bytes(array_at(head, CRC_AT)),
            attributes: Attributes(i16_at(head, 21)),
            last_offset_delta: i32_at(head, 23),
            base_timestamp: Timestamp(i64_at(head, 27)),
            max_timestamp: Timestamp(i64_at(head, 35)),
            producer_id: ProducerId(i64_at(head, 43)),
            producer_epoch: ProducerEpoch(i16_at(head, 51)),
            base_sequence: i32_at(head, 53),
            records_count: i32_at(head, 57),
        }
    }

    /// The header as bytes, with the checksum it carries.
    pub fn encode(&self) -> [u8; HEADER_SIZE] {
        let mut head = [0; HEADER_SIZE];
        head[0..8].copy_from_slice(&self.base_offset.0.to_be_bytes());
        head[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        head[12..16].copy_from_slice(&self.partition_leader_epoch.0.to_be_bytes());
        head[MAGIC_AT] = 2;
        head[17..21].copy_from_slice(&self.crc.to_be_bytes());
        head[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        head[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        head[27..35].copy_from_slice(&self.base_timestamp.0.to_be_bytes());
        head[35..43].copy_from_slice(&self.max_timestamp.0.to_be_bytes());
        head[43..51].copy_from_slice(&self.producer_id.0.to_be_bytes());
        head[51..53].copy_from_slice(&self.producer_epoch.0.to_be_bytes());
        head[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        head[57..61].copy_from_slice(&self.records_count.to_be_bytes());
        head
    }

    /// Bytes of the whole batch, header included.
    pub fn size(&self) -> usize {
        usize::try_from(self.batch_length).map_or(LENGTH_END, |length| length + LENGTH_END)
    }

    /// Offset of the last record, or of the last one there once was.
    pub fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// The offset behind the batch.
    pub fn next_offset(&self) -> Offset {
        self.last_offset() + 1
    }

    /// The producer's number of the last record, or -1; behind `i32::MAX` comes 0.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        next_sequence(self.base_sequence, self.last_offset_delta)
    }

    /// Whether the batch holds control records.
    pub fn is_control(&self) -> bool {
        self.attributes.is_control()
    }

    /// Whether the batch belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes.is_transactional()
    }

    /// The codec of the records, or its unknown number.
    pub fn codec(&self) -> Result<Codec, u8> {
        self.attributes.codec()
    }

    /// Who set the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// The timestamp of a record with this delta: the time of append counts for all, where it does.
    pub fn record_timestamp(&self, timestamp_delta: i64) -> Timestamp {
        match self.timestamp_type() {
            TimestampType::CreateTime => {
                Timestamp(self.base_timestamp.0.saturating_add(timestamp_delta))
            }
            TimestampType::LogAppendTime => self.max_timestamp,
        }
    }

    /// Whether an idempotent or transactional producer wrote the batch.
    pub fn has_producer_id(&self) -> bool {
        self.producer_id.0 > ProducerId::NONE.0
    }
}

/// The sequence `increment` records behind `sequence`, both at least 0; behind `i32::MAX` comes 0.
pub fn next_sequence(sequence: i32, increment: i32) -> i32 {
    sequence.wrapping_add(increment) & i32::MAX
}

/// Whether the checksum a whole batch carries is that of its bytes. False for less than a header.
pub fn verify_crc(batch: &[u8]) -> bool {
    match batch.first_chunk::<HEADER_SIZE>() {
        Some(head) => u32::from_be_bytes(array_at(head, CRC_AT)) == compute_crc(batch),
        None => false,
    }
}

/// The CRC-32C of a batch's bytes behind its checksum field.
pub(super) fn compute_crc(batch: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(batch.get(CRC_COVERS_FROM..).unwrap_or_default())
}

/// Writes `header` over the first bytes of `batch`, with the length and the checksum that the bytes
/// there have. `batch` holds a whole batch of less than 2 GiB.
pub(super) fn seal(mut header: BatchHeader, batch: &mut [u8]) -> BatchHeader {
    header.batch_length = i32::try_from(batch.len() - LENGTH_END)
        .expect("the caller keeps batches below the range of their length field");
    batch[..HEADER_SIZE].copy_from_slice(&header.encode());
    header.crc = compute_crc(batch);
    batch[CRC_AT..CRC_COVERS_FROM].copy_from_slice(&header.crc.to_be_bytes());
    header
}

/// The error of bytes too short for a header: wrong as far as they go, or merely incomplete.
fn partial_header(bytes: &[u8]) -> BatchError {
    let length = bytes
        .get(8..LENGTH_END)
        .and_then(|length| length.try_into().ok())
        .map(i32::from_be_bytes);
    let magic = bytes.get(MAGIC_AT).copied().unwrap_or(2);
    match check_frame(length.unwrap_or(LENGTH_MIN), magic) {
        Err(error) => error,
        Ok(()) => BatchError::Partial {
            available: bytes.len(),
            needed: HEADER_SIZE,
        },
    }
}

fn check_frame(length: i32, magic: u8) -> Result<(), BatchError> {
    // The magic comes first, so that an old message set is called by its name.
    if magic != 2 {
        return Err(BatchError::Magic(magic.cast_signed()));
    }
    if length < LENGTH_MIN {
        return Err(BatchError::Length(length));
    }
    Ok(())
}

fn array_at<const N: usize>(head: &[u8; HEADER_SIZE], at: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&head[at..at + N]);
    field
}

fn i16_at(head: &[u8; HEADER_SIZE], at: usize) -> i16 {
    i16::from_be_bytes(array_at(head, at))
}

fn i32_at(head: &[u8; HEADER_SIZE], at: usize) -> i32 {
    i32::from_be_bytes(array_at(head, at))
}

fn i64_at(head: &[u8; HEADER_SIZE], at: usize) -> i64 {
    i64::from_be_bytes(array_at(head, at))
}

#[cfg(test)]
#[path = "batch_header_tests.rs"]
mod tests;
