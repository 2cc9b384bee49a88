//! A group of the consumer protocol (KIP-848): the broker assigns, members follow.
//!
//! [`ConsumerGroup`] is called by [`super::Group`]. A heartbeat changes a member's wishes, which may
//! raise the group epoch; when the epoch is ahead of the target assignment that is computed anew; and
//! each member is brought towards its target at its own heartbeats. Invariant: the hard state
//! ([`state`]) changes in [`ConsumerGroup::replay`] alone, and a partition is with one member at most.

mod classic_members;
mod describe;
mod downgrade;
mod expressions;
mod fencing;
mod heartbeat;
mod known_topics;
mod owned;
mod plan;
mod reconcile;
mod sessions;
mod state;
mod target;
mod upgrade;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

pub use self::downgrade::{Downgrade, Protocols};
pub use self::upgrade::CannotUpgrade;

use self::heartbeat::{AWAY, LEAVING, Outcome};
use self::known_topics::KnownTopics;
use self::plan::{Context, Plan};
use self::sessions::{Deadline, Sessions, milliseconds};
use self::state::{Member, State};
use super::super::config::GroupConfig;
use super::super::messages::{ConsumerHeartbeat, ConsumerHeartbeatReply, GroupError, Reply};
use super::super::topics::Topics;
use super::super::{Now, Step, Ticket};
use crate::model::Moment;
use crate::protocol::consumer_offsets::{MemberState, Record};

/// The machine of a consumer group.
#[derive(Debug)]
pub struct ConsumerGroup {
    id: Arc<str>,
    state: State,
    sessions: Sessions,
    known: KnownTopics,
    /// Whether the subscribed topics may have changed since their hash was recorded.
    metadata_is_stale: bool,
    /// What follows when the records that are under way turn the group classic.
    downgrade: Option<Downgrade>,
}

/// How many members are put out in one step at most, so that its records fit in a batch.
const FENCED_MAX: usize = 1_000;
/// What a member's tombstone takes beside the names of group and member, at most.
const TOMBSTONE_BYTES: usize = 48;
/// How long expressions are left alone whose resolution could not be stored.
const RESOLUTION_RETRY_AFTER: Duration = Duration::from_secs(10);

impl ConsumerGroup {
    /// A group nothing is known of.
    pub fn new(id: Arc<str>) -> ConsumerGroup {
        ConsumerGroup {
            id,
            state: State::default(),
            sessions: Sessions::default(),
            known: KnownTopics::default(),
            metadata_is_stale: true,
            downgrade: None,
        }
    }

    /// Takes a record in: the only way the hard state changes.
    pub fn replay(&mut self, record: &Record) {
        self.state.replay(record);
    }

    /// The hard state, to be compared.
    #[cfg(test)]
    pub(super) fn hard_state(&self) -> impl PartialEq + std::fmt::Debug + use<> {
        self.state.clone()
    }

    /// ConsumerGroupHeartbeat.
    pub fn handle_heartbeat(
        &mut self,
        now: Now,
        config: &GroupConfig,
        request: &ConsumerHeartbeat,
        ticket: Ticket,
        topics: &dyn Topics,
    ) -> Step {
        if let Some(reply) = self.heartbeat_without_change(now, config, request) {
            return Step::reply(ticket, Reply::ConsumerHeartbeat(Ok(reply)));
        }
        let outcome = heartbeat::validate(request, &config.consumer_assignors).and_then(|()| {
            if request.member_epoch == LEAVING || request.member_epoch == AWAY {
                self.leave(now, config, request, topics)
            } else {
                self.heartbeat(now, config, request, topics)
            }
        });
        match outcome {
            Ok((records, reply)) => Step {
                records,
                replies: vec![(ticket, Reply::ConsumerHeartbeat(Ok(reply)))],
            },
            Err(error) => Step::reply(ticket, Reply::ConsumerHeartbeat(Err(error))),
        }
    }

    /// The heartbeat of a member that has all it is to have and wants nothing else: most of them.
    fn heartbeat_without_change(
        &mut self,
        now: Now,
        config: &GroupConfig,
        request: &ConsumerHeartbeat,
    ) -> Option<ConsumerHeartbeatReply> {
        let (id, member) = self.state.members.get_key_value(&request.member_id)?;
        if self.metadata_is_stale
            || self.state.epoch > self.state.target_epoch
            || !heartbeat::is_without_change(member, request, self.state.target_epoch)
        {
            return None;
        }
        let end = now.moment + config.consumer_session_timeout;
        self.sessions.prolong(id, end);
        Some(ConsumerHeartbeatReply {
            member_id: Arc::clone(id),
            member_epoch: member.epoch,
            heartbeat_interval_ms: interval_ms(config),
            assignment: None,
        })
    }

    fn heartbeat(
        &mut self,
        now: Now,
        config: &GroupConfig,
        request: &ConsumerHeartbeat,
        topics: &dyn Topics,
    ) -> Result<(Vec<Record>, ConsumerHeartbeatReply), GroupError> {
        let is_stale = self.metadata_is_stale;
        let mut plan = self.plan(now, config, topics);
        let outcome = plan.heartbeat(request, is_stale)?;
        let (records, replaced) = (std::mem::take(&mut plan.records), plan.replaced.take());
        let expressions = plan.expressions_deadline(&outcome);
        self.metadata_is_stale = false;
        if let Some(replaced) = replaced {
            self.sessions.forget(&replaced);
        }
        if let Some(deadline) = expressions {
            self.sessions.set(Deadline::Expressions, deadline);
        }
        self.time_member(now, config, &outcome);
        Ok((records, heartbeat::answer(&outcome, interval_ms(config))))
    }

    /// Starts or stops what is waited for after a member's step.
    fn time_member(&mut self, now: Now, config: &GroupConfig, outcome: &Outcome) {
        if !outcome.member.is_classic() {
            // It may have been a classic member until now.
            let id = &outcome.id;
            self.sessions.stop(&Deadline::Join(Arc::clone(id)));
            self.sessions.stop(&Deadline::Sync(Arc::clone(id)));
        }
        let end = now.moment + session_timeout(config, &outcome.member);
        self.sessions.prolong(&outcome.id, end);
        if outcome.is_reconciled {
            self.time_revocation(now, &outcome.id, &outcome.member);
        }
    }

    fn time_revocation(&mut self, now: Now, id: &Arc<str>, member: &Member) {
        let deadline = Deadline::Revocation(Arc::clone(id));
        // Members of the classic protocol are waited for in joins and syncs instead.
        if member.state == MemberState::UnrevokedPartitions && !member.is_classic() {
            let at = now.moment + milliseconds(member.value.rebalance_timeout_ms);
            self.sessions.set(deadline, at);
        } else {
            self.sessions.stop(&deadline);
        }
    }

    fn leave(
        &mut self,
        now: Now,
        config: &GroupConfig,
        request: &ConsumerHeartbeat,
        topics: &dyn Topics,
    ) -> Result<(Vec<Record>, ConsumerHeartbeatReply), GroupError> {
        let mut plan = self.plan(now, config, topics);
        let id = plan.find_leaving(request)?;
        let is_away = request.member_epoch == AWAY && request.instance_id.is_some();
        let records = if is_away {
            plan.go_away(&id);
            let records = std::mem::take(&mut plan.records);
            self.sessions.stop(&Deadline::Revocation(Arc::clone(&id)));
            records
        } else {
            let gone = BTreeSet::from([Arc::clone(&id)]);
            self.fence(now, config, &gone, topics).records
        };
        let reply = ConsumerHeartbeatReply {
            member_id: id,
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        };
        Ok((records, reply))
    }

    /// What is due: silent members go, expressions are resolved anew.
    pub fn handle_timeout(&mut self, now: Now, config: &GroupConfig, topics: &dyn Topics) -> Step {
        let mut fenced = BTreeSet::new();
        let mut resolve = false;
        // Half a batch of tombstones: the rest is for what else the step says.
        let mut bytes_left = config.batch_bytes_max / 2;
        while fenced.len() < FENCED_MAX
            && bytes_left > 0
            && let Some(deadline) = self.sessions.expire(now.moment)
        {
            match deadline {
                Deadline::Expressions => resolve = true,
                Deadline::Session(member)
                | Deadline::Revocation(member)
                | Deadline::Join(member)
                | Deadline::Sync(member) => {
                    let tombstone = self.id.len() + member.len() + TOMBSTONE_BYTES;
                    bytes_left = bytes_left.saturating_sub(3 * tombstone);
                    fenced.insert(member);
                }
            }
        }
        if !fenced.is_empty() {
            if resolve {
                // Both would raise the epoch; one after the other.
                self.sessions.set(Deadline::Expressions, now.moment);
            }
            return self.fence(now, config, &fenced, topics);
        }
        if resolve {
            return self.follow_topics(now, config, topics);
        }
        Step::none()
    }

    /// Puts members out.
    fn fence(
        &mut self,
        now: Now,
        config: &GroupConfig,
        gone: &BTreeSet<Arc<str>>,
        topics: &dyn Topics,
    ) -> Step {
        let mut plan = self.plan(now, config, topics);
        plan.fence_members(gone);
        let downgrade = plan.downgrade.take();
        let step = records(plan);
        self.downgrade = downgrade;
        gone.iter().for_each(|member| self.sessions.forget(member));
        step
    }

    /// What follows if the last step turns the group classic.
    pub fn take_downgrade(&mut self) -> Option<Downgrade> {
        self.downgrade.take()
    }

    /// Topics were created, grown or deleted: a new epoch if the group is concerned.
    pub fn handle_topics_changed(
        &mut self,
        now: Now,
        config: &GroupConfig,
        topics: &dyn Topics,
    ) -> Step {
        if self.is_empty() {
            self.metadata_is_stale = true;
            return Step::none();
        }
        self.follow_topics(now, config, topics)
    }

    /// Resolves the expressions anew if they may be, and compares the topics with what was recorded.
    fn follow_topics(&mut self, now: Now, config: &GroupConfig, topics: &dyn Topics) -> Step {
        let mut plan = self.plan(now, config, topics);
        let members = &plan.context.state.expression_members;
        let next_resolution = plan.next_resolution();
        let wait = if next_resolution > now.wall {
            // Not yet: what changed is looked at then.
            until(now, next_resolution.0)
        } else {
            config.consumer_regex_refresh_interval
        };
        let has_expressions = !members.is_empty();
        let changed = plan.resolve_expressions(members);
        let hash = plan.metadata_hash(None, None);
        if changed || hash != plan.context.state.metadata_hash {
            plan.bump_epoch(hash);
        }
        let step = records(plan);
        self.metadata_is_stale = false;
        if has_expressions {
            self.sessions.set(Deadline::Expressions, now.moment + wait);
        } else {
            self.sessions.stop(&Deadline::Expressions);
        }
        step
    }

    /// The group has been loaded: sessions start now, so that nobody is given up for what happened
    /// while nobody listened.
    pub fn handle_loaded(&mut self, now: Now, config: &GroupConfig) -> Step {
        self.sessions.clear();
        self.downgrade = None;
        self.metadata_is_stale = true;
        let members: Vec<(Arc<str>, Member)> = self
            .state
            .members
            .iter()
            .map(|(id, member)| (Arc::clone(id), member.clone()))
            .collect();
        for (id, member) in members {
            let end = now.moment + session_timeout(config, &member);
            self.sessions.prolong(&id, end);
            self.time_revocation(now, &id, &member);
        }
        if !self.state.expression_members.is_empty() {
            self.sessions.set(Deadline::Expressions, now.moment);
        }
        Step::none()
    }

    /// The records of the last step were refused: what was begun for them is begun anew.
    pub fn handle_append_failed(&mut self, now: Now, config: &GroupConfig) -> Step {
        let step = self.handle_loaded(now, config);
        if !self.state.expression_members.is_empty() {
            // A log that refuses what was resolved would refuse it again, and at once for ever.
            let at = now.moment + RESOLUTION_RETRY_AFTER;
            self.sessions.set(Deadline::Expressions, at);
        }
        step
    }

    /// When [`ConsumerGroup::handle_timeout`] is to be called; it may turn out to be too early.
    pub fn next_timeout(&self) -> Option<Moment> {
        self.sessions.next()
    }

    fn plan<'a>(
        &'a mut self,
        now: Now,
        config: &'a GroupConfig,
        topics: &'a dyn Topics,
    ) -> Plan<'a> {
        Plan::new(Context {
            group: &self.id,
            config,
            now,
            state: &self.state,
            known: &mut self.known,
            topics,
        })
    }
}

fn records(plan: Plan<'_>) -> Step {
    Step {
        records: plan.records,
        replies: Vec::new(),
    }
}

fn session_timeout(config: &GroupConfig, member: &Member) -> Duration {
    match &member.value.classic {
        Some(classic) => milliseconds(classic.session_timeout_ms),
        None => config.consumer_session_timeout,
    }
}

fn interval_ms(config: &GroupConfig) -> i32 {
    i32::try_from(config.consumer_heartbeat_interval.as_millis()).unwrap_or(i32::MAX)
}

/// How long it is until a time on the wall.
fn until(now: Now, wall_ms: i64) -> Duration {
    let wait = wall_ms.saturating_sub(now.wall.0);
    Duration::from_millis(u64::try_from(wait).unwrap_or(0))
}
