//! The kinds of resources that have configurations, as requests number them, and the checks of
//! their names that describing and altering share.

use super::errors::ApiError;
use super::gateway::Gateway;
use crate::metadata::ResourceKind;

/// A kind of resource (`ConfigResource.Type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ResourceType {
    /// A topic, by name.
    Topic,
    /// A broker by id, or all of them under the empty name.
    Broker,
    /// The loggers of a broker, by its id.
    BrokerLogger,
    /// A client-metrics subscription, by name.
    ClientMetrics,
    /// A group, by id.
    Group,
}

impl ResourceType {
    /// The kinds there are.
    pub(super) const ALL: [ResourceType; 5] = [
        ResourceType::Group,
        ResourceType::ClientMetrics,
        ResourceType::BrokerLogger,
        ResourceType::Broker,
        ResourceType::Topic,
    ];

    /// The kind of this number.
    pub(super) fn parse(number: i8) -> Option<ResourceType> {
        ResourceType::ALL
            .into_iter()
            .find(|kind| kind.wire() == number)
    }

    /// Its number.
    pub(super) const fn wire(self) -> i8 {
        match self {
            ResourceType::Topic => 2,
            ResourceType::Broker => 4,
            ResourceType::BrokerLogger => 8,
            ResourceType::ClientMetrics => 16,
            ResourceType::Group => 32,
        }
    }

    /// What its values are kept under in the cluster's metadata; loggers' are not kept.
    pub(super) const fn kept_as(self) -> Option<ResourceKind> {
        match self {
            ResourceType::Topic => Some(ResourceKind::Topic),
            ResourceType::Broker => Some(ResourceKind::Broker),
            ResourceType::BrokerLogger => None,
            ResourceType::ClientMetrics => Some(ResourceKind::ClientMetrics),
            ResourceType::Group => Some(ResourceKind::Group),
        }
    }
}

/// Checks that a resource's name is this broker's id. `noun` begins the sentence about a name that
/// is no number; `other` makes the sentence about another broker's id of ours and the one received.
pub(super) fn own_broker_id(
    gateway: &Gateway,
    name: &str,
    noun: &str,
    other: impl FnOnce(i32, i32) -> String,
) -> Result<(), ApiError> {
    let id = name.parse::<i32>().map_err(|_| {
        ApiError::invalid_request(format!("{noun} id must be an integer, but it is: {name}"))
    })?;
    let me = gateway.facts.broker_id.0;
    if id == me {
        Ok(())
    } else {
        Err(ApiError::invalid_request(other(me, id)))
    }
}
