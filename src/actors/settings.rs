//! From a topic's settings to what its log needs: the seam between metadata and storage.

use std::sync::Arc;

use crate::metadata::{Image, TopicSettings};
use crate::storage::LogConfig;

/// Answers what the settings of a topic are under an image. `broker.rs` makes one from the tables of
/// keys and the values of the configuration file.
pub type SettingsSource = Arc<dyn Fn(&Image, &str) -> TopicSettings + Send + Sync>;

/// What a log does under these settings. `producer_id_expiration_ms` is the broker's own.
pub fn log_config(settings: &TopicSettings, producer_id_expiration_ms: i64) -> LogConfig {
    let bytes = |bytes: i32| u64::try_from(bytes).unwrap_or(0);
    LogConfig {
        segment_bytes: bytes(settings.segment_bytes),
        // What must be compacted soon must not stay in the active segment (Kafka's
        // `LogConfig.maxSegmentMs`).
        segment_ms: match settings.max_compaction_lag_ms {
            lag @ 1.. if settings.compacts => settings.segment_ms.min(lag),
            _ => settings.segment_ms,
        },
        segment_jitter_ms: settings.segment_jitter_ms,
        index_interval_bytes: bytes(settings.index_interval_bytes),
        index_bytes_max: u32::try_from(settings.segment_index_bytes).unwrap_or(0),
        flush_messages: u64::try_from(settings.flush_messages).unwrap_or(1),
        flush_ms: settings.flush_ms,
        deletes: settings.deletes,
        compacts: settings.compacts,
        min_compaction_lag_ms: settings.min_compaction_lag_ms,
        max_compaction_lag_ms: settings.max_compaction_lag_ms,
        min_cleanable_dirty_ratio: settings.min_cleanable_dirty_ratio,
        delete_retention_ms: settings.delete_retention_ms,
        retention_ms: settings.retention_ms,
        retention_bytes: settings
            .retention_bytes
            .and_then(|bytes| u64::try_from(bytes).ok()),
        file_delete_delay_ms: settings.file_delete_delay_ms,
        preallocate: settings.preallocate,
        producer_id_expiration_ms,
    }
}
