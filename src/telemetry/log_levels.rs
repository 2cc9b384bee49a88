//! Which log lines are written, changeable while the broker runs.
//!
//! `log_setup` asks for every line; `api` shows and changes levels as the resource BROKER_LOGGER.
//! Invariant: a logger without a level of its own has that of the nearest one above it, and the
//! root always has one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use log::LevelFilter;

/// The name of the logger above all others, as Kafka calls it.
pub const ROOT: &str = "root";

/// The loggers that are listed although nobody gave them a level: our rooms.
const ROOMS: &[&str] = &[
    "milena",
    "milena::actors",
    "milena::api",
    "milena::broker",
    "milena::cli",
    "milena::metadata",
    "milena::net",
    "milena::storage",
    "openraft",
];

/// The levels of all loggers. Cheap to ask, shared by all threads.
#[derive(Debug)]
pub struct LogLevels {
    levels: ArcSwap<BTreeMap<String, LevelFilter>>,
    installed: AtomicBool,
}

impl LogLevels {
    /// Every logger at this level.
    pub fn new(root: LevelFilter) -> LogLevels {
        LogLevels {
            levels: ArcSwap::from_pointee(BTreeMap::from([(ROOT.to_owned(), root)])),
            installed: AtomicBool::new(false),
        }
    }

    /// Levels as RUST_LOG writes them: `info,milena::net=debug`. A level alone is the root's, a
    /// logger alone has every level. The error is a sentence.
    pub fn of_directives(text: &str) -> Result<LogLevels, String> {
        let levels = LogLevels::new(LevelFilter::Info);
        for directive in text
            .split(',')
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            let (name, level) = match directive.split_once('=') {
                Some((name, level)) => (name.trim(), level.trim().parse()),
                None => match directive.parse() {
                    Ok(level) => (ROOT, Ok(level)),
                    Err(_) => (directive, Ok(LevelFilter::Trace)),
                },
            };
            let level = level.map_err(|_| {
                format!("{directive} is no log level; use error, warn, info, debug, trace or off")
            })?;
            levels.set(name, level);
        }
        Ok(levels)
    }

    /// The level of the lines a module writes: its own, or that of the nearest module around it.
    pub fn level(&self, target: &str) -> LevelFilter {
        let levels = self.levels.load();
        let mut name = target;
        loop {
            if let Some(level) = levels.get(name) {
                return *level;
            }
            match name.rsplit_once("::") {
                Some((above, _)) => name = above,
                None => return levels.get(ROOT).copied().unwrap_or(LevelFilter::Info),
            }
        }
    }

    /// Every logger worth showing with its level, in order of name.
    pub fn loggers(&self) -> Vec<(String, LevelFilter)> {
        let levels = self.levels.load();
        let mut names: Vec<&str> = levels
            .keys()
            .map(String::as_str)
            .chain(ROOMS.iter().copied())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .map(|name| (name.to_owned(), self.level(name)))
            .collect()
    }

    /// Whether a logger of this name is listed.
    pub fn knows(&self, name: &str) -> bool {
        ROOMS.contains(&name) || self.levels.load().contains_key(name)
    }

    /// Gives a logger a level of its own.
    pub fn set(&self, name: &str, level: LevelFilter) {
        self.levels.rcu(|levels| {
            let mut levels = BTreeMap::clone(levels);
            levels.insert(name.to_owned(), level);
            levels
        });
        self.tell();
    }

    /// Takes a logger's own level away. The root keeps its own.
    pub fn unset(&self, name: &str) {
        if name == ROOT {
            return;
        }
        self.levels.rcu(|levels| {
            let mut levels = BTreeMap::clone(levels);
            levels.remove(name);
            levels
        });
        self.tell();
    }

    /// From now on the process' logger follows these levels.
    pub(super) fn follow(self: &Arc<Self>) {
        self.installed.store(true, Ordering::Relaxed);
        self.tell();
    }

    /// Lines that no logger writes cost nothing only if the `log` crate knows of it.
    fn tell(&self) {
        if self.installed.load(Ordering::Relaxed) {
            let levels = self.levels.load();
            log::set_max_level(levels.values().copied().max().unwrap_or(LevelFilter::Info));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_has_the_level_of_the_nearest_one_around_it() {
        let levels =
            LogLevels::of_directives("warn, milena::net=debug,milena::net::tls=off").unwrap();
        let level = |name| levels.level(name);
        assert_eq!(level("milena::api"), LevelFilter::Warn);
        assert_eq!(level("milena::net"), LevelFilter::Debug);
        assert_eq!(level("milena::net::frame::reader"), LevelFilter::Debug);
        assert_eq!(level("milena::network"), LevelFilter::Warn);
        assert_eq!(level("milena::net::tls"), LevelFilter::Off);
    }

    #[test]
    fn a_level_can_be_set_and_taken_away() {
        let levels = LogLevels::new(LevelFilter::Info);
        levels.set("milena::api", LevelFilter::Trace);
        assert_eq!(levels.level("milena::api::fetch"), LevelFilter::Trace);
        levels.unset("milena::api");
        levels.unset(ROOT);
        assert_eq!(levels.level("milena::api::fetch"), LevelFilter::Info);
    }

    #[test]
    fn rooms_are_listed_with_what_they_inherit() {
        let levels = LogLevels::of_directives("error,elsewhere").unwrap();
        let loggers = levels.loggers();
        assert!(loggers.contains(&("root".to_owned(), LevelFilter::Error)));
        assert!(loggers.contains(&("milena::net".to_owned(), LevelFilter::Error)));
        assert!(loggers.contains(&("elsewhere".to_owned(), LevelFilter::Trace)));
        assert!(levels.knows("milena::net") && !levels.knows("milena::nowhere"));
    }

    #[test]
    fn a_level_that_does_not_exist_is_refused() {
        assert_eq!(
            LogLevels::of_directives("milena=loud").unwrap_err(),
            "milena=loud is no log level; use error, warn, info, debug, trace or off"
        );
    }
}
