//! The proposals that wait for their entry.
//!
//! Owned by [`super::QuorumActor`]. Invariant: at most one entry is on its way; the proposals in an
//! entry are next to one another in the order in which they came, none is divided.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::types::Records;
use crate::actors::quorum_messages::ProposeError;
use crate::metadata::MetadataRecord;
use crate::storage::quorum_log::codec::encode;

/// Bytes of proposals that are put together into one entry; a single one may be longer.
const ENTRY_BYTES_MAX: usize = 1 << 20;
/// Bytes of one proposal: what a follower must be able to receive, and a frame to hold.
const PROPOSAL_BYTES_MAX: usize = 64 << 20;
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
    /// With the bytes of each.
    waiting: VecDeque<(Proposal, usize)>,
    on_its_way: bool,
}

impl Proposals {
    /// Queues a proposal. One that is far too long, or one too many, is not written; who proposed it
    /// finds that out by proposing something behind it.
    pub(super) fn push(&mut self, proposal: Proposal) {
        let bytes = encode(&proposal.records).map(|bytes| bytes.len());
        match bytes {
            Ok(bytes) if bytes <= PROPOSAL_BYTES_MAX && self.waiting.len() < PROPOSALS_MAX => {
                self.waiting.push_back((proposal, bytes));
            }
            _ => {
                let records = proposal.records.len();
                log::error!("a change of the metadata with {records} records is not written");
                send(proposal.reply, Err(ProposeError::Undecided));
            }
        }
    }

    /// The records of the next entry and who waits for it; `None` while one is on its way.
    pub(super) fn take_next(&mut self) -> Option<(Records, Vec<Reply>)> {
        if self.on_its_way {
            return None;
        }
        let (first, mut bytes) = self.waiting.pop_front()?;
        let (mut records, mut replies) = (first.records, vec![first.reply]);
        while let Some((_, more)) = self.waiting.front() {
            bytes = bytes.saturating_add(*more);
            if bytes > ENTRY_BYTES_MAX {
                break;
            }
            if let Some((next, _)) = self.waiting.pop_front() {
                records.extend(next.records);
                replies.push(next.reply);
            }
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

    /// Nothing is written any more.
    pub(super) fn drop_all(&mut self) {
        for (proposal, _) in self.waiting.drain(..) {
            send(proposal.reply, Err(ProposeError::Undecided));
        }
    }
}

fn send(reply: Reply, answer: Result<u64, ProposeError>) {
    // Who asked may have stopped listening; that is its right.
    let _ = reply.send(answer);
}
