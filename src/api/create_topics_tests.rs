//! CreateTopics and CreatePartitions from request to answer, against a live Kafka 4.3.1. What the
//! controller decides is tested with the controller.

use super::*;
use crate::api::gateway::ControllerUnavailable;
use crate::api::testing_tests::Desk;
use crate::protocol::messages::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::messages::create_topics_request::CreatableTopicConfig;
use crate::protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

fn topic(name: &str, partitions: i32) -> CreatableTopic {
    message!(CreatableTopic {
        name: name.into(),
        num_partitions: partitions,
        replication_factor: 1,
    })
}

fn create(desk: &Desk, version: i16, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
    let answer: CreateTopicsResponse = desk.ask(
        version,
        message!(CreateTopicsRequest {
            topics: topics,
            timeout_ms: 5_000,
        }),
    );
    answer.topics
}

fn show(result: &CreatableTopicResult) -> String {
    let configs = result.configs.as_ref().map(Vec::len);
    format!(
        "{} error {} {:?} counts {}x{} configs {configs:?} id {}",
        result.name,
        result.error_code,
        result.error_message.as_deref(),
        result.num_partitions,
        result.replication_factor,
        !result.topic_id.is_zero()
    )
}

#[test]
fn a_new_topic_is_described_as_far_as_the_version_goes() {
    let desk = Desk::new();
    for (version, told) in [
        (2, "error 0 None counts -1x-1 configs Some(0) id false"),
        (4, "error 0 None counts -1x-1 configs Some(0) id false"),
        (5, "error 0 None counts 2x1 configs Some(33) id false"),
        (6, "error 0 None counts 2x1 configs Some(33) id false"),
        (7, "error 0 None counts 2x1 configs Some(33) id true"),
    ] {
        let name = format!("v{version}");
        let results = create(&desk, version, vec![topic(&name, 2)]);
        assert_eq!(show(&results[0]), format!("{name} {told}"));
    }
}

#[test]
fn a_refused_topic_has_counts_of_minus_one_and_an_empty_list_never_null() {
    let desk = Desk::new();
    create(&desk, 7, vec![topic("plain", 2)]);
    for version in 5..=7 {
        let results = create(&desk, version, vec![topic("plain", 2)]);
        assert_eq!(
            show(&results[0]),
            "plain error 36 Some(\"Topic 'plain' already exists.\") counts -1x-1 configs Some(0) id false"
        );
    }
}

#[test]
fn what_the_door_refuses_is_answered_in_its_place_and_the_rest_is_created() {
    let desk = Desk::new();
    let topics = vec![
        topic("twice", 2),
        topic("fine", 1),
        topic("__cluster_metadata", 1),
        topic("twice", 1),
        topic("a/b", 1),
    ];
    let told: Vec<(String, i16, String)> = create(&desk, 7, topics)
        .into_iter()
        .map(|result| {
            let sentence = result.error_message.as_deref().unwrap_or("").to_owned();
            (result.name.into_string(), result.error_code, sentence)
        })
        .collect();
    let told: Vec<(&str, i16, &str)> = told.iter().map(|t| (&*t.0, t.1, &*t.2)).collect();
    assert_eq!(
        told,
        [
            ("twice", 42, "Duplicate topic name."),
            ("fine", 0, ""),
            (
                "__cluster_metadata",
                42,
                "Creation of internal topic __cluster_metadata is prohibited."
            ),
            (
                "a/b",
                17,
                "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            ),
        ]
    );
    assert!(desk.gateway.image.load().topic("twice").is_none());
}

#[test]
fn values_come_with_where_they_were_set() {
    let desk = Desk::with_file(&[
        ("log.retention.hours", "168"),
        ("log.segment.bytes", "2000000"),
    ]);
    let mut topic = topic("conf", 1);
    topic.configs = vec![message!(CreatableTopicConfig {
        name: "flush.ms".into(),
        value: Some("1000".into()),
    })];
    let results = create(&desk, 7, vec![topic]);
    let configs = results[0].configs.as_ref().unwrap();
    let told = |name: &str| {
        let config = configs.iter().find(|config| *config.name == *name).unwrap();
        (
            config.value.as_deref().unwrap_or("(null)").to_owned(),
            config.config_source,
        )
    };
    assert_eq!(told("flush.ms"), ("1000".into(), 1));
    assert_eq!(told("retention.ms"), ("604800000".into(), 4));
    assert_eq!(told("segment.bytes"), ("2000000".into(), 4));
    assert_eq!(told("cleanup.policy"), ("delete".into(), 5));
}

#[test]
fn a_controller_that_does_not_answer_is_a_timeout_of_each_topic() {
    let desk = Desk::new();
    let unavailable = &desk.controller.unavailable;
    unavailable.set(Some(ControllerUnavailable::TimedOut));
    let results = create(&desk, 7, vec![topic("a", 1), topic("b", 1)]);
    assert_eq!(
        show(&results[0]),
        "a error 7 None counts -1x-1 configs Some(0) id false"
    );
    assert_eq!(results[1].error_code, 7);
    unavailable.set(Some(ControllerUnavailable::Gone));
    assert_eq!(create(&desk, 7, vec![topic("a", 1)])[0].error_code, 7);
}

#[test]
fn nothing_asked_is_nothing_answered() {
    let desk = Desk::new();
    for version in 2..=7 {
        assert!(create(&desk, version, vec![]).is_empty());
    }
    assert_eq!(desk.controller.asked.get(), 0);
}

fn grow(desk: &Desk, version: i16, topics: &[(&str, i32)]) -> Vec<String> {
    let answer: CreatePartitionsResponse = desk.ask(
        version,
        message!(CreatePartitionsRequest {
            topics: topics
                .iter()
                .map(|(name, count)| message!(CreatePartitionsTopic {
                    name: (*name).into(),
                    count: *count,
                    assignments: None,
                }))
                .collect(),
            timeout_ms: 5_000,
        }),
    );
    let results = answer.results.iter().map(|result| {
        let sentence = result.error_message.as_deref();
        format!("{} {} {sentence:?}", result.name, result.error_code)
    });
    results.collect()
}

#[test]
fn partitions_are_added_never_removed() {
    let desk = Desk::new();
    create(&desk, 7, vec![topic("grow", 2)]);
    let shrink = r#"grow 37 Some("The topic grow currently has 2 partition(s); 1 would not be an increase.")"#;
    assert_eq!(grow(&desk, 3, &[("grow", 1)]), [shrink]);
    assert_eq!(grow(&desk, 3, &[("nosuch", 4)]), ["nosuch 3 None"]);
    assert_eq!(
        grow(&desk, 3, &[("grow", 3), ("nosuch", 4), ("grow", 4)]),
        [r#"grow 42 Some("Duplicate topic name.")"#, "nosuch 3 None"]
    );
    for version in 0..=3 {
        let count = 3 + i32::from(version);
        assert_eq!(grow(&desk, version, &[("grow", count)]), ["grow 0 None"]);
    }
    assert_eq!(
        desk.gateway
            .image
            .load()
            .topic("grow")
            .unwrap()
            .partitions
            .len(),
        6
    );
}
