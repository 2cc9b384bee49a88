//! The one place that knows configuration keys: a file per room, joined into tables.
//!
//! Called by `config` itself, by `metadata::controller` (handed in as tables) and by `api` for
//! DescribeConfigs. Invariant: every key a stock Kafka 4.3 broker describes is here, and every
//! difference from it stands in the key's `deviation`.

mod cleaner;
mod engine;
mod entry;
mod group;
mod groups;
mod listeners;
mod log;
mod metrics;
mod quorum;
mod quotas;
mod remote;
mod replication;
mod security;
mod security_oauth;
mod security_tls;
mod server;
mod shares;
mod topic;
mod transactions;

use crate::model::config_key::{ConfigKey, ConfigTable};

/// A titled part of a table, as `config/reference.md` prints it.
pub(super) type Chapter = (&'static str, &'static [ConfigKey]);

/// The keys of `server.properties`, by room.
pub(super) const BROKER_CHAPTERS: &[Chapter] = &[
    ("Node, requests and topics", server::KEYS),
    ("Milena's own", engine::KEYS),
    ("Listeners and connections", listeners::KEYS),
    ("Log", log::KEYS),
    ("Compaction", cleaner::KEYS),
    ("Replication", replication::KEYS),
    ("Metadata quorum", quorum::KEYS),
    ("Producers and transactions", transactions::KEYS),
    ("Groups and their coordinator", groups::COORDINATOR),
    ("Consumer groups", groups::CONSUMER),
    ("Share groups", shares::KEYS),
    ("Streams groups", groups::STREAMS),
    ("Authentication and authorization", security::KEYS),
    ("OAUTHBEARER", security_oauth::KEYS),
    ("TLS", security_tls::KEYS),
    ("Quotas", quotas::KEYS),
    ("Tiered storage", remote::KEYS),
    ("Metrics", metrics::KEYS),
];

/// The keys of resources other than a broker's file.
pub(super) const OTHER_CHAPTERS: &[Chapter] = &[
    (
        "Broker keys without a line in the file",
        quotas::DYNAMIC_ONLY,
    ),
    ("Topics", topic::KEYS),
    ("Groups", group::KEYS),
    ("Subscriptions to clients' metrics", group::CLIENT_METRICS),
];

fn joined(chapters: &[Chapter]) -> ConfigTable {
    let parts: Vec<&'static [ConfigKey]> = chapters.iter().map(|(_, keys)| *keys).collect();
    ConfigTable::new(&parts)
}

/// Every key that `server.properties` may hold.
pub fn broker_table() -> ConfigTable {
    joined(BROKER_CHAPTERS)
}

/// Broker keys that can only be set while the broker runs; Kafka describes one only when it is set.
pub fn dynamic_only_table() -> ConfigTable {
    ConfigTable::new(&[quotas::DYNAMIC_ONLY])
}

/// Every key of a topic.
pub fn topic_table() -> ConfigTable {
    ConfigTable::new(&[topic::KEYS])
}

/// Every key of a group.
pub fn group_table() -> ConfigTable {
    ConfigTable::new(&[group::KEYS])
}

/// Every key of a subscription to clients' metrics.
pub fn client_metrics_table() -> ConfigTable {
    ConfigTable::new(&[group::CLIENT_METRICS])
}
