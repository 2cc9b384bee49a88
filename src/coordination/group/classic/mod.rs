//! Stands in until the classic protocol lands: a group that lets nobody in.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{
    ClassicDescription, CommitOffsets, GroupError, Identity, Join, JoinRefused, Leaving, Reply,
    Sync,
};
use crate::coordination::{Now, Step, Ticket};
use crate::model::{Moment, Timestamp};
use crate::protocol::consumer_offsets::{ClassicGroupValue, Record};

/// A classic group without members.
#[derive(Debug)]
pub struct ClassicGroup {
    id: Arc<str>,
    value: Option<ClassicGroupValue>,
}

#[allow(missing_docs)]
impl ClassicGroup {
    pub fn new(id: Arc<str>) -> ClassicGroup {
        ClassicGroup { id, value: None }
    }

    pub fn handle_join(&mut self, _: Now, _: &GroupConfig, join: Join, ticket: Ticket) -> Step {
        let refused = JoinRefused {
            error: GroupError::CoordinatorNotAvailable,
            member_id: join.member_id,
        };
        Step::reply(ticket, Reply::Join(Err(refused)))
    }

    pub fn handle_sync(&mut self, _: Now, _: &GroupConfig, _: Sync, ticket: Ticket) -> Step {
        Step::reply(ticket, Reply::Sync(Err(GroupError::UnknownMemberId)))
    }

    pub fn handle_heartbeat(&mut self, _: Now, _: &Identity, ticket: Ticket) -> Step {
        Step::reply(ticket, Reply::Heartbeat(Err(GroupError::UnknownMemberId)))
    }

    pub fn handle_leave(
        &mut self,
        _: Now,
        _: &GroupConfig,
        leaving: Vec<Leaving>,
        ticket: Ticket,
    ) -> Step {
        let results = leaving
            .iter()
            .map(|_| Err(GroupError::UnknownMemberId))
            .collect();
        Step::reply(ticket, Reply::Leave(Ok(results)))
    }

    pub fn check_commit(&mut self, _: Now, request: &CommitOffsets) -> Result<(), GroupError> {
        match request.identity.generation < 0 {
            true => Ok(()),
            false => Err(GroupError::UnknownMemberId),
        }
    }

    pub fn handle_timeout(&mut self, _: Now, _: &GroupConfig) -> Step {
        Step::none()
    }

    pub fn next_timeout(&self) -> Option<Moment> {
        None
    }

    pub fn handle_loaded(&mut self, _: Now) -> Step {
        Step::none()
    }

    pub fn handle_append_failed(&mut self, _: Now) -> Step {
        Step::none()
    }

    pub fn replay(&mut self, value: Option<&ClassicGroupValue>) {
        self.value = value.cloned();
    }

    pub fn tombstones(&self) -> Vec<Record> {
        vec![Record::ClassicGroup {
            group: Arc::clone(&self.id),
            value: None,
        }]
    }

    pub fn describe(&self) -> ClassicDescription {
        ClassicDescription {
            state: "Empty",
            protocol_type: self.protocol_type().unwrap_or_default(),
            protocol: Arc::default(),
            members: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        true
    }

    pub fn is_stable(&self) -> bool {
        false
    }

    pub fn is_gone(&self) -> bool {
        self.value.is_none()
    }

    pub fn protocol_type(&self) -> Option<Arc<str>> {
        let value = self.value.as_ref()?;
        (!value.protocol_type.is_empty()).then(|| Arc::clone(&value.protocol_type))
    }

    pub fn state_since(&self) -> Option<Timestamp> {
        self.value.as_ref().map(|value| value.state_since)
    }

    pub fn subscribed_topics(&self) -> Option<BTreeSet<Arc<str>>> {
        Some(BTreeSet::new())
    }

    pub fn to_record(&self) -> Option<Record> {
        let value = self.value.clone()?;
        Some(Record::ClassicGroup {
            group: Arc::clone(&self.id),
            value: Some(value),
        })
    }
}
