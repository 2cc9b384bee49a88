//! The actor of the metadata quorum: makes what the controller plans durable on a majority.
//!
//! Drives openraft, whose tasks run on the same arbiter. The controller sends [`Propose`]; everyone
//! who subscribed hears [`Committed`] in the order of the log, and of leadership. Proposals that
//! come while an entry is on its way are made one entry together, so that any number of them share
//! a write and a flush. Invariant: a proposal is answered with an index only after its records were
//! committed and told.

mod disk;
mod engine;
mod log_store;
mod peers;
mod proposals;
mod state;
mod state_machine;
#[cfg(test)]
mod tests;
mod types;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use actix::prelude::*;
use openraft::error::{ClientWriteError, RaftError};
use tokio::sync::oneshot;

use disk::QuorumDisk;
pub use peers::{NoPeers, PeerAnswer, PeerRequest, PeerResponse, PeerUnreachable, Peers};
use proposals::{Proposal, Proposals};
use state::{SnapshotDue, SnapshotLimits, State};
use state_machine::read_snapshot;
use types::Raft;
pub use types::{QuorumTypes, Records};

use super::disk_threads::DiskThreads;
use super::observe::PanicWatch;
use super::quorum_messages::{
    Committed, LeadershipChanged, LookForSpace, Propose, ProposeError, SnapshotInstalled,
};
use crate::model::BrokerId;
use crate::storage::StorageError;
use crate::storage::quorum_log::QuorumLog;

/// Messages that may wait before senders do.
const MAILBOX_MESSAGES: usize = 1024;

/// How the quorum works.
#[derive(Debug, Clone)]
pub struct QuorumConfig {
    /// This node.
    pub node_id: BrokerId,
    /// The voters a new cluster starts with, and where they are reached. Only the first start
    /// reads it: from then on the log says who votes.
    pub voters: BTreeMap<BrokerId, String>,
    /// How often a leader gives a sign of life.
    pub heartbeat: Duration,
    /// A voter that has not heard of a leader for a time between these two stands for election.
    pub election_timeout: (Duration, Duration),
    /// A snapshot is built after so many entries.
    pub snapshot_entries: u64,
    /// Or after so many bytes of entries (`metadata.log.max.record.bytes.between.snapshots`).
    pub snapshot_bytes: u64,
    /// Entries kept behind a snapshot, so that a voter that was away briefly needs none.
    pub kept_entries: u64,
}

/// Who is told. A subscriber is first told the state as [`SnapshotInstalled`], unless there is none.
#[derive(Debug, Clone)]
pub struct Subscriber {
    /// Hears of every entry.
    pub committed: Recipient<Committed>,
    /// Hears when the state is replaced.
    pub installed: Recipient<SnapshotInstalled>,
    /// Hears who leads.
    pub leadership: Option<Recipient<LeadershipChanged>>,
}

/// Adds a subscriber.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct Subscribe(pub Subscriber);

/// Asks how the quorum is (DescribeQuorum).
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "QuorumDescription")]
pub struct QuorumStatus;

/// How the quorum is, seen from this node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuorumDescription {
    /// Who leads, if known.
    pub leader: Option<BrokerId>,
    /// The leader's epoch: the term.
    pub leader_epoch: u64,
    /// The offset behind the last committed entry.
    pub high_watermark: u64,
    /// The voters.
    pub voters: Vec<QuorumReplica>,
    /// Those who only listen.
    pub observers: Vec<QuorumReplica>,
}

/// One replica of the metadata log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumReplica {
    /// Which node.
    pub id: BrokerId,
    /// The offset behind its last entry, as far as this node knows: only the leader does.
    pub log_end_offset: Option<u64>,
}

/// A question of another voter, to be answered by this one.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<PeerResponse, PeerUnreachable>")]
pub struct AnswerPeer(pub PeerRequest);

/// Stops; answered once everything on its way to the disk is there.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Shutdown;

/// The quorum cannot go on, and neither can this broker: restarted, it reads its log and is right
/// again, or says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct QuorumFailed {
    /// Why, as a sentence.
    pub reason: String,
}

/// What the actor is made of.
pub struct QuorumParts {
    /// How it works.
    pub config: QuorumConfig,
    /// Its log, opened: whatever is wrong with it was told to the one who opened it.
    pub log: QuorumLog,
    /// A thread of its own for the log, or none to use the log on the actor's thread.
    pub disk_thread: Option<DiskThreads>,
    /// The transport to other voters.
    pub peers: Rc<dyn Peers>,
    /// Told from the beginning on.
    pub subscribers: Vec<Subscriber>,
    /// Told when the quorum fails.
    pub failed: Recipient<QuorumFailed>,
    /// Speaks when the actor panics.
    pub panic_watch: Option<PanicWatch>,
}

/// The actor.
pub struct QuorumActor {
    config: QuorumConfig,
    disk: QuorumDisk,
    peers: Rc<dyn Peers>,
    state: Rc<State>,
    failed: Recipient<QuorumFailed>,
    raft: Option<Raft>,
    proposals: Proposals,
    stopping: bool,
    _panic_watch: Option<PanicWatch>,
}

/// The number openraft knows a node by.
fn voter_id(id: BrokerId) -> u64 {
    u64::try_from(id.0).unwrap_or_default()
}

/// The broker that openraft knows by this number.
fn broker_id(id: u64) -> BrokerId {
    i32::try_from(id).map_or(BrokerId::NONE, BrokerId)
}

impl QuorumActor {
    /// Reads the newest snapshot.
    ///
    /// # Errors
    /// When it cannot be read, or says nothing that this version understands.
    pub fn new(parts: QuorumParts) -> Result<QuorumActor, StorageError> {
        let snapshot = read_snapshot(&parts.log)
            .map_err(|failure| StorageError::corrupt(parts.log.directory(), failure.0))?;
        let limits = SnapshotLimits {
            entries: parts.config.snapshot_entries,
            bytes: parts.config.snapshot_bytes,
        };
        let own_id = voter_id(parts.config.node_id);
        let state = Rc::new(State::new(own_id, snapshot.as_ref(), limits));
        for subscriber in parts.subscribers {
            state.subscribe(subscriber);
        }
        Ok(QuorumActor {
            config: parts.config,
            disk: QuorumDisk::new(parts.log, parts.disk_thread),
            peers: parts.peers,
            state,
            failed: parts.failed,
            raft: None,
            proposals: Proposals::default(),
            stopping: false,
            _panic_watch: parts.panic_watch,
        })
    }

    fn engine_started(&mut self, raft: Raft, ctx: &mut Context<Self>) {
        let (state, metrics) = (Rc::clone(&self.state), raft.metrics());
        let end = engine::watch(state, metrics).into_actor(self);
        ctx.spawn(end.map(|reason, actor, _| actor.fail(&reason)));
        self.raft = Some(raft);
        self.write_next(ctx);
    }

    /// Tells the owner, once, unless the engine ended because it was asked to.
    fn fail(&mut self, reason: &str) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        let reason = match self.disk.first_failure() {
            Some(failure) => failure.0,
            None => reason.to_owned(),
        };
        log::error!("the metadata quorum failed: {reason}");
        self.state.resigned();
        self.proposals.drop_all();
        self.failed.do_send(QuorumFailed { reason });
    }

    /// Writes the proposals that wait as one entry, unless one is on its way.
    fn write_next(&mut self, ctx: &mut Context<Self>) {
        let Some(raft) = self.raft.clone().filter(|_| !self.stopping) else {
            return;
        };
        let Some((records, waiting)) = self.proposals.take_next() else {
            return;
        };
        let written = async move { raft.client_write(records).await }.into_actor(self);
        ctx.spawn(written.map(move |result, actor, ctx| {
            let answer = match result {
                Ok(response) => Ok(response.log_id.index),
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                    let leader = to.leader_id.map(broker_id);
                    Err(ProposeError::NotLeader { leader })
                }
                Err(_) => Err(ProposeError::Undecided),
            };
            actor.proposals.answer(waiting, &answer);
            actor.write_next(ctx);
        }));
    }
}

impl Actor for QuorumActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX_MESSAGES);
        self.state.set_snapshot_due(ctx.address().recipient());
        let engine = engine::start(
            self.config.clone(),
            self.disk.clone(),
            Rc::clone(&self.state),
            Rc::clone(&self.peers),
        );
        let engine = engine.into_actor(self);
        ctx.spawn(engine.map(|result, actor, ctx| match result {
            Ok(raft) => actor.engine_started(raft, ctx),
            Err(reason) => actor.fail(&reason),
        }));
    }
}

impl Handler<Propose> for QuorumActor {
    type Result = ResponseFuture<Result<u64, ProposeError>>;

    fn handle(&mut self, Propose(records): Propose, ctx: &mut Context<Self>) -> Self::Result {
        let (reply, answer) = oneshot::channel();
        if self.stopping {
            drop(reply);
        } else {
            self.proposals.push(Proposal { records, reply });
            self.write_next(ctx);
        }
        Box::pin(async move { answer.await.unwrap_or(Err(ProposeError::Undecided)) })
    }
}

impl Handler<Subscribe> for QuorumActor {
    type Result = ();

    fn handle(&mut self, Subscribe(subscriber): Subscribe, _: &mut Context<Self>) {
        self.state.subscribe(subscriber);
    }
}

impl Handler<QuorumStatus> for QuorumActor {
    type Result = MessageResult<QuorumStatus>;

    fn handle(&mut self, _: QuorumStatus, _: &mut Context<Self>) -> Self::Result {
        let described = self.raft.as_ref().map(engine::describe);
        MessageResult(described.unwrap_or_default())
    }
}

impl Handler<SnapshotDue> for QuorumActor {
    type Result = ();

    fn handle(&mut self, _: SnapshotDue, ctx: &mut Context<Self>) {
        if let Some(raft) = self.raft.clone() {
            let triggered = async move {
                // An engine that has ended says so by its metrics.
                let _ = raft.trigger().snapshot().await;
            };
            ctx.spawn(triggered.into_actor(self));
        }
    }
}

impl Handler<AnswerPeer> for QuorumActor {
    type Result = ResponseFuture<Result<PeerResponse, PeerUnreachable>>;

    fn handle(&mut self, AnswerPeer(request): AnswerPeer, _: &mut Context<Self>) -> Self::Result {
        let (raft, peer) = (self.raft.clone(), voter_id(self.config.node_id));
        Box::pin(async move {
            match raft {
                Some(raft) => Ok(engine::answer_peer(&raft, request).await),
                None => Err(PeerUnreachable {
                    peer,
                    reason: "it is starting".to_owned(),
                }),
            }
        })
    }
}

impl Handler<LookForSpace> for QuorumActor {
    type Result = ();

    fn handle(&mut self, _: LookForSpace, _: &mut Context<Self>) {
        let disk = self.disk.clone();
        actix_rt::spawn(async move {
            // A thread that has ended was told of where it happened.
            let _ = disk
                .run(|log| {
                    log.keep_space_back();
                    Ok(())
                })
                .await;
        });
    }
}

impl Handler<Shutdown> for QuorumActor {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(&mut self, _: Shutdown, _: &mut Context<Self>) -> Self::Result {
        self.stopping = true;
        let raft = self.raft.take();
        let stopped = async move {
            if let Some(raft) = raft {
                // The engine's task panicked before; that was told by its metrics.
                let _ = raft.shutdown().await;
            }
        };
        Box::pin(stopped.into_actor(self).map(|(), actor, ctx| {
            actor.state.resigned();
            actor.proposals.drop_all();
            ctx.stop();
        }))
    }
}
