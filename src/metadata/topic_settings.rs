//! The settings of one topic as code uses them: every key resolved and typed.
//!
//! Built when a log is opened and whenever a value it depends on changes; `actors` makes
//! `storage::LogConfig` and the produce rules from it. Invariant: `resolve` always succeeds: values
//! are judged on their way in (`config_check`), and one that still cannot be read counts as the
//! key's default, because a log must not stay closed for a setting.

use std::str::FromStr;

use super::config_layers::{ConfigLayers, ConfigTables};
use super::image::Image;
use crate::model::BrokerId;

/// Which codec a topic keeps its batches in (`compression.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionType {
    /// As they came.
    Producer,
    /// None.
    Uncompressed,
    /// gzip.
    Gzip,
    /// snappy.
    Snappy,
    /// lz4.
    Lz4,
    /// zstd.
    Zstd,
}

/// Which replicas' traffic is throttled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThrottledReplicas {
    /// All of the topic.
    All,
    /// These partitions on these brokers.
    Listed(Vec<(i32, BrokerId)>),
}

/// The 33 keys of a topic. Names are the keys'; `_ms` and `_bytes` are the units.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicSettings {
    /// `cleanup.policy` holds `delete`.
    pub deletes: bool,
    /// `cleanup.policy` holds `compact`.
    pub compacts: bool,
    /// `compression.type`.
    pub compression_type: CompressionType,
    /// `compression.gzip.level`; -1 is the codec's own default.
    pub compression_gzip_level: i32,
    /// `compression.lz4.level`.
    pub compression_lz4_level: i32,
    /// `compression.zstd.level`.
    pub compression_zstd_level: i32,
    /// `delete.retention.ms`.
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: i64,
    /// `flush.messages`.
    pub flush_messages: i64,
    /// `flush.ms`.
    pub flush_ms: i64,
    /// `follower.replication.throttled.replicas`.
    pub follower_throttled_replicas: ThrottledReplicas,
    /// `leader.replication.throttled.replicas`.
    pub leader_throttled_replicas: ThrottledReplicas,
    /// `index.interval.bytes`.
    pub index_interval_bytes: i32,
    /// `local.retention.bytes`; -2 follows `retention.bytes`.
    pub local_retention_bytes: i64,
    /// `local.retention.ms`; -2 follows `retention.ms`.
    pub local_retention_ms: i64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: i64,
    /// `max.message.bytes`: of a whole batch.
    pub max_message_bytes: i32,
    /// `message.timestamp.after.max.ms`.
    pub message_timestamp_after_max_ms: i64,
    /// `message.timestamp.before.max.ms`.
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub log_append_time: bool,
    /// `min.cleanable.dirty.ratio`.
    pub min_cleanable_dirty_ratio: f64,
    /// `min.compaction.lag.ms`.
    pub min_compaction_lag_ms: i64,
    /// `min.insync.replicas`, as it is set: the replication factor may be smaller.
    pub min_insync_replicas: i32,
    /// `preallocate`.
    pub preallocate: bool,
    /// `remote.log.copy.disable`.
    pub remote_log_copy_disable: bool,
    /// `remote.log.delete.on.disable`.
    pub remote_log_delete_on_disable: bool,
    /// `remote.storage.enable`.
    pub remote_storage_enable: bool,
    /// `retention.bytes`; `None` is no limit (-1).
    pub retention_bytes: Option<i64>,
    /// `retention.ms`; `None` is no limit (-1).
    pub retention_ms: Option<i64>,
    /// `segment.bytes`.
    pub segment_bytes: i32,
    /// `segment.index.bytes`.
    pub segment_index_bytes: i32,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: i64,
    /// `segment.ms`.
    pub segment_ms: i64,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election_enable: bool,
}

impl TopicSettings {
    /// The settings of `topic` as they are on `broker`.
    pub fn resolve(
        image: &Image,
        tables: &ConfigTables,
        broker: BrokerId,
        topic: &str,
    ) -> TopicSettings {
        let layers = ConfigLayers::of_topic(image, tables, broker, topic);
        TopicSettings::from_layers(&layers, tables)
    }

    /// The settings these layers amount to.
    pub fn from_layers(layers: &ConfigLayers<'_>, tables: &ConfigTables) -> TopicSettings {
        let texts = Texts { layers, tables };
        let policies = texts.list("cleanup.policy", "delete");
        TopicSettings {
            deletes: policies.iter().any(|policy| policy == "delete"),
            compacts: policies.iter().any(|policy| policy == "compact"),
            compression_type: texts.read("compression.type", CompressionType::Producer),
            compression_gzip_level: texts.read("compression.gzip.level", -1),
            compression_lz4_level: texts.read("compression.lz4.level", 9),
            compression_zstd_level: texts.read("compression.zstd.level", 3),
            delete_retention_ms: texts.read("delete.retention.ms", 86_400_000),
            file_delete_delay_ms: texts.read("file.delete.delay.ms", 60_000),
            flush_messages: texts.read("flush.messages", i64::MAX),
            flush_ms: texts.read("flush.ms", i64::MAX),
            follower_throttled_replicas: texts.replicas("follower.replication.throttled.replicas"),
            leader_throttled_replicas: texts.replicas("leader.replication.throttled.replicas"),
            index_interval_bytes: texts.read("index.interval.bytes", 4096),
            local_retention_bytes: texts.read("local.retention.bytes", -2),
            local_retention_ms: texts.read("local.retention.ms", -2),
            max_compaction_lag_ms: texts.read("max.compaction.lag.ms", i64::MAX),
            max_message_bytes: texts.read("max.message.bytes", 1_048_588),
            message_timestamp_after_max_ms: texts.read("message.timestamp.after.max.ms", 3_600_000),
            message_timestamp_before_max_ms: texts
                .read("message.timestamp.before.max.ms", i64::MAX),
            log_append_time: texts.text("message.timestamp.type") == Some("LogAppendTime".into()),
            min_cleanable_dirty_ratio: texts.read("min.cleanable.dirty.ratio", 0.5),
            min_compaction_lag_ms: texts.read("min.compaction.lag.ms", 0),
            min_insync_replicas: texts.read("min.insync.replicas", 1),
            preallocate: texts.flag("preallocate"),
            remote_log_copy_disable: texts.flag("remote.log.copy.disable"),
            remote_log_delete_on_disable: texts.flag("remote.log.delete.on.disable"),
            remote_storage_enable: texts.flag("remote.storage.enable"),
            retention_bytes: texts.limit("retention.bytes", -1),
            retention_ms: texts.limit("retention.ms", 604_800_000),
            segment_bytes: texts.read("segment.bytes", 1_073_741_824),
            segment_index_bytes: texts.read("segment.index.bytes", 10_485_760),
            segment_jitter_ms: texts.read("segment.jitter.ms", 0),
            segment_ms: texts.read("segment.ms", 604_800_000),
            unclean_leader_election_enable: texts.flag("unclean.leader.election.enable"),
        }
    }
}

/// Reads effective texts into types.
struct Texts<'a> {
    layers: &'a ConfigLayers<'a>,
    tables: &'a ConfigTables,
}

impl Texts<'_> {
    fn text(&self, key: &str) -> Option<String> {
        let key = self.tables.topic.get(key)?;
        let value = self.layers.topic_value(key).value?;
        Some(value.trim().to_owned())
    }

    fn read<T: FromStr>(&self, key: &str, default: T) -> T {
        self.text(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    }

    fn flag(&self, key: &str) -> bool {
        self.text(key)
            .is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    fn limit(&self, key: &str, default: i64) -> Option<i64> {
        Some(self.read(key, default)).filter(|limit| *limit >= 0)
    }

    fn list(&self, key: &str, default: &str) -> Vec<String> {
        let text = self.text(key).unwrap_or_else(|| default.to_owned());
        entries(&text).map(str::to_owned).collect()
    }

    fn replicas(&self, key: &str) -> ThrottledReplicas {
        let text = self.text(key).unwrap_or_default();
        if text == "*" {
            return ThrottledReplicas::All;
        }
        let pairs = entries(&text).filter_map(|entry| {
            let (partition, broker) = entry.split_once(':')?;
            Some((
                partition.trim().parse().ok()?,
                BrokerId(broker.trim().parse().ok()?),
            ))
        });
        ThrottledReplicas::Listed(pairs.collect())
    }
}

/// The entries of a list as it is written: separated by commas, blanks around them ignored.
pub(crate) fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
}

impl FromStr for CompressionType {
    type Err = ();

    fn from_str(text: &str) -> Result<CompressionType, ()> {
        match text {
            "producer" => Ok(CompressionType::Producer),
            "uncompressed" => Ok(CompressionType::Uncompressed),
            "gzip" => Ok(CompressionType::Gzip),
            "snappy" => Ok(CompressionType::Snappy),
            "lz4" => Ok(CompressionType::Lz4),
            "zstd" => Ok(CompressionType::Zstd),
            _ => Err(()),
        }
    }
}
