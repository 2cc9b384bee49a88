//! Keys of measuring: Kafka's reporters, and clients' telemetry.
//!
//! Invariant: a reporter that cannot be loaded is never claimed to report.

use super::entry::{int, list, long, string};
use crate::model::config_key::ConfigKey;

const OWN_METRICS: &str =
    "Without effect: Milena counts in its own way and has no reporter classes.";

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    list(
        "metric.reporters",
        "org.apache.kafka.common.metrics.JmxReporter",
    )
    .at_start_here()
    .doc("In Kafka, classes that are told of every metric.")
    .deviates(OWN_METRICS),
    int("metrics.num.samples", "2")
        .at_least(1)
        .doc("In Kafka, how many samples a metric is measured over.")
        .deviates(OWN_METRICS),
    long("metrics.sample.window.ms", "30000")
        .at_least(1)
        .doc("In Kafka, how long one of these samples is.")
        .deviates(OWN_METRICS),
    string("metrics.recording.level", "INFO")
        .doc("In Kafka, how much is measured: INFO, DEBUG or TRACE.")
        .deviates(OWN_METRICS),
    list("kafka.metrics.reporters", "")
        .doc("In Kafka, classes that report the older kind of metrics.")
        .deviates(OWN_METRICS),
    int("kafka.metrics.polling.interval.secs", "10")
        .at_least(1)
        .doc("In Kafka, how often those classes look.")
        .deviates(OWN_METRICS),
    int("telemetry.max.bytes", "1048576")
        .at_least(1)
        .doc("The most metrics a client may push at once.")
        .deviates("Without effect until clients' telemetry is built."),
];
