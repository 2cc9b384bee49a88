//! Finalized features: `metadata.version` and `group.version` (KIP-584, KIP-778, KIP-848).
//!
//! The ranges and levels are those of a Kafka 4.3 cluster, so that tools recognise one. The level of
//! `metadata.version` changes nothing here: our records carry their own schema. That of
//! `group.version` lets members speak the consumer protocol. `transaction.version` is not known
//! before it means something, because clients act upon it.

use super::Planner;
use super::requests::{FeatureUpdate, UpgradeType};
use crate::metadata::records::MetadataRecord;
use crate::metadata::refusal::Refusal;

/// The feature's name.
pub const METADATA_VERSION: &str = "metadata.version";
/// The lowest level accepted (Kafka's 3.3-IV3).
pub const METADATA_VERSION_MIN: i16 = 7;
/// The highest level, at which a cluster begins (Kafka's 4.3-IV0).
pub const METADATA_VERSION_MAX: i16 = 30;

/// The feature that lets members speak the consumer protocol, at level 1.
pub const GROUP_VERSION: &str = "group.version";

/// The features there are: the lowest and the highest level accepted. A cluster begins at the
/// highest.
pub const FEATURES: &[(&str, i16, i16)] = &[
    (GROUP_VERSION, 0, 1),
    (METADATA_VERSION, METADATA_VERSION_MIN, METADATA_VERSION_MAX),
];

impl Planner<'_, '_> {
    pub(super) fn update_features(
        &mut self,
        updates: &[FeatureUpdate],
        validate_only: bool,
    ) -> Result<(), Refusal> {
        for update in updates {
            self.judge_feature(update).map_err(|sentence| {
                Refusal::InvalidUpdateVersion(format!(
                    "The update failed for all features since the following feature had an \
                     error: {sentence}"
                ))
            })?;
        }
        if validate_only {
            return Ok(());
        }
        for update in updates {
            let current = self.image().features.get(&update.feature).copied();
            if current.unwrap_or_default() != update.level {
                self.write(MetadataRecord::FeatureLevel {
                    name: update.feature.clone(),
                    level: update.level,
                });
            }
        }
        Ok(())
    }

    fn judge_feature(&self, update: &FeatureUpdate) -> Result<(), String> {
        let FeatureUpdate { feature, level, .. } = update;
        let invalid = |why: String| {
            Err(format!(
                "Invalid update version {level} for feature {feature}. {why}"
            ))
        };
        let node = self.config().node;
        if update.upgrade_type == UpgradeType::Unknown {
            return invalid("The controller does not support the given upgrade type.".to_owned());
        }
        if *level < 0 {
            return invalid("A feature version cannot be less than 0.".to_owned());
        }
        let Some((name, min, max)) = FEATURES.iter().find(|(name, ..)| name == feature) else {
            return invalid(format!(
                "Local controller {node} does not support this feature."
            ));
        };
        if !(*min..=*max).contains(level) {
            return invalid(format!(
                "Local controller {node} only supports versions {min}-{max}"
            ));
        }
        let is_metadata = *name == METADATA_VERSION;
        let current = self.image().features.get(*name).copied();
        let current = current.unwrap_or(if is_metadata { METADATA_VERSION_MAX } else { 0 });
        let refused = |why: &str| Err(format!("Invalid metadata.version {level}. {why}"));
        match update.upgrade_type {
            UpgradeType::Upgrade if *level < current => invalid(
                "Can't downgrade the version of this feature without setting the upgrade type to \
                 either safe or unsafe downgrade."
                    .to_owned(),
            ),
            UpgradeType::SafeDowngrade | UpgradeType::UnsafeDowngrade if *level > current => {
                invalid("Can't downgrade to a newer version.".to_owned())
            }
            UpgradeType::SafeDowngrade if is_metadata && *level < current => refused(
                "Refusing to perform the requested downgrade because it might delete metadata \
                 information.",
            ),
            UpgradeType::UnsafeDowngrade if is_metadata && *level < current => {
                refused("Unsafe metadata downgrade is not supported in this version.")
            }
            _ => Ok(()),
        }
    }
}
