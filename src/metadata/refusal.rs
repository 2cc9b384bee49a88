//! Why the controller refuses: one variant per error code a client is answered with.
//!
//! `api/errors` maps each variant to its `ErrorCode`; the text is the sentence the client is shown.
//! Invariant: a refused request has planned nothing for the item it refuses.

/// A refusal and its sentence. An empty sentence is Kafka's null message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// INVALID_TOPIC_EXCEPTION: the name is none, or collides with another.
    #[error("{0}")]
    InvalidTopic(String),
    /// TOPIC_ALREADY_EXISTS.
    #[error("{0}")]
    TopicAlreadyExists(String),
    /// UNKNOWN_TOPIC_OR_PARTITION.
    #[error("{0}")]
    UnknownTopicOrPartition(String),
    /// UNKNOWN_TOPIC_ID.
    #[error("{0}")]
    UnknownTopicId(String),
    /// INVALID_PARTITIONS: a count that is none, or not an increase.
    #[error("{0}")]
    InvalidPartitions(String),
    /// INVALID_REPLICATION_FACTOR.
    #[error("{0}")]
    InvalidReplicationFactor(String),
    /// INVALID_REPLICA_ASSIGNMENT.
    #[error("{0}")]
    InvalidReplicaAssignment(String),
    /// INVALID_CONFIG: a key or value of a topic, group or subscription that does not fit.
    #[error("{0}")]
    InvalidConfig(String),
    /// INVALID_REQUEST: parts that contradict each other.
    #[error("{0}")]
    InvalidRequest(String),
    /// POLICY_VIOLATION: more than one request may ask for.
    #[error("{0}")]
    PolicyViolation(String),
    /// INVALID_UPDATE_VERSION: a feature level, or a partition epoch, that does not follow.
    #[error("{0}")]
    InvalidUpdateVersion(String),
    /// BROKER_ID_NOT_REGISTERED.
    #[error("{0}")]
    BrokerIdNotRegistered(String),
    /// STALE_BROKER_EPOCH: the broker was registered again since.
    #[error("{0}")]
    StaleBrokerEpoch(String),
    /// FENCED_LEADER_EPOCH: the asker no longer leads, or knows an older reign.
    #[error("{0}")]
    FencedLeaderEpoch(String),
    /// NOT_CONTROLLER: the asker has seen a later epoch than this controller.
    #[error("{0}")]
    NotController(String),
    /// INELIGIBLE_REPLICA: a fenced or unregistered broker cannot be in sync.
    #[error("{0}")]
    IneligibleReplica(String),
    /// UNKNOWN_SERVER_ERROR: an invariant of ours is in the way, for example no producer id is left.
    #[error("{0}")]
    Exhausted(String),
}

impl Refusal {
    /// The sentence, or nothing where Kafka answers a null message.
    pub fn message(&self) -> Option<String> {
        let text = self.to_string();
        (!text.is_empty()).then_some(text)
    }
}
