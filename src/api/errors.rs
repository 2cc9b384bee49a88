//! From the rooms' errors to Kafka's codes: one exhaustive match per room.
//!
//! A variant added downstairs does not compile until it has a code here.

use super::fetch_session::SessionError;
use super::gateway::ControllerUnavailable;
use crate::metadata::Refusal;
use crate::model::ErrorCode;
use crate::protocol::messages::StrBytes;

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

impl From<ControllerUnavailable> for ApiError {
    /// The client is told to try again: what it asked for may have happened.
    fn from(unavailable: ControllerUnavailable) -> ApiError {
        match unavailable {
            ControllerUnavailable::TimedOut => ErrorCode::RequestTimedOut.into(),
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

/// The code of a fetch session that cannot be continued.
pub fn session_code(error: SessionError) -> ErrorCode {
    match error {
        SessionError::UnknownSession => ErrorCode::FetchSessionIdNotFound,
        SessionError::WrongEpoch => ErrorCode::InvalidFetchSessionEpoch,
        SessionError::MixedTopicIds => ErrorCode::FetchSessionTopicIdError,
    }
}
