//! The group as tools see it: DescribeGroups, ListGroups, and what its offsets depend on.
//!
//! Called by the facade for a group that [`ClassicGroup::is_known`], or that has committed offsets.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{ClassicGroup, State};
use crate::coordination::messages::{
    ClassicDescription, ClassicMemberDescription, GroupError, Summary,
};

impl ClassicGroup {
    /// The state in Kafka's word.
    pub fn state(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::PreparingRebalance => "PreparingRebalance",
            State::CompletingRebalance => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }

    /// DescribeGroups. The protocol and the metadata are shown of a stable group alone.
    pub fn describe(&self) -> ClassicDescription {
        let protocol = self.protocol.clone().filter(|_| self.is_stable());
        let members = self.members.iter().map(|member| ClassicMemberDescription {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client: member.client.clone(),
            metadata: protocol
                .as_deref()
                .and_then(|protocol| member.metadata(protocol).cloned())
                .unwrap_or_default(),
            assignment: member.assignment.clone(),
        });
        ClassicDescription {
            state: self.state(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            members: members.collect(),
            protocol: protocol.unwrap_or_default(),
        }
    }

    /// ListGroups.
    pub fn summary(&self) -> Summary {
        Summary {
            group_id: self.id.clone(),
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            state: self.state(),
            group_type: "classic",
        }
    }

    /// The topics its members subscribed to, as of the last completed join phase; `None` when that
    /// is unknown: the members are no consumers, or their metadata is not what consumers send.
    pub fn subscribed_topics(&self) -> Option<&BTreeSet<Arc<str>>> {
        self.subscribed_topics.as_ref()
    }

    /// Whether offsets of the topic may be in use. Consumers whose topics are unknown may read any.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.uses_consumer_protocol(),
        }
    }

    /// Whether offsets may be deleted by hand: of consumers topic by topic, of others once they are
    /// gone.
    pub fn check_delete_offsets(&self) -> Result<(), GroupError> {
        match self.is_empty() || self.uses_consumer_protocol() {
            true => Ok(()),
            false => Err(GroupError::NonEmptyGroup),
        }
    }

    /// Whether the group may be deleted.
    pub fn check_delete(&self) -> Result<(), GroupError> {
        match self.is_empty() {
            true => Ok(()),
            false => Err(GroupError::NonEmptyGroup),
        }
    }
}
