//! Produce, versions 3 to 13, decoded and encoded by hand.
//!
//! Every batch a client sends passes here, so decoding makes two small lists and copies nothing:
//! the records are slices of the frame. Versions: 3 to 8 plain, flexible from 9, leader and
//! endpoints in answers from 10 (KIP-951), topics by id from 13 (KIP-516).

mod request;
mod response;
#[cfg(test)]
mod tests;

pub use request::{PartitionData, ProduceRequest, TopicData};
pub use response::{PartitionAnswer, ProduceEncoder, RecordError};

/// The first version whose fields are compact.
const FLEXIBLE_FROM: i16 = 9;
/// The first version that names topics by id.
const TOPIC_IDS_FROM: i16 = 13;
/// The versions that can be read and written.
const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;
