//! Batches with records taken out, against the batches they were made from.

use crate::model::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

use super::super::{BatchBuilder, records, verify_crc};
use super::*;

const BYTES_MAX: usize = 1 << 20;

/// Everything of a record: offset, timestamp, key, value, headers.
type Whole = (i64, i64, Vec<u8>, Option<Vec<u8>>, usize);

fn batch(codec: Codec, appended: Option<Timestamp>) -> Vec<u8> {
    let mut builder = BatchBuilder::new()
        .base_offset(Offset(100))
        .leader_epoch(LeaderEpoch(4))
        .producer(ProducerId(9), ProducerEpoch(1), 30)
        .transactional()
        .codec(codec);
    if let Some(appended) = appended {
        builder = builder.log_append_time(appended);
    }
    for index in 0..20i64 {
        let key = format!("key {index}");
        let value = vec![b'v'; usize::try_from(index).unwrap() * 10];
        let value = (index % 5 != 4).then_some(&value[..]);
        let headers: [(&[u8], Option<&[u8]>); 2] = [(b"a", Some(b"1")), (b"b", None)];
        let headers = &headers[..usize::try_from(index % 3).unwrap()];
        builder.append(
            Timestamp(1000 + index * 7),
            Some(key.as_bytes()),
            value,
            headers,
        );
    }
    builder.build().unwrap().to_vec()
}

fn read(bytes: &[u8]) -> (BatchHeader, Vec<Whole>) {
    assert!(verify_crc(bytes));
    let header = BatchHeader::parse(bytes).unwrap();
    assert_eq!(header.size(), bytes.len());
    let mut scratch = Scratch::new();
    let mut reader = records(&header, bytes, BYTES_MAX, &mut scratch).unwrap();
    let mut found = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        found.push((
            header.base_offset.0 + i64::from(record.offset_delta),
            header.record_timestamp(record.timestamp_delta).0,
            record.key.unwrap().to_vec(),
            record.value.map(<[u8]>::to_vec),
            record.headers().count(),
        ));
    }
    (header, found)
}

fn rewritten(
    bytes: &[u8],
    keeps: impl Fn(i32) -> bool,
    horizon: Option<Timestamp>,
) -> (Vec<u8>, BatchHeader) {
    let header = BatchHeader::parse(bytes).unwrap();
    let (mut scratch, mut plain) = (Scratch::new(), Vec::new());
    let mut walk = plain_records(&header, bytes, BYTES_MAX, &mut scratch, &mut plain).unwrap();
    let mut kept = KeptRecords::default();
    kept.clear();
    while let Some((record, place)) = walk.next().unwrap() {
        if keeps(record.offset_delta) {
            kept.keep(place, header.record_timestamp(record.timestamp_delta));
        }
    }
    let mut out = b"before".to_vec();
    let new = rewrite_batch(&header, walk.bytes(), &kept, horizon, &mut out).unwrap();
    assert_eq!(out[..6], *b"before");
    (out.split_off(6), new)
}

#[test]
fn the_records_that_stay_are_as_they_were_in_every_codec() {
    for codec in Codec::ALL {
        for appended in [None, Some(Timestamp(5000))] {
            for horizon in [None, Some(Timestamp(1_000_000)), Some(Timestamp(3))] {
                let original = batch(codec, appended);
                let (before, mut all) = read(&original);
                let keeps = |delta: i32| delta % 3 == 1;
                let (bytes, told) = rewritten(&original, keeps, horizon);
                let (after, found) = read(&bytes);
                all.retain(|record| keeps(i32::try_from(record.0 - 100).unwrap()));
                assert_eq!(found, all);
                assert_eq!(after, told);
                let max = appended.map_or(1000 + 19 * 7, |time| time.0);
                let horizon_base = horizon.unwrap_or(before.base_timestamp);
                let expected = BatchHeader {
                    records_count: 7,
                    batch_length: after.batch_length,
                    crc: after.crc,
                    max_timestamp: Timestamp(max),
                    base_timestamp: horizon_base,
                    attributes: before.attributes.with_delete_horizon(horizon.is_some()),
                    ..before
                };
                assert_eq!(after, expected);
                assert_eq!(after.codec(), Ok(codec));
            }
        }
    }
}

#[test]
fn a_horizon_that_is_there_stays_when_more_records_go() {
    let (first, _) = rewritten(&batch(Codec::Lz4, None), |_| true, Some(Timestamp(77)));
    let (second, header) = rewritten(&first, |delta| delta < 2, None);
    assert!(header.attributes.has_delete_horizon());
    assert_eq!(header.base_timestamp, Timestamp(77));
    let (header, found) = read(&second);
    assert_eq!((found[1].1, header.max_timestamp), (1007, Timestamp(1007)));
}

#[test]
fn all_records_that_stay_uncompressed_give_the_same_bytes() {
    let original = batch(Codec::None, None);
    assert_eq!(rewritten(&original, |_| true, None).0, original);
}

#[test]
fn an_empty_batch_keeps_offsets_and_sequences_and_is_its_own_empty_batch() {
    let original = batch(Codec::Zstd, None);
    let before = BatchHeader::parse(&original).unwrap();
    let (header, bytes) = empty_batch(&before);
    assert_eq!(read(&bytes), (header, Vec::new()));
    assert_eq!(
        (header.last_offset(), header.last_sequence()),
        (before.last_offset(), before.last_sequence())
    );
    assert_eq!(header.attributes, Attributes(0x10));
    assert_eq!(header.max_timestamp, before.max_timestamp);
    assert_eq!(empty_batch(&header).1, bytes);
}

#[test]
fn records_beyond_the_limit_or_the_count_are_faults() {
    let original = batch(Codec::Gzip, None);
    let mut header = BatchHeader::parse(&original).unwrap();
    let (mut scratch, mut plain) = (Scratch::new(), Vec::new());
    let over = plain_records(&header, &original, 100, &mut scratch, &mut plain);
    assert!(matches!(
        over,
        Err(RecordFault::DecompressedTooLarge { .. })
    ));
    for (count, fault) in [
        (19, RecordFault::TrailingBytes),
        (21, RecordFault::Truncated),
    ] {
        header.records_count = count;
        let walk = plain_records(&header, &original, BYTES_MAX, &mut scratch, &mut plain);
        let mut walk = walk.unwrap();
        let end = loop {
            match walk.next() {
                Ok(Some(_)) => {}
                other => break other,
            }
        };
        assert_eq!(end, Err(fault));
    }
}
