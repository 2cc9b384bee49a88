//! What is said between the front desk, the shards and the groups.

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::group::GroupActor;
use crate::actors::gather::Slot;
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{GroupError, Reply, Request, Summary};
use crate::model::Offset;
use crate::protocol::consumer_offsets::Record;

/// Ask a group something. A slot that is dropped tells the asker that this broker does not
/// coordinate the group.
#[derive(Message)]
#[rtype(result = "()")]
pub struct AskGroup {
    /// The group's id.
    pub group: Arc<str>,
    /// The question.
    pub request: Request,
    /// Where the answer goes.
    pub slot: Slot<Reply>,
}

/// List the groups of a shard.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ListGroups {
    /// Where the answer goes.
    pub slot: Slot<Result<Vec<Summary>, GroupError>>,
}

/// A question that has come to its group.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Handle {
    pub(super) request: Request,
    pub(super) slot: Slot<Reply>,
}

/// Records are committed up to here: the first offset that is not.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct Committed(pub(super) Offset);

/// Topics were created, grew, or were deleted: the names of the latter.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(super) struct TopicsChanged(pub(super) Arc<[Arc<str>]>);

/// Look through the committed offsets for expired ones.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct Expire;

/// The group's configuration changed.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub(super) struct Configure(pub(super) Arc<GroupConfig>);

/// This broker does not coordinate the group any more, or the group is gone.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub(super) struct Retire;

/// What a group says to its shard.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct FromGroup {
    /// Which load of the shard made the group: one of an earlier load is not listened to.
    pub(super) load: u32,
    pub(super) word: Word,
}

/// See [`FromGroup`].
pub(super) enum Word {
    /// The records of one step are to be appended, all or none.
    Append(AppendRecords),
    /// Nothing is left of the group after as many questions as this.
    Gone {
        /// The group's id.
        group: Arc<str>,
        /// How many questions it has handled.
        handled: u64,
    },
}

/// See [`Word::Append`].
pub(super) struct AppendRecords {
    pub(super) records: Vec<Record>,
    /// Who is told when they are committed.
    pub(super) group: Addr<GroupActor>,
    pub(super) done: oneshot::Sender<Result<Stored, NotStored>>,
}

/// The leader's log has the records of a step.
#[derive(Debug)]
pub(super) struct Stored {
    /// The records, for replay.
    pub(super) records: Vec<Record>,
    /// The offset after the last of them.
    pub(super) end: Offset,
    /// Up to where records are committed already.
    pub(super) high_watermark: Offset,
}

/// Why the records of a step are not in the log. None of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotStored {
    /// They do not fit in one batch.
    TooLarge,
    /// The log did not take them.
    Failed,
    /// This broker does not lead the partition any more.
    NotLeader,
}
