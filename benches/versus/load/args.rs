//! `key=value` arguments.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::Failure;

/// The arguments behind the command's name.
pub(crate) struct Args(BTreeMap<String, String>);

impl Args {
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Args, Failure> {
        let mut pairs = BTreeMap::new();
        for word in words {
            let (key, value) = word
                .split_once('=')
                .ok_or_else(|| format!("{word} is not key=value"))?;
            pairs.insert(key.to_owned(), value.to_owned());
        }
        Ok(Args(pairs))
    }

    /// A value that has to be given.
    pub(crate) fn text(&self, key: &str) -> Result<&str, Failure> {
        let value = self.0.get(key).map(String::as_str);
        value.ok_or_else(|| format!("{key}= is missing").into())
    }

    /// A number, or what it is when it is not given.
    pub(crate) fn number<T: FromStr>(&self, key: &str, default: T) -> Result<T, Failure> {
        match self.0.get(key) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("{key}={text} is not a number that fits").into()),
        }
    }

    pub(crate) fn word(&self, key: &str, default: &'static str) -> &str {
        self.0.get(key).map_or(default, String::as_str)
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, Failure> {
        Ok(self.text("addr")?.parse()?)
    }

    /// Whether the caller reads CPU times at `begin` and `end`.
    pub(crate) fn gated(&self) -> bool {
        self.word("gate", "no") == "yes"
    }
}
