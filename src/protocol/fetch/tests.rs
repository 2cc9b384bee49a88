//! The hand-written Fetch against the codec crate, every version, and a few bytes by eye.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kafka_wire::fetch_request as wire_request;
use kafka_wire::fetch_response as wire;
use kafka_wire_core::{ApiVersion, KafkaEncode};

use super::*;
use crate::message;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, ProducerId};
use crate::protocol::messages::{self, StrBytes};
use crate::protocol::sample_tests::Sample;
use crate::protocol::{
    CurrentLeader, FileRange, NodeEndpoint, RangeSource, Segment, TopicKey, decode_body,
    encode_response,
};

fn random_partition_fetch(sample: &mut Sample, version: i16) -> wire_request::FetchPartition {
    let mut partition = message!(wire_request::FetchPartition {
        partition: sample.next() as i32,
        current_leader_epoch: sample.next() as i32,
        fetch_offset: sample.next() as i64,
        log_start_offset: sample.next() as i64,
        partition_max_bytes: sample.next() as i32,
    });
    if version >= 12 {
        partition.last_fetched_epoch = sample.next() as i32;
    }
    if version >= 17 && sample.flag() {
        partition.replica_directory_id = messages::wire_uuid(sample.uuid());
    }
    if version >= 18 && sample.flag() {
        partition.high_watermark = sample.next() as i64;
    }
    partition
}

fn random_request(sample: &mut Sample, version: i16) -> messages::FetchRequest {
    let mut request = message!(messages::FetchRequest {
        max_wait_ms: sample.next() as i32,
        min_bytes: sample.next() as i32,
        max_bytes: sample.next() as i32,
        isolation_level: sample.next() as i8,
        session_id: sample.next() as i32,
        session_epoch: sample.next() as i32,
    });
    if version >= 11 {
        request.rack_id = sample.name();
    }
    if version >= 12 && sample.flag() {
        request.cluster_id = Some(sample.name());
    }
    if version >= 15 {
        request.replica_state.replica_id = sample.below(3) as i32 - 1;
        request.replica_state.replica_epoch = sample.below(3) as i64 - 1;
    } else {
        request.replica_id = sample.next() as i32;
    }
    for _ in 0..sample.below(4) {
        let mut topic = wire_request::FetchTopic::default();
        let mut forgotten = wire_request::ForgottenTopic::default();
        if version >= TOPIC_IDS_FROM {
            topic.topic_id = messages::wire_uuid(sample.uuid());
            forgotten.topic_id = messages::wire_uuid(sample.uuid());
        } else {
            topic.topic = sample.name();
            forgotten.topic = sample.name();
        }
        let partitions = (0..sample.below(4)).map(|_| random_partition_fetch(sample, version));
        topic.partitions = partitions.collect();
        forgotten.partitions = (0..sample.below(4)).map(|_| sample.next() as i32).collect();
        request.topics.push(topic);
        if version >= 7 && sample.flag() {
            request.forgotten_topics_data.push(forgotten);
        }
    }
    request
}

fn key(name: &StrBytes, id: messages::Uuid, version: i16) -> TopicKey {
    if version >= TOPIC_IDS_FROM {
        TopicKey::Id(messages::model_uuid(id))
    } else {
        TopicKey::Name(name.clone())
    }
}

fn assert_same(ours: &FetchRequest, theirs: &messages::FetchRequest, version: i16) {
    let (replica_id, replica_epoch) = match version {
        ..=14 => (theirs.replica_id, -1),
        _ => (
            theirs.replica_state.replica_id,
            theirs.replica_state.replica_epoch,
        ),
    };
    assert_eq!(
        (ours.replica_id.0, ours.replica_epoch),
        (replica_id, replica_epoch)
    );
    assert_eq!(ours.cluster_id, theirs.cluster_id);
    assert_eq!(ours.rack_id, theirs.rack_id);
    assert_eq!(
        (ours.max_wait_ms, ours.min_bytes, ours.max_bytes),
        (theirs.max_wait_ms, theirs.min_bytes, theirs.max_bytes)
    );
    assert_eq!(ours.isolation_level, theirs.isolation_level);
    let session = (theirs.session_id, theirs.session_epoch);
    assert_eq!((ours.session_id, ours.session_epoch), session);
    assert_eq!(ours.topics().len(), theirs.topics.len());
    for ((topic, partitions), expected) in ours.topics().zip(&theirs.topics) {
        assert_eq!(*topic, key(&expected.topic, expected.topic_id, version));
        assert_eq!(partitions.len(), expected.partitions.len());
        for (ours, theirs) in partitions.iter().zip(&expected.partitions) {
            assert_eq!(ours.index, theirs.partition);
            assert_eq!(ours.current_leader_epoch.0, theirs.current_leader_epoch);
            assert_eq!(ours.fetch_offset.0, theirs.fetch_offset);
            assert_eq!(ours.last_fetched_epoch.0, theirs.last_fetched_epoch);
            assert_eq!(ours.log_start_offset.0, theirs.log_start_offset);
            assert_eq!(ours.max_bytes, theirs.partition_max_bytes);
            assert_eq!(ours.high_watermark.0, theirs.high_watermark);
            let directory = messages::model_uuid(theirs.replica_directory_id);
            assert_eq!(ours.replica_directory_id, directory);
        }
    }
    assert_eq!(ours.forgotten().len(), theirs.forgotten_topics_data.len());
    for (ours, theirs) in ours.forgotten().iter().zip(&theirs.forgotten_topics_data) {
        assert_eq!(ours.topic, key(&theirs.topic, theirs.topic_id, version));
        assert_eq!(ours.partitions, theirs.partitions);
    }
}

#[test]
fn requests_are_read_as_the_codec_crate_reads_them() {
    let mut sample = Sample::new(1);
    for version in VERSIONS {
        for _ in 0..50 {
            let request = random_request(&mut sample, version);
            let body = request
                .encode_to_bytes(ApiVersion::new(version))
                .expect("encodes");
            // Older versions leave fields out; what is left is what the crate reads back.
            let theirs = decode_body(body.clone(), version).expect("reads");
            let ours = FetchRequest::decode(body, version).expect("reads");
            assert_same(&ours, &theirs, version);
        }
    }
}

#[test]
fn damaged_requests_are_accepted_and_refused_as_the_codec_crate_does() {
    let mut sample = Sample::new(2);
    let mut accepted = 0;
    for version in VERSIONS {
        for _ in 0..40 {
            let request = random_request(&mut sample, version);
            let body = request
                .encode_to_bytes(ApiVersion::new(version))
                .expect("encodes");
            for _ in 0..20 {
                let damaged = sample.mutate(&body);
                let ours = FetchRequest::decode(damaged.clone(), version);
                let theirs = decode_body::<messages::FetchRequest>(damaged, version);
                assert_eq!(
                    ours.is_ok(),
                    theirs.is_ok(),
                    "version {version}: {ours:?} {theirs:?}"
                );
                if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
                    assert_same(&ours, &theirs, version);
                    accepted += 1;
                }
            }
        }
    }
    assert!(accepted > 1000, "{accepted}: most damage is to numbers");
}

/// A file of bytes in memory.
struct InMemory(Bytes);

impl RangeSource for InMemory {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        let start = position as usize;
        buffer.copy_from_slice(&self.0[start..start + buffer.len()]);
        Ok(())
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

fn ranges(records: &Bytes) -> Vec<FileRange> {
    let half = records.len() / 2;
    let file = Arc::new(InMemory(records.clone()));
    let range = |position: usize, length| FileRange {
        file: file.clone(),
        position: position as u64,
        length,
    };
    vec![range(0, half), range(half, records.len() - half)]
}

fn random_head<'a>(
    sample: &mut Sample,
    version: i16,
    aborted: &'a [AbortedTransaction],
) -> PartitionHead<'a> {
    let mut head = PartitionHead::failed(sample.next() as i32, ErrorCode::None);
    head.error_code = ErrorCode::ALL[sample.below(ErrorCode::ALL.len())];
    head.high_watermark = Offset(sample.next() as i64);
    head.last_stable_offset = Offset(sample.next() as i64);
    head.log_start_offset = Offset(sample.next() as i64);
    head.aborted_transactions = sample.flag().then_some(aborted);
    if version >= 11 {
        head.preferred_read_replica = BrokerId(sample.next() as i32);
    }
    if version >= 12 {
        let (epoch, end_offset) = (LeaderEpoch(3), Offset(sample.next() as i64));
        head.diverging_epoch = sample
            .flag()
            .then_some(EpochEndOffset { epoch, end_offset });
        head.snapshot_id = sample.flag().then_some(SnapshotId { end_offset, epoch });
        head.current_leader = sample.flag().then_some(CurrentLeader {
            leader_id: BrokerId(1),
            leader_epoch: LeaderEpoch(sample.next() as i32),
        });
    }
    head
}

fn wire_partition(head: &PartitionHead<'_>, records: &Bytes) -> wire::PartitionData {
    let aborted = head.aborted_transactions.map(|aborted| {
        let aborted = aborted.iter().map(|transaction| {
            message!(wire::AbortedTransaction {
                producer_id: transaction.producer_id.0,
                first_offset: transaction.first_offset.0,
            })
        });
        aborted.collect()
    });
    let mut partition = message!(wire::PartitionData {
        partition_index: head.index,
        error_code: head.error_code.code(),
        high_watermark: head.high_watermark.0,
        last_stable_offset: head.last_stable_offset.0,
        log_start_offset: head.log_start_offset.0,
        aborted_transactions: aborted,
        preferred_read_replica: head.preferred_read_replica.0,
        records: Some(records.clone()),
    });
    if let Some(diverging) = head.diverging_epoch {
        partition.diverging_epoch.epoch = diverging.epoch.0;
        partition.diverging_epoch.end_offset = diverging.end_offset.0;
    }
    if let Some(leader) = head.current_leader {
        partition.current_leader.leader_id = leader.leader_id.0;
        partition.current_leader.leader_epoch = leader.leader_epoch.0;
    }
    if let Some(snapshot) = head.snapshot_id {
        partition.snapshot_id.end_offset = snapshot.end_offset.0;
        partition.snapshot_id.epoch = snapshot.epoch.0;
    }
    partition
}

/// Gives the encoder a partition in one of the four ways there are.
fn put(encoder: &mut FetchEncoder<'_>, sample: &mut Sample, head: &PartitionHead<'_>) -> Bytes {
    let records = sample.bytes();
    match sample.below(4) {
        0 => {
            encoder.partition_empty(head).expect("announced");
            return Bytes::new();
        }
        1 => encoder.partition_bytes(head, &records),
        2 => encoder.partition_files(head, ranges(&records)),
        _ => {
            // Sometimes other than expected, by so much that the length takes another width.
            let expected = [records.len(), 1, 100_000][sample.below(3)];
            let read = |buffer: &mut BytesMut| {
                buffer.extend_from_slice(&records);
                Ok(())
            };
            encoder.partition_read(head, expected, read, |_| unreachable!("it is read"))
        }
    }
    .expect("announced");
    records
}

#[test]
fn answers_are_written_as_the_codec_crate_writes_them() {
    let mut sample = Sample::new(3);
    let mut buffer = BytesMut::new();
    let aborted = [AbortedTransaction {
        producer_id: ProducerId(9),
        first_offset: Offset(77),
    }];
    for version in VERSIONS {
        for _ in 0..60 {
            let topics = sample.below(3);
            let session = match version {
                ..=6 => (ErrorCode::None, 0),
                _ => (ErrorCode::FetchSessionIdNotFound, sample.next() as i32),
            };
            let mut encoder =
                FetchEncoder::new(&mut buffer, 77, version, session, 55, topics).expect("served");
            let mut responses = Vec::new();
            for _ in 0..topics {
                let partitions = sample.below(4);
                let mut response = wire::FetchableTopicResponse::default();
                if version >= TOPIC_IDS_FROM {
                    response.topic_id = messages::wire_uuid(sample.uuid());
                } else {
                    response.topic = sample.name();
                }
                let key = key(&response.topic, response.topic_id, version);
                encoder.topic(&key, partitions).expect("announced");
                for _ in 0..partitions {
                    let head = random_head(&mut sample, version, &aborted);
                    let records = put(&mut encoder, &mut sample, &head);
                    response.partitions.push(wire_partition(&head, &records));
                }
                responses.push(response);
            }
            let mut theirs = message!(messages::FetchResponse {
                throttle_time_ms: 55,
                error_code: session.0.code(),
                session_id: session.1,
                responses: responses,
            });
            let endpoint = NodeEndpoint {
                node_id: BrokerId(1),
                host: "localhost".to_owned(),
                port: 9092,
                rack: sample.flag().then(|| sample.text()),
            };
            if version >= 16 {
                theirs.node_endpoints.push(message!(wire::NodeEndpoint {
                    node_id: 1,
                    host: StrBytes::from("localhost"),
                    port: 9092,
                    rack: endpoint.rack.as_deref().map(StrBytes::from),
                }));
            }
            let ours = encoder.finish(&[endpoint]).expect("complete");
            let length = ours.len();
            let ours = ours.read_to_bytes().expect("in memory");
            assert_eq!(ours.len(), length);
            let theirs = encode_response(77, version, &theirs).expect("encodes");
            assert!(
                ours == theirs.read_to_bytes().expect("no files"),
                "version {version}"
            );
        }
    }
}

fn head(index: i32) -> PartitionHead<'static> {
    PartitionHead {
        high_watermark: Offset(5),
        ..PartitionHead::failed(index, ErrorCode::None)
    }
}

#[test]
fn an_answer_with_only_small_records_is_one_piece_and_files_stay_files() {
    let key = TopicKey::Name(StrBytes::from("t"));
    let mut buffer = BytesMut::with_capacity(10_000);
    let records = Bytes::from(vec![1; 500]);
    let mut encoder =
        FetchEncoder::new(&mut buffer, 1, 12, (ErrorCode::None, 0), 0, 1).expect("served");
    encoder.topic(&key, 2).expect("announced");
    encoder
        .partition_bytes(&head(0), &records)
        .expect("announced");
    let read = |buffer: &mut BytesMut| {
        buffer.extend_from_slice(&records);
        Ok(())
    };
    encoder
        .partition_read(&head(1), 500, read, |_| head(1))
        .expect("announced");
    let pieces: Vec<Segment> = encoder
        .finish(&[])
        .expect("complete")
        .into_segments()
        .collect();
    assert!(matches!(&pieces[..], [Segment::Bytes(_)]), "{pieces:?}");
    let first = pieces[0].len();
    drop(pieces);
    // The memory of the answer comes back to the buffer once it was written.
    buffer.reserve(10_000);
    assert!(buffer.capacity() >= 10_000 && first > 1000);

    let mut encoder =
        FetchEncoder::new(&mut buffer, 1, 12, (ErrorCode::None, 0), 0, 1).expect("served");
    encoder.topic(&key, 1).expect("announced");
    encoder
        .partition_files(&head(0), ranges(&records))
        .expect("announced");
    let pieces: Vec<Segment> = encoder
        .finish(&[])
        .expect("complete")
        .into_segments()
        .collect();
    use Segment::{Bytes as Memory, File};
    assert!(matches!(
        &pieces[..],
        [Memory(_), File(_), File(_), Memory(_)]
    ));
}

#[test]
fn records_that_cannot_be_read_become_an_error_of_their_partition() {
    let mut buffer = BytesMut::new();
    let mut encoder =
        FetchEncoder::new(&mut buffer, 1, 4, (ErrorCode::None, 0), 0, 1).expect("served");
    let key = TopicKey::Name(StrBytes::from("t"));
    encoder.topic(&key, 1).expect("announced");
    let read = |buffer: &mut BytesMut| {
        buffer.extend_from_slice(b"half of it");
        Err(io::ErrorKind::UnexpectedEof.into())
    };
    let failed = |_| PartitionHead::failed(3, ErrorCode::KafkaStorageError);
    encoder
        .partition_read(&head(3), 100, read, failed)
        .expect("announced");
    let frame = encoder
        .finish(&[])
        .expect("complete")
        .read_to_bytes()
        .expect("no files");
    #[rustfmt::skip]
    let expected = [
        0, 0, 0, 49, 0, 0, 0, 1, // size, correlation id
        0, 0, 0, 0, // throttle time
        0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, // one topic, its name, one partition
        0, 0, 0, 3, 0, 56, // partition, storage error
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // high watermark
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // last stable offset
        0xff, 0xff, 0xff, 0xff, // aborted transactions: null
        0, 0, 0, 0, // records: empty, not null
    ];
    assert_eq!(frame, expected);
}

#[test]
fn the_request_of_a_session_without_changes_allocates_no_list() {
    let request = message!(messages::FetchRequest {
        session_id: 5,
        session_epoch: 9
    });
    let body = request
        .encode_to_bytes(ApiVersion::new(17))
        .expect("encodes");
    let ours = FetchRequest::decode(body, 17).expect("reads");
    assert_eq!((ours.topics().len(), ours.partition_count()), (0, 0));
    assert_eq!((ours.session_id, ours.session_epoch), (5, 9));
}
