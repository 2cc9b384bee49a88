//! Truncations, mutations, lying numbers and bombs: nothing panics, nothing is believed, and memory
//! stays bounded.

use bytes::Bytes;

use crate::model::Timestamp;

use super::batch_header::{compute_crc, seal};
use super::*;

const BYTES_MAX: usize = 4 << 20;

fn rules() -> ProduceRules {
    ProduceRules {
        max_message_bytes: 1 << 20,
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        key_required: false,
        zstd_allowed: true,
        decompressed_bytes_max: BYTES_MAX,
        now: Timestamp(1000),
    }
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new().codec(codec);
    for index in 0..20i64 {
        let value = format!("some value {index}");
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"a", Some(b"1")), (b"a", None)];
        builder.append(
            Timestamp(index),
            Some(b"key"),
            Some(value.as_bytes()),
            &headers,
        );
    }
    builder.build().unwrap().to_vec()
}

/// Reads whatever can be read of a batch that may be anything.
fn drain(bytes: &[u8], scratch: &mut Scratch) -> Option<usize> {
    let header = BatchHeader::parse(bytes).ok()?;
    let mut reader = records(&header, bytes, BYTES_MAX, scratch).ok()?;
    let mut seen = 0;
    while let Some(record) = reader.next().ok()? {
        seen += 1 + record.headers().count();
    }
    Some(seen)
}

/// A fixed sequence of numbers that look random (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[test]
fn no_truncation_is_valid() {
    let mut scratch = Scratch::new();
    for codec in Codec::ALL {
        let whole = batch(codec);
        for end in 0..whole.len() {
            let cut = Bytes::copy_from_slice(&whole[..end]);
            assert!(validate_produce(cut, &rules(), &mut scratch).is_err());
            drain(&whole[..end], &mut scratch);
            // With a length and a checksum that fit what is left.
            if end > HEADER_SIZE {
                let mut sealed = whole[..end].to_vec();
                seal(BatchHeader::parse(&whole).unwrap(), &mut sealed);
                let result = validate_produce(sealed.into(), &rules(), &mut scratch);
                assert!(result.is_err(), "{codec:?} {end}");
            }
        }
        assert!(validate_produce(whole.into(), &rules(), &mut scratch).is_ok());
    }
}

#[test]
fn no_single_byte_can_change_unseen_behind_the_checksum() {
    let mut scratch = Scratch::new();
    for codec in Codec::ALL {
        let whole = batch(codec);
        for at in 0..whole.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut changed = whole.clone();
                changed[at] ^= flip;
                drain(&changed, &mut scratch);
                let result = validate_produce(changed.into(), &rules(), &mut scratch);
                // The leader epoch alone is nobody's business here: the log writes its own.
                assert_eq!(
                    result.is_ok(),
                    (12..16).contains(&at),
                    "{codec:?} byte {at}"
                );
            }
        }
    }
}

#[test]
fn whatever_is_validated_can_be_read_back() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut scratch = Scratch::new();
    let mut accepted = 0;
    for round in 0..5000 {
        let mut changed = batch(Codec::ALL[round % 5]);
        for _ in 0..1 + numbers.below(3) {
            let at = 21 + numbers.below(changed.len() - 21);
            changed[at] = match numbers.below(3) {
                0 => changed[at].wrapping_add(1),
                1 => 0xff,
                _ => numbers.below(256) as u8,
            };
        }
        if numbers.below(4) == 0 {
            changed.truncate(HEADER_SIZE + numbers.below(changed.len() - HEADER_SIZE));
            let header = BatchHeader::parse(&batch(Codec::None)).unwrap();
            seal(header, &mut changed);
        }
        let crc = compute_crc(&changed);
        changed[17..21].copy_from_slice(&crc.to_be_bytes());
        drain(&changed, &mut scratch);
        if let Ok(valid) = validate_produce(changed.into(), &rules(), &mut scratch) {
            accepted += 1;
            assert!(verify_crc(&valid.bytes));
            let seen = drain(&valid.bytes, &mut scratch).expect("a valid batch is readable");
            assert!(seen >= usize::try_from(valid.header.records_count).unwrap());
        }
    }
    assert!(accepted > 100, "the mutations are too coarse: {accepted}");
}

#[test]
fn random_bytes_behind_a_header_never_panic() {
    let mut numbers = Numbers(88_172_645_463_325_252);
    let mut scratch = Scratch::new();
    for round in 0..3000 {
        let mut bytes: Vec<u8> = batch(Codec::None)[..HEADER_SIZE].to_vec();
        for _ in 0..numbers.below(200) {
            bytes.push(numbers.below(256) as u8);
        }
        let mut header = BatchHeader::parse(&bytes).unwrap();
        header.attributes.0 = round % 8;
        seal(header, &mut bytes);
        drain(&bytes, &mut scratch);
        assert!(validate_produce(bytes.into(), &rules(), &mut scratch).is_err());
    }
}

/// A batch of one record with `value` compressed, claiming `count` records.
fn bomb(codec: Codec, size: usize) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec);
    builder.append(Timestamp(0), None, Some(&vec![0; size]), &[]);
    builder.build().unwrap()
}

#[test]
fn bombs_are_refused_and_leave_no_memory_behind() {
    let mut scratch = Scratch::new();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let harmless = bomb(codec, BYTES_MAX - 100);
        assert!(validate_produce(harmless, &rules(), &mut scratch).is_ok());
        let bomb = bomb(codec, BYTES_MAX * 4);
        assert!(bomb.len() < 1 << 20, "{codec:?} makes {}", bomb.len());
        let error = validate_produce(bomb.clone(), &rules(), &mut scratch).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("the records decompress to more than {BYTES_MAX} bytes"),
            "{codec:?}"
        );
        assert_eq!(drain(&bomb, &mut scratch), None);
        let plain = ProduceRules {
            compression: TopicCompression::Uncompressed,
            decompressed_bytes_max: usize::MAX,
            ..rules()
        };
        let error = validate_produce(bomb, &plain, &mut scratch).unwrap_err();
        assert!(matches!(error, InvalidBatch::TooLarge { .. }), "{error}");
        scratch.trim();
        assert!(format!("{scratch:?}").contains("65536"), "{scratch:?}");
    }
}

#[test]
fn a_bomb_of_many_empty_records_is_refused_at_its_limit() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut compressor = super::compression::Compressor::new(codec, None, vec![0; 61]).unwrap();
        for _ in 0..1000 {
            compressor.write(&[0; 10_000]).unwrap();
        }
        let mut bytes = compressor.finish().unwrap();
        let mut header = BatchHeader::parse(&batch(codec)).unwrap();
        (header.records_count, header.last_offset_delta) = (i32::MAX, i32::MAX - 1);
        seal(header, &mut bytes);
        let error = validate_produce(bytes.into(), &rules(), &mut Scratch::new()).unwrap_err();
        assert!(matches!(error, InvalidBatch::InvalidRecord { .. }));
    }
}

#[test]
fn lying_lengths_inside_compressed_records_allocate_nothing() {
    // A record length, a key length and a header count of two billion each.
    let huge = [0xfe, 0xff, 0xff, 0xff, 0x0f];
    let key = [&[100, 0, 0, 0][..], &huge].concat();
    let headers = [&[100, 0, 0, 0, 1, 1][..], &huge].concat();
    let mut scratch = Scratch::new();
    for records in [huge.to_vec(), key, headers] {
        for codec in Codec::ALL {
            let mut compressor =
                super::compression::Compressor::new(codec, None, vec![0; 61]).unwrap();
            compressor.write(&records).unwrap();
            compressor.write(&[0; 60]).unwrap();
            let mut bytes = compressor.finish().unwrap();
            let mut header = BatchHeader::parse(&batch(codec)).unwrap();
            (header.records_count, header.last_offset_delta) = (1, 0);
            seal(header, &mut bytes);
            assert_eq!(drain(&bytes, &mut scratch), None);
            assert!(validate_produce(bytes.into(), &rules(), &mut scratch).is_err());
        }
    }
}
