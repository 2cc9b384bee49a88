//! Joining, leaving, epochs, static members, sessions.

use super::*;

#[test]
fn the_first_member_gets_all_partitions_at_once() {
    let mut world = World::new(&[("foo", 3)]);
    let reply = world.join("a", &["foo"]);
    assert_eq!(reply.member_epoch, 2);
    assert_eq!(reply.heartbeat_interval_ms, 5_000);
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1, 2])]))
    );
    assert_eq!(world.group.state_name(), "Stable");
    let kinds: Vec<&str> = world
        .last
        .iter()
        .map(|record| match record {
            Record::Member { .. } => "member",
            Record::ConsumerGroup { .. } => "group",
            Record::TargetMember { .. } => "target",
            Record::TargetEpoch { .. } => "target epoch",
            Record::CurrentMember { .. } => "current",
            _ => "other",
        })
        .collect();
    assert_eq!(
        kinds,
        ["member", "group", "target", "target epoch", "current"]
    );
}

#[test]
fn a_member_without_an_id_is_given_one() {
    let mut world = World::new(&[("foo", 1)]);
    let reply = world.join("", &["foo"]);
    assert_eq!(*reply.member_id, Uuid([7; 16]).to_string());
}

#[test]
fn a_heartbeat_without_change_writes_nothing_and_says_nothing_new() {
    let mut world = World::new(&[("foo", 3)]);
    world.join("a", &["foo"]);
    let reply = world.beat("a", 2).unwrap();
    assert_eq!((reply.member_epoch, reply.assignment), (2, None));
    assert!(world.last.is_empty());
}

#[test]
fn a_full_heartbeat_is_told_its_assignment_again() {
    let mut world = World::new(&[("foo", 3)]);
    world.join("a", &["foo"]);
    let request = ConsumerHeartbeat {
        member_epoch: 2,
        ..joining("a", &["foo"])
    };
    let reply = world.ask(&request).unwrap();
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1, 2])]))
    );
    assert!(world.last.is_empty());
}

#[test]
fn a_join_whose_answer_was_lost_may_be_repeated() {
    let mut world = World::new(&[("foo", 3)]);
    let first = world.join("a", &["foo"]);
    let second = world.join("a", &["foo"]);
    assert_eq!(first, second);
    assert!(world.last.is_empty());
}

#[test]
fn only_members_are_answered() {
    let mut world = World::new(&[("foo", 3)]);
    let not_found = world.beat("a", 1);
    assert_eq!(
        not_found,
        Err(GroupError::GroupIdNotFound(
            "Consumer group group not found.".to_owned()
        ))
    );
    world.join("a", &["foo"]);
    assert_eq!(world.beat("b", 1), Err(GroupError::UnknownMemberId));
    assert_eq!(world.beat("b", -1), Err(GroupError::UnknownMemberId));
}

#[test]
fn an_epoch_that_is_not_the_members_is_fenced() {
    let mut world = World::new(&[("foo", 4)]);
    world.join("a", &["foo"]);
    assert!(matches!(
        world.beat("a", 3),
        Err(GroupError::FencedMemberEpoch(_))
    ));
    assert!(matches!(
        world.beat("a", 1),
        Err(GroupError::FencedMemberEpoch(_))
    ));
}

#[test]
fn the_epoch_before_is_accepted_from_a_member_that_has_no_more_than_it_should() {
    let mut world = World::new(&[("foo", 4), ("bar", 1)]);
    world.join("a", &["foo"]);
    let request = ConsumerHeartbeat {
        subscribed_topics: Some(vec![Arc::from("foo"), Arc::from("bar")]),
        ..beating("a", 2)
    };
    assert_eq!(world.ask(&request).unwrap().member_epoch, 3);
    // That answer is lost.
    let without_partitions = world.beat("a", 2);
    assert!(matches!(
        without_partitions,
        Err(GroupError::FencedMemberEpoch(_))
    ));
    let foreign = world.report("a", 2, &[("foo", &[0, 1, 2, 3, 4])]);
    assert!(matches!(foreign, Err(GroupError::FencedMemberEpoch(_))));
    let reply = world.report("a", 2, &[("foo", &[0, 1, 2, 3])]).unwrap();
    assert_eq!(reply.member_epoch, 3);
}

#[test]
fn a_request_that_makes_no_sense_is_refused() {
    let mut world = World::new(&[("foo", 1)]);
    let refused = |world: &mut World, request: &ConsumerHeartbeat| {
        matches!(world.ask(request), Err(GroupError::InvalidRequest(_)))
    };
    let good = joining("a", &["foo"]);
    assert!(refused(
        &mut world,
        &ConsumerHeartbeat {
            rebalance_timeout_ms: None,
            ..good.clone()
        }
    ));
    assert!(refused(
        &mut world,
        &ConsumerHeartbeat {
            owned: None,
            ..good.clone()
        }
    ));
    assert!(refused(
        &mut world,
        &ConsumerHeartbeat {
            subscribed_topics: None,
            ..good.clone()
        }
    ));
    assert!(refused(
        &mut world,
        &ConsumerHeartbeat {
            instance_id: Some(Arc::from("")),
            ..good.clone()
        }
    ));
    assert!(refused(
        &mut world,
        &ConsumerHeartbeat {
            rack_id: Some(Arc::from("")),
            ..good.clone()
        }
    ));
    assert!(refused(&mut world, &beating("a", -2)));
    assert!(refused(&mut world, &beating("a", -3)));
    assert!(refused(&mut world, &beating("", 1)));
    assert!(world.ask(&good).is_ok());
}

#[test]
fn an_assignor_that_is_not_offered_is_refused() {
    let mut world = World::new(&[("foo", 1)]);
    let request = ConsumerHeartbeat {
        server_assignor: Some(Arc::from("sticky")),
        ..joining("a", &["foo"])
    };
    assert_eq!(
        world.ask(&request),
        Err(GroupError::UnsupportedAssignor(
            "ServerAssignor sticky is not supported. Supported assignors: uniform, range."
                .to_owned()
        ))
    );
}

#[test]
fn the_assignor_with_most_votes_decides_and_the_first_one_without_any() {
    let mut world = World::new(&[("foo", 3), ("bar", 3)]);
    world.join("a", &["foo", "bar"]);
    assert_eq!(&*world.group.describe(&world.config).assignor, "uniform");
    let request = ConsumerHeartbeat {
        server_assignor: Some(Arc::from("range")),
        ..joining("b", &["foo", "bar"])
    };
    world.ask(&request).unwrap();
    assert_eq!(&*world.group.describe(&world.config).assignor, "range");
    let target = &world.group.state.targets["a"];
    assert_eq!(shown(&world.cluster, target), "foo:0,1 bar:0,1");
}

#[test]
fn a_full_group_takes_nobody_new() {
    let mut world = World::new(&[("foo", 3)]);
    world.config.consumer_members_max = 1;
    world.join("a", &["foo"]);
    assert_eq!(
        world.ask(&joining("b", &["foo"])),
        Err(GroupError::GroupMaxSizeReached)
    );
    assert!(world.beat("a", 2).is_ok());
}

#[test]
fn a_member_that_leaves_is_gone_and_raises_the_epoch() {
    let mut world = World::new(&[("foo", 2)]);
    world.join("a", &["foo"]);
    let reply = world.beat("a", -1).unwrap();
    assert_eq!((&*reply.member_id, reply.member_epoch), ("a", -1));
    assert_eq!(world.group.state_name(), "Empty");
    assert_eq!(world.epoch(), 3);
    assert_eq!(world.group.next_timeout(), None);
    assert_eq!(world.beat("a", 2), Err(GroupError::UnknownMemberId));
}

#[test]
fn the_tombstones_of_a_group_leave_nothing() {
    let mut world = World::new(&[("foo", 2)]);
    world.join("a", &["foo"]);
    world.beat("a", -1).unwrap();
    assert!(!world.group.is_gone());
    for record in world.group.tombstones() {
        world.group.replay(&record);
    }
    assert!(world.group.is_gone());
    assert_eq!(world.group.state, State::default());
}

#[test]
fn a_silent_member_is_given_up_after_its_session() {
    let mut world = World::new(&[("foo", 2)]);
    world.join("a", &["foo"]);
    world.pass(30_000);
    world.beat("a", 2).unwrap();
    world.pass(44_999);
    assert_eq!(world.has("a"), "foo:0,1");
    world.pass(1);
    assert!(world.group.is_empty());
    assert_eq!(world.epoch(), 3);
}

#[test]
fn members_that_are_given_up_together_cost_one_epoch() {
    let mut world = World::new(&[("foo", 2)]);
    for member in ["a", "b", "c"] {
        world.join(member, &["foo"]);
    }
    let before = world.epoch();
    world.pass(45_000);
    assert!(world.group.is_empty());
    assert_eq!(world.epoch(), before + 1);
}

#[test]
fn sessions_start_anew_when_the_group_is_loaded() {
    let mut world = World::new(&[("foo", 2)]);
    world.join("a", &["foo"]);
    world.milliseconds += 44_000;
    world.reload();
    world.pass(44_999);
    assert_eq!(world.has("a"), "foo:0,1");
    world.pass(1);
    assert!(world.group.is_empty());
}

#[test]
fn a_static_member_that_is_away_finds_its_partitions_again_without_a_rebalance() {
    let mut world = World::new(&[("foo", 2)]);
    world.ask(&joining_static("a", "one", &["foo"])).unwrap();
    let leaving = ConsumerHeartbeat {
        instance_id: Some(Arc::from("one")),
        ..beating("a", -2)
    };
    let reply = world.ask(&leaving).unwrap();
    assert_eq!(reply.member_epoch, -2);
    let epoch = world.epoch();
    let reply = world.ask(&joining_static("b", "one", &["foo"])).unwrap();
    assert_eq!(reply.member_epoch, epoch);
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1])]))
    );
    assert_eq!(world.epoch(), epoch);
    assert_eq!(world.group.state.members.len(), 1);
    assert_eq!(
        world.ask(&ConsumerHeartbeat {
            instance_id: Some(Arc::from("one")),
            ..beating("a", 2)
        }),
        Err(GroupError::FencedInstanceId)
    );
}

#[test]
fn a_static_member_that_stays_away_is_given_up_after_its_session() {
    let mut world = World::new(&[("foo", 2)]);
    world.ask(&joining_static("a", "one", &["foo"])).unwrap();
    let leaving = ConsumerHeartbeat {
        instance_id: Some(Arc::from("one")),
        ..beating("a", -2)
    };
    world.ask(&leaving).unwrap();
    world.pass(45_000);
    assert!(world.group.is_empty());
}

#[test]
fn an_instance_id_in_use_is_not_given_away() {
    let mut world = World::new(&[("foo", 2)]);
    world.ask(&joining_static("a", "one", &["foo"])).unwrap();
    let other = world.ask(&joining_static("b", "one", &["foo"]));
    assert_eq!(other, Err(GroupError::UnreleasedInstanceId));
    let leaving = ConsumerHeartbeat {
        instance_id: Some(Arc::from("one")),
        ..beating("b", -1)
    };
    assert_eq!(world.ask(&leaving), Err(GroupError::FencedInstanceId));
    let unknown = ConsumerHeartbeat {
        instance_id: Some(Arc::from("two")),
        ..beating("b", 2)
    };
    assert_eq!(world.ask(&unknown), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_static_member_may_repeat_its_join_under_the_same_id() {
    let mut world = World::new(&[("foo", 2)]);
    let first = world.ask(&joining_static("a", "one", &["foo"])).unwrap();
    let second = world.ask(&joining_static("a", "one", &["foo"])).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_static_member_that_comes_back_under_its_old_id_is_a_member_again() {
    let mut world = World::new(&[("foo", 2)]);
    world.ask(&joining_static("a", "one", &["foo"])).unwrap();
    let leaving = ConsumerHeartbeat {
        instance_id: Some(Arc::from("one")),
        ..beating("a", -2)
    };
    world.ask(&leaving).unwrap();
    let reply = world.ask(&joining_static("a", "one", &["foo"])).unwrap();
    assert_eq!(reply.member_epoch, 2);
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo", &[0, 1])]))
    );
}

#[test]
fn what_a_member_says_about_itself_is_recorded_without_a_new_epoch() {
    let mut world = World::new(&[("foo", 2)]);
    world.join("a", &["foo"]);
    let request = ConsumerHeartbeat {
        rack_id: Some(Arc::from("east")),
        ..beating("a", 2)
    };
    world.ask(&request).unwrap();
    assert!(matches!(&world.last[..], [Record::Member { .. }]));
    assert_eq!(world.epoch(), 2);
    let description = world.group.describe(&world.config);
    assert_eq!(description.members[0].rack_id.as_deref(), Some("east"));
}

#[test]
fn a_refused_append_leaves_no_member_behind() {
    let mut world = World::new(&[("foo", 2)]);
    let now = world.now();
    let request = joining("a", &["foo"]);
    let step =
        world
            .group
            .handle_heartbeat(now, &world.config, &request, Ticket(1), &world.cluster);
    assert!(!step.records.is_empty());
    world.group.handle_append_failed(now, &world.config);
    assert!(world.group.is_gone());
    assert_eq!(world.group.next_timeout(), None);
    assert_eq!(world.join("a", &["foo"]).member_epoch, 2);
}

#[test]
fn members_that_fall_silent_together_are_put_out_in_steps_that_fit_a_batch() {
    let mut world = World::new(&[("foo", 1)]);
    for member in 0..60 {
        world.join(&format!("member-{member}"), &["foo"]);
    }
    world.config.batch_bytes_max = 4_000;
    let before = world.log.len();
    world.milliseconds += 60_000;
    let mut steps = 0;
    while !world.group.is_empty() {
        let now = world.now();
        let step = world
            .group
            .handle_timeout(now, &world.config, &world.cluster);
        let bytes: usize = step
            .records
            .iter()
            .map(|record| record.key_bytes_max() + 32)
            .sum();
        assert!(bytes < 4_000, "{bytes}");
        world.take(step);
        steps += 1;
        assert!(steps < 100);
    }
    assert!(world.log.len() > before + 180);
}
