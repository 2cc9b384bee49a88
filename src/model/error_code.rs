//! Kafka's error codes, one table: number, name and what it tells a person.

use std::fmt;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $message:literal;)*) => {
        /// An error as Kafka numbers it on the wire (Kafka's `Errors`).
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[repr(i16)]
        pub enum ErrorCode {
            $(#[doc = $message] $(#[$doc])* $name = $code,)*
        }

        impl ErrorCode {
            /// Every code, in order of its number.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// The sentence a client shows when the answer carries no better one.
            pub const fn message(self) -> &'static str {
                match self {
                    $(ErrorCode::$name => $message,)*
                }
            }

            /// The code with this number, if Kafka has one.
            pub fn from_code(code: i16) -> Option<ErrorCode> {
                match code {
                    $($code => Some(ErrorCode::$name),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    UnknownServerError = -1, "the broker met an error it did not expect";
    #[default]
    None = 0, "no error";
    OffsetOutOfRange = 1, "the offset lies outside the range of the partition's log";
    CorruptMessage = 2, "the batch's checksum, size or format is wrong, or a compacted topic's record has no key";
    UnknownTopicOrPartition = 3, "this broker does not host this topic or partition";
    InvalidFetchSize = 4, "the fetch size is invalid";
    LeaderNotAvailable = 5, "the partition has no leader at the moment";
    NotLeaderOrFollower = 6, "this broker does not lead, or does not hold, the partition";
    RequestTimedOut = 7, "the request timed out";
    BrokerNotAvailable = 8, "the broker is not available";
    ReplicaNotAvailable = 9, "the replica is not available";
    MessageTooLarge = 10, "the batch is larger than max.message.bytes";
    StaleControllerEpoch = 11, "the controller epoch is stale";
    OffsetMetadataTooLarge = 12, "the metadata of the offset commit is larger than allowed";
    NetworkException = 13, "the connection broke before an answer came";
    CoordinatorLoadInProgress = 14, "the coordinator is loading and cannot serve yet";
    CoordinatorNotAvailable = 15, "the coordinator is not available";
    NotCoordinator = 16, "this broker is not the coordinator";
    InvalidTopicException = 17, "the topic name is invalid, or the topic may not be written to";
    RecordListTooLarge = 18, "the batch is larger than a segment";
    NotEnoughReplicas = 19, "fewer replicas are in sync than min.insync.replicas demands";
    NotEnoughReplicasAfterAppend = 20, "the records were written, but to fewer in-sync replicas than demanded";
    InvalidRequiredAcks = 21, "acks must be -1, 0 or 1";
    IllegalGeneration = 22, "the group generation is not the current one";
    InconsistentGroupProtocol = 23, "the member's protocols do not fit those of the group";
    InvalidGroupId = 24, "the group id is invalid";
    UnknownMemberId = 25, "the coordinator does not know this member";
    InvalidSessionTimeout = 26, "the session timeout is outside the broker's bounds";
    RebalanceInProgress = 27, "the group is rebalancing, the member must join again";
    InvalidCommitOffsetSize = 28, "the offset commit is too large";
    TopicAuthorizationFailed = 29, "not authorised to access the topic";
    GroupAuthorizationFailed = 30, "not authorised to access the group";
    ClusterAuthorizationFailed = 31, "not authorised for this operation on the cluster";
    InvalidTimestamp = 32, "the record's timestamp is outside the allowed range";
    UnsupportedSaslMechanism = 33, "the SASL mechanism is not enabled";
    IllegalSaslState = 34, "the request does not fit the SASL state";
    UnsupportedVersion = 35, "the version of the API is not supported";
    TopicAlreadyExists = 36, "a topic with this name exists already";
    InvalidPartitions = 37, "the number of partitions is invalid";
    InvalidReplicationFactor = 38, "the replication factor is below 1 or above the number of available brokers";
    InvalidReplicaAssignment = 39, "the replica assignment is invalid";
    InvalidConfig = 40, "the configuration is invalid";
    NotController = 41, "this node is not the controller";
    InvalidRequest = 42, "the request contradicts itself or is malformed";
    UnsupportedForMessageFormat = 43, "the broker's message format does not support the request";
    PolicyViolation = 44, "the request violates a policy";
    OutOfOrderSequenceNumber = 45, "a sequence number is missing between this batch and the last";
    DuplicateSequenceNumber = 46, "the batch's sequence number is a duplicate";
    InvalidProducerEpoch = 47, "the producer has an old epoch";
    InvalidTxnState = 48, "the operation does not fit the transaction's state";
    InvalidProducerIdMapping = 49, "the producer id is not assigned to the transactional id";
    InvalidTransactionTimeout = 50, "the transaction timeout is larger than transaction.max.timeout.ms";
    ConcurrentTransactions = 51, "another operation on the transaction is under way";
    TransactionCoordinatorFenced = 52, "the transaction coordinator was replaced by a newer one";
    TransactionalIdAuthorizationFailed = 53, "not authorised for the transactional id";
    SecurityDisabled = 54, "security features are disabled";
    OperationNotAttempted = 55, "the broker did not attempt the operation";
    KafkaStorageError = 56, "the log directory met a disk error";
    LogDirNotFound = 57, "the log directory is not in the broker's configuration";
    SaslAuthenticationFailed = 58, "authentication failed";
    UnknownProducerId = 59, "the broker has no state for this producer id";
    ReassignmentInProgress = 60, "a reassignment of the partition is under way";
    DelegationTokenAuthDisabled = 61, "delegation tokens are disabled";
    DelegationTokenNotFound = 62, "the delegation token does not exist";
    DelegationTokenOwnerMismatch = 63, "the delegation token belongs to somebody else";
    DelegationTokenRequestNotAllowed = 64, "the channel may not ask for delegation tokens";
    DelegationTokenAuthorizationFailed = 65, "not authorised for the delegation token";
    DelegationTokenExpired = 66, "the delegation token has expired";
    InvalidPrincipalType = 67, "the principal type is not supported";
    NonEmptyGroup = 68, "the group has members";
    GroupIdNotFound = 69, "the group does not exist";
    FetchSessionIdNotFound = 70, "the fetch session does not exist";
    InvalidFetchSessionEpoch = 71, "the fetch session epoch is invalid";
    ListenerNotFound = 72, "the leader has no listener that fits the one asked";
    TopicDeletionDisabled = 73, "topic deletion is disabled";
    FencedLeaderEpoch = 74, "the request's leader epoch is older than the broker's";
    UnknownLeaderEpoch = 75, "the request's leader epoch is newer than the broker's";
    UnsupportedCompressionType = 76, "the compression type is not supported in this version";
    StaleBrokerEpoch = 77, "the broker epoch has changed";
    OffsetNotAvailable = 78, "the leader's high watermark has not caught up after its election";
    MemberIdRequired = 79, "the member must join again with the member id it was given";
    PreferredLeaderNotAvailable = 80, "the preferred leader is not available";
    GroupMaxSizeReached = 81, "the group is full";
    FencedInstanceId = 82, "another member with this group.instance.id took over";
    EligibleLeadersNotAvailable = 83, "no eligible leader is available";
    ElectionNotNeeded = 84, "the partition needs no election";
    NoReassignmentInProgress = 85, "no reassignment of the partition is under way";
    GroupSubscribedToTopic = 86, "the group is subscribed to the topic";
    InvalidRecord = 87, "a record was rejected";
    UnstableOffsetCommit = 88, "offsets are pending in an open transaction";
    ThrottlingQuotaExceeded = 89, "the quota for this kind of request is used up";
    ProducerFenced = 90, "a newer producer with this transactional id took over";
    ResourceNotFound = 91, "the resource does not exist";
    DuplicateResource = 92, "the resource exists already";
    UnacceptableCredential = 93, "the credential is unacceptable";
    InconsistentVoterSet = 94, "the voter set is inconsistent";
    InvalidUpdateVersion = 95, "the update's version is invalid";
    FeatureUpdateFailed = 96, "the feature cannot be updated";
    PrincipalDeserializationFailure = 97, "the forwarded principal cannot be read";
    SnapshotNotFound = 98, "the snapshot does not exist";
    PositionOutOfRange = 99, "the position lies outside the snapshot";
    UnknownTopicId = 100, "this broker does not host a topic with this id";
    DuplicateBrokerRegistration = 101, "a broker with this id is registered already";
    BrokerIdNotRegistered = 102, "the broker is not registered";
    InconsistentTopicId = 103, "the topic id does not fit the one in the log";
    InconsistentClusterId = 104, "the cluster id is not this cluster's";
    TransactionalIdNotFound = 105, "the transactional id does not exist";
    FetchSessionTopicIdError = 106, "the fetch session used topic ids inconsistently";
    IneligibleReplica = 107, "a replica is not eligible to join the in-sync replicas";
    NewLeaderElected = 108, "the change elected another leader";
    OffsetMovedToTieredStorage = 109, "the offset has moved to tiered storage";
    FencedMemberEpoch = 110, "the member epoch is fenced";
    UnreleasedInstanceId = 111, "the instance id is still used by another member";
    UnsupportedAssignor = 112, "the assignor is not supported";
    StaleMemberEpoch = 113, "the member epoch is stale";
    MismatchedEndpointType = 114, "the request went to an endpoint of the wrong type";
    UnsupportedEndpointType = 115, "the endpoint type is not supported";
    UnknownControllerId = 116, "the controller id is unknown";
    UnknownSubscriptionId = 117, "the telemetry subscription is not current";
    TelemetryTooLarge = 118, "the telemetry payload is too large";
    InvalidRegistration = 119, "the registration is invalid";
    TransactionAbortable = 120, "the transaction must be aborted";
    InvalidRecordState = 121, "the record's state does not allow the acknowledgement";
    ShareSessionNotFound = 122, "the share session does not exist";
    InvalidShareSessionEpoch = 123, "the share session epoch is invalid";
    FencedStateEpoch = 124, "the state epoch is fenced";
    InvalidVoterKey = 125, "the voter key does not fit";
    DuplicateVoter = 126, "the voter is in the voter set already";
    VoterNotFound = 127, "the voter is not in the voter set";
    InvalidRegularExpression = 128, "the regular expression is invalid";
    RebootstrapRequired = 129, "the client's metadata is stale, it must bootstrap again";
    StreamsInvalidTopology = 130, "the streams topology is invalid";
    StreamsInvalidTopologyEpoch = 131, "the streams topology epoch is invalid";
    StreamsTopologyFenced = 132, "the streams topology epoch is outdated";
    ShareSessionLimitReached = 133, "the limit of share sessions is reached";
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Whether this tells of a failure.
    pub fn is_error(self) -> bool {
        self != ErrorCode::None
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({}): {}", self, self.code(), self.message())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_leads_back_to_its_code() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_code(code.code()), Some(*code));
        }
        assert_eq!(ErrorCode::from_code(3000), None);
        assert_eq!(ErrorCode::ALL.len(), 135);
    }
}
