//! How a member gets from what it has to what it is to have (Kafka's `CurrentAssignmentBuilder`).
//!
//! A member first gives up what is not its any more and stays in its epoch until it reports that it
//! has; only then it comes into the target's epoch and gets what is free. Invariant: a partition is
//! handed out only when nobody has it nor must still give it up, so it never has two owners.

use super::owned::OwnedPartitions;
use super::state::Member;
use crate::coordination::messages::GroupError;
use crate::model::TopicId;
use crate::protocol::consumer_offsets::{Assignment, MemberState};

/// One look at a member.
pub(super) struct Reconciliation<'a> {
    /// The member as it is.
    pub(super) member: &'a Member,
    /// The epoch of the target assignment.
    pub(super) target_epoch: i32,
    /// What the member is to have.
    pub(super) target: &'a Assignment,
    /// Whether it changed its subscription just now: what it no longer subscribes to is taken
    /// from it even if the target still has it.
    pub(super) subscription_changed: bool,
    /// What the member reports to have; `None` if it said nothing.
    pub(super) owned: Option<&'a Assignment>,
}

impl Reconciliation<'_> {
    /// The member's next state; `None` if nothing changes. `is_taken` tells whether another member
    /// has a partition or must still give it up.
    pub(super) fn next(
        &self,
        is_subscribed: &mut dyn FnMut(&TopicId) -> bool,
        is_taken: &dyn Fn(&TopicId, i32) -> bool,
    ) -> Result<Option<Member>, GroupError> {
        let member = self.member;
        if !self.subscription_changed && member.is_reconciled_to(self.target_epoch) {
            return Ok(None);
        }
        let next = match member.state {
            MemberState::Stable if member.epoch == self.target_epoch => {
                self.drop_unsubscribed(is_subscribed)
            }
            MemberState::UnrevokedPartitions if self.still_has(&member.pending_revocation) => {
                if self.subscription_changed {
                    self.drop_unsubscribed(is_subscribed)
                } else {
                    None
                }
            }
            MemberState::Stable
            | MemberState::UnrevokedPartitions
            | MemberState::UnreleasedPartitions => {
                Some(self.advance(member.epoch, is_subscribed, is_taken))
            }
            MemberState::Unknown(_) => {
                if self.owned.is_none_or(|owned| !owned.is_empty()) {
                    return Err(GroupError::FencedMemberEpoch(
                        "The consumer group member is in an unknown state. It must abandon all its partitions and rejoin.".to_owned(),
                    ));
                }
                Some(self.advance(self.target_epoch, is_subscribed, is_taken))
            }
        };
        Ok(next.filter(|next| next != member))
    }

    /// Whether the member may still work on some of these: it says so, or says nothing.
    fn still_has(&self, partitions: &OwnedPartitions) -> bool {
        self.owned.is_none_or(|owned| partitions.intersects(owned))
    }

    /// Takes away what is no longer subscribed to, and does nothing else.
    fn drop_unsubscribed(&self, is_subscribed: &mut dyn FnMut(&TopicId) -> bool) -> Option<Member> {
        let member = self.member;
        let (kept, gone) = member.assigned.split(|topic, _| is_subscribed(topic));
        if gone.is_empty() {
            return None;
        }
        let mut pending = member.pending_revocation.clone();
        pending.add(&gone);
        let must_revoke = self.still_has(&pending);
        Some(Member {
            state: if must_revoke {
                MemberState::UnrevokedPartitions
            } else {
                member.state
            },
            previous_epoch: member.epoch,
            assigned: kept,
            pending_revocation: if must_revoke {
                pending
            } else {
                member.pending_revocation.clone()
            },
            ..member.clone()
        })
    }

    /// Goes as far towards the target as possible.
    fn advance(
        &self,
        epoch: i32,
        is_subscribed: &mut dyn FnMut(&TopicId) -> bool,
        is_taken: &dyn Fn(&TopicId, i32) -> bool,
    ) -> Member {
        let member = self.member;
        let subscribed: Vec<(&TopicId, &Vec<i32>)> = self
            .target
            .iter()
            .filter(|(topic, _)| is_subscribed(topic))
            .collect();
        let (mut assigned, gone) = member.assigned.split(|topic, partition| {
            subscribed
                .binary_search_by(|(id, _)| (*id).cmp(topic))
                .is_ok_and(|place| subscribed[place].1.binary_search(&partition).is_ok())
        });
        if !gone.is_empty() && self.still_has(&gone) {
            return Member {
                epoch,
                previous_epoch: member.epoch,
                state: MemberState::UnrevokedPartitions,
                assigned,
                pending_revocation: gone,
                ..member.clone()
            };
        }
        let mut waits = false;
        for (topic, partitions) in subscribed {
            for partition in partitions {
                if assigned.contains(topic, *partition) {
                    continue;
                }
                if is_taken(topic, *partition) {
                    waits = true;
                } else {
                    assigned.insert(*topic, *partition, self.target_epoch);
                }
            }
        }
        Member {
            epoch: self.target_epoch,
            previous_epoch: member.epoch,
            state: if waits {
                MemberState::UnreleasedPartitions
            } else {
                MemberState::Stable
            },
            assigned,
            pending_revocation: OwnedPartitions::default(),
            ..member.clone()
        }
    }
}
