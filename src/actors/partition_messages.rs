//! What a partition can be asked, and what it answers. `api` asks through `partition_host`.

use actix::{Message, Recipient};

use super::disk_threads::DiskThreads;
use super::fetch_waiter::FetchBell;
use super::gather::Slot;
use crate::model::{LeaderEpoch, Moment, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId};
use crate::protocol::fetch::AbortedTransaction;
use crate::record::ValidBatch;
use crate::replication::{Acks, AppendRefusal, FetchRefusal, WriteOutcome};
use crate::storage::{AppendError, LogReader, ReadError, ReadPlan, StorageError};

/// One partition of one topic, by identity.
pub type PartitionKey = (TopicId, i32);

/// Append one batch that was checked at the door.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Append {
    /// The batch.
    pub batch: ValidBatch,
    /// How many replicas must have it before the answer.
    pub acks: Acks,
    /// When a caller who still waits is answered all the same.
    pub deadline: Moment,
    /// Where the answer goes.
    pub slot: Slot<AppendReply>,
}

/// See [`Append`].
pub type AppendReply = Result<AppendAnswer, WriteError>;

/// A batch that is stored as safely as was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendAnswer {
    /// The offset of its first record; of the original, when it was a duplicate.
    pub base_offset: Offset,
    /// The time of the append when the topic stamps records itself, else `Timestamp::NONE`.
    pub log_append_time: Timestamp,
    /// Where the log starts.
    pub log_start_offset: Offset,
}

/// Why a batch is not stored, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Refused before anything was stored.
    #[error(transparent)]
    Refused(#[from] AppendRefusal),
    /// The log refused it: nothing was stored.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// Stored here, but it did not become as safe as was asked for. Never `Done`.
    #[error("the write ended as {0:?}")]
    Ended(WriteOutcome),
}

/// Read from an offset on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Read {
    /// From where.
    pub offset: Offset,
    /// At most this many bytes, but for the first batch when `whole_first_batch`.
    pub bytes_max: usize,
    /// Whether the first batch comes whole however large it is (KIP-74).
    pub whole_first_batch: bool,
    /// Whether only committed data is wanted.
    pub committed_only: bool,
    /// Whether a replica reads, up to the log's end.
    pub replica: bool,
    /// The leader epoch the reader believes in.
    pub current_epoch: Option<LeaderEpoch>,
    /// The epoch of the record the reader has before `offset` (KIP-595's divergence check).
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// Rung when more becomes readable than was found now.
    pub bell: Option<FetchBell>,
    /// Where the answer goes.
    pub slot: Slot<ReadReply>,
}

/// See [`Read`].
pub type ReadReply = Result<ReadAnswer, ReadFailure>;

/// What a partition tells a reader.
#[derive(Debug)]
pub struct ReadAnswer {
    /// The bytes, to be read by the asker; empty when there is nothing yet.
    pub plan: ReadPlan,
    /// Where to read bytes that may be cold.
    pub threads: DiskThreads,
    /// Aborted transactions within the bytes, for readers of committed data.
    pub aborted: Vec<AbortedTransaction>,
    /// Up to where records are committed.
    pub high_watermark: Offset,
    /// Up to where no transaction is open.
    pub last_stable_offset: Offset,
    /// Where the log starts.
    pub log_start_offset: Offset,
    /// The reader's log diverged: the last common epoch at the most, and where it ends.
    pub diverging: Option<(LeaderEpoch, Offset)>,
}

/// Why a read is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadFailure {
    /// Not the leader, or an epoch that does not fit.
    #[error(transparent)]
    Refused(#[from] FetchRefusal),
    /// The offset lies outside the log, or the log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
}

impl From<StorageError> for ReadFailure {
    fn from(error: StorageError) -> ReadFailure {
        ReadFailure::Log(error.into())
    }
}

/// Ask for a view of the partition, for questions that may read files: the asker answers them
/// itself, on the directory's disk threads.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Look {
    /// The leader epoch the asker believes in.
    pub current_epoch: Option<LeaderEpoch>,
    /// Whether any replica will do, not only the leader.
    pub any_replica: bool,
    /// Where the answer goes.
    pub slot: Slot<Result<View, FetchRefusal>>,
}

/// See [`Look`].
#[derive(Debug, Clone)]
pub struct View {
    /// Reads the log without asking its actor.
    pub log: LogReader,
    /// Up to where records are committed.
    pub high_watermark: Offset,
    /// Up to where no transaction is open.
    pub last_stable_offset: Offset,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Where to run what can block.
    pub threads: DiskThreads,
}

/// Tell this listener of every move of the high watermark from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Listen {
    /// Who is told.
    pub listener: Recipient<HighWatermarkMoved>,
}

/// The high watermark rose to here.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct HighWatermarkMoved(pub Offset);

/// Delete the records before an offset; `None` means up to the high watermark.
#[derive(Message)]
#[rtype(result = "()")]
pub struct DeleteRecords {
    /// The new log start offset.
    pub before: Option<Offset>,
    /// Where the answer goes: the low watermark.
    pub slot: Slot<Result<Offset, DeleteRecordsError>>,
}

/// Why records were not deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteRecordsError {
    /// Not the leader.
    #[error(transparent)]
    Refused(#[from] FetchRefusal),
    /// The offset lies beyond the high watermark, or is negative.
    #[error("the offset {asked} lies outside the committed range, which ends at {high_watermark}")]
    OutOfRange {
        /// What was asked.
        asked: Offset,
        /// Up to where records are committed.
        high_watermark: Offset,
    },
    /// The log could not be changed.
    #[error(transparent)]
    Log(#[from] StorageError),
}

/// A producer a partition remembers (DescribeProducers, KIP-664).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DescribedProducer {
    /// Which.
    pub producer_id: ProducerId,
    /// Its epoch.
    pub producer_epoch: ProducerEpoch,
    /// The last sequence number of its last batch.
    pub last_sequence: i32,
    /// The largest timestamp of its last batch.
    pub last_timestamp: Timestamp,
    /// The epoch of the transaction coordinator that ended its last transaction; -1 for none.
    pub coordinator_epoch: i32,
    /// Where its open transaction starts.
    pub transaction_start: Option<Offset>,
}

/// List the producers the partition remembers.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ListProducers {
    /// Where the answer goes.
    pub slot: Slot<Result<Vec<DescribedProducer>, FetchRefusal>>,
}
