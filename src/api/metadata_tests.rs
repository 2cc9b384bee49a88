//! What Metadata and DescribeCluster show, against answers of a live Kafka 4.3.1.

use expect_test::expect;

use super::*;
use crate::api::gateway::ControllerUnavailable;
use crate::api::testing_tests::Desk;
use crate::protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

fn named(names: &[&str]) -> MetadataRequest {
    message!(MetadataRequest {
        topics: Some(
            names
                .iter()
                .map(|name| message!(MetadataRequestTopic {
                    name: Some((*name).into())
                }))
                .collect()
        ),
        allow_auto_topic_creation: false,
    })
}

fn creating(names: &[&str]) -> MetadataRequest {
    let mut request = named(names);
    request.allow_auto_topic_creation = true;
    request
}

fn show(answer: &MetadataResponse) -> String {
    let mut lines = vec![format!(
        "cluster {} controller {}",
        answer.cluster_id.as_deref().unwrap_or("-"),
        answer.controller_id
    )];
    lines.extend(answer.brokers.iter().map(|broker| {
        let rack = broker.rack.as_deref().unwrap_or("-");
        format!(
            "broker {} {}:{} {rack}",
            broker.node_id, broker.host, broker.port
        )
    }));
    for topic in &answer.topics {
        lines.push(format!(
            "topic {:?} error {} internal {} operations {}",
            topic.name.as_deref(),
            topic.error_code,
            topic.is_internal,
            topic.topic_authorized_operations
        ));
        lines.extend(topic.partitions.iter().map(|p| {
            format!(
                "  {} error {} leader {} epoch {} replicas {:?} isr {:?} offline {:?}",
                p.partition_index,
                p.error_code,
                p.leader_id,
                p.leader_epoch,
                p.replica_nodes,
                p.isr_nodes,
                p.offline_replicas
            )
        }));
    }
    lines.join("\n") + "\n"
}

fn errors(answer: &MetadataResponse) -> Vec<(String, i16)> {
    answer
        .topics
        .iter()
        .map(|topic| {
            let name = topic.name.as_deref().unwrap_or("(null)");
            (name.to_owned(), topic.error_code)
        })
        .collect()
}

#[test]
fn topics_are_shown_with_who_leads_them_at_the_listener_that_was_asked() {
    let desk = Desk::new();
    desk.create("meta", 2, &[]);
    let mut request = named(&[
        "meta",
        "nosuch",
        "bad/name",
        "",
        "meta",
        "__consumer_offsets",
    ]);
    request.include_topic_authorized_operations = true;
    expect![[r#"
        cluster cluster controller 1
        broker 1 host-1:9092 -
        topic Some("meta") error 0 internal false operations 3576
          0 error 0 leader 1 epoch 0 replicas [1] isr [1] offline []
          1 error 0 leader 1 epoch 0 replicas [1] isr [1] offline []
        topic Some("nosuch") error 3 internal false operations -2147483648
        topic Some("bad/name") error 17 internal false operations -2147483648
        topic Some("") error 17 internal false operations -2147483648
        topic Some("__consumer_offsets") error 3 internal true operations -2147483648
    "#]]
    .assert_eq(&show(&desk.ask(12, request)));

    let inside = desk.through("INSIDE");
    expect![[r#"
        cluster cluster controller 1
        broker 1 host-1:9094 -
    "#]]
    .assert_eq(&show(&inside.ask(12, named(&[]))));
}

#[test]
fn all_topics_are_asked_for_with_nothing_in_version_0_and_with_null_later() {
    let desk = Desk::new();
    desk.create("a", 1, &[]);
    desk.create("b", 1, &[]);
    for version in 0..=13 {
        let none: MetadataResponse = desk.ask(version, {
            let mut none = named(&[]);
            none.allow_auto_topic_creation = true;
            none
        });
        assert_eq!(none.topics.len(), if version == 0 { 2 } else { 0 });
        if version > 0 {
            let all = MetadataRequest::default();
            let all: MetadataResponse = desk.ask(
                version,
                message!(MetadataRequest {
                    topics: None,
                    allow_auto_topic_creation: all.allow_auto_topic_creation,
                }),
            );
            assert_eq!(
                errors(&all),
                [("a".into(), 0), ("b".into(), 0)],
                "{version}"
            );
        }
    }
}

#[test]
fn a_topic_is_found_by_its_id_from_version_12_on() {
    let desk = Desk::new();
    desk.create("meta", 1, &[]);
    let id = wire_uuid(desk.gateway.image.load().topic("meta").unwrap().id);
    let by_id = |id, name: Option<&str>| {
        message!(MetadataRequest {
            topics: Some(vec![message!(MetadataRequestTopic {
                topic_id: id,
                name: name.map(StrBytes::from)
            })]),
            allow_auto_topic_creation: false,
        })
    };
    let unknown = Uuid::from_bytes([9; 16]);
    for (id, name, told) in [
        (id, None, ("meta", 0)),
        (id, Some("meta"), ("meta", 0)),
        (unknown, None, ("(null)", 100)),
        (unknown, Some("meta"), ("(null)", 100)),
        (Uuid::default(), None, ("", 42)),
    ] {
        let answer: MetadataResponse = desk.ask(12, by_id(id, name));
        assert_eq!(errors(&answer), [(told.0.to_owned(), told.1)]);
    }
    // Versions 10 and 11 have a place for the id, and no broker that serves it.
    for version in 10..=11 {
        let answer: MetadataResponse = desk.ask(version, by_id(id, None));
        assert_eq!(errors(&answer), [(String::new(), 42)]);
        assert_eq!((answer.brokers.len(), answer.controller_id), (0, -1));
    }
}

#[test]
fn a_missing_topic_is_created_by_the_way_and_answered_at_once() {
    let desk = Desk::new();
    let answer: MetadataResponse =
        desk.ask(12, creating(&["auto1", "bad/name", "__consumer_offsets"]));
    assert_eq!(
        errors(&answer),
        [
            ("auto1".into(), 0),
            ("bad/name".into(), 17),
            ("__consumer_offsets".into(), 3)
        ]
    );
    assert_eq!(answer.topics[0].partitions.len(), 1);
    let collides: MetadataResponse = desk.ask(12, creating(&["auto.1", "auto1"]));
    assert_eq!(
        errors(&collides),
        [("auto.1".into(), 0), ("auto1".into(), 0)]
    );
    let collides: MetadataResponse = desk.ask(12, creating(&["auto_1"]));
    assert_eq!(errors(&collides), [("auto_1".into(), 17)]);
}

#[test]
fn nothing_is_created_unless_client_and_broker_both_want_it() {
    let desk = Desk::with_file(&[("auto.create.topics.enable", "false")]);
    let answer: MetadataResponse = desk.ask(12, creating(&["auto1"]));
    assert_eq!(errors(&answer), [("auto1".into(), 3)]);
    let desk = Desk::new();
    let answer: MetadataResponse = desk.ask(12, named(&["auto1"]));
    assert_eq!(errors(&answer), [("auto1".into(), 3)]);
    assert_eq!(desk.controller.asked.get(), 0);
}

#[test]
fn while_the_controller_is_away_a_missing_topic_is_just_missing() {
    let desk = Desk::new();
    desk.controller
        .unavailable
        .set(Some(ControllerUnavailable::TimedOut));
    let answer: MetadataResponse = desk.ask(12, creating(&["auto1"]));
    assert_eq!(errors(&answer), [("auto1".into(), 3)]);
}

#[test]
fn a_partition_whose_leader_is_fenced_or_out_of_reach_says_so() {
    let desk = Desk::new();
    desk.create("meta", 1, &[]);
    let nowhere = desk.through("NOWHERE");
    for (version, told) in [(5, 5), (6, 72), (13, 72)] {
        let answer: MetadataResponse = nowhere.ask(version, named(&["meta"]));
        let partition = &answer.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id), (told, -1));
        assert_eq!(partition.offline_replicas, [1], "{version}");
    }
    desk.fence(1, true);
    let answer: MetadataResponse = desk.ask(13, named(&["meta"]));
    let partition = &answer.topics[0].partitions[0];
    assert_eq!((partition.error_code, partition.leader_id), (5, -1));
    assert_eq!((answer.controller_id, answer.brokers.len()), (-1, 0));
}

#[test]
fn the_clusters_operations_are_told_in_the_versions_that_have_them() {
    let desk = Desk::new();
    for version in 8..=10 {
        let mut request = named(&[]);
        request.include_cluster_authorized_operations = true;
        let answer: MetadataResponse = desk.ask(version, request);
        assert_eq!(answer.cluster_authorized_operations, 8096);
        let answer: MetadataResponse = desk.ask(version, named(&[]));
        assert_eq!(answer.cluster_authorized_operations, i32::MIN);
    }
}

fn describe(desk: &Desk, version: i16, endpoint_type: i8, fenced: bool) -> String {
    let answer: DescribeClusterResponse = desk.ask(
        version,
        message!(DescribeClusterRequest {
            endpoint_type: endpoint_type,
            include_fenced_brokers: fenced,
            include_cluster_authorized_operations: true,
        }),
    );
    let brokers: Vec<String> = answer
        .brokers
        .iter()
        .map(|b| {
            format!(
                "{}@{}:{} fenced {}",
                b.broker_id, b.host, b.port, b.is_fenced
            )
        })
        .collect();
    format!(
        "error {} {:?} cluster {} controller {} operations {} {brokers:?}",
        answer.error_code,
        answer.error_message.as_deref(),
        answer.cluster_id,
        answer.controller_id,
        answer.cluster_authorized_operations,
    )
}

#[test]
fn the_cluster_is_described_with_its_brokers_and_on_demand_the_fenced_ones() {
    let desk = Desk::new();
    desk.register(2, &[("PLAINTEXT", 9192)]);
    desk.fence(2, true);
    let alive = "error 0 None cluster cluster controller 1 operations 8096 [\"1@host-1:9092 fenced false\"]";
    for version in 0..=2 {
        assert_eq!(describe(&desk, version, 1, false), alive);
    }
    assert_eq!(
        describe(&desk, 2, 1, true),
        "error 0 None cluster cluster controller 1 operations 8096 [\"1@host-1:9092 fenced false\", \"2@host-2:9192 fenced true\"]"
    );
    assert_eq!(
        describe(&desk, 1, 2, false),
        "error 114 Some(\"The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER\") cluster  controller -1 operations -2147483648 []"
    );
    assert_eq!(
        describe(&desk, 2, 3, false),
        "error 115 Some(\"Unsupported endpoint type 3\") cluster  controller -1 operations -2147483648 []"
    );
}
