//! Cluster metadata, deciding only: records, the image they add up to, and the controller machine.
//!
//! `actors::controller` plans through the machine, `actors::quorum` makes the records durable,
//! `actors::metadata` replays them into an [`Image`] and publishes it to every reader.
//! Architecture invariant: nothing here knows an actor, a file or a clock.

pub mod config_check;
pub mod config_layers;
pub mod controller;
pub mod delta;
pub mod image;
pub mod records;
pub mod refusal;
pub mod topic_settings;

pub use config_layers::{ConfigLayers, ConfigSource, ConfigSynonym, ConfigTables, EffectiveValue};
pub use delta::{Delta, PartitionDelta, Touched};
pub use image::{BrokerImage, ConfigValues, Endpoint, Image, PartitionImage, TopicImage};
pub use records::{ConfigResource, MetadataRecord, ResourceKind};
pub use refusal::Refusal;
pub(crate) use topic_settings::entries;
pub use topic_settings::{CompressionType, ThrottledReplicas, TopicSettings};
