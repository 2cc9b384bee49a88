//! Prints `config/reference.md` from the tables of keys. Called by `milena config reference`.
//!
//! Invariant: the page says nothing the tables do not say; a test compares it with the file.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::keys::{BROKER_CHAPTERS, Chapter, OTHER_CHAPTERS};
use crate::model::config_key::{Allowed, ConfigKey, ConfigType, UpdateMode};

const HEAD: &str = "\
# Configuration keys

Printed by `milena config reference`; do not edit this page, edit `src/config/keys/`.

Names, types, defaults and meanings are those of Apache Kafka 4.3. What differs stands beside the
key, and once more, by reason, at the end of this page. *Changes* tells how a value can change:
at *start* (in the file, read once), for one *broker* while it runs, or for one broker or the whole
*cluster* while it runs (`kafka-configs --alter`). *Start only* marks keys that Kafka changes while
it runs and Milena does not yet: an attempt to is refused, not taken without effect.
";

/// The whole page, in Markdown.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("\n## Keys of `server.properties`\n");
    for chapter in BROKER_CHAPTERS {
        write_chapter(&mut page, chapter, true);
    }
    page.push_str("\n## Other keys\n");
    for chapter in OTHER_CHAPTERS {
        write_chapter(&mut page, chapter, false);
    }
    write_differences(&mut page);
    page
}

fn write_chapter(page: &mut String, (title, keys): &Chapter, of_broker: bool) {
    let _ = write!(page, "\n### {title}\n\n");
    let column = if of_broker { "changes" } else { "default from" };
    let _ = writeln!(
        page,
        "| key | type | default | allowed | {column} | meaning |"
    );
    page.push_str("|---|---|---|---|---|---|\n");
    let mut keys: Vec<&ConfigKey> = keys.iter().collect();
    keys.sort_by_key(|key| key.name);
    for key in keys {
        let last = if of_broker {
            changes(key)
        } else {
            synonym(key)
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {} | {last} | {} |",
            key.name,
            type_name(key.config_type),
            default(key),
            allowed(key),
            meaning(key)
        );
    }
}

fn type_name(config_type: ConfigType) -> &'static str {
    match config_type {
        ConfigType::Boolean => "boolean",
        ConfigType::String => "string",
        ConfigType::Int => "int",
        ConfigType::Short => "short",
        ConfigType::Long => "long",
        ConfigType::Double => "double",
        ConfigType::List => "list",
        ConfigType::Class => "class",
        ConfigType::Password => "password",
    }
}

fn default(key: &ConfigKey) -> String {
    match key.default {
        None => "null".to_owned(),
        Some("") => "empty".to_owned(),
        Some(text) => format!("`{text}`"),
    }
}

fn allowed(key: &ConfigKey) -> String {
    match key.allowed {
        Allowed::Any if key.config_type == ConfigType::Boolean => "true, false".to_owned(),
        Allowed::Any => "any".to_owned(),
        Allowed::Between(least, most) if is_last(key.config_type, most) => format!("≥ {least}"),
        Allowed::Between(least, most) => format!("{least} to {most}"),
        Allowed::Fraction(least, most) => format!("{least} to {most}"),
        Allowed::OneOf(texts) => texts.join(", "),
        Allowed::ListOf(texts) => format!("list of {}", texts.join(", ")),
        Allowed::NotEmpty => "not empty".to_owned(),
        Allowed::Only("", _) => "only empty".to_owned(),
        Allowed::Only(text, _) => format!("only {text}"),
    }
}

fn is_last(config_type: ConfigType, most: i64) -> bool {
    match config_type {
        ConfigType::Short => most == i64::from(i16::MAX),
        ConfigType::Int => most == i64::from(i32::MAX),
        _ => most == i64::MAX,
    }
}

fn changes(key: &ConfigKey) -> String {
    match key.update_mode {
        UpdateMode::ReadOnly => "start",
        UpdateMode::AtStartHere => "start only",
        UpdateMode::PerBroker => "broker",
        UpdateMode::ClusterWide => "cluster",
    }
    .to_owned()
}

fn synonym(key: &ConfigKey) -> String {
    key.broker_synonym
        .map_or_else(|| "–".to_owned(), |name| format!("`{name}`"))
}

fn meaning(key: &ConfigKey) -> String {
    let mut text = key.documentation.to_owned();
    if let Some(deviation) = key.deviation {
        let _ = write!(text, " *{deviation}*");
    }
    text
}

/// Every deviation once, with the keys it stands at; those at one key only come last.
fn write_differences(page: &mut String) {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, keys) in BROKER_CHAPTERS.iter().chain(OTHER_CHAPTERS) {
        for key in keys.iter() {
            if let Some(deviation) = key.deviation {
                reasons.entry(deviation).or_default().push(key.name);
            }
        }
    }
    page.push_str("\n## Differences from Apache Kafka 4.3\n");
    for shared in [false, true] {
        for (reason, names) in reasons
            .iter_mut()
            .filter(|(_, names)| (names.len() > 1) == shared)
        {
            names.sort_unstable();
            names.dedup();
            let _ = write!(page, "\n- {reason} `{}`\n", names.join("`, `"));
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_in_the_repository_is_the_one_the_tables_print() {
        assert!(
            super::page() == include_str!("../../config/reference.md"),
            "config/reference.md is old; refresh it with: cargo run -- config reference > config/reference.md"
        );
    }

    #[test]
    fn no_cell_of_the_page_breaks_its_table() {
        for line in super::page().lines().filter(|line| line.starts_with('|')) {
            assert_eq!(line.matches('|').count(), 7, "{line}");
        }
    }
}
