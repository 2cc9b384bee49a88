//! The hand-written Produce against the codec crate, every version, and a few bytes by eye.

use bytes::{Bytes, BytesMut};
use kafka_wire::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_wire::produce_response as wire;
use kafka_wire_core::{ApiVersion, KafkaEncode};

use super::*;
use crate::message;
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, Timestamp};
use crate::protocol::messages::{self, StrBytes};
use crate::protocol::sample_tests::Sample;
use crate::protocol::{
    CurrentLeader, NodeEndpoint, ProtocolError, TopicKey, decode_body, encode_response,
};

fn random_request(sample: &mut Sample, version: i16) -> messages::ProduceRequest {
    let topics = (0..sample.below(4)).map(|_| {
        let partitions = (0..sample.below(4)).map(|_| {
            message!(PartitionProduceData {
                index: sample.next() as i32,
                records: sample.flag().then(|| sample.bytes()),
            })
        });
        let partitions = partitions.collect();
        let mut topic = message!(TopicProduceData {
            partition_data: partitions
        });
        if version >= TOPIC_IDS_FROM {
            topic.topic_id = messages::wire_uuid(sample.uuid());
        } else {
            topic.name = sample.name();
        }
        topic
    });
    let topics = topics.collect();
    message!(messages::ProduceRequest {
        transactional_id: sample.flag().then(|| sample.name()),
        acks: sample.next() as i16,
        timeout_ms: sample.next() as i32,
        topic_data: topics,
    })
}

/// What the hand-written decoder should make of a request.
fn assert_same(ours: &ProduceRequest, theirs: &messages::ProduceRequest, version: i16) {
    assert_eq!(ours.transactional_id, theirs.transactional_id);
    assert_eq!(
        (ours.acks, ours.timeout_ms),
        (theirs.acks, theirs.timeout_ms)
    );
    assert_eq!(ours.topics().len(), theirs.topic_data.len());
    for ((topic, partitions), expected) in ours.topics().zip(&theirs.topic_data) {
        let key = if version >= TOPIC_IDS_FROM {
            TopicKey::Id(messages::model_uuid(expected.topic_id))
        } else {
            TopicKey::Name(expected.name.clone())
        };
        assert_eq!(*topic, key);
        let ours: Vec<_> = partitions.iter().map(|p| (p.index, &p.records)).collect();
        let theirs = expected.partition_data.iter();
        let theirs: Vec<_> = theirs.map(|p| (p.index, &p.records)).collect();
        assert_eq!(ours, theirs);
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
            let ours = ProduceRequest::decode(body, version).expect("reads");
            assert_same(&ours, &request, version);
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
                let ours = ProduceRequest::decode(damaged.clone(), version);
                let theirs = decode_body::<messages::ProduceRequest>(damaged, version);
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
    assert!(accepted > 1000, "{accepted}: most damage is to the records");
}

#[test]
fn records_are_slices_of_the_frame_and_can_be_taken_out() {
    let partition = message!(PartitionProduceData {
        index: 7,
        records: Some(Bytes::from_static(b"batch"))
    });
    let topic = message!(TopicProduceData {
        name: StrBytes::from("t"),
        partition_data: vec![partition]
    });
    let request = message!(messages::ProduceRequest {
        acks: -1,
        topic_data: vec![topic]
    });
    let body = request
        .encode_to_bytes(ApiVersion::new(9))
        .expect("encodes");
    let within = body.as_ptr_range();
    let mut ours = ProduceRequest::decode(body, 9).expect("reads");
    let records = ours.take_records().next().flatten().expect("there");
    assert_eq!(&records[..], b"batch");
    assert!(within.contains(&records.as_ptr()));
    assert_eq!(ours.take_records().next(), Some(None));
    assert_eq!(ours.partition_count(), 1);
}

#[test]
fn versions_that_are_not_served_are_refused() {
    for api_version in [-1, 2, 14] {
        assert_eq!(
            ProduceRequest::decode(Bytes::new(), api_version),
            Err(ProtocolError::UnsupportedVersion {
                api_key: 0,
                api_version
            })
        );
        assert!(ProduceEncoder::new(&mut BytesMut::new(), 0, api_version, 0).is_err());
    }
}

fn random_partition(sample: &mut Sample, version: i16) -> PartitionAnswer {
    let mut answer = PartitionAnswer::failed(
        sample.next() as i32,
        ErrorCode::ALL[sample.below(ErrorCode::ALL.len())],
        None,
    );
    answer.base_offset = Offset(sample.next() as i64);
    answer.log_append_time = Timestamp(sample.next() as i64);
    answer.log_start_offset = Offset(sample.next() as i64);
    answer.error_message = sample.flag().then(|| sample.text());
    let errors = (0..sample.below(3)).map(|_| RecordError {
        batch_index: sample.next() as i32,
        message: sample.flag().then(|| sample.text()),
    });
    answer.record_errors = errors.collect();
    if version >= 10 && sample.flag() {
        answer.current_leader = Some(CurrentLeader {
            leader_id: BrokerId(sample.below(100) as i32),
            leader_epoch: LeaderEpoch(sample.below(100) as i32),
        });
    }
    answer
}

fn wire_partition(answer: &PartitionAnswer, version: i16) -> wire::PartitionProduceResponse {
    let mut partition = message!(wire::PartitionProduceResponse {
        index: answer.index,
        error_code: answer.error_code.code(),
        base_offset: answer.base_offset.0,
        log_append_time_ms: answer.log_append_time.0,
        log_start_offset: answer.log_start_offset.0,
    });
    if version >= 8 {
        partition.error_message = answer.error_message.as_deref().map(StrBytes::from);
        let errors = answer.record_errors.iter().map(|error| {
            message!(wire::BatchIndexAndErrorMessage {
                batch_index: error.batch_index,
                batch_index_error_message: error.message.as_deref().map(StrBytes::from),
            })
        });
        partition.record_errors = errors.collect();
    }
    if let Some(leader) = answer.current_leader {
        partition.current_leader.leader_id = leader.leader_id.0;
        partition.current_leader.leader_epoch = leader.leader_epoch.0;
    }
    partition
}

fn random_endpoints(sample: &mut Sample) -> Vec<NodeEndpoint> {
    let endpoints = (0..sample.below(3)).map(|_| NodeEndpoint {
        node_id: BrokerId(sample.next() as i32),
        host: sample.text(),
        port: 9092,
        rack: sample.flag().then(|| sample.text()),
    });
    endpoints.collect()
}

fn wire_endpoint(endpoint: &NodeEndpoint) -> wire::NodeEndpoint {
    message!(wire::NodeEndpoint {
        node_id: endpoint.node_id.0,
        host: StrBytes::from(endpoint.host.as_str()),
        port: endpoint.port,
        rack: endpoint.rack.as_deref().map(StrBytes::from),
    })
}

#[test]
fn answers_are_written_as_the_codec_crate_writes_them() {
    let mut sample = Sample::new(3);
    let mut buffer = BytesMut::new();
    for version in VERSIONS {
        for _ in 0..50 {
            let topics = sample.below(3);
            let mut encoder =
                ProduceEncoder::new(&mut buffer, 77, version, topics).expect("served");
            let mut responses = Vec::new();
            for _ in 0..topics {
                let partitions = sample.below(3);
                let mut response = wire::TopicProduceResponse::default();
                let key = if version >= TOPIC_IDS_FROM {
                    let id = sample.uuid();
                    response.topic_id = messages::wire_uuid(id);
                    TopicKey::Id(id)
                } else {
                    response.name = sample.name();
                    TopicKey::Name(response.name.clone())
                };
                encoder.topic(&key, partitions).expect("announced");
                for _ in 0..partitions {
                    let answer = random_partition(&mut sample, version);
                    encoder.partition(&answer).expect("announced");
                    let partition = wire_partition(&answer, version);
                    response.partition_responses.push(partition);
                }
                responses.push(response);
            }
            let endpoints = random_endpoints(&mut sample);
            let ours = encoder.finish(55, &endpoints).expect("complete");
            let mut theirs = message!(messages::ProduceResponse {
                responses: responses,
                throttle_time_ms: 55
            });
            if version >= 10 {
                theirs.node_endpoints = endpoints.iter().map(wire_endpoint).collect();
            }
            let theirs = encode_response(77, version, &theirs).expect("encodes");
            assert_eq!(
                ours.read_to_bytes().expect("no files"),
                theirs.read_to_bytes().expect("no files"),
                "version {version}"
            );
        }
    }
}

#[test]
fn an_answer_of_one_partition_is_these_bytes() {
    let mut buffer = BytesMut::new();
    let mut encoder = ProduceEncoder::new(&mut buffer, 5, 9, 1).expect("served");
    encoder
        .topic(&TopicKey::Name(StrBytes::from("t")), 1)
        .expect("announced");
    let mut answer = PartitionAnswer::failed(3, ErrorCode::None, None);
    answer.base_offset = Offset(258);
    answer.log_start_offset = Offset(0);
    encoder.partition(&answer).expect("announced");
    let frame = encoder
        .finish(0, &[])
        .expect("complete")
        .read_to_bytes()
        .expect("no files");
    #[rustfmt::skip]
    let expected = [
        0, 0, 0, 48, // size
        0, 0, 0, 5, 0, // correlation id, no tags
        2, 2, b't', 2, // one topic, its name, one partition
        0, 0, 0, 3, 0, 0, // partition, no error
        0, 0, 0, 0, 0, 0, 1, 2, // base offset
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // no log append time
        0, 0, 0, 0, 0, 0, 0, 0, // log start offset
        1, 0, 0, // no record errors, no message, no tags
        0, // topic: no tags
        0, 0, 0, 0, 0, // throttle time, no tags
    ];
    assert_eq!(frame, expected);
}

#[test]
fn an_answer_with_more_or_less_than_announced_is_not_sent() {
    let key = TopicKey::Name(StrBytes::from("t"));
    let answer = PartitionAnswer::failed(0, ErrorCode::None, None);
    let mut buffer = BytesMut::new();
    let encoder = ProduceEncoder::new(&mut buffer, 1, 8, 1).expect("served");
    assert!(encoder.finish(0, &[]).is_err(), "a topic is missing");
    let mut encoder = ProduceEncoder::new(&mut buffer, 1, 8, 2).expect("served");
    encoder.topic(&key, 1).expect("announced");
    assert!(encoder.topic(&key, 1).is_err(), "a partition is missing");
    encoder.partition(&answer).expect("announced");
    assert!(encoder.partition(&answer).is_err(), "one was announced");
    let mut encoder = ProduceEncoder::new(&mut buffer, 1, 13, 1).expect("served");
    assert!(encoder.topic(&key, 0).is_err(), "version 13 wants ids");
}
