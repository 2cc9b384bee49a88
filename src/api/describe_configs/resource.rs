//! The keys of one resource with their values: what DescribeConfigs shows of it.

use std::collections::BTreeSet;

use super::super::config_resource::{ResourceType, own_broker_id};
use super::super::errors::ApiError;
use super::super::gateway::Gateway;
use super::super::peer::{Operation, Peer, Resource, authorize};
use crate::metadata::{
    ConfigLayers, ConfigSource, ConfigSynonym, ConfigValues, Image, ResourceKind,
};
use crate::model::config_key::{ConfigKey, ConfigTable, ConfigType};
use crate::model::{ErrorCode, validate_topic_name};

/// `ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG` on the wire.
const SOURCE_LOGGER: i8 = 6;
/// `ConfigType.UNKNOWN` on the wire.
const TYPE_UNKNOWN: i8 = 0;

/// One key of a resource.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) read_only: bool,
    pub(super) sensitive: bool,
    pub(super) source: i8,
    pub(super) config_type: i8,
    pub(super) synonyms: Vec<ConfigSynonym>,
    pub(super) documentation: &'static str,
}

/// Every key of a resource, in order of name.
pub(super) fn describe_resource(
    gateway: &Gateway,
    resource_type: i8,
    name: &str,
    peer: &Peer,
) -> Result<Vec<Described>, ApiError> {
    let resource_type =
        ResourceType::parse(resource_type).ok_or(ApiError::from(ErrorCode::InvalidRequest))?;
    permit(resource_type, name, peer)?;
    let image = gateway.image.load();
    match resource_type {
        ResourceType::Topic => describe_topic(gateway, &image, name),
        ResourceType::Broker if name.is_empty() => Ok(describe_all_brokers(gateway, &image)),
        ResourceType::Broker => describe_broker(gateway, &image, name),
        ResourceType::BrokerLogger => describe_loggers(gateway, name),
        ResourceType::ClientMetrics if name.is_empty() => Err(ApiError::invalid_request(
            "Client metrics subscription name must not be empty",
        )),
        ResourceType::ClientMetrics => Ok(describe_flat(
            &gateway.facts.tables.client_metrics,
            image
                .config(ResourceKind::ClientMetrics, name)
                .map(|v| &**v),
            ConfigSource::ClientMetrics,
        )),
        ResourceType::Group if name.is_empty() => {
            Err(ApiError::invalid_request("Group name must not be empty"))
        }
        ResourceType::Group => Ok(describe_group(gateway, &image, name)),
    }
}

fn permit(resource_type: ResourceType, name: &str, peer: &Peer) -> Result<(), ApiError> {
    let (resource, refusal) = match resource_type {
        ResourceType::Topic => (Resource::Topic(name), ErrorCode::TopicAuthorizationFailed),
        ResourceType::Group => (Resource::Group(name), ErrorCode::GroupAuthorizationFailed),
        _ => (Resource::Cluster, ErrorCode::ClusterAuthorizationFailed),
    };
    if authorize(peer, Operation::DescribeConfigs, resource) {
        Ok(())
    } else {
        Err(refusal.into())
    }
}

fn describe_topic(
    gateway: &Gateway,
    image: &Image,
    name: &str,
) -> Result<Vec<Described>, ApiError> {
    validate_topic_name(name)
        .map_err(|error| ApiError::new(ErrorCode::InvalidTopicException, error.to_string()))?;
    if image.topic(name).is_none() {
        return Err(ErrorCode::UnknownTopicOrPartition.into());
    }
    let tables = &gateway.facts.tables;
    let layers = ConfigLayers::of_topic(image, tables, gateway.facts.broker_id, name);
    let describe = |key: &'static ConfigKey| {
        let effective = layers.topic_value(key);
        let primary = key.broker_synonym.unwrap_or(key.name);
        let (mut synonyms, below): (Vec<_>, Vec<_>) = effective
            .synonyms
            .into_iter()
            .partition(|synonym| synonym.source == ConfigSource::DynamicTopic);
        synonyms.extend(from_primary(below, primary));
        described(key, effective.value, synonyms, false)
    };
    Ok(tables.topic.iter().map(describe).collect())
}

/// What stands before the key's own name in the list is dropped, as Kafka does.
fn from_primary(
    synonyms: Vec<ConfigSynonym>,
    primary: &str,
) -> impl Iterator<Item = ConfigSynonym> {
    synonyms
        .into_iter()
        .skip_while(move |synonym| synonym.name != primary)
}

fn describe_broker(
    gateway: &Gateway,
    image: &Image,
    name: &str,
) -> Result<Vec<Described>, ApiError> {
    own_broker_id(gateway, name, "Broker", |me, id| {
        format!("Unexpected broker id, expected {me} or empty string, but received {id}")
    })?;
    let me = gateway.facts.broker_id;
    let tables = &gateway.facts.tables;
    let layers = ConfigLayers::of_broker(image, tables, me);
    let describe = |key: &'static ConfigKey| {
        let all = layers.broker_value(key).synonyms;
        let synonyms: Vec<_> = from_primary(all, key.name).collect();
        let value = synonyms.first().map(|first| first.value.clone());
        let value = value.or_else(|| key.default.map(str::to_owned));
        let read_only = key.update_mode.is_fixed();
        described(key, value, synonyms, read_only)
    };
    let mut entries: Vec<Described> = tables.broker.iter().map(describe).collect();
    // Keys that no file may hold are described when they are set, as Kafka does.
    let dynamic = [name, ""].map(|name| image.config(ResourceKind::Broker, name));
    let others: BTreeSet<&String> = dynamic
        .into_iter()
        .flatten()
        .flat_map(|values| values.keys())
        .filter(|key| tables.broker.get(key).is_none())
        .collect();
    entries.extend(others.into_iter().map(|name| {
        tables
            .broker_key(name)
            .map_or_else(|| unknown_key(name), describe)
    }));
    Ok(entries)
}

/// The values set for all brokers: only those that are set.
fn describe_all_brokers(gateway: &Gateway, image: &Image) -> Vec<Described> {
    let Some(values) = image.config(ResourceKind::Broker, "") else {
        return Vec::new();
    };
    values
        .iter()
        .map(
            |(name, value)| match gateway.facts.tables.broker_key(name) {
                None => unknown_key(name),
                Some(key) => {
                    let synonym = ConfigSynonym {
                        name: key.name,
                        value: value.clone(),
                        source: ConfigSource::DynamicDefaultBroker,
                    };
                    let read_only = key.update_mode.is_fixed();
                    described(key, Some(value.clone()), vec![synonym], read_only)
                }
            },
        )
        .collect()
}

fn describe_loggers(gateway: &Gateway, name: &str) -> Result<Vec<Described>, ApiError> {
    if name.is_empty() {
        return Err(ApiError::invalid_request("Broker id must not be empty"));
    }
    own_broker_id(gateway, name, "Broker", |me, id| {
        format!("Unexpected broker id, expected {me} but received {id}")
    })?;
    Ok(gateway
        .loggers
        .levels()
        .into_iter()
        .map(|(name, level)| Described {
            name,
            value: Some(level.name().to_owned()),
            read_only: false,
            sensitive: false,
            source: SOURCE_LOGGER,
            config_type: TYPE_UNKNOWN,
            synonyms: Vec::new(),
            documentation: "",
        })
        .collect())
}

/// A group's keys: what is set on it, above what the broker has for all groups.
fn describe_group(gateway: &Gateway, image: &Image, name: &str) -> Vec<Described> {
    let tables = &gateway.facts.tables;
    let layers = ConfigLayers::of_broker(image, tables, gateway.facts.broker_id);
    let set = image.config(ResourceKind::Group, name);
    let describe = |key: &'static ConfigKey| {
        let below = layers.topic_value(key);
        let own = set.and_then(|values| values.get(key.name));
        let mut synonyms: Vec<ConfigSynonym> = own
            .map(|value| ConfigSynonym {
                name: key.name,
                value: value.clone(),
                source: ConfigSource::Group,
            })
            .into_iter()
            .collect();
        synonyms.extend(below.synonyms);
        let value = own.cloned().or(below.value);
        described(key, value, synonyms, false)
    };
    tables.group.iter().map(describe).collect()
}

/// Resources whose values have no layers below them but the defaults.
fn describe_flat(
    table: &ConfigTable,
    values: Option<&ConfigValues>,
    source: ConfigSource,
) -> Vec<Described> {
    table
        .iter()
        .map(|key| {
            let set = values.and_then(|values| values.get(key.name));
            let synonyms = set.map(|value| ConfigSynonym {
                name: key.name,
                value: value.clone(),
                source,
            });
            let value = set.cloned().or_else(|| key.default.map(str::to_owned));
            described(key, value, synonyms.into_iter().collect(), false)
        })
        .collect()
}

fn described(
    key: &'static ConfigKey,
    value: Option<String>,
    synonyms: Vec<ConfigSynonym>,
    read_only: bool,
) -> Described {
    let source = synonyms
        .first()
        .map_or(ConfigSource::Default, |first| first.source);
    Described {
        name: key.name.to_owned(),
        value,
        read_only,
        sensitive: key.config_type == ConfigType::Password,
        source: source.wire(),
        config_type: key.config_type.wire(),
        synonyms,
        documentation: key.documentation,
    }
}

/// A key that is set and that this broker does not know: it might be a secret, so it is not shown.
fn unknown_key(name: &str) -> Described {
    Described {
        name: name.to_owned(),
        value: None,
        read_only: true,
        sensitive: true,
        source: ConfigSource::DynamicBroker.wire(),
        config_type: TYPE_UNKNOWN,
        synonyms: Vec::new(),
        documentation: "",
    }
}
