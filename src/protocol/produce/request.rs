//! Reading a Produce request.

use std::ops::Range;

use bytes::Bytes;

use super::{FLEXIBLE_FROM, TOPIC_IDS_FROM, VERSIONS};
use crate::protocol::error::ProtocolError;
use crate::protocol::messages::StrBytes;
use crate::protocol::reader::Reader;
use crate::protocol::{TopicKey, api_key};

/// A decoded Produce request. Partitions stand in one list, of which every topic has a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceRequest {
    /// The transactional producer, if it is one.
    pub transactional_id: Option<StrBytes>,
    /// 0: no answer, 1: the leader's append, -1: all in-sync replicas. Anything else is an error
    /// of each partition, not of the frame.
    pub acks: i16,
    /// How long to wait for the replicas, in milliseconds.
    pub timeout_ms: i32,
    topics: Vec<TopicData>,
    partitions: Vec<PartitionData>,
}

/// A topic of the request; its partitions are asked of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicData {
    /// By name or by id.
    pub topic: TopicKey,
    partitions: Range<usize>,
}

/// What is to be appended to one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionData {
    /// The partition.
    pub index: i32,
    /// The batches, a slice of the frame; null is a fault of the client that `api` answers.
    pub records: Option<Bytes>,
}

/// The shortest encodings: an empty topic (length, empty array, and tags) and a partition.
const TOPIC_BYTES_MIN: usize = 3;
const PARTITION_BYTES_MIN: usize = 6;

impl ProduceRequest {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`ProtocolError::UnsupportedVersion`] outside 3 to 13, [`ProtocolError::Malformed`] if the
    /// body is not well-formed . Bytes left over are ignored, as Kafka does.
    pub fn decode(body: Bytes, api_version: i16) -> Result<ProduceRequest, ProtocolError> {
        if !VERSIONS.contains(&api_version) {
            return Err(ProtocolError::UnsupportedVersion {
                api_key: api_key::PRODUCE,
                api_version,
            });
        }
        let flexible = api_version >= FLEXIBLE_FROM;
        let mut reader = Reader::new(body);
        let transactional_id = reader.nullable_string(flexible)?;
        let acks = reader.i16()?;
        let timeout_ms = reader.i32()?;
        let count = reader.count(flexible, TOPIC_BYTES_MIN)?;
        let mut topics = Vec::with_capacity(count.min(16));
        let mut partitions = Vec::new();
        for _ in 0..count {
            topics.push(decode_topic(&mut reader, api_version, &mut partitions)?);
        }
        if flexible {
            reader.skip_tagged_fields()?;
        }
        Ok(ProduceRequest {
            transactional_id,
            acks,
            timeout_ms,
            topics,
            partitions,
        })
    }

    /// The topics in the order of the request, each with its partitions.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (&TopicKey, &[PartitionData])> {
        self.topics
            .iter()
            .map(|topic| (&topic.topic, &self.partitions[topic.partitions.clone()]))
    }

    /// How many partitions the request names, over all topics.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Takes the records of all partitions out, in the order in which [`topics`](Self::topics)
    /// lists them, so that they can be handed on while the request stays for the answer.
    pub fn take_records(&mut self) -> impl Iterator<Item = Option<Bytes>> + '_ {
        self.partitions
            .iter_mut()
            .map(|partition| partition.records.take())
    }
}

fn decode_topic(
    reader: &mut Reader,
    api_version: i16,
    partitions: &mut Vec<PartitionData>,
) -> Result<TopicData, ProtocolError> {
    let flexible = api_version >= FLEXIBLE_FROM;
    let topic = if api_version >= TOPIC_IDS_FROM {
        TopicKey::Id(reader.uuid()?)
    } else {
        TopicKey::Name(reader.string(flexible)?)
    };
    let count = reader.count(flexible, PARTITION_BYTES_MIN)?;
    let start = partitions.len();
    partitions.reserve(count.min(64));
    for _ in 0..count {
        let index = reader.i32()?;
        let records = reader.nullable_bytes(flexible)?;
        if flexible {
            reader.skip_tagged_fields()?;
        }
        partitions.push(PartitionData { index, records });
    }
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(TopicData {
        topic,
        partitions: start..partitions.len(),
    })
}
