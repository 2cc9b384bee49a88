//! `meta.properties`: which cluster, node and directory a log directory belongs to (KIP-858).
//!
//! Read first of all at start, so that a broker never writes into another's directory. Invariant:
//! what is written here is read by Kafka, and the other way round.

use crate::model::{BrokerId, ClusterId, DirectoryId};

/// The file's name inside a log directory.
pub const META_PROPERTIES: &str = "meta.properties";

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetaProperties {
    /// The cluster.
    pub cluster_id: ClusterId,
    /// The broker.
    pub node_id: BrokerId,
    /// The directory; files of older versions have none.
    pub directory_id: Option<DirectoryId>,
}

/// Why a text is no `meta.properties`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMetaProperties {
    /// A key that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that cannot be.
    #[error("`{key}` has the invalid value `{value}`")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
    },
}

impl MetaProperties {
    /// The content of the file, version 1.
    pub fn to_text(&self) -> String {
        let mut text = String::from("version=1\n");
        for (key, value) in [
            ("cluster.id", Some(escape(&self.cluster_id))),
            ("node.id", Some(self.node_id.to_string())),
            ("directory.id", self.directory_id.map(|id| id.to_string())),
        ] {
            if let Some(value) = value {
                text.push_str(&format!("{key}={value}\n"));
            }
        }
        text
    }

    /// Reads the content of the file, version 1 or the older 0 that says `broker.id`.
    pub fn parse(text: &str) -> Result<MetaProperties, InvalidMetaProperties> {
        let properties: Vec<(String, String)> = text.lines().filter_map(property).collect();
        // Of a key that is there twice, the last one counts, as in Java.
        let find = |key: &'static str| properties.iter().rev().find(|(k, _)| k == key);
        let require = |key: &'static str| match find(key) {
            Some((_, value)) => Ok((key, value.clone())),
            None => Err(InvalidMetaProperties::Missing(key)),
        };
        let invalid =
            |(key, value): (&'static str, String)| InvalidMetaProperties::Invalid { key, value };
        let version = require("version")?;
        let node_key = match version.1.as_str() {
            "0" => "broker.id",
            "1" => "node.id",
            _ => return Err(invalid(version)),
        };
        let node = require(node_key)?;
        let node_id: i32 = match node.1.parse() {
            Ok(id) if id >= 0 => id,
            _ => return Err(invalid(node)),
        };
        let directory_id = match find("directory.id") {
            Some((_, value)) => Some(
                value
                    .parse::<DirectoryId>()
                    .map_err(|_| invalid(("directory.id", value.clone())))?,
            ),
            None => None,
        };
        Ok(MetaProperties {
            cluster_id: require("cluster.id")?.1,
            node_id: BrokerId(node_id),
            directory_id,
        })
    }
}

/// One line of a Java properties file; `None` for comments and blank lines. Values that go on in
/// the next line do not occur here.
fn property(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    if line.is_empty() || line.starts_with(['#', '!']) {
        return None;
    }
    let mut key = String::new();
    let mut characters = line.chars();
    loop {
        match characters.next() {
            None | Some('=' | ':') => break,
            Some('\\') => key.extend(characters.next()),
            Some(c) if c.is_whitespace() => {
                let rest = characters.as_str().trim_start();
                characters = rest.strip_prefix(['=', ':']).unwrap_or(rest).chars();
                break;
            }
            Some(c) => key.push(c),
        }
    }
    let mut value = String::new();
    let mut characters = characters.as_str().trim_start().chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => value.extend(characters.next()),
            c => value.push(c),
        }
    }
    Some((key, value))
}

/// Java writes a backslash before characters that mean something in a properties file.
fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '\\' | '=' | ':' | '#' | '!') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kafkas_file_is_read() {
        let text = "#\n#Sat Nov 21 06:18:00 UTC 2026\nnode.id=1\n\
                    directory.id=b7YHle-tSD-pbqOa_3XO4g\nversion=1\n\
                    cluster.id=Dpvobr-AQdKOZWvIMAQ6Hw\n";
        let read = MetaProperties::parse(text).unwrap();
        assert_eq!(read.cluster_id, "Dpvobr-AQdKOZWvIMAQ6Hw");
        assert_eq!(read.node_id, BrokerId(1));
        let directory = read.directory_id.unwrap().to_string();
        assert_eq!(directory, "b7YHle-tSD-pbqOa_3XO4g");
    }

    #[test]
    fn what_is_written_is_read_back_whatever_the_cluster_is_called() {
        for cluster_id in ["Dpvobr-AQdKOZWvIMAQ6Hw", "a=b:c#d!e\\f", "with space"] {
            let written = MetaProperties {
                cluster_id: cluster_id.to_owned(),
                node_id: BrokerId(7),
                directory_id: Some(DirectoryId::from_random([9; 16])),
            };
            assert_eq!(MetaProperties::parse(&written.to_text()), Ok(written));
        }
    }

    #[test]
    fn the_older_version_names_its_broker() {
        let read = MetaProperties::parse("version = 0\nbroker.id: 3\ncluster.id x\n").unwrap();
        assert_eq!((read.node_id, read.directory_id), (BrokerId(3), None));
        assert_eq!(read.cluster_id, "x");
    }

    #[test]
    fn a_directory_of_unknown_origin_is_refused_with_the_key_that_is_wrong() {
        let missing = InvalidMetaProperties::Missing("version");
        assert_eq!(MetaProperties::parse("# only\n"), Err(missing));
        let invalid = |key, value: &str| {
            let value = value.to_owned();
            Err(InvalidMetaProperties::Invalid { key, value })
        };
        let parse = |node: &str| {
            MetaProperties::parse(&format!("version=1\nnode.id={node}\ncluster.id=c\n"))
        };
        assert_eq!(parse("x"), invalid("node.id", "x"));
        assert_eq!(parse("-1"), invalid("node.id", "-1"));
        assert_eq!(MetaProperties::parse("version=2"), invalid("version", "2"));
    }
}
