//! Subscriptions by regular expression.

use super::*;

fn joining_by(member: &str, expression: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        subscribed_topics: None,
        subscribed_regex: Some(Arc::from(expression)),
        ..joining(member, &[])
    }
}

fn changing_to(member: &str, epoch: i32, expression: &str) -> ConsumerHeartbeat {
    ConsumerHeartbeat {
        subscribed_regex: Some(Arc::from(expression)),
        ..beating(member, epoch)
    }
}

fn matched(world: &World, expression: &str) -> Vec<String> {
    let topics = &world.group.state.expressions[expression].topics;
    topics.iter().map(ToString::to_string).collect()
}

#[test]
fn an_expression_is_resolved_when_its_first_member_joins() {
    let mut world = World::new(&[("foo-1", 1), ("foo-2", 1), ("bar", 1)]);
    let reply = world.ask(&joining_by("a", "foo-.*")).unwrap();
    assert_eq!(
        reply.assignment,
        Some(world.assignment(&[("foo-1", &[0]), ("foo-2", &[0])]))
    );
    assert_eq!(reply.member_epoch, 2);
}

#[test]
fn an_expression_matches_whole_names_and_no_internal_topic() {
    let mut world = World::new(&[
        ("foo", 1),
        ("foobar", 1),
        ("a-foo", 1),
        ("__consumer_offsets", 1),
    ]);
    world.ask(&joining_by("a", "foo|fo")).unwrap();
    assert_eq!(matched(&world, "foo|fo"), ["foo"]);
    let mut world = World::new(&[("foo", 1), ("__consumer_offsets", 1)]);
    world.ask(&joining_by("a", ".*")).unwrap();
    assert_eq!(matched(&world, ".*"), ["foo"]);
}

#[test]
fn an_expression_with_a_comment_at_its_end_still_matches_whole_names() {
    let mut world = World::new(&[("foo", 1), ("foobar", 1)]);
    world.ask(&joining_by("a", "(?x)foo # only this")).unwrap();
    assert_eq!(matched(&world, "(?x)foo # only this"), ["foo"]);
}

#[test]
fn what_is_no_expression_or_too_large_a_one_is_refused() {
    let mut world = World::new(&[("foo", 1)]);
    let long = "a".repeat(5_000);
    for expression in ["(", "a)|(b", r"(a)\1", "(?=a)", "(a{1000}){1000}", &long] {
        let refused = world.ask(&joining_by("a", expression));
        assert!(
            matches!(refused, Err(GroupError::InvalidRegularExpression(_))),
            "{refused:?}"
        );
    }
    assert!(world.group.is_gone());
}

#[test]
fn members_with_the_same_expression_share_its_resolution() {
    let mut world = World::new(&[("foo", 2)]);
    world.ask(&joining_by("a", "foo.*")).unwrap();
    world.ask(&joining_by("b", "foo.*")).unwrap();
    assert_eq!(world.cluster.scans.get(), 1);
    assert_eq!(
        shown(&world.cluster, &world.group.state.targets["b"]),
        "foo:1"
    );
}

#[test]
fn a_second_expression_waits_until_ten_seconds_after_the_last_resolution() {
    let mut world = World::new(&[("foo", 1), ("bar", 1)]);
    world.ask(&joining_by("a", "foo")).unwrap();
    let reply = world.ask(&joining_by("b", "bar")).unwrap();
    assert_eq!(reply.assignment, Some(Assignment::new()));
    world.pass(9_999);
    assert_eq!(world.cluster.scans.get(), 1);
    world.pass(1);
    assert_eq!(world.cluster.scans.get(), 2);
    let reply = world.beat("b", 2).unwrap();
    assert_eq!(reply.assignment, Some(world.assignment(&[("bar", &[0])])));
}

#[test]
fn a_topic_that_is_created_later_is_found() {
    let mut world = World::new(&[("foo-1", 1)]);
    world.ask(&joining_by("a", "foo-.*")).unwrap();
    world.cluster.put("foo-2", 1);
    world.topics_changed();
    assert_eq!(matched(&world, "foo-.*"), ["foo-1"], "resolved just before");
    world.pass(10_000);
    assert_eq!(matched(&world, "foo-.*"), ["foo-1", "foo-2"]);
    world.cluster.put("foo-3", 1);
    world.pass(10_000);
    world.topics_changed();
    assert_eq!(matched(&world, "foo-.*"), ["foo-1", "foo-2", "foo-3"]);
    world.beat("a", 2).unwrap();
    assert_eq!(world.has("a"), "foo-1:0 foo-2:0 foo-3:0");
}

#[test]
fn expressions_are_resolved_again_when_their_time_has_come() {
    let mut world = World::new(&[("foo-1", 1)]);
    world.config.consumer_session_timeout = Duration::from_secs(10_000);
    world.ask(&joining_by("a", "foo-.*")).unwrap();
    world.pass(599_999);
    assert_eq!(world.cluster.scans.get(), 1);
    world.pass(1);
    assert_eq!(world.cluster.scans.get(), 2);
    assert_eq!(world.epoch(), 2, "nothing changed");
    world.pass(600_000);
    assert_eq!(world.cluster.scans.get(), 3);
}

#[test]
fn an_expression_nobody_uses_any_more_is_forgotten() {
    let mut world = World::new(&[("foo", 1), ("bar", 1)]);
    world.ask(&joining_by("a", "foo")).unwrap();
    world.pass(10_000);
    world.ask(&changing_to("a", 2, "bar")).unwrap();
    assert_eq!(
        world
            .group
            .state
            .expressions
            .keys()
            .map(|e| &**e)
            .collect::<Vec<_>>(),
        ["bar"]
    );
    world.beat("a", -1).unwrap();
    assert!(world.group.state.expressions.is_empty());
    assert!(world.group.subscribed_topics().is_empty());
}

#[test]
fn an_empty_expression_ends_the_subscription_by_it() {
    let mut world = World::new(&[("foo", 1)]);
    world.ask(&joining_by("a", "foo")).unwrap();
    let reply = world.ask(&changing_to("a", 2, "")).unwrap();
    assert_eq!(reply.assignment, Some(Assignment::new()));
    assert!(world.group.state.expressions.is_empty());
}

#[test]
fn names_and_an_expression_add_up() {
    let mut world = World::new(&[("foo", 1), ("bar", 1)]);
    let request = ConsumerHeartbeat {
        subscribed_regex: Some(Arc::from("f.*")),
        ..joining("a", &["bar"])
    };
    world.ask(&request).unwrap();
    assert_eq!(world.has("a"), "foo:0 bar:0");
}

#[test]
fn a_group_may_have_only_so_many_expressions() {
    let mut world = World::new(&[]);
    for number in 0..expressions::EXPRESSIONS_MAX {
        world
            .ask(&joining_by(&format!("m{number}"), &format!("t{number}")))
            .unwrap();
    }
    let one_more = world.ask(&joining_by("late", "late"));
    assert!(matches!(
        one_more,
        Err(GroupError::InvalidRegularExpression(_))
    ));
    assert!(world.ask(&joining_by("late", "t1")).is_ok());
}

#[test]
fn expressions_that_could_not_be_stored_are_left_alone_for_a_while() {
    let mut world = World::new(&[("foo", 1)]);
    world.ask(&joining_by("a", "foo.*")).unwrap();
    world.milliseconds += 20_000;
    let now = world.now();
    world.group.handle_append_failed(now, &world.config);
    let next = world.group.next_timeout().unwrap();
    assert!(
        next > now.moment,
        "a log that refuses is not asked in a loop"
    );
}
