//! ApiVersions: which requests this broker serves, in which versions, and which features it has.
//!
//! Called by the front desk for the first request of nearly every connection.

use super::gateway::Gateway;
use super::peer::{ClientSoftware, Peer};
use super::table;
use crate::message;
use crate::metadata::controller::FEATURES;
use crate::model::ErrorCode;
use crate::protocol::messages::api_versions_response::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};

/// The first version that carries features and the client's name (KIP-511, KIP-584).
const FIRST_WITH_FEATURES: i16 = 3;
/// The first version whose clients can read a feature with minimum 0 (KAFKA-17492).
const FIRST_WITH_MINIMUM_ZERO: i16 = 4;

/// Answers, and remembers how the client calls itself.
pub(super) async fn handle(
    gateway: &Gateway,
    request: ApiVersionsRequest,
    version: i16,
    peer: &Peer,
) -> ApiVersionsResponse {
    if version >= FIRST_WITH_FEATURES {
        let names = [
            &request.client_software_name,
            &request.client_software_version,
        ];
        if !names.iter().all(|name| is_software_name(name.as_str())) {
            return message!(ApiVersionsResponse {
                error_code: ErrorCode::InvalidRequest.code()
            });
        }
        // Copies: slices of the request would keep its frame for as long as the connection lives.
        peer.connection.introduce(ClientSoftware {
            name: request.client_software_name.as_str().into(),
            version: request.client_software_version.as_str().into(),
        });
    }
    let mut response = message!(ApiVersionsResponse {
        api_keys: table::API_TABLE.iter().map(advertised).collect(),
    });
    if version >= FIRST_WITH_FEATURES {
        add_features(gateway, version, &mut response);
    }
    response
}

/// The answer to a version of ApiVersions that is not served: error 35 and the range of
/// ApiVersions alone, to be encoded as version 0 (KIP-511).
pub(super) fn unsupported_version() -> ApiVersionsResponse {
    message!(ApiVersionsResponse {
        error_code: ErrorCode::UnsupportedVersion.code(),
        api_keys: table::find(crate::protocol::api_key::API_VERSIONS)
            .map(advertised)
            .into_iter()
            .collect(),
    })
}

fn advertised(row: &table::Row) -> ApiVersion {
    message!(ApiVersion {
        api_key: row.key,
        min_version: row.advertised_min,
        max_version: row.max,
    })
}

fn add_features(gateway: &Gateway, version: i16, response: &mut ApiVersionsResponse) {
    let image = gateway.image.load();
    response.supported_features = FEATURES
        .iter()
        .filter(|(_, min, _)| version >= FIRST_WITH_MINIMUM_ZERO || *min > 0)
        .map(|(name, min, max)| {
            message!(SupportedFeatureKey {
                name: (*name).into(),
                min_version: *min,
                max_version: *max,
            })
        })
        .collect();
    response.finalized_features_epoch = i64::try_from(image.version).unwrap_or(i64::MAX);
    response.finalized_features = image
        .features
        .iter()
        .map(|(name, level)| {
            message!(FinalizedFeatureKey {
                name: name.as_str().into(),
                max_version_level: *level,
                min_version_level: *level,
            })
        })
        .collect();
}

/// Letters, digits, dots and dashes, neither of the latter first or last
/// (`ApiVersionsRequest.SOFTWARE_NAME_VERSION_PATTERN`).
fn is_software_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    first.is_ascii_alphanumeric()
        && last.is_ascii_alphanumeric()
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
}

#[cfg(test)]
#[path = "api_versions_tests.rs"]
mod tests;
