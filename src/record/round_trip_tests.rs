//! What is built is what is read, in every codec, whatever the sizes and the order.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};

use super::*;

type Field = Option<Vec<u8>>;

#[derive(Debug, Clone, PartialEq)]
struct Record {
    timestamp: i64,
    key: Field,
    value: Field,
    headers: Vec<(Vec<u8>, Field)>,
}

fn field(bytes: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Field> {
    option::weighted(0.8, bytes)
}

/// Bytes that compress, of sizes around those of windows and blocks.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => vec(any::<u8>(), 0..200),
        1 => (any::<u8>(), 0..200_000usize).prop_map(|(byte, size)| vec![byte; size]),
        1 => (60_000..70_000usize).prop_map(|size| (0..size).map(|i| ((i * i) >> 3) as u8).collect()),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    let headers = vec((vec(0u8..3, 0..3), field(vec(any::<u8>(), 0..5))), 0..4);
    (
        0i64..1 << 45,
        field(vec(any::<u8>(), 0..20)),
        field(value()),
        headers,
    )
        .prop_map(|(timestamp, key, value, headers)| Record {
            timestamp,
            key,
            value,
            headers,
        })
}

fn build(codec: Codec, records: &[Record]) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec);
    for record in records {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
            .collect();
        let timestamp = Timestamp(record.timestamp);
        builder.append(
            timestamp,
            record.key.as_deref(),
            record.value.as_deref(),
            &headers,
        );
    }
    builder.build().unwrap()
}

fn read(batch: &[u8], scratch: &mut Scratch) -> Result<Vec<Record>, RecordFault> {
    let header = BatchHeader::parse(batch).unwrap();
    let mut reader = records(&header, batch, 64 << 20, scratch)?;
    let mut all = Vec::new();
    while let Some(record) = reader.next()? {
        assert_eq!(record.offset_delta as usize, all.len());
        all.push(Record {
            timestamp: header.base_timestamp.0 + record.timestamp_delta,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record
                .headers()
                .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        });
    }
    Ok(all)
}

fn rules() -> ProduceRules {
    ProduceRules {
        max_message_bytes: 64 << 20,
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: i64::MAX,
        key_required: false,
        zstd_allowed: true,
        decompressed_bytes_max: 64 << 20,
        now: Timestamp(0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn records_built_are_the_records_read_and_are_valid(sent in vec(record(), 1..30)) {
        let mut scratch = Scratch::new();
        let latest = sent.iter().map(|record| record.timestamp).max().unwrap();
        for codec in Codec::ALL {
            let batch = build(codec, &sent);
            prop_assert!(verify_crc(&batch));
            prop_assert_eq!(&read(&batch, &mut scratch).unwrap(), &sent);
            let valid = validate_produce(batch.clone(), &rules(), &mut scratch).unwrap();
            prop_assert_eq!(valid.bytes, batch);
            prop_assert_eq!(valid.header.max_timestamp.0, latest);
            let of_max = &sent[valid.offset_delta_of_max_timestamp as usize];
            prop_assert_eq!(of_max.timestamp, latest);
        }
    }

    #[test]
    fn recompressed_records_are_the_same_records(sent in vec(record(), 1..10)) {
        let mut scratch = Scratch::new();
        for source in Codec::ALL {
            let batch = build(source, &sent);
            for codec in Codec::ALL {
                let rules = ProduceRules {
                    compression: TopicCompression::Codec { codec, level: 3 },
                    ..rules()
                };
                let valid = validate_produce(batch.clone(), &rules, &mut scratch).unwrap();
                prop_assert_eq!(valid.header.codec(), Ok(codec));
                prop_assert_eq!(&read(&valid.bytes, &mut scratch).unwrap(), &sent);
            }
        }
    }
}

#[test]
fn a_bare_header_is_a_batch_without_records() {
    for codec in Codec::ALL {
        let batch = build(codec, &[]);
        assert_eq!(batch.len(), HEADER_SIZE);
        assert_eq!(read(&batch, &mut Scratch::new()), Ok(Vec::new()));
    }
}

#[test]
fn a_record_of_many_windows_is_read_and_validated() {
    let large = Record {
        timestamp: 1,
        key: Some(vec![7; 100_000]),
        value: Some((0..3_000_000u32).map(|i| (i >> 7) as u8).collect()),
        headers: vec![(vec![1; 70_000], None), (vec![2], Some(vec![3; 70_000]))],
    };
    let small = Record {
        timestamp: 2,
        key: None,
        value: Some(vec![1; 10]),
        headers: Vec::new(),
    };
    let sent = [small.clone(), large, small];
    let mut scratch = Scratch::new();
    for codec in Codec::ALL {
        let batch = build(codec, &sent);
        assert_eq!(read(&batch, &mut scratch).unwrap(), sent);
        assert!(validate_produce(batch, &rules(), &mut scratch).is_ok());
    }
}

#[test]
fn another_library_reads_what_is_built_and_is_read_itself() {
    use kafka_protocol::records::{
        Compression, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions,
    };
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(0))
        .leader_epoch(LeaderEpoch(4))
        .producer(ProducerId(9), ProducerEpoch(3), 0);
    let headers: [(&[u8], Option<&[u8]>); 2] = [(b"a", Some(b"1")), (b"b", None)];
    builder.append(Timestamp(1_000_000), Some(b"key"), Some(b"value"), &headers);
    builder.append(Timestamp(999_000), None, Some(b""), &[]);
    builder.append(Timestamp(2_000_000), Some(b""), None, &[]);
    let built = builder.build().unwrap();
    let set = RecordBatchDecoder::decode(&mut built.clone()).unwrap();
    let told: Vec<_> = set
        .records
        .iter()
        .map(|record| {
            let place = (record.offset, record.sequence, record.producer_id);
            (
                place,
                record.timestamp,
                record.key.clone(),
                record.value.clone(),
                record.headers.len(),
            )
        })
        .collect();
    let bytes = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
    assert_eq!(
        told,
        [
            ((0, 0, 9), 1_000_000, bytes(b"key"), bytes(b"value"), 2),
            ((1, 1, 9), 999_000, None, bytes(b""), 0),
            ((2, 2, 9), 2_000_000, bytes(b""), None, 0),
        ]
    );
    let options = RecordEncodeOptions {
        version: 2,
        compression: Compression::None,
    };
    let mut encoded = bytes::BytesMut::new();
    RecordBatchEncoder::encode(&mut encoded, &set.records, &options).unwrap();
    let theirs = read(&encoded, &mut Scratch::new()).unwrap();
    assert_eq!(theirs, read(&built, &mut Scratch::new()).unwrap());
    assert!(validate_produce(encoded.freeze(), &rules(), &mut Scratch::new()).is_ok());
}
