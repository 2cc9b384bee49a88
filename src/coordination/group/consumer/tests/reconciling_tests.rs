//! From target to members, offsets, topics that change, the interval between assignments.

use super::*;
use crate::coordination::messages::{CommitOffset, CommitOffsets, Identity};
use crate::model::{LeaderEpoch, Offset};

/// `a` and `b` in a group of one topic with four partitions; `b` waits for what `a` must give up.
fn handing_over() -> World {
    let mut world = World::new(&[("foo", 4)]);
    world.join("a", &["foo"]);
    let reply = world.join("b", &["foo"]);
    assert_eq!(reply.assignment, Some(Assignment::new()));
    world
}

#[test]
fn a_partition_is_handed_over_only_after_its_owner_gave_it_up() {
    let mut world = handing_over();
    assert_eq!(world.state_of("b"), MemberState::UnreleasedPartitions);
    assert_eq!(world.group.state_name(), "Reconciling");

    let reply = world.beat("a", 2).unwrap();
    assert_eq!(reply.member_epoch, 2);
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1])]))
    );
    assert_eq!(world.state_of("a"), MemberState::UnrevokedPartitions);

    // Still at work on them.
    assert_eq!(
        world
            .report("a", 2, &[("foo", &[0, 1, 2, 3])])
            .unwrap()
            .member_epoch,
        2
    );
    assert_eq!(world.beat("b", 3).unwrap().assignment, None);

    let reply = world.report("a", 2, &[("foo", &[0, 1])]).unwrap();
    assert_eq!((reply.member_epoch, reply.assignment), (3, None));
    let reply = world.beat("b", 3).unwrap();
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[2, 3])]))
    );
    assert_eq!(world.group.state_name(), "Stable");
}

#[test]
fn a_member_that_does_not_give_up_in_time_is_put_out() {
    let mut world = handing_over();
    world.beat("a", 2).unwrap();
    for _ in 0..6 {
        world.beat("a", 2).unwrap();
        world.beat("b", 3).unwrap();
        world.pass(5_000);
    }
    assert_eq!(world.beat("a", 2), Err(GroupError::UnknownMemberId));
    let reply = world.beat("b", 3).unwrap();
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1, 2, 3])]))
    );
}

#[test]
fn a_member_that_gave_up_in_time_is_not_put_out() {
    let mut world = handing_over();
    world.beat("a", 2).unwrap();
    world.report("a", 2, &[("foo", &[0, 1])]).unwrap();
    world.pass(30_000);
    world.beat("a", 3).unwrap();
    assert_eq!(world.has("a"), "foo:0,1");
}

#[test]
fn who_must_give_up_starts_anew_with_its_time_when_the_group_is_loaded() {
    let mut world = handing_over();
    world.beat("a", 2).unwrap();
    world.milliseconds += 29_000;
    world.reload();
    world.pass(29_999);
    assert_eq!(world.state_of("a"), MemberState::UnrevokedPartitions);
    world.pass(1);
    assert_eq!(world.beat("a", 2), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_member_that_rejoins_has_given_up_everything() {
    let mut world = handing_over();
    world.beat("a", 2).unwrap();
    let reply = world.join("a", &["foo"]);
    assert_eq!(reply.member_epoch, 3);
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1])]))
    );
    let reply = world.beat("b", 3).unwrap();
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[2, 3])]))
    );
}

#[test]
fn what_a_departed_member_had_is_free_at_once() {
    let mut world = handing_over();
    world.beat("a", -1).unwrap();
    let reply = world.beat("b", 3).unwrap();
    assert_eq!(reply.member_epoch, 4);
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1, 2, 3])]))
    );
}

#[test]
fn a_topic_no_longer_subscribed_to_is_taken_away_at_once() {
    let mut world = World::new(&[("foo", 1), ("bar", 1)]);
    world.config.consumer_assignment_interval = Duration::from_secs(1);
    world.join("a", &["foo", "bar"]);
    let request = ConsumerHeartbeat {
        subscribed_topics: Some(vec![Arc::from("foo")]),
        ..beating("a", 2)
    };
    // The target may not be computed yet, and still has it.
    let reply = world.ask(&request).unwrap();
    assert_eq!(reply.assignment, Some(world.assignment(&[("foo", &[0])])));
    assert_eq!(world.state_of("a"), MemberState::UnrevokedPartitions);
}

#[test]
fn targets_are_computed_no_more_often_than_the_interval_says() {
    let mut world = World::new(&[("foo", 4)]);
    world.config.consumer_assignment_interval = Duration::from_secs(1);
    world.join("a", &["foo"]);
    let reply = world.join("b", &["foo"]);
    assert_eq!(reply.member_epoch, 2);
    assert_eq!(world.epoch(), 3);
    assert_eq!(world.group.state_name(), "Assigning");
    world.pass(999);
    assert_eq!(world.beat("b", 2).unwrap().member_epoch, 2);
    world.pass(1);
    assert_eq!(world.beat("b", 2).unwrap().member_epoch, 3);
}

#[test]
fn a_clock_that_is_set_back_does_not_stop_assignments() {
    let mut world = World::new(&[("foo", 4)]);
    world.config.consumer_assignment_interval = Duration::from_secs(1);
    world.milliseconds = 1_000_000;
    world.join("a", &["foo"]);
    world.milliseconds = 0;
    assert_eq!(world.join("b", &["foo"]).member_epoch, 3);
}

#[test]
fn a_topic_that_grows_raises_the_epoch_and_is_assigned() {
    let mut world = World::new(&[("foo", 1), ("bar", 1)]);
    world.join("a", &["foo"]);
    world.cluster.put("bar", 2);
    world.topics_changed();
    assert_eq!(world.epoch(), 2, "nobody subscribed to it");
    world.cluster.put("foo", 2);
    world.topics_changed();
    assert_eq!(world.epoch(), 3);
    let reply = world.beat("a", 2).unwrap();
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1])]))
    );
}

#[test]
fn a_topic_may_be_subscribed_to_before_it_is_created_and_after_it_is_deleted() {
    let mut world = World::new(&[]);
    assert_eq!(
        world.join("a", &["foo"]).assignment,
        Some(Assignment::new())
    );
    world.cluster.put("foo", 1);
    world.topics_changed();
    assert_eq!(
        world.beat("a", 2).unwrap().assignment,
        Some(world.assignment(&[("foo", &[0])]))
    );
    world.cluster.delete("foo");
    world.topics_changed();
    let reply = world.report("a", 3, &[]).unwrap();
    assert_eq!(reply.assignment, Some(Assignment::new()));
    world.cluster.put("foo", 1);
    world.topics_changed();
    let reply = world.beat("a", 4).unwrap();
    assert_eq!(reply.assignment, Some(world.assignment(&[("foo", &[0])])));
}

#[test]
fn topics_that_changed_while_nobody_listened_are_found_at_the_next_heartbeat() {
    let mut world = World::new(&[("foo", 1)]);
    world.join("a", &["foo"]);
    world.cluster.put("foo", 2);
    world.reload();
    let reply = world.beat("a", 2).unwrap();
    assert_eq!(reply.member_epoch, 3);
    assert_eq!(world.has("a"), "foo:0,1");
}

#[test]
fn a_state_of_a_later_kafka_is_left_by_rejoining_with_nothing() {
    let mut world = handing_over();
    let mut value = world.group.state.members["a"].current();
    value.state = MemberState::Unknown(9);
    let record = Record::CurrentMember {
        group: Arc::from("group"),
        member: Arc::from("a"),
        value: Some(value),
    };
    world.take(Step {
        records: vec![record],
        replies: Vec::new(),
    });
    assert!(matches!(
        world.beat("a", 2),
        Err(GroupError::FencedMemberEpoch(_))
    ));
    assert_eq!(world.join("a", &["foo"]).member_epoch, 3);
}

fn commit(world: &World, member: &str, epoch: i32, partition: i32, version: i16) -> CommitOffsets {
    CommitOffsets {
        identity: Identity {
            member_id: Arc::from(member),
            instance_id: None,
            generation: epoch,
        },
        retention_ms: None,
        version,
        offsets: vec![CommitOffset {
            topic: Arc::from("foo"),
            topic_id: world.cluster.id("foo"),
            partition,
            offset: Offset(1),
            leader_epoch: LeaderEpoch::NONE,
            metadata: Arc::from(""),
        }],
    }
}

#[test]
fn offsets_are_committed_by_members_at_their_epoch() {
    let mut world = World::new(&[("foo", 4)]);
    let nobody = commit(&world, "", -1, 0, 9);
    assert_eq!(world.group.check_commit(&nobody), Ok(()));
    world.join("a", &["foo"]);
    let check = |member, epoch, version| {
        world
            .group
            .check_commit(&commit(&world, member, epoch, 0, version))
    };
    assert_eq!(check("a", 2, 9), Ok(()));
    assert_eq!(check("a", 3, 9), Err(GroupError::StaleMemberEpoch));
    assert!(matches!(
        check("a", 2, 8),
        Err(GroupError::UnsupportedVersion(_))
    ));
    assert_eq!(check("b", 2, 9), Err(GroupError::UnknownMemberId));
    assert_eq!(check("", -1, 9), Err(GroupError::UnknownMemberId));
}

#[test]
fn an_older_epoch_may_commit_what_the_member_has_had_since_then() {
    let mut world = handing_over();
    world.beat("a", 2).unwrap();
    world.report("a", 2, &[("foo", &[0, 1])]).unwrap();
    let check = |epoch, partition| {
        world
            .group
            .check_commit(&commit(&world, "a", epoch, partition, 9))
    };
    assert_eq!(check(3, 0), Ok(()));
    assert_eq!(check(2, 0), Ok(()));
    assert_eq!(check(1, 0), Err(GroupError::StaleMemberEpoch));
    assert_eq!(check(2, 2), Err(GroupError::StaleMemberEpoch));
}

#[test]
fn what_must_be_given_up_may_still_be_committed() {
    let mut world = handing_over();
    world.beat("a", 2).unwrap();
    assert_eq!(
        world.group.check_commit(&commit(&world, "a", 2, 3, 9)),
        Ok(())
    );
}

#[test]
fn a_fetch_of_offsets_that_names_a_member_is_checked() {
    let mut world = World::new(&[("foo", 4)]);
    world.join("a", &["foo"]);
    assert_eq!(world.group.check_fetch("a", 2), Ok(()));
    assert_eq!(
        world.group.check_fetch("a", 1),
        Err(GroupError::StaleMemberEpoch)
    );
    assert_eq!(
        world.group.check_fetch("b", 2),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_description_shows_what_members_have_and_are_to_have() {
    let mut world = handing_over();
    world.beat("a", 2).unwrap();
    let description = world.group.describe(&world.config);
    assert_eq!(
        (
            description.state,
            description.epoch,
            description.assignment_epoch
        ),
        ("Reconciling", 3, 3)
    );
    let a = &description.members[0];
    assert_eq!(shown(&world.cluster, &a.assigned), "foo:0,1,2,3");
    assert_eq!(shown(&world.cluster, &a.target), "foo:0,1");
    assert_eq!((a.member_epoch, a.is_classic), (2, false));
    assert_eq!(world.group.summary().state, "Reconciling");
    assert_eq!(
        world.group.subscribed_topics(),
        BTreeSet::from([Arc::from("foo")])
    );
}
