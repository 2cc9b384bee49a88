//! Altering configurations: what AlterConfigs and IncrementalAlterConfigs share.
//!
//! The door judges the shape of a request (`ConfigAdminManager.preprocess`): each resource once,
//! each key once, no nulls, resources of this broker. Loggers are changed here; everything else is
//! decided by the controller. Invariant: each resource is changed wholly or not at all.

use std::collections::HashSet;
use std::time::Duration;

use super::config_resource::{ResourceType, own_broker_id};
use super::errors::ApiError;
use super::gateway::{Gateway, LogLevel};
use super::peer::{self, Peer, authorize};
use super::repeated;
use crate::metadata::controller::{ConfigOperation, Operation, Reply, Request};
use crate::metadata::{ConfigResource, ResourceKind};
use crate::model::ErrorCode;
use crate::protocol::messages::StrBytes;

/// These requests carry no timeout: Kafka's `request.timeout.ms`.
const PATIENCE: Duration = Duration::from_secs(30);
const ROOT_LOGGER: &str = "root";

/// One key and what to do with it, as it came.
#[derive(Debug)]
pub(super) struct AskedConfig {
    /// The key.
    pub(super) name: StrBytes,
    /// 0 set, 1 delete, 2 append, 3 subtract.
    pub(super) operation: i8,
    /// The value.
    pub(super) value: Option<StrBytes>,
}

/// One resource and what to do with it, as it came.
#[derive(Debug)]
pub(super) struct AskedResource {
    /// The kind's number.
    pub(super) resource_type: i8,
    /// The name.
    pub(super) name: StrBytes,
    /// What to do.
    pub(super) configs: Vec<AskedConfig>,
}

/// How a request alters.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    /// The legacy request: keys that are not named return to their defaults.
    pub(super) replace: bool,
    /// Only tell what would happen.
    pub(super) validate_only: bool,
}

/// Alters; one answer per resource, in order.
pub(super) async fn alter(
    gateway: &Gateway,
    resources: Vec<AskedResource>,
    manner: Manner,
    peer: &Peer,
) -> Vec<ApiError> {
    let identity = |resource: &AskedResource| (resource.resource_type, resource.name.clone());
    let identities: Vec<_> = resources.iter().map(identity).collect();
    let repeated = repeated(identities.iter());
    let mut answers = Vec::with_capacity(resources.len());
    let mut asked = Vec::new();
    for (resource, identity) in resources.into_iter().zip(&identities) {
        let judged = if repeated.contains(identity) {
            Err(ApiError::invalid_request(
                "Each resource must appear at most once.",
            ))
        } else {
            judge(gateway, resource, manner, peer)
        };
        match judged {
            Ok(Some(alteration)) => {
                // Its answer takes this place.
                asked.push((answers.len(), alteration));
                answers.push(ErrorCode::UnknownServerError.into());
            }
            Ok(None) => answers.push(ApiError::NONE),
            Err(error) => answers.push(error),
        }
    }
    let (places, alterations): (Vec<usize>, Vec<_>) = asked.into_iter().unzip();
    let results = ask(gateway, alterations, manner).await;
    for (place, result) in places.into_iter().zip(results) {
        if let Some(answer) = answers.get_mut(place) {
            *answer = result;
        }
    }
    answers
}

type Alteration = (ConfigResource, Vec<ConfigOperation>);

/// What to ask the controller; nothing when it is done already.
fn judge(
    gateway: &Gateway,
    resource: AskedResource,
    manner: Manner,
    peer: &Peer,
) -> Result<Option<Alteration>, ApiError> {
    let name = resource.name.as_str();
    let unknown = || {
        let number = resource.resource_type;
        ApiError::invalid_request(format!("Unknown resource type {number}"))
    };
    let resource_type = ResourceType::parse(resource.resource_type).ok_or_else(unknown)?;
    if manner.replace && resource_type == ResourceType::BrokerLogger {
        return Err(unknown());
    }
    permit(resource_type, name, peer)?;
    if !repeated(resource.configs.iter().map(|config| &config.name)).is_empty() {
        return Err(ApiError::invalid_request(
            "Error due to duplicate config keys",
        ));
    }
    let operations = operations(&resource.configs)?;
    match resource_type {
        ResourceType::BrokerLogger => {
            own_broker_id(gateway, name, "Node", |me, id| {
                format!("Unexpected node id. Expected {me}, but received {id}")
            })?;
            alter_loggers(gateway, &operations, manner.validate_only)?;
            return Ok(None);
        }
        ResourceType::Broker if !name.is_empty() => {
            own_broker_id(gateway, name, "Node", |me, id| {
                format!("Unexpected broker id, expected {me}, but received {id}")
            })?;
        }
        _ => {}
    }
    let kind = resource_type.kept_as().unwrap_or(ResourceKind::Broker);
    let resource = ConfigResource {
        kind,
        name: name.to_owned(),
    };
    Ok(Some((resource, operations)))
}

fn permit(resource_type: ResourceType, name: &str, peer: &Peer) -> Result<(), ApiError> {
    let (resource, refusal) = match resource_type {
        ResourceType::Topic => (
            peer::Resource::Topic(name),
            ErrorCode::TopicAuthorizationFailed,
        ),
        ResourceType::Group => (
            peer::Resource::Group(name),
            ErrorCode::GroupAuthorizationFailed,
        ),
        _ => (
            peer::Resource::Cluster,
            ErrorCode::ClusterAuthorizationFailed,
        ),
    };
    if authorize(peer, peer::Operation::AlterConfigs, resource) {
        Ok(())
    } else {
        Err(refusal.into())
    }
}

fn operations(configs: &[AskedConfig]) -> Result<Vec<ConfigOperation>, ApiError> {
    const DELETE: i8 = 1;
    let nulls: Vec<&str> = configs
        .iter()
        .filter(|config| config.value.is_none() && config.operation != DELETE)
        .map(|config| config.name.as_str())
        .collect();
    if !nulls.is_empty() {
        return Err(ApiError::invalid_request(format!(
            "Null value not supported for : {}",
            nulls.join(",")
        )));
    }
    configs
        .iter()
        .map(|config| {
            let operation = match config.operation {
                0 => Operation::Set,
                DELETE => Operation::Delete,
                2 => Operation::Append,
                3 => Operation::Subtract,
                other => {
                    return Err(ApiError::invalid_request(format!(
                        "Unknown operation {other} for configuration {}",
                        config.name
                    )));
                }
            };
            Ok(ConfigOperation {
                key: config.name.as_str().to_owned(),
                operation,
                value: config.value.as_deref().map(str::to_owned),
            })
        })
        .collect()
}

fn alter_loggers(
    gateway: &Gateway,
    operations: &[ConfigOperation],
    validate_only: bool,
) -> Result<(), ApiError> {
    let known: HashSet<String> = gateway.loggers.levels().into_keys().collect();
    let changes = operations
        .iter()
        .map(|operation| logger_change(operation, &known))
        .collect::<Result<Vec<_>, _>>()?;
    if !validate_only {
        for (logger, level) in changes {
            gateway.loggers.set(logger, level);
        }
    }
    Ok(())
}

fn logger_change<'a>(
    asked: &'a ConfigOperation,
    known: &HashSet<String>,
) -> Result<(&'a str, Option<LogLevel>), ApiError> {
    let logger = asked.key.as_str();
    let exists = || {
        if known.contains(logger) {
            return Ok(());
        }
        let sentence = format!("Logger {logger} does not exist!");
        Err(ApiError::new(ErrorCode::InvalidConfig, sentence))
    };
    let not_allowed = |operation| {
        Err(ApiError::invalid_request(format!(
            "{operation} operation is not allowed for the BROKER_LOGGER resource"
        )))
    };
    match asked.operation {
        Operation::Set => {
            exists()?;
            let text = asked.value.as_deref().unwrap_or_default();
            let level = LogLevel::parse(text).ok_or_else(|| {
                let sentence = format!(
                    "Cannot set the log level of {logger} to {text} as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"
                );
                ApiError::new(ErrorCode::InvalidConfig, sentence)
            })?;
            Ok((logger, Some(level)))
        }
        Operation::Delete => {
            exists()?;
            if logger == ROOT_LOGGER {
                return Err(ApiError::invalid_request(
                    "Removing the log level of the root logger is not allowed",
                ));
            }
            Ok((logger, None))
        }
        Operation::Append => not_allowed("APPEND"),
        Operation::Subtract => not_allowed("SUBTRACT"),
    }
}

/// One answer per alteration, in order.
async fn ask(gateway: &Gateway, resources: Vec<Alteration>, manner: Manner) -> Vec<ApiError> {
    let count = resources.len();
    if count == 0 {
        return Vec::new();
    }
    let request = Request::AlterConfigs {
        resources,
        replace: manner.replace,
        validate_only: manner.validate_only,
    };
    match gateway.controller.ask(request, PATIENCE).await {
        Ok(Reply::AlterConfigs(results)) => results
            .into_iter()
            .map(|result| result.map_or_else(|refusal| (&refusal).into(), |()| ApiError::NONE))
            .collect(),
        Ok(_) => vec![ErrorCode::UnknownServerError.into(); count],
        Err(unavailable) => vec![unavailable.into(); count],
    }
}
