//! The requests of the consumer protocol (KIP-848) at the front desk, with groups that answer from a page.

use std::sync::Arc;

use super::groups_tests::{answer_with, asked};
use super::testing_tests::Desk;
use crate::coordination::messages::{
    Client, ConsumerDescription, ConsumerHeartbeatReply, ConsumerMemberDescription, GroupError,
    Reply, Request,
};
use crate::message;
use crate::model::Uuid;
use crate::protocol::consumer_offsets::Assignment;
use crate::protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use crate::protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, wire_uuid,
};

/// A join of the consumer protocol.
fn joining() -> ConsumerGroupHeartbeatRequest {
    message!(ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: "m".into(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(vec![]),
    })
}

#[test]
fn a_heartbeat_that_makes_no_sense_does_not_reach_the_group() {
    let desk = Desk::new();
    type Break = fn(&mut ConsumerGroupHeartbeatRequest);
    let breaks: &[(Break, i16, &str)] = &[
        (|r| r.member_id = "".into(), 42, "MemberId"),
        (|r| r.group_id = " ".into(), 42, "GroupId"),
        (|r| r.instance_id = Some("".into()), 42, "InstanceId"),
        (|r| r.rack_id = Some("".into()), 42, "RackId"),
        (|r| r.rebalance_timeout_ms = -1, 42, "RebalanceTimeoutMs"),
        (|r| r.topic_partitions = None, 42, "TopicPartitions"),
        (
            |r| r.topic_partitions = Some(vec![TopicPartitions::default()]),
            42,
            "TopicPartitions",
        ),
        (
            |r| r.subscribed_topic_names = None,
            42,
            "SubscribedTopicRegex",
        ),
        (|r| r.member_epoch = -2, 42, "InstanceId"),
        (|r| r.member_epoch = -3, 42, "MemberEpoch"),
        (
            |r| r.server_assignor = Some("sticky".into()),
            112,
            "uniform, range",
        ),
    ];
    for (spoil, code, sentence) in breaks {
        let mut request = joining();
        spoil(&mut request);
        let answer: ConsumerGroupHeartbeatResponse = desk.ask(1, request);
        let told = answer.error_message.unwrap_or_default();
        assert!(told.contains(sentence), "{told}");
        assert_eq!((answer.error_code, answer.assignment), (*code, None));
    }
    assert!(asked(&desk).is_empty());
    // In version 0 the broker may choose the id of a member that joins.
    let mut request = joining();
    request.member_id = "".into();
    let _: ConsumerGroupHeartbeatResponse = desk.ask(0, request.clone());
    request.member_epoch = 1;
    let answer: ConsumerGroupHeartbeatResponse = desk.ask(0, request);
    assert_eq!(answer.error_code, 42);
    assert_eq!(asked(&desk).len(), 1);
}

#[test]
fn a_member_is_told_its_partitions_by_topic_id() {
    let desk = Desk::new();
    let partitions = Assignment::from([(Uuid([3; 16]), vec![0, 2])]);
    let reply = ConsumerHeartbeatReply {
        member_id: Arc::from("m"),
        member_epoch: 4,
        heartbeat_interval_ms: 5_000,
        assignment: Some(partitions),
    };
    answer_with(&desk, Reply::ConsumerHeartbeat(Ok(reply)));
    let part = |partitions: &[i32]| {
        message!(TopicPartitions {
            topic_id: wire_uuid(Uuid([3; 16])),
            partitions: partitions.to_vec(),
        })
    };
    let mut request = joining();
    request.member_epoch = 4;
    request.rebalance_timeout_ms = -1;
    request.topic_partitions = Some(vec![part(&[2, 0]), part(&[2])]);
    let answer: ConsumerGroupHeartbeatResponse = desk.ask(1, request);
    let told = (
        answer.error_code,
        answer.member_epoch,
        answer.heartbeat_interval_ms,
    );
    assert_eq!(told, (0, 4, 5_000));
    let assignment = answer.assignment.unwrap();
    assert_eq!(assignment.topic_partitions[0].partitions, [0, 2]);
    let Some((_, Request::ConsumerHeartbeat(asked))) = asked(&desk).pop() else {
        panic!("not asked");
    };
    assert_eq!(asked.owned.unwrap()[&Uuid([3; 16])], [0, 2]);
    assert_eq!(asked.rebalance_timeout_ms, None);
    let fenced = GroupError::FencedMemberEpoch("too old".to_owned());
    answer_with(&desk, Reply::ConsumerHeartbeat(Err(fenced)));
    let answer: ConsumerGroupHeartbeatResponse = desk.ask(1, joining());
    let sentence = answer.error_message.unwrap();
    assert_eq!((answer.error_code, &*sentence), (110, "too old"));
}

#[test]
fn without_its_feature_the_consumer_protocol_is_not_served() {
    let off = ("group.coordinator.rebalance.protocols", "classic");
    let desk = Desk::with_file(&[off]);
    let answer: ConsumerGroupHeartbeatResponse = desk.ask(1, joining());
    assert_eq!(answer.error_code, 35);
    let request = message!(ConsumerGroupDescribeRequest {
        group_ids: vec!["g".into()],
    });
    let answer: ConsumerGroupDescribeResponse = desk.ask(1, request);
    assert_eq!(answer.groups[0].error_code, 35);
    assert!(asked(&desk).is_empty());
}

#[test]
fn consumer_groups_are_described_with_the_names_of_topics_that_are_there() {
    let desk = Desk::new();
    desk.create("t", 2, &[]);
    let id = desk.gateway.image.load().topic("t").unwrap().id;
    for version in 0..=1 {
        let member = ConsumerMemberDescription {
            member_id: Arc::from("m"),
            instance_id: None,
            rack_id: None,
            member_epoch: 2,
            client: Client {
                id: Arc::from("c"),
                host: Arc::from("/10.0.0.1"),
            },
            subscribed_topics: vec![Arc::from("t")],
            subscribed_regex: None,
            assigned: Assignment::from([(id, vec![1]), (Uuid([9; 16]), vec![0])]),
            target: Assignment::new(),
            is_classic: true,
        };
        let description = ConsumerDescription {
            state: "Stable",
            epoch: 2,
            assignment_epoch: 2,
            assignor: Arc::from("uniform"),
            members: vec![member],
        };
        answer_with(&desk, Reply::DescribeConsumer(Ok(description)));
        let request = message!(ConsumerGroupDescribeRequest {
            group_ids: vec!["g".into(), "".into()],
            include_authorized_operations: true,
        });
        let answer: ConsumerGroupDescribeResponse = desk.ask(version, request);
        let [group, empty] = &answer.groups[..] else {
            panic!("{answer:?}");
        };
        assert_eq!((group.error_code, &*group.group_state), (0, "Stable"));
        assert_eq!(group.authorized_operations, 3400);
        let member = &group.members[0];
        assert_eq!(member.assignment.topic_partitions.len(), 1);
        assert_eq!(&*member.assignment.topic_partitions[0].topic_name, "t");
        assert_eq!(member.member_type, if version == 0 { -1 } else { 0 });
        assert_eq!(
            (empty.error_code, empty.authorized_operations),
            (24, i32::MIN)
        );
    }
}
