//! Keeping: one partition's records in Kafka's own files, and the small files beside them.
//!
//! No actor and nothing asynchronous lives here: a test, a benchmark or a tool opens a log without
//! a runtime. Files are reached through [`disk::Disk`] alone, whose twin in memory forgets, tears
//! and fails on demand.

pub mod checkpoint;
mod checkpoints;
mod cleaner;
pub mod closed_logs;
pub mod disk;
mod error;
pub mod leader_epochs;
mod log;
pub mod log_dir;
mod offset_index;
pub mod partition_metadata;
pub mod producer_state;
pub mod quorum_log;
mod read_plan;
mod recovery;
pub mod scrub;
mod segment;
#[cfg(test)]
mod simulation;
mod time_index;
pub mod transaction_index;
pub mod verify;

pub use checkpoints::Checkpoints;
pub use cleaner::{CleaningError, CleaningStats, CleaningStopped, OffsetMap, Pace};
pub use error::StorageError;
pub use log::{
    AppendError, Appended, Blueprint, Chunk, Cleanable, Cleaning, CleaningHold, ClosedLog,
    CopyError, Damage, DamageWatch, DeletedFiles, DeletionReason, FlushJob, Flushed, Inspection,
    Log, LogConfig, LogReader, RUN_BATCHES_MAX, RUN_BYTES_MAX, ReadError, Replacement, Suspect,
    TimestampedOffset, Verdict,
};
pub use read_plan::ReadPlan;
pub use recovery::{Progress, RecoveryInput, RecoveryReport};
pub use segment::open_files::OpenFiles;
