//! UpdateFeatures: finalizes levels of features (KIP-584, KIP-778).

use super::errors::ApiError;
use super::gateway::Gateway;
use super::patience;
use super::peer::{Operation, Peer, Resource, authorize};
use crate::message;
use crate::metadata::controller::{FeatureUpdate, Reply, Request, UpgradeType};
use crate::model::ErrorCode;
use crate::protocol::messages::update_features_request::FeatureUpdateKey;
use crate::protocol::messages::update_features_response::UpdatableFeatureResult;
use crate::protocol::messages::{StrBytes, UpdateFeaturesRequest, UpdateFeaturesResponse};

/// Since this version an upgrade type replaces the flag, and requests may only validate.
const FIRST_WITH_UPGRADE_TYPE: i16 = 1;
/// The last version that answers each feature by itself.
const LAST_WITH_RESULTS: i16 = 1;

/// Finalizes, or only tells what would happen.
pub(super) async fn handle(
    gateway: &Gateway,
    request: UpdateFeaturesRequest,
    version: i16,
    peer: &Peer,
) -> UpdateFeaturesResponse {
    let features: Vec<StrBytes> = request
        .feature_updates
        .iter()
        .map(|update| update.feature.clone())
        .collect();
    let error = if authorize(peer, Operation::Alter, Resource::Cluster) {
        ask(gateway, request, version).await
    } else {
        ErrorCode::ClusterAuthorizationFailed.into()
    };
    let mut response = message!(UpdateFeaturesResponse {
        error_code: error.code.code(),
        error_message: error.message,
    });
    if version <= LAST_WITH_RESULTS && error.code == ErrorCode::None {
        response.results = features
            .into_iter()
            .map(|feature| {
                message!(UpdatableFeatureResult {
                    feature: feature,
                    error_message: None,
                })
            })
            .collect();
    }
    response
}

async fn ask(gateway: &Gateway, request: UpdateFeaturesRequest, version: i16) -> ApiError {
    let timeout_ms = request.timeout_ms;
    let request = Request::UpdateFeatures {
        updates: request
            .feature_updates
            .into_iter()
            .map(|update| feature_update(update, version))
            .collect(),
        validate_only: request.validate_only,
    };
    match gateway.controller.ask(request, patience(timeout_ms)).await {
        Ok(Reply::UpdateFeatures(Ok(()))) => ApiError::NONE,
        Ok(Reply::UpdateFeatures(Err(refusal))) => (&refusal).into(),
        Ok(_) => ErrorCode::UnknownServerError.into(),
        Err(unavailable) => unavailable.into(),
    }
}

fn feature_update(update: FeatureUpdateKey, version: i16) -> FeatureUpdate {
    let upgrade_type = match (version >= FIRST_WITH_UPGRADE_TYPE, update.upgrade_type) {
        (true, 1) => UpgradeType::Upgrade,
        (true, 2) => UpgradeType::SafeDowngrade,
        (true, 3) => UpgradeType::UnsafeDowngrade,
        (true, _) => UpgradeType::Unknown,
        (false, _) if update.allow_downgrade => UpgradeType::SafeDowngrade,
        (false, _) => UpgradeType::Upgrade,
    };
    FeatureUpdate {
        feature: update.feature.into_string(),
        level: update.max_version_level,
        upgrade_type,
    }
}
