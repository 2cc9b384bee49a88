//! Keys of the log cleaner, which compacts. Several are the defaults of a topic key; the others are
//! read by `actors::cleaner`.
//!
//! Invariant: those that have an effect change while the broker runs, but for the first, as in Kafka.

use super::entry::{boolean, double, int, long};
use crate::model::config_key::ConfigKey;

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    boolean("log.cleaner.enable", "true")
        .doc("Whether compacted topics are compacted."),
    int("log.cleaner.threads", "1")
        .at_least(0)
        .cluster_wide()
        .doc("Threads that compact logs, a log to a thread.")
        .deviates("0 is refused: `log.cleaner.enable=false` says that."),
    double(
        "log.cleaner.io.max.bytes.per.second",
        "1.7976931348623157E308",
    )
    .fraction(1.0, f64::MAX)
    .cluster_wide()
    .doc("How many bytes per second compaction may read and write, all threads together."),
    long("log.cleaner.dedupe.buffer.size", "134217728")
        .cluster_wide()
        .doc("Memory of all cleaner threads for remembering keys, more than 1 MiB for each. It is taken while a log is compacted, as far as its keys need it."),
    int("log.cleaner.io.buffer.size", "524288")
        .at_least(0)
        .at_start_here()
        .doc("Memory of all cleaner threads for reading and writing.")
        .deviates("Without effect: a thread reads and writes 1 MiB at a time, and a larger batch whole."),
    double("log.cleaner.io.buffer.load.factor", "0.9")
        .fraction(0.01, 1.0)
        .cluster_wide()
        .doc("How full the memory for keys may become, as a fraction."),
    long("log.cleaner.backoff.ms", "15000")
        .at_least(0)
        .cluster_wide()
        .doc("How long the cleaner waits when there was nothing to do, and at first before it tries again what failed."),
    double("log.cleaner.min.cleanable.ratio", "0.5")
        .fraction(0.0, 1.0)
        .cluster_wide()
        .doc("The part of a log that must be new before it is compacted."),
    long("log.cleaner.delete.retention.ms", "86400000")
        .at_least(0)
        .cluster_wide()
        .doc("How long a deletion marker survives in a compacted log."),
    long("log.cleaner.min.compaction.lag.ms", "0")
        .at_least(0)
        .cluster_wide()
        .doc("How long a record surely stays uncompacted."),
    long("log.cleaner.max.compaction.lag.ms", "9223372036854775807")
        .at_least(1)
        .cluster_wide()
        .doc("How long a record may stay uncompacted at most."),
];
