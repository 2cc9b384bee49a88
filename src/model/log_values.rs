//! The numbers written into a log: offsets, epochs and producer identities.

use std::fmt;
use std::ops::{Add, Sub};

/// A place in a partition's log. Unique and rising within its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(pub i64);

impl Offset {
    /// The first offset of a log that never lost its beginning.
    pub const ZERO: Offset = Offset(0);
    /// Kafka's "no offset" on the wire; inside, an absent offset is an `Option`.
    pub const NONE: Offset = Offset(-1);
}

impl Add<i64> for Offset {
    type Output = Offset;

    fn add(self, rhs: i64) -> Offset {
        Offset(self.0.saturating_add(rhs))
    }
}

impl Sub<Offset> for Offset {
    type Output = i64;

    fn sub(self, rhs: Offset) -> i64 {
        self.0.saturating_sub(rhs.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The reign of a partition's leader; rises with every election and every unclean start (KIP-101).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// Kafka's "no epoch known": matches any.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who produced a batch, for idempotence and transactions (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

impl ProducerId {
    /// A batch without a producer id.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl fmt::Display for ProducerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The incarnation of a producer id; a higher one fences the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(pub i16);

impl ProducerEpoch {
    /// A batch without a producer epoch.
    pub const NONE: ProducerEpoch = ProducerEpoch(-1);
}
