//! Altering configurations from request to answer, against answers of a live Kafka 4.3.1.

use super::*;
use crate::api::gateway::LogLevel;
use crate::api::testing_tests::Desk;
use crate::metadata::ResourceKind;
use crate::protocol::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use crate::protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, alter_configs_request};

/// Key, operation, value.
type Change<'a> = (&'a str, i8, Option<&'a str>);

fn resource(kind: i8, name: &str, changes: &[Change<'_>]) -> AlterConfigsResource {
    message!(AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: changes
            .iter()
            .map(|(key, operation, value)| message!(AlterableConfig {
                name: (*key).into(),
                config_operation: *operation,
                value: value.map(Into::into),
            }))
            .collect(),
    })
}

fn ask(desk: &Desk, resources: Vec<AlterConfigsResource>, validate_only: bool) -> Vec<String> {
    let request = message!(IncrementalAlterConfigsRequest {
        resources: resources,
        validate_only: validate_only,
    });
    let mut told = Vec::new();
    for version in if validate_only { 0..=1 } else { 1..=1 } {
        let answer: IncrementalAlterConfigsResponse = desk.ask(version, request.clone());
        told = answer
            .responses
            .iter()
            .map(|response| match response.error_message.as_deref() {
                Some(sentence) => format!("{} {sentence}", response.error_code),
                None => response.error_code.to_string(),
            })
            .collect();
    }
    told
}

fn alter(desk: &Desk, kind: i8, name: &str, changes: &[Change<'_>]) -> String {
    ask(desk, vec![resource(kind, name, changes)], false).concat()
}

fn value(desk: &Desk, kind: ResourceKind, name: &str, key: &str) -> Option<String> {
    let image = desk.gateway.image.load();
    image.config(kind, name)?.get(key).cloned()
}

fn desk() -> Desk {
    let desk = Desk::new();
    desk.create("conf", 1, &[]);
    let levels = &desk.node.levels;
    levels
        .borrow_mut()
        .insert("root".into(), Some(LogLevel::Info));
    levels.borrow_mut().insert("milena::net".into(), None);
    desk
}

#[test]
fn keys_are_set_grown_and_returned_to_their_defaults() {
    let desk = desk();
    let told = alter(
        &desk,
        2,
        "conf",
        &[
            ("retention.ms", 0, Some("2000")),
            ("cleanup.policy", 2, Some("compact")),
        ],
    );
    assert_eq!(told, "0");
    let topic = |key| value(&desk, ResourceKind::Topic, "conf", key);
    assert_eq!(topic("retention.ms").as_deref(), Some("2000"));
    assert_eq!(topic("cleanup.policy").as_deref(), Some("delete,compact"));
    assert_eq!(
        alter(&desk, 2, "conf", &[("cleanup.policy", 3, Some("delete"))]),
        "0"
    );
    assert_eq!(alter(&desk, 2, "conf", &[("retention.ms", 1, None)]), "0");
    assert_eq!(topic("cleanup.policy").as_deref(), Some("compact"));
    assert_eq!(topic("retention.ms"), None);
}

/// Kind, name, changes, answer.
type Case<'a> = (i8, &'a str, &'a [Change<'a>], &'a str);

const CASES: &[Case<'_>] = &[
    (
        2,
        "conf",
        &[("retention.ms", 0, Some("abc"))],
        "40 Invalid value abc for configuration retention.ms: Not a number of type LONG",
    ),
    (
        2,
        "conf",
        &[("retention.ms", 0, None)],
        "42 Null value not supported for : retention.ms",
    ),
    (
        2,
        "conf",
        &[("no.such", 0, Some("1"))],
        "40 Unknown topic config name: no.such",
    ),
    (2, "conf", &[("no.such", 1, None)], "0"),
    (
        2,
        "conf",
        &[("retention.ms", 2, Some("1"))],
        "40 Can't APPEND to key retention.ms because its type is not LIST.",
    ),
    (
        2,
        "conf",
        &[
            ("retention.ms", 0, Some("1")),
            ("retention.ms", 0, Some("2")),
        ],
        "42 Error due to duplicate config keys",
    ),
    (2, "conf", &[], "0"),
    (
        2,
        "nosuch",
        &[("retention.ms", 0, Some("1"))],
        "3 The topic 'nosuch' does not exist.",
    ),
    (
        2,
        "bad/name",
        &[("retention.ms", 0, Some("1"))],
        "17 Topic name is invalid: 'bad/name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
    ),
    (
        2,
        "",
        &[("retention.ms", 0, Some("1"))],
        "42 Default topic resources are not allowed.",
    ),
    (3, "x", &[("a", 0, Some("1"))], "42 Unknown resource type 3"),
    (
        4,
        "1",
        &[("log.dirs", 0, Some("/tmp/x"))],
        "42 Cannot update these configs dynamically: [log.dirs]",
    ),
    (
        4,
        "1",
        &[("log.retention.ms", 0, Some("abc"))],
        "42 Invalid value abc for configuration log.retention.ms: Not a number of type LONG",
    ),
    // Kafka changes these while it runs; nothing here would follow.
    (
        4,
        "1",
        &[
            ("max.connections", 0, Some("10")),
            ("num.io.threads", 0, Some("9")),
        ],
        "42 Cannot update these configs dynamically: [max.connections, num.io.threads]",
    ),
    (
        4,
        "1",
        &[("listeners", 0, Some("PLAINTEXT://127.0.0.1:1"))],
        "42 Cannot update these configs dynamically: [listeners]",
    ),
    (
        32,
        "g",
        &[("consumer.session.timeout.ms", 0, Some("1"))],
        "40 consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
    ),
    (
        32,
        "g",
        &[("consumer.session.timeout.ms", 0, Some("50000"))],
        "0",
    ),
    (4, "1", &[("log.retention.ms", 0, Some("100000"))], "0"),
    (4, "", &[("log.retention.ms", 0, Some("200000"))], "0"),
    (
        4,
        "7",
        &[("log.retention.ms", 0, Some("5"))],
        "42 Unexpected broker id, expected 1, but received 7",
    ),
    (
        4,
        "abc",
        &[("log.retention.ms", 0, Some("5"))],
        "42 Node id must be an integer, but it is: abc",
    ),
];

#[test]
fn what_cannot_be_is_refused_in_kafkas_words() {
    let desk = desk();
    for (kind, name, changes, told) in CASES {
        assert_eq!(alter(&desk, *kind, name, changes), *told);
    }
    assert!(alter(&desk, 2, "conf", &[("retention.ms", 9, Some("1"))]).starts_with("42 "));
}

#[test]
fn a_resource_that_is_named_twice_is_refused_both_times_and_the_rest_is_altered() {
    let desk = desk();
    desk.create("other", 1, &[]);
    let told = ask(
        &desk,
        vec![
            resource(2, "conf", &[("retention.ms", 0, Some("1"))]),
            resource(2, "other", &[("flush.ms", 0, Some("5"))]),
            resource(2, "conf", &[("flush.ms", 0, Some("1"))]),
        ],
        false,
    );
    let twice = "42 Each resource must appear at most once.";
    assert_eq!(told, [twice, "0", twice]);
    assert!(value(&desk, ResourceKind::Topic, "conf", "retention.ms").is_none());
    let other = value(&desk, ResourceKind::Topic, "other", "flush.ms");
    assert_eq!(other.as_deref(), Some("5"));
}

#[test]
fn only_telling_what_would_happen_changes_nothing() {
    let desk = desk();
    let told = ask(
        &desk,
        vec![
            resource(2, "conf", &[("retention.ms", 0, Some("77"))]),
            resource(8, "1", &[("milena::net", 0, Some("DEBUG"))]),
        ],
        true,
    );
    assert_eq!(told, ["0", "0"]);
    assert!(value(&desk, ResourceKind::Topic, "conf", "retention.ms").is_none());
    assert_eq!(desk.gateway.loggers.levels()["milena::net"], LogLevel::Info);
}

#[test]
fn the_levels_of_loggers_change_here_all_or_none() {
    let desk = desk();
    let net = |desk: &Desk| desk.gateway.loggers.levels()["milena::net"];
    assert_eq!(
        alter(&desk, 8, "1", &[("milena::net", 0, Some("DEBUG"))]),
        "0"
    );
    assert_eq!(net(&desk), LogLevel::Debug);
    for (name, changes, told) in [
        (
            "1",
            &[("milena::net", 0, Some("LOUD"))][..],
            "40 Cannot set the log level of milena::net to LOUD as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
        ),
        (
            "1",
            &[("no.such.logger", 0, Some("DEBUG"))],
            "40 Logger no.such.logger does not exist!",
        ),
        (
            "1",
            &[("milena::net", 0, Some("TRACE")), ("root", 1, None)],
            "42 Removing the log level of the root logger is not allowed",
        ),
        (
            "1",
            &[("milena::net", 2, Some("INFO"))],
            "42 APPEND operation is not allowed for the BROKER_LOGGER resource",
        ),
        (
            "",
            &[("root", 0, Some("INFO"))],
            "42 Node id must be an integer, but it is: ",
        ),
        (
            "7",
            &[("root", 0, Some("INFO"))],
            "42 Unexpected node id. Expected 1, but received 7",
        ),
    ] {
        assert_eq!(alter(&desk, 8, name, changes), told);
        assert_eq!(net(&desk), LogLevel::Debug);
    }
    assert_eq!(alter(&desk, 8, "1", &[("milena::net", 1, None)]), "0");
    assert_eq!(net(&desk), LogLevel::Info);
    assert_eq!(desk.controller.asked.get(), 1, "only for the topic");
}

fn replace(
    desk: &Desk,
    version: i16,
    kind: i8,
    name: &str,
    values: &[(&str, Option<&str>)],
) -> String {
    let answer: AlterConfigsResponse = desk.ask(
        version,
        message!(AlterConfigsRequest {
            resources: vec![message!(alter_configs_request::AlterConfigsResource {
                resource_type: kind,
                resource_name: name.into(),
                configs: values
                    .iter()
                    .map(
                        |(key, value)| message!(alter_configs_request::AlterableConfig {
                            name: (*key).into(),
                            value: value.map(Into::into),
                        })
                    )
                    .collect(),
            })],
        }),
    );
    let response = &answer.responses[0];
    match response.error_message.as_deref() {
        Some(sentence) => format!("{} {sentence}", response.error_code),
        None => response.error_code.to_string(),
    }
}

#[test]
fn the_legacy_request_returns_what_it_does_not_name_to_its_default() {
    let desk = desk();
    alter(&desk, 2, "conf", &[("retention.ms", 0, Some("2000"))]);
    for version in 0..=2 {
        assert_eq!(
            replace(&desk, version, 2, "conf", &[("segment.ms", Some("1000"))]),
            "0"
        );
    }
    assert_eq!(
        value(&desk, ResourceKind::Topic, "conf", "retention.ms"),
        None
    );
    for (kind, values, told) in [
        (
            2,
            &[("segment.ms", Some("-5"))][..],
            "40 Invalid value -5 for configuration segment.ms: Value must be at least 1",
        ),
        (
            2,
            &[("segment.ms", None)],
            "42 Null value not supported for : segment.ms",
        ),
        (
            2,
            &[("segment.ms", Some("1")), ("segment.ms", Some("2"))],
            "42 Error due to duplicate config keys",
        ),
        (8, &[("root", Some("INFO"))], "42 Unknown resource type 8"),
    ] {
        let name = if kind == 2 { "conf" } else { "1" };
        assert_eq!(replace(&desk, 2, kind, name, values), told);
    }
    assert_eq!(replace(&desk, 2, 2, "conf", &[]), "0");
    assert!(
        desk.gateway
            .image
            .load()
            .config(ResourceKind::Topic, "conf")
            .is_none()
    );
}
