//! Coordination, deciding only: consumer groups and their committed offsets.
//!
//! `actors::group` is the shell of one group, `actors::group_shard` of one partition of
//! `__consumer_offsets`. Architecture invariant: the hard state of a machine changes in `replay`
//! alone, so that it always equals what a replay of the log would make; joins in progress, sessions
//! and deadlines are soft and die with the leader. No actor, no clock, no file, no randomness.

pub mod assignor;
pub mod config;
pub mod group;
pub mod messages;
pub mod timers;
pub mod topics;

use crate::model::{Moment, Timestamp};
use crate::protocol::consumer_offsets::Record;

/// A caller waiting for a reply. The shell knows who it is; the machine only remembers the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What time it is, handed to every step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub moment: Moment,
    /// For records.
    pub wall: Timestamp,
}

/// What a machine asks of its shell after one input.
///
/// The shell appends `records` as one batch, replays them into the machine once the leader's log has
/// them, and holds every reply back until all records appended so far are committed: also a reply
/// without records, for it may tell what an earlier, uncommitted step did. When the log refuses
/// the records nothing of the step has happened: its replies are answered with
/// [`messages::GroupError::CoordinatorNotAvailable`], and [`group::Group::handle_append_failed`] is called.
#[derive(Debug, Default, PartialEq)]
pub struct Step {
    /// To be appended, all or none.
    pub records: Vec<Record>,
    /// To be given, once they may.
    pub replies: Vec<(Ticket, messages::Reply)>,
}

impl Step {
    /// Nothing to do.
    pub fn none() -> Step {
        Step::default()
    }

    /// A reply, and nothing else.
    pub fn reply(ticket: Ticket, reply: messages::Reply) -> Step {
        Step {
            records: Vec::new(),
            replies: vec![(ticket, reply)],
        }
    }

    /// Adds what another step asks for, after this one.
    pub fn then(mut self, other: Step) -> Step {
        self.records.extend(other.records);
        self.replies.extend(other.replies);
        self
    }
}
