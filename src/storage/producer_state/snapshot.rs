//! The bytes of `<offset>.snapshot`, Kafka's `ProducerSnapshot` version 1.
//!
//! Called by [`super::files`]. Layout, big-endian: version i16 = 1, CRC-32C u32 of everything that
//! follows, count i32, then 46 bytes per entry. Kafka writes one entry per producer, for its last
//! batch; here there is one for each batch that is remembered, oldest first, so that all five are
//! known after a restart. Kafka's reader keeps the last entry it finds of a producer, which is the
//! one it would have written. Invariant: `encode(decode(bytes)) == bytes`.

use super::entry::{ProducerEntry, RecentBatch};
use crate::model::{Offset, ProducerEpoch, ProducerId, Timestamp};

const VERSION: i16 = 1;
const CRC_POSITION: usize = 2;
const ENTRIES_POSITION: usize = 6;
const HEAD_SIZE: usize = 10;
const ENTRY_SIZE: usize = 46;

/// Why bytes are no snapshot. The state is then rebuilt from an older one and the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSnapshot {
    /// Shorter or longer than its count says.
    #[error("the producer snapshot has {size} bytes, which is not what its {count} entries take")]
    Size {
        /// Bytes in the file.
        size: usize,
        /// Entries it announces.
        count: i32,
    },
    /// Too short for a head.
    #[error("the producer snapshot has only {0} bytes")]
    TooShort(usize),
    /// A version other than 1.
    #[error("the producer snapshot has version {0}, only 1 is known")]
    Version(i16),
    /// The content changed after it was written.
    #[error("the producer snapshot's checksum is {stored:#010x}, its content's {computed:#010x}")]
    Checksum {
        /// What the file says.
        stored: u32,
        /// What its content gives.
        computed: u32,
    },
}

/// Writes producers in the order given.
pub(super) fn encode<'a>(
    producers: impl ExactSizeIterator<Item = (ProducerId, &'a ProducerEntry)>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_SIZE + producers.len() * ENTRY_SIZE);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; HEAD_SIZE - CRC_POSITION]);
    for (producer_id, entry) in producers {
        let older = entry
            .recent()
            .split_last()
            .map_or(&[][..], |(_, older)| older);
        for batch in older {
            encode_entry(&mut bytes, producer_id, entry, batch, batch.timestamp);
        }
        let last = entry.last_batch().copied().unwrap_or(RecentBatch {
            last_sequence: -1,
            last_offset: Offset::NONE,
            offset_delta: 0,
            timestamp: Timestamp::NONE,
        });
        encode_entry(&mut bytes, producer_id, entry, &last, entry.last_timestamp);
    }
    // A file of two billion entries would have been refused by the disk long before.
    let count = i32::try_from((bytes.len() - HEAD_SIZE) / ENTRY_SIZE).unwrap_or(i32::MAX);
    bytes[ENTRIES_POSITION..HEAD_SIZE].copy_from_slice(&count.to_be_bytes());
    let crc = checksum(&bytes[ENTRIES_POSITION..]);
    bytes[CRC_POSITION..ENTRIES_POSITION].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn encode_entry(
    bytes: &mut Vec<u8>,
    producer_id: ProducerId,
    entry: &ProducerEntry,
    batch: &RecentBatch,
    timestamp: Timestamp,
) {
    let transaction = entry.transaction_first_offset.unwrap_or(Offset::NONE);
    bytes.extend_from_slice(&producer_id.0.to_be_bytes());
    bytes.extend_from_slice(&entry.producer_epoch.0.to_be_bytes());
    bytes.extend_from_slice(&batch.last_sequence.to_be_bytes());
    bytes.extend_from_slice(&batch.last_offset.0.to_be_bytes());
    bytes.extend_from_slice(&batch.offset_delta.to_be_bytes());
    bytes.extend_from_slice(&timestamp.0.to_be_bytes());
    bytes.extend_from_slice(&entry.coordinator_epoch.to_be_bytes());
    bytes.extend_from_slice(&transaction.0.to_be_bytes());
}

/// Reads a snapshot, ours or Kafka's, in the order of the file; a producer comes once.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<(ProducerId, ProducerEntry)>, InvalidSnapshot> {
    let Some((head, entries)) = bytes.split_first_chunk::<HEAD_SIZE>() else {
        return Err(InvalidSnapshot::TooShort(bytes.len()));
    };
    let version = i16::from_be_bytes([head[0], head[1]]);
    if version != VERSION {
        return Err(InvalidSnapshot::Version(version));
    }
    let stored = u32::from_be_bytes([head[2], head[3], head[4], head[5]]);
    let computed = checksum(&bytes[ENTRIES_POSITION..]);
    if stored != computed {
        return Err(InvalidSnapshot::Checksum { stored, computed });
    }
    let count = i32::from_be_bytes([head[6], head[7], head[8], head[9]]);
    let (entries, rest) = entries.as_chunks::<ENTRY_SIZE>();
    if usize::try_from(count) != Ok(entries.len()) || !rest.is_empty() {
        let size = bytes.len();
        return Err(InvalidSnapshot::Size { size, count });
    }
    let mut producers: Vec<(ProducerId, ProducerEntry)> = Vec::new();
    for (producer_id, entry) in entries.iter().map(decode_entry) {
        match producers.last_mut() {
            Some((known, older)) if *known == producer_id => *older = entry.behind(older),
            _ => producers.push((producer_id, entry)),
        }
    }
    Ok(producers)
}

fn decode_entry(bytes: &[u8; ENTRY_SIZE]) -> (ProducerId, ProducerEntry) {
    let mut entry = ProducerEntry::new(ProducerEpoch(i16::from_be_bytes(field(bytes, 8))));
    let timestamp = Timestamp(i64::from_be_bytes(field(bytes, 26)));
    let last_offset = Offset(i64::from_be_bytes(field(bytes, 14)));
    if last_offset >= Offset::ZERO {
        entry.push(RecentBatch {
            last_sequence: i32::from_be_bytes(field(bytes, 10)),
            last_offset,
            offset_delta: i32::from_be_bytes(field(bytes, 22)),
            timestamp,
        });
    }
    entry.last_timestamp = timestamp;
    entry.coordinator_epoch = i32::from_be_bytes(field(bytes, 34));
    let transaction = Offset(i64::from_be_bytes(field(bytes, 38)));
    entry.transaction_first_offset = (transaction >= Offset::ZERO).then_some(transaction);
    (ProducerId(i64::from_be_bytes(field(bytes, 0))), entry)
}

/// The `N` bytes at a constant place inside an entry.
fn field<const N: usize>(bytes: &[u8; ENTRY_SIZE], position: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[position..position + N]);
    field
}

fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}
