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
fn nothing_of_tiered_storage_can_be_set_but_to_its_default() {
    for (name, other, default) in [
        ("local.retention.ms", "1000", "-2"),
        ("local.retention.bytes", "-1", "-2"),
        ("remote.log.copy.disable", "true", "false"),
        ("remote.log.delete.on.disable", "true", "false"),
        ("remote.storage.enable", "true", "false"),
    ] {
        let sentence = told(name, other);
        assert!(sentence.contains("not built yet"), "{name}: {sentence}");
        assert_eq!(told(name, default), "fits", "{name}");
    }
    let brokers = broker_table();
    for name in ["log.local.retention.ms", "log.local.retention.bytes"] {
        let key = brokers.get(name).expect("a broker key");
        assert!(check_value(key, "5").is_err(), "{name}");
        assert_eq!(check_value(key, "-2"), Ok(()), "{name}");
    }
    // What else there is says nothing while tiering is off, and does not change at run time.
    let remote = brokers.iter().filter(|key| key.name.starts_with("remote."));
    let remote: Vec<_> = remote.collect();
    assert!(remote.len() > 20);
    assert!(remote.iter().all(|key| key.update_mode.is_fixed()));
}

fn broker_told(before: &[(&str, &str)], after: &[(&str, &str)]) -> Result<(), String> {
    let owned = |pairs: &[(&str, &str)]| -> ConfigValues {
        let pairs = pairs.iter();
        pairs
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    };
    let tables = ConfigTables {
        broker: broker_table().into(),
        ..ConfigTables::default()
    };
    let (image, before, after) = (Image::default(), owned(before), owned(after));
    let layers = ConfigLayers::of_broker(&image, &tables, BrokerId(1));
    let before = layers.clone().with_broker_values(&before);
    let after = layers.with_values_of_all_brokers(&after);
    check_broker(&tables, &before, &after).map_err(|error| error.0)
}

#[test]
fn the_keys_of_a_broker_must_not_contradict_each_other() {
    let (threads, buffer) = ("log.cleaner.threads", "log.cleaner.dedupe.buffer.size");
    assert_eq!(broker_told(&[], &[]), Ok(()));
    for (set, word) in [
        (&[("log.retention.ms", "0")][..], "keep nothing"),
        (
            &[
                ("log.cleaner.min.compaction.lag.ms", "10"),
                ("log.cleaner.max.compaction.lag.ms", "5"),
            ],
            "is above",
        ),
        (&[(threads, "0")], "at least 1"),
        (&[(buffer, "1048576")], "more than 1048576 bytes"),
        (
            &[(threads, "2"), (buffer, "2097152")],
            "more than 1048576 bytes",
        ),
        (&[(threads, "3")], "halved or doubled"),
    ] {
        let told = broker_told(&[], set).unwrap_err();
        assert!(told.contains(word), "{told}");
    }
    assert_eq!(broker_told(&[], &[(threads, "2")]), Ok(()));
    assert_eq!(broker_told(&[(threads, "9")], &[(threads, "4")]), Ok(()));
    assert!(broker_told(&[(threads, "9")], &[(threads, "3")]).is_err());
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
