//! Writing the answer to a Fetch request.

use std::io;

use bytes::{BufMut, BytesMut};

use super::{FLEXIBLE_FROM, TOPIC_IDS_FROM, VERSIONS};
use crate::model::{BrokerId, ErrorCode, LeaderEpoch, Offset, ProducerId};
use crate::protocol::error::ProtocolError;
use crate::protocol::response::{FileRange, Response, Segment};
use crate::protocol::tally::Tally;
use crate::protocol::writer::{put_count, put_endpoints_field, put_leader_field, put_topic};
use crate::protocol::{CurrentLeader, NodeEndpoint, TopicKey, api_key};

/// What an answer says about a partition before its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionHead<'a> {
    /// The partition.
    pub index: i32,
    /// [`ErrorCode::None`] if it could be read.
    pub error_code: ErrorCode,
    /// Up to where records are replicated, [`Offset::NONE`] on an error.
    pub high_watermark: Offset,
    /// Up to where transactions are decided, [`Offset::NONE`] on an error.
    pub last_stable_offset: Offset,
    /// Where the log begins, [`Offset::NONE`] on an error. Sent from version 5.
    pub log_start_offset: Offset,
    /// Where the client's log and ours part (KIP-595). Sent from version 12.
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Who leads, told with a leadership error. Sent from version 12.
    pub current_leader: Option<CurrentLeader>,
    /// The snapshot a raft replica must load first. Sent from version 12.
    pub snapshot_id: Option<SnapshotId>,
    /// Transactions aborted within the records; `None` under read-uncommitted, which is null on
    /// the wire.
    pub aborted_transactions: Option<&'a [AbortedTransaction]>,
    /// The replica the consumer should rather read from, [`BrokerId::NONE`] for none. Sent from
    /// version 11.
    pub preferred_read_replica: BrokerId,
}

impl PartitionHead<'_> {
    /// A head that tells of an error and nothing else.
    pub fn failed(index: i32, error_code: ErrorCode) -> PartitionHead<'static> {
        PartitionHead {
            index,
            error_code,
            high_watermark: Offset::NONE,
            last_stable_offset: Offset::NONE,
            log_start_offset: Offset::NONE,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
            aborted_transactions: None,
            preferred_read_replica: BrokerId::NONE,
        }
    }
}

/// The end of an epoch in our log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch not above the client's.
    pub epoch: LeaderEpoch,
    /// Where it ends.
    pub end_offset: Offset,
}

/// A snapshot of a raft log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotId {
    /// The first offset that is not in it.
    pub end_offset: Offset,
    /// The epoch of its last record.
    pub epoch: LeaderEpoch,
}

/// A transaction that a reader of committed records must skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose.
    pub producer_id: ProducerId,
    /// From where.
    pub first_offset: Offset,
}

/// Writes an answer front to back: topics, after each its partitions, after each partition's head
/// its records. Counts stand in front, so they must be known when a topic begins.
pub struct FetchEncoder<'a> {
    buffer: &'a mut BytesMut,
    api_version: i16,
    tally: Tally,
    /// Where in the buffer a range of a file is to be put, in rising order.
    files: Vec<(usize, FileRange)>,
    file_bytes: usize,
}

impl<'a> FetchEncoder<'a> {
    /// Begins an answer with this many topics in `buffer`, whose contents are thrown away and
    /// whose memory is taken along by the answer (and comes back once that is written). The error
    /// code is the session's; it and the session are sent from version 7.
    ///
    /// # Errors
    /// [`ProtocolError::UnsupportedVersion`] outside 4 to 18.
    pub fn new(
        buffer: &'a mut BytesMut,
        correlation_id: i32,
        api_version: i16,
        session: (ErrorCode, i32),
        throttle_time_ms: i32,
        topics: usize,
    ) -> Result<FetchEncoder<'a>, ProtocolError> {
        if !VERSIONS.contains(&api_version) {
            return Err(ProtocolError::UnsupportedVersion {
                api_key: api_key::FETCH,
                api_version,
            });
        }
        buffer.clear();
        buffer.reserve(64);
        let flexible = api_version >= FLEXIBLE_FROM;
        buffer.put_i32(0);
        buffer.put_i32(correlation_id);
        if flexible {
            buffer.put_u8(0);
        }
        buffer.put_i32(throttle_time_ms);
        if api_version >= 7 {
            buffer.put_i16(session.0.code());
            buffer.put_i32(session.1);
        }
        put_count(buffer, flexible, topics)?;
        Ok(FetchEncoder {
            buffer,
            api_version,
            tally: Tally::new(topics),
            files: Vec::new(),
            file_bytes: 0,
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

    /// Writes a partition without records. They are empty, never null: librdkafka 2.0 stops
    /// reading a partition whose records are null.
    ///
    /// # Errors
    /// [`ProtocolError::Unencodable`] if there are more partitions than announced.
    pub fn partition_empty(&mut self, head: &PartitionHead<'_>) -> Result<(), ProtocolError> {
        self.partition_bytes(head, &[])
    }

    /// Writes a partition and copies its records.
    ///
    /// # Errors
    /// [`ProtocolError::Unencodable`] if there are more partitions than announced.
    pub fn partition_bytes(
        &mut self,
        head: &PartitionHead<'_>,
        records: &[u8],
    ) -> Result<(), ProtocolError> {
        self.put_head(head)?;
        put_count(self.buffer, self.flexible(), records.len())?;
        self.buffer.put_slice(records);
        self.put_tail(head);
        Ok(())
    }

    /// Writes a partition whose records `read` appends to the answer's buffer, with no copy in
    /// between. `expected` is how many bytes it will be; another number is put right at the cost
    /// of moving them. If reading fails, the answer holds no records and `fallback` is the head
    /// that is written instead.
    ///
    /// # Errors
    /// [`ProtocolError::Unencodable`] if there are more partitions than announced.
    pub fn partition_read(
        &mut self,
        head: &PartitionHead<'_>,
        expected: usize,
        read: impl FnOnce(&mut BytesMut) -> io::Result<()>,
        fallback: impl FnOnce(io::Error) -> PartitionHead<'static>,
    ) -> Result<(), ProtocolError> {
        let flexible = self.flexible();
        let begin = self.buffer.len();
        self.put_head(head)?;
        let length_at = self.buffer.len();
        put_count(self.buffer, flexible, expected)?;
        let start = self.buffer.len();
        self.buffer.reserve(expected.saturating_add(64));
        if let Err(error) = read(self.buffer) {
            self.buffer.truncate(begin);
            let head = fallback(error);
            self.put_fields(&head)?;
            put_count(self.buffer, flexible, 0)?;
            self.put_tail(&head);
            return Ok(());
        }
        let actual = self.buffer.len().saturating_sub(start);
        if actual != expected {
            self.rewrite_length(length_at, start, actual)?;
        }
        self.put_tail(head);
        Ok(())
    }

    /// Writes a partition whose records stay in their files until the socket takes them.
    ///
    /// # Errors
    /// [`ProtocolError::Unencodable`] if there are more partitions than announced.
    pub fn partition_files(
        &mut self,
        head: &PartitionHead<'_>,
        ranges: impl IntoIterator<Item = FileRange>,
    ) -> Result<(), ProtocolError> {
        self.put_head(head)?;
        let first = self.files.len();
        let ranges = ranges.into_iter().filter(|range| range.length > 0);
        self.files.extend(ranges.map(|range| (0, range)));
        let length = self.files[first..].iter().map(|(_, range)| range.length);
        let length = length.fold(0usize, usize::saturating_add);
        put_count(self.buffer, self.flexible(), length)?;
        for (place, _) in &mut self.files[first..] {
            *place = self.buffer.len();
        }
        self.file_bytes = self.file_bytes.saturating_add(length);
        self.put_tail(head);
        Ok(())
    }

    /// The bytes of records and fields written so far, for the limit of the whole answer.
    pub fn len(&self) -> usize {
        self.buffer.len() + self.file_bytes
    }

    /// Never: an answer has a head.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Ends the answer. The endpoints are those of the leaders told, from version 16.
    ///
    /// # Errors
    /// [`ProtocolError::Unencodable`] if topics or partitions are missing, or the answer is larger
    /// than a frame can be.
    pub fn finish(mut self, endpoints: &[NodeEndpoint]) -> Result<Response, ProtocolError> {
        if self.tally.finish()? && self.flexible() {
            self.buffer.put_u8(0);
        }
        if self.flexible() {
            let told = if self.api_version >= 16 {
                endpoints
            } else {
                &[]
            };
            put_endpoints_field(self.buffer, told)?;
        }
        let size = i32::try_from(self.len() - 4)
            .map_err(|_| ProtocolError::Unencodable("an answer beyond 2 GiB".to_owned()))?;
        self.buffer[..4].copy_from_slice(&size.to_be_bytes());
        let mut taken = 0;
        let mut segments = Vec::with_capacity(2 * self.files.len());
        let Some((first, _)) = self.files.first() else {
            return Ok(Response::from_bytes(self.buffer.split().freeze()));
        };
        let head = self.buffer.split_to(*first).freeze();
        taken += head.len();
        for (place, range) in self.files {
            if place > taken {
                let bytes = self.buffer.split_to(place - taken).freeze();
                taken = place;
                segments.push(Segment::Bytes(bytes));
            }
            segments.push(Segment::File(range));
        }
        if !self.buffer.is_empty() {
            segments.push(Segment::Bytes(self.buffer.split().freeze()));
        }
        Ok(Response::from_parts(head, segments))
    }

    fn put_head(&mut self, head: &PartitionHead<'_>) -> Result<(), ProtocolError> {
        self.tally.partition()?;
        self.put_fields(head)
    }

    /// Everything of a partition that stands before its records.
    fn put_fields(&mut self, head: &PartitionHead<'_>) -> Result<(), ProtocolError> {
        let flexible = self.flexible();
        let buffer = &mut *self.buffer;
        buffer.put_i32(head.index);
        buffer.put_i16(head.error_code.code());
        buffer.put_i64(head.high_watermark.0);
        buffer.put_i64(head.last_stable_offset.0);
        if self.api_version >= 5 {
            buffer.put_i64(head.log_start_offset.0);
        }
        match head.aborted_transactions {
            None if flexible => buffer.put_u8(0),
            None => buffer.put_i32(-1),
            Some(aborted) => {
                put_count(buffer, flexible, aborted.len())?;
                for transaction in aborted {
                    buffer.put_i64(transaction.producer_id.0);
                    buffer.put_i64(transaction.first_offset.0);
                    if flexible {
                        buffer.put_u8(0);
                    }
                }
            }
        }
        if self.api_version >= 11 {
            buffer.put_i32(head.preferred_read_replica.0);
        }
        Ok(())
    }

    /// The tagged fields, which stand after the records.
    fn put_tail(&mut self, head: &PartitionHead<'_>) {
        if !self.flexible() {
            return;
        }
        let count = u8::from(head.diverging_epoch.is_some())
            + u8::from(head.current_leader.is_some())
            + u8::from(head.snapshot_id.is_some());
        self.buffer.put_u8(count);
        if let Some(diverging) = head.diverging_epoch {
            self.buffer.put_slice(&[0, 13]);
            self.buffer.put_i32(diverging.epoch.0);
            self.buffer.put_i64(diverging.end_offset.0);
            self.buffer.put_u8(0);
        }
        if let Some(leader) = head.current_leader {
            put_leader_field(self.buffer, 1, leader);
        }
        if let Some(snapshot) = head.snapshot_id {
            self.buffer.put_slice(&[2, 13]);
            self.buffer.put_i64(snapshot.end_offset.0);
            self.buffer.put_i32(snapshot.epoch.0);
            self.buffer.put_u8(0);
        }
    }

    /// Puts another length in front of records already written, moving them if it is wider or
    /// narrower than the one announced.
    fn rewrite_length(
        &mut self,
        length_at: usize,
        start: usize,
        actual: usize,
    ) -> Result<(), ProtocolError> {
        let mut length = BytesMut::with_capacity(5);
        put_count(&mut length, self.flexible(), actual)?;
        let width = start - length_at;
        if length.len() > width {
            let more = length.len() - width;
            self.buffer.put_bytes(0, more);
            self.buffer.copy_within(start..start + actual, start + more);
        } else if length.len() < width {
            let less = width - length.len();
            self.buffer.copy_within(start..start + actual, start - less);
            self.buffer.truncate(start - less + actual);
        }
        self.buffer[length_at..length_at + length.len()].copy_from_slice(&length);
        Ok(())
    }
}
