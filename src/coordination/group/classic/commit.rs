//! Whether offsets may be committed (Kafka's `ClassicGroup.validateOffsetCommit`).
//!
//! Called by the facade before the offsets are looked at.

use super::{ClassicGroup, State};
use crate::coordination::Now;
use crate::coordination::messages::{CommitOffsets, GroupError};

impl ClassicGroup {
    /// Whether this committer may commit now; a commit keeps the session of a member. A generation
    /// that is asked of a group that does not exist at all is the facade's to refuse.
    pub fn check_commit(&mut self, now: Now, commit: &CommitOffsets) -> Result<(), GroupError> {
        let identity = &commit.identity;
        if identity.generation < 0 && self.state == State::Empty {
            // A consumer that assigns itself its partitions, or an admin's tool.
            return Ok(());
        }
        let is_anonymous = identity.generation < 0
            && identity.member_id.is_empty()
            && identity.instance_id.is_none();
        if is_anonymous {
            return Err(GroupError::UnknownMemberId);
        }
        self.check_member(&identity.member_id, identity.instance_id.as_deref())?;
        if identity.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if self.state == State::CompletingRebalance {
            // Valid words of a generation that has no assignment yet: the member has to sync first.
            return Err(GroupError::RebalanceInProgress);
        }
        self.restart_session(&identity.member_id, now);
        Ok(())
    }
}
