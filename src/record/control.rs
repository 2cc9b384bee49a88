//! Control records: the marks of the log itself, which consumers never see.
//!
//! Called by the transaction coordinator's side (writing markers) and by `storage` and `api` (reading
//! them). Key: version and type; value: by type. Invariant: what is newer than this version is read
//! by the fields it shares with it, and told apart as unknown where it is a new type.

use bytes::Bytes;

use crate::model::{ProducerEpoch, ProducerId, Timestamp};

use super::builder::{BatchBuilder, BuildError};
use super::record_view::RecordView;

const KEY_VERSION: i16 = 0;
const MARKER_VERSION: i16 = 0;

/// Why a control record cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The key is missing, too short or of a negative version.
    #[error("the key of a control record is malformed")]
    Key,
    /// The value is missing, too short or of a negative version.
    #[error("the value of an end-of-transaction marker is malformed")]
    Value,
    /// The record marks something else than the end of a transaction.
    #[error("a control record of type {0} does not end a transaction")]
    OtherType(i16),
}

/// What a control record marks (Kafka's `ControlRecordType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlType {
    /// The producer's transaction was aborted.
    Abort,
    /// The producer's transaction was committed.
    Commit,
    /// A leader of a KRaft quorum was elected.
    LeaderChange,
    /// The start of a KRaft snapshot.
    SnapshotHeader,
    /// The end of a KRaft snapshot.
    SnapshotFooter,
    /// The version of the KRaft protocol.
    KraftVersion,
    /// The voters of a KRaft quorum.
    KraftVoters,
    /// Something newer; to be ignored.
    Unknown(i16),
}

impl ControlType {
    /// Reads the key of a control record.
    pub fn parse(key: Option<&[u8]>) -> Result<ControlType, ControlError> {
        let (version, rest) = take_i16(key.ok_or(ControlError::Key)?).ok_or(ControlError::Key)?;
        let (number, _) = take_i16(rest).ok_or(ControlError::Key)?;
        if version < 0 {
            return Err(ControlError::Key);
        }
        Ok(match number {
            0 => ControlType::Abort,
            1 => ControlType::Commit,
            2 => ControlType::LeaderChange,
            3 => ControlType::SnapshotHeader,
            4 => ControlType::SnapshotFooter,
            5 => ControlType::KraftVersion,
            6 => ControlType::KraftVoters,
            unknown => ControlType::Unknown(unknown),
        })
    }

    /// The number in the key.
    pub fn number(self) -> i16 {
        match self {
            ControlType::Abort => 0,
            ControlType::Commit => 1,
            ControlType::LeaderChange => 2,
            ControlType::SnapshotHeader => 3,
            ControlType::SnapshotFooter => 4,
            ControlType::KraftVersion => 5,
            ControlType::KraftVoters => 6,
            ControlType::Unknown(number) => number,
        }
    }

    /// The key of a control record of this type.
    pub fn key(self) -> [u8; 4] {
        let mut key = [0; 4];
        key[..2].copy_from_slice(&KEY_VERSION.to_be_bytes());
        key[2..].copy_from_slice(&self.number().to_be_bytes());
        key
    }
}

/// The end of a producer's transaction on a partition (KIP-98, Kafka's `EndTransactionMarker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// Committed, or else aborted.
    pub committed: bool,
    /// The reign of the coordinator that decided; a lower one than seen before is a zombie's.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Reads a record of a control batch.
    pub fn parse(record: &RecordView<'_>) -> Result<EndTransactionMarker, ControlError> {
        let committed = match ControlType::parse(record.key)? {
            ControlType::Commit => true,
            ControlType::Abort => false,
            other => return Err(ControlError::OtherType(other.number())),
        };
        let value = record.value.ok_or(ControlError::Value)?;
        let (version, rest) = take_i16(value).ok_or(ControlError::Value)?;
        let epoch = rest.first_chunk().ok_or(ControlError::Value)?;
        if version < 0 {
            return Err(ControlError::Value);
        }
        Ok(EndTransactionMarker {
            committed,
            coordinator_epoch: i32::from_be_bytes(*epoch),
        })
    }

    /// The batch that writes the marker: one record, transactional and control, without a sequence.
    pub fn batch(
        self,
        producer_id: ProducerId,
        producer_epoch: ProducerEpoch,
        timestamp: Timestamp,
    ) -> Result<Bytes, BuildError> {
        let mut value = [0; 6];
        value[..2].copy_from_slice(&MARKER_VERSION.to_be_bytes());
        value[2..].copy_from_slice(&self.coordinator_epoch.to_be_bytes());
        let control_type = if self.committed {
            ControlType::Commit
        } else {
            ControlType::Abort
        };
        let mut builder = BatchBuilder::new()
            .producer(producer_id, producer_epoch, -1)
            .transactional()
            .control();
        builder.append(timestamp, Some(&control_type.key()), Some(&value), &[]);
        builder.build()
    }
}

fn take_i16(bytes: &[u8]) -> Option<(i16, &[u8])> {
    let (number, rest) = bytes.split_first_chunk()?;
    Some((i16::from_be_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::super::{BatchHeader, Scratch, records};
    use super::*;

    #[test]
    fn a_marker_is_read_back_from_its_batch() {
        for committed in [false, true] {
            let marker = EndTransactionMarker {
                committed,
                coordinator_epoch: 0x0102_0304,
            };
            let batch = marker
                .batch(ProducerId(7), ProducerEpoch(2), Timestamp(5))
                .unwrap();
            let header = BatchHeader::parse(&batch).unwrap();
            assert!(header.is_control() && header.is_transactional());
            assert_eq!(
                (header.producer_id, header.last_sequence()),
                (ProducerId(7), -1)
            );
            let mut scratch = Scratch::new();
            let mut reader = records(&header, &batch, 0, &mut scratch).unwrap();
            let record = reader.next().unwrap().unwrap();
            assert_eq!(record.key, Some(&[0, 0, 0, u8::from(committed)][..]));
            assert_eq!(record.value, Some(&[0, 0, 1, 2, 3, 4][..]));
            assert_eq!(EndTransactionMarker::parse(&record), Ok(marker));
        }
    }

    #[test]
    fn keys_that_are_none_are_refused_and_new_types_are_told_apart() {
        assert_eq!(ControlType::parse(None), Err(ControlError::Key));
        assert_eq!(ControlType::parse(Some(&[0, 0, 0])), Err(ControlError::Key));
        assert_eq!(
            ControlType::parse(Some(&[0xff, 0xff, 0, 1])),
            Err(ControlError::Key)
        );
        assert_eq!(
            ControlType::parse(Some(&[0, 9, 0, 77, 1, 2])),
            Ok(ControlType::Unknown(77))
        );
        for number in 0..8 {
            let read = ControlType::parse(Some(&[0, 0, 0, number])).unwrap();
            assert_eq!(read.key(), [0, 0, 0, number]);
        }
    }
}
