//! Keys of the log: directories, segments, retention, flushing, timestamps. Many are the defaults
//! of a topic key. Read by `config::server_config` and, through the topic table, by `metadata`.
//!
//! Invariant: a key some topic key names as its synonym has the same bounds as that topic key.

use super::entry::{TIERING_REFUSED, boolean, int, list, long, string, unset};
use crate::model::config_key::{ConfigKey, ConfigType};

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    list("log.dirs", "./milena-data")
        .not_empty()
        .aliases(&[("log.dir", 1)])
        .doc("The directories partitions are spread over, comma-separated.")
        .deviates("Default ./milena-data where Kafka has /tmp/kafka-logs."),
    unset("log.dir", ConfigType::List)
        .doc("An older name of `log.dirs`, used when that is not given.")
        .deviates("No default of its own."),
    list("cordoned.log.dirs", "")
        .cluster_wide()
        .doc("Those of `log.dirs` that take no new partition and are no destination of a move; `*` for all."),
    long("log.dir.failure.timeout.ms", "30000")
        .at_least(1)
        .doc("How long a failed directory may stay unknown to the controller before the broker stops."),
    int("num.recovery.threads.per.data.dir", "2")
        .at_least(1)
        .at_start_here()
        .doc("Threads per directory that open and recover logs while the broker starts.")
        .deviates("Those that flush at the end are `milena.disk.threads.per.log.dir`."),
    int("log.segment.bytes", "1073741824")
        .at_least(1_048_576)
        .cluster_wide()
        .doc("The size at which a log begins a new segment."),
    unset("log.roll.ms", ConfigType::Long)
        .at_least(1)
        .cluster_wide()
        .aliases(&[("log.roll.hours", 3_600_000)])
        .doc("The age at which a log begins a new segment; stronger than `log.roll.hours`."),
    int("log.roll.hours", "168")
        .at_least(1)
        .doc("The age in hours at which a log begins a new segment."),
    unset("log.roll.jitter.ms", ConfigType::Long)
        .at_least(0)
        .cluster_wide()
        .aliases(&[("log.roll.jitter.hours", 3_600_000)])
        .doc("The most that is taken off that age at random, so that not all logs roll at once; stronger than `log.roll.jitter.hours`."),
    int("log.roll.jitter.hours", "0")
        .at_least(0)
        .doc("The most that is taken off that age at random, in hours."),
    unset("log.retention.ms", ConfigType::Long)
        .at_least(-1)
        .cluster_wide()
        .aliases(&[("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)])
        .doc("How long records are kept at least; -1 is for ever. Stronger than minutes and hours."),
    unset("log.retention.minutes", ConfigType::Int)
        .doc("How long records are kept at least, in minutes; stronger than hours."),
    int("log.retention.hours", "168").doc("How long records are kept at least, in hours."),
    long("log.retention.bytes", "-1")
        .cluster_wide()
        .doc("The size a partition may have before its oldest segments are deleted; -1 is any."),
    long("log.retention.check.interval.ms", "300000")
        .at_least(1)
        .doc("How often logs are looked through for segments to delete."),
    long("log.initial.task.delay.ms", "30000")
        .at_least(0)
        .doc("How long after the start logs are first looked through for segments to delete, when that is sooner than one interval.")
        .deviates("Kafka has it without describing it, and waits as long with a short interval."),
    list("log.cleanup.policy", "delete")
        .list_of(&["compact", "delete"])
        .cluster_wide()
        .doc("What happens to old records: `delete` by age and size, `compact` to the last of each key, or both."),
    int("log.index.interval.bytes", "4096")
        .at_least(0)
        .cluster_wide()
        .doc("How many bytes of log lie between two entries of its offset index."),
    int("log.index.size.max.bytes", "10485760")
        .at_least(4)
        .cluster_wide()
        .doc("The largest size of a segment's index; a full one begins a new segment."),
    long("log.segment.delete.delay.ms", "60000")
        .at_least(0)
        .cluster_wide()
        .doc("How long the files of a deleted segment stay on the disk, for reads still under way."),
    boolean("log.preallocate", "false")
        .cluster_wide()
        .doc("Whether a new segment reserves its whole size on the disk."),
    long("log.flush.interval.messages", "9223372036854775807")
        .at_least(1)
        .cluster_wide()
        .doc("How many records may be appended before they are forced to the disk; 1 forces every append."),
    unset("log.flush.interval.ms", ConfigType::Long)
        .at_least(0)
        .cluster_wide()
        .aliases(&[("log.flush.scheduler.interval.ms", 1)])
        .doc("How long a record may stay in memory only before it is forced to the disk."),
    long("log.flush.scheduler.interval.ms", "9223372036854775807")
        .doc("In Kafka, how often logs are looked through for unflushed records; here the default of `log.flush.interval.ms`.")
        .deviates("A log is flushed when its own time has come; there is no looking through."),
    int("log.flush.offset.checkpoint.interval.ms", "60000")
        .at_least(0)
        .doc("How often it is written down up to where each log is surely on the disk."),
    int("log.flush.start.offset.checkpoint.interval.ms", "60000")
        .at_least(0)
        .doc("How often it is written down where each log begins."),
    string("log.message.timestamp.type", "CreateTime")
        .one_of(&["CreateTime", "LogAppendTime"])
        .cluster_wide()
        .doc("Whether a record keeps the producer's time or gets the broker's."),
    long("log.message.timestamp.before.max.ms", "9223372036854775807")
        .at_least(0)
        .cluster_wide()
        .doc("How far a producer's time may lie in the past."),
    long("log.message.timestamp.after.max.ms", "3600000")
        .at_least(0)
        .cluster_wide()
        .doc("How far a producer's time may lie in the future."),
    int("message.max.bytes", "1048588")
        .at_least(0)
        .cluster_wide()
        .doc("The largest batch of records, as it is stored."),
    string("compression.type", "producer")
        .one_of(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])
        .cluster_wide()
        .doc("How batches are stored: as the producer packed them, or all with one codec."),
    int("compression.gzip.level", "-1")
        .between(-1, 9)
        .cluster_wide()
        .doc("How hard the broker packs with gzip, 1 to 9; -1 is the codec's own choice."),
    int("compression.lz4.level", "9")
        .between(1, 17)
        .cluster_wide()
        .doc("How hard the broker packs with lz4.")
        .deviates("Without effect: the lz4 encoder has one level."),
    int("compression.zstd.level", "3")
        .between(-131_072, 22)
        .cluster_wide()
        .doc("How hard the broker packs with zstd."),
    long("log.local.retention.ms", "-2")
        .only("-2", TIERING_REFUSED)
        .cluster_wide()
        .doc("How long segments stay on the local disk once they are in remote storage; -2 is as long as `log.retention.ms`."),
    long("log.local.retention.bytes", "-2")
        .only("-2", TIERING_REFUSED)
        .cluster_wide()
        .doc("How many bytes stay on the local disk once they are in remote storage; -2 is `log.retention.bytes`."),
];
