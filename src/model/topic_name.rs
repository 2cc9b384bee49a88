//! What a topic may be called, and the names a partition goes by.

use std::fmt;
use std::sync::Arc;

/// Where consumer groups keep their offsets.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// Where transactions keep their state.
pub const TRANSACTION_STATE: &str = "__transaction_state";

const LENGTH_MAX: usize = 249;

/// One partition of one topic, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's index, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// Names a partition.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> TopicPartition {
        TopicPartition {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Why a name is no topic name (Kafka's `Topic.validate`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopicName {
    /// Nothing at all.
    #[error("Topic name is invalid: the empty string is not allowed")]
    Empty,
    /// `.` or `..`, which mean directories.
    #[error("Topic name is invalid: '.' or '..' is not allowed")]
    Dots,
    /// Longer than a directory name allows.
    #[error("Topic name is invalid: the length of '{0}' is longer than the max allowed length 249")]
    TooLong(String),
    /// A character outside letters, digits, dot, underscore and dash.
    #[error(
        "Topic name is invalid: '{0}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
    )]
    Characters(String),
}

/// Checks a name for a new topic.
pub fn validate_topic_name(name: &str) -> Result<(), InvalidTopicName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "" => Err(InvalidTopicName::Empty),
        "." | ".." => Err(InvalidTopicName::Dots),
        _ if name.len() > LENGTH_MAX => Err(InvalidTopicName::TooLong(name.to_owned())),
        _ if !name.chars().all(allowed) => Err(InvalidTopicName::Characters(name.to_owned())),
        _ => Ok(()),
    }
}

/// Whether a name holds a `.` or `_`, which collide in the names of metrics.
pub fn has_collision_characters(name: &str) -> bool {
    name.contains(['.', '_'])
}

/// Two names with the same key collide: they differ only in `.` and `_`.
pub fn collision_key(name: &str) -> String {
    name.replace('.', "_")
}

/// Whether a topic belongs to the cluster itself: clients may read it, not write it.
pub fn is_internal(name: &str) -> bool {
    name == CONSUMER_OFFSETS || name == TRANSACTION_STATE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_kafkas_rules() {
        assert_eq!(validate_topic_name("Orders.v1_a-b"), Ok(()));
        assert_eq!(validate_topic_name(""), Err(InvalidTopicName::Empty));
        assert_eq!(validate_topic_name(".."), Err(InvalidTopicName::Dots));
        assert_eq!(validate_topic_name(&"a".repeat(249)), Ok(()));
        assert!(matches!(
            validate_topic_name(&"a".repeat(250)),
            Err(InvalidTopicName::TooLong(_))
        ));
        assert!(matches!(
            validate_topic_name("a b"),
            Err(InvalidTopicName::Characters(_))
        ));
        assert!(matches!(
            validate_topic_name("käse"),
            Err(InvalidTopicName::Characters(_))
        ));
    }

    #[test]
    fn names_that_differ_only_in_dot_and_underscore_collide() {
        assert_eq!(collision_key("a.b_c"), collision_key("a_b.c"));
        assert_ne!(collision_key("a-b"), collision_key("a.b"));
    }
}
