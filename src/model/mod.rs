//! Words: the values every room speaks in. Depends on nothing, decides nothing.

mod clock_values;
pub mod config_key;
mod error_code;
mod ids;
mod log_values;
mod topic_name;

pub use clock_values::{Moment, Timestamp};
pub use error_code::ErrorCode;
pub use ids::{
    BrokerId, ClusterId, DirectoryId, InvalidUuid, LOST_DIRECTORY, TopicId, UNASSIGNED_DIRECTORY,
    Uuid,
};
pub use log_values::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};
pub use topic_name::{
    CONSUMER_OFFSETS, InvalidTopicName, TRANSACTION_STATE, TopicPartition, collision_key,
    has_collision_characters, is_internal, validate_topic_name,
};
