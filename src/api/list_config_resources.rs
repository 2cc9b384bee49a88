//! ListConfigResources: which resources have, or can have, configurations (KIP-714, KIP-1142).
//!
//! Version 0 lists client-metrics subscriptions only, later ones every kind that is asked for.

use std::collections::BTreeSet;

use super::config_resource::ResourceType;
use super::gateway::Gateway;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::message;
use crate::metadata::{Image, ResourceKind};
use crate::model::ErrorCode;
use crate::protocol::messages::list_config_resources_response::ConfigResource;
use crate::protocol::messages::{
    ListConfigResourcesRequest, ListConfigResourcesResponse, StrBytes,
};

/// The first version that asks for kinds.
const FIRST_WITH_TYPES: i16 = 1;

/// Answers.
pub(super) async fn handle(
    gateway: &Gateway,
    request: ListConfigResourcesRequest,
    version: i16,
    peer: &Peer,
) -> ListConfigResourcesResponse {
    let refuse = |code: ErrorCode| {
        message!(ListConfigResourcesResponse {
            error_code: code.code()
        })
    };
    if !authorize(peer, Operation::DescribeConfigs, Resource::Cluster) {
        return refuse(ErrorCode::ClusterAuthorizationFailed);
    }
    let asked: Vec<Option<ResourceType>> = match request.resource_types {
        _ if version < FIRST_WITH_TYPES => vec![Some(ResourceType::ClientMetrics)],
        types if types.is_empty() => ResourceType::ALL.map(Some).to_vec(),
        types => types.into_iter().map(ResourceType::parse).collect(),
    };
    let Some(asked) = asked.into_iter().collect::<Option<Vec<_>>>() else {
        return refuse(ErrorCode::UnsupportedVersion);
    };
    let image = gateway.image.load();
    let listed = ResourceType::ALL
        .into_iter()
        .filter(|kind| asked.contains(kind))
        .flat_map(|kind| {
            names(&image, kind)
                .into_iter()
                .map(move |name| (kind, name))
        });
    message!(ListConfigResourcesResponse {
        config_resources: listed
            .map(|(kind, name)| {
                let mut resource = message!(ConfigResource {
                    resource_name: name
                });
                if version >= FIRST_WITH_TYPES {
                    resource.resource_type = kind.wire();
                }
                resource
            })
            .collect(),
    })
}

/// The names of a kind's resources, in order.
fn names(image: &Image, kind: ResourceType) -> BTreeSet<StrBytes> {
    let configured = |kind: ResourceKind| -> BTreeSet<StrBytes> {
        image
            .configs
            .keys()
            .filter(|resource| resource.kind == kind)
            .map(|resource| resource.name.as_str().into())
            .collect()
    };
    match kind {
        ResourceType::Topic => image
            .topic_ids
            .keys()
            .map(|name| (&**name).into())
            .collect(),
        ResourceType::Broker | ResourceType::BrokerLogger => image
            .brokers
            .keys()
            .map(|id| id.to_string().into())
            .collect(),
        ResourceType::ClientMetrics => configured(ResourceKind::ClientMetrics),
        ResourceType::Group => configured(ResourceKind::Group),
    }
}
