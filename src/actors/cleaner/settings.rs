//! What the cleaner obeys: the broker's keys under the values in force.
//!
//! Resolved at the start and at every change of the metadata: all of them but `log.cleaner.enable`
//! change while the broker runs, as in Kafka. Invariant: a value that cannot be read counts as the
//! default.

use std::sync::Arc;
use std::time::Duration;

use crate::metadata::{ConfigLayers, ConfigTables, Image};
use crate::model::BrokerId;

/// Answers what the settings are under an image. `broker` makes one.
pub type CleanerSettingsSource = Arc<dyn Fn(&Image) -> CleanerSettings + Send + Sync>;

/// See the module. Kafka's `CleanerConfig`.
#[derive(Debug, Clone, PartialEq)]
pub struct CleanerSettings {
    /// `log.cleaner.enable`.
    pub enabled: bool,
    /// `log.cleaner.threads`.
    pub threads: usize,
    /// `log.cleaner.dedupe.buffer.size`, of all threads together.
    pub dedupe_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`.
    pub load_factor: f64,
    /// `log.cleaner.io.max.bytes.per.second`, of all threads together.
    pub bytes_per_second_max: f64,
    /// `log.cleaner.backoff.ms`: how long nothing is looked at when there was nothing to do, and
    /// after how long a log that could not be cleaned is tried again at first.
    pub backoff: Duration,
}

impl Default for CleanerSettings {
    /// Kafka's defaults.
    fn default() -> CleanerSettings {
        CleanerSettings {
            enabled: true,
            threads: 1,
            dedupe_bytes: 128 << 20,
            load_factor: 0.9,
            bytes_per_second_max: f64::MAX,
            backoff: Duration::from_secs(15),
        }
    }
}

impl CleanerSettings {
    /// The settings of `broker` under an image. Values were judged on their way in; one that still
    /// cannot be read counts as the default.
    pub fn resolve(image: &Image, tables: &ConfigTables, broker: BrokerId) -> CleanerSettings {
        let layers = ConfigLayers::of_broker(image, tables, broker);
        let text = |name: &str| {
            let key = tables.broker.get(name)?;
            Some(layers.broker_value(key).value?.trim().to_owned())
        };
        let bytes = |name: &str, default: usize| {
            let number = text(name).and_then(|text| text.parse::<u64>().ok());
            number.map_or(default, |number| {
                usize::try_from(number).unwrap_or(usize::MAX)
            })
        };
        let fraction = |name: &str, default: f64| {
            let number = text(name).and_then(|text| text.parse::<f64>().ok());
            number.unwrap_or(default)
        };
        let usual = CleanerSettings::default();
        let backoff_ms = text("log.cleaner.backoff.ms").and_then(|text| text.parse().ok());
        CleanerSettings {
            enabled: text("log.cleaner.enable").is_none_or(|text| text != "false"),
            threads: bytes("log.cleaner.threads", usual.threads).max(1),
            dedupe_bytes: bytes("log.cleaner.dedupe.buffer.size", usual.dedupe_bytes),
            load_factor: fraction("log.cleaner.io.buffer.load.factor", usual.load_factor),
            bytes_per_second_max: fraction(
                "log.cleaner.io.max.bytes.per.second",
                usual.bytes_per_second_max,
            ),
            backoff: backoff_ms.map_or(usual.backoff, Duration::from_millis),
        }
    }

    /// Memory of one thread for remembering keys.
    pub fn dedupe_bytes_per_thread(&self) -> usize {
        self.dedupe_bytes / self.threads.max(1)
    }
}
