//! Keys of tiered storage.
//!
//! Invariant: switching it on is refused until it exists. As long as it is off, the other keys say
//! nothing in Kafka either, so that a file written for one is read; none of them changes at run time.

use super::entry::{NO_CLASSES, NO_TIERING, TIERING_REFUSED, boolean, int, long, string, unset};
use crate::model::config_key::{ConfigKey, ConfigType};

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    boolean("remote.log.storage.system.enable", "false")
        .only("false", TIERING_REFUSED)
        .doc("Whether old segments can move to remote storage."),
    unset("remote.log.storage.manager.class.name", ConfigType::String)
        .only("", NO_CLASSES)
        .doc("In Kafka, the class that stores segments remotely."),
    unset("remote.log.storage.manager.class.path", ConfigType::String)
        .doc("In Kafka, where that class is found.")
        .deviates(NO_TIERING),
    string("remote.log.storage.manager.impl.prefix", "rsm.config.")
        .doc("In Kafka, how the keys handed to that class begin.")
        .deviates(NO_TIERING),
    string(
        "remote.log.metadata.manager.class.name",
        "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager",
    )
    .doc("In Kafka, the class that remembers what is stored remotely.")
    .deviates(NO_TIERING),
    unset("remote.log.metadata.manager.class.path", ConfigType::String)
        .doc("In Kafka, where that class is found.")
        .deviates(NO_TIERING),
    string("remote.log.metadata.manager.impl.prefix", "rlmm.config.")
        .doc("In Kafka, how the keys handed to that class begin.")
        .deviates(NO_TIERING),
    unset(
        "remote.log.metadata.manager.listener.name",
        ConfigType::String,
    )
    .doc("In Kafka, the listener through which that class reaches its own broker.")
    .deviates(NO_TIERING),
    int("remote.log.metadata.custom.metadata.max.bytes", "128")
        .at_least(0)
        .doc("The most a remote store may remember of its own about a segment.")
        .deviates(NO_TIERING),
    long("remote.log.index.file.cache.total.size.bytes", "1073741824")
        .at_least(1)
        .at_start_here()
        .doc("Disk space for indexes fetched from remote storage.")
        .deviates(NO_TIERING),
    int("remote.log.manager.thread.pool.size", "2")
        .at_least(1)
        .doc("An older name of `remote.log.manager.follower.thread.pool.size`.")
        .deviates(NO_TIERING),
    int("remote.log.manager.follower.thread.pool.size", "2")
        .at_least(1)
        .at_start_here()
        .doc("Threads that ask how far a followed partition is stored remotely.")
        .deviates(NO_TIERING),
    int("remote.log.manager.copier.thread.pool.size", "10")
        .at_least(1)
        .at_start_here()
        .doc("Threads that copy segments to remote storage.")
        .deviates(NO_TIERING),
    int("remote.log.manager.expiration.thread.pool.size", "10")
        .at_least(1)
        .at_start_here()
        .doc("Threads that delete expired segments from remote storage.")
        .deviates(NO_TIERING),
    long("remote.log.manager.task.interval.ms", "30000")
        .at_least(1)
        .doc("How often there is a look for segments to copy or to delete.")
        .deviates(NO_TIERING),
    long(
        "remote.log.manager.copy.max.bytes.per.second",
        "9223372036854775807",
    )
    .at_least(1)
    .at_start_here()
    .doc("Bytes per second that are copied to remote storage.")
    .deviates(NO_TIERING),
    int("remote.log.manager.copy.quota.window.num", "11")
        .at_least(1)
        .doc("How many samples that rate is measured over.")
        .deviates(NO_TIERING),
    int("remote.log.manager.copy.quota.window.size.seconds", "1")
        .at_least(1)
        .doc("How long one of these samples is.")
        .deviates(NO_TIERING),
    long(
        "remote.log.manager.fetch.max.bytes.per.second",
        "9223372036854775807",
    )
    .at_least(1)
    .at_start_here()
    .doc("Bytes per second that are fetched from remote storage.")
    .deviates(NO_TIERING),
    int("remote.log.manager.fetch.quota.window.num", "11")
        .at_least(1)
        .doc("How many samples that rate is measured over.")
        .deviates(NO_TIERING),
    int("remote.log.manager.fetch.quota.window.size.seconds", "1")
        .at_least(1)
        .doc("How long one of these samples is.")
        .deviates(NO_TIERING),
    int("remote.log.reader.threads", "10")
        .at_least(1)
        .at_start_here()
        .doc("Threads that read from remote storage.")
        .deviates(NO_TIERING),
    int("remote.log.reader.max.pending.tasks", "100")
        .at_least(1)
        .doc("Reads that may wait for one of these threads.")
        .deviates(NO_TIERING),
    int("remote.fetch.max.wait.ms", "500")
        .at_least(1)
        .at_start_here()
        .doc("How long a fetch waits for remote storage.")
        .deviates(NO_TIERING),
    long("remote.list.offsets.request.timeout.ms", "30000")
        .at_least(1)
        .at_start_here()
        .doc("How long a question for offsets waits for remote storage.")
        .deviates(NO_TIERING),
];
