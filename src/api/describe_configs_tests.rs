//! DescribeConfigs and ListConfigResources, against answers of a live Kafka 4.3.1.

use expect_test::{Expect, expect};

use std::rc::Rc;

use super::*;
use crate::api::gateway::LogLevel;
use crate::api::peer::Connection;
use crate::api::testing_tests::Desk;
use crate::metadata::controller::{ConfigOperation, Operation, Request};
use crate::metadata::{ConfigResource, ResourceKind};
use crate::protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

fn set(desk: &Desk, kind: ResourceKind, name: &str, key: &str, value: &str) {
    let resource = ConfigResource {
        kind,
        name: name.to_owned(),
    };
    let operation = ConfigOperation {
        key: key.to_owned(),
        operation: Operation::Set,
        value: Some(value.to_owned()),
    };
    let reply = desk.controller.plan(Request::AlterConfigs {
        resources: vec![(resource, vec![operation])],
        replace: false,
        validate_only: false,
    });
    assert!(!format!("{reply:?}").contains("Err"), "{reply:?}");
}

fn ask(desk: &Desk, version: i16, kind: i8, name: &str, keys: &[&str]) -> DescribeConfigsResult {
    let answer: DescribeConfigsResponse = desk.ask(
        version,
        message!(DescribeConfigsRequest {
            resources: vec![message!(DescribeConfigsResource {
                resource_type: kind,
                resource_name: name.into(),
                configuration_keys: Some(keys.iter().map(|key| (*key).into()).collect()),
            })],
            include_synonyms: true,
        }),
    );
    answer.results.into_iter().next().unwrap()
}

fn show(result: &DescribeConfigsResult) -> String {
    let mut lines = Vec::new();
    if result.error_code != 0 {
        let sentence = result.error_message.as_deref().unwrap_or("(null)");
        lines.push(format!("error {} {sentence}", result.error_code));
    }
    for config in &result.configs {
        let synonyms: Vec<String> = config
            .synonyms
            .iter()
            .map(|s| {
                format!(
                    "{}={}:{}",
                    s.name,
                    s.value.as_deref().unwrap_or("(null)"),
                    s.source
                )
            })
            .collect();
        lines.push(format!(
            "{}={} source {} type {}{}{} {}",
            config.name,
            config.value.as_deref().unwrap_or("(null)"),
            config.config_source,
            config.config_type,
            if config.read_only { " read-only" } else { "" },
            if config.is_sensitive {
                " sensitive"
            } else {
                ""
            },
            synonyms.join(" ")
        ));
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

fn check(desk: &Desk, kind: i8, name: &str, keys: &[&str], expected: Expect) {
    expected.assert_eq(&show(&ask(desk, 4, kind, name, keys)));
}

#[test]
fn a_topics_value_stands_above_the_brokers_and_those_above_the_default() {
    let desk = Desk::with_file(&[("log.retention.hours", "168")]);
    desk.create("conf", 1, &[("retention.ms", "1000")]);
    let keys = ["retention.ms", "cleanup.policy", "no.such"];
    check(
        &desk,
        2,
        "conf",
        &keys,
        expect![[r#"
        cleanup.policy=delete source 5 type 7 log.cleanup.policy=delete:5
        retention.ms=1000 source 1 type 5 retention.ms=1000:1
    "#]],
    );
    desk.create("other", 1, &[]);
    check(
        &desk,
        2,
        "other",
        &keys,
        expect![[r#"
        cleanup.policy=delete source 5 type 7 log.cleanup.policy=delete:5
        retention.ms=604800000 source 5 type 5
    "#]],
    );
    set(
        &desk,
        ResourceKind::Broker,
        "1",
        "log.retention.ms",
        "100000",
    );
    set(
        &desk,
        ResourceKind::Broker,
        "",
        "log.retention.ms",
        "200000",
    );
    check(
        &desk,
        2,
        "other",
        &["retention.ms"],
        expect![[r#"
        retention.ms=100000 source 2 type 5 log.retention.ms=100000:2 log.retention.ms=200000:3 log.retention.hours=168:4 log.retention.hours=168:5
    "#]],
    );
    check(
        &desk,
        4,
        "1",
        &["log.retention.ms"],
        expect![[r#"
        log.retention.ms=100000 source 2 type 5 log.retention.ms=100000:2 log.retention.ms=200000:3 log.retention.hours=168:4 log.retention.hours=168:5
    "#]],
    );
    check(
        &desk,
        4,
        "",
        &[],
        expect![[r#"
        log.retention.ms=200000 source 3 type 5 log.retention.ms=200000:3
    "#]],
    );
}

#[test]
fn every_key_is_described_when_none_is_named() {
    let desk = Desk::new();
    desk.create("conf", 1, &[]);
    assert_eq!(ask(&desk, 4, 2, "conf", &[]).configs.len(), 33);
    let all: DescribeConfigsResponse = desk.ask(
        1,
        message!(DescribeConfigsRequest {
            resources: vec![message!(DescribeConfigsResource {
                resource_type: 2,
                resource_name: "conf".into(),
                configuration_keys: None,
            })],
        }),
    );
    assert_eq!(all.results[0].configs.len(), 33);
    assert!(all.results[0].configs.iter().all(|c| c.synonyms.is_empty()));
    assert!(ask(&desk, 4, 4, "1", &[]).configs.len() > 300);
}

#[test]
fn every_version_is_answered_and_types_come_with_the_third() {
    let desk = Desk::new();
    desk.create("conf", 1, &[]);
    for version in 1..=4 {
        let told = ask(&desk, version, 2, "conf", &["segment.ms"]);
        let config_type = if version < 3 { 0 } else { 5 };
        assert_eq!(told.configs[0].config_type, config_type, "{version}");
        assert_eq!(told.configs[0].value.as_deref(), Some("604800000"));
    }
}

#[test]
fn documentation_is_told_when_it_is_wanted() {
    let desk = Desk::new();
    desk.create("conf", 1, &[]);
    for wanted in [false, true] {
        let answer: DescribeConfigsResponse = desk.ask(
            4,
            message!(DescribeConfigsRequest {
                resources: vec![message!(DescribeConfigsResource {
                    resource_type: 2,
                    resource_name: "conf".into(),
                    configuration_keys: None,
                })],
                include_documentation: wanted,
            }),
        );
        for config in &answer.results[0].configs {
            let told = config
                .documentation
                .as_deref()
                .is_some_and(|d| d.len() > 10);
            assert_eq!(told, wanted, "{}", config.name);
        }
    }
}

#[test]
fn secrets_are_never_shown_and_fixed_keys_say_so() {
    let desk = Desk::with_file(&[("ssl.key.password", "hush"), ("node.id", "1")]);
    check(
        &desk,
        4,
        "1",
        &[
            "ssl.key.password",
            "node.id",
            "log.retention.hours",
            "log.retention.ms",
        ],
        expect![[r#"
            log.retention.hours=168 source 5 type 3 read-only log.retention.hours=168:5
            log.retention.ms=(null) source 5 type 5
            node.id=1 source 4 type 3 read-only node.id=1:4 node.id=1:5 broker.id=-1:5
            ssl.key.password=(null) source 4 type 9 read-only sensitive ssl.key.password=(null):4
        "#]],
    );
}

#[test]
fn a_rate_that_no_file_holds_is_described_once_it_is_set() {
    let desk = Desk::new();
    let rate = "leader.replication.throttled.rate";
    check(&desk, 4, "1", &[rate], expect![[""]]);
    set(&desk, ResourceKind::Broker, "1", rate, "1000");
    check(
        &desk,
        4,
        "1",
        &[rate],
        expect![[r#"
        leader.replication.throttled.rate=1000 source 2 type 5 leader.replication.throttled.rate=1000:2
    "#]],
    );
}

#[test]
fn resources_that_are_none_are_refused_in_kafkas_words() {
    let desk = Desk::new();
    for (kind, name, told) in [
        (2, "nosuch", "error 3 \n"),
        (
            2,
            "bad/name",
            "error 17 Topic name is invalid: 'bad/name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'\n",
        ),
        (
            2,
            "",
            "error 17 Topic name is invalid: the empty string is not allowed\n",
        ),
        (
            4,
            "7",
            "error 42 Unexpected broker id, expected 1 or empty string, but received 7\n",
        ),
        (
            4,
            "abc",
            "error 42 Broker id must be an integer, but it is: abc\n",
        ),
        (8, "", "error 42 Broker id must not be empty\n"),
        (
            8,
            "7",
            "error 42 Unexpected broker id, expected 1 but received 7\n",
        ),
    ] {
        let told = told.replace(" \n", "\n");
        assert_eq!(show(&ask(&desk, 4, kind, name, &["retention.ms"])), told);
    }
    for kind in [0, 1, 3, -1, 127] {
        assert_eq!(ask(&desk, 4, kind, "x", &[]).error_code, 42);
    }
}

#[test]
fn loggers_groups_and_subscriptions_are_described_too() {
    let desk = Desk::new();
    desk.node
        .levels
        .borrow_mut()
        .insert("root".into(), Some(LogLevel::Info));
    desk.node
        .levels
        .borrow_mut()
        .insert("milena::net".into(), Some(LogLevel::Debug));
    check(
        &desk,
        8,
        "1",
        &[],
        expect![[r#"
        milena::net=DEBUG source 6 type 0
        root=INFO source 6 type 0
    "#]],
    );
    check(
        &desk,
        16,
        "m",
        &[],
        expect![[r#"
        interval.ms=300000 source 5 type 3
        match= source 5 type 7
        metrics= source 5 type 7
    "#]],
    );
    check(
        &desk,
        32,
        "g",
        &["consumer.session.timeout.ms"],
        expect![[r#"
            consumer.session.timeout.ms=45000 source 5 type 3 group.consumer.session.timeout.ms=45000:5
        "#]],
    );
    set(
        &desk,
        ResourceKind::Group,
        "g",
        "consumer.session.timeout.ms",
        "50000",
    );
    check(
        &desk,
        32,
        "g",
        &["consumer.session.timeout.ms"],
        expect![[r#"
            consumer.session.timeout.ms=50000 source 8 type 3 consumer.session.timeout.ms=50000:8 group.consumer.session.timeout.ms=45000:5
        "#]],
    );
}

fn list(desk: &Desk, version: i16, types: &[i8]) -> String {
    let answer: ListConfigResourcesResponse = desk.ask(
        version,
        message!(ListConfigResourcesRequest {
            resource_types: types.to_vec()
        }),
    );
    let names: Vec<String> = answer
        .config_resources
        .iter()
        .map(|resource| format!("{}:{}", resource.resource_type, resource.resource_name))
        .collect();
    format!("error {} {}", answer.error_code, names.join(" "))
}

#[test]
fn resources_are_listed_by_kind() {
    let desk = Desk::new();
    desk.create("conf", 1, &[]);
    set(
        &desk,
        ResourceKind::ClientMetrics,
        "m",
        "interval.ms",
        "10000",
    );
    set(
        &desk,
        ResourceKind::Group,
        "g",
        "consumer.session.timeout.ms",
        "50000",
    );
    assert_eq!(list(&desk, 1, &[]), "error 0 32:g 16:m 8:1 4:1 2:conf");
    assert_eq!(list(&desk, 1, &[2]), "error 0 2:conf");
    assert_eq!(list(&desk, 1, &[8, 16, 32]), "error 0 32:g 16:m 8:1");
    assert_eq!(list(&desk, 1, &[3]), "error 35 ");
    assert_eq!(list(&desk, 0, &[]), "error 0 16:m");
}

#[test]
fn a_resource_named_ever_so_often_fills_one_answer_and_no_more() {
    let desk = Desk::new();
    let resource = message!(DescribeConfigsResource {
        resource_type: 4,
        resource_name: "1".into(),
    });
    let request = message!(DescribeConfigsRequest {
        resources: vec![resource; 3000],
        include_synonyms: true,
        include_documentation: true,
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    // Asked without a frame: an answer of this size is more than our own decoder takes.
    let peer = Peer {
        connection: Rc::new(Connection::anonymous("PLAINTEXT", "127.0.0.1")),
        client_id: None,
    };
    let answer = runtime.block_on(handle(&desk.gateway, request, 4, &peer));
    let codes: Vec<i16> = answer.results.iter().map(|one| one.error_code).collect();
    let told = codes.iter().take_while(|code| **code == 0).count();
    assert!(0 < told && told < 3000, "{told}");
    let refused = ErrorCode::PolicyViolation.code();
    assert!(codes[told..].iter().all(|code| *code == refused));
    assert_eq!(codes.len(), 3000);
}
