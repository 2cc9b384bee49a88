//! From the rooms' errors to Kafka's codes: one exhaustive match per room.
//!
//! A variant added downstairs does not compile until it has a code here.

use super::fetch_session::SessionError;
use super::gateway::ControllerUnavailable;
use crate::actors::partition_messages::{DeleteRecordsError, ReadFailure, WriteError};
use crate::coordination::messages::GroupError;
use crate::metadata::{Image, Refusal};
use crate::model::ErrorCode;
use crate::protocol::TopicKey;
use crate::protocol::messages::StrBytes;
use crate::record::InvalidBatch;
use crate::replication::{AppendRefusal, FetchRefusal, WriteOutcome};
use crate::storage::producer_state::SequenceError;
use crate::storage::{AppendError, ReadError, StorageError};

/// An error as an answer carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// The code.
    pub code: ErrorCode,
    /// The sentence; `None` is Kafka's null, for which clients show one of their own.
    pub message: Option<StrBytes>,
}

impl ApiError {
    /// No error.
    pub const NONE: ApiError = ApiError {
        code: ErrorCode::None,
        message: None,
    };

    /// An error with a sentence.
    pub fn new(code: ErrorCode, message: impl Into<StrBytes>) -> ApiError {
        ApiError {
            code,
            message: Some(message.into()),
        }
    }

    /// INVALID_REQUEST with a sentence.
    pub fn invalid_request(message: impl Into<StrBytes>) -> ApiError {
        ApiError::new(ErrorCode::InvalidRequest, message)
    }
}

impl From<ErrorCode> for ApiError {
    /// An error whose code says all.
    fn from(code: ErrorCode) -> ApiError {
        ApiError {
            code,
            message: None,
        }
    }
}

impl From<&Refusal> for ApiError {
    fn from(refusal: &Refusal) -> ApiError {
        ApiError {
            code: refusal_code(refusal),
            message: refusal.message().map(StrBytes::from),
        }
    }
}

impl From<&GroupError> for ApiError {
    fn from(error: &GroupError) -> ApiError {
        ApiError::new(group_code(error), error.to_string())
    }
}

impl From<ControllerUnavailable> for ApiError {
    /// The client is told to try again: what it asked for may have happened.
    fn from(unavailable: ControllerUnavailable) -> ApiError {
        match unavailable {
            ControllerUnavailable::TimedOut => ErrorCode::RequestTimedOut.into(),
            ControllerUnavailable::Full => {
                ApiError::new(ErrorCode::KafkaStorageError, unavailable.to_string())
            }
            ControllerUnavailable::Gone => {
                ApiError::new(ErrorCode::RequestTimedOut, unavailable.to_string())
            }
        }
    }
}

/// The code of a refusal of the controller.
pub fn refusal_code(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::InvalidTopic(_) => ErrorCode::InvalidTopicException,
        Refusal::TopicAlreadyExists(_) => ErrorCode::TopicAlreadyExists,
        Refusal::UnknownTopicOrPartition(_) => ErrorCode::UnknownTopicOrPartition,
        Refusal::UnknownTopicId(_) => ErrorCode::UnknownTopicId,
        Refusal::InvalidPartitions(_) => ErrorCode::InvalidPartitions,
        Refusal::InvalidReplicationFactor(_) => ErrorCode::InvalidReplicationFactor,
        Refusal::InvalidReplicaAssignment(_) => ErrorCode::InvalidReplicaAssignment,
        Refusal::InvalidConfig(_) => ErrorCode::InvalidConfig,
        Refusal::InvalidRequest(_) => ErrorCode::InvalidRequest,
        Refusal::PolicyViolation(_) => ErrorCode::PolicyViolation,
        Refusal::InvalidUpdateVersion(_) => ErrorCode::InvalidUpdateVersion,
        Refusal::BrokerIdNotRegistered(_) => ErrorCode::BrokerIdNotRegistered,
        Refusal::StaleBrokerEpoch(_) => ErrorCode::StaleBrokerEpoch,
        Refusal::FencedLeaderEpoch(_) => ErrorCode::FencedLeaderEpoch,
        Refusal::NotController(_) => ErrorCode::NotController,
        Refusal::IneligibleReplica(_) => ErrorCode::IneligibleReplica,
        Refusal::Exhausted(_) => ErrorCode::UnknownServerError,
    }
}

/// The code of what a group refuses.
pub fn group_code(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::UnknownMemberId => ErrorCode::UnknownMemberId,
        GroupError::IllegalGeneration => ErrorCode::IllegalGeneration,
        GroupError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        GroupError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        GroupError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        GroupError::MemberIdRequired => ErrorCode::MemberIdRequired,
        GroupError::FencedInstanceId => ErrorCode::FencedInstanceId,
        GroupError::UnreleasedInstanceId => ErrorCode::UnreleasedInstanceId,
        GroupError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        GroupError::TooManyGroups => ErrorCode::PolicyViolation,
        GroupError::GroupIdNotFound(_) => ErrorCode::GroupIdNotFound,
        GroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
        GroupError::InvalidGroupId => ErrorCode::InvalidGroupId,
        GroupError::InvalidRequest(_) => ErrorCode::InvalidRequest,
        GroupError::UnsupportedAssignor(_) => ErrorCode::UnsupportedAssignor,
        GroupError::InvalidRegularExpression(_) => ErrorCode::InvalidRegularExpression,
        GroupError::FencedMemberEpoch(_) => ErrorCode::FencedMemberEpoch,
        GroupError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
        GroupError::OffsetMetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
        GroupError::TooLarge => ErrorCode::InvalidCommitOffsetSize,
        GroupError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
        GroupError::UnstableOffsetCommit => ErrorCode::UnstableOffsetCommit,
        GroupError::UnsupportedVersion(_) => ErrorCode::UnsupportedVersion,
        GroupError::UnknownTopicOrPartition => ErrorCode::UnknownTopicOrPartition,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        GroupError::LoadInProgress => ErrorCode::CoordinatorLoadInProgress,
        GroupError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
    }
}

/// The code of what came of one item of a group's answer.
pub fn group_result_code(result: &Result<(), GroupError>) -> ErrorCode {
    result
        .as_ref()
        .map_or_else(group_code, |()| ErrorCode::None)
}

/// The code of a fetch session that cannot be continued.
pub fn session_code(error: SessionError) -> ErrorCode {
    match error {
        SessionError::UnknownSession => ErrorCode::FetchSessionIdNotFound,
        SessionError::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::MixedTopicIds => ErrorCode::FetchSessionTopicIdError,
    }
}

/// The code of a produced batch that breaks the rules.
pub fn batch_code(invalid: &InvalidBatch) -> ErrorCode {
    match invalid {
        InvalidBatch::Corrupt { .. } => ErrorCode::CorruptMessage,
        InvalidBatch::TooLarge { .. } => ErrorCode::MessageTooLarge,
        InvalidBatch::InvalidRecord { .. } => ErrorCode::InvalidRecord,
        InvalidBatch::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
        InvalidBatch::UnsupportedCompression { .. } => ErrorCode::UnsupportedCompressionType,
    }
}

/// The code of a file that could not be written or read. Whatever it is, clients try again, here or
/// at another replica.
pub fn storage_code(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::OutOfSpace { .. }
        | StorageError::TooManyFiles { .. }
        | StorageError::NotFound { .. }
        | StorageError::Failed { .. }
        | StorageError::Poisoned { .. }
        | StorageError::UnknownVersion { .. }
        | StorageError::Corrupt { .. } => ErrorCode::KafkaStorageError,
    }
}

/// The code of records that could not be read: what is damaged is told from what cannot be reached.
pub fn read_storage_code(error: &StorageError) -> ErrorCode {
    match error {
        StorageError::Corrupt { .. } => ErrorCode::CorruptMessage,
        other => storage_code(other),
    }
}

/// The code of a producer's sequence or epoch that does not fit.
pub fn sequence_code(error: &SequenceError) -> ErrorCode {
    match error {
        SequenceError::OutOfOrder { .. } => ErrorCode::OutOfOrderSequenceNumber,
        SequenceError::StaleEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        SequenceError::TransactionOpen { .. } => ErrorCode::InvalidTxnState,
        SequenceError::StaleCoordinator { .. } => ErrorCode::TransactionCoordinatorFenced,
    }
}

/// The code of a write that was refused before anything was stored.
pub fn append_refusal_code(refusal: AppendRefusal) -> ErrorCode {
    match refusal {
        AppendRefusal::NotLeader => ErrorCode::NotLeaderOrFollower,
        AppendRefusal::NotEnoughReplicas { .. } => ErrorCode::NotEnoughReplicas,
    }
}

/// The code of a read that was refused.
pub fn fetch_refusal_code(refusal: FetchRefusal) -> ErrorCode {
    match refusal {
        FetchRefusal::NotLeader => ErrorCode::NotLeaderOrFollower,
        FetchRefusal::FencedEpoch(_) => ErrorCode::FencedLeaderEpoch,
        FetchRefusal::UnknownEpoch(_) => ErrorCode::UnknownLeaderEpoch,
    }
}

/// The code of a write that was stored and then waited for others.
pub fn write_outcome_code(outcome: WriteOutcome) -> ErrorCode {
    match outcome {
        WriteOutcome::Done => ErrorCode::None,
        WriteOutcome::TimedOut => ErrorCode::RequestTimedOut,
        WriteOutcome::LeaderChanged => ErrorCode::NotLeaderOrFollower,
        WriteOutcome::TooFewReplicas => ErrorCode::NotEnoughReplicasAfterAppend,
    }
}

/// The code of a batch the log did not take.
pub fn append_code(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::Storage(error) => storage_code(error),
        AppendError::Sequence(error) => sequence_code(error),
        AppendError::LargerThanSegment { .. } => ErrorCode::RecordListTooLarge,
        AppendError::Damaged(_) => ErrorCode::CorruptMessage,
        AppendError::OutOfOrder { .. } => ErrorCode::UnknownServerError,
    }
}

/// The code of a write that was refused, or whose end is not known.
pub fn write_code(error: &WriteError) -> ErrorCode {
    match error {
        WriteError::Refused(refusal) => append_refusal_code(*refusal),
        WriteError::Log(error) => append_code(error),
        WriteError::Ended(outcome) => write_outcome_code(*outcome),
    }
}

/// The code of a read that failed.
pub fn read_code(failure: &ReadFailure) -> ErrorCode {
    match failure {
        ReadFailure::Refused(refusal) => fetch_refusal_code(*refusal),
        ReadFailure::Log(ReadError::OffsetOutOfRange { .. }) => ErrorCode::OffsetOutOfRange,
        ReadFailure::Log(ReadError::Damaged(_)) => ErrorCode::CorruptMessage,
        ReadFailure::Log(ReadError::Storage(error)) => read_storage_code(error),
    }
}

/// The code of records that were not deleted.
pub fn delete_records_code(error: &DeleteRecordsError) -> ErrorCode {
    match error {
        DeleteRecordsError::Refused(refusal) => fetch_refusal_code(*refusal),
        DeleteRecordsError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        DeleteRecordsError::Log(error) => storage_code(error),
    }
}

/// The code of a partition that did not answer: it is offline if it exists.
pub fn absent_partition_code(image: &Image, topic: &TopicKey, partition: i32) -> ErrorCode {
    match super::data_path::find_topic(image, topic) {
        Ok(topic) if topic.partition(partition).is_some() => ErrorCode::KafkaStorageError,
        Ok(_) => ErrorCode::UnknownTopicOrPartition,
        Err(error) => error,
    }
}
