//! Writing the answer to a Produce request.

use bytes::{BufMut, BytesMut};

use super::{FLEXIBLE_FROM, TOPIC_IDS_FROM, VERSIONS};
use crate::model::{ErrorCode, Offset, Timestamp};
use crate::protocol::error::ProtocolError;
use crate::protocol::response::Response;
use crate::protocol::tally::Tally;
use crate::protocol::writer::{
    put_count, put_endpoints_field, put_leader_field, put_nullable_string, put_topic,
};
use crate::protocol::{CurrentLeader, NodeEndpoint, TopicKey, api_key};

/// What became of one partition's batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionAnswer {
    /// The partition.
    pub index: i32,
    /// [`ErrorCode::None`] if the batch was appended.
    pub error_code: ErrorCode,
    /// The offset of the first record, [`Offset::NONE`] on an error.
    pub base_offset: Offset,
    /// When the broker appended, if the topic has log-append time, else [`Timestamp::NONE`].
    pub log_append_time: Timestamp,
    /// Where the log begins, [`Offset::NONE`] if unknown. Sent from version 5.
    pub log_start_offset: Offset,
    /// Which records caused the batch to be refused. Sent from version 8.
    pub record_errors: Vec<RecordError>,
    /// What went wrong, for a person. Sent from version 8.
    pub error_message: Option<String>,
    /// Who leads the partition, told with a leadership error. Sent from version 10.
    pub current_leader: Option<CurrentLeader>,
}

impl PartitionAnswer {
    /// An answer that tells of an error and nothing else.
    pub fn failed(index: i32, error_code: ErrorCode, error_message: Option<String>) -> Self {
        PartitionAnswer {
            index,
            error_code,
            base_offset: Offset::NONE,
            log_append_time: Timestamp::NONE,
            log_start_offset: Offset::NONE,
            record_errors: Vec::new(),
            error_message,
            current_leader: None,
        }
    }
}

/// A record that was refused (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Its place in the batch.
    pub batch_index: i32,
    /// Why, for a person.
    pub message: Option<String>,
}

/// Writes an answer front to back: topics, and after each its partitions, as many as announced.
pub struct ProduceEncoder<'a> {
    buffer: &'a mut BytesMut,
    api_version: i16,
    tally: Tally,
}

impl<'a> ProduceEncoder<'a> {
    /// Begins an answer with this many topics in `buffer`, whose contents are thrown away and
    /// whose memory is taken along by the answer (and comes back once that is written).
    ///
    /// # Errors
    /// [`ProtocolError::UnsupportedVersion`] outside 3 to 13.
    pub fn new(
        buffer: &'a mut BytesMut,
        correlation_id: i32,
        api_version: i16,
        topics: usize,
    ) -> Result<ProduceEncoder<'a>, ProtocolError> {
        if !VERSIONS.contains(&api_version) {
            return Err(ProtocolError::UnsupportedVersion {
                api_key: api_key::PRODUCE,
                api_version,
            });
        }
        buffer.clear();
        buffer.reserve(64 + 96 * topics.min(1024));
        let flexible = api_version >= FLEXIBLE_FROM;
        buffer.put_i32(0);
        buffer.put_i32(correlation_id);
        if flexible {
            buffer.put_u8(0);
        }
        put_count(buffer, flexible, topics)?;
        Ok(ProduceEncoder {
            buffer,
            api_version,
            tally: Tally::new(topics),
        })
    }

    fn flexible(&self) -> bool {
        self.api_version >= FLEXIBLE_FROM
    }

    /// Begins a topic with this many partitions.
    ///
    /// # Errors
    /// [`ProtocolError::Unencodable`] if the one before is not complete, or the key does not fit
    /// the version.
    pub fn topic(&mut self, topic: &TopicKey, partitions: usize) -> Result<(), ProtocolError> {
        let flexible = self.flexible();
        if self.tally.begin_topic(partitions)? && flexible {
            self.buffer.put_u8(0);
        }
        put_topic(
            self.buffer,
            flexible,
            self.api_version >= TOPIC_IDS_FROM,
            topic,
        )?;
        put_count(self.buffer, flexible, partitions)
    }

    /// Writes what became of a partition of the topic begun last.
    ///
    /// # Errors
    /// [`ProtocolError::Unencodable`] if there are more partitions than announced, or a text is
    /// longer than the version can say.
    pub fn partition(&mut self, answer: &PartitionAnswer) -> Result<(), ProtocolError> {
        self.tally.partition()?;
        let flexible = self.flexible();
        let buffer = &mut *self.buffer;
        buffer.put_i32(answer.index);
        buffer.put_i16(answer.error_code.code());
        buffer.put_i64(answer.base_offset.0);
        buffer.put_i64(answer.log_append_time.0);
        if self.api_version >= 5 {
            buffer.put_i64(answer.log_start_offset.0);
        }
        if self.api_version >= 8 {
            put_count(buffer, flexible, answer.record_errors.len())?;
            for error in &answer.record_errors {
                buffer.put_i32(error.batch_index);
                put_nullable_string(buffer, flexible, error.message.as_deref())?;
                if flexible {
                    buffer.put_u8(0);
                }
            }
            put_nullable_string(buffer, flexible, answer.error_message.as_deref())?;
        }
        match answer.current_leader {
            Some(leader) if self.api_version >= 10 => {
                buffer.put_u8(1);
                put_leader_field(buffer, 0, leader);
            }
            _ if flexible => buffer.put_u8(0),
            _ => {}
        }
        Ok(())
    }

    /// Ends the answer. The endpoints are those of the leaders told, from version 10.
    ///
    /// # Errors
    /// [`ProtocolError::Unencodable`] if topics or partitions are missing, or the answer is larger
    /// than a frame can be.
    pub fn finish(
        mut self,
        throttle_time_ms: i32,
        endpoints: &[NodeEndpoint],
    ) -> Result<Response, ProtocolError> {
        let flexible = self.flexible();
        if self.tally.finish()? && flexible {
            self.buffer.put_u8(0);
        }
        self.buffer.put_i32(throttle_time_ms);
        if flexible {
            let told = if self.api_version >= 10 {
                endpoints
            } else {
                &[]
            };
            put_endpoints_field(self.buffer, told)?;
        }
        let size = i32::try_from(self.buffer.len() - 4)
            .map_err(|_| ProtocolError::Unencodable("an answer beyond 2 GiB".to_owned()))?;
        self.buffer[..4].copy_from_slice(&size.to_be_bytes());
        Ok(Response::from_bytes(self.buffer.split().freeze()))
    }
}
