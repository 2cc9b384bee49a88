//! What a configuration key is: name, type, default, bounds, scope and documentation.
//!
//! The tables themselves stand upstairs in `config/`; rooms that judge or answer configurations
//! (`metadata::controller`, `api`) are handed one. Source of the vocabulary: Kafka's `ConfigDef`.

use std::collections::BTreeMap;

/// The type of a value, as DescribeConfigs reports it (`DescribeConfigsResponse.ConfigType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Comma-separated texts.
    List,
    /// A class name; accepted, shown, mostly without meaning here.
    Class,
    /// A secret: stored, never shown.
    Password,
}

impl ConfigType {
    /// The number DescribeConfigs v3+ carries.
    pub const fn wire(self) -> i8 {
        match self {
            ConfigType::Boolean => 1,
            ConfigType::String => 2,
            ConfigType::Int => 3,
            ConfigType::Short => 4,
            ConfigType::Long => 5,
            ConfigType::Double => 6,
            ConfigType::List => 7,
            ConfigType::Class => 8,
            ConfigType::Password => 9,
        }
    }
}

/// Which values of a type are allowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Allowed {
    /// Every value of the type.
    Any,
    /// Whole numbers from the first to the last, both included.
    Between(i64, i64),
    /// Fractions from the first to the last, both included.
    Fraction(f64, f64),
    /// Exactly one of these texts.
    OneOf(&'static [&'static str]),
    /// A list whose every entry is one of these.
    ListOf(&'static [&'static str]),
    /// A list that must not be empty.
    NotEmpty,
    /// Only this value is enforced today; any other is refused rather than pretended. The text
    /// says why.
    Only(&'static str, &'static str),
}

/// Whether a broker key changes without a restart (Kafka's `DynamicBrokerConfig`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateMode {
    /// Only in the file, read at start.
    ReadOnly,
    /// Read at start here, although Kafka changes it at run time: to take a change that does
    /// nothing would be a lie.
    AtStartHere,
    /// Per broker.
    PerBroker,
    /// Per broker or for the whole cluster.
    ClusterWide,
}

impl UpdateMode {
    /// Whether no change at run time is taken.
    pub const fn is_fixed(self) -> bool {
        matches!(self, UpdateMode::ReadOnly | UpdateMode::AtStartHere)
    }
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct ConfigKey {
    /// The name, as Kafka writes it.
    pub name: &'static str,
    /// The type of its values.
    pub config_type: ConfigType,
    /// The default; `None` is Kafka's null.
    pub default: Option<&'static str>,
    /// Which values are allowed.
    pub allowed: Allowed,
    /// How it may change.
    pub update_mode: UpdateMode,
    /// For a topic key: the broker key it takes its default from.
    pub broker_synonym: Option<&'static str>,
    /// For a broker key: other names of the same thing, strongest first (`log.retention.ms` before
    /// `log.retention.minutes`), and how many of the first's units one unit is.
    pub aliases: &'static [(&'static str, i64)],
    /// What it means, for people, in one or two sentences.
    pub documentation: &'static str,
    /// Where and how this differs from Kafka 4.3, if it does.
    pub deviation: Option<&'static str>,
}

/// A value that does not fit its key. The sentence names key, value and way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidConfigValue(pub String);

/// A table of keys, found by name, listed in order of name.
#[derive(Debug, Clone, Default)]
pub struct ConfigTable {
    keys: BTreeMap<&'static str, &'static ConfigKey>,
}

impl ConfigTable {
    /// Joins slices of keys into one table.
    pub fn new(parts: &[&'static [ConfigKey]]) -> ConfigTable {
        let keys = parts
            .iter()
            .flat_map(|part| part.iter())
            .map(|key| (key.name, key))
            .collect();
        ConfigTable { keys }
    }

    /// The key of this name.
    pub fn get(&self, name: &str) -> Option<&'static ConfigKey> {
        self.keys.get(name).copied()
    }

    /// Every key, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = &'static ConfigKey> + '_ {
        self.keys.values().copied()
    }
}
