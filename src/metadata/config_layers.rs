//! Which value of a key is in effect, and where it came from.
//!
//! A topic's value stands above this broker's dynamic value, that above the cluster-wide dynamic
//! default, that above the broker's file, that above the table's default (Kafka's `ConfigHelper`
//! and `DynamicBrokerConfig`). Used by [`TopicSettings`](super::TopicSettings), by the controller's
//! answers and by DescribeConfigs. Invariant: every reader resolves through here, so that what is
//! described is what is done.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::image::{ConfigValues, Image};
use super::records::ResourceKind;
use crate::model::BrokerId;
use crate::model::config_key::{ConfigKey, ConfigTable};

/// Where a value came from (`DescribeConfigsResponse.ConfigSource`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigSource {
    /// Set on the topic.
    DynamicTopic,
    /// Set on this broker at run time.
    DynamicBroker,
    /// Set on all brokers at run time.
    DynamicDefaultBroker,
    /// From the broker's file or command line.
    StaticBroker,
    /// From the table of keys.
    Default,
    /// Set on a client-metrics subscription.
    ClientMetrics,
    /// Set on a group.
    Group,
}

impl ConfigTables {
    /// The broker key of this name.
    pub fn broker_key(&self, name: &str) -> Option<&'static ConfigKey> {
        let dynamic_only = || self.broker_dynamic_only.get(name);
        self.broker.get(name).or_else(dynamic_only)
    }
}

impl ConfigSource {
    /// The number DescribeConfigs and CreateTopics carry.
    pub const fn wire(self) -> i8 {
        match self {
            ConfigSource::DynamicTopic => 1,
            ConfigSource::DynamicBroker => 2,
            ConfigSource::DynamicDefaultBroker => 3,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
            ConfigSource::ClientMetrics => 7,
            ConfigSource::Group => 8,
        }
    }
}

/// The tables of keys and the values of the broker's file: what never changes while it runs.
#[derive(Debug, Clone, Default)]
pub struct ConfigTables {
    /// The keys of topics.
    pub topic: Arc<ConfigTable>,
    /// The keys of brokers.
    pub broker: Arc<ConfigTable>,
    /// Keys of brokers that only change at run time, and are described only when set.
    pub broker_dynamic_only: Arc<ConfigTable>,
    /// The keys of groups.
    pub group: Arc<ConfigTable>,
    /// The keys of client-metrics subscriptions.
    pub client_metrics: Arc<ConfigTable>,
    /// What the broker's file and command line set, by key.
    pub static_broker: Arc<BTreeMap<String, String>>,
}

/// One value a key has somewhere, strong or weak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The key under which it is set there: the topic's own, the broker's, or an alias of that.
    pub name: &'static str,
    /// The value as it is written there, in that key's unit.
    pub value: String,
    /// Where.
    pub source: ConfigSource,
}

/// The value of a key that counts, and all others it outranks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveValue {
    /// The value in the unit of the key asked for; `None` is Kafka's null.
    pub value: Option<String>,
    /// Where it came from.
    pub source: ConfigSource,
    /// Every value there is, the one that counts first.
    pub synonyms: Vec<ConfigSynonym>,
}

/// The values in force around one topic on one broker, strongest first.
#[derive(Debug, Clone)]
pub struct ConfigLayers<'a> {
    tables: &'a ConfigTables,
    topic: Option<&'a ConfigValues>,
    broker: Option<&'a ConfigValues>,
    all_brokers: Option<&'a ConfigValues>,
}

impl<'a> ConfigLayers<'a> {
    /// The layers below any topic, as they are on `broker`.
    pub fn of_broker(
        image: &'a Image,
        tables: &'a ConfigTables,
        broker: BrokerId,
    ) -> ConfigLayers<'a> {
        let values = |name: &str| {
            image
                .config(ResourceKind::Broker, name)
                .map(|values| &**values)
        };
        ConfigLayers {
            tables,
            topic: None,
            broker: values(&broker.to_string()),
            all_brokers: values(""),
        }
    }

    /// The layers of a topic, as they are on `broker`.
    pub fn of_topic(
        image: &'a Image,
        tables: &'a ConfigTables,
        broker: BrokerId,
        topic: &str,
    ) -> ConfigLayers<'a> {
        let mut layers = ConfigLayers::of_broker(image, tables, broker);
        layers.topic = image
            .config(ResourceKind::Topic, topic)
            .map(|values| &**values);
        layers
    }

    /// The same layers under other values of the topic, for example those asked for.
    pub fn with_topic_values(mut self, values: &'a ConfigValues) -> ConfigLayers<'a> {
        self.topic = Some(values);
        self
    }

    /// The same layers under other values of this broker.
    pub fn with_broker_values(mut self, values: &'a ConfigValues) -> ConfigLayers<'a> {
        self.broker = Some(values);
        self
    }

    /// The same layers under other values of all brokers.
    pub fn with_values_of_all_brokers(mut self, values: &'a ConfigValues) -> ConfigLayers<'a> {
        self.all_brokers = Some(values);
        self
    }

    /// The effective value of a topic key.
    pub fn topic_value(&self, key: &'static ConfigKey) -> EffectiveValue {
        let mut found = Found::default();
        if let Some(value) = self.topic.and_then(|values| values.get(key.name)) {
            found.add(key.name, value, ConfigSource::DynamicTopic, 1);
        }
        let broker_key = key
            .broker_synonym
            .and_then(|name| self.tables.broker.get(name));
        if let Some(broker_key) = broker_key {
            self.add_broker_values(broker_key, &mut found);
        }
        found.into_effective(key.default)
    }

    /// The effective value of a broker key.
    pub fn broker_value(&self, key: &'static ConfigKey) -> EffectiveValue {
        let mut found = Found::default();
        self.add_broker_values(key, &mut found);
        found.into_effective(key.default)
    }

    /// Adds what the key's name and its aliases have, layer by layer.
    fn add_broker_values(&self, key: &'static ConfigKey, found: &mut Found) {
        for (values, source) in self.broker_layers() {
            for (name, units) in names(key) {
                if let Some(value) = values.get(name) {
                    found.add(name, value, source, units);
                }
            }
        }
        for (name, units) in names(key) {
            let default = self.tables.broker.get(name).and_then(|key| key.default);
            if let Some(default) = default {
                found.add(name, default, ConfigSource::Default, units);
            }
        }
    }

    fn broker_layers(&self) -> impl Iterator<Item = (&'a ConfigValues, ConfigSource)> {
        [
            (self.broker, ConfigSource::DynamicBroker),
            (self.all_brokers, ConfigSource::DynamicDefaultBroker),
            (
                Some(&*self.tables.static_broker),
                ConfigSource::StaticBroker,
            ),
        ]
        .into_iter()
        .filter_map(|(values, source)| Some((values?, source)))
    }
}

/// The name of a broker key and its aliases, strongest first, each with its unit.
fn names(key: &'static ConfigKey) -> impl Iterator<Item = (&'static str, i64)> {
    std::iter::once((key.name, 1)).chain(key.aliases.iter().copied())
}

/// Synonyms found so far, and what the first of them means in the unit of the key asked for.
#[derive(Default)]
struct Found {
    synonyms: Vec<ConfigSynonym>,
    value: Option<String>,
}

impl Found {
    fn add(&mut self, name: &'static str, value: &str, source: ConfigSource, units: i64) {
        if self.synonyms.is_empty() {
            self.value = Some(in_units(value, units));
        }
        self.synonyms.push(ConfigSynonym {
            name,
            value: value.to_owned(),
            source,
        });
    }

    fn into_effective(self, default: Option<&str>) -> EffectiveValue {
        EffectiveValue {
            source: self
                .synonyms
                .first()
                .map_or(ConfigSource::Default, |first| first.source),
            value: self.value.or_else(|| default.map(str::to_owned)),
            synonyms: self.synonyms,
        }
    }
}

/// A value of an alias in the unit of its key; negative ones mean "no limit" in every unit.
fn in_units(value: &str, units: i64) -> String {
    match value.trim().parse::<i64>() {
        Ok(number) if units != 1 && number >= 0 => number.saturating_mul(units).to_string(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
#[path = "config_layers_tests.rs"]
mod tests;
