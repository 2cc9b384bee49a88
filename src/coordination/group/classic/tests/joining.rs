//! JoinGroup, and the rebalance it leads to.

use std::time::Duration;

use super::*;

#[test]
fn the_first_member_waits_for_the_initial_delay_and_then_leads() {
    let mut play = Play::with(GroupConfig::default());
    let ticket = play.join(consumer());
    assert_eq!(play.group.state(), "PreparingRebalance");
    play.advance(2_999);
    assert!(play.is_parked(ticket));
    play.advance(1);
    let joined = play.joined(ticket);
    assert_eq!(joined.generation, 1);
    assert_eq!(&*joined.protocol, "range");
    assert_eq!(&*joined.protocol_type, "consumer");
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(joined.members.len(), 1);
    assert!(!joined.skip_assignment);
    assert_eq!(play.group.state(), "CompletingRebalance");
}

#[test]
fn a_new_group_is_written_down_as_empty_when_its_first_member_comes() {
    let mut play = Play::new();
    play.now = 7;
    play.join(consumer());
    let expected = ClassicGroupValue {
        protocol_type: Arc::from(""),
        generation: 0,
        protocol: None,
        leader: None,
        state_since: Timestamp(WALL + 7),
        members: Vec::new(),
    };
    assert_eq!(*play.last_record(), expected);
    play.join(consumer());
    assert_eq!(play.log.len(), 1);
}

#[test]
fn a_new_group_that_cannot_be_written_down_is_forgotten_and_its_joins_answered() {
    let mut play = Play::new();
    play.log_refuses = true;
    let ticket = play.join(consumer());
    let (error, _) = play.join_refused(ticket);
    assert_eq!(error, GroupError::CoordinatorNotAvailable);
    assert!(!play.group.is_known());
    assert_eq!(play.group.next_timeout(), None);
}

#[test]
fn the_initial_delay_goes_on_while_members_keep_coming() {
    let mut play = Play::with(GroupConfig::default());
    let first = play.join(consumer());
    play.advance(2_000);
    play.join(consumer());
    play.advance(1_000);
    assert!(play.is_parked(first), "somebody came: another pause");
    play.advance(2_999);
    assert!(play.is_parked(first));
    play.advance(1);
    assert_eq!(play.joined(first).members.len(), 2);
}

#[test]
fn the_initial_delay_ends_at_the_rebalance_timeout_whoever_comes() {
    let mut play = Play::with(GroupConfig::default());
    let join = |play: &mut Play| {
        play.join(Join {
            rebalance_timeout_ms: 7_000,
            ..consumer()
        })
    };
    let first = join(&mut play);
    for _ in 0..6 {
        play.advance(1_000);
        join(&mut play);
    }
    play.advance(999);
    assert!(play.is_parked(first));
    play.advance(1);
    assert_eq!(play.joined(first).members.len(), 7);
}

#[test]
fn a_dynamic_member_is_told_its_id_and_to_ask_again() {
    let mut play = Play::new();
    let ask = || Join {
        requires_known_member_id: true,
        ..consumer()
    };
    let ticket = play.join(ask());
    let (error, member_id) = play.join_refused(ticket);
    assert_eq!(error, GroupError::MemberIdRequired);
    assert_eq!(member_id, "c-00000000-0000-0000-0000-000000000001");
    assert_eq!(play.group.state(), "Empty");
    let ticket = play.join(Join {
        member_id: Arc::from(member_id.as_str()),
        ..ask()
    });
    play.advance(0);
    assert_eq!(&*play.joined(ticket).member_id, member_id);
}

#[test]
fn an_id_that_was_given_out_is_forgotten_at_the_session_timeout() {
    let mut play = Play::new();
    let ticket = play.join(Join {
        requires_known_member_id: true,
        ..consumer()
    });
    let (_, member_id) = play.join_refused(ticket);
    let member_id: Arc<str> = Arc::from(member_id);
    play.advance(SESSION - 1);
    assert!(play.group.pending.contains(&member_id));
    play.advance(1);
    let ticket = play.join(as_member(&member_id));
    assert_eq!(play.join_refused(ticket).0, GroupError::UnknownMemberId);
}

#[test]
fn a_static_member_needs_no_id() {
    let mut play = Play::new();
    let ticket = play.join(Join {
        requires_known_member_id: true,
        ..static_consumer("i")
    });
    play.advance(0);
    let joined = play.joined(ticket);
    assert_eq!(&*joined.member_id, "i-00000000-0000-0000-0000-000000000001");
    assert_eq!(joined.members[0].instance_id.as_deref(), Some("i"));
}

#[test]
fn a_rebalance_waits_for_ids_that_were_given_out() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    let asked = play.join(Join {
        requires_known_member_id: true,
        ..consumer()
    });
    let (_, pending) = play.join_refused(asked);
    let leader = play.join(as_member(&ids[0]));
    assert!(play.is_parked(leader));
    play.join(as_member(&Arc::from(pending)));
    assert_eq!(play.joined(leader).members.len(), 2);
}

#[test]
fn an_id_that_is_never_used_holds_a_rebalance_up_for_its_session_at_most() {
    let (mut play, ids) = Play::stable(vec![consumer()]);
    play.join(Join {
        requires_known_member_id: true,
        ..consumer()
    });
    let leader = play.join(as_member(&ids[0]));
    play.advance(SESSION - 1);
    assert!(play.is_parked(leader));
    play.advance(1);
    assert_eq!(play.joined(leader).members.len(), 1);
}

#[test]
fn a_pending_id_cannot_be_used_by_a_static_member() {
    let mut play = Play::new();
    let ticket = play.join(Join {
        requires_known_member_id: true,
        ..consumer()
    });
    let (_, pending) = play.join_refused(ticket);
    let ticket = play.join(Join {
        member_id: Arc::from(pending),
        ..static_consumer("i")
    });
    assert!(matches!(
        play.join_refused(ticket).0,
        GroupError::InvalidRequest(_)
    ));
}

#[test]
fn a_member_id_that_no_group_knows_is_refused_and_nothing_is_written() {
    let mut play = Play::new();
    let ticket = play.join(as_member(&Arc::from("ghost")));
    assert_eq!(
        play.join_refused(ticket),
        (GroupError::UnknownMemberId, "ghost".to_owned())
    );
    assert!(play.log.is_empty());
    assert!(!play.group.is_known());
}

#[test]
fn session_timeouts_outside_the_bounds_are_refused() {
    let mut play = Play::new();
    for (session_timeout_ms, is_allowed) in [
        (5_999, false),
        (6_000, true),
        (1_800_000, true),
        (1_800_001, false),
        (-1, false),
    ] {
        let ticket = play.join(Join {
            session_timeout_ms,
            ..consumer()
        });
        assert_eq!(play.is_parked(ticket), is_allowed, "{session_timeout_ms}");
        if !is_allowed {
            assert_eq!(
                play.join_refused(ticket).0,
                GroupError::InvalidSessionTimeout
            );
        }
    }
}

#[test]
fn a_member_without_protocols_or_protocol_type_does_not_fit_an_empty_group() {
    let mut play = Play::new();
    let without_protocols = play.join(Join {
        protocols: Vec::new(),
        ..consumer()
    });
    let without_type = play.join(Join {
        protocol_type: Arc::from(""),
        ..consumer()
    });
    for ticket in [without_protocols, without_type] {
        assert_eq!(
            play.join_refused(ticket).0,
            GroupError::InconsistentGroupProtocol
        );
    }
    assert!(!play.group.is_known());
}

#[test]
fn a_member_of_another_protocol_type_or_without_a_common_protocol_is_refused() {
    let mut play = Play::new();
    play.join(consumer());
    let connect = play.join(Join {
        protocol_type: Arc::from("connect"),
        ..consumer()
    });
    let other = play.join(Join {
        protocols: vec![protocol("sticky", &["t"])],
        ..consumer()
    });
    for ticket in [connect, other] {
        assert_eq!(
            play.join_refused(ticket).0,
            GroupError::InconsistentGroupProtocol
        );
    }
}

#[test]
fn the_protocol_with_the_most_votes_among_those_all_support_is_chosen() {
    let mut play = Play::new();
    let with = |names: &[&str]| Join {
        protocols: names.iter().map(|name| protocol(name, &["t"])).collect(),
        ..consumer()
    };
    play.join(with(&["new", "sticky", "range"]));
    play.join(with(&["sticky", "range"]));
    let ticket = play.join(with(&["range", "sticky"]));
    play.advance(0);
    assert_eq!(&*play.joined(ticket).protocol, "sticky");
}

#[test]
fn a_protocol_named_twice_counts_once() {
    let mut play = Play::new();
    play.join(consumer());
    let ticket = play.join(Join {
        protocols: vec![
            protocol("range", &["first"]),
            protocol("range", &["second"]),
            protocol("sticky", &["t"]),
        ],
        ..consumer()
    });
    play.advance(0);
    let member_id = play.joined(ticket).member_id;
    let member = play.group.members.get(&member_id).unwrap();
    assert_eq!(member.protocols.len(), 2);
    assert_eq!(
        member.metadata("range"),
        Some(&protocol("range", &["first"]).1)
    );
}

#[test]
fn groups_that_are_no_consumers_pass_their_bytes_untouched() {
    let mut play = Play::new();
    let ticket = play.join(Join {
        protocol_type: Arc::from("connect"),
        protocols: vec![(
            Arc::from("compatible"),
            Bytes::from_static(b"\xff\x00worker"),
        )],
        ..consumer()
    });
    play.advance(0);
    let joined = play.joined(ticket);
    assert_eq!(joined.members[0].metadata, &b"\xff\x00worker"[..]);
    assert_eq!(play.group.subscribed_topics(), None);
    assert!(!play.group.is_subscribed_to("t"));
}

#[test]
fn the_group_knows_the_topics_of_consumers_it_can_read() {
    let (play, _) = Play::stable(vec![
        Join {
            protocols: vec![protocol("range", &["a", "b"])],
            ..consumer()
        },
        Join {
            protocols: vec![protocol("range", &["b", "c"])],
            ..consumer()
        },
    ]);
    let expected = ["a", "b", "c"].map(Arc::from);
    assert_eq!(play.group.subscribed_topics(), Some(&expected.into()));
    assert!(!play.group.is_subscribed_to("d"));
}

#[test]
fn consumers_whose_metadata_cannot_be_read_may_read_any_topic() {
    for metadata in [
        &b""[..],
        b"\0",
        b"\0\0\x7f\xff\xff\xff",
        b"\0\0\0\0\0\x01\0\x05ab",
        b"\0\0\0\0\0\x01\xff\xff",
        b"\0\0\0\0\0\x01\0\x01\xff",
    ] {
        let (play, _) = Play::stable(vec![Join {
            protocols: vec![(Arc::from("range"), Bytes::from_static(metadata))],
            ..consumer()
        }]);
        assert_eq!(play.group.subscribed_topics(), None, "{metadata:?}");
        assert!(play.group.is_subscribed_to("any"));
    }
}

#[test]
fn a_leader_that_joins_again_begins_a_rebalance() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    let leader = play.join(as_member(&ids[0]));
    assert_eq!(play.group.state(), "PreparingRebalance");
    assert_eq!(
        play.heartbeat(&ids[1], 1),
        Err(GroupError::RebalanceInProgress)
    );
    let follower = play.join(as_member(&ids[1]));
    assert_eq!(play.joined(leader).generation, 2);
    let follower = play.joined(follower);
    assert_eq!(
        (follower.leader, follower.members.len()),
        (ids[0].clone(), 0)
    );
}

#[test]
fn a_follower_that_joins_a_stable_group_with_the_same_metadata_is_told_the_generation() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    let ticket = play.join(as_member(&ids[1]));
    let joined = play.joined(ticket);
    assert_eq!((joined.generation, joined.leader), (1, ids[0].clone()));
    assert_eq!(play.group.state(), "Stable");
}

#[test]
fn a_follower_with_other_metadata_begins_a_rebalance() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    let ticket = play.join(Join {
        protocols: vec![protocol("range", &["other"])],
        ..as_member(&ids[1])
    });
    assert!(play.is_parked(ticket));
    assert_eq!(play.group.state(), "PreparingRebalance");
}

#[test]
fn a_member_that_missed_the_answer_to_its_join_is_told_the_generation_again() {
    let mut play = Play::new();
    let tickets = [play.join(consumer()), play.join(consumer())];
    play.advance(0);
    let ids = tickets.map(|ticket| play.joined(ticket).member_id);
    let leader = play.join(as_member(&ids[0]));
    let follower = play.join(as_member(&ids[1]));
    assert_eq!(play.joined(leader).members.len(), 2);
    assert_eq!(play.joined(follower).members.len(), 0);
    assert_eq!(play.group.generation, 1);
}

#[test]
fn changed_metadata_while_the_leader_assigns_begins_another_rebalance_and_frees_the_syncs() {
    let mut play = Play::new();
    let tickets = [play.join(consumer()), play.join(consumer())];
    play.advance(0);
    let ids = tickets.map(|ticket| play.joined(ticket).member_id);
    let sync = play.sync(&ids[1], &[]);
    play.join(Join {
        protocols: vec![protocol("range", &["other"])],
        ..as_member(&ids[0])
    });
    assert_eq!(play.sync_refused(sync), GroupError::RebalanceInProgress);
    assert_eq!(play.group.state(), "PreparingRebalance");
}

#[test]
fn members_that_do_not_join_again_are_out_at_the_longest_rebalance_timeout() {
    let (mut play, ids) = Play::stable(vec![
        Join {
            session_timeout_ms: 1_000_000,
            rebalance_timeout_ms: 20_000,
            ..consumer()
        },
        Join {
            session_timeout_ms: 1_000_000,
            rebalance_timeout_ms: 30_000,
            ..consumer()
        },
    ]);
    let ticket = play.join(Join {
        rebalance_timeout_ms: 20_000,
        ..as_member(&ids[0])
    });
    play.advance(29_999);
    assert!(play.is_parked(ticket));
    play.advance(1);
    let joined = play.joined(ticket);
    assert_eq!((joined.generation, joined.members.len()), (2, 1));
}

#[test]
fn another_member_leads_when_the_leader_does_not_join_again() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    let ticket = play.join(Join {
        protocols: vec![protocol("range", &["other"])],
        ..as_member(&ids[1])
    });
    play.advance(SESSION);
    assert_eq!(play.joined(ticket).leader, ids[1]);
}

#[test]
fn a_second_join_of_a_member_takes_the_place_of_the_first() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    let first = play.join(as_member(&ids[0]));
    let second = play.join(as_member(&ids[0]));
    assert_eq!(play.join_refused(first).0, GroupError::RebalanceInProgress);
    play.join(as_member(&ids[1]));
    assert_eq!(play.joined(second).generation, 2);
}

#[test]
fn a_full_stable_group_lets_its_members_rejoin_and_nobody_else() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer()]);
    play.config.members_max = 2;
    for join in [
        consumer(),
        Join {
            requires_known_member_id: true,
            ..consumer()
        },
    ] {
        let ticket = play.join(join);
        let expected = (GroupError::GroupMaxSizeReached, String::new());
        assert_eq!(play.join_refused(ticket), expected);
    }
    let ticket = play.join(as_member(&ids[1]));
    assert_eq!(play.joined(ticket).generation, 1);
}

#[test]
fn of_a_group_that_is_too_large_the_first_to_rejoin_stay() {
    let (mut play, ids) = Play::stable(vec![consumer(), consumer(), consumer()]);
    play.config.members_max = 2;
    play.reload();
    assert_eq!(play.group.state(), "PreparingRebalance");
    let stay = [play.join(as_member(&ids[2])), play.join(as_member(&ids[1]))];
    let out = play.join(as_member(&ids[0]));
    assert_eq!(play.join_refused(out).0, GroupError::GroupMaxSizeReached);
    assert_eq!(stay.map(|ticket| play.joined(ticket).generation), [2, 2]);
}

#[test]
fn ids_that_were_given_out_count_for_the_size_of_the_group() {
    let mut play = Play::new();
    play.config.members_max = 2;
    let ask = || Join {
        requires_known_member_id: true,
        ..consumer()
    };
    let tickets = [(); 3].map(|()| play.join(ask()));
    let errors = tickets.map(|ticket| play.join_refused(ticket).0);
    assert_eq!(
        errors,
        [
            GroupError::MemberIdRequired,
            GroupError::MemberIdRequired,
            GroupError::GroupMaxSizeReached
        ]
    );
}

#[test]
fn a_new_member_that_waits_longer_than_five_minutes_is_out() {
    let (mut play, ids) = Play::stable(vec![Join {
        session_timeout_ms: 1_800_000,
        rebalance_timeout_ms: 1_000_000,
        ..consumer()
    }]);
    let ticket = play.join(consumer());
    play.advance(Duration::from_secs(300).as_millis() as u64 - 1);
    assert!(play.is_parked(ticket));
    play.advance(1);
    let expected = (GroupError::UnknownMemberId, String::new());
    assert_eq!(play.join_refused(ticket), expected);
    assert!(play.group.members.contains(&ids[0]));
}

#[test]
fn a_member_that_waits_for_a_rebalance_needs_no_heartbeat() {
    let (mut play, ids) = Play::stable(vec![
        consumer(),
        Join {
            session_timeout_ms: 1_000_000,
            ..consumer()
        },
    ]);
    let ticket = play.join(as_member(&ids[0]));
    play.advance(REBALANCE - 1);
    assert!(play.is_parked(ticket));
    play.advance(1);
    assert_eq!(play.joined(ticket).members.len(), 1);
    play.advance(SESSION - 1);
    assert_eq!(play.group.members.len(), 1);
    play.advance(1);
    assert_eq!(play.group.state(), "Empty");
}

#[test]
fn timeouts_of_nothing_are_no_endless_loop() {
    let mut play = Play::new();
    play.join(Join {
        rebalance_timeout_ms: -1,
        ..static_consumer("i")
    });
    play.advance(1_000_000);
    assert_eq!(play.group.state(), "Empty");
}
