//! Actor shells. A shell receives, asks its machine, carries out the step, and keeps one timer.
//!
//! The order of asking is group, transaction, fetcher → partition → log, and controller → quorum →
//! its own log; nobody asks upstairs. Architecture invariant: a shell decides nothing.

pub mod alarm;
pub mod cleaner;
pub mod clock;
pub mod connection;
pub mod controller;
pub mod directory_keeper;
pub mod disk_threads;
pub mod fetch_waiter;
pub mod gather;
pub mod groups;
mod homeless;
pub mod log;
pub mod log_cleaning;
pub mod log_dir;
pub mod log_dir_opening;
pub mod log_dirs;
mod log_opening;
mod log_rivals;
pub mod log_switch;
pub mod log_upkeep;
pub mod metadata;
pub mod moving;
pub mod observe;
mod opening_progress;
pub mod partition;
mod partition_closing;
pub mod partition_host;
pub mod partition_messages;
pub mod partition_opening;
pub mod placement;
pub mod quorum;
pub mod quorum_messages;
pub mod rules;
pub mod scrubber;
pub mod settings;
