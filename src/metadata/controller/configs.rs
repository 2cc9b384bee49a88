//! Values set on topics, brokers, groups and client-metrics subscriptions (Kafka's
//! `ConfigurationControlManager`, and what its brokers check before they ask).
//!
//! A resource changes wholly or not at all. Kafka refuses values of topics and groups with
//! INVALID_CONFIG, those of brokers and subscriptions with INVALID_REQUEST.

use std::collections::BTreeSet;

use super::Planner;
use super::requests::{ConfigOperation, Operation};
use super::topics::invalid_name;
use crate::metadata::config_check::{
    CORDONED_LOG_DIRS, check_amount, check_broker, check_cordoned, check_group, check_known,
    check_topic, check_value,
};
use crate::metadata::config_layers::ConfigLayers;
use crate::metadata::image::ConfigValues;
use crate::metadata::records::{ConfigResource, MetadataRecord, ResourceKind};
use crate::metadata::refusal::Refusal;
use crate::metadata::topic_settings::entries;
use crate::model::config_key::{ConfigKey, ConfigType, UpdateMode};
use crate::model::{BrokerId, validate_topic_name};

impl Planner<'_, '_> {
    pub(super) fn alter_configs(
        &mut self,
        resources: Vec<(ConfigResource, Vec<ConfigOperation>)>,
        replace: bool,
        validate_only: bool,
    ) -> Vec<Result<(), Refusal>> {
        resources
            .into_iter()
            .map(|(resource, operations)| {
                let after = self.judge_alteration(&resource, &operations, replace)?;
                if !validate_only {
                    self.write_values(&resource, after);
                }
                Ok(())
            })
            .collect()
    }

    /// Plans what it takes to get a resource's values to be `after`.
    fn write_values(&mut self, resource: &ConfigResource, after: ConfigValues) {
        let before = self.values_of(resource);
        let removed = before
            .keys()
            .filter(|key| !after.contains_key(*key))
            .map(|key| (key.clone(), None));
        let set = after
            .iter()
            .filter(|(key, value)| before.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), Some(value.clone())));
        for (key, value) in removed.chain(set) {
            self.write(MetadataRecord::Config {
                resource: resource.clone(),
                key,
                value,
            });
        }
    }

    fn values_of(&self, resource: &ConfigResource) -> ConfigValues {
        let values = self.image().configs.get(resource);
        values.map(|values| (**values).clone()).unwrap_or_default()
    }

    /// The values the resource would have, if all of it may be.
    fn judge_alteration(
        &self,
        resource: &ConfigResource,
        operations: &[ConfigOperation],
        replace: bool,
    ) -> Result<ConfigValues, Refusal> {
        judge_operations(operations)?;
        self.judge_resource_name(resource)?;
        let before = self.values_of(resource);
        let mut after = if replace {
            ConfigValues::new()
        } else {
            before.clone()
        };
        for operation in operations {
            match self.value_after(resource, &before, operation)? {
                Some(value) => after.insert(operation.key.clone(), value),
                None => after.remove(&operation.key),
            };
        }
        self.judge_values_of(resource, &before, &after)?;
        if resource.kind == ResourceKind::Topic && self.image().topic(&resource.name).is_none() {
            return Err(Refusal::UnknownTopicOrPartition(format!(
                "The topic '{}' does not exist.",
                resource.name
            )));
        }
        Ok(after)
    }

    /// What an operation makes of its key's value; `None` is the default.
    fn value_after(
        &self,
        resource: &ConfigResource,
        before: &ConfigValues,
        operation: &ConfigOperation,
    ) -> Result<Option<String>, Refusal> {
        let key = &operation.key;
        let asked = operation.value.as_deref().unwrap_or_default();
        let verb = match operation.operation {
            Operation::Set => return Ok(Some(asked.to_owned())),
            Operation::Delete => return Ok(None),
            Operation::Append => "APPEND",
            Operation::Subtract => "SUBTRACT",
        };
        let known = self.key_of(resource.kind, key);
        let Some(known) = known.filter(|key| key.config_type == ConfigType::List) else {
            return Err(Refusal::InvalidConfig(format!(
                "Can't {verb} to key {key} because its type is not LIST."
            )));
        };
        let current = match before.get(key) {
            Some(value) => value.clone(),
            None => self.value_unset(resource, known),
        };
        let mut list: Vec<&str> = entries(&current).collect();
        for entry in entries(asked) {
            let place = list.iter().position(|other| *other == entry);
            match (operation.operation, place) {
                (Operation::Append, None) => list.push(entry),
                (Operation::Subtract, Some(place)) => {
                    list.remove(place);
                }
                _ => {}
            }
        }
        Ok(Some(list.join(",")))
    }

    /// The value a key of a resource has when none is set on it: what a list grows from.
    fn value_unset(&self, resource: &ConfigResource, key: &'static ConfigKey) -> String {
        let effective = match resource.kind {
            ResourceKind::Topic => self.topic_layers("").topic_value(key).value,
            ResourceKind::Broker => self.topic_layers("").broker_value(key).value,
            ResourceKind::Group | ResourceKind::ClientMetrics => key.default.map(str::to_owned),
        };
        effective.unwrap_or_default()
    }

    fn key_of(&self, kind: ResourceKind, name: &str) -> Option<&'static ConfigKey> {
        let tables = &self.config().tables;
        match kind {
            ResourceKind::Topic => tables.topic.get(name),
            ResourceKind::Broker => tables.broker_key(name),
            ResourceKind::Group => tables.group.get(name),
            ResourceKind::ClientMetrics => tables.client_metrics.get(name),
        }
    }

    fn judge_resource_name(&self, resource: &ConfigResource) -> Result<(), Refusal> {
        let name = &resource.name;
        let refuse = |why: &str| Err(Refusal::InvalidRequest(why.to_owned()));
        match resource.kind {
            ResourceKind::Topic if name.is_empty() => {
                refuse("Default topic resources are not allowed.")
            }
            ResourceKind::Topic => {
                validate_topic_name(name).map_err(|error| invalid_name(name, &error))
            }
            ResourceKind::Broker if name.is_empty() => Ok(()),
            ResourceKind::Broker => match name.parse::<i32>() {
                Ok(id) if self.image().brokers.contains_key(&BrokerId(id)) => Ok(()),
                Ok(id) => refuse(&format!("No broker with id {id} is registered.")),
                Err(_) => refuse(&format!("Node id must be an integer, but it is: {name}")),
            },
            ResourceKind::Group if name.is_empty() => {
                refuse("Default group resources are not allowed.")
            }
            ResourceKind::ClientMetrics if name.is_empty() => {
                refuse("Subscription name can't be empty")
            }
            ResourceKind::Group | ResourceKind::ClientMetrics => Ok(()),
        }
    }

    fn judge_values_of(
        &self,
        resource: &ConfigResource,
        before: &ConfigValues,
        after: &ConfigValues,
    ) -> Result<(), Refusal> {
        check_amount(after).map_err(|error| Refusal::InvalidConfig(error.0))?;
        let tables = &self.config().tables;
        match resource.kind {
            ResourceKind::Topic => {
                let layers = self.topic_layers(&resource.name);
                check_topic(tables, &layers, after).map_err(|error| Refusal::InvalidConfig(error.0))
            }
            ResourceKind::Group => check_group(tables, &self.topic_layers(""), after)
                .map_err(|error| Refusal::InvalidConfig(error.0)),
            ResourceKind::ClientMetrics => judge_subscription(after).and_then(|()| {
                let unknown = "Unknown client metrics configuration";
                check_known(&tables.client_metrics, unknown, after)
                    .map_err(|error| Refusal::InvalidRequest(error.0))
            }),
            ResourceKind::Broker => self.judge_broker_values(&resource.name, before, after),
        }
    }

    /// Judges what is new among a broker's values. A key nobody knows is taken as Kafka takes it:
    /// it may belong to something plugged in.
    fn judge_broker_values(
        &self,
        broker: &str,
        before: &ConfigValues,
        after: &ConfigValues,
    ) -> Result<(), Refusal> {
        let tables = &self.config().tables;
        let new = || {
            after
                .iter()
                .filter(|(key, value)| before.get(*key) != Some(value))
                .filter_map(|(key, value)| Some((tables.broker_key(key)?, value)))
        };
        let names = |which: fn(UpdateMode) -> bool| {
            let keys = new().map(|(key, _)| key);
            let names = keys.filter(|key| which(key.update_mode));
            names.map(|key| key.name).collect::<Vec<_>>().join(", ")
        };
        let fixed = names(UpdateMode::is_fixed);
        if !fixed.is_empty() {
            return Err(Refusal::InvalidRequest(format!(
                "Cannot update these configs dynamically: [{fixed}]"
            )));
        }
        let of_one = names(|mode| mode == UpdateMode::PerBroker);
        if broker.is_empty() && !of_one.is_empty() {
            return Err(Refusal::InvalidRequest(format!(
                "Cannot update these configs at default cluster level, broker id must be \
                 specified: [{of_one}]"
            )));
        }
        let mine = broker.is_empty() || broker == self.config().node.to_string();
        for (key, value) in new() {
            check_value(key, value).map_err(|error| Refusal::InvalidRequest(error.0))?;
            if key.name == CORDONED_LOG_DIRS && mine {
                check_cordoned(value, &self.config().log_dirs)
                    .map_err(|error| Refusal::InvalidRequest(error.0))?;
            }
        }
        let id = broker.parse().map_or(self.config().node, BrokerId);
        let now = ConfigLayers::of_broker(self.image(), tables, id);
        let then = match broker.is_empty() {
            true => now.clone().with_values_of_all_brokers(after),
            false => now.clone().with_broker_values(after),
        };
        check_broker(tables, &now, &then).map_err(|error| Refusal::InvalidRequest(error.0))
    }
}

/// Judges what is asked, whatever the resource.
fn judge_operations(operations: &[ConfigOperation]) -> Result<(), Refusal> {
    let keys: BTreeSet<&str> = operations.iter().map(|one| one.key.as_str()).collect();
    if keys.len() != operations.len() {
        return Err(Refusal::InvalidRequest(
            "Error due to duplicate config keys".to_owned(),
        ));
    }
    let nulls: Vec<&str> = operations
        .iter()
        .filter(|one| one.operation != Operation::Delete && one.value.is_none())
        .map(|one| one.key.as_str())
        .collect();
    if nulls.is_empty() {
        return Ok(());
    }
    Err(Refusal::InvalidRequest(format!(
        "Null value not supported for : {}",
        nulls.join(",")
    )))
}

/// Judges the interval of a subscription, for which Kafka has a sentence of its own (KIP-714).
fn judge_subscription(values: &ConfigValues) -> Result<(), Refusal> {
    let Some(text) = values.get("interval.ms") else {
        return Ok(());
    };
    match text.trim().parse::<i32>() {
        Ok(interval) if !(100..=3_600_000).contains(&interval) => {
            Err(Refusal::InvalidRequest(format!(
                "Invalid value {interval} for interval.ms, interval must be between 100 and \
                 3600000 (1 hour)"
            )))
        }
        _ => Ok(()),
    }
}
