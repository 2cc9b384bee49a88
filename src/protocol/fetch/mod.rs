//! Fetch, versions 4 to 18, decoded and encoded by hand.
//!
//! The usual request of an incremental session names no topic, and its decoding allocates nothing.
//! The answer carries records as they lie in the log: small ones are read straight into the
//! answer's buffer, so that it leaves in one write; large ones stay in their files. Versions:
//! sessions from 7 (KIP-227), leader epochs from 9, racks from 11, flexible and diverging epochs
//! from 12, topics by id from 13, replica state from 15, endpoints from 16 (KIP-951), replica
//! directories from 17, followers' high watermark from 18 (KIP-1166).

mod request;
mod response;
#[cfg(test)]
mod tests;

pub use request::{FetchRequest, FetchTopic, ForgottenTopic, PartitionFetch};
pub use response::{AbortedTransaction, EpochEndOffset, FetchEncoder, PartitionHead, SnapshotId};

/// The first version whose fields are compact.
const FLEXIBLE_FROM: i16 = 12;
/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;
/// The versions that can be read and written.
const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;
