//! What belongs to a log directory as a whole: whose it is, how it was left, what is in it.
//!
//! The log directory's actor calls this at start, before any log is opened, and at the end.
//! Invariant: nothing here deletes a partition's data; a directory that the metadata does not know
//! is renamed to `-stray`, as Kafka does, and left for somebody to decide about.

mod meta_properties;
mod names;

pub use meta_properties::{InvalidMetaProperties, META_PROPERTIES, MetaProperties};
pub use names::{
    DirectoryRole, PartitionDirectory, current_directory_name, suffixed_directory_name,
};
