//! JoinGroup: who may join, and what a join of a member that is known already means.
//!
//! Called by the facade. New members are let in by `new_member`, static members that come back
//! without their id by `static_member`.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::member::duration;
use super::{ClassicGroup, Plan, State, refuse_join};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{GroupError, Join, Joined, JoinedMember, Reply};
use crate::coordination::{Now, Step, Ticket};
use crate::protocol::consumer_offsets::{ClassicGroupValue, Record};

impl ClassicGroup {
    /// JoinGroup. The reply may come in a later step: when all have joined, or their time is up.
    pub fn handle_join(
        &mut self,
        now: Now,
        config: &GroupConfig,
        mut join: Join,
        ticket: Ticket,
    ) -> Step {
        let mut step = Step::none();
        let member_id = join.member_id.clone();
        let is_new = member_id.is_empty();
        if !is_session_timeout_allowed(config, join.session_timeout_ms) {
            let error = GroupError::InvalidSessionTimeout;
            refuse_join(ticket, error, member_id, &mut step);
            return step;
        }
        if !is_new && !self.is_known() {
            refuse_join(ticket, GroupError::UnknownMemberId, member_id, &mut step);
            return step;
        }
        own_protocols(&mut join.protocols);
        if !self.has_room_for(config, &member_id) {
            let error = GroupError::GroupMaxSizeReached;
            refuse_join(ticket, error, Arc::from(""), &mut step);
            self.remove_member(&member_id, &mut step);
            self.complete_join_if_all_joined(now, &mut step);
        } else if !self.fits(&join) {
            let error = GroupError::InconsistentGroupProtocol;
            refuse_join(ticket, error, member_id, &mut step);
        } else if is_new {
            self.join_new(now, config, join, ticket, &mut step);
        } else {
            self.join_known(now, config, join, ticket, &mut step);
        }
        self.found(now, &mut step);
        step
    }

    /// Kafka's `acceptJoiningMember`. While members rejoin, those count that have done so already:
    /// the last ones are turned away when the group is larger than it may be.
    fn has_room_for(&self, config: &GroupConfig, member_id: &str) -> bool {
        let member = self.members.get(member_id);
        match self.state {
            State::Empty => true,
            State::PreparingRebalance => {
                member.is_some_and(|member| member.join.is_some())
                    || self.members.joining() < config.members_max
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.members.len() < config.members_max
            }
        }
    }

    /// Whether the member's protocols fit the group's: the same type, and one that all support.
    fn fits(&self, join: &Join) -> bool {
        if self.state == State::Empty {
            return !join.protocol_type.is_empty() && !join.protocols.is_empty();
        }
        self.protocol_type.as_ref() == Some(&join.protocol_type)
            && join
                .protocols
                .iter()
                .any(|(name, _)| self.members.all_support(name))
    }

    fn join_known(
        &mut self,
        now: Now,
        config: &GroupConfig,
        join: Join,
        ticket: Ticket,
        step: &mut Step,
    ) {
        let member_id = join.member_id.clone();
        if self.pending.contains(&member_id) {
            self.join_pending(now, config, join, ticket, step);
            return;
        }
        if let Err(error) = self.check_member(&member_id, join.instance_id.as_deref()) {
            refuse_join(ticket, error, member_id, step);
            return;
        }
        let member = self.members.get(&member_id);
        let is_same = member.is_some_and(|member| member.protocols == join.protocols);
        let is_leader = self.members.is_leader(&member_id);
        match self.state {
            // Nothing was missed but an answer: the generation stands.
            State::CompletingRebalance if is_same => {
                let joined = self.joined(&member_id, is_leader);
                step.replies.push((ticket, Reply::Join(Ok(joined))));
            }
            // A leader that joins again has seen something that calls for another assignment.
            State::Stable if is_same && !is_leader => {
                let joined = self.joined(&member_id, false);
                step.replies.push((ticket, Reply::Join(Ok(joined))));
            }
            State::Empty => refuse_join(ticket, GroupError::UnknownMemberId, member_id, step),
            State::PreparingRebalance | State::CompletingRebalance | State::Stable => {
                self.update_member(&member_id, join, ticket, step);
                self.rebalance_or_complete(now, step);
            }
        }
    }

    /// Takes a join as the member's word and parks it. One that was parked before comes from a
    /// connection its client has given up.
    pub(super) fn update_member(
        &mut self,
        member_id: &Arc<str>,
        join: Join,
        ticket: Ticket,
        step: &mut Step,
    ) {
        self.members.update(
            member_id,
            join.protocols,
            join.rebalance_timeout_ms,
            join.session_timeout_ms,
        );
        if let Some(before) = self.members.park_join(member_id, ticket) {
            let error = GroupError::RebalanceInProgress;
            refuse_join(before, error, member_id.clone(), step);
        }
    }

    /// What a member is told of the generation, with everybody's metadata if it is to assign.
    pub(super) fn joined(&self, member_id: &Arc<str>, with_members: bool) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let members = if with_members {
            self.members
                .iter()
                .map(|member| JoinedMember {
                    member_id: member.id.clone(),
                    instance_id: member.instance_id.clone(),
                    metadata: member.metadata(&protocol).cloned().unwrap_or_default(),
                })
                .collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            protocol,
            leader: self.members.leader().cloned().unwrap_or_default(),
            member_id: member_id.clone(),
            skip_assignment: false,
            members,
        }
    }

    /// Writes a new group down when its first member comes, so that it is listed and outlives a
    /// change of coordinator.
    fn found(&mut self, now: Now, step: &mut Step) {
        if self.is_stored() || self.plan.is_some() || self.is_idle() {
            return;
        }
        self.plan = Some(Plan::Founding);
        self.state_since = now.wall;
        step.records.push(Record::ClassicGroup {
            group: self.id.clone(),
            value: Some(ClassicGroupValue {
                protocol_type: Arc::from(""),
                generation: 0,
                protocol: None,
                leader: None,
                state_since: now.wall,
                members: Vec::new(),
            }),
        });
    }
}

fn is_session_timeout_allowed(config: &GroupConfig, timeout_ms: i32) -> bool {
    let timeout = duration(timeout_ms);
    timeout_ms >= 0
        && timeout >= config.session_timeout_min
        && timeout <= config.session_timeout_max
}

/// Keeps the first of each name, as Kafka's collection of protocols does, and copies the metadata
/// out of the request's frame, which a member would else keep in memory for as long as it lives.
pub(in crate::coordination::group) fn own_protocols(protocols: &mut Vec<(Arc<str>, Bytes)>) {
    let mut names = BTreeSet::new();
    protocols.retain(|(name, _)| names.insert(name.clone()));
    for (_, metadata) in protocols {
        *metadata = Bytes::copy_from_slice(metadata);
    }
}
