//! Groups that change their protocol while they have members.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::driven::{Driven, commit_by};
use crate::coordination::config::{GroupConfig, MigrationPolicy};
use crate::coordination::messages::{
    Client, ConsumerHeartbeat, ConsumerHeartbeatReply, GroupError, Identity, Join, JoinRefused,
    Joined, Leaving, Reply, Request, Sync, Synced,
};

use crate::model::Uuid;
use crate::protocol::consumer_offsets::{Assignment, Record};
use crate::protocol::consumer_protocol::{MemberAssignment, Subscription};

const FOO: Uuid = Uuid([1; 16]);

pub(super) fn world_with(policy: MigrationPolicy) -> Driven {
    let world = Driven::new(GroupConfig {
        initial_rebalance_delay: Duration::ZERO,
        consumer_assignment_interval: Duration::ZERO,
        consumer_migration_policy: policy,
        ..GroupConfig::default()
    });
    world.cluster.put("foo", 1, 4);
    world
}

fn client() -> Client {
    Client {
        id: Arc::from("client"),
        host: Arc::from("/127.0.0.1"),
    }
}

/// What a member says in its join: topics, and what it has.
pub(super) fn metadata(owned: &[i32]) -> Bytes {
    let owned = match owned {
        [] => Vec::new(),
        owned => vec![(Arc::from("foo"), owned.to_vec())],
    };
    let subscription = Subscription {
        version: 3,
        topics: vec![Arc::from("foo")],
        user_data: None,
        owned,
        generation: -1,
        rack_id: None,
    };
    subscription.encode().unwrap()
}

pub(super) fn joining(member: &str, owned: &[i32]) -> Join {
    Join {
        client: client(),
        member_id: Arc::from(member),
        instance_id: None,
        protocol_type: Arc::from("consumer"),
        protocols: vec![(Arc::from("range"), metadata(owned))],
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 30_000,
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
        fresh: Uuid([9; 16]),
    }
}

pub(super) fn assigned(partitions: &[i32]) -> Bytes {
    let assignment = MemberAssignment {
        version: 3,
        partitions: vec![(Arc::from("foo"), partitions.to_vec())],
        user_data: None,
    };
    assignment.encode().unwrap()
}

pub(super) fn beating(member: &str, epoch: i32) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        client: client(),
        member_id: Arc::from(member),
        member_epoch: epoch,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: None,
        subscribed_topics: None,
        subscribed_regex: None,
        server_assignor: None,
        owned: None,
        fresh: Uuid([7; 16]),
    }
}

pub(super) fn arriving(member: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        rebalance_timeout_ms: Some(30_000),
        subscribed_topics: Some(vec![Arc::from("foo")]),
        owned: Some(Assignment::new()),
        ..beating(member, 0)
    }
}

pub(super) fn identity(member: &str, generation: i32) -> Identity {
    Identity {
        member_id: Arc::from(member),
        instance_id: None,
        generation,
    }
}

impl Driven {
    fn join(&mut self, join: Join) -> Result<Joined, JoinRefused> {
        match self.answer(Request::Join(join)) {
            Reply::Join(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn sync(&mut self, member: &str, generation: i32) -> Result<Synced, GroupError> {
        self.sync_with(member, generation, &[])
    }

    fn sync_with(
        &mut self,
        member: &str,
        generation: i32,
        assignments: &[(&str, &[i32])],
    ) -> Result<Synced, GroupError> {
        let sync = Sync {
            identity: identity(member, generation),
            protocol_type: Some(Arc::from("consumer")),
            protocol_name: Some(Arc::from("range")),
            assignments: assignments
                .iter()
                .map(|(member, partitions)| (Arc::from(*member), assigned(partitions)))
                .collect(),
        };
        match self.answer(Request::Sync(sync)) {
            Reply::Sync(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn classic_beat(&mut self, member: &str, generation: i32) -> Result<(), GroupError> {
        match self.answer(Request::Heartbeat(identity(member, generation))) {
            Reply::Heartbeat(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn beat(&mut self, request: ConsumerHeartbeat) -> Result<ConsumerHeartbeatReply, GroupError> {
        match self.answer(Request::ConsumerHeartbeat(request)) {
            Reply::ConsumerHeartbeat(reply) => reply,
            other => panic!("{other:?}"),
        }
    }

    fn leave(&mut self, member: &str, instance: Option<&str>) -> Vec<Result<(), GroupError>> {
        let leaving = Leaving {
            member_id: Arc::from(member),
            instance_id: instance.map(Arc::from),
            reason: None,
        };
        match self.answer(Request::Leave(vec![leaving])) {
            Reply::Leave(Ok(results)) => results,
            other => panic!("{other:?}"),
        }
    }

    fn kind(&mut self) -> (&'static str, &'static str) {
        match self.answer(Request::Summarize) {
            Reply::Summarize(Some(summary)) => (summary.group_type, summary.state),
            other => panic!("{other:?}"),
        }
    }
}

/// A stable classic group of one member that has all of `foo`.
fn classic_group(world: &mut Driven) -> Arc<str> {
    let mut first = joining("", &[]);
    first.fresh = Uuid([3; 16]);
    let joined = world.join(first).unwrap();
    assert_eq!(joined.generation, 1);
    let id = joined.member_id;
    world.sync_with(&id, 1, &[(&*id, &[0, 1, 2, 3])]).unwrap();
    assert_eq!(world.kind(), ("classic", "Stable"));
    id
}

/// That group after a member of the consumer protocol came, and all have what they are to have.
fn mixed_group(world: &mut Driven) -> (Arc<str>, i32) {
    let old = classic_group(world);
    let reply = world.beat(arriving("new")).unwrap();
    let epoch = reply.member_epoch;
    assert_eq!(
        world.classic_beat(&old, 1),
        Err(GroupError::RebalanceInProgress)
    );
    // Cooperative: it says what it has, and learns what to give up.
    world.join(joining(&old, &[0, 1, 2, 3])).unwrap();
    assert_eq!(world.sync(&old, 1).unwrap().assignment, assigned(&[0, 1]));
    assert_eq!(
        world.classic_beat(&old, 1),
        Err(GroupError::RebalanceInProgress)
    );
    let joined = world.join(joining(&old, &[0, 1])).unwrap();
    assert_eq!(joined.generation, epoch);
    assert_eq!(
        world.sync(&old, epoch).unwrap().assignment,
        assigned(&[0, 1])
    );
    assert_eq!(world.classic_beat(&old, epoch), Ok(()));
    let reply = world.beat(beating("new", epoch)).unwrap();
    assert_eq!(
        reply.assignment,
        Some(Assignment::from([(FOO, vec![2, 3])]))
    );
    assert_eq!(world.kind(), ("consumer", "Stable"));
    world.assert_state_is_the_log();
    (old, epoch)
}

#[test]
fn a_classic_group_becomes_a_consumer_group_when_such_a_member_comes() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let (old, epoch) = mixed_group(&mut world);
    let Reply::DescribeConsumer(Ok(description)) = world.answer(Request::DescribeConsumer) else {
        panic!("no consumer group");
    };
    let kinds: Vec<(&str, bool)> = description
        .members
        .iter()
        .map(|member| (&*member.member_id, member.is_classic))
        .collect();
    let mut expected = vec![(&*old, true), ("new", false)];
    expected.sort_unstable();
    assert_eq!(kinds, expected);
    let commit = world.answer(Request::CommitOffsets(commit_by(
        &old,
        epoch,
        &[("foo", 0, 1)],
    )));
    assert!(matches!(commit, Reply::CommitOffsets(Ok(_))), "{commit:?}");
    let late = world.answer(Request::CommitOffsets(commit_by(
        &old,
        epoch + 1,
        &[("foo", 0, 1)],
    )));
    assert_eq!(
        late,
        Reply::CommitOffsets(Err(GroupError::IllegalGeneration))
    );
}

#[test]
fn who_waits_in_a_classic_rebalance_is_told_to_join_the_consumer_group() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let old = classic_group(&mut world);
    let mut second = joining("", &[]);
    second.fresh = Uuid([4; 16]);
    let parked = world.ask(Request::Join(second));
    assert!(!world.answers.contains_key(&parked));
    world.beat(arriving("new")).unwrap();
    let released = world.answers.remove(&parked);
    assert!(
        matches!(&released, Some(Reply::Join(Err(refused))) if refused.error == GroupError::RebalanceInProgress),
        "{released:?}"
    );
    assert_eq!(
        world.classic_beat(&old, 1),
        Err(GroupError::RebalanceInProgress)
    );
    world.assert_state_is_the_log();
}

#[test]
fn a_classic_group_stays_one_when_the_policy_says_so() {
    for policy in [MigrationPolicy::Disabled, MigrationPolicy::Downgrade] {
        let mut world = world_with(policy);
        let old = classic_group(&mut world);
        let refused = world.beat(arriving("new"));
        let why =
            "Cannot upgrade classic group g to consumer group because online upgrade is disabled.";
        assert_eq!(refused, Err(GroupError::GroupIdNotFound(why.to_owned())));
        assert_eq!(world.classic_beat(&old, 1), Ok(()));
    }
}

#[test]
fn a_group_that_is_not_of_consumers_does_not_become_a_consumer_group() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let mut connect = joining("", &[]);
    connect.protocol_type = Arc::from("connect");
    world.join(connect).unwrap();
    assert!(matches!(
        world.beat(arriving("new")),
        Err(GroupError::GroupIdNotFound(_))
    ));
}

#[test]
fn notes_of_an_assignor_and_malformed_words_forbid_the_change() {
    let mut with_notes = MemberAssignment::parse(&assigned(&[0])).unwrap();
    with_notes.user_data = Some(Bytes::from_static(b"notes"));
    for bytes in [with_notes.encode().unwrap(), Bytes::from_static(&[0, 0, 7])] {
        let mut world = world_with(MigrationPolicy::Bidirectional);
        let id = world.join(joining("", &[])).unwrap().member_id;
        let sync = Sync {
            identity: identity(&id, 1),
            protocol_type: None,
            protocol_name: None,
            assignments: vec![(Arc::clone(&id), bytes)],
        };
        world.answer(Request::Sync(sync));
        assert!(matches!(
            world.beat(arriving("new")),
            Err(GroupError::GroupIdNotFound(_))
        ));
        assert_eq!(world.kind(), ("classic", "Stable"));
    }
}

#[test]
fn a_heartbeat_that_is_refused_changes_no_group() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let old = classic_group(&mut world);
    let request = ConsumerHeartbeat {
        server_assignor: Some(Arc::from("none")),
        ..arriving("new")
    };
    assert!(matches!(
        world.beat(request),
        Err(GroupError::UnsupportedAssignor(_))
    ));
    assert_eq!(world.classic_beat(&old, 1), Ok(()));
}

#[test]
fn a_change_whose_records_are_refused_leaves_the_classic_group() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let old = classic_group(&mut world);
    world.ask_in_vain(Request::ConsumerHeartbeat(arriving("new")));
    assert_eq!(world.classic_beat(&old, 1), Ok(()));
    assert_eq!(world.kind(), ("classic", "Stable"));
    world.pass(Duration::from_millis(10_001));
    assert_eq!(
        world.kind(),
        ("classic", "Empty"),
        "its session was still counted"
    );
}

#[test]
fn a_group_turns_classic_when_its_last_consumer_member_leaves() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let (old, epoch) = mixed_group(&mut world);
    world.beat(beating("new", -1)).unwrap();
    assert_eq!(world.kind(), ("classic", "PreparingRebalance"));
    assert_eq!(
        world.classic_beat(&old, epoch),
        Err(GroupError::RebalanceInProgress)
    );
    let joined = world.join(joining(&old, &[0, 1])).unwrap();
    assert_eq!((joined.generation, &joined.leader), (epoch + 1, &old));
    world
        .sync_with(&old, epoch + 1, &[(&*old, &[0, 1, 2, 3])])
        .unwrap();
    assert_eq!(world.kind(), ("classic", "Stable"));
    world.assert_state_is_the_log();
}

#[test]
fn a_group_turns_classic_when_its_last_consumer_member_is_silent() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let (old, epoch) = mixed_group(&mut world);
    for _ in 0..9 {
        world.pass(Duration::from_secs(5));
        let _ = world.classic_beat(&old, epoch);
    }
    assert_eq!(world.kind(), ("classic", "PreparingRebalance"));
}

#[test]
fn a_group_stays_a_consumer_group_when_the_policy_says_so() {
    let mut world = world_with(MigrationPolicy::Upgrade);
    let (old, epoch) = mixed_group(&mut world);
    world.beat(beating("new", -1)).unwrap();
    assert_eq!(world.kind().0, "consumer");
    // Nobody else is there to have the target computed.
    assert_eq!(
        world.classic_beat(&old, epoch),
        Err(GroupError::RebalanceInProgress)
    );
    world.join(joining(&old, &[0, 1])).unwrap();
    assert_eq!(
        world.sync(&old, epoch + 1).unwrap().assignment,
        assigned(&[0, 1, 2, 3])
    );
}

#[test]
fn a_way_back_whose_records_are_refused_leaves_the_consumer_group() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let (old, epoch) = mixed_group(&mut world);
    world.ask_in_vain(Request::ConsumerHeartbeat(beating("new", -1)));
    assert_eq!(world.kind(), ("consumer", "Stable"));
    assert_eq!(world.classic_beat(&old, epoch), Ok(()));
    assert!(world.beat(beating("new", epoch)).is_ok());
}

#[test]
fn a_static_member_that_comes_back_classic_takes_its_group_back_without_a_rebalance() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let request = ConsumerHeartbeat {
        instance_id: Some(Arc::from("one")),
        ..arriving("new")
    };
    let epoch = world.beat(request).unwrap().member_epoch;
    let mut join = joining("", &[]);
    join.instance_id = Some(Arc::from("one"));
    let joined = world.join(join).unwrap();
    assert_eq!(joined.generation, epoch);
    assert_eq!(world.kind(), ("classic", "Stable"));
    let mut identity = identity(&joined.member_id, epoch);
    identity.instance_id = Some(Arc::from("one"));
    let beat = world.answer(Request::Heartbeat(identity));
    assert_eq!(beat, Reply::Heartbeat(Ok(())));
    let synced = world.sync(&joined.member_id, epoch).unwrap();
    assert_eq!(synced.assignment, assigned(&[0, 1, 2, 3]));
    world.assert_state_is_the_log();
}

#[test]
fn a_new_classic_member_is_given_an_id_first_and_then_a_place() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let epoch = world.beat(arriving("new")).unwrap().member_epoch;
    let mut join = joining("", &[]);
    join.requires_known_member_id = true;
    let refused = world.join(join.clone()).unwrap_err();
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    join.member_id = refused.member_id;
    let joined = world.join(join).unwrap();
    assert_eq!((joined.generation, &*joined.protocol), (epoch + 1, "range"));
    assert_eq!((&*joined.leader, joined.members.len()), ("", 0));
    assert_eq!(world.kind(), ("consumer", "Reconciling"));
}

#[test]
fn a_classic_member_must_fit_the_group() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    mixed_group(&mut world);
    let refused = |world: &mut Driven, join: Join| world.join(join).unwrap_err().error;
    let other_protocol = Join {
        protocols: vec![(Arc::from("mine"), metadata(&[]))],
        ..joining("", &[])
    };
    assert_eq!(
        refused(&mut world, other_protocol),
        GroupError::InconsistentGroupProtocol
    );
    let malformed = Join {
        protocols: vec![(Arc::from("range"), Bytes::from_static(&[0]))],
        ..joining("", &[])
    };
    assert_eq!(
        refused(&mut world, malformed),
        GroupError::InconsistentGroupProtocol
    );
    let connect = Join {
        protocol_type: Arc::from("connect"),
        ..joining("", &[])
    };
    assert_eq!(
        refused(&mut world, connect),
        GroupError::InconsistentGroupProtocol
    );
    let hasty = Join {
        session_timeout_ms: 1,
        ..joining("", &[])
    };
    assert_eq!(
        refused(&mut world, hasty),
        GroupError::InvalidSessionTimeout
    );
}

#[test]
fn no_classic_member_joins_a_consumer_group_without_migration() {
    let mut world = world_with(MigrationPolicy::Disabled);
    world.beat(arriving("new")).unwrap();
    let refused = world.join(joining("", &[])).unwrap_err();
    assert_eq!(refused.error, GroupError::InconsistentGroupProtocol);
}

#[test]
fn classic_requests_of_others_are_refused_in_a_consumer_group() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let (old, epoch) = mixed_group(&mut world);
    assert_eq!(
        world.classic_beat("nobody", epoch),
        Err(GroupError::UnknownMemberId)
    );
    assert_eq!(
        world.classic_beat("new", epoch),
        Err(GroupError::UnknownMemberId)
    );
    assert_eq!(
        world.classic_beat(&old, epoch - 1),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        world.sync(&old, epoch - 1),
        Err(GroupError::IllegalGeneration)
    );
    let sync = Sync {
        identity: identity(&old, epoch),
        protocol_type: None,
        protocol_name: Some(Arc::from("other")),
        assignments: Vec::new(),
    };
    let refused = world.answer(Request::Sync(sync));
    assert_eq!(
        refused,
        Reply::Sync(Err(GroupError::InconsistentGroupProtocol))
    );
}

#[test]
fn a_classic_member_that_does_not_join_in_time_is_put_out() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let old = classic_group(&mut world);
    let epoch = world.beat(arriving("new")).unwrap().member_epoch;
    for _ in 0..6 {
        let told = world.classic_beat(&old, 1);
        assert_eq!(told, Err(GroupError::RebalanceInProgress));
        world.beat(beating("new", epoch)).unwrap();
        world.pass(Duration::from_secs(5));
    }
    assert_eq!(
        world.classic_beat(&old, 1),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_classic_member_that_does_not_sync_in_time_is_put_out() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let old = classic_group(&mut world);
    let epoch = world.beat(arriving("new")).unwrap().member_epoch;
    world.join(joining(&old, &[0, 1])).unwrap();
    for _ in 0..6 {
        assert_eq!(world.classic_beat(&old, epoch), Ok(()));
        world.beat(beating("new", epoch)).unwrap();
        world.pass(Duration::from_secs(5));
    }
    assert_eq!(
        world.classic_beat(&old, epoch),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_silent_classic_member_is_given_up_after_its_own_session() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let (old, epoch) = mixed_group(&mut world);
    world.pass(Duration::from_millis(9_999));
    assert_eq!(world.classic_beat(&old, epoch), Ok(()));
    world.pass(Duration::from_millis(10_000));
    assert_eq!(
        world.classic_beat(&old, epoch),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn members_of_either_protocol_leave_a_consumer_group_by_leave_group() {
    let mut world = world_with(MigrationPolicy::Upgrade);
    let (old, _) = mixed_group(&mut world);
    assert_eq!(
        world.leave("nobody", None),
        [Err(GroupError::UnknownMemberId)]
    );
    assert_eq!(world.leave(&old, None), [Ok(())]);
    let request = ConsumerHeartbeat {
        instance_id: Some(Arc::from("one")),
        ..arriving("static")
    };
    world.beat(request).unwrap();
    assert_eq!(
        world.leave("wrong", Some("one")),
        [Err(GroupError::FencedInstanceId)]
    );
    assert_eq!(world.leave("", Some("one")), [Ok(())]);
    assert_eq!(world.leave("new", None), [Ok(())]);
    assert_eq!(world.kind(), ("consumer", "Empty"));
    world.assert_state_is_the_log();
}

#[test]
fn a_mixed_group_goes_on_after_another_coordinator_took_over() {
    let mut world = world_with(MigrationPolicy::Bidirectional);
    let (old, epoch) = mixed_group(&mut world);
    world.reload();
    assert_eq!(world.classic_beat(&old, epoch), Ok(()));
    assert!(world.beat(beating("new", epoch)).is_ok());
    world.beat(beating("new", -1)).unwrap();
    world.reload();
    assert_eq!(world.kind(), ("classic", "Stable"));
    assert_eq!(world.classic_beat(&old, world_epoch(&world)), Ok(()));
}

fn world_epoch(world: &Driven) -> i32 {
    let mut generations = world.log.iter().rev().filter_map(|record| match record {
        Record::ClassicGroup { value, .. } => value.as_ref().map(|value| value.generation),
        _ => None,
    });
    generations.next().unwrap()
}

#[test]
fn an_empty_group_takes_the_protocol_of_whoever_comes() {
    let mut world = world_with(MigrationPolicy::Disabled);
    let old = classic_group(&mut world);
    world.leave(&old, None);
    assert_eq!(world.kind(), ("classic", "Empty"));
    world.beat(arriving("new")).unwrap();
    assert_eq!(world.kind(), ("consumer", "Stable"));
    world.beat(beating("new", -1)).unwrap();
    let joined = world.join(joining("", &[])).unwrap();
    assert_eq!(joined.generation, 1);
    assert_eq!(world.kind().0, "classic");
    world
        .sync_with(&joined.member_id, 1, &[(&*joined.member_id, &[0])])
        .unwrap();
    world.assert_state_is_the_log();
}
