//! The proposals that wait for their entry.
//!
//! Owned by [`super::QuorumActor`]. Invariant: at most one entry is on its way; the proposals in an
//! entry are next to one another in the order in which they came, none is divided.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::types::Records;
use crate::actors::quorum_messages::ProposeError;
use crate::metadata::MetadataRecord;

/// Records in one entry; a single proposal may have more.
const ENTRY_RECORDS_MAX: usize = 10_000;
/// Proposals that may wait; the controller's own queue is shorter.
const PROPOSALS_MAX: usize = 100_000;

/// Where a proposal's answer goes.
pub(super) type Reply = oneshot::Sender<Result<u64, ProposeError>>;

/// Records that become part of one entry.
#[derive(Debug)]
pub(super) struct Proposal {
    pub(super) records: Vec<MetadataRecord>,
    pub(super) reply: Reply,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    waiting: VecDeque<Proposal>,
    on_its_way: bool,
}

impl Proposals {
    /// Queues a proposal. When far too many wait already, nothing is written of it.
    pub(super) fn push(&mut self, proposal: Proposal) {
        if self.waiting.len() < PROPOSALS_MAX {
            self.waiting.push_back(proposal);
        } else {
            send(
                proposal.reply,
                Err(ProposeError::NotLeader { leader: None }),
            );
        }
    }

    /// The records of the next entry and who waits for it; `None` while one is on its way.
    pub(super) fn take_next(&mut self) -> Option<(Records, Vec<Reply>)> {
        if self.on_its_way {
            return None;
        }
        let first = self.waiting.pop_front()?;
        let (mut records, mut replies) = (first.records, vec![first.reply]);
        while let Some(next) = self.waiting.front()
            && records.len().saturating_add(next.records.len()) <= ENTRY_RECORDS_MAX
        {
            let Some(next) = self.waiting.pop_front() else {
                break;
            };
            records.extend(next.records);
            replies.push(next.reply);
        }
        self.on_its_way = true;
        Some((records.into(), replies))
    }

    /// The entry on its way has arrived or not.
    pub(super) fn answer(&mut self, replies: Vec<Reply>, answer: &Result<u64, ProposeError>) {
        self.on_its_way = false;
        for reply in replies {
            send(reply, answer.clone());
        }
    }

    /// Nothing is written any more. Nothing was written of what waits.
    pub(super) fn drop_all(&mut self) {
        for proposal in self.waiting.drain(..) {
            send(
                proposal.reply,
                Err(ProposeError::NotLeader { leader: None }),
            );
        }
    }
}

fn send(reply: Reply, answer: Result<u64, ProposeError>) {
    // Who asked may have stopped listening; that is its right.
    let _ = reply.send(answer);
}
