//! Subscriptions by regular expression: syntax, limits, and which topics match.
//!
//! The `regex` crate takes time linear in the name, as RE2 does, which Kafka's brokers use (KIP-848).
//! An expression must match the whole name. Kafka bounds neither number nor size; we do, because each
//! expression is tried on every topic of the cluster. Internal topics are never matched.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};

use super::state::Expressions;
use crate::coordination::messages::GroupError;
use crate::coordination::topics::Topics;
use crate::model::{Timestamp, is_internal};
use crate::protocol::consumer_offsets::RegularExpressionValue;

/// How many different expressions a group may have.
pub(super) const EXPRESSIONS_MAX: usize = 128;
/// How long an expression may be, in bytes.
const EXPRESSION_BYTES_MAX: usize = 4_096;
/// How large an expression may become when it is compiled, in bytes.
const COMPILED_BYTES_MAX: usize = 256 << 10;
/// How deep an expression may nest.
const NESTING_MAX: u32 = 64;
/// The least time between two resolutions in one group, milliseconds (Kafka's
/// `REGEX_BATCH_REFRESH_MIN_INTERVAL_MS`).
pub(super) const RESOLUTION_INTERVAL_MS_MIN: i64 = 10_000;

/// Refuses what is no expression, or too large a one.
pub(super) fn validate(expression: &str) -> Result<(), GroupError> {
    compile(expression).map(|_| ())
}

fn compile(expression: &str) -> Result<Regex, GroupError> {
    let invalid = |why: String| {
        GroupError::InvalidRegularExpression(format!(
            "SubscribedTopicRegex `{}` is not a valid regular expression: {why}.",
            expression.chars().take(256).collect::<String>()
        ))
    };
    if expression.len() > EXPRESSION_BYTES_MAX {
        let why = format!("it is longer than {EXPRESSION_BYTES_MAX} bytes");
        return Err(invalid(why));
    }
    // Alone first: what is only valid inside of the parentheses is not valid.
    build(expression).map_err(|error| invalid(error.to_string()))?;
    // The line break ends a comment the expression may end with, in the mode that has comments;
    // in all others the first form is the right one.
    build(&format!(r"\A(?:{expression})\z"))
        .or_else(|_| build(&format!("\\A(?:{expression}\n)\\z")))
        .map_err(|error| invalid(error.to_string()))
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .nest_limit(NESTING_MAX)
        .build()
}

/// An expression being resolved.
struct Matching<'a> {
    expression: &'a Arc<str>,
    regex: Option<Regex>,
    names: Vec<Arc<str>>,
}

/// Resolves expressions against the topics there are.
pub(super) fn resolve<'a>(
    expressions: impl Iterator<Item = &'a Arc<str>>,
    topics: &dyn Topics,
    now: Timestamp,
) -> Expressions {
    // One that does not compile (recorded by another version) matches nothing.
    let mut matched: Vec<Matching<'_>> = expressions
        .map(|expression| Matching {
            expression,
            regex: compile(expression).ok(),
            names: Vec::new(),
        })
        .collect();
    topics.for_each_name(&mut |name| {
        if is_internal(name) {
            return;
        }
        for matching in &mut matched {
            if matching.regex.as_ref().is_some_and(|r| r.is_match(name)) {
                matching.names.push(Arc::clone(name));
            }
        }
    });
    let version = topics.version();
    let resolved = matched.into_iter().map(|mut matching| {
        matching.names.sort_unstable();
        let value = RegularExpressionValue {
            topics: matching.names,
            version,
            resolved: now,
        };
        (Arc::clone(matching.expression), Arc::new(value))
    });
    resolved.collect()
}

/// When the expressions were last resolved; they are resolved all at once.
pub(super) fn last_resolved(expressions: &Expressions) -> Option<Timestamp> {
    expressions.values().map(|value| value.resolved).max()
}
