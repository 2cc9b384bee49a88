//! What a topic's settings mean to its logs. Made by the broker from topic and broker properties.

/// Settings of one log, with Kafka's meanings. Milliseconds and bytes are as configured, "no
/// limit" is an absent value.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// A segment that would grow beyond this is rolled (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment is rolled when a batch is this much later than its first one (`segment.ms`).
    pub segment_ms: i64,
    /// The most that is randomly taken off `segment_ms` (`segment.jitter.ms`).
    pub segment_jitter_ms: i64,
    /// Bytes between two index entries (`index.interval.bytes`).
    pub index_interval_bytes: u64,
    /// The largest index file (`segment.index.bytes`).
    pub index_bytes_max: u32,
    /// Unflushed records after which a flush is due (`flush.messages`).
    pub flush_messages: u64,
    /// Age of an unflushed record after which a flush is due (`flush.ms`).
    pub flush_ms: i64,
    /// Whether old segments go by time and size (`cleanup.policy` has `delete`).
    pub deletes: bool,
    /// Whether the topic is compacted (`cleanup.policy` has `compact`).
    pub compacts: bool,
    /// Age below which a record is not compacted (`min.compaction.lag.ms`).
    pub min_compaction_lag_ms: i64,
    /// Age at which a record is to be compacted, however clean its log is, and its segment closed
    /// for that (`max.compaction.lag.ms`).
    pub max_compaction_lag_ms: i64,
    /// The part of the log that must be dirty before it is compacted
    /// (`min.cleanable.dirty.ratio`).
    pub min_cleanable_dirty_ratio: f64,
    /// How long a tombstone or the marker of an empty transaction stays behind the cleaning that
    /// found it alone (`delete.retention.ms`).
    pub delete_retention_ms: i64,
    /// Age of a segment's largest timestamp beyond which it goes (`retention.ms`).
    pub retention_ms: Option<i64>,
    /// Bytes of the log beyond which oldest segments go (`retention.bytes`).
    pub retention_bytes: Option<u64>,
    /// How long a renamed file waits to be unlinked (`file.delete.delay.ms`).
    pub file_delete_delay_ms: i64,
    /// Whether space is reserved for the whole segment at once (`preallocate`).
    pub preallocate: bool,
    /// After which idle time a producer is forgotten (`producer.id.expiration.ms`).
    pub producer_id_expiration_ms: i64,
}

impl Default for LogConfig {
    /// Kafka's defaults.
    fn default() -> LogConfig {
        const DAY_MS: i64 = 24 * 60 * 60 * 1000;
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: 7 * DAY_MS,
            segment_jitter_ms: 0,
            index_interval_bytes: 4096,
            index_bytes_max: 10 << 20,
            flush_messages: i64::MAX.unsigned_abs(),
            flush_ms: i64::MAX,
            deletes: true,
            compacts: false,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            min_cleanable_dirty_ratio: 0.5,
            delete_retention_ms: DAY_MS,
            retention_ms: Some(7 * DAY_MS),
            retention_bytes: None,
            file_delete_delay_ms: 60_000,
            preallocate: false,
            producer_id_expiration_ms: DAY_MS,
        }
    }
}
