//! A group with members of one protocol or the other, and what that means for its offsets.

use std::sync::Arc;
use std::time::Duration;

use super::driven::{Driven, GROUP, commit_by};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{
    Client, ConsumerHeartbeat, FetchOffsets, GroupError, Identity, Join, Reply, Request, Sync,
};
use crate::model::Uuid;
use crate::protocol::consumer_offsets::{Assignment, Record};
use crate::protocol::consumer_protocol::Subscription;

fn group() -> Driven {
    let group = Driven::new(GroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        offsets_retention: Duration::from_secs(1),
        ..GroupConfig::default()
    });
    group.cluster.put("read", 1, 2);
    group.cluster.put("other", 2, 2);
    group
}

fn client() -> Client {
    Client {
        id: Arc::from("c"),
        host: Arc::from("/h"),
    }
}

fn join(protocol_type: &str) -> Request {
    let subscription = Subscription {
        version: 0,
        topics: vec![Arc::from("read")],
        user_data: None,
        owned: Vec::new(),
        generation: -1,
        rack_id: None,
    };
    Request::Join(Join {
        client: client(),
        member_id: Arc::from(""),
        instance_id: None,
        protocol_type: Arc::from(protocol_type),
        protocols: vec![(Arc::from("range"), subscription.encode().unwrap())],
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 20_000,
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: false,
        fresh: Uuid([9; 16]),
    })
}

fn joined(group: &mut Driven, protocol_type: &str) -> Identity {
    let ticket = group.ask(join(protocol_type));
    match group.answers.remove(&ticket) {
        Some(Reply::Join(Ok(joined))) => Identity {
            member_id: joined.member_id,
            instance_id: None,
            generation: joined.generation,
        },
        other => panic!("{other:?}"),
    }
}

fn stable(group: &mut Driven, protocol_type: &str) -> Identity {
    let identity = joined(group, protocol_type);
    let sync = Sync {
        identity: identity.clone(),
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    };
    let answer = group.answer(Request::Sync(sync));
    assert!(matches!(answer, Reply::Sync(Ok(_))), "{answer:?}");
    identity
}

fn beat(member_epoch: i32) -> Request {
    let joins = member_epoch == 0;
    Request::ConsumerHeartbeat(ConsumerHeartbeat {
        client: client(),
        member_id: Arc::from("m"),
        member_epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: joins.then_some(20_000),
        subscribed_topics: joins.then(|| vec![Arc::from("read")]),
        subscribed_regex: None,
        server_assignor: None,
        owned: joins.then(Assignment::new),
        fresh: Uuid::ZERO,
    })
}

/// The epoch of a member that has joined.
fn consumer_joined(group: &mut Driven) -> i32 {
    match group.answer(beat(0)) {
        Reply::ConsumerHeartbeat(Ok(reply)) => reply.member_epoch,
        other => panic!("{other:?}"),
    }
}

fn commit(group: &mut Driven, identity: &Identity, topic: &str) -> Reply {
    let commit = commit_by(&identity.member_id, identity.generation, &[(topic, 0, 7)]);
    group.answer(Request::CommitOffsets(commit))
}

fn committed() -> Reply {
    Reply::CommitOffsets(Ok(vec![Ok(())]))
}

fn delete_offsets(group: &mut Driven) -> Reply {
    let asked = [("read", vec![0]), ("other", vec![0])];
    let asked = asked.map(|(topic, partitions)| (Arc::from(topic), partitions));
    group.answer(Request::DeleteOffsets(asked.to_vec()))
}

fn topics(group: &mut Driven) -> Vec<String> {
    let all = group.fetch_all();
    all.into_iter().map(|(topic, _, _)| topic).collect()
}

/// What members read is neither deleted by hand nor by age, and the group is not deleted.
fn assert_protected(group: &mut Driven, identity: &Identity) {
    for topic in ["read", "other"] {
        assert_eq!(commit(group, identity, topic), committed());
    }
    let refused = Err(GroupError::GroupSubscribedToTopic);
    let answer = delete_offsets(group);
    assert_eq!(answer, Reply::DeleteOffsets(Ok(vec![refused, Ok(())])));
    commit(group, identity, "other");
    let non_empty = Reply::Delete(Err(GroupError::NonEmptyGroup));
    assert_eq!(group.answer(Request::Delete), non_empty);
    group.pass(Duration::from_secs(2));
    group.expire();
    assert_eq!(topics(group), ["read"]);
    group.assert_state_is_the_log();
}

#[test]
fn what_members_of_a_classic_group_read_is_protected() {
    let mut group = group();
    let identity = stable(&mut group, "consumer");
    assert_protected(&mut group, &identity);
}

#[test]
fn what_members_of_a_consumer_group_read_is_protected() {
    let mut group = group();
    let generation = consumer_joined(&mut group);
    let member_id = Arc::from("m");
    let identity = Identity {
        member_id,
        instance_id: None,
        generation,
    };
    assert_protected(&mut group, &identity);
}

#[test]
fn nothing_expires_while_members_rebalance_or_are_no_consumers() {
    let mut rebalancing = group();
    rebalancing.commit(&[("other", 0, 1)]);
    joined(&mut rebalancing, "consumer");
    let mut connect = group();
    connect.commit(&[("other", 0, 1)]);
    stable(&mut connect, "connect");
    for mut group in [rebalancing, connect] {
        group.pass(Duration::from_secs(2));
        group.expire();
        assert_eq!(topics(&mut group), ["other"]);
    }
}

#[test]
fn offsets_of_members_that_are_no_consumers_are_deleted_when_those_have_gone() {
    let mut group = group();
    let identity = stable(&mut group, "connect");
    commit(&mut group, &identity, "other");
    let refused = Reply::DeleteOffsets(Err(GroupError::NonEmptyGroup));
    assert_eq!(delete_offsets(&mut group), refused);
    group.pass(Duration::from_secs(11));
    let deleted = Reply::DeleteOffsets(Ok(vec![Ok(()), Ok(())]));
    assert_eq!(delete_offsets(&mut group), deleted);
    assert_eq!(topics(&mut group), [""; 0]);
}

#[test]
fn an_empty_classic_group_makes_way_for_a_consumer_group_and_its_offsets_stay() {
    let mut group = group();
    let identity = stable(&mut group, "consumer");
    commit(&mut group, &identity, "read");
    group.pass(Duration::from_secs(11));
    let before = group.log.len();
    consumer_joined(&mut group);
    let tombstone = Record::ClassicGroup {
        group: Arc::from(GROUP),
        value: None,
    };
    assert_eq!(group.log[before], tombstone);
    assert_eq!(topics(&mut group), ["read"]);
    match group.answer(Request::Summarize) {
        Reply::Summarize(Some(summary)) => assert_eq!(summary.group_type, "consumer"),
        other => panic!("{other:?}"),
    }
    group.assert_state_is_the_log();
}

#[test]
fn an_empty_consumer_group_makes_way_for_a_classic_group_and_its_offsets_stay() {
    let mut group = group();
    consumer_joined(&mut group);
    group.answer(beat(-1));
    group.commit(&[("read", 0, 3)]);
    let before = group.log.len();
    stable(&mut group, "consumer");
    assert!(group.log[before].is_tombstone());
    assert_eq!(topics(&mut group), ["read"]);
    match group.answer(Request::Summarize) {
        Reply::Summarize(Some(summary)) => assert_eq!(summary.group_type, "classic"),
        other => panic!("{other:?}"),
    }
    group.assert_state_is_the_log();
}

#[test]
fn a_change_of_kind_that_is_not_stored_changes_nothing() {
    let mut group = group();
    let epoch = consumer_joined(&mut group);
    group.answer(beat(-1));
    let ticket = group.ask_in_vain(join("consumer"));
    let answered = &group.answers[&ticket];
    let refused = match answered {
        Reply::Join(Err(refused)) => refused.error == GroupError::CoordinatorNotAvailable,
        Reply::Failed(error) => *error == GroupError::CoordinatorNotAvailable,
        _ => false,
    };
    assert!(refused, "{answered:?}");
    match group.answer(Request::Summarize) {
        Reply::Summarize(Some(summary)) => {
            assert_eq!((summary.group_type, summary.state), ("consumer", "Empty"));
        }
        other => panic!("{other:?}"),
    }
    group.assert_state_is_the_log();
    group.pass(Duration::from_secs(2));
    assert!(consumer_joined(&mut group) > epoch);
}

#[test]
fn an_empty_consumer_group_without_offsets_goes_at_the_next_check() {
    let mut group = group();
    consumer_joined(&mut group);
    group.answer(beat(-1));
    group.commit(&[("read", 0, 3)]);
    group.expire();
    assert!(!group.group.is_gone());
    group.pass(Duration::from_secs(1));
    group.expire();
    assert!(group.group.is_gone());
    group.assert_state_is_the_log();
}

#[test]
fn a_fetch_in_the_name_of_a_member_is_checked_by_a_consumer_group_alone() {
    let fetch = |member_id: &str, epoch| {
        Request::FetchOffsets(FetchOffsets {
            member: Some((Arc::from(member_id), epoch)),
            require_stable: false,
            wanted: None,
        })
    };
    let mut classic = group();
    stable(&mut classic, "consumer");
    let answer = classic.answer(fetch("stranger", 9));
    assert_eq!(answer, Reply::FetchOffsets(Ok(Vec::new())));
    let mut consumer = group();
    let epoch = consumer_joined(&mut consumer);
    for (member_id, epoch, error) in [
        ("stranger", epoch, GroupError::UnknownMemberId),
        ("m", epoch + 1, GroupError::StaleMemberEpoch),
    ] {
        let answer = consumer.answer(fetch(member_id, epoch));
        assert_eq!(answer, Reply::FetchOffsets(Err(error)));
    }
    let answer = consumer.answer(fetch("m", epoch));
    assert_eq!(answer, Reply::FetchOffsets(Ok(Vec::new())));
}

#[test]
fn a_member_that_could_never_be_written_down_is_refused_before_others_wait_for_it() {
    let mut group = group();
    let mut refused = |change: &dyn Fn(&mut Join)| {
        let Request::Join(mut join) = join("consumer") else {
            unreachable!()
        };
        change(&mut join);
        let reply = group.answer(Request::Join(join));
        let Reply::Join(Err(refused)) = &reply else {
            panic!("{reply:?}")
        };
        assert!(matches!(refused.error, GroupError::InvalidRequest(_)));
    };
    let long: Arc<str> = Arc::from("x".repeat(32_750));
    refused(&|join| join.client.id = Arc::clone(&long));
    refused(&|join| join.instance_id = Some(Arc::clone(&long)));
    refused(&|join| join.protocol_type = Arc::clone(&long));
    refused(&|join| join.protocols[0].0 = Arc::clone(&long));
    refused(&|join| join.protocols = vec![join.protocols[0].clone(); 101]);
    refused(&|join| join.protocols[0].1 = vec![0; 2_000_000].into());
    assert!(group.group.is_gone());
    assert_eq!(group.log, []);
}
