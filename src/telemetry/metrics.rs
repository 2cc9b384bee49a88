//! Every metric there is, with its name, in one place.
//!
//! `broker` makes one [`Metrics`] and hands it to whoever counts; nothing is global. Counting is an
//! atomic addition: who counts often keeps the counter itself (clones count together), because
//! finding one by its labels takes a lock. Invariant: a label has few values, all from our code,
//! never from a client.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::cleaner_metrics::CleanerMetrics;

/// What a request was about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ApiLabel {
    /// The name of the API, as Kafka writes it.
    pub api: &'static str,
}

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabel {
    /// The name of the API.
    pub api: &'static str,
    /// The name of Kafka's error.
    pub error: &'static str,
}

/// Why something was turned away.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// One of a few words of ours.
    pub reason: &'static str,
}

/// The counters of one API, to be kept by who serves it.
#[derive(Debug, Clone)]
pub struct RequestMetrics {
    /// Requests taken.
    pub requests: Counter,
    /// Seconds from the whole frame to the whole answer.
    pub seconds: Histogram,
}

/// All metrics. Clones count together.
#[derive(Debug, Clone)]
pub struct Metrics {
    requests: Family<ApiLabel, Counter>,
    request_seconds: Family<ApiLabel, Histogram, fn() -> Histogram>,
    request_errors: Family<ErrorLabel, Counter>,
    connections_refused: Family<ReasonLabel, Counter>,
    connections_closed: Family<ReasonLabel, Counter>,
    actor_panics: Family<ReasonLabel, Counter>,
    /// Connections open now.
    pub connections: Gauge,
    /// Connections ever taken.
    pub connections_opened: Counter,
    /// Bytes read from clients.
    pub received_bytes: Counter,
    /// Bytes sent to clients.
    pub sent_bytes: Counter,
    /// Of these, bytes that went from file to socket with sendfile.
    pub sendfile_bytes: Counter,
    /// Bytes of requests in memory now.
    pub queued_request_bytes: Gauge,
    /// How often a socket was not read because credits were spent.
    pub credit_waits: Counter,
    /// Batches appended for producers.
    pub produced_batches: Counter,
    /// Records appended for producers.
    pub produced_records: Counter,
    /// Bytes of records appended for producers.
    pub produced_bytes: Counter,
    /// Batches that were recognised as sent before.
    pub duplicate_batches: Counter,
    /// Bytes of records handed to consumers.
    pub fetched_bytes: Counter,
    /// Ranges that had to be read from the disk first.
    pub cold_reads: Counter,
    /// Incremental fetch sessions remembered now.
    pub fetch_sessions: Gauge,
    /// Partitions of this broker.
    pub partitions: Gauge,
    /// Partitions whose log is offline.
    pub partitions_offline: Gauge,
    /// Flushes of logs to the disk.
    pub log_flushes: Counter,
    /// Seconds of a flush.
    pub log_flush_seconds: Histogram,
    /// Segments deleted for age or size.
    pub segments_deleted: Counter,
    /// Bytes of old segments read to find damage.
    pub scrubbed_bytes: Counter,
    /// Ranges of logs known to be damaged now.
    pub damaged_ranges: Gauge,
    /// Metadata records committed.
    pub metadata_records: Counter,
    /// Records of `__consumer_offsets` that could not be read when groups were loaded.
    pub group_records_skipped: Counter,
    /// The cleaner's.
    pub cleaner: CleanerMetrics,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(seconds as fn() -> Histogram),
            request_errors: Family::default(),
            connections_refused: Family::default(),
            connections_closed: Family::default(),
            actor_panics: Family::default(),
            connections: Gauge::default(),
            connections_opened: Counter::default(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            sendfile_bytes: Counter::default(),
            queued_request_bytes: Gauge::default(),
            credit_waits: Counter::default(),
            produced_batches: Counter::default(),
            produced_records: Counter::default(),
            produced_bytes: Counter::default(),
            duplicate_batches: Counter::default(),
            fetched_bytes: Counter::default(),
            cold_reads: Counter::default(),
            fetch_sessions: Gauge::default(),
            partitions: Gauge::default(),
            partitions_offline: Gauge::default(),
            log_flushes: Counter::default(),
            log_flush_seconds: seconds(),
            segments_deleted: Counter::default(),
            scrubbed_bytes: Counter::default(),
            damaged_ranges: Gauge::default(),
            metadata_records: Counter::default(),
            group_records_skipped: Counter::default(),
            cleaner: CleanerMetrics::default(),
        }
    }
}

/// From 100 µs to 26 s, each bucket four times the one before.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 4.0, 10))
}

impl Metrics {
    /// The counters of one API.
    pub fn request(&self, api: &'static str) -> RequestMetrics {
        let label = ApiLabel { api };
        RequestMetrics {
            requests: self.requests.get_or_create_owned(&label),
            seconds: self.request_seconds.get_or_create_owned(&label),
        }
    }

    /// Counts an error answered to a request.
    pub fn request_failed(&self, api: &'static str, error: &'static str) {
        let label = ErrorLabel { api, error };
        self.request_errors.get_or_create(&label).inc();
    }

    /// Counts a connection turned away, for example for `max.connections`.
    pub fn connection_refused(&self, reason: &'static str) {
        let label = ReasonLabel { reason };
        self.connections_refused.get_or_create(&label).inc();
    }

    /// Counts a connection closed by us, for example for a broken frame.
    pub fn connection_closed(&self, reason: &'static str) {
        let label = ReasonLabel { reason };
        self.connections_closed.get_or_create(&label).inc();
    }

    /// Counts an actor lost to a panic; `reason` is the kind of actor.
    pub fn actor_panicked(&self, reason: &'static str) {
        let label = ReasonLabel { reason };
        self.actor_panics.get_or_create(&label).inc();
    }

    /// All of them in the OpenMetrics text format.
    pub fn encode_text(&self) -> String {
        let mut registry = Registry::with_prefix("milena");
        self.register_requests(&mut registry);
        self.register_connections(&mut registry);
        self.register_records(&mut registry);
        self.register_broker(&mut registry);
        self.cleaner.register(&mut registry);
        let mut text = String::new();
        match encode(&mut text, &registry) {
            Ok(()) => text,
            // Writing into a text fails only if a metric of ours cannot be written at all.
            Err(error) => format!("# metrics cannot be encoded: {error}\n# EOF\n"),
        }
    }

    fn register_requests(&self, to: &mut Registry) {
        to.register("requests", "Requests taken", self.requests.clone());
        to.register_with_unit(
            "request",
            "Time from a whole request to its whole answer",
            Unit::Seconds,
            self.request_seconds.clone(),
        );
        to.register(
            "request_errors",
            "Errors answered",
            self.request_errors.clone(),
        );
        to.register(
            "queued_request_bytes",
            "Bytes of requests in memory",
            self.queued_request_bytes.clone(),
        );
        to.register(
            "credit_waits",
            "Times a socket was not read because credits were spent",
            self.credit_waits.clone(),
        );
        to.register(
            "fetch_sessions",
            "Incremental fetch sessions remembered",
            self.fetch_sessions.clone(),
        );
    }

    fn register_connections(&self, to: &mut Registry) {
        to.register("connections", "Connections open", self.connections.clone());
        to.register(
            "connections_opened",
            "Connections taken",
            self.connections_opened.clone(),
        );
        to.register(
            "connections_refused",
            "Connections turned away",
            self.connections_refused.clone(),
        );
        to.register(
            "connections_closed",
            "Connections closed by the broker",
            self.connections_closed.clone(),
        );
        to.register(
            "received_bytes",
            "Bytes read from clients",
            self.received_bytes.clone(),
        );
        to.register(
            "sent_bytes",
            "Bytes sent to clients",
            self.sent_bytes.clone(),
        );
        to.register(
            "sendfile_bytes",
            "Bytes sent from file to socket",
            self.sendfile_bytes.clone(),
        );
    }

    fn register_records(&self, to: &mut Registry) {
        to.register(
            "produced_batches",
            "Batches appended",
            self.produced_batches.clone(),
        );
        to.register(
            "produced_records",
            "Records appended",
            self.produced_records.clone(),
        );
        to.register(
            "produced_bytes",
            "Bytes appended",
            self.produced_bytes.clone(),
        );
        to.register(
            "duplicate_batches",
            "Batches recognised as sent before",
            self.duplicate_batches.clone(),
        );
        to.register(
            "fetched_bytes",
            "Bytes handed to consumers",
            self.fetched_bytes.clone(),
        );
        to.register(
            "cold_reads",
            "Ranges read from the disk first",
            self.cold_reads.clone(),
        );
    }

    fn register_broker(&self, to: &mut Registry) {
        to.register(
            "partitions",
            "Partitions of this broker",
            self.partitions.clone(),
        );
        to.register(
            "partitions_offline",
            "Partitions whose log is offline",
            self.partitions_offline.clone(),
        );
        to.register("log_flushes", "Flushes of logs", self.log_flushes.clone());
        to.register_with_unit(
            "log_flush",
            "Time of a flush",
            Unit::Seconds,
            self.log_flush_seconds.clone(),
        );
        to.register(
            "segments_deleted",
            "Segments deleted for age or size",
            self.segments_deleted.clone(),
        );
        to.register(
            "scrubbed_bytes",
            "Bytes of old segments read to find damage",
            self.scrubbed_bytes.clone(),
        );
        to.register(
            "damaged_ranges",
            "Ranges of logs known to be damaged",
            self.damaged_ranges.clone(),
        );
        to.register(
            "metadata_records",
            "Metadata records committed",
            self.metadata_records.clone(),
        );
        to.register(
            "group_records_skipped",
            "Records of groups that could not be read",
            self.group_records_skipped.clone(),
        );
        to.register(
            "actor_panics",
            "Actors lost to a panic",
            self.actor_panics.clone(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_in_the_text() {
        let metrics = Metrics::default();
        let produce = metrics.clone().request("Produce");
        produce.requests.inc_by(3);
        produce.seconds.observe(0.002);
        metrics.request_failed("Produce", "CORRUPT_MESSAGE");
        metrics.connection_refused("max.connections");
        metrics.connections.set(7);
        let text = metrics.encode_text();
        for line in [
            "milena_requests_total{api=\"Produce\"} 3",
            "milena_request_seconds_count{api=\"Produce\"} 1",
            "milena_request_errors_total{api=\"Produce\",error=\"CORRUPT_MESSAGE\"} 1",
            "milena_connections_refused_total{reason=\"max.connections\"} 1",
            "milena_connections 7",
            "# EOF",
        ] {
            assert!(
                text.lines().any(|other| other == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
