//! Static members that come back without their id, as after a restart (KIP-345, KIP-814).
//!
//! Called by `new_member`. Invariant: one member per `group.instance.id`; the newest wins, and the one
//! before is fenced.

use std::sync::Arc;

use super::{ClassicGroup, Plan, State};
use crate::coordination::messages::{GroupError, Join, Reply};
use crate::coordination::{Now, Step, Ticket};

impl ClassicGroup {
    /// Gives the place of the member `old` to `new`. A stable group whose protocol would be chosen
    /// again needs no rebalance: the new id is written down and the member goes on.
    pub(super) fn replace_static_member(
        &mut self,
        now: Now,
        old: &Arc<str>,
        new: Arc<str>,
        join: Join,
        ticket: Ticket,
        step: &mut Step,
    ) {
        let leader = self.members.leader().cloned().unwrap_or_default();
        let can_skip = join.supports_skipping_assignment;
        let Some(plan) = self.swap(now, old, &new, step) else {
            return;
        };
        self.update_member(&new, join, ticket, step);
        match self.state {
            State::Stable if self.members.select_protocol() == self.protocol => {
                self.members.take_join(&new);
                self.restart_session(&new, now);
                self.plan = Some(plan);
                step.records.push(self.record());
                let reply = self.kept_place(&new, leader, can_skip);
                step.replies.push((ticket, reply));
            }
            // The leader may have been told the old id already: it has to assign anew.
            _ => {
                self.restart_session(&new, now);
                self.rebalance_or_complete(now, step);
            }
        }
    }

    /// What a static member is told that need not wait for a rebalance. A client that cannot skip
    /// the assignment must not learn that it leads, or it would assign for a generation that has
    /// its assignment: it is told the id that led before, which is its own old one.
    fn kept_place(&self, member_id: &Arc<str>, leader: Arc<str>, can_skip: bool) -> Reply {
        let is_leader = can_skip && self.members.is_leader(member_id);
        let mut joined = self.joined(member_id, is_leader);
        joined.skip_assignment = is_leader;
        if !can_skip {
            joined.leader = leader;
        }
        Reply::Join(Ok(joined))
    }

    /// Replaces the id of a member and nothing else; who waits under the old one is fenced.
    fn swap(&mut self, now: Now, old: &Arc<str>, new: &Arc<str>, step: &mut Step) -> Option<Plan> {
        let fenced = GroupError::FencedInstanceId;
        self.refuse_parked_join(old, fenced.clone(), old.clone(), step);
        self.refuse_parked_sync(old, fenced, step);
        let was_leader = self.members.is_leader(old);
        let member = self.members.remove(old)?;
        self.stop_session(old);
        let mut renamed = member.clone();
        renamed.id = new.clone();
        renamed.is_new = false;
        self.members.insert(renamed);
        if was_leader {
            self.members.set_leader(Some(new.clone()));
        }
        if self.pending_sync.remove(old) {
            self.pending_sync.insert(new.clone());
        }
        self.restart_session(new, now);
        Some(Plan::Replacement {
            old: Box::new(member),
            new: new.clone(),
            was_leader,
        })
    }

    /// The record of a replacement was not stored: the member has its old id again.
    pub(super) fn undo_replacement(
        &mut self,
        now: Now,
        old: super::Member,
        new: &Arc<str>,
        was_leader: bool,
    ) {
        let old_id = old.id.clone();
        self.members.remove(new);
        self.stop_session(new);
        self.members.insert(old);
        if was_leader {
            self.members.set_leader(Some(old_id.clone()));
        }
        if self.pending_sync.remove(new) {
            self.pending_sync.insert(old_id.clone());
        }
        self.restart_session(&old_id, now);
    }
}
