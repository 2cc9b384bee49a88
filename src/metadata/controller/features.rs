//! Finalized features: the one there is, `metadata.version` (KIP-584, KIP-778).
//!
//! Its range and level are those of a Kafka 4.3 cluster, so that tools recognise one. The level
//! changes nothing here: our records carry their own schema. `transaction.version` and
//! `group.version` are not known before they mean something, because clients act upon them.

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
            if self.image().features.get(&update.feature) != Some(&update.level) {
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
        if feature != METADATA_VERSION {
            return invalid(format!(
                "Local controller {node} does not support this feature."
            ));
        }
        if !(METADATA_VERSION_MIN..=METADATA_VERSION_MAX).contains(level) {
            return invalid(format!(
                "Local controller {node} only supports versions \
                 {METADATA_VERSION_MIN}-{METADATA_VERSION_MAX}"
            ));
        }
        let current = self.image().features.get(METADATA_VERSION).copied();
        let current = current.unwrap_or(METADATA_VERSION_MAX);
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
            UpgradeType::SafeDowngrade if *level < current => refused(
                "Refusing to perform the requested downgrade because it might delete metadata \
                 information.",
            ),
            UpgradeType::UnsafeDowngrade if *level < current => {
                refused("Unsafe metadata downgrade is not supported in this version.")
            }
            _ => Ok(()),
        }
    }
}
