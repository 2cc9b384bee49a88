//! What is stored of a produced batch, and with which words one is refused.

use crate::model::{ProducerEpoch, ProducerId};

use super::super::{BatchBuilder, TopicCompression, records};
use super::*;

const NOW: i64 = 1_700_000_000_000;

fn rules() -> ProduceRules {
    ProduceRules {
        max_message_bytes: 1_048_588,
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        key_required: false,
        zstd_allowed: true,
        decompressed_bytes_max: 100 << 20,
        now: Timestamp(NOW),
    }
}

fn validate(batch: &Bytes, rules: &ProduceRules) -> Result<ValidBatch, InvalidBatch> {
    validate_produce(batch.clone(), rules, &mut Scratch::new())
}

/// Records at `NOW` plus each of `times`, the value of each a few hundred bytes.
fn batch(codec: Codec, times: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new().codec(codec);
    for time in times {
        let value = format!("value {time} ").repeat(20);
        let headers: [(&[u8], Option<&[u8]>); 1] = [(b"h", Some(b"1"))];
        let key = Some(&b"key"[..]);
        builder.append(Timestamp(NOW + time), key, Some(value.as_bytes()), &headers);
    }
    builder.build().unwrap()
}

/// The batch with its header changed, under a checksum that fits.
fn with_header(batch: &Bytes, change: impl FnOnce(&mut BatchHeader)) -> Bytes {
    let mut header = BatchHeader::parse(batch).unwrap();
    change(&mut header);
    let mut copy = batch.to_vec();
    seal(header, &mut copy);
    copy.into()
}

/// A batch of one record whose bytes behind the header are these.
fn raw(count: i32, bytes: &[u8]) -> Bytes {
    let mut head = batch(Codec::None, &[0]).to_vec();
    head.truncate(super::super::HEADER_SIZE);
    head.extend_from_slice(bytes);
    let mut header = BatchHeader::parse(&head).unwrap();
    header.records_count = count;
    header.last_offset_delta = count - 1;
    seal(header, &mut head);
    head.into()
}

fn read_all(batch: &Bytes) -> Vec<(i64, i32, Vec<u8>)> {
    let header = BatchHeader::parse(batch).unwrap();
    let mut scratch = Scratch::new();
    let mut reader = records(&header, batch, 100 << 20, &mut scratch).unwrap();
    let mut all = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        all.push((
            header.base_timestamp.0 + record.timestamp_delta,
            record.offset_delta,
            record.value.unwrap_or_default().to_vec(),
        ));
    }
    all
}

fn refusal(result: Result<ValidBatch, InvalidBatch>) -> String {
    match result.unwrap_err() {
        InvalidBatch::Corrupt { message } => format!("corrupt: {message}"),
        InvalidBatch::TooLarge { size, .. } => format!("too large: {size}"),
        InvalidBatch::InvalidRecord { message, .. } => format!("record: {message}"),
        InvalidBatch::InvalidTimestamp { message, .. } => format!("timestamp: {message}"),
        InvalidBatch::UnsupportedCompression { message } => format!("compression: {message}"),
    }
}

#[test]
fn a_valid_batch_is_stored_as_it_came_without_a_copy() {
    for codec in Codec::ALL {
        let sent = batch(codec, &[0, 5, 3]);
        let valid = validate(&sent, &rules()).unwrap();
        assert_eq!(valid.bytes.as_ptr(), sent.as_ptr(), "{codec:?}");
        assert_eq!(valid.bytes, sent);
        assert_eq!(valid.header, BatchHeader::parse(&sent).unwrap());
        assert_eq!(valid.offset_delta_of_max_timestamp, 1);
    }
}

#[test]
fn a_wrong_max_timestamp_is_put_right() {
    for codec in Codec::ALL {
        let right = batch(codec, &[0, 5, 3]);
        let wrong = with_header(&right, |header| header.max_timestamp = Timestamp(7));
        let valid = validate(&wrong, &rules()).unwrap();
        assert_eq!(valid.bytes, right, "{codec:?}");
        assert_eq!(valid.header.max_timestamp, Timestamp(NOW + 5));
        assert!(verify_crc(&valid.bytes));
    }
}

#[test]
fn time_of_append_changes_the_header_alone() {
    for codec in Codec::ALL {
        let sent = batch(codec, &[-9_000_000, 9_000_000]);
        let demands = ProduceRules {
            timestamp_type: TimestampType::LogAppendTime,
            ..rules()
        };
        let valid = validate(&sent, &demands).unwrap();
        assert_eq!(valid.header.timestamp_type(), TimestampType::LogAppendTime);
        assert_eq!(valid.header.max_timestamp, Timestamp(NOW));
        assert_eq!(valid.header.codec(), Ok(codec));
        assert_eq!(valid.offset_delta_of_max_timestamp, 0);
        assert!(verify_crc(&valid.bytes));
        assert_eq!(valid.header, BatchHeader::parse(&valid.bytes).unwrap());
        assert_eq!(valid.bytes[61..], sent[61..]);
    }
}

#[test]
fn a_topic_with_a_codec_of_its_own_recompresses() {
    for source in Codec::ALL {
        let sent = batch(source, &[1, 2, 3, 4]);
        for target in Codec::ALL {
            let compression = match target {
                Codec::None => TopicCompression::Uncompressed,
                codec => TopicCompression::Codec { codec, level: 1 },
            };
            let demands = ProduceRules {
                compression,
                ..rules()
            };
            let valid = validate(&sent, &demands).unwrap();
            assert_eq!(valid.header.codec(), Ok(target));
            assert_eq!(valid.header, BatchHeader::parse(&valid.bytes).unwrap());
            assert_eq!(valid.header.size(), valid.bytes.len());
            assert!(verify_crc(&valid.bytes));
            assert_eq!(read_all(&valid.bytes), read_all(&sent));
            assert_eq!(source == target, valid.bytes == sent);
        }
    }
}

#[test]
fn a_batch_too_large_before_or_after_recompression_is_refused() {
    let sent = batch(Codec::Zstd, &[0; 100]);
    let limit = |max_message_bytes, compression| ProduceRules {
        max_message_bytes,
        compression,
        ..rules()
    };
    let producer = TopicCompression::Producer;
    assert!(validate(&sent, &limit(sent.len(), producer)).is_ok());
    assert_eq!(
        refusal(validate(&sent, &limit(sent.len() - 1, producer))),
        format!("too large: {}", sent.len())
    );
    let plain = TopicCompression::Uncompressed;
    let refused = validate(&sent, &limit(sent.len(), plain));
    assert!(refusal(refused).starts_with("too large: "));
}

#[test]
fn the_frame_is_checked_before_everything_else() {
    let sent = batch(Codec::None, &[0]);
    let (rules, size) = (rules(), sent.len());
    let refused = |bytes: Vec<u8>| refusal(validate(&bytes.into(), &rules));
    assert_eq!(
        refused(Vec::new()),
        "record: 0 bytes are there of a batch of at least 61"
    );
    assert_eq!(
        refused(sent[..size - 1].to_vec()),
        format!(
            "record: {} bytes are there of a batch of at least {size}",
            size - 1
        )
    );
    assert_eq!(
        refused([&sent[..], &sent[..]].concat()),
        format!("record: {size} bytes follow the batch; a partition takes exactly one")
    );
    let mut other = sent.to_vec();
    other[16] = 1;
    assert_eq!(
        refused(other.clone()),
        "record: magic 1 is not served, only 2"
    );
    other[16] = 3;
    assert_eq!(refused(other), "corrupt: magic 3 is not served, only 2");
    let mut short = sent.to_vec();
    short[8..12].copy_from_slice(&48i32.to_be_bytes());
    assert_eq!(
        refused(short),
        "corrupt: a batch length of 48 is less than that of an empty batch"
    );
    let mut damaged = sent.to_vec();
    damaged[size - 1] ^= 1;
    assert!(refused(damaged).starts_with("corrupt: the batch does not have the checksum"));
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let sent = batch(Codec::None, &[0, 1]);
    let refused =
        |change: fn(&mut BatchHeader)| refusal(validate(&with_header(&sent, change), &rules()));
    assert_eq!(
        refused(|header| header.base_offset = Offset(1)),
        "record: the base offset of a produced batch is 0, not 1"
    );
    assert_eq!(
        refused(|header| header.last_offset_delta = 2),
        "record: a count of 2 records does not fit a last offset delta of 2"
    );
    assert_eq!(
        refused(|header| {
            header.records_count = i32::MIN;
            header.last_offset_delta = i32::MAX;
        }),
        "record: a count of -2147483648 records does not fit a last offset delta of 2147483647"
    );
    assert_eq!(
        refused(|header| header.attributes = header.attributes.with_control(true)),
        "record: producers may not write control records"
    );
    assert_eq!(
        refused(|header| header.attributes.0 |= 6),
        "record: compression codec 6 does not exist"
    );
    assert_eq!(
        refused(|header| header.attributes.0 |= 8),
        "timestamp: producers may not claim the time of append"
    );
    assert_eq!(
        refused(|header| header.producer_id = ProducerId(5)),
        "record: producer id 5 needs an epoch and a sequence, not -1 and -1"
    );
}

#[test]
fn producers_are_told_by_their_id_alone() {
    let sent = batch(Codec::None, &[0]);
    // kafkajs writes epoch 0 and sequence 0 without having an id.
    let odd = with_header(&sent, |header| {
        header.producer_epoch = ProducerEpoch(0);
        header.base_sequence = 0;
    });
    assert!(validate(&odd, &rules()).is_ok());
    let idempotent = with_header(&odd, |header| header.producer_id = ProducerId(0));
    assert!(
        validate(&idempotent, &rules())
            .unwrap()
            .header
            .has_producer_id()
    );
}

#[test]
fn zstd_needs_a_request_that_knows_it() {
    let old = ProduceRules {
        zstd_allowed: false,
        ..rules()
    };
    assert_eq!(
        refusal(validate(&batch(Codec::Zstd, &[0]), &old)),
        "compression: zstd needs version 7 of the Produce request"
    );
    assert!(validate(&batch(Codec::Lz4, &[0]), &old).is_ok());
}

#[test]
fn timestamps_out_of_range_are_told_one_by_one() {
    let range = ProduceRules {
        timestamp_before_max_ms: 10,
        timestamp_after_max_ms: 20,
        ..rules()
    };
    for codec in Codec::ALL {
        assert!(validate(&batch(codec, &[-10, 20, -NOW - 1]), &range).is_ok());
        let error = validate(&batch(codec, &[-11, 0, 21]), &range).unwrap_err();
        assert!(matches!(error, InvalidBatch::InvalidTimestamp { .. }));
        let indices: Vec<_> = error.record_errors().iter().map(|e| e.index).collect();
        assert_eq!(indices, [0, 2]);
        assert_eq!(
            error.record_errors()[1].message,
            format!(
                "timestamp {} lies outside of {} to {}",
                NOW + 21,
                NOW - 10,
                NOW + 20
            )
        );
    }
}

#[test]
fn a_batch_without_timestamps_is_accepted_and_stays_without() {
    let sent = batch(Codec::None, &[-NOW - 1, -NOW - 1]);
    let valid = validate(&sent, &rules()).unwrap();
    assert_eq!(valid.bytes, sent);
    assert_eq!(valid.header.max_timestamp, Timestamp::NONE);
    assert_eq!(valid.offset_delta_of_max_timestamp, 0);
}

#[test]
fn compacted_topics_want_keys_and_no_list_of_errors_is_endless() {
    let compacted = ProduceRules {
        key_required: true,
        ..rules()
    };
    assert!(validate(&batch(Codec::None, &[0]), &compacted).is_ok());
    for codec in Codec::ALL {
        let mut builder = BatchBuilder::new().codec(codec);
        builder.append(Timestamp(NOW), Some(b""), None, &[]);
        for _ in 0..500 {
            builder.append(Timestamp(NOW), None, Some(b"v"), &[]);
        }
        let error = validate(&builder.build().unwrap(), &compacted).unwrap_err();
        assert!(matches!(error, InvalidBatch::InvalidRecord { .. }));
        assert_eq!(error.record_errors().len(), RECORD_ERRORS_MAX);
        assert_eq!(error.record_errors()[0].index, 1);
        assert_eq!(
            error.to_string(),
            "500 of the records were refused: a compacted topic takes no record without a key"
        );
    }
}

#[test]
fn records_that_break_the_format_are_refused() {
    let refused = |count, bytes: &[u8]| refusal(validate(&raw(count, bytes), &rules()));
    let record = [14, 0, 0, 0, 1, 2, b'v', 0];
    assert!(validate(&raw(1, &record), &rules()).is_ok());
    assert_eq!(
        refused(2, &record),
        "record: the records end before the count of the header is reached"
    );
    assert_eq!(
        refused(i32::MAX, &record),
        "record: the records end before the count of the header is reached"
    );
    assert_eq!(
        refused(1, &[&record[..], &[0]].concat()),
        "record: bytes are left behind the last record"
    );
    assert_eq!(
        refused(2, &[record, record].concat()),
        "record: record 1 has offset delta 0"
    );
    for (bytes, field) in [
        (&[0xff, 0xff, 0xff, 0xff, 0x1f][..], "length"),
        (&[1], "length"),
        (&[0], "no attributes"),
        (&[14, 0, 0, 0, 1, 2, b'v', 2], "header key"),
        (&[12, 0, 0, 0, 3, 1, 0], "key"),
        (
            &[14, 0, 0, 0, 1, 1, 0, 0],
            "its length is greater than its fields",
        ),
    ] {
        assert_eq!(
            refused(1, bytes),
            format!("record: a record is malformed: {field}")
        );
    }
    let overflow = with_header(&batch(Codec::None, &[0, 1]), |header| {
        header.base_timestamp = Timestamp(i64::MAX);
    });
    assert_eq!(
        refusal(validate(
            &overflow,
            &ProduceRules {
                timestamp_type: TimestampType::LogAppendTime,
                ..rules()
            }
        )),
        "record: a record is malformed: timestamp delta"
    );
}

#[test]
fn batches_of_our_own_may_be_control_batches_but_not_damaged() {
    let mut scratch = Scratch::new();
    let marker = super::super::EndTransactionMarker {
        committed: true,
        coordinator_epoch: 1,
    };
    let batch = marker
        .batch(ProducerId(1), ProducerEpoch(0), Timestamp(NOW))
        .unwrap();
    let valid = ValidBatch::from_builder(batch.clone(), &mut scratch).unwrap();
    assert_eq!(valid.bytes, batch);
    assert!(valid.header.is_control());
    let mut builder = BatchBuilder::new().codec(Codec::Zstd);
    for time in [1, 9, 9, 2] {
        builder.append(Timestamp(time), None, None, &[]);
    }
    let timed = builder.clone().log_append_time(Timestamp(77));
    for (builder, of_max) in [(builder, 1), (timed, 0)] {
        let built = builder.build().unwrap();
        let valid = ValidBatch::from_builder(built, &mut scratch).unwrap();
        assert_eq!(valid.offset_delta_of_max_timestamp, of_max);
    }
    let empty = BatchBuilder::new().codec(Codec::Gzip).build().unwrap();
    assert!(ValidBatch::from_builder(empty, &mut scratch).is_ok());
    for at in [batch.len() - 1, 16, 11] {
        let mut damaged = batch.to_vec();
        damaged[at] ^= 3;
        assert!(ValidBatch::from_builder(damaged.into(), &mut scratch).is_err());
    }
}
