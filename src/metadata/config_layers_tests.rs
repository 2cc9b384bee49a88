use super::*;
use crate::config::keys::{broker_table, topic_table};
use crate::metadata::{ConfigResource, MetadataRecord, TopicSettings};

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    owned.collect()
}

fn tables(static_broker: &[(&str, &str)]) -> ConfigTables {
    ConfigTables {
        topic: topic_table().into(),
        broker: broker_table().into(),
        static_broker: values(static_broker).into(),
        ..ConfigTables::default()
    }
}

fn image(set: &[(ResourceKind, &str, &str, &str)]) -> Image {
    let mut image = Image::default();
    for (kind, name, key, value) in set {
        image.replay(&MetadataRecord::Config {
            resource: ConfigResource {
                kind: *kind,
                name: (*name).to_owned(),
            },
            key: (*key).to_owned(),
            value: Some((*value).to_owned()),
        });
    }
    image
}

/// A topic key's value and source, then its synonyms.
fn shown(image: &Image, tables: &ConfigTables, key: &str) -> String {
    let key = tables.topic.get(key).expect("a topic key");
    let effective = ConfigLayers::of_topic(image, tables, BrokerId(1), "t").topic_value(key);
    let synonyms: Vec<String> = effective
        .synonyms
        .iter()
        .map(|one| format!("{}={}:{}", one.name, one.value, one.source.wire()))
        .collect();
    let value = effective.value.unwrap_or_else(|| "null".to_owned());
    format!(
        "{value}:{} <- {}",
        effective.source.wire(),
        synonyms.join(" ")
    )
}

use ResourceKind::{Broker, Topic};

#[test]
fn the_nearest_value_counts_and_all_others_are_told_in_order() {
    let tables = tables(&[("log.retention.hours", "168")]);
    let set = [
        (Topic, "t", "retention.ms", "7"),
        (Broker, "1", "log.retention.ms", "100000"),
        (Broker, "", "log.retention.ms", "200000"),
        (Broker, "2", "log.retention.ms", "1"),
        (Topic, "other", "retention.ms", "1"),
    ];
    let below = "log.retention.ms=100000:2 log.retention.ms=200000:3 log.retention.hours=168:4 \
                 log.retention.hours=168:5";
    assert_eq!(
        shown(&image(&set), &tables, "retention.ms"),
        format!("7:1 <- retention.ms=7:1 {below}")
    );
    assert_eq!(
        shown(&image(&set[1..]), &tables, "retention.ms"),
        format!("100000:2 <- {below}")
    );
}

#[test]
fn a_value_in_another_unit_is_converted_and_no_limit_stays_none() {
    let hours = |hours| {
        let tables = tables(&[("log.retention.hours", hours)]);
        TopicSettings::resolve(&Image::default(), &tables, BrokerId(1), "t").retention_ms
    };
    assert_eq!(hours("2"), Some(7_200_000));
    assert_eq!(hours("-1"), None);
    assert_eq!(hours("9223372036854775807"), Some(i64::MAX));
}

#[test]
fn a_stronger_alias_hides_a_weaker_one() {
    let set = [
        ("log.retention.hours", "168"),
        ("log.retention.minutes", "3"),
    ];
    let tables = tables(&set);
    let settings = TopicSettings::resolve(&Image::default(), &tables, BrokerId(1), "t");
    assert_eq!(settings.retention_ms, Some(180_000));
}

#[test]
fn defaults_are_kafkas() {
    let image = Image::default();
    let tables = tables(&[]);
    assert_eq!(
        shown(&image, &tables, "cleanup.policy"),
        "delete:5 <- log.cleanup.policy=delete:5"
    );
    assert_eq!(
        shown(&image, &tables, "preallocate"),
        "false:5 <- log.preallocate=false:5"
    );
    let settings = TopicSettings::resolve(&image, &tables, BrokerId(1), "t");
    assert_eq!((settings.deletes, settings.compacts), (true, false));
    assert_eq!(settings.retention_ms, Some(604_800_000));
    assert_eq!(settings.retention_bytes, None);
    assert_eq!(settings.flush_ms, i64::MAX);
    assert_eq!(settings.segment_bytes, 1_073_741_824);
}

#[test]
fn every_topic_key_reaches_its_setting() {
    let other = |key: &str, default: &str| -> String {
        match (key, default) {
            ("cleanup.policy", _) => "compact".to_owned(),
            ("compression.type", _) => "zstd".to_owned(),
            ("message.timestamp.type", _) => "LogAppendTime".to_owned(),
            ("min.cleanable.dirty.ratio", _) => "0.25".to_owned(),
            (_, "") => "0:1".to_owned(),
            (_, "false") => "true".to_owned(),
            _ => "8".to_owned(),
        }
    };
    let tables = tables(&[]);
    let usual = TopicSettings::resolve(&Image::default(), &tables, BrokerId(1), "t");
    for key in tables.topic.iter() {
        let value = other(key.name, key.default.unwrap_or_default());
        let image = image(&[(Topic, "t", key.name, &value)]);
        let settings = TopicSettings::resolve(&image, &tables, BrokerId(1), "t");
        assert_ne!(settings, usual, "{} = {value} changes nothing", key.name);
    }
}
