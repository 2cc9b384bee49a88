//! What is told to people: metrics, log lines, and how much of them.
//!
//! Handed to rooms as values; only `cli` installs a logger. Invariant: nothing here decides
//! anything about records or requests.

pub mod cleaner_metrics;
pub mod log_levels;
pub mod log_setup;
pub mod metrics;
pub mod rate_limit;
