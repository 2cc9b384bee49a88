//! Whatever is asked in whatever order, committed when it likes: the images stay right.

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::metadata::delta::{Delta, Touched};
use crate::model::collision_key;

#[derive(Debug, Clone)]
enum Step {
    Ask(Request),
    /// The oldest plan is committed.
    Commit,
    LoseLeadership,
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "x.y", "x_y", "x.y_z", "x_y.z", ""]).prop_map(str::to_owned)
}

fn brokers() -> impl Strategy<Value = BrokerId> {
    (1..5i32).prop_map(BrokerId)
}

fn new_topic() -> impl Strategy<Value = NewTopic> {
    let assignments = prop::option::weighted(
        0.3,
        prop::collection::vec(prop::collection::vec(brokers(), 0..3), 1..3),
    );
    (names(), -1..4i32, -1..4i16, assignments).prop_map(|(name, partitions, factor, by_hand)| {
        match by_hand {
            Some(all) => NewTopic {
                assignments: (0..).zip(all).collect(),
                ..topic(&name, -1, -1)
            },
            None => topic(&name, partitions, factor),
        }
    })
}

fn operation() -> impl Strategy<Value = ConfigOperation> {
    let keys = prop::sample::select(vec!["retention.ms", "cleanup.policy", "nonsense"]);
    let operations = prop::sample::select(vec![
        Operation::Set,
        Operation::Delete,
        Operation::Append,
        Operation::Subtract,
    ]);
    let values = prop::sample::select(vec![None, Some("5"), Some("compact"), Some("x")]);
    (keys, operations, values).prop_map(|(key, operation, value)| ConfigOperation {
        key: key.to_owned(),
        operation,
        value: value.map(str::to_owned),
    })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        4 => (prop::collection::vec(new_topic(), 1..3), prop::bool::weighted(0.1))
            .prop_map(|(topics, validate_only)| Request::CreateTopics { topics, validate_only }),
        2 => names().prop_map(|name| Request::DeleteTopics { topics: vec![TopicRef::Name(name)] }),
        2 => (names(), 0..6i32).prop_map(|(topic, count)| Request::CreatePartitions {
            topics: vec![NewPartitions { topic, count, assignments: None }],
            validate_only: false,
        }),
        2 => (names(), prop::collection::vec(operation(), 0..3), any::<bool>()).prop_map(
            |(name, operations, replace)| Request::AlterConfigs {
                resources: vec![(resource(ResourceKind::Topic, &name), operations)],
                replace,
                validate_only: false,
            }
        ),
        2 => (1..5i32, any::<u8>(), any::<bool>())
            .prop_map(|(broker, run, unclean)| register(broker, run, unclean)),
        2 => (brokers(), any::<bool>())
            .prop_map(|(broker, fenced)| Request::FenceBroker { broker, fenced }),
        1 => brokers().prop_map(|broker| Request::UnregisterBroker { broker }),
        1 => brokers()
            .prop_map(|broker| Request::AllocateProducerIds { broker, length: 1000 }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => request().prop_map(Step::Ask),
        5 => Just(Step::Commit),
        1 => Just(Step::LoseLeadership),
    ]
}

fn check_image(image: &Image) {
    let mut looks = BTreeSet::new();
    for (name, id) in &image.topic_ids {
        let topic = image.topic_by_id(id).expect("every name has a topic");
        assert_eq!(topic.name, *name);
        assert!(looks.insert(collision_key(name)), "{name} collides");
        assert!(!topic.partitions.is_empty());
        for partition in &topic.partitions {
            assert!(!partition.isr.is_empty());
            assert!(
                partition
                    .isr
                    .iter()
                    .all(|id| partition.replicas.contains(id))
            );
            assert_eq!(partition.replicas.len(), partition.directories.len());
            if partition.leader != BrokerId::NONE {
                assert!(partition.isr.contains(&partition.leader), "{partition:?}");
                let alive = |id: &BrokerId| image.brokers.get(id).is_some_and(|b| !b.fenced);
                assert!(partition.isr.iter().all(alive), "{partition:?}");
            }
        }
    }
    assert_eq!(image.topics.size(), image.topic_ids.size());
}

fn check_epochs(before: &Image, after: &Image) {
    for (id, old) in &before.topics {
        let Some(new) = after.topics.get(id) else {
            continue;
        };
        assert!(new.partitions.len() >= old.partitions.len());
        for (old, new) in old.partitions.iter().zip(&new.partitions) {
            assert!(new.leader_epoch >= old.leader_epoch);
            assert!(new.partition_epoch >= old.partition_epoch);
            assert!(new.leader == old.leader || new.leader_epoch > old.leader_epoch);
            assert!(new == old || new.partition_epoch > old.partition_epoch);
        }
    }
    assert!(after.next_producer_id >= before.next_producer_id);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_images_are_the_sum_of_the_records_whatever_is_asked(
        steps in prop::collection::vec(step(), 1..60)
    ) {
        let mut cluster = Cluster::of(2);
        let mut log_image = Image::of_records(&cluster.log);
        let mut in_flight: VecDeque<Vec<MetadataRecord>> = VecDeque::new();
        for step in steps {
            let before = log_image.clone();
            match step {
                Step::Ask(request) => in_flight.push_back(cluster.plan(request).records),
                Step::LoseLeadership => {
                    cluster.controller.handle_lost_leadership();
                    in_flight.clear();
                }
                Step::Commit => {
                    let records = in_flight.pop_front().unwrap_or_default();
                    let mut touched = Touched::default();
                    for record in &records {
                        touched.note(&log_image, record);
                        log_image.replay(record);
                    }
                    cluster.commit(&records);
                    prop_assert_eq!(
                        touched.delta(&before, &log_image),
                        Delta::between(&before, &log_image)
                    );
                    check_epochs(&before, &log_image);
                }
            }
            prop_assert_eq!(cluster.controller.committed(), &log_image);
            let planned = in_flight.iter().flatten();
            let mut sum = log_image.clone();
            planned.for_each(|record| sum.replay(record));
            prop_assert_eq!(cluster.controller.planned(), &sum);
            check_image(cluster.controller.planned());
        }
        check_image(&log_image);
        prop_assert_eq!(&Image::of_records(&log_image.to_records()), &log_image);
    }
}
