//! DeleteTopics from request to answer, against a live Kafka 4.3.1.

use super::*;
use crate::api::testing_tests::Desk;

fn by_name(name: &str) -> DeleteTopicState {
    message!(DeleteTopicState {
        name: Some(name.into())
    })
}

fn by_id(id: Uuid) -> DeleteTopicState {
    message!(DeleteTopicState { topic_id: id })
}

fn delete(desk: &Desk, topics: Vec<DeleteTopicState>) -> Vec<String> {
    let answer: DeleteTopicsResponse = desk.ask(
        6,
        message!(DeleteTopicsRequest {
            topics: topics,
            timeout_ms: 5_000,
        }),
    );
    show(&answer)
}

fn delete_names(desk: &Desk, version: i16, names: &[&str]) -> Vec<String> {
    let answer: DeleteTopicsResponse = desk.ask(
        version,
        message!(DeleteTopicsRequest {
            topic_names: names.iter().map(|name| (*name).into()).collect(),
            timeout_ms: 5_000,
        }),
    );
    show(&answer)
}

fn show(answer: &DeleteTopicsResponse) -> Vec<String> {
    let responses = answer.responses.iter().map(|topic| {
        format!(
            "{} id {} error {} {}",
            topic.name.as_deref().unwrap_or("(null)"),
            !topic.topic_id.is_zero(),
            topic.error_code,
            topic.error_message.as_deref().unwrap_or("-")
        )
    });
    responses.collect()
}

fn id_of(desk: &Desk, name: &str) -> Uuid {
    wire_uuid(desk.gateway.image.load().topic(name).unwrap().id)
}

#[test]
fn topics_are_deleted_by_name_and_by_id() {
    let desk = Desk::new();
    desk.create("del1", 1, &[]);
    desk.create("del2", 1, &[]);
    let first = id_of(&desk, "del1");
    assert_eq!(
        delete(&desk, vec![by_id(first), by_name("del2")]),
        ["del1 id true error 0 -", "del2 id true error 0 -"]
    );
    assert_eq!(desk.gateway.image.load().topics.size(), 0);
    for version in 1..=5 {
        desk.create("del3", 1, &[]);
        assert_eq!(
            delete_names(&desk, version, &["del3"]),
            ["del3 id false error 0 -"]
        );
    }
}

#[test]
fn what_is_not_there_is_told_in_the_terms_it_was_asked_in() {
    let desk = Desk::new();
    assert_eq!(
        delete(
            &desk,
            vec![
                by_name("nosuch"),
                by_id(Uuid::from_bytes([9; 16])),
                DeleteTopicState::default(),
            ]
        ),
        [
            "(null) id false error 42 Neither topic name nor id were specified.",
            "nosuch id false error 3 This server does not host this topic-partition.",
            "(null) id true error 100 This server does not host this topic ID.",
        ]
    );
    assert_eq!(delete(&desk, vec![]), [""; 0]);
    assert_eq!(
        delete_names(&desk, 4, &["nosuch"]),
        ["nosuch id false error 3 -"]
    );
}

#[test]
fn a_topic_that_is_asked_for_twice_is_not_deleted() {
    let desk = Desk::new();
    desk.create("del3", 1, &[]);
    let id = id_of(&desk, "del3");
    let mut both = by_name("del3");
    both.topic_id = id;
    assert_eq!(
        delete(&desk, vec![both]),
        ["del3 id true error 42 You may not specify both topic name and topic id."]
    );
    assert_eq!(
        delete(&desk, vec![by_name("del3"), by_name("del3")]),
        ["del3 id false error 42 Duplicate topic name."]
    );
    assert_eq!(
        delete(&desk, vec![by_id(id), by_id(id)]),
        ["(null) id true error 42 Duplicate topic id."]
    );
    for topics in [
        vec![by_name("del3"), by_id(id)],
        vec![by_id(id), by_name("del3")],
    ] {
        assert_eq!(
            delete(&desk, topics),
            [
                "del3 id true error 42 The provided topic name maps to an ID that was already supplied."
            ]
        );
    }
    assert_eq!(desk.gateway.image.load().topics.size(), 1);
}

#[test]
fn a_broker_that_deletes_no_topics_says_so() {
    let desk = Desk::with_file(&[("delete.topic.enable", "false")]);
    desk.create("keep", 1, &[]);
    assert_eq!(
        delete_names(&desk, 2, &["keep"]),
        ["keep id false error 42 -"]
    );
    assert_eq!(
        delete(&desk, vec![by_name("keep")]),
        ["keep id false error 73 -"]
    );
}
