//! What a group can be asked, what it answers, and what can be wrong. Not yet Kafka's error codes:
//! `api/errors` maps [`GroupError`] at the door.

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{LeaderEpoch, Offset, TopicId, Uuid};
use crate::protocol::consumer_offsets::Assignment;

/// Who asks, as DescribeGroups will show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// `client.id`; empty if it has none.
    pub id: Arc<str>,
    /// Its address with a slash in front, as Kafka shows it.
    pub host: Arc<str>,
}

/// What a group is asked.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// JoinGroup.
    Join(Join),
    /// SyncGroup.
    Sync(Sync),
    /// Heartbeat of the classic protocol.
    Heartbeat(Identity),
    /// LeaveGroup.
    Leave(Vec<Leaving>),
    /// ConsumerGroupHeartbeat (KIP-848).
    ConsumerHeartbeat(ConsumerHeartbeat),
    /// OffsetCommit.
    CommitOffsets(CommitOffsets),
    /// OffsetFetch.
    FetchOffsets(FetchOffsets),
    /// OffsetDelete: topics by name, with partitions.
    DeleteOffsets(Vec<(Arc<str>, Vec<i32>)>),
    /// DescribeGroups.
    DescribeClassic,
    /// ConsumerGroupDescribe.
    DescribeConsumer,
    /// ListGroups.
    Summarize,
    /// DeleteGroups.
    Delete,
}

/// JoinGroup (versions 0–9).
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// Who asks.
    pub client: Client,
    /// Empty for a new member.
    pub member_id: Arc<str>,
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<Arc<str>>,
    /// `consumer`, `connect`, …
    pub protocol_type: Arc<str>,
    /// The assignors it supports with their metadata, in its order of preference.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Milliseconds; the session timeout where the request has none (version 0).
    pub rebalance_timeout_ms: i32,
    /// Why it joins, for the log (KIP-800).
    pub reason: Option<Arc<str>>,
    /// Whether a new dynamic member must ask again with the id it is given (KIP-394, version 4).
    pub requires_known_member_id: bool,
    /// Whether its client can skip the assignment (KIP-814, version 9).
    pub supports_skipping_assignment: bool,
    /// Randomness for the id of a new member, which is `client.id-UUID` or `instance.id-UUID`.
    pub fresh: Uuid,
}

/// SyncGroup (versions 0–5).
#[derive(Debug, Clone, PartialEq)]
pub struct Sync {
    /// Who, and of which generation.
    pub identity: Identity,
    /// Checked when given (version 5).
    pub protocol_type: Option<Arc<str>>,
    /// Checked when given (version 5).
    pub protocol_name: Option<Arc<str>>,
    /// The assignment of each member, from the leader; empty from others.
    pub assignments: Vec<(Arc<str>, Bytes)>,
}

/// A member of a generation, or of an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub member_id: Arc<str>,
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<Arc<str>>,
    /// The generation of a classic group, the member epoch of a consumer group; negative for none.
    pub generation: i32,
}

/// A member that is to leave, by its own wish or an admin's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// Its id; empty when an admin names the instance alone.
    pub member_id: Arc<str>,
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<Arc<str>>,
    /// Why, for the log.
    pub reason: Option<Arc<str>>,
}

/// ConsumerGroupHeartbeat (versions 0–1). `None` means "as before".
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerHeartbeat {
    /// Who asks.
    pub client: Client,
    /// Chosen by the client; in version 0 it may be empty on joining, then `fresh` becomes it.
    pub member_id: Arc<str>,
    /// 0 to join, -1 to leave, -2 for a static member that will be back, else the member's epoch.
    pub member_epoch: i32,
    /// `group.instance.id`, of a static member.
    pub instance_id: Option<Arc<str>>,
    /// `client.rack`.
    pub rack_id: Option<Arc<str>>,
    /// Milliseconds.
    pub rebalance_timeout_ms: Option<i32>,
    /// Topics by name.
    pub subscribed_topics: Option<Vec<Arc<str>>>,
    /// An expression (RE2 syntax, matching whole names); empty to end such a subscription.
    pub subscribed_regex: Option<Arc<str>>,
    /// The assignor it wants; `Some("")` to take the wish back.
    pub server_assignor: Option<Arc<str>>,
    /// The partitions it has now.
    pub owned: Option<Assignment>,
    /// Randomness for a member id.
    pub fresh: Uuid,
}

/// OffsetCommit of one group (versions 2–10). Topics and partitions that do not exist were sorted out
/// at the door.
#[derive(Debug, Clone, PartialEq)]
pub struct CommitOffsets {
    /// Who; generation -1 and an empty member id of a committer outside any membership.
    pub identity: Identity,
    /// A retention time of its own (versions 2–4), milliseconds.
    pub retention_ms: Option<i64>,
    /// The request's version: what a classic or consumer member is told differs with it.
    pub version: i16,
    /// What to commit.
    pub offsets: Vec<CommitOffset>,
}

/// One partition of a [`CommitOffsets`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOffset {
    /// The topic's name.
    pub topic: Arc<str>,
    /// Its id, [`TopicId::ZERO`] if unknown.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The next record to be read.
    pub offset: Offset,
    /// The leader epoch of the last record read, [`LeaderEpoch::NONE`] if unknown.
    pub leader_epoch: LeaderEpoch,
    /// What the committer notes.
    pub metadata: Arc<str>,
}

/// OffsetFetch of one group (versions 1–10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOffsets {
    /// The member that asks (version 9): its id and epoch are checked when it has an id.
    pub member: Option<(Arc<str>, i32)>,
    /// Whether offsets of open transactions are to be waited for.
    pub require_stable: bool,
    /// Which; `None` for all the group has.
    pub wanted: Option<Vec<WantedOffsets>>,
}

/// One topic of a [`FetchOffsets`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedOffsets {
    /// The topic's name.
    pub topic: Arc<str>,
    /// Its id when the request named it (version 10), else [`TopicId::ZERO`]: an offset that was
    /// committed for another topic of that name is not given out.
    pub topic_id: TopicId,
    /// Its partitions.
    pub partitions: Vec<i32>,
}

/// What a group answers, variant by variant of [`Request`].
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// To `Join`.
    Join(Result<Joined, JoinRefused>),
    /// To `Sync`.
    Sync(Result<Synced, GroupError>),
    /// To `Heartbeat`.
    Heartbeat(Result<(), GroupError>),
    /// To `Leave`: one result per member asked, in order.
    Leave(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To `ConsumerHeartbeat`.
    ConsumerHeartbeat(Result<ConsumerHeartbeatReply, GroupError>),
    /// To `CommitOffsets`: one result per partition, in order.
    CommitOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To `FetchOffsets`.
    FetchOffsets(Result<Vec<FetchedOffset>, GroupError>),
    /// To `DeleteOffsets`: one result per partition, in order.
    DeleteOffsets(Result<Vec<Result<(), GroupError>>, GroupError>),
    /// To `DescribeClassic`.
    DescribeClassic(Result<ClassicDescription, GroupError>),
    /// To `DescribeConsumer`.
    DescribeConsumer(Result<ConsumerDescription, GroupError>),
    /// To `Summarize`; `None` when there is nothing to list.
    Summarize(Option<Summary>),
    /// To `Delete`.
    Delete(Result<(), GroupError>),
    /// To anything, when it cannot be served at all.
    Failed(GroupError),
}

/// A member was let in.
#[derive(Debug, Clone, PartialEq)]
pub struct Joined {
    /// The generation.
    pub generation: i32,
    /// The protocol type.
    pub protocol_type: Arc<str>,
    /// The protocol that was chosen.
    pub protocol: Arc<str>,
    /// The leader's id.
    pub leader: Arc<str>,
    /// The member's own id.
    pub member_id: Arc<str>,
    /// Whether the leader must not assign anew (KIP-814).
    pub skip_assignment: bool,
    /// For the leader: everybody, with the metadata for the chosen protocol.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// `group.instance.id`, if it is static.
    pub instance_id: Option<Arc<str>>,
    /// What it sent for the chosen protocol.
    pub metadata: Bytes,
}

/// A join that was refused, with the member id to answer (new in MEMBER_ID_REQUIRED, else as asked).
#[derive(Debug, Clone, PartialEq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The member's id.
    pub member_id: Arc<str>,
}

/// A member's assignment.
#[derive(Debug, Clone, PartialEq)]
pub struct Synced {
    /// The protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that was chosen.
    pub protocol: Option<Arc<str>>,
    /// What the leader assigned to it.
    pub assignment: Bytes,
}

/// What a member of a consumer group is told.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerHeartbeatReply {
    /// Its id.
    pub member_id: Arc<str>,
    /// Its epoch.
    pub member_epoch: i32,
    /// When to come again.
    pub heartbeat_interval_ms: i32,
    /// Its partitions, when they are news to it.
    pub assignment: Option<Assignment>,
}

/// A committed offset; offset -1 when there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct FetchedOffset {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset, or `Offset::NONE`.
    pub offset: Offset,
    /// The leader epoch, or `LeaderEpoch::NONE`.
    pub leader_epoch: LeaderEpoch,
    /// What the committer noted.
    pub metadata: Arc<str>,
    /// An open transaction may change it, and stability was asked for.
    pub unstable: bool,
}

/// DescribeGroups' view of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassicDescription {
    /// `Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty`, `Dead`.
    pub state: &'static str,
    /// The protocol type.
    pub protocol_type: Arc<str>,
    /// The protocol; shown when stable.
    pub protocol: Arc<str>,
    /// The members.
    pub members: Vec<ClassicMemberDescription>,
}

/// A member in a [`ClassicDescription`].
#[derive(Debug, Clone, PartialEq)]
pub struct ClassicMemberDescription {
    /// Its id.
    pub member_id: Arc<str>,
    /// `group.instance.id`, if it is static.
    pub instance_id: Option<Arc<str>>,
    /// Who it is.
    pub client: Client,
    /// The metadata for the chosen protocol; empty unless stable.
    pub metadata: Bytes,
    /// Its assignment; during a rebalance the one it had before, or none.
    pub assignment: Bytes,
}

/// ConsumerGroupDescribe's view of a group.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerDescription {
    /// `Empty`, `Assigning`, `Reconciling`, `Stable`, `Dead`.
    pub state: &'static str,
    /// The group epoch.
    pub epoch: i32,
    /// The epoch of the target assignment.
    pub assignment_epoch: i32,
    /// The assignor in use.
    pub assignor: Arc<str>,
    /// The members.
    pub members: Vec<ConsumerMemberDescription>,
}

/// A member in a [`ConsumerDescription`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumerMemberDescription {
    /// Its id.
    pub member_id: Arc<str>,
    /// `group.instance.id`, if it is static.
    pub instance_id: Option<Arc<str>>,
    /// `client.rack`.
    pub rack_id: Option<Arc<str>>,
    /// Its epoch.
    pub member_epoch: i32,
    /// Who it is.
    pub client: Client,
    /// The topics it subscribed to by name.
    pub subscribed_topics: Vec<Arc<str>>,
    /// The expression it subscribed by.
    pub subscribed_regex: Option<Arc<str>>,
    /// What it has.
    pub assigned: Assignment,
    /// What it is to have.
    pub target: Assignment,
    /// Whether it speaks the classic protocol.
    pub is_classic: bool,
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Its id.
    pub group_id: Arc<str>,
    /// `consumer`, `connect`, …; empty for a group that only has offsets.
    pub protocol_type: Arc<str>,
    /// In the words of the descriptions.
    pub state: &'static str,
    /// `classic` or `consumer`, as Kafka writes it on the wire.
    pub group_type: &'static str,
}

/// What can be wrong, in our words; each is one error code of Kafka's at the door.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// UNKNOWN_MEMBER_ID.
    #[error("the group has no such member")]
    UnknownMemberId,
    /// ILLEGAL_GENERATION.
    #[error("the generation is not the group's")]
    IllegalGeneration,
    /// INCONSISTENT_GROUP_PROTOCOL.
    #[error("the member's protocols do not fit the group's")]
    InconsistentGroupProtocol,
    /// INVALID_SESSION_TIMEOUT.
    #[error(
        "the session timeout lies outside group.min.session.timeout.ms to group.max.session.timeout.ms"
    )]
    InvalidSessionTimeout,
    /// REBALANCE_IN_PROGRESS.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// MEMBER_ID_REQUIRED.
    #[error("join again with the member id given here")]
    MemberIdRequired,
    /// FENCED_INSTANCE_ID.
    #[error("another member has this group.instance.id")]
    FencedInstanceId,
    /// UNRELEASED_INSTANCE_ID.
    #[error("the group.instance.id is in use by another member")]
    UnreleasedInstanceId,
    /// GROUP_MAX_SIZE_REACHED.
    #[error("the group has as many members as it may have")]
    GroupMaxSizeReached,
    /// POLICY_VIOLATION: the broker has as many groups as `milena.groups.max` allows.
    #[error("the broker holds as many groups as milena.groups.max allows")]
    TooManyGroups,
    /// GROUP_ID_NOT_FOUND.
    #[error("{0}")]
    GroupIdNotFound(String),
    /// NON_EMPTY_GROUP.
    #[error("the group has members")]
    NonEmptyGroup,
    /// INVALID_GROUP_ID.
    #[error("the group id is not allowed")]
    InvalidGroupId,
    /// INVALID_REQUEST.
    #[error("{0}")]
    InvalidRequest(String),
    /// UNSUPPORTED_ASSIGNOR.
    #[error("{0}")]
    UnsupportedAssignor(String),
    /// INVALID_REGULAR_EXPRESSION.
    #[error("{0}")]
    InvalidRegularExpression(String),
    /// FENCED_MEMBER_EPOCH.
    #[error("{0}")]
    FencedMemberEpoch(String),
    /// STALE_MEMBER_EPOCH.
    #[error("the member epoch is not the member's")]
    StaleMemberEpoch,
    /// OFFSET_METADATA_TOO_LARGE.
    #[error("the metadata of the offset is larger than offset.metadata.max.bytes")]
    OffsetMetadataTooLarge,
    /// INVALID_COMMIT_OFFSET_SIZE: the records of one request do not fit in a batch.
    #[error("the records of this request are larger than a batch may be")]
    TooLarge,
    /// GROUP_SUBSCRIBED_TO_TOPIC.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// UNSTABLE_OFFSET_COMMIT.
    #[error("a transaction that is open may change the offset")]
    UnstableOffsetCommit,
    /// UNSUPPORTED_VERSION: asked in words this kind of group does not know.
    #[error("{0}")]
    UnsupportedVersion(String),
    /// UNKNOWN_TOPIC_OR_PARTITION.
    #[error("there is no such topic or partition")]
    UnknownTopicOrPartition,
    /// NOT_COORDINATOR.
    #[error("this broker does not coordinate the group")]
    NotCoordinator,
    /// COORDINATOR_LOAD_IN_PROGRESS.
    #[error("the coordinator is loading the group")]
    LoadInProgress,
    /// COORDINATOR_NOT_AVAILABLE.
    #[error("the coordinator cannot store what was asked")]
    CoordinatorNotAvailable,
}
