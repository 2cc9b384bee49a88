//! How one line of a table is written: constructors by type, then what is said about the key.
//!
//! Everything here is `const`, so the tables are plain data. Only the files of `config::keys` use it.

use crate::model::config_key::{Allowed, ConfigKey, ConfigType, UpdateMode};

/// Keys of plug-in classes: a Java class cannot be loaded here.
pub(super) const NO_CLASSES: &str = "Java classes cannot be loaded; leave it out.";
/// Keys of share and streams groups.
pub(super) const NO_GROUPS: &str = "Without effect until share and streams groups are built.";
/// Keys of transactions.
pub(super) const NO_TRANSACTIONS: &str = "Without effect until transactions are built.";
/// Keys of TLS.
pub(super) const NO_TLS: &str =
    "Without effect until TLS is built; a listener that asks for TLS is refused.";
/// Keys of SASL.
pub(super) const NO_SASL: &str =
    "Without effect until SASL is built; a listener that asks for SASL is refused.";
/// Keys of tiered storage.
pub(super) const NO_TIERING: &str = "Without effect until tiered storage is built.";
/// Keys that would only look as if there were tiered storage.
pub(super) const TIERING_REFUSED: &str = "Tiered storage is not built yet; leave it out.";
/// Keys of quotas.
pub(super) const NO_QUOTAS: &str = "Without effect until quotas are built.";
/// Keys of replication and of a quorum of several nodes.
pub(super) const ONE_NODE: &str = "Without effect while a cluster is one node.";
/// Keys that size thread pools which do not exist here.
pub(super) const NO_POOL: &str = "Without effect: work runs on `milena.data.threads` event loops and \
    `milena.disk.threads.per.log.dir` disk threads.";
/// Keys of request purgatories.
pub(super) const NO_PURGATORY: &str =
    "Without effect: a waiting request is forgotten at once when it is answered.";

const fn key(
    name: &'static str,
    config_type: ConfigType,
    default: Option<&'static str>,
) -> ConfigKey {
    ConfigKey {
        name,
        config_type,
        default,
        allowed: Allowed::Any,
        update_mode: UpdateMode::ReadOnly,
        broker_synonym: None,
        aliases: &[],
        documentation: "",
        deviation: None,
    }
}

/// A key of any type whose default is null.
pub(super) const fn unset(name: &'static str, config_type: ConfigType) -> ConfigKey {
    key(name, config_type, None)
}
/// A `true` or `false`.
pub(super) const fn boolean(name: &'static str, default: &'static str) -> ConfigKey {
    key(name, ConfigType::Boolean, Some(default))
}
/// A text.
pub(super) const fn string(name: &'static str, default: &'static str) -> ConfigKey {
    key(name, ConfigType::String, Some(default))
}
/// A 32-bit number.
pub(super) const fn int(name: &'static str, default: &'static str) -> ConfigKey {
    key(name, ConfigType::Int, Some(default))
}
/// A 16-bit number.
pub(super) const fn short(name: &'static str, default: &'static str) -> ConfigKey {
    key(name, ConfigType::Short, Some(default))
}
/// A 64-bit number.
pub(super) const fn long(name: &'static str, default: &'static str) -> ConfigKey {
    key(name, ConfigType::Long, Some(default))
}
/// A fraction.
pub(super) const fn double(name: &'static str, default: &'static str) -> ConfigKey {
    key(name, ConfigType::Double, Some(default))
}
/// Comma-separated texts.
pub(super) const fn list(name: &'static str, default: &'static str) -> ConfigKey {
    key(name, ConfigType::List, Some(default))
}
/// A plug-in class: null by default, and only null is possible.
pub(super) const fn class(name: &'static str) -> ConfigKey {
    key(name, ConfigType::Class, None).only("", NO_CLASSES)
}
/// A secret, null by default.
pub(super) const fn password(name: &'static str) -> ConfigKey {
    key(name, ConfigType::Password, None)
}

impl ConfigKey {
    /// Numbers from here to the last of the type.
    pub(super) const fn at_least(self, least: i64) -> ConfigKey {
        let most = match self.config_type {
            ConfigType::Short => i16::MAX as i64,
            ConfigType::Int => i32::MAX as i64,
            _ => i64::MAX,
        };
        self.between(least, most)
    }
    /// Numbers between these, both included.
    pub(super) const fn between(mut self, least: i64, most: i64) -> ConfigKey {
        self.allowed = Allowed::Between(least, most);
        self
    }
    /// Fractions between these, both included.
    pub(super) const fn fraction(mut self, least: f64, most: f64) -> ConfigKey {
        self.allowed = Allowed::Fraction(least, most);
        self
    }
    /// One of these texts.
    pub(super) const fn one_of(mut self, texts: &'static [&'static str]) -> ConfigKey {
        self.allowed = Allowed::OneOf(texts);
        self
    }
    /// A list of these texts.
    pub(super) const fn list_of(mut self, texts: &'static [&'static str]) -> ConfigKey {
        self.allowed = Allowed::ListOf(texts);
        self
    }
    /// A list with at least one entry.
    pub(super) const fn not_empty(mut self) -> ConfigKey {
        self.allowed = Allowed::NotEmpty;
        self
    }
    /// This value alone, and why.
    pub(super) const fn only(mut self, value: &'static str, why: &'static str) -> ConfigKey {
        self.allowed = Allowed::Only(value, why);
        self.deviation = Some(why);
        self
    }
    /// Changes for one broker or for all of them while they run.
    pub(super) const fn cluster_wide(mut self) -> ConfigKey {
        self.update_mode = UpdateMode::ClusterWide;
        self
    }
    /// Read at start here, although Kafka changes it while brokers run.
    pub(super) const fn at_start_here(mut self) -> ConfigKey {
        self.update_mode = UpdateMode::AtStartHere;
        self
    }
    /// The broker key a topic or group key takes its default from.
    pub(super) const fn synonym(mut self, broker_key: &'static str) -> ConfigKey {
        self.broker_synonym = Some(broker_key);
        self
    }
    /// Other names, strongest first, with what one of their units is in ours.
    pub(super) const fn aliases(mut self, names: &'static [(&'static str, i64)]) -> ConfigKey {
        self.aliases = names;
        self
    }
    /// What it means.
    pub(super) const fn doc(mut self, text: &'static str) -> ConfigKey {
        self.documentation = text;
        self
    }
    /// How it differs from Kafka 4.3.
    pub(super) const fn deviates(mut self, text: &'static str) -> ConfigKey {
        self.deviation = Some(text);
        self
    }
}
