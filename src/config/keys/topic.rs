//! The 33 keys of a topic. Handed to `metadata::controller`, which judges and resolves them.
//!
//! Invariant: each that has a broker default names it, with the same bounds.

use super::entry::{TIERING_REFUSED, boolean, double, int, list, long, string};
use crate::model::config_key::ConfigKey;

const NO_THROTTLE: &str = "Without effect until replication is throttled.";

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    list("cleanup.policy", "delete")
        .list_of(&["compact", "delete"])
        .synonym("log.cleanup.policy")
        .doc("What happens to old records: `delete` by age and size, `compact` to the last of each key, or both."),
    string("compression.type", "producer")
        .one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        .synonym("compression.type")
        .doc("How batches are stored: as the producer packed them, or all with one codec."),
    int("compression.gzip.level", "-1")
        .between(-1, 9)
        .synonym("compression.gzip.level")
        .doc("How hard the broker packs with gzip, 1 to 9; -1 is the codec's own choice."),
    int("compression.lz4.level", "9")
        .between(1, 17)
        .synonym("compression.lz4.level")
        .doc("How hard the broker packs with lz4.")
        .deviates("Without effect: the lz4 encoder has one level."),
    int("compression.zstd.level", "3")
        .between(-131_072, 22)
        .synonym("compression.zstd.level")
        .doc("How hard the broker packs with zstd."),
    long("delete.retention.ms", "86400000")
        .at_least(0)
        .synonym("log.cleaner.delete.retention.ms")
        .doc("How long a deletion marker survives in a compacted topic."),
    long("file.delete.delay.ms", "60000")
        .at_least(0)
        .synonym("log.segment.delete.delay.ms")
        .doc("How long the files of a deleted segment stay on the disk."),
    long("flush.messages", "9223372036854775807")
        .at_least(1)
        .synonym("log.flush.interval.messages")
        .doc("How many records may be appended before they are forced to the disk; 1 forces every append."),
    long("flush.ms", "9223372036854775807")
        .at_least(0)
        .synonym("log.flush.interval.ms")
        .doc("How long a record may stay in memory only before it is forced to the disk."),
    list("follower.replication.throttled.replicas", "")
        .doc("Replicas whose fetching is throttled: `partition:broker`, comma-separated, or `*`.")
        .deviates(NO_THROTTLE),
    int("index.interval.bytes", "4096")
        .at_least(0)
        .synonym("log.index.interval.bytes")
        .doc("How many bytes of log lie between two entries of its offset index."),
    list("leader.replication.throttled.replicas", "")
        .doc("Replicas whose serving is throttled: `partition:broker`, comma-separated, or `*`.")
        .deviates(NO_THROTTLE),
    long("local.retention.bytes", "-2")
        .only("-2", TIERING_REFUSED)
        .synonym("log.local.retention.bytes")
        .doc("How many bytes stay on the local disk once they are in remote storage; -2 is `retention.bytes`."),
    long("local.retention.ms", "-2")
        .only("-2", TIERING_REFUSED)
        .synonym("log.local.retention.ms")
        .doc("How long segments stay on the local disk once they are in remote storage; -2 is `retention.ms`."),
    long("max.compaction.lag.ms", "9223372036854775807")
        .at_least(1)
        .synonym("log.cleaner.max.compaction.lag.ms")
        .doc("How long a record may stay uncompacted at most."),
    int("max.message.bytes", "1048588")
        .at_least(0)
        .synonym("message.max.bytes")
        .doc("The largest batch of records, as it is stored."),
    long("message.timestamp.after.max.ms", "3600000")
        .at_least(0)
        .synonym("log.message.timestamp.after.max.ms")
        .doc("How far a producer's time may lie in the future."),
    long("message.timestamp.before.max.ms", "9223372036854775807")
        .at_least(0)
        .synonym("log.message.timestamp.before.max.ms")
        .doc("How far a producer's time may lie in the past."),
    string("message.timestamp.type", "CreateTime")
        .one_of(&["CreateTime", "LogAppendTime"])
        .synonym("log.message.timestamp.type")
        .doc("Whether a record keeps the producer's time or gets the broker's."),
    double("min.cleanable.dirty.ratio", "0.5")
        .fraction(0.0, 1.0)
        .synonym("log.cleaner.min.cleanable.ratio")
        .doc("The part of a log that must be new before it is compacted."),
    long("min.compaction.lag.ms", "0")
        .at_least(0)
        .synonym("log.cleaner.min.compaction.lag.ms")
        .doc("How long a record surely stays uncompacted."),
    int("min.insync.replicas", "1")
        .at_least(1)
        .synonym("min.insync.replicas")
        .doc("How many replicas must be in sync for a produce with acks=all to be taken."),
    boolean("preallocate", "false")
        .synonym("log.preallocate")
        .doc("Whether a new segment reserves its whole size on the disk."),
    boolean("remote.log.copy.disable", "false")
        .only("false", TIERING_REFUSED)
        .doc("Whether nothing more is copied to remote storage."),
    boolean("remote.log.delete.on.disable", "false")
        .only("false", TIERING_REFUSED)
        .doc("Whether switching remote storage off deletes what is there."),
    boolean("remote.storage.enable", "false")
        .only("false", TIERING_REFUSED)
        .doc("Whether old segments move to remote storage."),
    long("retention.bytes", "-1")
        .synonym("log.retention.bytes")
        .doc("The size a partition may have before its oldest segments are deleted; -1 is any."),
    long("retention.ms", "604800000")
        .at_least(-1)
        .synonym("log.retention.ms")
        .doc("How long records are kept at least; -1 is for ever."),
    int("segment.bytes", "1073741824")
        .at_least(1_048_576)
        .synonym("log.segment.bytes")
        .doc("The size at which a log begins a new segment."),
    int("segment.index.bytes", "10485760")
        .at_least(4)
        .synonym("log.index.size.max.bytes")
        .doc("The largest size of a segment's index; a full one begins a new segment."),
    long("segment.jitter.ms", "0")
        .at_least(0)
        .synonym("log.roll.jitter.ms")
        .doc("The most that is taken off `segment.ms` at random, so that not all logs roll at once."),
    long("segment.ms", "604800000")
        .at_least(1)
        .synonym("log.roll.ms")
        .doc("The age at which a log begins a new segment."),
    boolean("unclean.leader.election.enable", "false")
        .synonym("unclean.leader.election.enable")
        .doc("Whether a replica that is behind may lead when no other is left, losing what it does not have.")
        .deviates("Without effect while a cluster is one node."),
];
