//! One partition replica: its role, its in-sync replicas, its high watermark and who waits.
//!
//! Called by `actors::partition` alone. Invariants: the high watermark never moves back while this
//! broker leads, and never passes what every replica in sync has stored; a caller who was parked is
//! answered exactly once. Source: Kafka's `Partition`, KIP-101, KIP-320, KIP-966.

use std::collections::BTreeMap;

use super::parked::{Need, Parked};
use crate::model::{BrokerId, LeaderEpoch, Moment, Offset};

/// A caller waiting for a write. The shell knows who it is; the machine only keeps the number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// How many replicas must have a record before its producer is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// `acks=0`: nobody waits.
    None,
    /// `acks=1`: the leader.
    Leader,
    /// `acks=-1`: every replica in sync.
    All,
    /// Nobody: the caller is answered as soon as the leader's log took the records, on disk or not.
    /// For coordinators, which go on with them and wait for the commit themselves.
    Appended,
}

/// The cluster's word on a partition, as its metadata has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The leader, or `BrokerId::NONE`.
    pub leader: BrokerId,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// All replicas, the preferred leader first.
    pub replicas: Vec<BrokerId>,
    /// The replicas in sync.
    pub isr: Vec<BrokerId>,
}

/// What a topic's settings say about replication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionConfig {
    /// `min.insync.replicas`.
    pub min_insync_replicas: usize,
}

/// Who reads, and so how far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// A consumer, up to the high watermark.
    Consumer,
    /// A consumer that reads committed data only, up to the last stable offset given.
    CommittedConsumer(Offset),
    /// Another replica, or a tool that poses as one: up to the log's end.
    Replica,
}

/// Why a write is refused before anything was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendRefusal {
    /// Another broker leads, or nobody does.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// `acks=all`, and fewer replicas are in sync than the topic demands.
    #[error("{in_sync} replicas are in sync, {required} are required")]
    NotEnoughReplicas {
        /// How many are in sync.
        in_sync: usize,
        /// How many the topic requires.
        required: usize,
    },
}

/// Why a read is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FetchRefusal {
    /// Another broker leads, or nobody does.
    #[error("this broker does not lead the partition")]
    NotLeader,
    /// The reader's leader epoch is older than this leader's.
    #[error("the leader epoch is older than the current one, {0}")]
    FencedEpoch(LeaderEpoch),
    /// The reader's leader epoch is newer than this leader's.
    #[error("the leader epoch is newer than the current one, {0}")]
    UnknownEpoch(LeaderEpoch),
}

/// How a parked write ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    /// As safe as was asked for.
    Done,
    /// Stored, and when the deadline came not yet as safe as was asked for: nobody knows.
    TimedOut,
    /// Stored here, but another broker leads now: nobody knows.
    LeaderChanged,
    /// Safe on every replica in sync, but those are fewer than the topic demands.
    TooFewReplicas,
}

/// What the shell has to do after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Answer this caller.
    Answer(Ticket, WriteOutcome),
    /// The high watermark rose to this offset: wake readers, tell listeners.
    Committed(Offset),
}

/// What this broker is to the partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It takes writes and serves reads.
    Leader,
    /// It copies from the leader, if there is one.
    Follower,
}

/// The machine.
#[derive(Debug)]
pub struct Partition {
    broker: BrokerId,
    assignment: Assignment,
    config: PartitionConfig,
    high_watermark: Offset,
    log_end: Offset,
    /// While a flush is owed: from where on, and up to where, the leader's own copy does not count.
    unflushed: Option<(Offset, Offset)>,
    follower_ends: BTreeMap<BrokerId, Offset>,
    parked: Parked,
}

impl Partition {
    /// A replica on `broker`, as loaded from its log: the end, and the high watermark last known.
    pub fn new(
        broker: BrokerId,
        assignment: Assignment,
        config: PartitionConfig,
        high_watermark: Offset,
        log_end: Offset,
    ) -> Partition {
        let mut partition = Partition {
            broker,
            assignment,
            config,
            high_watermark: high_watermark.min(log_end),
            log_end,
            unflushed: None,
            follower_ends: BTreeMap::new(),
            parked: Parked::default(),
        };
        partition.advance(&mut Vec::new());
        partition
    }

    /// Leader or follower.
    pub fn role(&self) -> Role {
        if self.is_leader() {
            Role::Leader
        } else {
            Role::Follower
        }
    }

    /// The epoch of the leader this replica knows of.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.assignment.leader_epoch
    }

    /// The leader this replica knows of.
    pub fn leader(&self) -> BrokerId {
        self.assignment.leader
    }

    /// Up to where records are committed: the first offset that is not.
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Judges a write before it reaches the log; the epoch is the one to write it under.
    pub fn handle_append(&self, acks: Acks) -> Result<LeaderEpoch, AppendRefusal> {
        if !self.is_leader() {
            return Err(AppendRefusal::NotLeader);
        }
        let (in_sync, required) = (self.assignment.isr.len(), self.effective_min_isr());
        if acks == Acks::All && in_sync < required {
            return Err(AppendRefusal::NotEnoughReplicas { in_sync, required });
        }
        Ok(self.assignment.leader_epoch)
    }

    /// The log took records up to (not including) `end`. `flush_owed` when the topic's flush policy
    /// wants them on disk before they count. The caller `ticket` is answered by an effect, now or
    /// later; a duplicate waits for its original in the same way.
    pub fn handle_appended(
        &mut self,
        start: Offset,
        end: Offset,
        flush_owed: bool,
        caller: Option<(Ticket, Acks, Moment)>,
        effects: &mut Vec<Effect>,
    ) {
        self.log_end = self.log_end.max(end);
        if flush_owed {
            let from = self.unflushed.map_or(start, |(from, _)| from);
            self.unflushed = Some((from, self.log_end));
        }
        self.advance(effects);
        let Some((ticket, acks, deadline)) = caller else {
            return;
        };
        let need = match acks {
            Acks::None | Acks::Leader => Need::Stored(end),
            Acks::All => Need::Committed(end),
            Acks::Appended => return effects.push(Effect::Answer(ticket, WriteOutcome::Done)),
        };
        let met = match need {
            Need::Stored(end) => end <= self.stored_end(),
            Need::Committed(end) => end <= self.high_watermark,
        };
        if met {
            effects.push(Effect::Answer(ticket, self.outcome_of(acks == Acks::All)));
        } else {
            self.parked.push(need, ticket, deadline);
        }
    }

    /// The log is on disk up to (not including) `end`.
    pub fn handle_flushed(&mut self, end: Offset, effects: &mut Vec<Effect>) {
        self.unflushed = match self.unflushed {
            Some((_, owed)) if end < owed => Some((end, owed)),
            _ => None,
        };
        self.advance(effects);
    }

    /// A follower's fetch tells how far its log reaches.
    pub fn handle_follower_fetched(
        &mut self,
        follower: BrokerId,
        log_end: Offset,
        effects: &mut Vec<Effect>,
    ) {
        if self.is_leader() && self.assignment.replicas.contains(&follower) {
            self.follower_ends.insert(follower, log_end);
            self.advance(effects);
        }
    }

    /// The cluster decided anew.
    pub fn handle_assignment(&mut self, assignment: Assignment, effects: &mut Vec<Effect>) {
        let same_reign = assignment.leader == self.assignment.leader
            && assignment.leader_epoch == self.assignment.leader_epoch;
        self.assignment = assignment;
        if !same_reign {
            self.follower_ends.clear();
            let parked = self.parked.drain();
            effects.extend(
                parked
                    .into_iter()
                    .map(|ticket| Effect::Answer(ticket, WriteOutcome::LeaderChanged)),
            );
        }
        self.advance(effects);
    }

    /// The topic's settings changed.
    pub fn handle_config(&mut self, config: PartitionConfig, effects: &mut Vec<Effect>) {
        self.config = config;
        self.advance(effects);
    }

    /// Answers callers whose deadline has come.
    pub fn handle_timeout(&mut self, now: Moment, effects: &mut Vec<Effect>) {
        let expired = self.parked.expire(now);
        effects.extend(
            expired
                .into_iter()
                .map(|ticket| Effect::Answer(ticket, WriteOutcome::TimedOut)),
        );
    }

    /// The next deadline of a parked caller.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.parked.next_deadline()
    }

    /// How far this reader may read: the first offset it must not see.
    ///
    /// `current_epoch` is the leader epoch the reader believes in, if it names one (KIP-320).
    pub fn read_bound(
        &self,
        reader: Reader,
        current_epoch: Option<LeaderEpoch>,
    ) -> Result<Offset, FetchRefusal> {
        self.check_leader(current_epoch)?;
        Ok(match reader {
            Reader::Consumer => self.high_watermark,
            Reader::CommittedConsumer(last_stable) => last_stable.min(self.high_watermark),
            Reader::Replica => self.log_end,
        })
    }

    /// Whether this broker leads, in the epoch the caller believes in, if it names one.
    pub fn check_leader(&self, current_epoch: Option<LeaderEpoch>) -> Result<(), FetchRefusal> {
        let mine = self.assignment.leader_epoch;
        match current_epoch {
            Some(epoch) if epoch < mine => Err(FetchRefusal::FencedEpoch(mine)),
            Some(epoch) if epoch > mine => Err(FetchRefusal::UnknownEpoch(mine)),
            _ if !self.is_leader() => Err(FetchRefusal::NotLeader),
            _ => Ok(()),
        }
    }

    fn is_leader(&self) -> bool {
        self.assignment.leader == self.broker
    }

    /// Kafka's `effectiveMinIsr`: a topic with one replica accepts `acks=all` whatever the key says.
    fn effective_min_isr(&self) -> usize {
        self.config
            .min_insync_replicas
            .min(self.assignment.replicas.len())
    }

    /// Up to where the leader's own copy counts.
    fn stored_end(&self) -> Offset {
        self.unflushed.map_or(self.log_end, |(from, _)| from)
    }

    fn outcome_of(&self, all: bool) -> WriteOutcome {
        if all && self.assignment.isr.len() < self.effective_min_isr() {
            return WriteOutcome::TooFewReplicas;
        }
        WriteOutcome::Done
    }

    /// Raises the high watermark as far as the replicas in sync allow, and releases who waited.
    fn advance(&mut self, effects: &mut Vec<Effect>) {
        if !self.is_leader() {
            return;
        }
        let candidate = self.isr_end();
        // Kafka's strict minimum (KIP-966): below it nothing more is committed.
        let enough = self.assignment.isr.len() >= self.effective_min_isr();
        if enough && candidate > self.high_watermark {
            self.high_watermark = candidate;
            effects.push(Effect::Committed(candidate));
        }
        if self.parked.is_empty() {
            return;
        }
        let released = self.parked.release(self.stored_end(), self.high_watermark);
        effects.extend(
            released
                .into_iter()
                .map(|ticket| Effect::Answer(ticket, WriteOutcome::Done)),
        );
    }

    fn isr_end(&self) -> Offset {
        let others = self
            .assignment
            .isr
            .iter()
            .filter(|replica| **replica != self.broker);
        others
            .map(|replica| {
                self.follower_ends
                    .get(replica)
                    .copied()
                    .unwrap_or(Offset::ZERO)
            })
            .fold(self.stored_end(), Offset::min)
    }
}

#[cfg(test)]
#[path = "partition_tests.rs"]
mod tests;
