//! Keeping: one partition's records in Kafka's own files, and the small files beside them.
//!
//! No actor and nothing asynchronous lives here: a test, a benchmark or a tool opens a log without
//! a runtime. Files are reached through [`disk::Disk`] alone, whose twin in memory forgets, tears
//! and fails on demand.

pub mod disk;
mod error;

pub use error::StorageError;
