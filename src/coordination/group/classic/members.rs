//! The members of a classic group, and what has to be counted of them.
//!
//! Invariant: `statics`, `supported`, `joining` and `leader` are what a walk over all members would
//! find; they are kept so that a join does not have to walk. The leader is a member, or there is none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::member::Member;
use crate::coordination::Ticket;

/// Members by id.
#[derive(Debug, Default)]
pub(super) struct Members {
    by_id: BTreeMap<Arc<str>, Member>,
    /// Member ids by `group.instance.id`.
    statics: BTreeMap<Arc<str>, Arc<str>>,
    /// How many members support a protocol.
    supported: BTreeMap<Arc<str>, usize>,
    /// How many members have a join parked.
    joining: usize,
    leader: Option<Arc<str>>,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How many members have a join parked.
    pub(super) fn joining(&self) -> usize {
        self.joining
    }

    pub(super) fn get(&self, member_id: &str) -> Option<&Member> {
        self.by_id.get(member_id)
    }

    pub(super) fn contains(&self, member_id: &str) -> bool {
        self.by_id.contains_key(member_id)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Member> {
        self.by_id.values()
    }

    /// All ids, for a walk that changes members.
    pub(super) fn ids(&self) -> Vec<Arc<str>> {
        self.by_id.keys().cloned().collect()
    }

    /// The id of the member with this `group.instance.id`.
    pub(super) fn of_instance(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.statics.get(instance_id)
    }

    pub(super) fn leader(&self) -> Option<&Arc<str>> {
        self.leader.as_ref()
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn set_leader(&mut self, leader: Option<Arc<str>>) {
        self.leader = leader.filter(|leader| self.contains(leader));
    }

    /// The longest rebalance timeout of all; zero without members.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        let longest = self.iter().map(Member::rebalance_timeout).max();
        longest.unwrap_or_default()
    }

    /// Adds a member; the first becomes the leader. One of the same id would be replaced.
    pub(super) fn insert(&mut self, member: Member) {
        self.remove(&member.id);
        if let Some(instance_id) = &member.instance_id {
            self.statics.insert(instance_id.clone(), member.id.clone());
        }
        self.leader.get_or_insert_with(|| member.id.clone());
        self.count(&member.protocols);
        self.joining += usize::from(member.join.is_some());
        self.by_id.insert(member.id.clone(), member);
    }

    /// Takes a member out. If it led, any other leads.
    pub(super) fn remove(&mut self, member_id: &str) -> Option<Member> {
        let member = self.by_id.remove(member_id)?;
        self.uncount(&member.protocols);
        self.joining -= usize::from(member.join.is_some());
        if let Some(instance_id) = &member.instance_id
            && self.of_instance(instance_id) == Some(&member.id)
        {
            self.statics.remove(instance_id);
        }
        if self.is_leader(member_id) {
            self.leader = self.by_id.keys().next().cloned();
        }
        Some(member)
    }

    /// Takes what a member says of itself in a join.
    pub(super) fn update(
        &mut self,
        member_id: &str,
        protocols: Vec<(Arc<str>, Bytes)>,
        rebalance_timeout_ms: i32,
        session_timeout_ms: i32,
    ) {
        if !self.contains(member_id) {
            return;
        }
        self.count(&protocols);
        if let Some(member) = self.by_id.get_mut(member_id) {
            member.rebalance_timeout_ms = rebalance_timeout_ms;
            member.session_timeout_ms = session_timeout_ms;
            let before = std::mem::replace(&mut member.protocols, protocols);
            self.uncount(&before);
        }
    }

    /// Parks a join. Gives back the one that was parked before.
    pub(super) fn park_join(&mut self, member_id: &str, ticket: Ticket) -> Option<Ticket> {
        let member = self.by_id.get_mut(member_id)?;
        let before = member.join.replace(ticket);
        self.joining += usize::from(before.is_none());
        before
    }

    pub(super) fn take_join(&mut self, member_id: &str) -> Option<Ticket> {
        let ticket = self.by_id.get_mut(member_id)?.join.take();
        self.joining -= usize::from(ticket.is_some());
        ticket
    }

    /// Parks a sync. Gives back the one that was parked before.
    pub(super) fn park_sync(&mut self, member_id: &str, ticket: Ticket) -> Option<Ticket> {
        self.by_id.get_mut(member_id)?.sync.replace(ticket)
    }

    pub(super) fn take_sync(&mut self, member_id: &str) -> Option<Ticket> {
        self.by_id.get_mut(member_id)?.sync.take()
    }

    pub(super) fn set_assignment(&mut self, member_id: &str, assignment: Bytes) {
        if let Some(member) = self.by_id.get_mut(member_id) {
            member.assignment = assignment;
        }
    }

    pub(super) fn clear_assignments(&mut self) {
        for member in self.by_id.values_mut() {
            member.assignment = Bytes::new();
        }
    }

    /// Notes that a member is in a generation now.
    pub(super) fn settle(&mut self, member_id: &str) {
        if let Some(member) = self.by_id.get_mut(member_id) {
            member.is_new = false;
        }
    }

    /// Keeps the leader if it joined; else any member that joined leads. False when nobody joined.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = self.leader.as_deref().and_then(|id| self.get(id)) else {
            return false;
        };
        if leader.join.is_some() {
            return true;
        }
        let joined = self.iter().find(|member| member.join.is_some());
        match joined.map(|member| member.id.clone()) {
            Some(member_id) => {
                self.leader = Some(member_id);
                true
            }
            None => false,
        }
    }

    /// Whether all members support a protocol; so it is of any protocol when there are none.
    pub(super) fn all_support(&self, protocol: &str) -> bool {
        self.supported.get(protocol).copied().unwrap_or(0) == self.len()
    }

    /// The protocol with the most votes: each member votes for the first of its own that all
    /// support. Of equals, the first by name. `None` if there is no such protocol.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.iter() {
            let names = member.protocols.iter().map(|(name, _)| name);
            if let Some(vote) = names.into_iter().find(|name| self.all_support(name)) {
                *votes.entry(vote).or_default() += 1;
            }
        }
        votes
            .into_iter()
            .max_by(|one, other| one.1.cmp(&other.1).then_with(|| other.0.cmp(one.0)))
            .map(|(name, _)| name.clone())
    }

    fn count(&mut self, protocols: &[(Arc<str>, Bytes)]) {
        for (name, _) in protocols {
            *self.supported.entry(name.clone()).or_default() += 1;
        }
    }

    fn uncount(&mut self, protocols: &[(Arc<str>, Bytes)]) {
        for (name, _) in protocols {
            if let Some(count) = self.supported.get_mut(name) {
                *count -= 1;
                if *count == 0 {
                    self.supported.remove(name);
                }
            }
        }
    }
}
