//! The handlers of groups: what they ask a group, what is refused before, and where a version puts
//! which error. The groups are a page of answers.

use std::sync::Arc;

use bytes::Bytes;

use super::testing_tests::Desk;
use crate::coordination::messages::{
    ClassicDescription, ClassicMemberDescription, Client, FetchedOffset, GroupError, JoinRefused,
    Joined, JoinedMember, Reply, Request, Summary, Synced,
};
use crate::message;
use crate::model::{LeaderEpoch, Offset, Uuid};
use crate::protocol::messages::join_group_request::JoinGroupRequestProtocol;
use crate::protocol::messages::leave_group_request::MemberIdentity;
use crate::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use crate::protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use crate::protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DeleteGroupsRequest,
    DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, ListGroupsRequest,
    ListGroupsResponse, MetadataRequest, MetadataResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest,
    OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse, wire_uuid,
};

pub(super) fn answer_with(desk: &Desk, reply: Reply) {
    desk.groups.answers.borrow_mut().push_back(reply);
}

/// What the groups were asked since the last time.
pub(super) fn asked(desk: &Desk) -> Vec<(String, Request)> {
    desk.groups.asked.take()
}

#[test]
fn the_first_question_for_a_coordinator_makes_the_offsets_topic_and_is_answered() {
    let desk = Desk::with_file(&[
        ("offsets.topic.num.partitions", "7"),
        ("offsets.topic.segment.bytes", "2000000"),
    ]);
    for version in 0..=6 {
        let mut request = FindCoordinatorRequest::default();
        if version < 4 {
            request.key = "g".into();
        } else {
            request.coordinator_keys = vec!["g".into(), "".into()];
        }
        let answer: FindCoordinatorResponse = desk.ask(version, request);
        let told: Vec<_> = if version < 4 {
            vec![(answer.error_code, answer.node_id, answer.host, answer.port)]
        } else {
            let each = answer.coordinators.into_iter();
            each.map(|c| (c.error_code, c.node_id, c.host, c.port))
                .collect()
        };
        let here = (0, 1, "host-1".into(), 9092);
        assert_eq!(told, vec![here; if version < 4 { 1 } else { 2 }]);
    }
    assert_eq!(desk.controller.asked.get(), 1, "made once");
    let image = desk.gateway.image.load();
    let topic = image.topic("__consumer_offsets").unwrap();
    assert_eq!(topic.partitions.len(), 7);
    let configs = image.config(crate::metadata::ResourceKind::Topic, "__consumer_offsets");
    let configs: Vec<String> = configs
        .unwrap()
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let wanted = [
        "cleanup.policy=compact",
        "compression.type=producer",
        "segment.bytes=2000000",
    ];
    assert_eq!(configs, wanted);
    let answer: MetadataResponse = desk.ask(12, message!(MetadataRequest { topics: None }));
    assert!(answer.topics.iter().all(|topic| topic.is_internal));
}

#[test]
fn without_an_offsets_topic_there_is_no_coordinator_yet() {
    let desk = Desk::with_file(&[("offsets.topic.replication.factor", "3")]);
    let request = message!(FindCoordinatorRequest { key: "g".into() });
    let answer: FindCoordinatorResponse = desk.ask(3, request);
    assert_eq!((answer.error_code, answer.node_id), (15, -1));
}

fn join(group: &str, version: i16) -> JoinGroupRequest {
    let mut request = message!(JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 10_000,
        member_id: "m".into(),
        protocol_type: "consumer".into(),
        protocols: vec![message!(JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"topics"),
        })],
    });
    if version >= 1 {
        request.rebalance_timeout_ms = 60_000;
    }
    if version >= 5 {
        request.group_instance_id = Some("i".into());
    }
    request
}

#[test]
fn a_join_is_asked_in_the_words_of_its_version() {
    let desk = Desk::new();
    for version in 0..=9 {
        let joined = Joined {
            generation: 3,
            protocol_type: Arc::from("consumer"),
            protocol: Arc::from("range"),
            leader: Arc::from("m"),
            member_id: Arc::from("m"),
            skip_assignment: true,
            members: vec![JoinedMember {
                member_id: Arc::from("m"),
                instance_id: Some(Arc::from("i")),
                metadata: Bytes::from_static(b"topics"),
            }],
        };
        answer_with(&desk, Reply::Join(Ok(joined)));
        let answer: JoinGroupResponse = desk.ask(version, join("g", version));
        let told = (answer.error_code, answer.generation_id, &*answer.leader);
        assert_eq!(told, (0, 3, "m"));
        assert_eq!(answer.protocol_name.as_deref(), Some("range"));
        assert_eq!(answer.protocol_type.is_some(), version >= 7);
        assert_eq!(answer.skip_assignment, version >= 9);
        assert_eq!(answer.members[0].group_instance_id.is_some(), version >= 5);
        let Some((_, Request::Join(asked))) = asked(&desk).pop() else {
            panic!("{version}");
        };
        let timeout = if version == 0 { 10_000 } else { 60_000 };
        assert_eq!(asked.rebalance_timeout_ms, timeout);
        assert_eq!(asked.requires_known_member_id, version >= 4);
        assert_eq!(asked.supports_skipping_assignment, version >= 9);
        assert_eq!(&*asked.client.host, "/127.0.0.1");
        assert_eq!(&*asked.client.id, "test");
    }
}

#[test]
fn a_refused_join_names_the_member_and_no_protocol() {
    let desk = Desk::new();
    for version in 0..=9 {
        let refused = JoinRefused {
            error: GroupError::MemberIdRequired,
            member_id: Arc::from("new-id"),
        };
        answer_with(&desk, Reply::Join(Err(refused)));
        let answer: JoinGroupResponse = desk.ask(version, join("g", version));
        let told = (answer.error_code, answer.generation_id, &*answer.member_id);
        assert_eq!(told, (79, -1, "new-id"));
        assert_eq!(answer.protocol_name.is_none(), version >= 7);
        let answer: JoinGroupResponse = desk.ask(version, join("", version));
        assert_eq!((answer.error_code, &*answer.member_id), (24, "m"));
        let answer: JoinGroupResponse = desk.ask(version, join("nobody", version));
        assert_eq!(answer.error_code, 16);
    }
    assert!(asked(&desk).iter().all(|(group, _)| !group.is_empty()));
}

#[test]
fn a_sync_must_name_its_protocol_since_version_5() {
    let desk = Desk::new();
    for version in 0..=5 {
        let mut request = message!(SyncGroupRequest {
            group_id: "g".into(),
            generation_id: 3,
            member_id: "m".into(),
        });
        if version >= 5 {
            let answer: SyncGroupResponse = desk.ask(version, request.clone());
            assert_eq!(answer.error_code, 23);
            request.protocol_type = Some("consumer".into());
            request.protocol_name = Some("range".into());
        }
        let synced = Synced {
            protocol_type: Some(Arc::from("consumer")),
            protocol: Some(Arc::from("range")),
            assignment: Bytes::from_static(b"all"),
        };
        answer_with(&desk, Reply::Sync(Ok(synced)));
        let answer: SyncGroupResponse = desk.ask(version, request);
        assert_eq!((answer.error_code, &*answer.assignment), (0, &b"all"[..]));
        assert_eq!(answer.protocol_name.is_some(), version >= 5);
    }
}

#[test]
fn a_heartbeat_finds_no_fault_while_the_group_is_loading() {
    let desk = Desk::new();
    let request = |group: &str| {
        message!(HeartbeatRequest {
            group_id: group.into(),
            generation_id: 1,
            member_id: "m".into(),
        })
    };
    for version in 0..=4 {
        for (reply, code) in [
            (Reply::Heartbeat(Ok(())), 0),
            (Reply::Heartbeat(Err(GroupError::RebalanceInProgress)), 27),
            (Reply::Failed(GroupError::LoadInProgress), 0),
            (Reply::Failed(GroupError::NotCoordinator), 16),
            (Reply::Failed(GroupError::CoordinatorNotAvailable), 15),
        ] {
            answer_with(&desk, reply);
            let answer: HeartbeatResponse = desk.ask(version, request("g"));
            assert_eq!(answer.error_code, code, "{version}");
        }
        let answer: HeartbeatResponse = desk.ask(version, request(""));
        assert_eq!(answer.error_code, 24);
    }
}

#[test]
fn who_leaves_alone_is_told_at_the_top_and_many_each() {
    let desk = Desk::new();
    for version in 0..=5 {
        let request = if version < 3 {
            message!(LeaveGroupRequest {
                group_id: "g".into(),
                member_id: "a".into(),
            })
        } else {
            let member = |id: &str| {
                message!(MemberIdentity {
                    member_id: id.into()
                })
            };
            message!(LeaveGroupRequest {
                group_id: "g".into(),
                members: vec![member("a"), member("b")],
            })
        };
        let results = [Err(GroupError::UnknownMemberId), Ok(())];
        let results = results[..if version < 3 { 1 } else { 2 }].to_vec();
        answer_with(&desk, Reply::Leave(Ok(results)));
        let answer: LeaveGroupResponse = desk.ask(version, request);
        let each: Vec<_> = answer
            .members
            .iter()
            .map(|m| (&*m.member_id, m.error_code))
            .collect();
        if version < 3 {
            assert_eq!((answer.error_code, each), (25, vec![]));
        } else {
            assert_eq!((answer.error_code, each), (0, vec![("a", 25), ("b", 0)]));
        }
    }
}

fn commit(version: i16, desk: &Desk, topics: &[(&str, &[i32])]) -> OffsetCommitRequest {
    let image = desk.gateway.image.load();
    let topics = topics.iter().map(|(name, partitions)| {
        let id = image.topic(name).map_or(Uuid([9; 16]), |topic| topic.id);
        let partitions = partitions.iter().map(|index| {
            message!(OffsetCommitRequestPartition {
                partition_index: *index,
                committed_offset: 5,
                committed_metadata: None,
            })
        });
        let mut topic = message!(OffsetCommitRequestTopic {
            partitions: partitions.collect(),
        });
        if version < 10 {
            topic.name = (*name).into();
        } else {
            topic.topic_id = wire_uuid(id);
        }
        topic
    });
    message!(OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: 1,
        member_id: "m".into(),
        topics: topics.collect(),
    })
}

fn codes(answer: &OffsetCommitResponse) -> Vec<i16> {
    let topics = answer.topics.iter();
    let partitions = topics.flat_map(|topic| &topic.partitions);
    partitions.map(|partition| partition.error_code).collect()
}

#[test]
fn what_does_not_exist_is_not_committed_and_the_rest_is() {
    let desk = Desk::new();
    desk.create("t", 2, &[]);
    for version in 2..=10 {
        let results = vec![Ok(()), Err(GroupError::OffsetMetadataTooLarge)];
        answer_with(&desk, Reply::CommitOffsets(Ok(results)));
        let request = commit(version, &desk, &[("nosuch", &[0]), ("t", &[0, 7, 1])]);
        let answer: OffsetCommitResponse = desk.ask(version, request);
        let unknown = if version < 10 { 3 } else { 100 };
        assert_eq!(codes(&answer), [unknown, 0, 3, 12], "{version}");
        let Some((_, Request::CommitOffsets(asked))) = asked(&desk).pop() else {
            panic!("{version}");
        };
        let partitions: Vec<_> = asked
            .offsets
            .iter()
            .map(|o| (&*o.topic, o.partition))
            .collect();
        assert_eq!(partitions, [("t", 0), ("t", 1)]);
        assert_eq!((asked.version, asked.retention_ms), (version, None));
        answer_with(
            &desk,
            Reply::CommitOffsets(Err(GroupError::IllegalGeneration)),
        );
        let request = commit(version, &desk, &[("t", &[0, 1])]);
        let answer: OffsetCommitResponse = desk.ask(version, request);
        assert_eq!(codes(&answer), [22, 22]);
        asked_nothing_about_nothing(&desk, version);
    }
}

/// A commit of which nothing is left does not reach the group.
fn asked_nothing_about_nothing(desk: &Desk, version: i16) {
    asked(desk);
    let request = commit(version, desk, &[("nosuch", &[0])]);
    let _: OffsetCommitResponse = desk.ask(version, request);
    assert!(asked(desk).is_empty());
}

fn found(topic: &str, partition: i32, offset: i64) -> FetchedOffset {
    FetchedOffset {
        topic: Arc::from(topic),
        partition,
        offset: Offset(offset),
        leader_epoch: LeaderEpoch(2),
        metadata: Arc::from("note"),
        unstable: false,
    }
}

#[test]
fn offsets_of_one_group_are_told_with_the_error_where_the_version_has_it() {
    let desk = Desk::new();
    for version in 1..=7 {
        let request = message!(OffsetFetchRequest {
            group_id: "g".into(),
            topics: Some(vec![message!(OffsetFetchRequestTopic {
                name: "t".into(),
                partition_indexes: vec![0, 1],
            })]),
        });
        let unstable = FetchedOffset {
            unstable: true,
            ..found("t", 1, 7)
        };
        answer_with(
            &desk,
            Reply::FetchOffsets(Ok(vec![found("t", 0, 5), unstable])),
        );
        let answer: OffsetFetchResponse = desk.ask(version, request.clone());
        let told = |answer: &OffsetFetchResponse| -> Vec<_> {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions
                .map(|p| (p.committed_offset, p.error_code))
                .collect()
        };
        assert_eq!(told(&answer), [(5, 0), (-1, 88)]);
        answer_with(&desk, Reply::Failed(GroupError::NotCoordinator));
        let answer: OffsetFetchResponse = desk.ask(version, request);
        if version < 2 {
            assert_eq!(told(&answer), [(-1, 16), (-1, 16)]);
        } else {
            assert_eq!((answer.error_code, told(&answer)), (16, vec![]));
        }
    }
}

#[test]
fn offsets_of_many_groups_are_told_each_with_its_own_error() {
    let desk = Desk::new();
    desk.create("t", 2, &[]);
    let id = desk.gateway.image.load().topic("t").unwrap().id;
    for version in 8..=10 {
        let topic = |name: &str, id: Uuid| {
            let mut topic = message!(OffsetFetchRequestTopics {
                partition_indexes: vec![0],
            });
            if version < 10 {
                topic.name = name.into();
            } else {
                topic.topic_id = wire_uuid(id);
            }
            topic
        };
        let group = |id: &str, topics| {
            message!(OffsetFetchRequestGroup {
                group_id: id.into(),
                topics: topics,
                member_id: None,
            })
        };
        let request = message!(OffsetFetchRequest {
            groups: vec![
                group(
                    "a",
                    Some(vec![topic("nosuch", Uuid([9; 16])), topic("t", id)])
                ),
                group("b", None),
                group("c", None),
            ],
        });
        // By name a topic that is not there may still have offsets, and the group is asked.
        let of_a = if version < 10 {
            vec![found("nosuch", 0, -1), found("t", 0, 5)]
        } else {
            vec![found("t", 0, 5)]
        };
        answer_with(&desk, Reply::FetchOffsets(Ok(of_a)));
        let all = vec![found("gone", 0, 1), found("t", 0, 2), found("t", 1, 3)];
        answer_with(&desk, Reply::FetchOffsets(Ok(all)));
        answer_with(
            &desk,
            Reply::FetchOffsets(Err(GroupError::StaleMemberEpoch)),
        );
        let answer: OffsetFetchResponse = desk.ask(version, request);
        let told: Vec<_> = answer
            .groups
            .iter()
            .map(|group| {
                let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
                let told: Vec<_> = partitions
                    .map(|p| (p.committed_offset, p.error_code))
                    .collect();
                (&*group.group_id, group.error_code, told)
            })
            .collect();
        let (of_a, of_b) = if version < 10 {
            (vec![(-1, 0), (5, 0)], vec![(1, 0), (2, 0), (3, 0)])
        } else {
            (vec![(-1, 100), (5, 0)], vec![(2, 0), (3, 0)])
        };
        assert_eq!(told, [("a", 0, of_a), ("b", 0, of_b), ("c", 113, vec![])]);
    }
}

#[test]
fn deleted_offsets_are_told_one_by_one_and_a_group_that_is_not_there_once() {
    let desk = Desk::new();
    desk.create("t", 2, &[]);
    let request = |group: &str| {
        let partition = |index| {
            message!(OffsetDeleteRequestPartition {
                partition_index: index
            })
        };
        let topic = |name: &str| {
            message!(OffsetDeleteRequestTopic {
                name: name.into(),
                partitions: vec![partition(0), partition(5)],
            })
        };
        message!(OffsetDeleteRequest {
            group_id: group.into(),
            topics: vec![topic("t"), topic("nosuch")],
        })
    };
    let results = vec![Err(GroupError::GroupSubscribedToTopic)];
    answer_with(&desk, Reply::DeleteOffsets(Ok(results)));
    let answer: OffsetDeleteResponse = desk.ask(0, request("g"));
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let told: Vec<_> = partitions.map(|p| p.error_code).collect();
    assert_eq!((answer.error_code, told), (0, vec![86, 3, 3, 3]));
    let gone = GroupError::GroupIdNotFound("Group g not found.".to_owned());
    answer_with(&desk, Reply::DeleteOffsets(Err(gone)));
    let answer: OffsetDeleteResponse = desk.ask(0, request("g"));
    assert_eq!((answer.error_code, answer.topics.len()), (69, 0));
    let answer: OffsetDeleteResponse = desk.ask(0, request(""));
    assert_eq!(answer.error_code, 24);
}

#[test]
fn groups_are_listed_by_state_and_type_whatever_the_case() {
    let desk = Desk::new();
    let group = |id: &str, state, group_type| Summary {
        group_id: Arc::from(id),
        protocol_type: Arc::from("consumer"),
        state,
        group_type,
    };
    let all = vec![
        group("c", "Stable", "consumer"),
        group("b", "Empty", "classic"),
        group("a", "Stable", "classic"),
    ];
    *desk.groups.list.borrow_mut() = Some(Ok(all));
    let list = |version, states: &[&str], types: &[&str]| -> Vec<String> {
        let request = message!(ListGroupsRequest {
            states_filter: states.iter().map(|s| (*s).into()).collect(),
            types_filter: types.iter().map(|t| (*t).into()).collect(),
        });
        let answer: ListGroupsResponse = desk.ask(version, request);
        let groups = answer.groups.iter();
        groups
            .map(|g| format!("{} {}", g.group_id, g.group_state))
            .collect()
    };
    for version in 0..=3 {
        assert_eq!(list(version, &[], &[]), ["a ", "b ", "c "]);
    }
    assert_eq!(list(4, &["stable"], &[]), ["a Stable", "c Stable"]);
    assert_eq!(list(5, &[" STABLE"], &["Consumer"]), ["c Stable"]);
    assert!(list(5, &[], &["nosuch"]).is_empty());
    *desk.groups.list.borrow_mut() = Some(Err(GroupError::LoadInProgress));
    let answer: ListGroupsResponse = desk.ask(5, ListGroupsRequest::default());
    assert_eq!(answer.error_code, 14);
}

#[test]
fn a_group_that_is_not_there_is_dead_and_since_version_6_not_found() {
    let desk = Desk::new();
    for version in 0..=6 {
        let described = ClassicDescription {
            state: "Stable",
            protocol_type: Arc::from("consumer"),
            protocol: Arc::from("range"),
            members: vec![ClassicMemberDescription {
                member_id: Arc::from("m"),
                instance_id: Some(Arc::from("i")),
                client: Client {
                    id: Arc::from("c"),
                    host: Arc::from("/10.0.0.1"),
                },
                metadata: Bytes::from_static(b"topics"),
                assignment: Bytes::from_static(b"all"),
            }],
        };
        answer_with(&desk, Reply::DescribeClassic(Ok(described)));
        let gone = GroupError::GroupIdNotFound("Group gone not found.".to_owned());
        answer_with(&desk, Reply::DescribeClassic(Err(gone)));
        answer_with(&desk, Reply::Failed(GroupError::LoadInProgress));
        let request = message!(DescribeGroupsRequest {
            groups: vec!["g".into(), "gone".into(), "loading".into()],
            include_authorized_operations: version >= 3,
        });
        let answer: DescribeGroupsResponse = desk.ask(version, request);
        let told: Vec<_> = answer
            .groups
            .iter()
            .map(|g| (g.error_code, &*g.group_state, g.members.len()))
            .collect();
        let gone = if version < 6 { 0 } else { 69 };
        assert_eq!(told, [(0, "Stable", 1), (gone, "Dead", 0), (14, "", 0)]);
        let operations: Vec<_> = answer
            .groups
            .iter()
            .map(|g| g.authorized_operations)
            .collect();
        let asked = if version < 3 { i32::MIN } else { 3400 };
        let of_dead = if gone == 0 { asked } else { i32::MIN };
        assert_eq!(operations, [asked, of_dead, i32::MIN], "{version}");
        assert_eq!(answer.groups[1].error_message.is_some(), version >= 6);
        let member = &answer.groups[0].members[0];
        assert_eq!(&*member.client_host, "/10.0.0.1");
        assert_eq!(member.group_instance_id.is_some(), version >= 4);
    }
}

#[test]
fn groups_are_deleted_each_once() {
    let desk = Desk::new();
    for version in 0..=2 {
        answer_with(&desk, Reply::Delete(Ok(())));
        answer_with(&desk, Reply::Delete(Err(GroupError::NonEmptyGroup)));
        let request = message!(DeleteGroupsRequest {
            groups_names: vec!["a".into(), "b".into(), "a".into()],
        });
        let answer: DeleteGroupsResponse = desk.ask(version, request);
        let told: Vec<_> = answer
            .results
            .iter()
            .map(|result| (&*result.group_id, result.error_code))
            .collect();
        assert_eq!(told, [("a", 0), ("b", 68)]);
    }
}

/// Each would be told with all its members, and all its offsets, as often as it is named.
#[test]
fn a_group_or_a_partition_that_is_named_again_and_again_is_told_once_or_a_few_times() {
    let desk = Desk::new();
    let names = || vec!["g".into(); 3];
    let dead = || Err(GroupError::GroupIdNotFound(String::new()));
    answer_with(&desk, Reply::DescribeClassic(dead()));
    let request = message!(DescribeGroupsRequest { groups: names() });
    let answer: DescribeGroupsResponse = desk.ask(5, request);
    assert_eq!(answer.groups.len(), 1);
    answer_with(
        &desk,
        Reply::DescribeConsumer(Err(GroupError::UnknownMemberId)),
    );
    let request = message!(ConsumerGroupDescribeRequest { group_ids: names() });
    let answer: ConsumerGroupDescribeResponse = desk.ask(1, request);
    assert_eq!(answer.groups.len(), 1);
    asked(&desk);
    let topic = || {
        message!(OffsetFetchRequestTopics {
            name: "t".into(),
            partition_indexes: vec![1, 0, 1, 1],
        })
    };
    let group = || {
        message!(OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: Some(vec![topic(), topic()]),
            member_id: None,
        })
    };
    for _ in 0..16 {
        let offsets = vec![found("t", 1, 5), found("t", 0, 6)];
        answer_with(&desk, Reply::FetchOffsets(Ok(offsets)));
    }
    let request = message!(OffsetFetchRequest {
        groups: (0..100).map(|_| group()).collect(),
    });
    let answer: OffsetFetchResponse = desk.ask(8, request);
    assert_eq!(answer.groups.len(), 16);
    let partitions = answer.groups[0].topics.iter().flat_map(|t| &t.partitions);
    let told: Vec<_> = partitions
        .map(|p| (p.partition_index, p.committed_offset))
        .collect();
    assert_eq!(told, [(1, 5), (0, 6)]);
}

#[test]
fn so_many_coordinators_are_not_told_in_one_answer() {
    let desk = Desk::new();
    let request = message!(FindCoordinatorRequest {
        coordinator_keys: vec!["".into(); 100_001],
    });
    let answer: FindCoordinatorResponse = desk.ask(4, request);
    assert_eq!(answer.coordinators.len(), 100_000);
}
