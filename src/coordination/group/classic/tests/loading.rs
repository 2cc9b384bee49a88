//! What a new coordinator finds in the log, and what tools are shown.

use super::*;

#[test]
fn a_loaded_stable_group_serves_heartbeats_and_syncs_at_once() {
    let (mut play, ids) = Play::stable(vec![consumer(), static_consumer("a")]);
    play.reload();
    assert_eq!(play.group.state(), "Stable");
    assert_eq!(play.heartbeat(&ids[0], 1), Ok(()));
    let ticket = play.sync(&ids[1], &[]);
    assert_eq!(play.synced(ticket).assignment, format!("to {}", ids[1]));
    let ticket = play.join(as_member(&ids[1]));
    assert_eq!(play.joined(ticket).leader, ids[0]);
}

#[test]
fn sessions_begin_with_the_end_of_the_loading() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    play.now += 1_000_000;
    play.reload();
    play.advance(SESSION - 1);
    assert_eq!(play.group.members.len(), 2);
    assert_eq!(play.heartbeat(&ids[0], 1), Ok(()));
    play.advance(1);
    assert_eq!(play.group.members.len(), 1);
}

#[test]
fn a_rebalance_under_way_dies_with_its_coordinator() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    play.join(as_member(&ids[0]));
    play.join(as_member(&ids[1]));
    assert_eq!(play.group.generation, 2);
    play.reload();
    assert_eq!((play.group.generation, play.group.state()), (1, "Stable"));
    assert_eq!(
        play.heartbeat(&ids[0], 2),
        Err(GroupError::IllegalGeneration)
    );
}

#[test]
fn an_empty_group_is_loaded_with_its_generation() {
    let (mut play, _) = Play::stable(vec![consumer()]);
    play.advance(SESSION);
    play.reload();
    assert_eq!((play.group.state(), play.group.generation), ("Empty", 2));
    assert!(play.group.is_stored());
    let ticket = play.join(consumer());
    play.advance(0);
    assert_eq!(play.joined(ticket).generation, 3);
}

#[test]
fn a_tombstone_leaves_nothing() {
    let (mut play, _) = Play::stable(vec![consumer()]);
    play.advance(SESSION);
    play.group.replay(None);
    assert!(!play.group.is_known());
    assert_eq!(play.group.to_record(), None);
    assert_eq!(play.group.generation(), 0);
}

#[test]
fn old_records_without_a_rebalance_timeout_use_the_session_timeout() {
    let (play, ids) = Play::stable(vec![consumer()]);
    let mut value = play.last_record().clone();
    value.members[0].rebalance_timeout_ms = -1;
    let mut group = ClassicGroup::new(Arc::from("g"));
    group.replay(Some(&value));
    let member = group.members.get(&ids[0]).unwrap();
    assert_eq!(member.rebalance_timeout_ms, SESSION as i32);
}

#[test]
fn a_record_that_contradicts_itself_is_loaded_as_far_as_it_goes() {
    let (mut play, ids) = Play::stable(vec![static_consumer("a"), static_consumer("b")]);
    let mut value = play.last_record().clone();
    value.protocol = None;
    value.leader = Some(Arc::from("ghost"));
    value.members[1].instance_id = Some(Arc::from("a"));
    let mut group = ClassicGroup::new(Arc::from("g"));
    group.replay(Some(&value));
    assert!(group.members.leader().is_some());
    assert_eq!(group.describe().members.len(), 2);
    play.group = group;
    play.group.handle_loaded(play.now(), &play.config);
    let left = play
        .group
        .handle_leave(play.now(), &[leaving(&ids[1], None)], Ticket(99));
    assert_eq!(left.replies.len(), 1);
    for _ in 0..10 {
        play.now += 100_000;
        let step = play.group.handle_timeout(play.now());
        for record in step.records {
            play.group.replay(Some(value_of(&record)));
        }
    }
    assert_eq!(play.group.state(), "Empty");
}

#[test]
fn a_stable_group_is_described_with_its_protocol_and_what_its_members_sent() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    let description = play.group.describe();
    assert_eq!(description.state, "Stable");
    assert_eq!(&*description.protocol_type, "consumer");
    assert_eq!(&*description.protocol, "range");
    let member = &description.members[0];
    assert_eq!(member.member_id, ids[0]);
    assert_eq!(&*member.client.host, "/127.0.0.1");
    assert_eq!(member.metadata, protocol("range", &["t"]).1);
    assert_eq!(member.assignment, format!("to {}", ids[0]));

    play.join(consumer());
    let description = play.group.describe();
    assert_eq!(description.state, "PreparingRebalance");
    assert_eq!(&*description.protocol, "");
    assert!(description.members.iter().all(|m| m.metadata.is_empty()));
}

#[test]
fn a_group_is_listed_with_its_type_and_state() {
    let (play, _) = Play::stable(vec![consumer()]);
    let summary = play.group.summary();
    assert_eq!(
        (
            &*summary.group_id,
            &*summary.protocol_type,
            summary.state,
            summary.group_type
        ),
        ("g", "consumer", "Stable", "classic")
    );
}

#[test]
fn everybody_who_waits_can_be_released() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    let join = play.join(as_member(&ids[0]));
    let step = play.group.release_parked(&GroupError::RebalanceInProgress);
    play.waiting.remove(&join);
    let expected = Reply::Join(Err(JoinRefused {
        error: GroupError::RebalanceInProgress,
        member_id: ids[0].clone(),
    }));
    assert_eq!(step.replies, [(join, expected)]);
}

#[test]
fn a_loaded_member_recalls_protocols_only_if_the_chosen_one_is_among_them() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    play.reload();
    let sticky = protocol("sticky", &["t"]);
    play.group.recall_protocols(&ids[0], vec![sticky.clone()]);
    let names = |play: &Play| -> Vec<String> {
        let member = play.group.members().next().unwrap();
        member
            .protocols
            .iter()
            .map(|(name, _)| name.to_string())
            .collect()
    };
    assert_eq!(names(&play), ["range"]);
    let both = vec![sticky, protocol("range", &["t"])];
    play.group.recall_protocols(&ids[0], both);
    assert_eq!(names(&play), ["sticky", "range"]);
    play.check();
}
