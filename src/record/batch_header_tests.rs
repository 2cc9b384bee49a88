//! The header against bytes worked out by hand, and against what is too short or of another kind.

use super::super::BatchBuilder;
use super::*;

/// A batch of one record (key "k", value "v"), field by field.
const GOLDEN: [u8; 70] = [
    0, 0, 0, 0, 0, 0, 0, 42, // base offset
    0, 0, 0, 58, // length
    0, 0, 0, 7, // leader epoch
    2, // magic
    0x0e, 0x62, 0x0c, 0x0d, // checksum
    0, 0, // attributes
    0, 0, 0, 0, // last offset delta
    0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, // base timestamp
    0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0, // max timestamp
    0, 0, 0, 0, 0, 0, 0x10, 0, // producer id
    0, 3, // producer epoch
    0, 0, 0, 9, // base sequence
    0, 0, 0, 1, // count of records
    // length 8, attributes, timestamp delta, offset delta, key, value, no headers
    16, 0, 0, 0, 2, b'k', 2, b'v', 0,
];

#[test]
fn a_batch_made_by_hand_is_read_and_built_again() {
    let header = BatchHeader::parse(&GOLDEN).unwrap();
    let time = Timestamp(1_700_000_000_000);
    assert_eq!(
        header,
        BatchHeader {
            base_offset: Offset(42),
            batch_length: 58,
            partition_leader_epoch: LeaderEpoch(7),
            crc: 0x0e62_0c0d,
            attributes: Attributes(0),
            last_offset_delta: 0,
            base_timestamp: time,
            max_timestamp: time,
            producer_id: ProducerId(4096),
            producer_epoch: ProducerEpoch(3),
            base_sequence: 9,
            records_count: 1,
        }
    );
    assert_eq!(header.size(), GOLDEN.len());
    assert_eq!(header.encode(), GOLDEN[..HEADER_SIZE]);
    assert!(verify_crc(&GOLDEN));
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(42))
        .leader_epoch(LeaderEpoch(7))
        .producer(ProducerId(4096), ProducerEpoch(3), 9);
    builder.append(time, Some(b"k"), Some(b"v"), &[]);
    assert_eq!(builder.build().unwrap()[..], GOLDEN);
}

#[test]
fn any_flipped_bit_behind_the_checksum_is_found() {
    for at in 17..GOLDEN.len() {
        let mut batch = GOLDEN;
        batch[at] ^= 0x10;
        assert!(!verify_crc(&batch), "byte {at}");
    }
    for at in 0..17 {
        let mut batch = GOLDEN;
        batch[at] ^= 0x10;
        assert!(verify_crc(&batch), "byte {at} is outside the checksum");
    }
}

#[test]
fn too_few_bytes_are_partial_unless_they_are_wrong_already() {
    for end in 0..HEADER_SIZE {
        assert_eq!(
            BatchHeader::parse(&GOLDEN[..end]),
            Err(BatchError::Partial {
                available: end,
                needed: HEADER_SIZE
            })
        );
        assert!(!verify_crc(&GOLDEN[..end]));
    }
    let mut old = GOLDEN;
    old[16] = 1;
    assert_eq!(BatchHeader::parse(&old[..20]), Err(BatchError::Magic(1)));
    assert_eq!(BatchHeader::parse(&old), Err(BatchError::Magic(1)));
    let mut short = GOLDEN;
    for length in [0, 48, -1, i32::MIN] {
        short[8..12].copy_from_slice(&length.to_be_bytes());
        let expected = Err(BatchError::Length(length));
        assert_eq!(BatchHeader::parse(&short), expected);
        assert_eq!(BatchHeader::parse(&short[..12]), expected);
    }
}

#[test]
fn a_sequence_wraps_behind_the_greatest_number() {
    let mut header = BatchHeader::parse(&GOLDEN).unwrap();
    header.last_offset_delta = 2;
    for (base, last) in [
        (9, 11),
        (i32::MAX - 2, i32::MAX),
        (i32::MAX - 1, 0),
        (-1, -1),
    ] {
        header.base_sequence = base;
        assert_eq!(header.last_sequence(), last);
    }
    assert_eq!(header.last_offset(), Offset(44));
    assert_eq!(header.next_offset(), Offset(45));
}

#[test]
fn attribute_bits_are_where_kafka_has_them() {
    let bits = |attributes: i16| Attributes(attributes);
    assert_eq!(bits(4).codec(), Ok(Codec::Zstd));
    assert_eq!(bits(6).codec(), Err(6));
    assert_eq!(bits(8).timestamp_type(), TimestampType::LogAppendTime);
    assert!(bits(16).is_transactional() && bits(32).is_control() && bits(64).has_delete_horizon());
    assert_eq!(bits(0x7f).with_codec(Codec::Lz4), bits(0x7b));
    assert_eq!(
        bits(0x7f).with_timestamp_type(TimestampType::CreateTime),
        bits(0x77)
    );
}

#[test]
fn a_record_has_its_own_time_or_that_of_the_append() {
    let mut header = BatchHeader::parse(&GOLDEN).unwrap();
    header.max_timestamp = Timestamp(5);
    assert_eq!(
        header.record_timestamp(-7),
        Timestamp(1_700_000_000_000 - 7)
    );
    header.attributes = Attributes(8);
    assert_eq!(header.record_timestamp(-7), Timestamp(5));
}
