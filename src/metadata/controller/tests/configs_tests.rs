use super::*;

type Asked<'a> = (&'a str, Operation, Option<&'a str>);
type Case<'a> = (&'a str, &'a [Asked<'a>], fn(String) -> Refusal, &'a str);

fn alter(
    cluster: &mut Cluster,
    on: &ConfigResource,
    replace: bool,
    asked: &[Asked<'_>],
) -> Result<(), Refusal> {
    let operations = asked.iter().map(|(key, operation, value)| ConfigOperation {
        key: (*key).to_owned(),
        operation: *operation,
        value: value.map(str::to_owned),
    });
    let reply = cluster.ask(Request::AlterConfigs {
        resources: vec![(on.clone(), operations.collect())],
        replace,
        validate_only: false,
    });
    match reply {
        Reply::AlterConfigs(mut results) => results.pop().expect("one answer"),
        other => panic!("not an answer to AlterConfigs: {other:?}"),
    }
}

fn values(cluster: &Cluster, on: &ConfigResource) -> String {
    let values = cluster.image().configs.get(on);
    let values = values.map(|values| (**values).clone()).unwrap_or_default();
    let pairs: Vec<String> = values.iter().map(|(k, v)| format!("{k}={v}")).collect();
    pairs.join(" ")
}

use Operation::{Append, Delete, Set, Subtract};

#[test]
fn values_of_a_topic_are_set_grown_shrunk_and_removed() {
    let mut cluster = Cluster::of(1);
    cluster.topic(topic("conf", 1, 1));
    let conf = resource(ResourceKind::Topic, "conf");
    let mut step = |asked: &[Asked<'_>]| {
        assert_eq!(alter(&mut cluster, &conf, false, asked), Ok(()));
        values(&cluster, &conf)
    };
    assert_eq!(
        step(&[
            ("retention.ms", Set, Some("2000")),
            ("cleanup.policy", Append, Some("compact"))
        ]),
        "cleanup.policy=delete,compact retention.ms=2000"
    );
    assert_eq!(
        step(&[("cleanup.policy", Subtract, Some("delete"))]),
        "cleanup.policy=compact retention.ms=2000"
    );
    assert_eq!(
        step(&[("retention.ms", Delete, None)]),
        "cleanup.policy=compact"
    );
    assert_eq!(step(&[("no.such", Delete, None)]), "cleanup.policy=compact");
    assert_eq!(
        step(&[("cleanup.policy", Subtract, Some("compact"))]),
        "cleanup.policy="
    );
    assert_eq!(step(&[("cleanup.policy", Delete, None)]), "");
}

#[test]
fn a_change_of_a_topic_that_cannot_be_is_refused_in_kafkas_words() {
    let mut cluster = Cluster::of(1);
    cluster.topic(topic("conf", 1, 1));
    use Refusal::*;
    let cases: Vec<Case<'_>> = vec![
        (
            "conf",
            &[("retention.ms", Set, Some("abc"))],
            InvalidConfig,
            "Invalid value abc for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "conf",
            &[("retention.ms", Set, None)],
            InvalidRequest,
            "Null value not supported for : retention.ms",
        ),
        (
            "conf",
            &[("no.such", Set, Some("1"))],
            InvalidConfig,
            "Unknown topic config name: no.such",
        ),
        (
            "conf",
            &[("retention.ms", Append, Some("1"))],
            InvalidConfig,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (
            "conf",
            &[
                ("retention.ms", Set, Some("1")),
                ("retention.ms", Set, Some("2")),
            ],
            InvalidRequest,
            "Error due to duplicate config keys",
        ),
        (
            "nosuch",
            &[("retention.ms", Set, Some("1"))],
            UnknownTopicOrPartition,
            "The topic 'nosuch' does not exist.",
        ),
        (
            "nosuch",
            &[],
            UnknownTopicOrPartition,
            "The topic 'nosuch' does not exist.",
        ),
        (
            "bad/name",
            &[("retention.ms", Set, Some("1"))],
            InvalidTopic,
            "Topic name is invalid: 'bad/name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'",
        ),
        (
            "",
            &[("retention.ms", Set, Some("1"))],
            InvalidRequest,
            "Default topic resources are not allowed.",
        ),
    ];
    for (name, asked, variant, sentence) in cases {
        let on = resource(ResourceKind::Topic, name);
        let refusal = alter(&mut cluster, &on, false, asked);
        assert_eq!(refusal, Err(variant(sentence.to_owned())));
    }
    assert_eq!(values(&cluster, &resource(ResourceKind::Topic, "conf")), "");
}

#[test]
fn the_legacy_request_replaces_every_value() {
    let mut cluster = Cluster::of(1);
    cluster.topic(topic("conf", 1, 1));
    let conf = resource(ResourceKind::Topic, "conf");
    let both = [
        ("retention.ms", Set, Some("5")),
        ("flush.ms", Set, Some("7")),
    ];
    assert_eq!(alter(&mut cluster, &conf, true, &both), Ok(()));
    assert_eq!(
        alter(
            &mut cluster,
            &conf,
            true,
            &[("segment.ms", Set, Some("1000"))]
        ),
        Ok(())
    );
    assert_eq!(values(&cluster, &conf), "segment.ms=1000");
    let refusal = alter(
        &mut cluster,
        &conf,
        true,
        &[("segment.ms", Set, Some("-5"))],
    );
    let sentence = "Invalid value -5 for configuration segment.ms: Value must be at least 1";
    assert_eq!(refusal, Err(Refusal::InvalidConfig(sentence.to_owned())));
    assert_eq!(alter(&mut cluster, &conf, true, &[]), Ok(()));
    assert_eq!(values(&cluster, &conf), "");
}

#[test]
fn brokers_change_what_is_dynamic_alone_or_together() {
    let mut cluster = Cluster::of(1);
    let one = resource(ResourceKind::Broker, "1");
    let all = resource(ResourceKind::Broker, "");
    let retention = |value| [("log.retention.ms", Set, Some(value))];
    assert_eq!(
        alter(&mut cluster, &one, false, &retention("100000")),
        Ok(())
    );
    assert_eq!(
        alter(&mut cluster, &all, false, &retention("200000")),
        Ok(())
    );
    assert_eq!(values(&cluster, &one), "log.retention.ms=100000");
    assert_eq!(values(&cluster, &all), "log.retention.ms=200000");
    let set = |key, value| [(key, Set, Some(value))];
    for (on, asked, sentence) in [
        (
            &one,
            set("log.dirs", "/tmp/x"),
            "Cannot update these configs dynamically: [log.dirs]",
        ),
        (
            &one,
            set("node.id", "3"),
            "Cannot update these configs dynamically: [node.id]",
        ),
        (
            &one,
            set("log.retention.ms", "abc"),
            "Invalid value abc for configuration log.retention.ms: Not a number of type LONG",
        ),
        (
            &resource(ResourceKind::Broker, "abc"),
            set("log.retention.ms", "5"),
            "Node id must be an integer, but it is: abc",
        ),
        (
            &resource(ResourceKind::Broker, "7"),
            set("log.retention.ms", "5"),
            "No broker with id 7 is registered.",
        ),
    ] {
        let refusal = alter(&mut cluster, on, false, &asked);
        assert_eq!(refusal, Err(Refusal::InvalidRequest(sentence.to_owned())));
    }
}

#[test]
fn groups_and_subscriptions_keep_to_their_tables() {
    let mut cluster = Cluster::of(1);
    let group = resource(ResourceKind::Group, "g");
    let refusal = alter(&mut cluster, &group, false, &[("no.such", Set, Some("1"))]);
    let sentence = "Unknown group config name: no.such".to_owned();
    assert_eq!(refusal, Err(Refusal::InvalidConfig(sentence)));
    let subscription = resource(ResourceKind::ClientMetrics, "m");
    let interval = |value| [("interval.ms", Set, Some(value))];
    let refusal = alter(&mut cluster, &subscription, false, &interval("1"));
    let sentence = "Invalid value 1 for interval.ms, interval must be between 100 and 3600000 \
                    (1 hour)";
    assert_eq!(refusal, Err(Refusal::InvalidRequest(sentence.to_owned())));
    assert_eq!(
        alter(&mut cluster, &subscription, false, &interval("10000")),
        Ok(())
    );
    assert_eq!(values(&cluster, &subscription), "interval.ms=10000");
}

#[test]
fn what_is_set_already_writes_no_record() {
    let mut cluster = Cluster::of(1);
    cluster.topic(topic("conf", 1, 1));
    let conf = resource(ResourceKind::Topic, "conf");
    let asked = [("retention.ms", Set, Some("5"))];
    assert_eq!(alter(&mut cluster, &conf, false, &asked), Ok(()));
    let length = cluster.log.len();
    assert_eq!(alter(&mut cluster, &conf, false, &asked), Ok(()));
    assert_eq!(cluster.log.len(), length);
}

#[test]
fn what_a_broker_cannot_be_is_refused_when_it_is_altered() {
    let mut cluster = Cluster::of(1);
    let all = resource(ResourceKind::Broker, "");
    for (key, value, word) in [
        ("log.retention.ms", "0", "keep nothing"),
        ("log.cleaner.threads", "0", "at least 1"),
        ("log.cleaner.threads", "3", "halved or doubled"),
        (
            "log.cleaner.dedupe.buffer.size",
            "1000",
            "must be more than",
        ),
        ("log.cleaner.io.max.bytes.per.second", "0", "at least 1"),
        ("log.local.retention.ms", "5", "not built yet"),
        ("remote.log.reader.threads", "5", "Cannot update"),
    ] {
        let refusal = alter(&mut cluster, &all, false, &[(key, Set, Some(value))]);
        let Err(Refusal::InvalidRequest(sentence)) = refusal else {
            panic!("{key}={value}: {refusal:?}");
        };
        assert!(sentence.contains(word), "{key}={value}: {sentence}");
    }
    for (key, value) in [
        ("log.cleaner.threads", "2"),
        ("log.cleaner.backoff.ms", "100"),
        ("log.retention.ms", "-1"),
    ] {
        let set = alter(&mut cluster, &all, false, &[(key, Set, Some(value))]);
        assert_eq!(set, Ok(()), "{key}={value}");
    }
}
