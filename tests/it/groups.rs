//! Groups over a real socket: a member's life, a commit that survives the loss of power, and a
//! member that comes back to a broker that was started again.

use std::io::{Read, Write};

use bytes::Bytes;
use milena::message;
use milena::protocol::messages::consumer_group_heartbeat_response::Assignment;
use milena::protocol::messages::join_group_request::JoinGroupRequestProtocol;
use milena::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena::protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use milena::protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use milena::protocol::messages::{
    Answer, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, Request, SyncGroupRequest,
    SyncGroupResponse, leave_group_request,
};
use milena::protocol::{decode_response, encode_request};
use milena::storage::disk::MemoryDisk;

use crate::binary::Client;
use crate::embedded::{ALWAYS, Embedded, End, make_topic};

fn ask<R: Request, A: Answer>(client: &mut Client, version: i16, request: &R) -> A {
    send(client, version, request);
    receive(client, version)
}

fn send<R: Request>(client: &mut Client, version: i16, request: &R) {
    let frame = encode_request(7, version, Some("test"), request).expect("it fits its version");
    client.0.write_all(&frame).expect("it reads");
}

fn receive<A: Answer>(client: &mut Client, version: i16) -> A {
    let mut size = [0; 4];
    client.0.read_exact(&mut size).expect("an answer");
    let size = usize::try_from(i32::from_be_bytes(size)).expect("a size");
    let mut answer = vec![0; size];
    client.0.read_exact(&mut answer).expect("a whole answer");
    let (correlation_id, answer) = decode_response(answer.into(), version).expect("as its schema");
    assert_eq!(correlation_id, 7);
    answer
}

fn find_coordinator(client: &mut Client) {
    let request = message!(FindCoordinatorRequest {
        coordinator_keys: vec!["g".into()],
    });
    let answer: FindCoordinatorResponse = ask(client, 4, &request);
    assert_eq!(answer.coordinators[0].error_code, 0);
}

fn join_request(member: &str) -> JoinGroupRequest {
    message!(JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 60_000,
        member_id: member.into(),
        protocol_type: "consumer".into(),
        protocols: vec![message!(JoinGroupRequestProtocol {
            name: "range".into(),
            metadata: Bytes::from_static(b"anything"),
        })],
    })
}

/// Joins, taking the id it is given first.
fn join(client: &mut Client) -> JoinGroupResponse {
    let first: JoinGroupResponse = ask(client, 9, &join_request(""));
    assert_eq!(first.error_code, 79, "a new member is told its id");
    let joined: JoinGroupResponse = ask(client, 9, &join_request(&first.member_id));
    assert_eq!(joined.error_code, 0);
    joined
}

fn sync(client: &mut Client, joined: &JoinGroupResponse) -> SyncGroupResponse {
    let assignments = joined.members.iter().map(|member| {
        message!(SyncGroupRequestAssignment {
            member_id: member.member_id.clone(),
            assignment: Bytes::from_static(b"some"),
        })
    });
    let request = message!(SyncGroupRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.collect(),
    });
    ask(client, 5, &request)
}

fn heartbeat(client: &mut Client, joined: &JoinGroupResponse) -> i16 {
    let request = message!(HeartbeatRequest {
        group_id: "g".into(),
        generation_id: joined.generation_id,
        member_id: joined.member_id.clone(),
    });
    let answer: HeartbeatResponse = ask(client, 4, &request);
    answer.error_code
}

fn commit_request(joined: &JoinGroupResponse, offset: i64) -> OffsetCommitRequest {
    message!(OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: joined.generation_id,
        member_id: joined.member_id.clone(),
        topics: vec![message!(OffsetCommitRequestTopic {
            name: "t".into(),
            partitions: vec![message!(OffsetCommitRequestPartition {
                partition_index: 0,
                committed_offset: offset,
                committed_metadata: Some("note".into()),
            })],
        })],
    })
}

fn code(answer: &OffsetCommitResponse) -> i16 {
    answer.topics[0].partitions[0].error_code
}

/// The offset that is committed for the one partition, with its note.
fn committed(client: &mut Client) -> (i64, String) {
    let request = message!(OffsetFetchRequest {
        groups: vec![message!(OffsetFetchRequestGroup {
            group_id: "g".into(),
            topics: None,
            member_id: None,
        })],
    });
    let answer: OffsetFetchResponse = ask(client, 8, &request);
    assert_eq!(answer.groups[0].error_code, 0);
    let topics = answer.groups[0].topics.iter();
    let mut partitions = topics.flat_map(|topic| &topic.partitions);
    let found = partitions.next().expect("an offset");
    let note = found.metadata.as_deref().unwrap_or_default().to_owned();
    (found.committed_offset, note)
}

/// A broker with a topic and a coordinator, and a connection to it.
fn start(disk: &MemoryDisk) -> (Embedded, Client) {
    let broker = Embedded::start(disk, ALWAYS);
    let mut client = broker.client();
    make_topic(&mut client);
    find_coordinator(&mut client);
    (broker, client)
}

#[test]
fn a_member_joins_reads_commits_and_finds_itself_again_after_a_restart() {
    let disk = MemoryDisk::new();
    let (broker, mut client) = start(&disk);
    let joined = join(&mut client);
    assert_eq!(
        (joined.generation_id, &joined.leader),
        (1, &joined.member_id)
    );
    assert_eq!(sync(&mut client, &joined).assignment, &b"some"[..]);
    assert_eq!(heartbeat(&mut client, &joined), 0);
    let answer: OffsetCommitResponse = ask(&mut client, 9, &commit_request(&joined, 41));
    assert_eq!(code(&answer), 0);
    assert_eq!(committed(&mut client), (41, "note".to_owned()));
    drop(client);
    broker.end(End::Stopped);

    let broker = Embedded::start(&disk, ALWAYS);
    let mut client = broker.client();
    find_coordinator(&mut client);
    // Until the group is loaded a heartbeat finds no fault; then it is a member's.
    assert_eq!(heartbeat(&mut client, &joined), 0);
    while code(&ask(&mut client, 9, &commit_request(&joined, 42))) == 14 {}
    assert_eq!(heartbeat(&mut client, &joined), 0);
    assert_eq!(committed(&mut client), (42, "note".to_owned()));
    drop(client);
    broker.end(End::Stopped);
}

#[test]
fn a_commit_that_was_answered_survives_the_loss_of_power() {
    let disk = MemoryDisk::new();
    let (broker, mut client) = start(&disk);
    let joined = join(&mut client);
    sync(&mut client, &joined);
    for offset in 0..20 {
        let answer: OffsetCommitResponse = ask(&mut client, 9, &commit_request(&joined, offset));
        assert_eq!(code(&answer), 0);
    }
    drop(client);
    broker.end(End::Dropped);
    disk.lose_power(&mut |_, appended| appended / 3);

    let broker = Embedded::start(&disk, ALWAYS);
    let mut client = broker.client();
    while code(&ask(&mut client, 9, &commit_request(&joined, 20))) == 14 {}
    assert_eq!(committed(&mut client).0, 20);
    drop(client);
    broker.end(End::Stopped);
}

#[test]
fn a_commit_and_the_leave_behind_it_take_effect_in_their_order() {
    let disk = MemoryDisk::new();
    let (broker, mut client) = start(&disk);
    let joined = join(&mut client);
    sync(&mut client, &joined);
    send(&mut client, 9, &commit_request(&joined, 7));
    let leave = message!(LeaveGroupRequest {
        group_id: "g".into(),
        members: vec![message!(leave_group_request::MemberIdentity {
            member_id: joined.member_id.clone(),
        })],
    });
    send(&mut client, 5, &leave);
    let answer: OffsetCommitResponse = receive(&mut client, 9);
    assert_eq!(code(&answer), 0);
    let answer: LeaveGroupResponse = receive(&mut client, 5);
    assert_eq!((answer.error_code, answer.members[0].error_code), (0, 0));
    assert_eq!(heartbeat(&mut client, &joined), 25);
    assert_eq!(committed(&mut client).0, 7);
    drop(client);
    broker.end(End::Stopped);
}

#[test]
fn a_join_that_waits_does_not_hold_the_stop_up() {
    let disk = MemoryDisk::new();
    let (broker, mut client) = start(&disk);
    let joined = join(&mut client);
    sync(&mut client, &joined);
    let mut second = broker.client();
    let first: JoinGroupResponse = ask(&mut second, 9, &join_request(""));
    send(&mut second, 9, &join_request(&first.member_id));
    // The group rebalances as soon as the second is in, and waits for the first, which does not come.
    while heartbeat(&mut client, &joined) == 0 {}
    drop(client);
    broker.end(End::Stopped);
    assert!(second.is_closed());
}

/// A heartbeat of the consumer protocol; nothing where it is as before.
fn report(epoch: i32) -> ConsumerGroupHeartbeatRequest {
    let mut request = message!(ConsumerGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: "a-member".into(),
        member_epoch: epoch,
        rebalance_timeout_ms: -1,
    });
    if epoch == 0 {
        request.rebalance_timeout_ms = 60_000;
        request.subscribed_topic_names = Some(vec!["t".into()]);
        request.topic_partitions = Some(vec![]);
    }
    request
}

#[test]
fn a_member_of_the_consumer_protocol_is_given_its_partitions_and_known_after_a_restart() {
    let disk = MemoryDisk::new();
    let (broker, mut client) = start(&disk);
    let mut answer: ConsumerGroupHeartbeatResponse = ask(&mut client, 1, &report(0));
    assert_eq!((answer.error_code, &answer.error_message), (0, &None));
    let given = |assignment: &Option<Assignment>| -> Option<Vec<i32>> {
        let topics = &assignment.as_ref()?.topic_partitions;
        Some(topics.first()?.partitions.clone())
    };
    let mut partitions = given(&answer.assignment);
    while partitions.is_none() {
        answer = ask(&mut client, 1, &report(answer.member_epoch));
        assert_eq!(answer.error_code, 0);
        partitions = given(&answer.assignment);
    }
    assert_eq!(partitions, Some(vec![0]));
    let epoch = answer.member_epoch;
    drop(client);
    broker.end(End::Stopped);

    let broker = Embedded::start(&disk, ALWAYS);
    let mut client = broker.client();
    let mut answer: ConsumerGroupHeartbeatResponse = ask(&mut client, 1, &report(epoch));
    while answer.error_code == 14 {
        answer = ask(&mut client, 1, &report(epoch));
    }
    assert_eq!((answer.error_code, answer.member_epoch), (0, epoch));
    drop(client);
    broker.end(End::Stopped);
}
