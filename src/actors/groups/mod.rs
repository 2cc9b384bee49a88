//! Consumer groups as people: a host per arbiter, a shard per led partition of
//! `__consumer_offsets`, an actor per group.
//!
//! [`router`] is how `api` reaches them: group id → partition → [`shard`] → [`group`]. The shard and
//! its groups live on the arbiter of their partition. Invariant: a group answers only what its log
//! holds committed, and whoever can no longer be answered is dropped, which tells him that this
//! broker does not coordinate his group.

mod appends;
mod group;
pub mod host;
mod loading;
pub mod messages;
pub mod router;
pub mod shard;
pub mod surroundings;
pub mod topics;

#[cfg(test)]
mod tests;
