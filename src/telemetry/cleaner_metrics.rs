//! What the cleaner shows (Kafka's `LogCleaner` and `LogCleanerManager` beans, of all directories
//! together).
//!
//! Part of [`Metrics`](super::metrics::Metrics). Invariant: a log that is not cleaned although it
//! should be can be seen here, and stays to be seen until it is cleaned.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// See the module. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct CleanerMetrics {
    /// `uncleanable-partitions-count`: logs whose last cleaning failed. They are tried again.
    pub uncleanable_partitions: Gauge,
    /// `uncleanable-bytes`: what could be cleaned of them.
    pub uncleanable_bytes: Gauge,
    /// `max-dirty-percent`: of the filthiest log.
    pub max_dirty_percent: Gauge,
    /// `time-since-last-run-ms`, as the wall time of the last look, in milliseconds.
    pub last_run_timestamp_ms: Gauge,
    /// `cleaner-recopy-percent`: what the last cleaning wrote of what it read.
    pub recopy_percent: Gauge,
    /// `max-clean-time-secs`: how long the last cleaning took.
    pub clean_time_seconds: Gauge<f64, AtomicU64>,
    /// `max-compaction-delay-secs`: how much longer than `max.compaction.lag.ms` something waits.
    pub max_compaction_delay_seconds: Gauge<f64, AtomicU64>,
    /// `max-buffer-utilization-percent`: how full of keys the memory was in the last cleaning.
    pub buffer_utilization_percent: Gauge,
    /// `DeadThreadCount`: jobs of cleaner threads that panicked. The thread lives on.
    pub panics: Counter,
    /// Logs cleaned.
    pub cleanings: Counter,
    /// Cleanings that failed.
    pub failures: Counter,
    /// Bytes read.
    pub read_bytes: Counter,
    /// Bytes written.
    pub written_bytes: Counter,
}

impl CleanerMetrics {
    pub(super) fn register(&self, to: &mut Registry) {
        let gauges = [
            (
                "cleaner_uncleanable_partitions",
                "Partitions whose last cleaning failed",
                &self.uncleanable_partitions,
            ),
            (
                "cleaner_uncleanable_bytes",
                "Bytes that could be cleaned of them",
                &self.uncleanable_bytes,
            ),
            (
                "cleaner_max_dirty_percent",
                "Dirt of the filthiest log",
                &self.max_dirty_percent,
            ),
            (
                "cleaner_last_run_timestamp_ms",
                "When logs were looked at last",
                &self.last_run_timestamp_ms,
            ),
            (
                "cleaner_recopy_percent",
                "What the last cleaning wrote of what it read",
                &self.recopy_percent,
            ),
            (
                "cleaner_buffer_utilization_percent",
                "How full of keys memory was in the last cleaning",
                &self.buffer_utilization_percent,
            ),
        ];
        for (name, help, gauge) in gauges {
            to.register(name, help, gauge.clone());
        }
        to.register(
            "cleaner_clean_time_seconds",
            "Time the last cleaning took",
            self.clean_time_seconds.clone(),
        );
        to.register(
            "cleaner_max_compaction_delay_seconds",
            "How much longer than max.compaction.lag.ms something waits",
            self.max_compaction_delay_seconds.clone(),
        );
        let counters = [
            ("cleaner_panics", "Panics of cleaner jobs", &self.panics),
            ("cleanings", "Logs cleaned", &self.cleanings),
            ("cleaning_failures", "Cleanings that failed", &self.failures),
            ("cleaner_read_bytes", "Bytes read", &self.read_bytes),
            (
                "cleaner_written_bytes",
                "Bytes written",
                &self.written_bytes,
            ),
        ];
        for (name, help, counter) in counters {
            to.register(name, help, counter.clone());
        }
    }
}
