//! Heartbeat, and the check that a member is who it says.
//!
//! Called by the facade, and by every request that names a member.

use super::{ClassicGroup, State};
use crate::coordination::messages::{GroupError, Identity, Reply};
use crate::coordination::{Now, Step, Ticket};

impl ClassicGroup {
    /// Heartbeat: keeps the session, and tells a member that it has to join again.
    pub fn handle_heartbeat(&mut self, now: Now, identity: &Identity, ticket: Ticket) -> Step {
        let result = self.heartbeat(now, identity);
        Step::reply(ticket, Reply::Heartbeat(result))
    }

    fn heartbeat(&mut self, now: Now, identity: &Identity) -> Result<(), GroupError> {
        self.check_member(&identity.member_id, identity.instance_id.as_deref())?;
        if identity.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.restart_session(&identity.member_id, now);
        match self.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Whether there is such a member. A static one is fenced once its `group.instance.id` belongs to
    /// another member.
    pub(super) fn check_member(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance_id) = instance_id {
            match self.members.of_instance(instance_id) {
                None => return Err(GroupError::UnknownMemberId),
                Some(owner) if **owner != *member_id => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains(member_id) {
            true => Ok(()),
            false => Err(GroupError::UnknownMemberId),
        }
    }
}
