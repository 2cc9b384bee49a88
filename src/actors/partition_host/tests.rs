//! Partitions and their logs behind a host, in stopped time, on a disk in memory.

pub(in crate::actors) mod bench;
mod closing;
mod data;
mod failures;
mod moving;
mod scrubbing;
mod upkeep;
