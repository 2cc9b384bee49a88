//! The values a configuration sets, with where each was set, and the defaults below them.
//!
//! Made by `config::server_config`; DescribeConfigs and `metadata` get [`StaticValues::explicit`].
//! Invariant: every value in here was judged against its key.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::ConfigError;
use crate::model::config_key::{ConfigKey, ConfigTable, ConfigType};

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On this line of this file.
    File(String, usize),
    /// On the command line, or by the program Milena is embedded in.
    Override,
    /// Nowhere: it follows from another value.
    Derived(&'static str),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::File(file, line) => write!(f, "{file}, line {line}"),
            Place::Override => f.write_str("override"),
            Place::Derived(key) => write!(f, "from {key}"),
        }
    }
}

/// A value that was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticValue {
    /// As it was written, without blanks around it.
    pub text: String,
    /// Where.
    pub place: Place,
}

/// Values by key, above the defaults of the table.
#[derive(Debug, Clone)]
pub struct StaticValues {
    table: Arc<ConfigTable>,
    set: BTreeMap<&'static str, StaticValue>,
}

impl StaticValues {
    pub(super) fn new(table: Arc<ConfigTable>) -> StaticValues {
        StaticValues {
            table,
            set: BTreeMap::new(),
        }
    }

    pub(super) fn set(&mut self, key: &'static ConfigKey, text: String, place: Place) {
        self.set.insert(key.name, StaticValue { text, place });
    }

    /// The table these values belong to.
    pub fn table(&self) -> &Arc<ConfigTable> {
        &self.table
    }

    /// What was set, by key: Kafka's static broker configuration.
    pub fn explicit(&self) -> BTreeMap<String, String> {
        self.set
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.text.clone()))
            .collect()
    }

    /// What was set for this key.
    pub fn get_set(&self, name: &str) -> Option<&StaticValue> {
        self.set.get(name)
    }

    /// The value that counts: what was set for the key, else for its strongest alias, else its
    /// default, else that of an alias. In the key's own unit; `None` is Kafka's null.
    pub fn text(&self, name: &str) -> Option<String> {
        let key = self.table.get(name)?;
        let names = || std::iter::once((key.name, 1)).chain(key.aliases.iter().copied());
        let set = names().find_map(|(name, units)| {
            let value = self.set.get(name)?;
            Some(in_units(&value.text, units))
        });
        let default = || {
            names().find_map(|(name, units)| {
                let text = self.table.get(name)?.default?;
                Some(in_units(text, units))
            })
        };
        set.or_else(default)
    }

    /// The value as it may be shown: secrets are hidden, null is `null`.
    pub fn shown(&self, key: &ConfigKey) -> String {
        match self.text(key.name) {
            None => "null".to_owned(),
            Some(_) if key.config_type == ConfigType::Password => "[hidden]".to_owned(),
            Some(text) => text,
        }
    }

    /// Every key with its value, in order of name: `key = value`.
    pub fn listing(&self) -> impl Iterator<Item = String> + '_ {
        self.table
            .iter()
            .map(|key| format!("{} = {}", key.name, self.shown(key)))
    }

    /// The texts of a list, without blanks and empty ones.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A whole number of any type.
    pub(super) fn number<T: TryFrom<i64>>(&self, name: &str) -> Result<T, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        let number = text.trim().parse::<i64>().ok();
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| self.unfit(name, &text, "a whole number that fits its use"))
    }

    /// A whole number whose negative values mean "none".
    pub(super) fn limit<T: TryFrom<i64>>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        match self.number::<i64>(name)? {
            number if number < 0 => Ok(None),
            _ => self.number(name).map(Some),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Result<bool, ConfigError> {
        let text = self.text(name).unwrap_or_default();
        match text.trim().to_ascii_lowercase().as_str() {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.unfit(name, &text, "true or false")),
        }
    }

    /// How a value is named in a sentence: `key=value`.
    pub(super) fn named(&self, name: &str) -> String {
        format!("{name}={}", self.text(name).unwrap_or_default())
    }

    fn unfit(&self, name: &str, text: &str, wanted: &str) -> ConfigError {
        let place = self.set.get(name).map(|value| value.place.to_string());
        ConfigError::Value {
            place: place.unwrap_or_else(|| "default".to_owned()),
            problem: format!("{name}={text} is not {wanted}; correct it or leave it out"),
        }
    }
}

/// A value of an alias in the unit of its key. Negative ones mean "no limit" in every unit.
fn in_units(text: &str, units: i64) -> String {
    match text.trim().parse::<i64>() {
        Ok(number) if units != 1 && number >= 0 => number.saturating_mul(units).to_string(),
        _ => text.to_owned(),
    }
}
