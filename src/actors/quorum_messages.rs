//! What the quorum is asked and what it tells: the words between controller, quorum and metadata.
//!
//! `actors::controller` proposes; `actors::quorum` makes an entry durable on a majority, then tells
//! every subscriber in the order of the log; `actors::metadata` and the controller replay.
//! Invariant: [`Committed`] of one index is sent once, in order of index, to every subscriber, and
//! before [`Propose`] of the same entry is answered.

use std::sync::Arc;

use actix::prelude::*;

use crate::metadata::MetadataRecord;
use crate::model::BrokerId;

/// Makes these records one entry of the metadata log. Answers with its index once it is committed:
/// durable on a majority, and told to every subscriber as [`Committed`].
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<u64, ProposeError>")]
pub struct Propose(pub Vec<MetadataRecord>);

/// A proposal that was not seen to be committed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// This node does not lead the quorum; nothing was written.
    #[error("this node does not lead the quorum")]
    NotLeader {
        /// Who does, if known.
        leader: Option<BrokerId>,
    },
    /// Leadership was lost, or the disk failed, while the entry was on its way: it may yet be
    /// committed, or not.
    #[error("the fate of the proposal is not known")]
    Undecided,
}

/// An entry is committed. Entries without records (elections, membership) are told too, so that an
/// index never waits for one that is not coming.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Committed {
    /// The entry's index in the metadata log.
    pub index: u64,
    /// Its records.
    pub records: Arc<[MetadataRecord]>,
}

/// The state up to an index was read from a snapshot: forget everything, replay these
/// (`Image::to_records` wrote them).
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct SnapshotInstalled {
    /// The index of the last entry inside.
    pub index: u64,
    /// Records that add up to the state.
    pub records: Arc<[MetadataRecord]>,
}

/// This node began or ceased to lead the quorum. When it begins, every entry of former leaders has
/// been told as [`Committed`] before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct LeadershipChanged {
    /// Whether this node leads now.
    pub leads: bool,
    /// Who leads, if known.
    pub leader: Option<BrokerId>,
}

/// The disk of the metadata log may have space again: see to it.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct LookForSpace;
