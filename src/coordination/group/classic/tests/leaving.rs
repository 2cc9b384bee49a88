//! Heartbeat, OffsetCommit, LeaveGroup, and the end of a session.

use super::*;

#[test]
fn a_silent_member_is_out_at_its_session_timeout_and_not_before() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    play.advance(SESSION - 1);
    assert_eq!(play.heartbeat(&ids[0], 1), Ok(()));
    assert_eq!(play.group.members.len(), 2);
    play.advance(1);
    assert!(!play.group.members.contains(&ids[1]));
    assert_eq!(play.group.state(), "PreparingRebalance");
    assert_eq!(
        play.heartbeat(&ids[0], 1),
        Err(GroupError::RebalanceInProgress)
    );
    assert_eq!(play.heartbeat(&ids[1], 1), Err(GroupError::UnknownMemberId));
}

#[test]
fn when_the_last_member_is_silent_the_group_is_empty_and_this_is_written() {
    let (mut play, _) = Play::stable(vec![consumer()]);
    play.advance(SESSION);
    assert_eq!(play.group.state(), "Empty");
    let expected = ClassicGroupValue {
        protocol_type: Arc::from("consumer"),
        generation: 2,
        protocol: None,
        leader: None,
        state_since: Timestamp(WALL + SESSION as i64),
        members: Vec::new(),
    };
    assert_eq!(*play.last_record(), expected);
    assert_eq!(play.group.next_timeout(), None);
}

#[test]
fn heartbeats_of_another_generation_or_of_strangers_are_refused() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    assert_eq!(
        play.heartbeat(&ids[0], 0),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        play.heartbeat(&Arc::from("ghost"), 1),
        Err(GroupError::UnknownMemberId)
    );
    let stranger = Identity {
        instance_id: Some(Arc::from("i")),
        ..identity(&ids[0], 1)
    };
    assert_eq!(
        play.heartbeat_as(&stranger),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn a_heartbeat_is_fine_while_the_leader_assigns() {
    let mut play = Play::new();
    let ticket = play.join(consumer());
    play.advance(0);
    let member_id = play.joined(ticket).member_id;
    assert_eq!(play.heartbeat(&member_id, 1), Ok(()));
}

#[test]
fn a_member_that_leaves_makes_the_others_join_again() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    assert_eq!(play.leave(&[leaving(&ids[0], None)]), Ok(vec![Ok(())]));
    assert_eq!(
        play.heartbeat(&ids[1], 1),
        Err(GroupError::RebalanceInProgress)
    );
    let ticket = play.join(as_member(&ids[1]));
    let joined = play.joined(ticket);
    assert_eq!((joined.generation, &joined.leader), (2, &ids[1]));
}

#[test]
fn the_last_member_that_leaves_leaves_an_empty_group_in_the_log() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    assert_eq!(play.leave(&[leaving(&ids[0], None)]), Ok(vec![Ok(())]));
    assert_eq!(play.group.state(), "Empty");
    assert_eq!(play.last_record().generation, 2);
    assert!(play.group.subscribed_topics().unwrap().is_empty());
    let ticket = play.join(as_member(&ids[0]));
    assert_eq!(play.join_refused(ticket).0, GroupError::UnknownMemberId);
}

#[test]
fn several_members_leave_at_once_each_with_its_own_result() {
    let (mut play, ids) = Play::stable(vec![
        consumer(),
        static_consumer("a"),
        static_consumer("b"),
        static_consumer("c"),
    ]);
    let results = play.leave(&[
        leaving("", Some("a")),
        leaving("", Some("a")),
        leaving("", None),
        leaving("ghost", None),
        leaving(&ids[2], Some("b")),
        leaving("ghost", Some("c")),
    ]);
    let unknown = || Err(GroupError::UnknownMemberId);
    assert_eq!(
        results,
        Ok(vec![
            Ok(()),
            unknown(),
            unknown(),
            unknown(),
            Ok(()),
            Err(GroupError::FencedInstanceId)
        ])
    );
    assert_eq!(play.group.members.len(), 2);
    assert_eq!(play.group.state(), "PreparingRebalance");
}

#[test]
fn a_leave_that_concerns_nobody_leaves_the_group_stable() {
    let (mut play, _) = Play::stable(vec![consumer()]);
    let results = play.leave(&[leaving("ghost", None)]);
    assert_eq!(results, Ok(vec![Err(GroupError::UnknownMemberId)]));
    assert_eq!(play.group.state(), "Stable");
}

#[test]
fn nobody_can_leave_a_group_that_is_not_there() {
    let mut play = Play::new();
    let result = play.leave(&[leaving("m", None)]);
    assert_eq!(result, Ok(vec![Err(GroupError::UnknownMemberId)]));
    assert!(play.log.is_empty());
}

#[test]
fn whoever_waits_in_the_name_of_a_member_that_leaves_is_told_to_begin_anew() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    let parked = play.join(as_member(&ids[0]));
    play.leave(&[leaving(&ids[0], None)])
        .unwrap()
        .remove(0)
        .unwrap();
    let expected = (GroupError::UnknownMemberId, String::new());
    assert_eq!(play.join_refused(parked), expected);

    let ticket = play.join(as_member(&ids[1]));
    let generation = play.joined(ticket).generation;
    let other = play.join(consumer());
    assert!(play.is_parked(other));
    play.join(as_member(&ids[1]));
    let other = play.joined(other).member_id;
    let sync = play.sync(&other, &[]);
    play.leave(&[leaving(&other, None)])
        .unwrap()
        .remove(0)
        .unwrap();
    assert_eq!(play.sync_refused(sync), GroupError::UnknownMemberId);
    assert!(play.group.generation > generation);
}

#[test]
fn a_pending_id_can_leave_and_the_rebalance_goes_on_without_it() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    let ticket = play.join(Join {
        requires_known_member_id: true,
        ..consumer()
    });
    let (_, pending) = play.join_refused(ticket);
    let parked = play.join(as_member(&ids[0]));
    assert_eq!(play.leave(&[leaving(&pending, None)]), Ok(vec![Ok(())]));
    assert_eq!(play.joined(parked).generation, 2);
}

#[test]
fn a_rebalance_completes_when_the_one_it_waits_for_leaves_or_is_silent() {
    for leaves in [true, false] {
        let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
        let parked = play.join(as_member(&ids[0]));
        if leaves {
            play.leave(&[leaving(&ids[1], None)])
                .unwrap()
                .remove(0)
                .unwrap();
        } else {
            play.advance(SESSION);
        }
        assert_eq!(play.joined(parked).members.len(), 1);
    }
}

#[test]
fn members_of_the_generation_commit_and_others_do_not() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    let nobody: Arc<str> = Arc::from("");
    assert_eq!(play.commit(identity(&ids[0], 1)), Ok(()));
    for (identity, error) in [
        (identity(&ids[0], 0), GroupError::IllegalGeneration),
        (identity(&ids[0], -1), GroupError::IllegalGeneration),
        (
            identity(&Arc::from("ghost"), 1),
            GroupError::UnknownMemberId,
        ),
        (identity(&nobody, -1), GroupError::UnknownMemberId),
        (identity(&nobody, 1), GroupError::UnknownMemberId),
    ] {
        assert_eq!(play.commit(identity.clone()), Err(error), "{identity:?}");
    }
}

#[test]
fn anybody_without_a_generation_commits_to_an_empty_group() {
    let mut play = Play::new();
    let nobody: Arc<str> = Arc::from("");
    assert_eq!(play.commit(identity(&nobody, -1)), Ok(()));
    assert_eq!(
        play.commit(identity(&Arc::from("m"), 1)),
        Err(GroupError::UnknownMemberId)
    );
}

#[test]
fn the_old_generation_commits_while_members_join_and_nobody_while_the_leader_assigns() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    play.join(as_member(&ids[0]));
    assert_eq!(play.commit(identity(&ids[1], 1)), Ok(()));
    play.join(as_member(&ids[1]));
    assert_eq!(
        play.commit(identity(&ids[1], 2)),
        Err(GroupError::RebalanceInProgress)
    );
}

#[test]
fn a_commit_keeps_the_session() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    play.advance(SESSION - 1);
    assert_eq!(play.commit(identity(&ids[0], 1)), Ok(()));
    play.advance(SESSION - 1);
    assert_eq!(play.group.state(), "Stable");
    play.advance(1);
    assert_eq!(play.group.state(), "Empty");
}

#[test]
fn offsets_and_groups_in_use_are_not_deleted() {
    let (play, _) = Play::stable(vec![consumer()]);
    assert_eq!(play.group.check_delete(), Err(GroupError::NonEmptyGroup));
    assert_eq!(play.group.check_delete_offsets(), Ok(()), "topic by topic");
    let (play, _) = Play::stable(vec![Join {
        protocol_type: Arc::from("connect"),
        ..consumer()
    }]);
    assert_eq!(
        play.group.check_delete_offsets(),
        Err(GroupError::NonEmptyGroup)
    );
    assert_eq!(Play::new().group.check_delete(), Ok(()));
}

#[test]
fn a_group_whose_members_leave_before_its_first_generation_is_empty_after_the_delay() {
    let mut play = Play::with(GroupConfig::default());
    let ticket = play.join(consumer());
    let member_id = play.group.members.ids().remove(0);
    assert_eq!(play.leave(&[leaving(&member_id, None)]), Ok(vec![Ok(())]));
    assert_eq!(play.join_refused(ticket).0, GroupError::UnknownMemberId);
    assert_eq!(play.group.state(), "PreparingRebalance");
    play.advance(3_000);
    assert_eq!(play.group.state(), "Empty");
    assert_eq!(play.last_record().generation, 1);
}

#[test]
fn an_empty_group_that_cannot_be_stored_is_empty_nevertheless() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    play.log_refuses = true;
    let result = play.leave(&[leaving(&ids[0], None)]);
    assert_eq!(result, Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(play.group.state(), "Empty");
    play.reload();
    assert_eq!(play.group.state(), "Stable");
}
