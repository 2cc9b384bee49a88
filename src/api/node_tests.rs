//! What a node tells of itself: log directories, quorum, features, and the coordinators it has not.

use std::sync::Arc;

use super::gateway::{LogDirReplica, LogDirReport, QuorumReplica, QuorumStatus};
use super::testing_tests::Desk;
use crate::message;
use crate::metadata::Endpoint;
use crate::metadata::controller::{GROUP_VERSION, METADATA_VERSION};
use crate::model::{BrokerId, ErrorCode, Timestamp, Uuid};
use crate::protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use crate::protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use crate::protocol::messages::update_features_request::FeatureUpdateKey;
use crate::protocol::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeQuorumRequest, DescribeQuorumResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, InitProducerIdRequest, InitProducerIdResponse,
    UpdateFeaturesRequest, UpdateFeaturesResponse,
};

fn replica(topic: &str, partition: i32, size_bytes: i64) -> LogDirReplica {
    LogDirReplica {
        topic: Arc::from(topic),
        partition,
        size_bytes,
        offset_lag: 0,
        is_future: false,
    }
}

fn log_dirs(desk: &Desk, version: i16, asked: Option<&[(&str, &[i32])]>) -> String {
    let topics = asked.map(|asked| {
        asked
            .iter()
            .map(|(topic, partitions)| {
                message!(DescribableLogDirTopic {
                    topic: (*topic).into(),
                    partitions: partitions.to_vec(),
                })
            })
            .collect()
    });
    let request = message!(DescribeLogDirsRequest { topics: topics });
    let answer: DescribeLogDirsResponse = desk.ask(version, request);
    let dirs = answer.results.iter().map(|dir| {
        let replicas: Vec<String> = dir
            .topics
            .iter()
            .flat_map(|topic| {
                let sizes = topic.partitions.iter();
                sizes.map(|p| format!("{}-{}={}", topic.name, p.partition_index, p.partition_size))
            })
            .collect();
        format!(
            "{} error {} {}/{} [{}]",
            dir.log_dir,
            dir.error_code,
            dir.usable_bytes,
            dir.total_bytes,
            replicas.join(" ")
        )
    });
    dirs.collect::<Vec<_>>().join("; ")
}

#[test]
fn log_directories_are_told_with_what_was_asked_for_in_them() {
    let desk = Desk::new();
    *desk.node.log_dirs.borrow_mut() = vec![
        LogDirReport {
            path: "/data".into(),
            error: ErrorCode::None,
            total_bytes: 1000,
            usable_bytes: 400,
            is_cordoned: true,
            replicas: vec![replica("b", 0, 69), replica("a", 1, 0), replica("b", 1, 7)],
        },
        LogDirReport {
            path: "/gone".into(),
            error: ErrorCode::KafkaStorageError,
            total_bytes: -1,
            usable_bytes: -1,
            is_cordoned: false,
            replicas: vec![],
        },
    ];
    let gone = "/gone error 56 -1/-1 []";
    for (asked, told) in [
        (None, "a-1=0 b-0=69 b-1=7"),
        (Some(&[("b", &[1, 5][..])][..]), "b-1=7"),
        (Some(&[("b", &[1][..]), ("b", &[0])]), "b-0=69 b-1=7"),
        (Some(&[("nosuch", &[0][..])]), ""),
        (Some(&[]), ""),
    ] {
        let told = format!("/data error 0 400/1000 [{told}]; {gone}");
        assert_eq!(log_dirs(&desk, 5, asked), told);
    }
    for version in 1..=5 {
        let space = if version < 4 { "-1/-1" } else { "400/1000" };
        let told = format!("/data error 0 {space} [a-1=0 b-0=69 b-1=7]; {gone}");
        assert_eq!(log_dirs(&desk, version, None), told);
    }
}

fn quorum(desk: &Desk, version: i16, topic: &str, partition: i32) -> String {
    let request = message!(DescribeQuorumRequest {
        topics: vec![message!(TopicData {
            topic_name: topic.into(),
            partitions: vec![message!(PartitionData {
                partition_index: partition
            })],
        })],
    });
    let answer: DescribeQuorumResponse = desk.ask(version, request);
    let told = &answer.topics[0].partitions[0];
    let voters: Vec<String> = told
        .current_voters
        .iter()
        .map(|v| {
            format!(
                "{}@{} seen {} {}",
                v.replica_id,
                v.log_end_offset,
                v.last_fetch_timestamp,
                !v.replica_directory_id.is_zero()
            )
        })
        .collect();
    let nodes: Vec<String> = answer
        .nodes
        .iter()
        .flat_map(|node| node.listeners.iter().map(move |l| (node.node_id, l)))
        .map(|(id, l)| format!("{id}={}://{}:{}", l.name, l.host, l.port))
        .collect();
    format!(
        "error {} leader {} epoch {} high watermark {} {voters:?} {nodes:?}",
        told.error_code, told.leader_id, told.leader_epoch, told.high_watermark
    )
}

#[test]
fn the_quorum_is_described_under_the_name_kafka_gives_its_log() {
    let desk = Desk::new();
    let unknown = "error 3 leader 0 epoch 0 high watermark 0 [] []";
    let nobody = "error 5 leader 0 epoch 0 high watermark 0 [] []";
    assert_eq!(quorum(&desk, 2, "__cluster_metadata", 0), nobody);
    *desk.node.quorum.borrow_mut() = Some(QuorumStatus {
        leader: BrokerId(1),
        leader_epoch: 3,
        high_watermark: 130,
        voters: vec![QuorumReplica {
            id: BrokerId(1),
            directory_id: Uuid([5; 16]),
            log_end_offset: 130,
            last_fetch: Timestamp(17),
            last_caught_up: Timestamp(17),
        }],
        observers: vec![],
        nodes: vec![(
            BrokerId(1),
            vec![Endpoint {
                listener: "CONTROLLER".into(),
                host: "127.0.0.1".into(),
                port: 9093,
            }],
        )],
    });
    for (version, voter, nodes) in [
        (0, "1@130 seen -1 false", "[]"),
        (1, "1@130 seen 17 false", "[]"),
        (
            2,
            "1@130 seen 17 true",
            "[\"1=CONTROLLER://127.0.0.1:9093\"]",
        ),
    ] {
        let told = format!("error 0 leader 1 epoch 3 high watermark 130 [{voter:?}] {nodes}");
        assert_eq!(quorum(&desk, version, "__cluster_metadata", 0), told);
        assert_eq!(quorum(&desk, version, "__cluster_metadata", 1), unknown);
        assert_eq!(quorum(&desk, version, "other", 0), unknown);
    }
}

fn update(desk: &Desk, version: i16, feature: &str, level: i16) -> UpdateFeaturesResponse {
    desk.ask(
        version,
        message!(UpdateFeaturesRequest {
            timeout_ms: 5_000,
            feature_updates: vec![message!(FeatureUpdateKey {
                feature: feature.into(),
                max_version_level: level,
            })],
        }),
    )
}

#[test]
fn features_that_are_not_there_cannot_be_finalized() {
    let desk = Desk::new();
    for version in 0..=2 {
        let answer = update(&desk, version, "no.such", 1);
        assert_eq!(answer.error_code, 95);
        assert_eq!(
            answer.error_message.as_deref(),
            Some(
                "The update failed for all features since the following feature had an error: Invalid update version 1 for feature no.such. Local controller 1 does not support this feature."
            )
        );
        assert!(answer.results.is_empty());
        let answer = update(&desk, version, METADATA_VERSION, 30);
        assert_eq!((answer.error_code, answer.error_message), (0, None));
        assert_eq!(answer.results.len(), usize::from(version < 2));
    }
}

#[test]
fn the_consumer_protocol_can_be_turned_off_and_on_again() {
    let desk = Desk::new();
    let level = |desk: &Desk| {
        let image = desk.gateway.image.load();
        image.features.get(GROUP_VERSION).copied()
    };
    assert_eq!(level(&desk), Some(1), "a new cluster has it");
    let answer = update(&desk, 1, GROUP_VERSION, 2);
    assert_eq!(answer.error_code, 95);
    assert!(
        answer
            .error_message
            .unwrap()
            .ends_with("only supports versions 0-1")
    );
    assert_eq!(
        update(&desk, 1, GROUP_VERSION, 0).error_code,
        95,
        "an upgrade goes up"
    );
    let answer: UpdateFeaturesResponse = desk.ask(
        1,
        message!(UpdateFeaturesRequest {
            timeout_ms: 5_000,
            feature_updates: vec![message!(FeatureUpdateKey {
                feature: GROUP_VERSION.into(),
                max_version_level: 0,
                upgrade_type: 2,
            })],
        }),
    );
    assert_eq!((answer.error_code, level(&desk)), (0, None));
    assert_eq!(update(&desk, 1, GROUP_VERSION, 1).error_code, 0);
    assert_eq!(level(&desk), Some(1));
}

#[test]
fn a_producer_with_half_an_identity_or_a_transactional_id_is_refused_for_good() {
    let desk = Desk::new();
    for (transactional_id, timeout_ms, identity, told) in [
        (None, 0, (7, -1), 42),
        (None, 0, (-1, 7), 42),
        (Some(""), 60_000, (-1, -1), 42),
        (Some("t"), 0, (-1, -1), 50),
        (Some("t"), 60_000, (-1, -1), 53),
    ] {
        let request = message!(InitProducerIdRequest {
            transactional_id: transactional_id.map(Into::into),
            transaction_timeout_ms: timeout_ms,
            producer_id: identity.0,
            producer_epoch: identity.1,
        });
        let answer: InitProducerIdResponse = desk.ask(5, request);
        let refused = (answer.error_code, answer.producer_id, answer.producer_epoch);
        assert_eq!(refused, (told, -1, -1));
    }
    for expected in 0..3 {
        let request = message!(InitProducerIdRequest {
            transactional_id: None,
            producer_id: -1,
            producer_epoch: -1,
        });
        let answer: InitProducerIdResponse = desk.ask(5, request);
        let given = (answer.error_code, answer.producer_id, answer.producer_epoch);
        assert_eq!(given, (0, expected, 0));
    }
}

#[test]
fn no_client_waits_for_a_coordinator_that_will_not_come() {
    let desk = Desk::new();
    // What Java, librdkafka, kafkajs and franz-go take for a reason to try again.
    let retried = [
        ErrorCode::CoordinatorLoadInProgress,
        ErrorCode::CoordinatorNotAvailable,
        ErrorCode::NotCoordinator,
        ErrorCode::UnknownTopicOrPartition,
        ErrorCode::LeaderNotAvailable,
        ErrorCode::RequestTimedOut,
    ];
    for version in 0..=6 {
        // Before version 1 there is no other kind than groups, and those have coordinators.
        for key_type in 1..=if version == 0 { 0 } else { 2 } {
            let mut request = message!(FindCoordinatorRequest { key_type: key_type });
            if version < 4 {
                request.key = "g".into();
            } else {
                request.coordinator_keys = vec!["g".into(), "h".into()];
            }
            let answer: FindCoordinatorResponse = desk.ask(version, request);
            let told = if version < 4 {
                vec![(answer.error_code, answer.error_message, answer.node_id)]
            } else {
                let each = answer.coordinators.into_iter();
                each.map(|c| (c.error_code, c.error_message, c.node_id))
                    .collect()
            };
            assert_eq!(told.len(), if version < 4 { 1 } else { 2 });
            for (code, sentence, node) in told {
                let transactions = key_type == 1;
                assert_eq!((code, node), (if transactions { 53 } else { 42 }, -1));
                assert!(retried.iter().all(|retried| retried.code() != code));
                let told = sentence.is_some_and(|s| s.contains("yet"));
                assert!(told, "{version}");
            }
        }
    }
}
