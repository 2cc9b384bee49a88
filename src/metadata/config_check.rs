//! Whether a value fits its key: type, bounds, and what keys demand of each other.
//!
//! Used by the controller for every value on create and alter, and by `config/` for the broker's
//! file. The sentences are those Kafka's `ConfigDef` and `LogConfig` give, since tools show them.
//! Invariant: a value that passes here can be read by whoever resolves settings.

use super::config_layers::{ConfigLayers, ConfigTables};
use super::image::ConfigValues;
use super::topic_settings::entries;
use crate::model::config_key::{Allowed, ConfigKey, ConfigTable, ConfigType, InvalidConfigValue};

/// The longest value of a key, in bytes: what the versions of DescribeConfigs with two-byte lengths
/// can tell. Kafka has no limit of its own, but a longer value cannot be shown by its tools.
pub const VALUE_BYTES_MAX: usize = i16::MAX as usize;
/// How many keys may be set on one resource. Only brokers take keys nobody knows.
pub const VALUES_PER_RESOURCE_MAX: usize = 1000;

/// Which log directories of a broker take no new partitions.
pub const CORDONED_LOG_DIRS: &str = "cordoned.log.dirs";

const GZIP_LEVEL: &str = "compression.gzip.level";
const THROTTLED_REPLICAS: [&str; 2] = [
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
];

/// Judges how much is set on one resource, whatever its kind.
pub fn check_amount(values: &ConfigValues) -> Result<(), InvalidConfigValue> {
    if values.len() > VALUES_PER_RESOURCE_MAX {
        return Err(InvalidConfigValue(format!(
            "{} keys are more than the {VALUES_PER_RESOURCE_MAX} that may be set on one resource",
            values.len()
        )));
    }
    let too_long = |(key, value): &(&String, &String)| key.len().max(value.len()) > VALUE_BYTES_MAX;
    match values.iter().find(too_long) {
        None => Ok(()),
        Some((key, value)) => Err(InvalidConfigValue(format!(
            "A key of {} bytes with a value of {} bytes exceeds the maximum of {VALUE_BYTES_MAX} bytes",
            key.len(),
            value.len()
        ))),
    }
}

/// Judges the text of one value by its key alone.
pub fn check_value(key: &ConfigKey, text: &str) -> Result<(), InvalidConfigValue> {
    let text = text.trim();
    let invalid = |value: &str, why: &str| {
        InvalidConfigValue(format!(
            "Invalid value {value} for configuration {}: {why}",
            key.name
        ))
    };
    check_type(key.config_type, text).map_err(|why| invalid(text, why))?;
    if key.name == GZIP_LEVEL && !matches!(text.parse(), Ok(-1 | 1..=9)) {
        let why = "Value must be between 1 and 9 or equal to -1";
        return Err(invalid(text, why));
    }
    if key.config_type == ConfigType::List {
        return check_list(key, text).map_err(|(entry, why)| invalid(&entry, &why));
    }
    check_allowed(key.allowed, text).map_err(|why| invalid(text, &why))
}

fn check_type(config_type: ConfigType, text: &str) -> Result<(), &'static str> {
    let (fits, why) = match config_type {
        ConfigType::Boolean => (
            text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            "Expected value to be either true or false",
        ),
        ConfigType::Short => (text.parse::<i16>().is_ok(), "Not a number of type SHORT"),
        ConfigType::Int => (text.parse::<i32>().is_ok(), "Not a number of type INT"),
        ConfigType::Long => (text.parse::<i64>().is_ok(), "Not a number of type LONG"),
        ConfigType::Double => (
            text.parse::<f64>().is_ok_and(f64::is_finite),
            "Not a number of type DOUBLE",
        ),
        ConfigType::String | ConfigType::List | ConfigType::Class | ConfigType::Password => {
            (true, "")
        }
    };
    if fits { Ok(()) } else { Err(why) }
}

fn check_allowed(allowed: Allowed, text: &str) -> Result<(), String> {
    match allowed {
        Allowed::Any | Allowed::ListOf(_) => Ok(()),
        Allowed::Between(first, last) => match text.parse::<i64>() {
            Ok(number) if number < first => Err(format!("Value must be at least {first}")),
            Ok(number) if number > last => Err(format!("Value must be no more than {last}")),
            _ => Ok(()),
        },
        Allowed::Fraction(first, last) => match text.parse::<f64>() {
            Ok(number) if number < first => Err(format!("Value must be at least {first}")),
            Ok(number) if number > last => Err(format!("Value must be no more than {last}")),
            _ => Ok(()),
        },
        Allowed::OneOf(texts) if texts.contains(&text) => Ok(()),
        Allowed::OneOf(texts) => Err(format!("String must be one of: {}", texts.join(", "))),
        Allowed::NotEmpty if text.is_empty() => Err("String must be non-empty".to_owned()),
        Allowed::NotEmpty => Ok(()),
        Allowed::Only(only, _) if text.eq_ignore_ascii_case(only) => Ok(()),
        Allowed::Only(_, why) => Err(why.to_owned()),
    }
}

/// Judges a list; an error names the entry or the list it is about.
fn check_list(key: &ConfigKey, text: &str) -> Result<(), (String, String)> {
    let listed: Vec<&str> = entries(text).collect();
    let shown = || format!("[{}]", listed.join(", "));
    if THROTTLED_REPLICAS.contains(&key.name) {
        return check_replicas(key.name, &listed).map_err(|why| (shown(), why));
    }
    match key.allowed {
        Allowed::NotEmpty if listed.is_empty() => Err((shown(), "List must not be empty".into())),
        Allowed::Only(..) => check_allowed(key.allowed, text).map_err(|why| (shown(), why)),
        Allowed::ListOf(texts) => {
            if let Some(stranger) = listed.iter().find(|entry| !texts.contains(*entry)) {
                let why = format!("String must be one of: {}", texts.join(", "));
                return Err(((*stranger).to_owned(), why));
            }
            let twice = |(index, entry)| listed.iter().take(index).any(|other| other == entry);
            if listed.iter().enumerate().any(twice) {
                return Err((shown(), "Entries must not be repeated".into()));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check_replicas(name: &str, listed: &[&str]) -> Result<(), String> {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let pair = |entry: &&str| {
        entry
            .split_once(':')
            .is_some_and(|(partition, broker)| number(partition) && number(broker))
    };
    if listed == ["*"] || listed.iter().all(pair) {
        return Ok(());
    }
    Err(format!(
        "{name} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    ))
}

/// Judges which log directories take no new partitions (KIP-1066): those of the broker, whose names
/// are given, or `*` for all.
pub fn check_cordoned(text: &str, log_dirs: &[String]) -> Result<(), InvalidConfigValue> {
    let listed: Vec<&str> = entries(text).collect();
    if listed == ["*"] {
        return Ok(());
    }
    if listed.contains(&"*") {
        return Err(InvalidConfigValue(format!(
            "When {CORDONED_LOG_DIRS} is set to *, it must not contain other values"
        )));
    }
    let known = |entry: &&&str| log_dirs.iter().any(|dir| dir == **entry);
    match listed.iter().find(|entry| !known(entry)) {
        None => Ok(()),
        Some(entry) => Err(InvalidConfigValue(format!(
            "Invalid value {text} for configuration {CORDONED_LOG_DIRS}: Invalid entry in \
             {CORDONED_LOG_DIRS}: {entry}. All cordoned log dirs must be entries of log.dirs or \
             log.dir."
        ))),
    }
}

/// Judges all values that a topic shall have: `layers` are those around it.
pub fn check_topic(
    tables: &ConfigTables,
    layers: &ConfigLayers<'_>,
    values: &ConfigValues,
) -> Result<(), InvalidConfigValue> {
    check_known(&tables.topic, "Unknown topic config name", values)?;
    let layers = layers.clone().with_topic_values(values);
    let number = |name: &str| {
        let key = tables.topic.get(name)?;
        layers.topic_value(key).value?.trim().parse::<i64>().ok()
    };
    let (min, max) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    if let (Some(least), Some(most)) = (number(min), number(max))
        && least > most
    {
        return Err(InvalidConfigValue(format!(
            "conflict topic config setting {min} ({least}) > {max} ({most})"
        )));
    }
    Ok(())
}

/// A thread of the cleaner remembers keys in at least this many bytes.
const DEDUPE_BYTES_MIN: i64 = 1 << 20;

/// Judges what the keys of a broker demand of each other: `number` answers what a key will be
/// (Kafka's `KafkaConfig.validateValues` and `LogConfig.validateValues`).
pub fn check_log_defaults(number: impl Fn(&str) -> Option<i64>) -> Result<(), InvalidConfigValue> {
    let refuse = |why: String| Err(InvalidConfigValue(why));
    if number("log.retention.ms") == Some(0) {
        return refuse(
            "log.retention.ms=0 would keep nothing; set -1 for ever, or at least 1".to_owned(),
        );
    }
    let (min, max) = (
        "log.cleaner.min.compaction.lag.ms",
        "log.cleaner.max.compaction.lag.ms",
    );
    if let (Some(least), Some(most)) = (number(min), number(max))
        && least > most
    {
        return refuse(format!(
            "{min}={least} is above {max}={most}; lower the first or raise the second"
        ));
    }
    let (threads, buffer) = ("log.cleaner.threads", "log.cleaner.dedupe.buffer.size");
    match (number(threads), number(buffer)) {
        (Some(..1), _) => refuse(format!(
            "{threads} must be at least 1; log.cleaner.enable=false switches compaction off"
        )),
        (Some(count), Some(bytes)) if bytes / count <= DEDUPE_BYTES_MIN => refuse(format!(
            "{buffer}={bytes} must be more than {DEDUPE_BYTES_MIN} bytes for each of {threads}={count}"
        )),
        _ => Ok(()),
    }
}

/// Judges what all values of a broker would be: `before` and `after` are its layers without and with
/// a change. Threads come and go by halves and doubles, as with Kafka
/// (`LogCleaner.validateReconfiguration`).
pub fn check_broker(
    tables: &ConfigTables,
    before: &ConfigLayers<'_>,
    after: &ConfigLayers<'_>,
) -> Result<(), InvalidConfigValue> {
    let number = |layers: &ConfigLayers<'_>, name: &str| {
        let key = tables.broker.get(name)?;
        layers.broker_value(key).value?.trim().parse::<i64>().ok()
    };
    check_log_defaults(|name| number(after, name))?;
    let threads = "log.cleaner.threads";
    let (Some(now), Some(then)) = (number(before, threads), number(after, threads)) else {
        return Ok(());
    };
    if then < now / 2 || then > now.saturating_mul(2) {
        return Err(InvalidConfigValue(format!(
            "{threads} can be halved or doubled at a time, from {now} to {} at most and {} at least",
            now.saturating_mul(2),
            (now / 2).max(1)
        )));
    }
    Ok(())
}

/// Judges all values that a group shall have: `layers` are those below it. Brokers bound what a
/// group may set: `group.consumer.min.session.timeout.ms` is for `consumer.session.timeout.ms`.
pub fn check_group(
    tables: &ConfigTables,
    layers: &ConfigLayers<'_>,
    values: &ConfigValues,
) -> Result<(), InvalidConfigValue> {
    check_known(&tables.group, "Unknown group config name", values)?;
    let of_broker = |name: &str| {
        let key = tables.broker.get(name)?;
        layers.broker_value(key).value?.trim().parse::<i64>().ok()
    };
    for (name, value) in values {
        let (Some((kind, rest)), Ok(number)) = (name.split_once('.'), value.trim().parse::<i64>())
        else {
            continue;
        };
        // Standby replicas lose a word in the name of their bound.
        let rest = rest.trim_start_matches("num.");
        let (min, max) = (
            format!("group.{kind}.min.{rest}"),
            format!("group.{kind}.max.{rest}"),
        );
        let outside = |bound: &str, relation: &str| {
            InvalidConfigValue(format!(
                "{name} must be {relation} than or equal to {bound}"
            ))
        };
        if of_broker(&min).is_some_and(|least| number < least) {
            return Err(outside(&min, "greater"));
        }
        if of_broker(&max).is_some_and(|most| number > most) {
            return Err(outside(&max, "less"));
        }
    }
    check_heartbeats(tables, layers, values)
}

/// A member must be able to report before it is taken for dead (`GroupConfig.validateValues`).
fn check_heartbeats(
    tables: &ConfigTables,
    layers: &ConfigLayers<'_>,
    values: &ConfigValues,
) -> Result<(), InvalidConfigValue> {
    let layers = layers.clone().with_topic_values(values);
    let number = |name: &str| {
        let key = tables.group.get(name)?;
        layers.topic_value(key).value?.trim().parse::<i64>().ok()
    };
    for kind in ["consumer", "share", "streams"] {
        let session = format!("{kind}.session.timeout.ms");
        let heartbeat = format!("{kind}.heartbeat.interval.ms");
        if let (Some(silence), Some(interval)) = (number(&session), number(&heartbeat))
            && silence <= interval
        {
            return Err(InvalidConfigValue(format!(
                "{session} must be greater than {heartbeat}"
            )));
        }
    }
    Ok(())
}

/// Judges values that shall be set on something whose keys are all in one table. `unknown` begins
/// the sentence about a key that is not.
pub fn check_known(
    table: &ConfigTable,
    unknown: &str,
    values: &ConfigValues,
) -> Result<(), InvalidConfigValue> {
    for name in values.keys() {
        if table.get(name).is_none() {
            return Err(InvalidConfigValue(format!("{unknown}: {name}")));
        }
    }
    for (name, value) in values {
        if let Some(key) = table.get(name) {
            check_value(key, value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "config_check_tests.rs"]
mod tests;
