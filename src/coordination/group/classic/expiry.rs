//! What happens when a deadline has come: of a session, of the join phase, of the syncs.
//!
//! Called by the facade when `next_timeout` is due. Invariant: one step plans one record at most; what
//! is due after it stays due.

use std::sync::Arc;

use super::{ClassicGroup, Deadline, State};
use crate::coordination::{Now, Step};

impl ClassicGroup {
    /// Acts on what is due, until a record is planned: then the shell asks again.
    pub fn handle_timeout(&mut self, now: Now) -> Step {
        let mut step = Step::none();
        while step.records.is_empty() {
            match self.deadlines.expire(now.moment) {
                Some(Deadline::Join) => self.end_join_phase(now, &mut step),
                Some(Deadline::Sync) => self.end_sync_phase(now, &mut step),
                Some(Deadline::Session(member_id)) => self.end_session(now, &member_id, &mut step),
                None => break,
            }
        }
        step
    }

    fn end_join_phase(&mut self, now: Now, step: &mut Step) {
        match self.initial.take() {
            Some(initial) => self.end_pause(now, initial, step),
            None => self.complete_join(now, step),
        }
    }

    /// Who has not asked for its assignment in time is out, static or not.
    fn end_sync_phase(&mut self, now: Now, step: &mut Step) {
        let late = std::mem::take(&mut self.pending_sync);
        if late.is_empty() {
            return;
        }
        for member_id in &late {
            self.remove_member(member_id, step);
        }
        self.prepare_rebalance(now, step);
    }

    /// A member was silent for its session timeout. While a request of it is parked here it cannot
    /// speak, and has a session again when it is answered; but a new member may be gone for good.
    fn end_session(&mut self, now: Now, member_id: &Arc<str>, step: &mut Step) {
        let member = self.members.get(member_id);
        if member.is_some_and(|member| member.is_waiting() && !member.is_new) {
            return;
        }
        let was_member = member.is_some();
        self.remove_member(member_id, step);
        match self.state {
            State::CompletingRebalance | State::Stable if was_member => {
                self.prepare_rebalance(now, step);
            }
            // It may have been the one all waited for, also in the first join phase of a group.
            State::PreparingRebalance if self.all_joined() => self.complete_join(now, step),
            _ => {}
        }
    }
}
