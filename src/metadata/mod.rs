//! Cluster metadata, deciding only: records, the image they add up to, and the controller machine.
//!
//! `actors::controller` plans through the machine, `actors::quorum` makes the records durable,
//! `actors::metadata` replays them into an [`Image`] and publishes it to every reader.
//! Architecture invariant: nothing here knows an actor, a file or a clock.

pub mod image;
pub mod records;

pub use image::{BrokerImage, Endpoint, Image, PartitionImage, TopicImage};
pub use records::{ConfigResource, MetadataRecord, ResourceKind};
