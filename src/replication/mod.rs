//! Replication, deciding only: who may append, what is committed, who waits for what.
//!
//! `actors::partition` is the shell. Architecture invariant: a replication factor of one is a
//! special case of the data (an in-sync set of one), never of the code.

mod parked;
pub mod partition;

pub use partition::{
    Acks, AppendRefusal, Assignment, Effect, FetchRefusal, Partition, PartitionConfig, Reader,
    Role, Ticket, WriteOutcome,
};
