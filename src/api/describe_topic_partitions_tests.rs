//! Pages of DescribeTopicPartitions, against answers of a live Kafka 4.3.1.

use super::*;
use crate::api::testing_tests::Desk;
use crate::protocol::messages::describe_topic_partitions_request::TopicRequest;

fn ask(desk: &Desk, names: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> String {
    let topic = |name: &&str| {
        message!(TopicRequest {
            name: (*name).into()
        })
    };
    let answer: DescribeTopicPartitionsResponse = desk.ask(
        0,
        message!(DescribeTopicPartitionsRequest {
            topics: names.iter().map(topic).collect(),
            response_partition_limit: limit,
            cursor: cursor.map(|(topic, partition)| message!(Start {
                topic_name: topic.into(),
                partition_index: partition,
            })),
        }),
    );
    let mut shown: Vec<String> = answer
        .topics
        .iter()
        .map(|topic| {
            for partition in &topic.partitions {
                assert_eq!(partition.eligible_leader_replicas, Some(vec![]));
                assert_eq!(partition.last_known_elr, Some(vec![]));
            }
            let partitions: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).collect();
            let name = topic.name.as_deref().unwrap_or("(null)");
            match topic.error_code {
                0 => format!("{name}{partitions:?}"),
                error => format!("{name}!{error}"),
            }
        })
        .collect();
    if let Some(next) = &answer.next_cursor {
        shown.push(format!("next {}-{}", next.topic_name, next.partition_index));
    }
    shown.join(" ")
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.create("meta", 2, &[]);
    desk.create("auto1", 1, &[]);
    desk
}

#[test]
fn a_page_ends_at_its_limit_and_tells_where_to_go_on() {
    let desk = desk();
    for (names, limit, told) in [
        (&["meta"][..], 2000, "meta[0, 1]"),
        (&["meta"], 1, "meta[0] next meta-1"),
        (&["meta"], 0, "meta[0] next meta-1"),
        (&["meta"], -5, "meta[0] next meta-1"),
        (&["meta", "auto1"], 2, "auto1[0] meta[0] next meta-1"),
        (&["meta", "auto1"], 1, "auto1[0] next meta-0"),
        (&["meta", "meta"], 5, "meta[0, 1]"),
        (&[], 2000, "auto1[0] meta[0, 1]"),
    ] {
        assert_eq!(ask(&desk, names, limit, None), told, "{names:?} {limit}");
    }
}

#[test]
fn the_next_page_begins_at_the_cursor() {
    let desk = desk();
    for (names, cursor, told) in [
        (&["meta"][..], ("meta", 1), "meta[1]"),
        (&["meta"], ("meta", 5), "meta[]"),
        (&["meta"], ("meta", -1), "meta!42"),
        (&["meta"], ("zzz", 0), "meta!42"),
        (&["meta"], ("aaa", 0), "meta!42"),
        (&["auto1", "meta"], ("meta", 0), "meta[0, 1]"),
        (&[], ("auto2", 0), "meta[0, 1]"),
    ] {
        assert_eq!(
            ask(&desk, names, 9, Some(cursor)),
            told,
            "{names:?} {cursor:?}"
        );
    }
}

#[test]
fn names_without_a_topic_are_told_each_by_itself() {
    assert_eq!(
        ask(&desk(), &["meta", "nosuch", "bad/name", ""], 2000, None),
        "!17 bad/name!17 meta[0, 1] nosuch!3"
    );
}

#[test]
fn the_brokers_limit_holds_whatever_is_asked() {
    let desk = Desk::with_file(&[("max.request.partition.size.limit", "1")]);
    desk.create("meta", 2, &[]);
    assert_eq!(ask(&desk, &[], 2000, None), "meta[0] next meta-1");
}
