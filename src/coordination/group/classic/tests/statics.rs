//! Static members (KIP-345).

use super::*;

fn new_life(instance_id: &str, supports_skipping_assignment: bool) -> Join {
    Join {
        supports_skipping_assignment,
        ..static_consumer(instance_id)
    }
}

#[test]
fn a_static_member_that_comes_back_to_a_stable_group_keeps_its_place() {
    let (mut play, ids) = Play::stable(vec![static_consumer("a"), static_consumer("b")]);
    let before = play.log.len();
    let ticket = play.join(new_life("b", true));
    let joined = play.joined(ticket);
    assert_ne!(joined.member_id, ids[1]);
    assert_eq!((joined.generation, joined.members.len()), (1, 0));
    assert_eq!(play.group.state(), "Stable");
    assert_eq!(play.log.len(), before + 1);
    let ids_in_log: Vec<&Arc<str>> = play
        .last_record()
        .members
        .iter()
        .map(|m| &m.member_id)
        .collect();
    assert_eq!(ids_in_log, [&ids[0], &joined.member_id]);
    let sync = play.sync(&joined.member_id, &[]);
    assert_eq!(play.synced(sync).assignment, format!("to {}", ids[1]));
}

#[test]
fn a_leader_that_comes_back_is_told_to_skip_the_assignment() {
    let (mut play, _) = Play::stable(vec![static_consumer("a"), static_consumer("b")]);
    let ticket = play.join(new_life("a", true));
    let joined = play.joined(ticket);
    assert!(joined.skip_assignment);
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(joined.members.len(), 2);
}

#[test]
fn a_leader_that_comes_back_and_cannot_skip_the_assignment_does_not_learn_that_it_leads() {
    let (mut play, ids) = Play::stable(vec![static_consumer("a"), static_consumer("b")]);
    let ticket = play.join(new_life("a", false));
    let joined = play.joined(ticket);
    assert!(!joined.skip_assignment);
    assert_eq!(joined.leader, ids[0]);
    assert!(joined.members.is_empty());
    assert_eq!(play.last_record().leader.as_ref(), Some(&joined.member_id));
}

#[test]
fn the_one_before_is_fenced_in_all_it_asks() {
    let (mut play, ids) = Play::stable(vec![static_consumer("a"), static_consumer("b")]);
    play.join(new_life("b", true));
    let ghost = Identity {
        instance_id: Some(Arc::from("b")),
        ..identity(&ids[1], 1)
    };
    let fenced = GroupError::FencedInstanceId;
    assert_eq!(play.heartbeat_as(&ghost), Err(fenced.clone()));
    assert_eq!(play.commit(ghost.clone()), Err(fenced.clone()));
    let join = play.join(Join {
        member_id: ids[1].clone(),
        ..static_consumer("b")
    });
    assert_eq!(
        play.join_refused(join),
        (fenced.clone(), ids[1].to_string())
    );
    let sync = play.sync_as(Sync {
        identity: ghost,
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    });
    assert_eq!(play.sync_refused(sync), fenced);
    let left = play.leave(&[leaving(&ids[1], Some("b"))]);
    assert_eq!(left, Ok(vec![Err(fenced)]));
}

#[test]
fn a_static_member_that_comes_back_during_a_rebalance_fences_its_parked_join() {
    let (mut play, ids) = Play::stable(vec![static_consumer("a"), static_consumer("b")]);
    let parked = play.join(Join {
        member_id: ids[0].clone(),
        ..static_consumer("a")
    });
    let again = play.join(new_life("a", true));
    assert_eq!(
        play.join_refused(parked),
        (GroupError::FencedInstanceId, ids[0].to_string())
    );
    play.join(Join {
        member_id: ids[1].clone(),
        ..static_consumer("b")
    });
    let joined = play.joined(again);
    assert_eq!((joined.generation, &joined.leader), (2, &joined.member_id));
}

#[test]
fn a_static_member_that_comes_back_while_the_leader_assigns_begins_a_rebalance() {
    let mut play = Play::new();
    let tickets = [
        play.join(static_consumer("a")),
        play.join(static_consumer("b")),
    ];
    play.advance(0);
    let ids = tickets.map(|ticket| play.joined(ticket).member_id);
    let sync = play.sync(&ids[1], &[]);
    let again = play.join(new_life("b", true));
    assert_eq!(play.sync_refused(sync), GroupError::FencedInstanceId);
    assert!(play.is_parked(again));
    assert_eq!(play.group.state(), "PreparingRebalance");
}

#[test]
fn a_static_member_that_comes_back_with_another_choice_of_protocols_begins_a_rebalance() {
    let both = |instance_id| Join {
        protocols: vec![protocol("range", &["t"]), protocol("sticky", &["t"])],
        ..static_consumer(instance_id)
    };
    let (mut play, _) = Play::stable(vec![both("a")]);
    let ticket = play.join(Join {
        protocols: vec![protocol("sticky", &["t"])],
        ..both("a")
    });
    assert_eq!(&*play.joined(ticket).protocol, "sticky");
    assert_eq!(play.group.generation, 2);
}

#[test]
fn a_replacement_that_cannot_be_stored_is_undone() {
    let (mut play, ids) = Play::stable(vec![static_consumer("a"), static_consumer("b")]);
    play.log_refuses = true;
    let ticket = play.join(new_life("a", true));
    assert_eq!(
        play.reply(ticket),
        Reply::Failed(GroupError::CoordinatorNotAvailable)
    );
    play.log_is_behind = false;
    play.check();
    assert_eq!(play.heartbeat(&ids[0], 1), Ok(()));
    assert_eq!(play.group.members.leader(), Some(&ids[0]));
}

#[test]
fn a_static_member_that_does_not_rejoin_stays_until_it_fails_to_sync() {
    let (mut play, ids) = Play::stable(vec![
        static_consumer("a"),
        Join {
            session_timeout_ms: 1_000_000,
            ..static_consumer("b")
        },
    ]);
    let again = Join {
        session_timeout_ms: 1_000_000,
        member_id: ids[0].clone(),
        ..static_consumer("a")
    };
    let ticket = play.join(again.clone());
    play.advance(REBALANCE);
    assert_eq!(play.joined(ticket).members.len(), 2);
    play.sync(&ids[0], &[]);
    assert_eq!(play.group.state(), "Stable");
    play.advance(REBALANCE - 1);
    assert_eq!(play.group.members.len(), 2);
    play.advance(1);
    assert_eq!(play.group.members.len(), 1);
    assert_eq!(play.group.state(), "PreparingRebalance");
}

#[test]
fn a_rebalance_that_no_static_member_joins_is_tried_again_until_their_sessions_end() {
    let (mut play, ids) = Play::stable(vec![
        consumer(),
        Join {
            session_timeout_ms: 100_000,
            ..static_consumer("b")
        },
    ]);
    play.leave(&[leaving(&ids[0], None)])
        .unwrap()
        .remove(0)
        .unwrap();
    play.advance(99_999);
    assert_eq!(play.group.state(), "PreparingRebalance");
    assert_eq!(play.group.generation, 1);
    play.advance(1);
    assert_eq!(play.group.state(), "Empty");
    assert_eq!(play.last_record().generation, 2);
}

#[test]
fn a_replaced_member_that_was_to_sync_is_expected_under_its_new_id() {
    let mut play = Play::new();
    let tickets = [
        play.join(static_consumer("a")),
        play.join(static_consumer("b")),
    ];
    play.advance(0);
    let ids = tickets.map(|ticket| play.joined(ticket).member_id);
    play.sync(&ids[0], &[]);
    let ticket = play.join(new_life("b", true));
    let member_id = play.joined(ticket).member_id;
    let sync = play.sync(&member_id, &[]);
    play.synced(sync);
    for _ in 0..10 {
        play.advance(SESSION - 1);
        assert_eq!(play.heartbeat(&ids[0], 1), Ok(()));
        assert_eq!(play.heartbeat(&member_id, 1), Ok(()));
    }
}
