//! Names that once stood in `server.properties` and that Kafka 4.3 no longer reads.
//!
//! A file that holds one still starts a broker, with a warning that says why the line does nothing.

/// Why this name does nothing, if it is one that older Kafka versions knew.
pub(super) fn reason(name: &str) -> Option<&'static str> {
    const NO_ZOOKEEPER: &str = "Kafka 4 and Milena need no ZooKeeper";
    const OLD_FORMATS: &str = "record formats before v2 are gone since Kafka 4.0";
    const NO_AUTHORIZER: &str = "there is no authorizer yet";
    match name {
        name if name.starts_with("zookeeper.") => Some(NO_ZOOKEEPER),
        "control.plane.listener.name"
        | "broker.id.generation.enable"
        | "reserved.broker.max.id"
        | "zookeeper" => Some(NO_ZOOKEEPER),
        "log.message.format.version"
        | "log.message.downconversion.enable"
        | "inter.broker.protocol.version"
        | "log.message.timestamp.difference.max.ms" => Some(OLD_FORMATS),
        "super.users" | "allow.everyone.if.no.acl.found" => Some(NO_AUTHORIZER),
        "leader.imbalance.per.broker.percentage"
        | "offsets.commit.required.acks"
        | "metadata.max.snapshot.interval.ms"
        | "controlled.shutdown.max.retries"
        | "controlled.shutdown.retry.backoff.ms"
        | "num.network.processors"
        | "group.coordinator.new.enable"
        | "unstable.api.versions.enable"
        | "unstable.feature.versions.enable" => Some("Kafka no longer has it"),
        _ => None,
    }
}
