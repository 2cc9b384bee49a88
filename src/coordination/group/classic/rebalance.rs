//! The rebalance: from the first join that calls for one to the generation everybody is told.
//!
//! Called by the requests and deadlines that change who is a member. Invariant: the generation rises
//! with every completed join phase, and with it everybody who waits is answered.

use std::time::Duration;

use super::{ClassicGroup, Deadline, InitialRebalance, Plan, State, subscription};
use crate::coordination::messages::{GroupError, Reply};
use crate::coordination::{Now, Step};

/// The least time between two attempts to complete a join phase that nobody joined, lest a rebalance
/// timeout of nothing becomes a loop.
const ATTEMPT_PAUSE_MIN: Duration = Duration::from_secs(1);

impl ClassicGroup {
    /// The first member of an empty group: wait for others before the first generation.
    pub(super) fn begin_initial_rebalance(&mut self, now: Now, delay: Duration) {
        let remaining = self.members.rebalance_timeout().saturating_sub(delay);
        self.initial = Some(InitialRebalance {
            delay,
            pause: delay,
            remaining,
            has_new_member: false,
        });
        self.pending_sync.clear();
        self.deadlines.stop(&Deadline::Sync);
        self.deadlines.set(Deadline::Join, now.moment + delay);
        self.transition(State::PreparingRebalance, now);
    }

    /// Begins a rebalance, or completes the one under way if that was all it waited for.
    pub(super) fn rebalance_or_complete(&mut self, now: Now, step: &mut Step) {
        match self.state {
            State::CompletingRebalance | State::Stable => self.prepare_rebalance(now, step),
            State::PreparingRebalance => self.complete_join_if_all_joined(now, step),
            State::Empty => {}
        }
    }

    /// Begins a rebalance of a group with members: everybody is to join again.
    pub(super) fn prepare_rebalance(&mut self, now: Now, step: &mut Step) {
        if self.state == State::CompletingRebalance {
            self.members.clear_assignments();
            self.interrupt_syncs(now, step);
        }
        self.pending_sync.clear();
        self.deadlines.stop(&Deadline::Sync);
        self.transition(State::PreparingRebalance, now);
        if self.all_joined() {
            self.complete_join(now, step);
        } else {
            let deadline = now.moment + self.members.rebalance_timeout();
            self.deadlines.set(Deadline::Join, deadline);
        }
    }

    fn interrupt_syncs(&mut self, now: Now, step: &mut Step) {
        for member_id in self.members.ids() {
            if let Some(ticket) = self.members.take_sync(&member_id) {
                let reply = Reply::Sync(Err(GroupError::RebalanceInProgress));
                step.replies.push((ticket, reply));
                self.restart_session(&member_id, now);
            }
        }
    }

    /// Whether nobody is missing: neither a member nor an id that was given out.
    pub(super) fn all_joined(&self) -> bool {
        self.members.joining() == self.members.len() && self.pending.is_empty()
    }

    /// Completes the join phase once nobody is missing; the first one of a group takes its time.
    pub(super) fn complete_join_if_all_joined(&mut self, now: Now, step: &mut Step) {
        let is_initial = self.previous == State::Empty;
        if self.state == State::PreparingRebalance && !is_initial && self.all_joined() {
            self.complete_join(now, step);
        }
    }

    /// The join phase of a new group has waited for a pause.
    pub(super) fn end_pause(&mut self, now: Now, initial: InitialRebalance, step: &mut Step) {
        if !initial.has_new_member || initial.remaining.is_zero() {
            self.complete_join(now, step);
            return;
        }
        let pause = initial.delay.min(initial.remaining);
        self.initial = Some(InitialRebalance {
            pause,
            remaining: initial.remaining.saturating_sub(initial.pause),
            has_new_member: false,
            ..initial
        });
        self.deadlines.set(Deadline::Join, now.moment + pause);
    }

    /// Ends the join phase. Dynamic members that are missing are out; static ones stay.
    pub(super) fn complete_join(&mut self, now: Now, step: &mut Step) {
        self.initial = None;
        self.deadlines.stop(&Deadline::Join);
        for member_id in self.missing_dynamic_members() {
            self.remove_member(&member_id, step);
        }
        if !self.members.elect_joined_leader() && !self.members.is_empty() {
            // Only static members are left, and none has joined: their sessions will decide.
            let pause = self.members.rebalance_timeout().max(ATTEMPT_PAUSE_MIN);
            self.deadlines.set(Deadline::Join, now.moment + pause);
            return;
        }
        self.begin_generation(now);
        if self.state == State::Empty {
            self.plan = Some(Plan::Emptying);
            step.records.push(self.record());
        } else {
            self.answer_joins(now, step);
        }
    }

    fn missing_dynamic_members(&self) -> Vec<std::sync::Arc<str>> {
        self.members
            .iter()
            .filter(|member| member.join.is_none() && member.instance_id.is_none())
            .map(|member| member.id.clone())
            .collect()
    }

    fn begin_generation(&mut self, now: Now) {
        // Thirty-two bits of generations end after a rebalance a second for 68 years.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        self.pending_sync.clear();
        self.protocol = self.members.select_protocol();
        self.subscribed_topics = subscription::topics(self);
        let state = if self.members.is_empty() {
            State::Empty
        } else {
            State::CompletingRebalance
        };
        self.transition(state, now);
    }

    /// Everybody learns of the generation, and has the rebalance timeout to ask for its assignment.
    fn answer_joins(&mut self, now: Now, step: &mut Step) {
        for member_id in self.members.ids() {
            let is_leader = self.members.is_leader(&member_id);
            if let Some(ticket) = self.members.take_join(&member_id) {
                let joined = self.joined(&member_id, is_leader);
                step.replies.push((ticket, Reply::Join(Ok(joined))));
            }
            self.restart_session(&member_id, now);
            self.members.settle(&member_id);
            self.pending_sync.insert(member_id);
        }
        let deadline = now.moment + self.members.rebalance_timeout();
        self.deadlines.set(Deadline::Sync, deadline);
    }
}
