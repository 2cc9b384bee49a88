//! SyncGroup.

use super::*;

fn completing(members: usize) -> (Play, Vec<Arc<str>>) {
    let mut play = Play::new();
    let tickets: Vec<Ticket> = (0..members).map(|_| play.join(consumer())).collect();
    play.advance(0);
    let ids = tickets.iter().map(|t| play.joined(*t).member_id).collect();
    (play, ids)
}

#[test]
fn the_leaders_assignment_is_written_and_everybody_is_told_its_own() {
    let (mut play, ids) = completing(2);
    let follower = play.sync(&ids[1], &[]);
    assert!(play.is_parked(follower));
    let ghost: Arc<str> = Arc::from("ghost");
    let leader = play.sync(
        &ids[0],
        &[(&ids[1], "two"), (&ghost, "nobody"), (&ids[0], "one")],
    );
    let synced = play.synced(follower);
    assert_eq!(synced.assignment, "two");
    assert_eq!(synced.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(synced.protocol.as_deref(), Some("range"));
    assert_eq!(play.synced(leader).assignment, "one");
    assert_eq!(play.group.state(), "Stable");
    let value = play.last_record();
    assert_eq!((value.generation, value.members.len()), (1, 2));
    assert_eq!(value.leader.as_ref(), Some(&ids[0]));
    assert_eq!(value.members[1].assignment, "two");
    assert_eq!(value.members[1].subscription, protocol("range", &["t"]).1);
}

#[test]
fn nothing_is_stable_before_the_record_is_replayed() {
    let (mut play, ids) = completing(1);
    let sync = Sync {
        identity: identity(&ids[0], 1),
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(ids[0].clone(), Bytes::from_static(b"one"))],
    };
    let ticket = play.ticket();
    let step = play.group.handle_sync(play.now(), sync, ticket);
    assert_eq!(play.group.state(), "CompletingRebalance");
    assert!(
        play.group
            .members
            .get(&ids[0])
            .unwrap()
            .assignment
            .is_empty()
    );
    play.play(step);
    assert_eq!(play.group.state(), "Stable");
}

#[test]
fn an_assignment_that_cannot_be_stored_makes_everybody_join_again() {
    let (mut play, ids) = completing(2);
    let follower = play.sync(&ids[1], &[]);
    play.log_refuses = true;
    let leader = play.sync(&ids[0], &[(&ids[0], "one")]);
    for ticket in [follower, leader] {
        assert_eq!(
            play.reply(ticket),
            Reply::Failed(GroupError::CoordinatorNotAvailable)
        );
    }
    assert_eq!(play.group.state(), "PreparingRebalance");
    play.join(as_member(&ids[0]));
    let ticket = play.join(as_member(&ids[1]));
    assert_eq!(play.joined(ticket).generation, 2);
}

#[test]
fn who_is_forgotten_by_the_leader_has_nothing() {
    let (mut play, ids) = completing(2);
    let follower = play.sync(&ids[1], &[]);
    play.sync(&ids[0], &[(&ids[0], "one")]);
    assert_eq!(play.synced(follower).assignment, "");
    assert_eq!(play.last_record().members[1].assignment, "");
}

#[test]
fn a_stable_group_tells_a_member_its_assignment_as_often_as_it_asks() {
    let (mut play, ids) = completing(2);
    play.sync(&ids[0], &[(&ids[1], "two")]);
    for _ in 0..2 {
        let ticket = play.sync(&ids[1], &[(&ids[1], "not the leader's")]);
        assert_eq!(play.synced(ticket).assignment, "two");
    }
}

#[test]
fn a_sync_of_another_generation_member_type_or_protocol_is_refused() {
    let (mut play, ids) = completing(1);
    let ghost: Arc<str> = Arc::from("ghost");
    let sync = |identity, protocol_type: Option<&str>, protocol_name: Option<&str>| Sync {
        identity,
        protocol_type: protocol_type.map(Arc::from),
        protocol_name: protocol_name.map(Arc::from),
        assignments: Vec::new(),
    };
    let own = identity(&ids[0], 1);
    for (sync, error) in [
        (
            sync(identity(&ghost, 1), None, None),
            GroupError::UnknownMemberId,
        ),
        (
            sync(identity(&ids[0], 0), None, None),
            GroupError::IllegalGeneration,
        ),
        (
            sync(own.clone(), Some("connect"), None),
            GroupError::InconsistentGroupProtocol,
        ),
        (
            sync(own.clone(), None, Some("sticky")),
            GroupError::InconsistentGroupProtocol,
        ),
    ] {
        let ticket = play.sync_as(sync);
        assert_eq!(play.sync_refused(ticket), error);
    }
    let ticket = play.sync_as(sync(own, Some("consumer"), Some("range")));
    play.synced(ticket);
}

#[test]
fn a_sync_while_members_join_is_told_of_the_rebalance() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    play.join(as_member(&ids[0]));
    let ticket = play.sync(&ids[1], &[]);
    assert_eq!(play.sync_refused(ticket), GroupError::RebalanceInProgress);
}

#[test]
fn a_group_without_members_knows_nobody_who_syncs() {
    let mut play = Play::new();
    let ticket = play.sync(&Arc::from("m"), &[]);
    assert_eq!(play.sync_refused(ticket), GroupError::UnknownMemberId);
}

#[test]
fn a_second_sync_of_a_member_takes_the_place_of_the_first() {
    let (mut play, ids) = completing(2);
    let first = play.sync(&ids[1], &[]);
    let second = play.sync(&ids[1], &[]);
    assert_eq!(play.sync_refused(first), GroupError::RebalanceInProgress);
    play.sync(&ids[0], &[(&ids[1], "two")]);
    assert_eq!(play.synced(second).assignment, "two");
}

#[test]
fn members_that_do_not_sync_within_the_rebalance_timeout_are_out() {
    let (mut play, ids) = completing(3);
    let parked = play.sync(&ids[1], &[]);
    let beat = |play: &mut Play, ms: u64| {
        for _ in 0..ms / 5_000 {
            play.advance(5_000);
            for id in [&ids[0], &ids[2]] {
                let _ = play.heartbeat(id, 1);
            }
        }
    };
    beat(&mut play, REBALANCE - 5_000);
    play.advance(4_999);
    assert!(play.is_parked(parked));
    assert_eq!(play.group.members.len(), 3);
    play.advance(1);
    assert_eq!(play.sync_refused(parked), GroupError::RebalanceInProgress);
    assert_eq!(play.group.members.len(), 1);
    assert_eq!(play.group.state(), "PreparingRebalance");
    let ticket = play.join(as_member(&ids[1]));
    assert_eq!(play.joined(ticket).leader, ids[1]);
}

#[test]
fn a_group_in_which_nobody_syncs_is_empty_after_the_rebalance_timeout() {
    let (mut play, ids) = completing(1);
    for _ in 0..11 {
        play.advance(5_000);
        assert_eq!(play.heartbeat(&ids[0], 1), Ok(()));
    }
    play.advance(5_000);
    assert_eq!(play.group.state(), "Empty");
    assert_eq!(play.last_record().generation, 2);
}

#[test]
fn a_member_that_waits_for_the_leaders_sync_needs_no_heartbeat() {
    let (mut play, ids) = completing(2);
    let parked = play.sync(&ids[1], &[]);
    for _ in 0..5 {
        play.advance(SESSION - 1);
        assert_eq!(play.heartbeat(&ids[0], 1), Ok(()));
    }
    assert!(play.is_parked(parked));
    play.sync(&ids[0], &[]);
    play.advance(SESSION - 1);
    assert_eq!(play.group.members.len(), 2);
    assert_eq!(play.heartbeat(&ids[0], 1), Ok(()));
    play.advance(1);
    assert_eq!(
        play.group.members.len(),
        1,
        "its session began with the answer"
    );
}
