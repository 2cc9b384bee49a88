//! LeaveGroup: members that go by their own wish, or by an admin's.
//!
//! Called by the facade. What the members leave behind is decided once for all of them.

use std::sync::Arc;

use super::ClassicGroup;
use crate::coordination::messages::{GroupError, Leaving, Reply};
use crate::coordination::{Now, Step, Ticket};

impl ClassicGroup {
    /// LeaveGroup: one result per member, in order; also of a group that is not there.
    pub fn handle_leave(&mut self, now: Now, leaving: &[Leaving], ticket: Ticket) -> Step {
        let mut step = Step::none();
        let results: Vec<Result<(), GroupError>> = leaving
            .iter()
            .map(|leaving| {
                let member_id = self.who_leaves(leaving)?;
                self.remove_member(&member_id, &mut step);
                Ok(())
            })
            .collect();
        if results.iter().any(Result::is_ok) {
            self.rebalance_or_complete(now, &mut step);
        }
        step.replies.push((ticket, Reply::Leave(Ok(results))));
        step
    }

    /// An admin names the instance alone.
    fn who_leaves(&self, leaving: &Leaving) -> Result<Arc<str>, GroupError> {
        let instance_id = leaving.instance_id.as_deref();
        if leaving.member_id.is_empty() {
            return instance_id
                .and_then(|instance_id| self.members.of_instance(instance_id))
                .cloned()
                .ok_or(GroupError::UnknownMemberId);
        }
        if !self.pending.contains(&leaving.member_id) {
            self.check_member(&leaving.member_id, instance_id)?;
        }
        Ok(leaving.member_id.clone())
    }
}
