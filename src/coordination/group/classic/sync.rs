//! SyncGroup: the leader says what each member is to have, and everybody asks what it has.
//!
//! Called by the facade. The leader's word is a record; the group is stable when it is replayed, and
//! all syncs that were parked are answered in the step that plans it.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{ClassicGroup, Deadline, Plan, State};
use crate::coordination::messages::{GroupError, Reply, Sync, Synced};
use crate::coordination::{Now, Step, Ticket};
use crate::protocol::consumer_offsets::{ClassicGroupValue, ClassicMemberValue, Record};

impl ClassicGroup {
    /// SyncGroup. The reply may come in a later step: when the leader has assigned.
    pub fn handle_sync(&mut self, now: Now, sync: Sync, ticket: Ticket) -> Step {
        if let Err(error) = self.check_sync(&sync) {
            return Step::reply(ticket, Reply::Sync(Err(error)));
        }
        let member_id = sync.identity.member_id.clone();
        self.pending_sync.remove(&member_id);
        if self.pending_sync.is_empty() {
            self.deadlines.stop(&Deadline::Sync);
        }
        if self.state == State::Stable {
            let member = self.members.get(&member_id);
            let assignment = member.map(|member| member.assignment.clone());
            let reply = self.synced(assignment.unwrap_or_default());
            return Step::reply(ticket, reply);
        }
        let mut step = Step::none();
        if let Some(before) = self.members.park_sync(&member_id, ticket) {
            let reply = Reply::Sync(Err(GroupError::RebalanceInProgress));
            step.replies.push((before, reply));
        }
        if self.members.is_leader(&member_id) {
            self.plan_assignment(now, &sync.assignments, &mut step);
        }
        step
    }

    fn check_sync(&self, sync: &Sync) -> Result<(), GroupError> {
        let identity = &sync.identity;
        self.check_member(&identity.member_id, identity.instance_id.as_deref())?;
        if identity.generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        if differ(&sync.protocol_type, &self.protocol_type)
            || differ(&sync.protocol_name, &self.protocol)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Plans the record of the generation and answers everybody who waits for it. Who was forgotten
    /// by the leader has nothing; who is no member is ignored.
    fn plan_assignment(&mut self, now: Now, assignments: &[(Arc<str>, Bytes)], step: &mut Step) {
        let by_member: HashMap<&str, &Bytes> = assignments
            .iter()
            .map(|(member_id, assignment)| (&**member_id, assignment))
            .collect();
        let mut value = self.value();
        for member in &mut value.members {
            let assignment = by_member.get(&*member.member_id);
            // Copied, lest each member keeps the leader's whole request in memory.
            member.assignment =
                assignment.map_or_else(Bytes::new, |assignment| Bytes::copy_from_slice(assignment));
            if let Some(ticket) = self.members.take_sync(&member.member_id) {
                let reply = self.synced(member.assignment.clone());
                step.replies.push((ticket, reply));
                self.restart_session(&member.member_id, now);
            }
        }
        self.plan = Some(Plan::Assignment);
        step.records.push(Record::ClassicGroup {
            group: self.id.clone(),
            value: Some(value),
        });
    }

    /// The record of the assignment was replayed.
    pub(super) fn become_stable(&mut self, value: &ClassicGroupValue) {
        for member in &value.members {
            let assignment = member.assignment.clone();
            self.members.set_assignment(&member.member_id, assignment);
        }
        self.previous = self.state;
        self.state = State::Stable;
    }

    fn synced(&self, assignment: Bytes) -> Reply {
        Reply::Sync(Ok(Synced {
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            assignment,
        }))
    }

    /// The record of the group as it is.
    pub(super) fn record(&self) -> Record {
        Record::ClassicGroup {
            group: self.id.clone(),
            value: Some(self.value()),
        }
    }

    /// The group as it is, in the words of its record: of each member the metadata for the chosen
    /// protocol alone.
    pub(super) fn value(&self) -> ClassicGroupValue {
        let protocol = self.protocol.clone();
        let members = self.members.iter().map(|member| ClassicMemberValue {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client.id.clone(),
            client_host: member.client.host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: protocol
                .as_deref()
                .and_then(|protocol| member.metadata(protocol).cloned())
                .unwrap_or_default(),
            assignment: member.assignment.clone(),
        });
        ClassicGroupValue {
            protocol_type: self.protocol_type.clone().unwrap_or_default(),
            generation: self.generation,
            leader: self.members.leader().cloned(),
            state_since: self.state_since,
            members: members.collect(),
            protocol,
        }
    }
}

/// Whether both are given and not the same.
fn differ(asked: &Option<Arc<str>>, ours: &Option<Arc<str>>) -> bool {
    matches!((asked, ours), (Some(asked), Some(ours)) if asked != ours)
}
