//! Keys of the log cleaner, which compacts. Several are the defaults of a topic key.
//!
//! Invariant: none of them does anything before compaction exists, and each says so.

use super::entry::{boolean, double, int, long};
use crate::model::config_key::ConfigKey;

const NO_CLEANER: &str = "Without effect until compaction is built.";

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    boolean("log.cleaner.enable", "true")
        .doc("Whether compacted topics are compacted.")
        .deviates(NO_CLEANER),
    int("log.cleaner.threads", "1")
        .at_least(0)
        .at_start_here()
        .doc("Threads that compact logs.")
        .deviates(NO_CLEANER),
    double(
        "log.cleaner.io.max.bytes.per.second",
        "1.7976931348623157E308",
    )
    .at_start_here()
    .doc("How many bytes per second compaction may read and write.")
    .deviates(NO_CLEANER),
    long("log.cleaner.dedupe.buffer.size", "134217728")
        .at_start_here()
        .doc("Memory of all cleaner threads for remembering keys.")
        .deviates(NO_CLEANER),
    int("log.cleaner.io.buffer.size", "524288")
        .at_least(0)
        .at_start_here()
        .doc("Memory of all cleaner threads for reading and writing.")
        .deviates(NO_CLEANER),
    double("log.cleaner.io.buffer.load.factor", "0.9")
        .at_start_here()
        .doc("How full the memory for keys may become, as a fraction.")
        .deviates(NO_CLEANER),
    long("log.cleaner.backoff.ms", "15000")
        .at_least(0)
        .at_start_here()
        .doc("How long a cleaner thread with nothing to do sleeps.")
        .deviates(NO_CLEANER),
    double("log.cleaner.min.cleanable.ratio", "0.5")
        .fraction(0.0, 1.0)
        .cluster_wide()
        .doc("The part of a log that must be new before it is compacted.")
        .deviates(NO_CLEANER),
    long("log.cleaner.delete.retention.ms", "86400000")
        .at_least(0)
        .cluster_wide()
        .doc("How long a deletion marker survives in a compacted log.")
        .deviates(NO_CLEANER),
    long("log.cleaner.min.compaction.lag.ms", "0")
        .at_least(0)
        .cluster_wide()
        .doc("How long a record surely stays uncompacted.")
        .deviates(NO_CLEANER),
    long("log.cleaner.max.compaction.lag.ms", "9223372036854775807")
        .at_least(1)
        .cluster_wide()
        .doc("How long a record may stay uncompacted at most.")
        .deviates(NO_CLEANER),
];
