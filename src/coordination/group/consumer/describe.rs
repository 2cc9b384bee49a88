//! What a consumer group shows of itself, and what it lets members do with offsets.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ConsumerGroup;
use super::state::Member;
use super::target::preferred_assignor;
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{
    Client, CommitOffset, CommitOffsets, ConsumerDescription, ConsumerMemberDescription,
    GroupError, Summary,
};
use crate::protocol::consumer_offsets::{Assignment, Record};

/// The first version of OffsetCommit that knows member epochs.
const COMMIT_VERSION_WITH_EPOCHS: i16 = 9;

impl ConsumerGroup {
    /// `Empty`, `Assigning`, `Reconciling` or `Stable`.
    pub fn state_name(&self) -> &'static str {
        let state = &self.state;
        let is_reconciled = |member: &Member| member.is_reconciled_to(state.target_epoch);
        if state.members.is_empty() {
            "Empty"
        } else if state.epoch > state.target_epoch {
            "Assigning"
        } else if state.members.values().all(is_reconciled) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// For ConsumerGroupDescribe.
    pub fn describe(&self, config: &GroupConfig) -> ConsumerDescription {
        let members = self.state.members.iter();
        ConsumerDescription {
            state: self.state_name(),
            epoch: self.state.epoch,
            assignment_epoch: self.state.target_epoch,
            assignor: preferred_assignor(config, &self.state.votes)
                .cloned()
                .unwrap_or_else(|| Arc::from("uniform")),
            members: members
                .map(|(id, member)| self.describe_member(id, member))
                .collect(),
        }
    }

    fn describe_member(&self, id: &Arc<str>, member: &Member) -> ConsumerMemberDescription {
        // What it must still give up it still has.
        let mut assigned = member.assigned.clone();
        assigned.add(&member.pending_revocation);
        let target = self.state.targets.get(id);
        let value = &member.value;
        ConsumerMemberDescription {
            member_id: Arc::clone(id),
            instance_id: value.instance_id.clone(),
            rack_id: value.rack_id.clone(),
            member_epoch: member.epoch,
            client: Client {
                id: Arc::clone(&value.client_id),
                host: Arc::clone(&value.client_host),
            },
            subscribed_topics: value.subscribed_topics.clone(),
            subscribed_regex: value.subscribed_regex.clone(),
            assigned: assigned.partitions(),
            target: target.map_or_else(Assignment::new, |target| Assignment::clone(target)),
            is_classic: member.is_classic(),
        }
    }

    /// For ListGroups.
    pub fn summary(&self) -> Summary {
        Summary {
            group_id: Arc::clone(&self.id),
            protocol_type: Arc::from("consumer"),
            state: self.state_name(),
            group_type: "consumer",
        }
    }

    /// Whether it has no members.
    pub fn is_empty(&self) -> bool {
        self.state.members.is_empty()
    }

    /// Whether nothing is recorded of it.
    pub fn is_gone(&self) -> bool {
        self.state.is_gone()
    }

    /// The topics its members are subscribed to.
    pub fn subscribed_topics(&self) -> BTreeSet<Arc<str>> {
        self.state.topics.keys().cloned().collect()
    }

    /// Whether a member is subscribed to the topic.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.state.topics.contains_key(topic)
    }

    /// Whether these offsets may be committed (Kafka's `ConsumerGroup.validateOffsetCommit`).
    ///
    /// An epoch behind the member's is good enough for partitions it has had since then (KIP-1251).
    pub fn check_commit(&self, commit: &CommitOffsets) -> Result<(), GroupError> {
        let identity = &commit.identity;
        if identity.generation < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self.member(&identity.member_id)?;
        if !member.is_classic() && commit.version < COMMIT_VERSION_WITH_EPOCHS {
            return Err(GroupError::UnsupportedVersion(
                "OffsetCommit version 9 or above must be used by members using the consumer group protocol".to_owned(),
            ));
        }
        let is_since = |offset: &CommitOffset| {
            let assigned = member.assigned.epoch_of(&offset.topic_id, offset.partition);
            assigned
                .or_else(|| {
                    let pending = &member.pending_revocation;
                    pending.epoch_of(&offset.topic_id, offset.partition)
                })
                .is_some_and(|epoch| identity.generation >= epoch)
        };
        if identity.generation == member.epoch
            || identity.generation < member.epoch && commit.offsets.iter().all(is_since)
        {
            return Ok(());
        }
        Err(wrong_epoch(member))
    }

    /// Whether a member may fetch offsets, having named itself (Kafka's `validateOffsetFetch`).
    pub fn check_fetch(&self, member_id: &str, member_epoch: i32) -> Result<(), GroupError> {
        let member = self.member(member_id)?;
        if member.epoch == member_epoch {
            Ok(())
        } else {
            Err(wrong_epoch(member))
        }
    }

    fn member(&self, id: &str) -> Result<&Member, GroupError> {
        let member = self.state.members.get(id);
        member.ok_or(GroupError::UnknownMemberId)
    }

    /// Tombstones of everything that is recorded of the group, in the order Kafka's replay insists on.
    pub fn tombstones(&self) -> Vec<Record> {
        self.state.tombstones(&self.id)
    }
}

fn wrong_epoch(member: &Member) -> GroupError {
    if member.is_classic() {
        GroupError::IllegalGeneration
    } else {
        GroupError::StaleMemberEpoch
    }
}
