//! AlterConfigs, the legacy request: what it does not name returns to its default.

use super::alteration::{AskedConfig, AskedResource, Manner, alter};
use super::gateway::Gateway;
use super::peer::Peer;
use crate::message;
use crate::protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use crate::protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};

/// Every key is set.
const SET: i8 = 0;

/// Alters, or only tells what would happen.
pub(super) async fn handle(
    gateway: &Gateway,
    request: AlterConfigsRequest,
    _version: i16,
    peer: &Peer,
) -> AlterConfigsResponse {
    let manner = Manner {
        replace: true,
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
                    operation: SET,
                    value: config.value,
                })
                .collect(),
        });
    }
    let answers = alter(gateway, resources, manner, peer).await;
    message!(AlterConfigsResponse {
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
