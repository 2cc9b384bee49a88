use super::*;
use crate::config::keys::{broker_table, group_table, topic_table};
use crate::metadata::image::Image;
use crate::model::BrokerId;

fn told(name: &str, value: &str) -> String {
    let key = topic_table().get(name).expect("a topic key");
    match check_value(key, value) {
        Ok(()) => "fits".to_owned(),
        Err(error) => error.0,
    }
}

#[test]
fn a_value_that_does_not_fit_is_named_as_kafka_names_it() {
    for (name, value, why) in [
        ("retention.ms", "abc", "Not a number of type LONG"),
        ("retention.ms", "", "Not a number of type LONG"),
        ("retention.ms", "-2", "Value must be at least -1"),
        ("segment.bytes", "100", "Value must be at least 1048576"),
        ("segment.bytes", "4294967296", "Not a number of type INT"),
        (
            "compression.gzip.level",
            "10",
            "Value must be between 1 and 9 or equal to -1",
        ),
        (
            "compression.gzip.level",
            "0",
            "Value must be between 1 and 9 or equal to -1",
        ),
        (
            "compression.lz4.level",
            "18",
            "Value must be no more than 17",
        ),
        (
            "min.cleanable.dirty.ratio",
            "1.5",
            "Value must be no more than 1",
        ),
        (
            "min.cleanable.dirty.ratio",
            "NaN",
            "Not a number of type DOUBLE",
        ),
        (
            "preallocate",
            "yes",
            "Expected value to be either true or false",
        ),
        (
            "message.timestamp.type",
            "Now",
            "String must be one of: CreateTime, LogAppendTime",
        ),
        (
            "cleanup.policy",
            "erase",
            "String must be one of: compact, delete",
        ),
    ] {
        let sentence = format!("Invalid value {value} for configuration {name}: {why}");
        assert_eq!(told(name, value), sentence);
    }
}

#[test]
fn a_value_that_fits_passes() {
    for (name, value) in [
        ("retention.ms", "-1"),
        ("retention.ms", " 5 "),
        ("compression.gzip.level", "-1"),
        ("cleanup.policy", ""),
        ("cleanup.policy", "compact, delete"),
        ("preallocate", "TRUE"),
        ("remote.storage.enable", "false"),
        ("leader.replication.throttled.replicas", "*"),
        ("leader.replication.throttled.replicas", "0:1,1:2"),
    ] {
        assert_eq!(told(name, value), "fits", "{name}={value}");
    }
}

#[test]
fn a_list_of_replicas_is_pairs_or_a_star() {
    let name = "leader.replication.throttled.replicas";
    for value in ["0-1", "*,0:1", "0:", ":1", "0:1:2", "-1:0"] {
        assert!(
            told(name, value).contains("must be the literal '*'"),
            "{value}"
        );
    }
}

#[test]
fn what_is_not_enforced_is_refused_with_its_reason() {
    let sentence = told("remote.storage.enable", "true");
    assert!(sentence.starts_with("Invalid value true for configuration remote.storage.enable: "));
    assert!(sentence.contains("not built"), "{sentence}");
}

#[test]
fn a_list_names_no_entry_twice() {
    assert!(told("cleanup.policy", "compact,compact").contains("must not be repeated"));
}

fn topic_told(set: &[(&str, &str)], static_broker: &[(&str, &str)]) -> Result<(), String> {
    let owned = |pairs: &[(&str, &str)]| -> ConfigValues {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let tables = ConfigTables {
        topic: topic_table().into(),
        broker: broker_table().into(),
        static_broker: owned(static_broker).into(),
        ..ConfigTables::default()
    };
    let image = Image::default();
    let layers = ConfigLayers::of_broker(&image, &tables, BrokerId(1));
    check_topic(&tables, &layers, &owned(set)).map_err(|error| error.0)
}

#[test]
fn the_lags_of_compaction_must_not_contradict_each_other() {
    let (min, max) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    let conflict = "conflict topic config setting min.compaction.lag.ms (10) > \
                    max.compaction.lag.ms (5)";
    assert_eq!(
        topic_told(&[(min, "10"), (max, "5")], &[]),
        Err(conflict.to_owned())
    );
    assert_eq!(topic_told(&[(min, "5"), (max, "5")], &[]), Ok(()));
    // Also not with what the broker says.
    let broker = [("log.cleaner.max.compaction.lag.ms", "5")];
    assert_eq!(
        topic_told(&[(min, "10")], &broker),
        Err(conflict.to_owned())
    );
}

#[test]
fn an_unknown_key_is_named() {
    let unknown = "Unknown topic config name: no.such.key".to_owned();
    let set = [("no.such.key", "1"), ("retention.ms", "abc")];
    assert_eq!(topic_told(&set, &[]), Err(unknown));
}

#[test]
fn a_resource_takes_so_many_keys_and_values_of_such_a_length() {
    let value = |length: usize| ConfigValues::from([("a".to_owned(), "x".repeat(length))]);
    assert_eq!(check_amount(&value(VALUE_BYTES_MAX)), Ok(()));
    assert_eq!(
        check_amount(&value(VALUE_BYTES_MAX + 1)).unwrap_err().0,
        "A key of 1 bytes with a value of 32768 bytes exceeds the maximum of 32767 bytes"
    );
    let keys = |count: usize| -> ConfigValues {
        (0..count)
            .map(|number| (number.to_string(), String::new()))
            .collect()
    };
    assert_eq!(check_amount(&keys(VALUES_PER_RESOURCE_MAX)), Ok(()));
    assert!(check_amount(&keys(VALUES_PER_RESOURCE_MAX + 1)).is_err());
}

fn group_told(set: &[(&str, &str)], static_broker: &[(&str, &str)]) -> Result<(), String> {
    let owned = |pairs: &[(&str, &str)]| -> ConfigValues {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        owned.collect()
    };
    let tables = ConfigTables {
        group: group_table().into(),
        broker: broker_table().into(),
        static_broker: owned(static_broker).into(),
        ..ConfigTables::default()
    };
    let image = Image::default();
    let layers = ConfigLayers::of_broker(&image, &tables, BrokerId(1));
    check_group(&tables, &layers, &owned(set)).map_err(|error| error.0)
}

#[test]
fn a_group_stays_within_what_the_broker_allows_groups() {
    let session = "consumer.session.timeout.ms";
    let told = |value| group_told(&[(session, value)], &[]);
    assert_eq!(told("45000"), Ok(()));
    assert_eq!(told("60000"), Ok(()));
    assert!(told("44999").unwrap_err().contains("group.consumer.min."));
    assert!(told("60001").unwrap_err().contains("group.consumer.max."));
    let wider = [("group.consumer.min.session.timeout.ms", "1")];
    assert_eq!(group_told(&[(session, "5001")], &wider), Ok(()));
    // Then a member would be taken for dead between two heartbeats.
    let dead = "consumer.session.timeout.ms must be greater than consumer.heartbeat.interval.ms";
    let told = group_told(&[(session, "5000")], &wider);
    assert_eq!(told, Err(dead.to_owned()));
    let told = group_told(&[("streams.num.standby.replicas", "3")], &[]);
    assert!(
        told.unwrap_err()
            .contains("group.streams.max.standby.replicas")
    );
    assert_eq!(
        group_told(&[("share.auto.offset.reset", "earliest")], &[]),
        Ok(())
    );
}
