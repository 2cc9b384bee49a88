//! Record batches as a producer may send them: iteration, records, and the rules of a produce.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use milena::model::Timestamp;
use milena::record::{
    ProduceRules, Scratch, TimestampType, TopicCompression, batches, records, validate_produce,
};

/// What one batch may decompress to; the fuzzer's memory limit stands well above it.
const DECOMPRESSED_BYTES_MAX: usize = 4 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut scratch = Scratch::default();
    for batch in batches(bytes) {
        let Ok((header, batch)) = batch else {
            break;
        };
        if let Ok(mut reader) = records(&header, batch, DECOMPRESSED_BYTES_MAX, &mut scratch) {
            while let Ok(Some(record)) = reader.next() {
                record.headers().for_each(drop);
            }
        }
    }
    let rules = ProduceRules {
        max_message_bytes: 1 << 20,
        compression: TopicCompression::Producer,
        timestamp_type: TimestampType::CreateTime,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
        key_required: bytes.first() == Some(&1),
        zstd_allowed: true,
        decompressed_bytes_max: DECOMPRESSED_BYTES_MAX,
        now: Timestamp(1_800_000_000_000),
    };
    // The checksum is made right, or hardly any input would get past it.
    let mut sealed = bytes.to_vec();
    if let Some(covered) = bytes.get(21..) {
        let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, covered) as u32;
        sealed[17..21].copy_from_slice(&sum.to_be_bytes());
    }
    validate_produce(Bytes::from(sealed), &rules, &mut scratch).ok();
});
