//! Our own keys, all beginning with `milena.`: what Kafka has no name for. Read by
//! `config::server_config`.
//!
//! Invariant: every limit of the data path that is not one of Kafka's keys stands here.

use super::entry::{int, long};
use crate::model::config_key::ConfigKey;

const OURS: &str = "A key of Milena's own.";

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    int("milena.data.threads", "0")
        .between(0, 1024)
        .doc("Event loops that serve connections and own partitions. 0 is one for every two cores.")
        .deviates(OURS),
    int("milena.disk.threads.per.log.dir", "4")
        .between(1, 256)
        .doc("Threads per log directory for what can block: flushes, cold reads, recovery, deletion.")
        .deviates(OURS),
    long("milena.unflushed.bytes.max", "268435456")
        .at_least(1_048_576)
        .doc("Bytes of a log directory that may be written but not yet on the disk while appends go straight to the page cache; above it they queue behind the directory's disk threads.")
        .deviates(OURS),
    int("milena.sendfile.bytes.min", "262144")
        .at_least(0)
        .doc("Ranges of a log from this size on go from the file to the socket without passing memory of this process; smaller ones are read and leave in one write.")
        .deviates(OURS),
    long("milena.decompressed.bytes.max", "268435456")
        .at_least(1_048_576)
        .doc("A produced batch that unpacks to more than this is refused. Unpacking streams, so this bounds work, not memory.")
        .deviates(OURS),
    int("milena.frame.stall.ms", "30000")
        .at_least(1)
        .doc("A connection is closed when a request has begun to arrive and no further byte comes for this long.")
        .deviates(OURS),
    int("milena.write.stall.ms", "60000")
        .at_least(1)
        .doc("A connection is closed when its peer has answers to read and takes no byte for this long.")
        .deviates(OURS),
    int("milena.open.files.max", "4096")
        .at_least(64)
        .doc("Segment files kept open at once; beyond it the one used longest ago is closed.")
        .deviates(OURS),
    int("milena.requests.per.connection.max", "64")
        .between(1, 65_536)
        .doc("Requests of one connection that may be unanswered before its socket is not read any further.")
        .deviates(OURS),
    long("milena.request.bytes.per.connection.max", "33554432")
        .at_least(1)
        .doc("Bytes of one connection's unanswered requests before its socket is not read any further; one larger request is always taken.")
        .deviates(OURS),
    int("milena.groups.max", "100000")
        .at_least(1)
        .doc("Groups this broker coordinates at once; one more is refused, so that a client which invents group ids cannot take the memory of the others.")
        .deviates(OURS),
    long("milena.scrub.max.bytes.per.second", "8388608")
        .at_least(0)
        .doc("How fast each log directory's old segments are read and their checksums compared, to find what the medium has lost while a copy is left. Reads that were not in the page cache leave nothing in it. The default takes 1 TB in a day and a half and is a few percent of what a hard disk can do; 0 turns it off.")
        .deviates(OURS),
    long("milena.scrub.interval.ms", "604800000")
        .at_least(1)
        .doc("From the beginning of one round over all old segments to that of the next; a round that takes longer is followed by the next at once. A week, as is the practice with file systems that scrub: shorter than retention usually is, and long enough that the disk is mostly left alone.")
        .deviates(OURS),
    int("milena.shutdown.timeout.ms", "30000")
        .at_least(1)
        .doc("How long a stop waits for requests in progress before it closes their connections.")
        .deviates(OURS),
];
