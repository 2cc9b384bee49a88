//! Reading a Fetch request.

use std::ops::Range;

use bytes::Bytes;

use super::{FLEXIBLE_FROM, TOPIC_IDS_FROM, VERSIONS};
use crate::model::{BrokerId, DirectoryId, LeaderEpoch, Offset, Uuid};
use crate::protocol::error::ProtocolError;
use crate::protocol::messages::StrBytes;
use crate::protocol::reader::Reader;
use crate::protocol::{TopicKey, api_key};

/// A decoded Fetch request. Partitions stand in one list, of which every topic has a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// The cluster a raft replica believes to be in.
    pub cluster_id: Option<StrBytes>,
    /// The follower that asks, [`BrokerId::NONE`] for a consumer.
    pub replica_id: BrokerId,
    /// The follower's broker epoch, -1 if not told (KIP-903).
    pub replica_epoch: i64,
    /// How long to wait for `min_bytes`, in milliseconds.
    pub max_wait_ms: i32,
    /// How many bytes to wait for.
    pub min_bytes: i32,
    /// The limit of the whole answer.
    pub max_bytes: i32,
    /// 0: read uncommitted, 1: read committed.
    pub isolation_level: i8,
    /// The session, 0 for none.
    pub session_id: i32,
    /// The session's epoch: -1 for a request outside any session, 0 to begin one (KIP-227).
    pub session_epoch: i32,
    /// Where the consumer is, to be sent to a near replica (KIP-392).
    pub rack_id: StrBytes,
    topics: Vec<FetchTopic>,
    partitions: Vec<PartitionFetch>,
    forgotten: Vec<ForgottenTopic>,
}

/// A topic of the request; its partitions are asked of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchTopic {
    /// By name or by id.
    pub topic: TopicKey,
    partitions: Range<usize>,
}

/// What is asked of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionFetch {
    /// The partition.
    pub index: i32,
    /// The leader epoch the client knows, [`LeaderEpoch::NONE`] for any (KIP-320).
    pub current_leader_epoch: LeaderEpoch,
    /// From where.
    pub fetch_offset: Offset,
    /// The epoch of the last record the client has, [`LeaderEpoch::NONE`] if not told.
    pub last_fetched_epoch: LeaderEpoch,
    /// Where the follower's log begins, [`Offset::NONE`] for a consumer.
    pub log_start_offset: Offset,
    /// The limit of this partition's records.
    pub max_bytes: i32,
    /// The directory in which the follower keeps the replica (KIP-858).
    pub replica_directory_id: DirectoryId,
    /// The high watermark the follower knows, `i64::MAX` if not told (KIP-1166).
    pub high_watermark: Offset,
}

/// Partitions to be taken out of the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgottenTopic {
    /// By name or by id.
    pub topic: TopicKey,
    /// Which of its partitions.
    pub partitions: Vec<i32>,
}

/// The shortest encodings of a topic, of a partition and of a forgotten topic.
const TOPIC_BYTES_MIN: usize = 3;
const PARTITION_BYTES_MIN: usize = 16;
const FORGOTTEN_BYTES_MIN: usize = 3;

impl FetchRequest {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`ProtocolError::UnsupportedVersion`] outside 4 to 18, [`ProtocolError::Malformed`] if the
    /// body is not well-formed . Bytes left over are ignored, as Kafka does.
    pub fn decode(body: Bytes, api_version: i16) -> Result<FetchRequest, ProtocolError> {
        if !VERSIONS.contains(&api_version) {
            return Err(ProtocolError::UnsupportedVersion {
                api_key: api_key::FETCH,
                api_version,
            });
        }
        let flexible = api_version >= FLEXIBLE_FROM;
        let mut reader = Reader::new(body);
        let mut request = decode_head(&mut reader, api_version)?;
        let count = reader.count(flexible, TOPIC_BYTES_MIN)?;
        for _ in 0..count {
            let topic = decode_topic(&mut reader, api_version, &mut request.partitions)?;
            request.topics.push(topic);
        }
        if api_version >= 7 {
            let count = reader.count(flexible, FORGOTTEN_BYTES_MIN)?;
            for _ in 0..count {
                let forgotten = decode_forgotten(&mut reader, api_version)?;
                request.forgotten.push(forgotten);
            }
        }
        if api_version >= 11 {
            request.rack_id = reader.string(flexible)?;
        }
        if flexible {
            decode_tags(&mut reader, api_version, &mut request)?;
        }
        Ok(request)
    }

    /// The topics in the order of the request, each with its partitions.
    pub fn topics(&self) -> impl ExactSizeIterator<Item = (&TopicKey, &[PartitionFetch])> {
        self.topics
            .iter()
            .map(|topic| (&topic.topic, &self.partitions[topic.partitions.clone()]))
    }

    /// How many partitions the request names, over all topics.
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// What is to be taken out of the session.
    pub fn forgotten(&self) -> &[ForgottenTopic] {
        &self.forgotten
    }
}

fn decode_head(reader: &mut Reader, api_version: i16) -> Result<FetchRequest, ProtocolError> {
    let replica_id = if api_version <= 14 { reader.i32()? } else { -1 };
    let max_wait_ms = reader.i32()?;
    let min_bytes = reader.i32()?;
    let max_bytes = reader.i32()?;
    let isolation_level = reader.i8()?;
    let (session_id, session_epoch) = if api_version >= 7 {
        (reader.i32()?, reader.i32()?)
    } else {
        (0, -1)
    };
    Ok(FetchRequest {
        cluster_id: None,
        replica_id: BrokerId(replica_id),
        replica_epoch: -1,
        max_wait_ms,
        min_bytes,
        max_bytes,
        isolation_level,
        session_id,
        session_epoch,
        rack_id: StrBytes::default(),
        topics: Vec::new(),
        partitions: Vec::new(),
        forgotten: Vec::new(),
    })
}

fn decode_key(reader: &mut Reader, api_version: i16) -> Result<TopicKey, ProtocolError> {
    if api_version >= TOPIC_IDS_FROM {
        Ok(TopicKey::Id(reader.uuid()?))
    } else {
        Ok(TopicKey::Name(reader.string(api_version >= FLEXIBLE_FROM)?))
    }
}

fn decode_topic(
    reader: &mut Reader,
    api_version: i16,
    partitions: &mut Vec<PartitionFetch>,
) -> Result<FetchTopic, ProtocolError> {
    let flexible = api_version >= FLEXIBLE_FROM;
    let topic = decode_key(reader, api_version)?;
    let count = reader.count(flexible, PARTITION_BYTES_MIN)?;
    let start = partitions.len();
    partitions.reserve(count.min(64));
    for _ in 0..count {
        partitions.push(decode_partition(reader, api_version)?);
    }
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(FetchTopic {
        topic,
        partitions: start..partitions.len(),
    })
}

fn decode_partition(
    reader: &mut Reader,
    api_version: i16,
) -> Result<PartitionFetch, ProtocolError> {
    let index = reader.i32()?;
    let current_leader_epoch = if api_version >= 9 { reader.i32()? } else { -1 };
    let fetch_offset = reader.i64()?;
    let last_fetched_epoch = if api_version >= 12 { reader.i32()? } else { -1 };
    let log_start_offset = if api_version >= 5 { reader.i64()? } else { -1 };
    let max_bytes = reader.i32()?;
    let mut partition = PartitionFetch {
        index,
        current_leader_epoch: LeaderEpoch(current_leader_epoch),
        fetch_offset: Offset(fetch_offset),
        last_fetched_epoch: LeaderEpoch(last_fetched_epoch),
        log_start_offset: Offset(log_start_offset),
        max_bytes,
        replica_directory_id: Uuid::ZERO,
        high_watermark: Offset(i64::MAX),
    };
    if api_version >= FLEXIBLE_FROM {
        reader.tagged_fields(|tag, field| match tag {
            0 if api_version >= 17 => {
                partition.replica_directory_id = field.uuid()?;
                Ok(true)
            }
            1 if api_version >= 18 => {
                partition.high_watermark = Offset(field.i64()?);
                Ok(true)
            }
            _ => Ok(false),
        })?;
    }
    Ok(partition)
}

fn decode_forgotten(
    reader: &mut Reader,
    api_version: i16,
) -> Result<ForgottenTopic, ProtocolError> {
    let flexible = api_version >= FLEXIBLE_FROM;
    let topic = decode_key(reader, api_version)?;
    let count = reader.count(flexible, 4)?;
    let mut partitions = Vec::with_capacity(count);
    for _ in 0..count {
        partitions.push(reader.i32()?);
    }
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(ForgottenTopic { topic, partitions })
}

/// The tagged fields at the end: the cluster id, and from version 15 who the replica is.
fn decode_tags(
    reader: &mut Reader,
    api_version: i16,
    request: &mut FetchRequest,
) -> Result<(), ProtocolError> {
    reader.tagged_fields(|tag, field| match tag {
        0 => {
            request.cluster_id = field.nullable_string(true)?;
            Ok(true)
        }
        1 if api_version >= 15 => {
            request.replica_id = BrokerId(field.i32()?);
            request.replica_epoch = field.i64()?;
            field.skip_tagged_fields()?;
            Ok(true)
        }
        _ => Ok(false),
    })
}
