//! Shards and groups behind a host, in stopped time, on a disk in memory.

mod bench;
mod compacting;
mod lives;
mod members;
mod storing;
