//! One group, whatever its kind: members of either protocol, and the offsets it committed.
//!
//! [`Group`] is the machine of `actors::group`. It hands each request to the protocol that is
//! concerned, [`classic`] or [`consumer`], and to the [`offsets`], and turns one kind into the other
//! when members of the other protocol arrive (KIP-848, migration).

pub mod classic;
pub mod consumer;
pub mod offsets;
