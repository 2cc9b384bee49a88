//! Rules between values: contradictions, and what nothing stands behind yet.
//!
//! Called by `config::server_config`. Sources: Kafka's `KafkaConfig.validateValues` and
//! `GroupCoordinatorConfig`. Invariant: a rule either refuses with key, value and way out, or adds
//! a notice; none changes what was asked for.

use super::error::ConfigError;
use super::keys;
use super::server_config::{Notice, ServerConfig};
use super::values::{Place, StaticValues};
use crate::metadata::config_check::check_log_defaults;

/// `broker.id` and `node.id` are one thing; whichever is set, both have its value.
pub(super) fn settle_node_id(values: &mut StaticValues) -> Result<(), ConfigError> {
    let set = |values: &StaticValues, name| values.get_set(name).map(|set| set.text.clone());
    let (node, broker) = (set(values, "node.id"), set(values, "broker.id"));
    if let (Some(node), Some(broker)) = (&node, &broker)
        && node != broker
    {
        return Err(ConfigError::combination(format!(
            "node.id={node} and broker.id={broker} are the same thing with two values; leave broker.id out"
        )));
    }
    let id: i64 = values.number("node.id")?;
    if id < 0 {
        return Err(ConfigError::combination(format!(
            "broker.id={id} is negative; set node.id to 0 or more"
        )));
    }
    let table = keys::broker_table();
    for (name, from) in [("broker.id", "node.id"), ("node.id", "broker.id")] {
        if let (None, Some(key)) = (values.get_set(name), table.get(name)) {
            values.set(key, id.to_string(), Place::Derived(from));
        }
    }
    Ok(())
}

/// Roles and quorums that need other nodes.
pub(super) fn refuse_what_is_not_built(values: &StaticValues) -> Result<(), ConfigError> {
    let roles = values.list("process.roles");
    for role in ["broker", "controller"] {
        if !roles.iter().any(|given| given == role) {
            return Err(ConfigError::combination(format!(
                "{} leaves out {role}, and clusters of several nodes are not built yet; use process.roles=broker,controller",
                values.named("process.roles")
            )));
        }
    }
    let own: i64 = values.number("node.id")?;
    for voter in values.list("controller.quorum.voters") {
        let id = voter
            .split_once('@')
            .and_then(|(id, _)| id.trim().parse::<i64>().ok());
        let Some(id) = id else {
            return Err(ConfigError::combination(format!(
                "controller.quorum.voters holds {voter}, which is not id@host:port; correct it or leave it out"
            )));
        };
        if id != own {
            return Err(ConfigError::combination(format!(
                "controller.quorum.voters names node {id} beside this node {own}, and clusters of several nodes are not built yet; leave it out"
            )));
        }
    }
    let servers = values.list("controller.quorum.bootstrap.servers");
    if servers.len() > 1 {
        return Err(ConfigError::combination(format!(
            "{} names several controllers, and clusters of several nodes are not built yet; leave it out",
            values.named("controller.quorum.bootstrap.servers")
        )));
    }
    Ok(())
}

/// Pairs of which the first must not be above the second.
const ORDERED: &[(&str, &str)] = &[
    ("socket.request.max.bytes", "queued.max.request.bytes"),
    ("replica.fetch.wait.max.ms", "replica.socket.timeout.ms"),
    ("replica.fetch.wait.max.ms", "replica.lag.time.max.ms"),
    (
        "group.min.session.timeout.ms",
        "group.max.session.timeout.ms",
    ),
    (
        "group.consumer.min.session.timeout.ms",
        "group.consumer.session.timeout.ms",
    ),
    (
        "group.consumer.session.timeout.ms",
        "group.consumer.max.session.timeout.ms",
    ),
    (
        "group.consumer.min.heartbeat.interval.ms",
        "group.consumer.heartbeat.interval.ms",
    ),
    (
        "group.consumer.heartbeat.interval.ms",
        "group.consumer.max.heartbeat.interval.ms",
    ),
    (
        "group.consumer.min.assignment.interval.ms",
        "group.consumer.assignment.interval.ms",
    ),
    (
        "group.consumer.assignment.interval.ms",
        "group.consumer.max.assignment.interval.ms",
    ),
    (
        "group.share.min.session.timeout.ms",
        "group.share.session.timeout.ms",
    ),
    (
        "group.share.session.timeout.ms",
        "group.share.max.session.timeout.ms",
    ),
    (
        "group.share.min.heartbeat.interval.ms",
        "group.share.heartbeat.interval.ms",
    ),
    (
        "group.share.heartbeat.interval.ms",
        "group.share.max.heartbeat.interval.ms",
    ),
    (
        "group.share.min.assignment.interval.ms",
        "group.share.assignment.interval.ms",
    ),
    (
        "group.share.assignment.interval.ms",
        "group.share.max.assignment.interval.ms",
    ),
    (
        "group.share.min.delivery.count.limit",
        "group.share.delivery.count.limit",
    ),
    (
        "group.share.delivery.count.limit",
        "group.share.max.delivery.count.limit",
    ),
    (
        "group.share.min.record.lock.duration.ms",
        "group.share.record.lock.duration.ms",
    ),
    (
        "group.share.record.lock.duration.ms",
        "group.share.max.record.lock.duration.ms",
    ),
    (
        "group.share.min.partition.max.record.locks",
        "group.share.partition.max.record.locks",
    ),
    (
        "group.share.partition.max.record.locks",
        "group.share.max.partition.max.record.locks",
    ),
    (
        "group.streams.min.session.timeout.ms",
        "group.streams.session.timeout.ms",
    ),
    (
        "group.streams.session.timeout.ms",
        "group.streams.max.session.timeout.ms",
    ),
    (
        "group.streams.min.heartbeat.interval.ms",
        "group.streams.heartbeat.interval.ms",
    ),
    (
        "group.streams.heartbeat.interval.ms",
        "group.streams.max.heartbeat.interval.ms",
    ),
    (
        "group.streams.min.assignment.interval.ms",
        "group.streams.assignment.interval.ms",
    ),
    (
        "group.streams.assignment.interval.ms",
        "group.streams.max.assignment.interval.ms",
    ),
    (
        "group.streams.num.standby.replicas",
        "group.streams.max.standby.replicas",
    ),
];

/// Values that do not go together.
pub(super) fn refuse_contradictions(values: &StaticValues) -> Result<(), ConfigError> {
    for (less, more) in ORDERED {
        let (low, high): (i64, i64) = (values.number(less)?, values.number(more)?);
        // A negative limit is none.
        if high >= 0 && low > high {
            return Err(ConfigError::combination(format!(
                "{less}={low} is above {more}={high}; lower the first or raise the second"
            )));
        }
    }
    check_log_defaults(|name| values.number(name).ok())
        .map_err(|error| ConfigError::combination(error.0))?;
    let idle: i64 = values.number("connections.max.idle.ms")?;
    let delay: i64 = values.number("connection.failed.authentication.delay.ms")?;
    if idle >= 0 && delay >= idle {
        return Err(ConfigError::combination(format!(
            "connection.failed.authentication.delay.ms={delay} is not below connections.max.idle.ms={idle}; lower the first or raise the second"
        )));
    }
    let overrides = values
        .text("max.connections.per.ip.overrides")
        .unwrap_or_default();
    if values.number::<i64>("max.connections.per.ip")? == 0 && overrides.is_empty() {
        return Err(ConfigError::combination(
            "max.connections.per.ip=0 lets nobody in; raise it, or name addresses in max.connections.per.ip.overrides",
        ));
    }
    Ok(())
}

/// Adds what the log should say about a configuration that can be run.
pub(super) fn with_remarks(mut config: ServerConfig) -> ServerConfig {
    let mut told = Vec::new();
    for listener in &config.listeners.controller {
        told.push(Notice::Told(format!(
            "controller listener {listener} is accepted and not opened: one node's quorum is inside it, and no other node has to reach it"
        )));
    }
    for listener in &config.listeners.open {
        if listener.bind.host.is_empty() {
            told.push(Notice::Told(format!(
                "listener {listener} listens on every address, and clients are told {}; set advertised.listeners if they do not reach that",
                listener.advertised
            )));
        }
    }
    told.extend(factors_above_one_node(&config.values));
    config.notices.extend(told);
    config
}

/// Replication factors that one node cannot satisfy.
fn factors_above_one_node(values: &StaticValues) -> Vec<Notice> {
    [
        "default.replication.factor",
        "offsets.topic.replication.factor",
        "transaction.state.log.replication.factor",
        "share.coordinator.state.topic.replication.factor",
    ]
    .into_iter()
    .filter(|name| values.number::<i64>(name).is_ok_and(|factor| factor > 1))
    .map(|name| {
        Notice::Warned(format!(
            "{} asks for more brokers than this one, so topics that need it cannot be created; set it to 1",
            values.named(name)
        ))
    })
    .collect()
}
