//! Keys of producers' ids and of transactions.
//!
//! Invariant: what needs the transaction coordinator says that it has no effect yet.

use super::entry::{NO_TRANSACTIONS, boolean, int, short};
use crate::model::config_key::ConfigKey;

/// The keys.
pub(super) const KEYS: &[ConfigKey] = &[
    int("producer.id.expiration.ms", "86400000")
        .at_least(1)
        .at_start_here()
        .doc("How long a partition remembers an idle producer, to know its duplicates."),
    int("transactional.id.expiration.ms", "604800000")
        .at_least(1)
        .doc("How long an unused transactional id is kept.")
        .deviates(NO_TRANSACTIONS),
    int("transaction.max.timeout.ms", "900000")
        .at_least(1)
        .doc("The longest timeout a transaction may ask for.")
        .deviates(NO_TRANSACTIONS),
    int("transaction.state.log.num.partitions", "50")
        .at_least(1)
        .doc("Partitions of `__transaction_state`; it must not change later.")
        .deviates(NO_TRANSACTIONS),
    short("transaction.state.log.replication.factor", "1")
        .at_least(1)
        .doc("Replicas of `__transaction_state`.")
        .deviates("Default 1, as in Kafka's quick-start file, where Kafka has 3."),
    int("transaction.state.log.min.isr", "1")
        .at_least(1)
        .doc("How many replicas of `__transaction_state` must be in sync for a write.")
        .deviates("Default 1, as in Kafka's quick-start file, where Kafka has 2."),
    int("transaction.state.log.segment.bytes", "104857600")
        .at_least(1)
        .doc("Segment size of `__transaction_state`.")
        .deviates(NO_TRANSACTIONS),
    int("transaction.state.log.load.buffer.size", "5242880")
        .at_least(1)
        .doc("Bytes read at once when a coordinator loads its transactions.")
        .deviates(NO_TRANSACTIONS),
    int(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        "10000",
    )
    .at_least(1)
    .doc("How often transactions are looked through for those out of time.")
    .deviates(NO_TRANSACTIONS),
    int(
        "transaction.remove.expired.transaction.cleanup.interval.ms",
        "3600000",
    )
    .at_least(1)
    .doc("How often transactional ids are looked through for expired ones.")
    .deviates(NO_TRANSACTIONS),
    boolean("transaction.partition.verification.enable", "true")
        .at_start_here()
        .doc(
            "Whether a partition asks the coordinator before it takes a transaction's first batch.",
        )
        .deviates(NO_TRANSACTIONS),
    boolean("transaction.two.phase.commit.enable", "false")
        .only("false", "Two-phase commit is not built yet; leave it out.")
        .doc("Whether an outside coordinator may hold a transaction open."),
    int("add.partitions.to.txn.retry.backoff.ms", "20")
        .at_least(1)
        .doc("The wait before adding a partition to a transaction is tried again.")
        .deviates(NO_TRANSACTIONS),
    int("add.partitions.to.txn.retry.backoff.max.ms", "100")
        .at_least(0)
        .doc("How long adding a partition to a transaction is tried at most.")
        .deviates(NO_TRANSACTIONS),
];
