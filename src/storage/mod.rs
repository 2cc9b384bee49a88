//! Keeping: the files of partitions and log directories.

pub mod checkpoint;
pub mod leader_epochs;
pub mod log_dir;
pub mod partition_metadata;
pub mod producer_state;
