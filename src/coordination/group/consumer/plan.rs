//! One step being planned: the records so far, and what the group will be once they are replayed.
//!
//! Made by [`super::ConsumerGroup`] for one input and thrown away after it. Invariant: a plan only
//! reads the hard state; what it decides lies beside it until the records come back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::downgrade::Downgrade;
use super::expressions::{self, EXPRESSIONS_MAX, RESOLUTION_INTERVAL_MS_MIN};
use super::known_topics::KnownTopics;
use super::state::{Counts, Expressions, Member, State, count, discount, expression_of};
use crate::coordination::Now;
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::GroupError;
use crate::coordination::topics::Topics;
use crate::model::{Moment, Timestamp, TopicId};
use crate::protocol::consumer_offsets::{
    ConsumerGroupValue, MemberValue, Record, RegularExpressionValue,
};

/// What a step sees.
pub(super) struct Context<'a> {
    pub(super) group: &'a Arc<str>,
    pub(super) config: &'a GroupConfig,
    pub(super) now: Now,
    pub(super) state: &'a State,
    pub(super) known: &'a mut KnownTopics,
    pub(super) topics: &'a dyn Topics,
}

/// See the module.
pub(super) struct Plan<'a> {
    pub(super) context: Context<'a>,
    pub(super) records: Vec<Record>,
    /// The group epoch to be.
    pub(super) epoch: i32,
    /// The expressions to be, where they differ from the state's.
    pub(super) expressions: Option<Expressions>,
    /// Whether that is because they were resolved just now.
    is_resolved: bool,
    /// The static member that is replaced.
    pub(super) replaced: Option<Arc<str>>,
    /// What follows when the group turns classic.
    pub(super) downgrade: Option<Downgrade>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(context: Context<'a>) -> Plan<'a> {
        context.known.refresh(context.topics);
        Plan {
            epoch: context.state.epoch,
            context,
            records: Vec::new(),
            expressions: None,
            is_resolved: false,
            replaced: None,
            downgrade: None,
        }
    }

    pub(super) fn group(&self) -> Arc<str> {
        Arc::clone(self.context.group)
    }

    /// The expressions to be.
    pub(super) fn expressions(&self) -> &Expressions {
        self.expressions
            .as_ref()
            .unwrap_or(&self.context.state.expressions)
    }

    /// Takes an expression away that nobody subscribes by any more.
    pub(super) fn drop_expression(&mut self, expression: &Arc<str>) {
        let mut expressions = self.expressions().clone();
        expressions.remove(expression);
        self.expressions = Some(expressions);
        self.records.push(Record::RegularExpression {
            group: self.group(),
            expression: Arc::clone(expression),
            value: None,
        });
    }

    /// Follows a member's change of expression. Gives whether what the member is subscribed to
    /// changes now, so that the group epoch is to be bumped; a new expression that cannot be
    /// resolved yet does that later, in [`Plan::resolve_expressions`] of the timer.
    pub(super) fn change_expression(
        &mut self,
        old: Option<&MemberValue>,
        new: &MemberValue,
    ) -> Result<bool, GroupError> {
        let (old, new) = (old.and_then(expression_of), expression_of(new));
        if old == new {
            return Ok(false);
        }
        let mut members = self.context.state.expression_members.clone();
        let mut changed = false;
        if let Some(old) = old {
            discount(&mut members, old);
            if !members.contains_key(old) {
                self.drop_expression(old);
            }
            changed = new.is_none();
        }
        if let Some(new) = new {
            if !members.contains_key(new) {
                expressions::validate(new)?;
                if members.len() >= EXPRESSIONS_MAX {
                    return Err(GroupError::InvalidRegularExpression(format!(
                        "The group subscribes by {EXPRESSIONS_MAX} regular expressions already."
                    )));
                }
            }
            count(&mut members, new);
            changed = self.expressions().contains_key(new) || self.resolve_expressions(&members);
        }
        Ok(changed)
    }

    /// Resolves all expressions anew, unless that was done just now. Gives whether a topic came
    /// or went.
    pub(super) fn resolve_expressions(&mut self, members: &Counts) -> bool {
        if members.is_empty() || self.context.now.wall < self.next_resolution() {
            return false;
        }
        let now = self.context.now.wall;
        let resolved = expressions::resolve(members.keys(), self.context.topics, now);
        let mut changed = false;
        for (expression, value) in &resolved {
            let old = self.expressions().get(expression);
            changed |= old.map_or(&[][..], |old| &old.topics) != value.topics;
            self.records.push(Record::RegularExpression {
                group: Arc::clone(self.context.group),
                expression: Arc::clone(expression),
                value: Some(RegularExpressionValue::clone(value)),
            });
        }
        self.expressions = Some(resolved);
        self.is_resolved = true;
        changed
    }

    /// From when on the expressions may be resolved again. What was resolved in the future was
    /// resolved by a clock that has been set back.
    pub(super) fn next_resolution(&self) -> Timestamp {
        match expressions::last_resolved(&self.context.state.expressions) {
            Some(last) if last <= self.context.now.wall => {
                Timestamp(last.0.saturating_add(RESOLUTION_INTERVAL_MS_MIN))
            }
            _ => Timestamp(i64::MIN),
        }
    }

    /// The topics the group is subscribed to once a member's wishes went from `old` to `new`.
    fn subscribed_topics(&self, old: Option<&MemberValue>, new: Option<&MemberValue>) -> Counts {
        let mut topics = self.context.state.topics.clone();
        self.move_expressions(&mut topics);
        for topic in old.iter().flat_map(|old| &old.subscribed_topics) {
            discount(&mut topics, topic);
        }
        for topic in new.iter().flat_map(|new| &new.subscribed_topics) {
            count(&mut topics, topic);
        }
        topics
    }

    fn move_expressions(&self, topics: &mut Counts) {
        if let Some(resolved) = &self.expressions {
            for value in self.context.state.expressions.values() {
                value
                    .topics
                    .iter()
                    .for_each(|topic| discount(topics, topic));
            }
            for value in resolved.values() {
                value.topics.iter().for_each(|topic| count(topics, topic));
            }
        }
    }

    /// The hash of the topics the group is subscribed to once a member's wishes went from `old`
    /// to `new`.
    pub(super) fn metadata_hash(
        &mut self,
        old: Option<&MemberValue>,
        new: Option<&MemberValue>,
    ) -> i64 {
        let topics = self.subscribed_topics(old, new);
        let context = &mut self.context;
        context.known.hash(context.topics, topics.keys())
    }

    /// The hash once all these members are gone.
    pub(super) fn metadata_hash_without(&mut self, gone: &[&Member]) -> i64 {
        let mut topics = self.context.state.topics.clone();
        self.move_expressions(&mut topics);
        for topic in gone
            .iter()
            .flat_map(|member| &member.value.subscribed_topics)
        {
            discount(&mut topics, topic);
        }
        let context = &mut self.context;
        context.known.hash(context.topics, topics.keys())
    }

    /// Raises the group epoch.
    pub(super) fn bump_epoch(&mut self, metadata_hash: i64) {
        self.epoch = self.context.state.epoch.saturating_add(1);
        self.records.push(Record::ConsumerGroup {
            group: self.group(),
            value: Some(ConsumerGroupValue {
                epoch: self.epoch,
                metadata_hash,
            }),
        });
    }

    /// Whether a member with these wishes is subscribed to each of the topics, by id.
    pub(super) fn subscription_of(
        &mut self,
        value: &MemberValue,
        topics: impl Iterator<Item = TopicId>,
    ) -> BTreeMap<TopicId, bool> {
        let resolved = expression_of(value).and_then(|e| self.expressions().get(e).cloned());
        let mut subscribed = BTreeMap::new();
        for id in topics {
            let known = self.context.known.by_id(self.context.topics, &id);
            let is_subscribed = known.is_some_and(|known| {
                let has = |names: &[Arc<str>]| names.binary_search(&known.name).is_ok();
                has(&value.subscribed_topics)
                    || resolved
                        .as_ref()
                        .is_some_and(|resolved| has(&resolved.topics))
            });
            subscribed.insert(id, is_subscribed);
        }
        subscribed
    }
}

impl Plan<'_> {
    /// When the timer of the expressions is to fire after a member's step; `None` to leave it.
    pub(super) fn expressions_deadline(
        &self,
        outcome: &super::heartbeat::Outcome,
    ) -> Option<Moment> {
        let expression = expression_of(&outcome.member.value)?;
        let (now, config) = (self.context.now, self.context.config);
        if self.is_resolved {
            return Some(now.moment + config.consumer_regex_refresh_interval);
        }
        if self.expressions().contains_key(expression) {
            return None;
        }
        let wait = self.next_resolution().0.saturating_sub(now.wall.0);
        let wait = Duration::from_millis(u64::try_from(wait).unwrap_or(0));
        Some(now.moment + wait)
    }
}
