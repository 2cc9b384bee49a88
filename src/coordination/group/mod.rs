//! One group, whatever its kind: members of either protocol, and the offsets it committed.
//!
//! [`Group`] is the machine of `actors::group`. It hands each request to the protocol that is
//! concerned, [`classic`] or [`consumer`], and to the [`offsets`], and turns one kind into the other
//! when members of the other protocol arrive (KIP-848, migration). Invariant: hard state changes in
//! `replay` alone, and equals what a replay of the log would make.

pub mod classic;
pub mod consumer;
mod members;
mod migration;
mod offset_requests;
pub mod offsets;
mod removals;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::model::Moment;
use crate::protocol::consumer_offsets::Record;

use classic::ClassicGroup;
use consumer::ConsumerGroup;
use migration::Migration;
use offsets::CommittedOffsets;
use removals::Removals;

use super::config::GroupConfig;
use super::messages::{ClassicDescription, GroupError, Reply, Request, Summary};
use super::topics::Topics;
use super::{Now, Step, Ticket};

/// A group. One that has neither members nor offsets nor records is [`Group::is_gone`], and a new one
/// is the same as one that never was.
pub struct Group {
    id: Arc<str>,
    config: Arc<GroupConfig>,
    /// There while there is a record of it, or members are about to join.
    classic: Option<Box<ClassicGroup>>,
    /// The same; in charge when both are there, which is only until a step is stored.
    consumer: Option<Box<ConsumerGroup>>,
    /// A change from one to the other that is not stored yet.
    migration: Migration,
    offsets: CommittedOffsets,
    /// What is being taken away over several steps.
    removals: Removals,
}

impl Group {
    /// A group of which nothing is known yet.
    pub fn new(id: Arc<str>, config: Arc<GroupConfig>) -> Group {
        Group {
            id,
            config,
            classic: None,
            consumer: None,
            migration: Migration::default(),
            offsets: CommittedOffsets::default(),
            removals: Removals::default(),
        }
    }

    /// What holds from now on.
    pub fn set_config(&mut self, config: Arc<GroupConfig>) {
        self.config = config;
    }

    /// Plans what a request asks for. Every ticket is answered once: now, or by a later step.
    pub fn handle(
        &mut self,
        now: Now,
        request: Request,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        let step = match request {
            Request::Join(join) => self.join(now, join, ticket, topics),
            Request::Sync(sync) => self.sync(now, sync, ticket, topics),
            Request::Heartbeat(identity) => self.heartbeat(now, identity, ticket),
            Request::Leave(leaving) => self.leave(now, leaving, ticket, topics),
            Request::ConsumerHeartbeat(heartbeat) => {
                self.consumer_heartbeat(now, heartbeat, ticket, topics)
            }
            Request::CommitOffsets(request) => self.commit_offsets(now, &request, ticket),
            Request::FetchOffsets(request) => {
                Step::reply(ticket, Reply::FetchOffsets(self.fetch_offsets(&request)))
            }
            Request::DeleteOffsets(asked) => self.delete_offsets(&asked, ticket),
            Request::DescribeClassic => {
                Step::reply(ticket, Reply::DescribeClassic(self.describe_classic()))
            }
            Request::DescribeConsumer => {
                let description = match &self.consumer {
                    Some(consumer) => Ok(consumer.describe(&self.config)),
                    None => Err(self.not_found("consumer group")),
                };
                Step::reply(ticket, Reply::DescribeConsumer(description))
            }
            Request::Summarize => Step::reply(ticket, Reply::Summarize(self.summary())),
            Request::Delete => self.delete(now, ticket),
        };
        // What a step is about to fill is blank until its records are replayed.
        if step.records.is_empty() {
            self.drop_blank();
        }
        step
    }

    /// Plans what is due. A step does one thing; what else is due is done by the next, for
    /// [`Group::next_timeout`] then still lies at or before `now`.
    pub fn handle_timeout(&mut self, now: Now, topics: &dyn Topics) -> Step {
        let is_due = |at: Option<Moment>| at.is_some_and(|at| at <= now.moment);
        if let Some(consumer) = &mut self.consumer
            && is_due(consumer.next_timeout())
        {
            let step = consumer.handle_timeout(now, &self.config, topics);
            self.note_downgrade();
            return step;
        }
        if let Some(classic) = &mut self.classic
            && is_due(classic.next_timeout())
        {
            let step = classic.handle_timeout(now);
            if step.records.is_empty() {
                self.drop_blank();
            }
            return step;
        }
        match is_due(self.removals.next_timeout()) {
            true => self.remove_more(now, topics),
            false => Step::none(),
        }
    }

    /// Topics were created, have grown, or were deleted: `topics` is how it is now, `deleted` are the
    /// names of those that went, also where a new one has the name already.
    pub fn handle_topics_changed(
        &mut self,
        now: Now,
        topics: &dyn Topics,
        deleted: &[Arc<str>],
    ) -> Step {
        self.remember_deleted_topics(now, deleted);
        match &mut self.consumer {
            Some(consumer) => consumer.handle_topics_changed(now, &self.config, topics),
            None => Step::none(),
        }
    }

    /// After the last replay of a load: members are given a session from now on.
    pub fn handle_loaded(&mut self, now: Now) -> Step {
        let mut step = Step::none();
        if let Some(classic) = &mut self.classic {
            step = step.then(classic.handle_loaded(now, &self.config));
        }
        if let Some(consumer) = &mut self.consumer {
            step = step.then(consumer.handle_loaded(now, &self.config));
        }
        step
    }

    /// The records of the last step were not stored: what was begun with it is dropped, and
    /// those who wait are told to come again.
    pub fn handle_append_failed(&mut self, now: Now) -> Step {
        let mut step = self.removals.handle_append_failed(now);
        step = step.then(self.drop_migration(now));
        if let Some(classic) = &mut self.classic {
            step = step.then(classic.handle_append_failed(now));
        }
        if let Some(consumer) = &mut self.consumer {
            step = step.then(consumer.handle_append_failed(now, &self.config));
        }
        self.drop_blank();
        step
    }

    /// When [`Group::handle_timeout`] is to be called.
    pub fn next_timeout(&self) -> Option<Moment> {
        let classic = self.classic.as_ref().and_then(|it| it.next_timeout());
        let consumer = self.consumer.as_ref().and_then(|it| it.next_timeout());
        let removals = self.removals.next_timeout();
        [classic, consumer, removals].into_iter().flatten().min()
    }

    /// Changes the hard state as a record of the log says. Records of other groups must not be
    /// given.
    pub fn replay(&mut self, record: &Record) {
        match record {
            Record::Offset {
                topic,
                partition,
                value,
                ..
            } => self.offsets.replay(topic, *partition, value.as_ref()),
            Record::ClassicGroup { value, .. } => {
                if value.is_some() {
                    self.classic_or_new();
                }
                if let Some(classic) = &mut self.classic {
                    classic.replay(value.as_ref());
                }
                if value.is_some() {
                    self.finish_downgrade();
                }
                self.drop_blank_classic();
            }
            consumer => self.replay_consumer(consumer),
        }
    }

    /// Nothing is left, in the log or waiting: the shell may forget the group.
    pub fn is_gone(&self) -> bool {
        self.classic.is_none()
            && self.consumer.is_none()
            && self.offsets.is_empty()
            && self.removals.is_idle()
    }

    /// The hard state, to be compared.
    #[cfg(test)]
    fn hard_state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        (
            self.offsets.to_records(&self.id),
            self.classic.as_ref().and_then(|it| it.to_record()),
            self.consumer.as_ref().map(|it| it.hard_state()),
        )
    }

    fn replay_consumer(&mut self, record: &Record) {
        if !record.is_tombstone() && self.consumer.is_none() {
            self.consumer = Some(Box::new(self.begun_consumer_group()));
        }
        if let Some(consumer) = &mut self.consumer {
            consumer.replay(record);
        }
        self.drop_blank_consumer();
    }

    fn classic_or_new(&mut self) -> &mut ClassicGroup {
        self.classic
            .get_or_insert_with(|| Box::new(ClassicGroup::new(Arc::clone(&self.id))))
    }

    fn consumer_or_new(&mut self) -> &mut ConsumerGroup {
        self.consumer
            .get_or_insert_with(|| Box::new(ConsumerGroup::new(Arc::clone(&self.id))))
    }

    /// Forgets a protocol that has nothing, written or waiting.
    fn drop_blank(&mut self) {
        self.drop_blank_classic();
        self.drop_blank_consumer();
    }

    fn drop_blank_classic(&mut self) {
        if self.classic.as_ref().is_some_and(|it| !it.is_known()) {
            self.classic = None;
        }
    }

    fn drop_blank_consumer(&mut self) {
        if self.consumer.as_ref().is_some_and(|it| it.is_gone()) {
            self.consumer = None;
        }
    }

    /// Whether there is a group in Kafka's sense: who only commits has one too.
    fn exists(&self) -> bool {
        self.classic.is_some() || self.consumer.is_some() || !self.offsets.is_empty()
    }

    fn not_found(&self, what: &str) -> GroupError {
        GroupError::GroupIdNotFound(match self.exists() {
            true => format!("Group {} is not a {what}.", self.id),
            false => format!("Group {} not found.", self.id),
        })
    }

    fn describe_classic(&self) -> Result<ClassicDescription, GroupError> {
        match (&self.consumer, &self.classic) {
            (Some(_), _) => Err(self.not_found("classic group")),
            (None, Some(classic)) => Ok(classic.describe()),
            (None, None) if self.exists() => Ok(ClassicDescription {
                state: "Empty",
                protocol_type: Arc::default(),
                protocol: Arc::default(),
                members: Vec::new(),
            }),
            (None, None) => Err(self.not_found("classic group")),
        }
    }

    fn summary(&self) -> Option<Summary> {
        match (&self.consumer, &self.classic) {
            (Some(consumer), _) => Some(consumer.summary()),
            (None, Some(classic)) => Some(classic.summary()),
            (None, None) => self.exists().then(|| Summary {
                group_id: Arc::clone(&self.id),
                protocol_type: Arc::default(),
                state: "Empty",
                group_type: "classic",
            }),
        }
    }

    /// What takes the group itself out of the log, without its offsets.
    fn own_tombstones(&self) -> Vec<Record> {
        let mut records = match &self.consumer {
            Some(consumer) => consumer.tombstones(),
            None => Vec::new(),
        };
        records.extend(self.classic_tombstone());
        records
    }

    fn classic_tombstone(&self) -> Option<Record> {
        let classic = self.classic.as_ref()?;
        classic.is_stored().then(|| Record::ClassicGroup {
            group: Arc::clone(&self.id),
            value: None,
        })
    }
}
