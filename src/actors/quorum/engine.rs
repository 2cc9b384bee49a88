//! Starting openraft, watching it, and reading its state.
//!
//! Called by [`super::QuorumActor`]. Invariant: a node that is the only voter leads as soon as its
//! vote is on the disk; it waits for no timeout.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use openraft::{BasicNode, Config, RaftMetrics, ServerState, SnapshotPolicy};
use tokio::sync::watch;

use super::disk::QuorumDisk;
use super::log_store::LogStore;
use super::peers::{Network, PeerRequest, PeerResponse, Peers};
use super::state::State;
use super::state_machine::StateMachine;
use super::types::Raft;
use super::{QuorumConfig, QuorumDescription, QuorumReplica, broker_id, voter_id};

const ENGINE_PANICKED: &str = "its engine panicked";

type Metrics = RaftMetrics<u64, BasicNode>;

/// Starts the engine. The error is a sentence.
pub(super) async fn start(
    config: QuorumConfig,
    disk: QuorumDisk,
    state: Rc<State>,
    peers: Rc<dyn Peers>,
) -> Result<Raft, String> {
    let engine_config = engine_config(&config).validate();
    let engine_config = engine_config.map_err(|error| error.to_string())?;
    let log_store = LogStore::new(disk.clone(), Rc::clone(&state));
    let raft = Raft::new(
        voter_id(config.node_id),
        Arc::new(engine_config),
        Network(peers),
        log_store,
        StateMachine::new(disk, state),
    );
    let raft = raft.await.map_err(|error| error.to_string())?;
    begin(&raft, &config).await?;
    Ok(raft)
}

fn engine_config(config: &QuorumConfig) -> Config {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "metadata".to_owned(),
        heartbeat_interval: ms(config.heartbeat),
        election_timeout_min: ms(config.election_timeout.0),
        election_timeout_max: ms(config.election_timeout.1),
        // The state counts entries and bytes, and asks.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: config.kept_entries,
        replication_lag_threshold: config.snapshot_entries.saturating_add(config.kept_entries),
        ..Config::default()
    }
}

/// The first start makes the cluster; a later one of a single voter elects it at once. A single
/// voter leads when this returns.
async fn begin(raft: &Raft, config: &QuorumConfig) -> Result<(), String> {
    let own_id = voter_id(config.node_id);
    let known = raft.with_raft_state(|state| {
        let members = state.membership_state.effective();
        members.voter_ids().collect::<Vec<u64>>()
    });
    let known = known.await.map_err(|error| error.to_string())?;
    if raft.is_initialized().await.map_err(|e| e.to_string())? {
        if known != [own_id] {
            return Ok(());
        }
        let elected = raft.trigger().elect().await;
        elected.map_err(|error| error.to_string())?;
        return wait_to_lead(raft).await;
    }
    let voters = config.voters.iter();
    let voters: BTreeMap<u64, BasicNode> = voters
        .map(|(id, address)| (voter_id(*id), BasicNode::new(address)))
        .collect();
    if !voters.contains_key(&own_id) {
        return Ok(());
    }
    let is_single = voters.len() == 1;
    let initialized = raft.initialize(voters).await;
    initialized.map_err(|error| error.to_string())?;
    match is_single {
        true => wait_to_lead(raft).await,
        false => Ok(()),
    }
}

/// Nobody votes against a single voter: only its disk can keep it from leading.
async fn wait_to_lead(raft: &Raft) -> Result<(), String> {
    let mut metrics = raft.metrics();
    let ready =
        metrics.wait_for(|now| now.state == ServerState::Leader || now.running_state.is_err());
    match ready.await {
        Ok(now) => match &now.running_state {
            Ok(()) => Ok(()),
            Err(fatal) => Err(fatal.to_string()),
        },
        Err(_) => Err(ENGINE_PANICKED.to_owned()),
    }
}

/// Tells the state who leads, until the engine ends; returns why it did.
pub(super) async fn watch(state: Rc<State>, mut metrics: watch::Receiver<Metrics>) -> String {
    loop {
        {
            let now = metrics.borrow_and_update();
            state.saw_metrics(&now);
            if let Err(fatal) = &now.running_state {
                return fatal.to_string();
            }
        }
        if metrics.changed().await.is_err() {
            return ENGINE_PANICKED.to_owned();
        }
    }
}

/// What DescribeQuorum tells.
pub(super) fn describe(raft: &Raft) -> QuorumDescription {
    let metrics = raft.metrics();
    let metrics = metrics.borrow();
    let end = |last: Option<u64>| last.map_or(0, |last| last.saturating_add(1));
    let replica = |id: u64| QuorumReplica {
        id: broker_id(id),
        log_end_offset: match &metrics.replication {
            _ if id == metrics.id => Some(end(metrics.last_log_index)),
            Some(matched) => matched
                .get(&id)
                .map(|matched| end(matched.map(|last| last.index))),
            None => None,
        },
    };
    let members = metrics.membership_config.membership();
    QuorumDescription {
        leader: metrics.current_leader.map(broker_id),
        leader_epoch: metrics.current_term,
        high_watermark: end(metrics.last_applied.map(|last| last.index)),
        voters: members.voter_ids().map(replica).collect(),
        observers: members.learner_ids().map(replica).collect(),
    }
}

/// Answers another voter.
pub(super) async fn answer_peer(raft: &Raft, request: PeerRequest) -> PeerResponse {
    match request {
        PeerRequest::Append(request) => PeerResponse::Append(raft.append_entries(request).await),
        PeerRequest::Vote(request) => PeerResponse::Vote(raft.vote(request).await),
        PeerRequest::Snapshot(request) => {
            PeerResponse::Snapshot(raft.install_snapshot(request).await)
        }
    }
}
