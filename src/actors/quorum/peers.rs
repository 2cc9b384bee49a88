//! The other voters: what they are asked, and who carries the question.
//!
//! A transport implements [`Peers`]; a quorum of one has [`NoPeers`]. Invariant: an unreachable
//! peer is an error that openraft tries again, never a wait without end: it cancels what takes
//! longer than its own timeout.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use openraft::BasicNode;
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::types::QuorumTypes;

/// A question of one voter to another.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum PeerRequest {
    /// Entries to append, or none, as a sign of life.
    Append(AppendEntriesRequest<QuorumTypes>),
    /// A candidate asks for a vote.
    Vote(VoteRequest<u64>),
    /// A part of a snapshot.
    Snapshot(InstallSnapshotRequest<QuorumTypes>),
}

/// The answer to the question of the same name.
#[derive(Debug, Serialize, Deserialize)]
pub enum PeerResponse {
    /// To entries.
    Append(Result<AppendEntriesResponse<u64>, RaftError<u64>>),
    /// To a candidate.
    Vote(Result<VoteResponse<u64>, RaftError<u64>>),
    /// To a part of a snapshot.
    Snapshot(Result<InstallSnapshotResponse<u64>, RaftError<u64, InstallSnapshotError>>),
}

/// A peer did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the voter {peer} is not reached: {reason}")]
pub struct PeerUnreachable {
    /// Which one.
    pub peer: u64,
    /// Why.
    pub reason: String,
}

/// An answer to come.
pub type PeerAnswer = Pin<Box<dyn Future<Output = Result<PeerResponse, PeerUnreachable>>>>;

/// Carries questions to other voters.
pub trait Peers: std::fmt::Debug {
    /// Asks the voter `peer`, which is reached at `address`.
    fn ask(&self, peer: u64, address: &str, request: PeerRequest) -> PeerAnswer;
}

/// There is nobody else.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoPeers;

impl Peers for NoPeers {
    fn ask(&self, peer: u64, _address: &str, _request: PeerRequest) -> PeerAnswer {
        Box::pin(async move {
            let reason = "this node has no transport to other voters".to_owned();
            Err(PeerUnreachable { peer, reason })
        })
    }
}

/// openraft's view of [`Peers`].
#[derive(Debug, Clone)]
pub(super) struct Network(pub(super) Rc<dyn Peers>);

impl RaftNetworkFactory<QuorumTypes> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Connection {
        Connection {
            peers: Rc::clone(&self.0),
            peer: target,
            address: node.addr.clone(),
        }
    }
}

/// One peer.
#[derive(Debug)]
pub(super) struct Connection {
    peers: Rc<dyn Peers>,
    peer: u64,
    address: String,
}

type CallError<E> = RPCError<u64, BasicNode, E>;

impl Connection {
    /// Asks, and takes the answer apart by `expect`.
    async fn ask<T, E: std::error::Error>(
        &self,
        request: PeerRequest,
        expect: impl FnOnce(PeerResponse) -> Option<Result<T, E>>,
    ) -> Result<T, CallError<E>> {
        let unreachable = |error: &PeerUnreachable| RPCError::Unreachable(Unreachable::new(error));
        let answer = self.peers.ask(self.peer, &self.address, request).await;
        let answer = answer.map_err(|error| unreachable(&error))?;
        match expect(answer) {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(refusal)) => Err(RemoteError::new(self.peer, refusal).into()),
            None => Err(unreachable(&PeerUnreachable {
                peer: self.peer,
                reason: "it answered another question".to_owned(),
            })),
        }
    }
}

impl RaftNetwork<QuorumTypes> for Connection {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<QuorumTypes>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, CallError<RaftError<u64>>> {
        self.ask(PeerRequest::Append(rpc), |answer| match answer {
            PeerResponse::Append(result) => Some(result),
            _ => None,
        })
        .await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        _option: RPCOption,
    ) -> Result<VoteResponse<u64>, CallError<RaftError<u64>>> {
        self.ask(PeerRequest::Vote(rpc), |answer| match answer {
            PeerResponse::Vote(result) => Some(result),
            _ => None,
        })
        .await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<QuorumTypes>,
        _option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, CallError<RaftError<u64, InstallSnapshotError>>> {
        self.ask(PeerRequest::Snapshot(rpc), |answer| match answer {
            PeerResponse::Snapshot(result) => Some(result),
            _ => None,
        })
        .await
    }
}
