use super::*;

type Variant = fn(String) -> Refusal;
type Case = (NewTopic, Variant, &'static str);
type Growth<'a> = (i32, Option<&'a [&'a [i32]]>, Variant, &'static str);

fn refusal(cluster: &mut Cluster, topic: NewTopic) -> Refusal {
    let mut results = cluster.create(vec![topic]);
    results.pop().expect("one answer").expect_err("refused")
}

fn by_hand(assignments: &[(i32, &[i32])]) -> NewTopic {
    NewTopic {
        assignments: assignments
            .iter()
            .map(|(index, to)| (*index, ids(to)))
            .collect(),
        ..topic("assigned", -1, -1)
    }
}

fn with_config(key: &str, value: Option<&str>) -> NewTopic {
    NewTopic {
        configs: vec![(key.to_owned(), value.map(str::to_owned))],
        ..topic("configured", 1, 1)
    }
}

#[test]
fn a_topic_is_created_with_its_partitions_its_values_and_an_answer_that_tells_all() {
    let mut cluster = Cluster::of(1);
    let created = cluster.topic(NewTopic {
        partitions: 2,
        ..with_config("retention.ms", Some("1000"))
    });
    assert_eq!((created.partitions, created.replication_factor), (2, 1));
    assert_eq!(created.configs.len(), 33);
    let told = |name: &str| {
        let config = created.configs.iter().find(|config| config.name == name);
        let config = config.expect("every key is told");
        (
            config.value.clone().unwrap_or_default(),
            config.source.wire(),
        )
    };
    assert_eq!(told("retention.ms"), ("1000".to_owned(), 1));
    assert_eq!(told("segment.bytes"), ("1073741824".to_owned(), 5));

    let image = cluster.image().topic("configured").expect("it exists");
    assert_eq!((image.id, image.partitions.len()), (created.id, 2));
    let partition = &image.partitions[1];
    assert_eq!(
        (partition.leader, partition.leader_epoch.0),
        (BrokerId(1), 0)
    );
    assert_eq!(*partition.isr, ids(&[1]));
    assert_eq!(*partition.directories, [Uuid([1; 16])]);
}

#[test]
fn minus_one_means_the_brokers_defaults() {
    let mut cluster = Cluster::of(1);
    let created = cluster.topic(topic("defaults", -1, -1));
    assert_eq!((created.partitions, created.replication_factor), (1, 1));
}

fn check_refusals(cases: Vec<Case>) {
    let mut cluster = Cluster::of(1);
    cluster.topic(topic("plain", 1, 1));
    cluster.topic(topic("col.lide", 1, 1));
    for (asked, variant, sentence) in cases {
        let name = asked.name.clone();
        assert_eq!(
            refusal(&mut cluster, asked),
            variant(sentence.to_owned()),
            "{name}"
        );
    }
    assert_eq!(
        cluster.image().topic_ids.size(),
        2,
        "nothing refused was made"
    );
}

#[test]
fn names_and_counts_that_cannot_be_are_refused_in_kafkas_words() {
    use Refusal::*;
    check_refusals(vec![
        (
            topic("plain", 1, 1),
            TopicAlreadyExists,
            "Topic 'plain' already exists.",
        ),
        (
            topic("", 1, 1),
            InvalidTopic,
            "Topic name is invalid: the empty string is not allowed",
        ),
        (
            topic(".", 1, 1),
            InvalidTopic,
            "Topic name is invalid: '.' is not allowed",
        ),
        (
            topic("a/b", 1, 1),
            InvalidTopic,
            "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (
            topic("col_lide", 1, 1),
            InvalidTopic,
            "Topic 'col_lide' collides with existing topic: col.lide",
        ),
        (
            topic("__cluster_metadata", 1, 1),
            InvalidRequest,
            "Creation of internal topic __cluster_metadata is prohibited.",
        ),
        (
            topic("zero", 0, 1),
            InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            topic("minus2", -2, 1),
            InvalidPartitions,
            "Number of partitions was set to an invalid non-positive value.",
        ),
        (
            topic("rf0", 1, 0),
            InvalidReplicationFactor,
            "Replication factor must be larger than 0, or -1 to use the default value.",
        ),
        (
            topic("rf2", 1, 2),
            InvalidReplicationFactor,
            "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached because only 1 broker(s) are registered.",
        ),
        (
            topic("many", 10_001, 1),
            PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
        (
            topic("huge", i32::MAX, 1),
            PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
    ]);
    let long = topic(&"x".repeat(250), 1, 1);
    assert!(matches!(
        refusal(&mut Cluster::of(1), long),
        InvalidTopic(_)
    ));
}

#[test]
fn assignments_and_values_that_cannot_be_are_refused_in_kafkas_words() {
    use Refusal::*;
    let only_assigned = |partitions, factor| NewTopic {
        partitions,
        replication_factor: factor,
        ..by_hand(&[(0, &[1])])
    };
    check_refusals(vec![
        (
            only_assigned(-1, 1),
            InvalidRequest,
            "A manual partition assignment was specified, but replication factor was not set to -1.",
        ),
        (
            only_assigned(2, -1),
            InvalidRequest,
            "A manual partition assignment was specified, but numPartitions was not set to -1.",
        ),
        (
            by_hand(&[(1, &[1])]),
            InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            by_hand(&[(-1, &[1])]),
            InvalidReplicaAssignment,
            "partitions should be a consecutive 0-based integer sequence",
        ),
        (
            by_hand(&[(0, &[7])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes broker 7, but no such broker is registered.",
        ),
        (
            by_hand(&[(0, &[1, 1])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            by_hand(&[(0, &[])]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes an empty replica list.",
        ),
        (
            by_hand(&[(0, &[1]), (0, &[1])]),
            InvalidReplicaAssignment,
            "Found multiple manual partition assignments for partition 0",
        ),
        (
            with_config("no.such.key", Some("1")),
            InvalidConfig,
            "Unknown topic config name: no.such.key",
        ),
        (
            with_config("retention.ms", Some("abc")),
            InvalidConfig,
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            with_config("retention.ms", None),
            InvalidConfig,
            "Null value not supported for topic configs: retention.ms",
        ),
    ]);
}

#[test]
fn a_request_for_too_many_partitions_is_refused_as_a_whole() {
    let mut cluster = Cluster::of(1);
    let results = cluster.create(vec![topic("a", 6000, 1), topic("b", 6000, 1)]);
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Err(Refusal::PolicyViolation(_))))
    );
    assert_eq!(cluster.create(vec![topic("a", 10_000, 1)]).len(), 1);
}

#[test]
fn names_collide_within_one_request_too() {
    let mut cluster = Cluster::of(1);
    let results = cluster.create(vec![topic("both.a", 1, 1), topic("both_a", 1, 1)]);
    assert!(results[0].is_ok());
    assert!(matches!(&results[1], Err(Refusal::InvalidTopic(_))));
    // Once the first is gone, its name is free again.
    let topics = vec![TopicRef::Name("both.a".to_owned())];
    cluster.ask(Request::DeleteTopics { topics });
    cluster.topic(topic("both_a", 1, 1));
}

#[test]
fn two_plans_never_make_the_same_topic_twice() {
    let mut cluster = Cluster::of(1);
    let create = || Request::CreateTopics {
        topics: vec![topic("once", 1, 1)],
        validate_only: false,
    };
    let first = cluster.plan(create());
    let second = cluster.plan(create());
    assert!(matches!(&first.reply, Reply::CreateTopics(r) if r[0].is_ok()));
    assert!(matches!(&second.reply, Reply::CreateTopics(r)
        if matches!(r[0], Err(Refusal::TopicAlreadyExists(_)))));
    assert!(
        cluster.image().topic("once").is_none(),
        "nothing is committed yet"
    );
    // Losing leadership forgets what was planned: another may make it.
    cluster.controller.handle_lost_leadership();
    let again = cluster.plan(create());
    assert!(matches!(&again.reply, Reply::CreateTopics(r) if r[0].is_ok()));
}

#[test]
fn validating_plans_nothing_and_answers_the_same() {
    let mut cluster = Cluster::of(1);
    let plan = cluster.plan(Request::CreateTopics {
        topics: vec![topic("only", 3, 1)],
        validate_only: true,
    });
    assert_eq!(plan.records, []);
    let Reply::CreateTopics(results) = plan.reply else {
        panic!("another reply");
    };
    assert_eq!(results[0].as_ref().map(|created| created.partitions), Ok(3));
}

#[test]
fn a_topic_deleted_and_created_again_has_another_id() {
    let mut cluster = Cluster::of(1);
    let first = cluster.topic(with_config("retention.ms", Some("5")));
    let reply = cluster.ask(Request::DeleteTopics {
        topics: vec![
            TopicRef::Id(first.id),
            TopicRef::Name("configured".to_owned()),
            TopicRef::Id(Uuid::ZERO),
        ],
    });
    let deleted = DeletedTopic {
        name: "configured".to_owned(),
        id: first.id,
    };
    let by_name = "This server does not host this topic-partition.".to_owned();
    let by_id = "This server does not host this topic ID.".to_owned();
    assert_eq!(
        reply,
        Reply::DeleteTopics(vec![
            Ok(deleted),
            Err(Refusal::UnknownTopicOrPartition(by_name)),
            Err(Refusal::UnknownTopicId(by_id)),
        ])
    );
    let second = cluster.topic(topic("configured", 1, 1));
    assert_ne!(first.id, second.id);
    let values = cluster.image().config(ResourceKind::Topic, "configured");
    assert_eq!(values, None, "the values went with the first");
}

fn grow(cluster: &mut Cluster, count: i32, by_hand: Option<&[&[i32]]>) -> Result<(), Refusal> {
    let reply = cluster.ask(Request::CreatePartitions {
        topics: vec![NewPartitions {
            topic: "grow".to_owned(),
            count,
            assignments: by_hand.map(|all| all.iter().map(|to| ids(to)).collect()),
        }],
        validate_only: false,
    });
    match reply {
        Reply::CreatePartitions(mut results) => results.pop().expect("one answer"),
        other => panic!("not an answer to CreatePartitions: {other:?}"),
    }
}

#[test]
fn partitions_are_added_and_never_removed() {
    let mut cluster = Cluster::of(1);
    let unknown = Refusal::UnknownTopicOrPartition(String::new());
    assert_eq!(grow(&mut cluster, 4, None), Err(unknown));
    cluster.topic(topic("grow", 2, 1));
    use Refusal::*;
    let cases: [Growth<'_>; 8] = [
        (
            1,
            None,
            InvalidPartitions,
            "The topic grow currently has 2 partition(s); 1 would not be an increase.",
        ),
        (
            -1,
            None,
            InvalidPartitions,
            "The topic grow currently has 2 partition(s); -1 would not be an increase.",
        ),
        (
            2,
            None,
            InvalidPartitions,
            "Topic already has 2 partition(s).",
        ),
        (
            4,
            Some(&[&[1]]),
            InvalidReplicaAssignment,
            "Attempted to add 2 additional partition(s), but only 1 assignment(s) were specified.",
        ),
        (
            3,
            Some(&[]),
            InvalidReplicaAssignment,
            "Attempted to add 1 additional partition(s), but only 0 assignment(s) were specified.",
        ),
        (
            3,
            Some(&[&[9]]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes broker 9, but no such broker is registered.",
        ),
        (
            3,
            Some(&[&[1, 1]]),
            InvalidReplicaAssignment,
            "The manual partition assignment includes the broker 1 more than once.",
        ),
        (
            i32::MAX,
            None,
            PolicyViolation,
            "Excessively large number of partitions per request.",
        ),
    ];
    for (count, assignments, variant, sentence) in cases {
        let refusal = grow(&mut cluster, count, assignments);
        assert_eq!(refusal, Err(variant(sentence.to_owned())));
    }
    assert_eq!(grow(&mut cluster, 3, Some(&[&[1]])), Ok(()));
    assert_eq!(grow(&mut cluster, 5, None), Ok(()));
    let image = cluster.image().topic("grow").expect("it exists");
    assert_eq!(image.partitions.len(), 5);
}

#[test]
fn replicas_are_spread_over_brokers_and_racks() {
    let mut cluster = Cluster::of(0);
    for (broker, rack) in [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c"), (6, "c")] {
        let Request::RegisterBroker(mut registration) = register(broker, 1, false) else {
            panic!("another request");
        };
        registration.rack = Some(rack.to_owned());
        cluster.ask(Request::RegisterBroker(registration));
    }
    cluster.topic(topic("spread", 60, 3));
    let image = cluster.image().topic("spread").expect("it exists");
    let mut led = std::collections::BTreeMap::new();
    for partition in &image.partitions {
        *led.entry(partition.leader).or_insert(0) += 1;
        let racks: std::collections::BTreeSet<i32> =
            partition.replicas.iter().map(|id| (id.0 - 1) / 2).collect();
        assert_eq!(
            racks.len(),
            3,
            "each replica in another rack: {partition:?}"
        );
    }
    assert_eq!(
        led.values().copied().collect::<Vec<i32>>(),
        [10; 6],
        "leaders are spread evenly"
    );
}
