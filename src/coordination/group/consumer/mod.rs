//! Stands in until the consumer protocol lands: a group that lets nobody in.

use std::sync::Arc;

use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{
    CommitOffsets, ConsumerDescription, ConsumerHeartbeat, GroupError, Reply,
};
use crate::coordination::topics::Topics;
use crate::coordination::{Now, Step, Ticket};
use crate::model::Moment;
use crate::protocol::consumer_offsets::{ConsumerGroupValue, Record};

/// A consumer group without members.
#[derive(Debug)]
pub struct ConsumerGroup {
    id: Arc<str>,
    value: Option<ConsumerGroupValue>,
}

#[allow(missing_docs)]
impl ConsumerGroup {
    pub fn new(id: Arc<str>) -> ConsumerGroup {
        ConsumerGroup { id, value: None }
    }

    pub fn handle_heartbeat(
        &mut self,
        _: Now,
        _: &GroupConfig,
        _: ConsumerHeartbeat,
        ticket: Ticket,
        _: &dyn Topics,
    ) -> Step {
        let error = GroupError::CoordinatorNotAvailable;
        Step::reply(ticket, Reply::ConsumerHeartbeat(Err(error)))
    }

    pub fn check_commit(&mut self, _: Now, request: &CommitOffsets) -> Result<(), GroupError> {
        match request.identity.generation < 0 {
            true => Ok(()),
            false => Err(GroupError::UnknownMemberId),
        }
    }

    pub fn check_fetch(&self, member: Option<&(Arc<str>, i32)>) -> Result<(), GroupError> {
        match member {
            None => Ok(()),
            Some(_) => Err(GroupError::UnknownMemberId),
        }
    }

    pub fn handle_timeout(&mut self, _: Now, _: &GroupConfig, _: &dyn Topics) -> Step {
        Step::none()
    }

    pub fn handle_topics_changed(&mut self, _: Now, _: &GroupConfig, _: &dyn Topics) -> Step {
        Step::none()
    }

    pub fn next_timeout(&self) -> Option<Moment> {
        None
    }

    pub fn handle_loaded(&mut self, _: Now, _: &GroupConfig) -> Step {
        Step::none()
    }

    pub fn handle_append_failed(&mut self, _: Now, _: &GroupConfig) -> Step {
        Step::none()
    }

    pub fn replay(&mut self, record: &Record) {
        if let Record::ConsumerGroup { value, .. } = record {
            self.value = *value;
        }
    }

    pub fn tombstones(&self) -> Vec<Record> {
        vec![Record::ConsumerGroup {
            group: Arc::clone(&self.id),
            value: None,
        }]
    }

    pub fn describe(&self, config: &GroupConfig) -> ConsumerDescription {
        ConsumerDescription {
            state: "Empty",
            epoch: self.value.map_or(0, |value| value.epoch),
            assignment_epoch: 0,
            assignor: config
                .consumer_assignors
                .first()
                .cloned()
                .unwrap_or_default(),
            members: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        true
    }

    pub fn is_gone(&self) -> bool {
        self.value.is_none()
    }

    pub fn state(&self) -> &'static str {
        "Empty"
    }

    pub fn is_subscribed_to(&self, _: &str) -> bool {
        false
    }

    pub fn to_records(&self) -> Vec<Record> {
        let value = self.value;
        let group = Arc::clone(&self.id);
        match value {
            Some(_) => vec![Record::ConsumerGroup { group, value }],
            None => Vec::new(),
        }
    }
}
