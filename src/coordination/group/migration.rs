//! From one protocol to the other while there are members (KIP-848, `group.consumer.migration.policy`).
//!
//! A classic group of consumers becomes a consumer group when a member of that protocol joins; a
//! consumer group becomes classic when its last member of that protocol has gone. Both are one step:
//! tombstones of the one, records of the other. What the new kind knows beside its records, sessions
//! and what members can do, is kept here from the plan until the records come back.

use std::sync::Arc;

use super::Group;
use super::classic::ClassicGroup;
use super::consumer::{CannotUpgrade, ConsumerGroup, Downgrade};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{ConsumerHeartbeat, GroupError, Reply};
use crate::coordination::topics::Topics;
use crate::coordination::{Now, Step, Ticket};
use crate::protocol::consumer_offsets::Record;

/// A change that is planned and not yet stored.
#[derive(Debug, Default)]
pub(super) struct Migration {
    /// The consumer group to be, as it was planned.
    upgrade: Option<Box<ConsumerGroup>>,
    /// What the classic group to be is to be told.
    downgrade: Option<Downgrade>,
}

impl Group {
    /// A member of the consumer protocol joins a classic group that has members.
    pub(super) fn upgrade(
        &mut self,
        now: Now,
        heartbeat: &ConsumerHeartbeat,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        let refused = |error| Step::reply(ticket, Reply::ConsumerHeartbeat(Err(error)));
        let Some(classic) = &mut self.classic else {
            return refused(GroupError::UnknownMemberId);
        };
        if let Err(error) = check_upgrade(&self.id, &self.config, classic) {
            return refused(error);
        }
        let planned = ConsumerGroup::from_classic(&self.id, now, &self.config, classic, topics);
        let (mut group, mut records) = match planned {
            Ok(planned) => planned,
            Err(why) => return refused(cannot_upgrade(&self.id, why)),
        };
        let joining = group.handle_heartbeat(now, &self.config, heartbeat, ticket, topics);
        if joining.records.is_empty() {
            // It was refused, and so nothing changes.
            return joining;
        }
        if classic.is_stored() {
            let tombstone = Record::ClassicGroup {
                group: Arc::clone(&self.id),
                value: None,
            };
            records.insert(0, tombstone);
        }
        // Who waits for a rebalance is told to join again: as a member of the consumer group.
        let released = classic.release_parked(&GroupError::RebalanceInProgress);
        self.migration.upgrade = Some(Box::new(group));
        Step {
            records,
            replies: Vec::new(),
        }
        .then(joining)
        .then(released)
    }

    /// The consumer group records are about to be replayed into: the one that was planned, if any.
    pub(super) fn begun_consumer_group(&mut self) -> ConsumerGroup {
        match self.migration.upgrade.take() {
            Some(planned) => {
                // A group that never was stored has no tombstone.
                self.classic = None;
                ConsumerGroup::succeeding(*planned)
            }
            None => ConsumerGroup::new(Arc::clone(&self.id)),
        }
    }

    /// After each step of the consumer group.
    pub(super) fn note_downgrade(&mut self) {
        let downgrade = self.consumer.as_mut().and_then(|it| it.take_downgrade());
        self.migration.downgrade = downgrade;
    }

    /// The record of a classic group was replayed: if it was planned here, its members go on.
    pub(super) fn finish_downgrade(&mut self) {
        let (Some(downgrade), Some(classic)) = (self.migration.downgrade.take(), &mut self.classic)
        else {
            return;
        };
        for (member_id, protocols) in downgrade.protocols {
            classic.recall_protocols(&member_id, protocols);
        }
        let mut step = classic.handle_loaded(downgrade.now, &self.config);
        if downgrade.must_rebalance {
            step = step.then(classic.begin_rebalance(downgrade.now));
        }
        // Nobody has joined yet: there is nobody to answer and nothing to store.
        debug_assert_eq!(step, Step::none());
    }

    /// The records of a change were not stored: the kind that was goes on.
    pub(super) fn drop_migration(&mut self, now: Now) -> Step {
        self.migration.downgrade = None;
        match (self.migration.upgrade.take(), &mut self.classic) {
            // Those whose joins were answered have no session.
            (Some(_), Some(classic)) => classic.handle_loaded(now, &self.config),
            _ => Step::none(),
        }
    }
}

/// Kafka's `validateOnlineUpgrade`.
fn check_upgrade(id: &str, config: &GroupConfig, classic: &ClassicGroup) -> Result<(), GroupError> {
    let refuse = |why: &str| {
        Err(GroupError::GroupIdNotFound(format!(
            "Cannot upgrade classic group {id} to consumer group because {why}."
        )))
    };
    if !config.consumer_migration_policy.may_upgrade() {
        return refuse("online upgrade is disabled");
    }
    if !classic.uses_consumer_protocol() {
        return refuse("the group does not use the consumer embedded protocol");
    }
    if classic.members().len() > config.consumer_members_max {
        return refuse("the group size exceeds the consumer group maximum size");
    }
    Ok(())
}

fn cannot_upgrade(id: &str, why: CannotUpgrade) -> GroupError {
    let why = match why {
        CannotUpgrade::Malformed => "the embedded consumer protocol is malformed.",
        CannotUpgrade::CustomAssignor => {
            "an unsupported custom assignor is in use. Switch to a default assignor before upgrading again."
        }
    };
    GroupError::GroupIdNotFound(format!(
        "Cannot upgrade classic group {id} to consumer group because {why}"
    ))
}
