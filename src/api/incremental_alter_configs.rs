//! IncrementalAlterConfigs: sets, deletes, appends to and subtracts from single keys (KIP-339).

use super::alteration::{AskedConfig, AskedResource, Manner, alter};
use super::gateway::Gateway;
use super::peer::Peer;
use crate::message;
use crate::protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

/// Alters, or only tells what would happen.
pub(super) async fn handle(
    gateway: &Gateway,
    request: IncrementalAlterConfigsRequest,
    _version: i16,
    peer: &Peer,
) -> IncrementalAlterConfigsResponse {
    let manner = Manner {
        replace: false,
        validate_only: request.validate_only,
    };
    let mut identities = Vec::with_capacity(request.resources.len());
    let mut resources = Vec::with_capacity(request.resources.len());
    for resource in request.resources {
        identities.push((resource.resource_type, resource.resource_name.clone()));
        resources.push(AskedResource {
            resource_type: resource.resource_type,
            name: resource.resource_name,
            configs: resource
                .configs
                .into_iter()
                .map(|config| AskedConfig {
                    name: config.name,
                    operation: config.config_operation,
                    value: config.value,
                })
                .collect(),
        });
    }
    let answers = alter(gateway, resources, manner, peer).await;
    message!(IncrementalAlterConfigsResponse {
        responses: identities
            .into_iter()
            .zip(answers)
            .map(|((resource_type, resource_name), answer)| {
                message!(AlterConfigsResourceResponse {
                    error_code: answer.code.code(),
                    error_message: answer.message,
                    resource_type: resource_type,
                    resource_name: resource_name,
                })
            })
            .collect(),
    })
}

#[cfg(test)]
#[path = "alteration_tests.rs"]
mod tests;
