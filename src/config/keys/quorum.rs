//! Keys of the metadata quorum and its log.
//!
//! Invariant: a quorum of more than this node is refused (`config::rules`), never pretended.

use super::entry::{ONE_NODE, boolean, int, list, long, unset};
use crate::model::config_key::{ConfigKey, ConfigType};

const OWN_FILES: &str =
    "Without effect: the metadata log is kept in Milena's own files, which are cut by snapshots.";

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    list("controller.quorum.voters", "")
        .doc("The voters of the quorum: `id@host:port`, comma-separated.")
        .deviates("Only this node itself, until clusters are built."),
    list("controller.quorum.bootstrap.servers", "")
        .doc("Where controllers can be found: `host:port`, comma-separated.")
        .deviates("Only one, this node itself, until clusters are built."),
    boolean("controller.quorum.auto.join.enable", "false")
        .only("false", "Joining a quorum is not built yet; leave it out.")
        .doc("Whether a new controller joins the quorum by itself."),
    int("controller.quorum.election.timeout.ms", "1000")
        .at_least(0)
        .doc("How long a voter without a leader waits before it calls an election.")
        .deviates(ONE_NODE),
    int("controller.quorum.election.backoff.max.ms", "1000")
        .at_least(0)
        .doc("The longest wait between two elections.")
        .deviates(ONE_NODE),
    int("controller.quorum.fetch.timeout.ms", "2000")
        .at_least(0)
        .doc("How long a follower of the quorum goes without its leader before it becomes a candidate.")
        .deviates(ONE_NODE),
    int("controller.quorum.fetch.max.bytes", "1048576")
        .at_least(1)
        .doc("The most bytes a follower of the quorum asks for.")
        .deviates(ONE_NODE),
    int("controller.quorum.fetch.snapshot.max.bytes", "1048576")
        .at_least(1)
        .doc("The most bytes of a snapshot sent at once.")
        .deviates(ONE_NODE),
    int("controller.quorum.append.linger.ms", "25")
        .at_least(0)
        .doc("In Kafka, how long the quorum's leader gathers changes before it writes them.")
        .deviates("Without effect: changes that wait while one write is under way share the next."),
    int("controller.quorum.request.timeout.ms", "2000")
        .at_least(0)
        .doc("How long a request to another voter may take.")
        .deviates(ONE_NODE),
    int("controller.quorum.retry.backoff.ms", "20")
        .at_least(0)
        .doc("The wait before a request to another voter is repeated.")
        .deviates(ONE_NODE),
    unset("metadata.log.dir", ConfigType::String)
        .doc("The directory of the metadata log; without it the first of `log.dirs`."),
    long("metadata.log.max.record.bytes.between.snapshots", "20971520")
        .at_least(1)
        .doc("Bytes of new metadata after which a snapshot is made."),
    long("metadata.log.max.snapshot.interval.ms", "3600000")
        .at_least(0)
        .doc("The time after which a snapshot is made if anything is new; 0 is never for time alone."),
    int("metadata.log.segment.bytes", "1073741824")
        .at_least(8_388_608)
        .doc("In Kafka, the size of a file of the metadata log.")
        .deviates(OWN_FILES),
    long("metadata.log.segment.ms", "604800000")
        .doc("In Kafka, the age at which the metadata log begins a new file.")
        .deviates(OWN_FILES),
    long("metadata.max.retention.bytes", "104857600")
        .doc("In Kafka, the size of metadata log and snapshots before old ones are deleted.")
        .deviates(OWN_FILES),
    long("metadata.max.retention.ms", "604800000")
        .doc("In Kafka, how long metadata log and snapshots are kept.")
        .deviates(OWN_FILES),
    int("metadata.max.idle.interval.ms", "500")
        .at_least(0)
        .doc("In Kafka, how often an idle quorum writes an empty record.")
        .deviates("Without effect: an idle quorum writes nothing."),
];
