//! The cleaner, composed: its settings from keys and values, and its actor.

use std::sync::Arc;

use actix::prelude::*;

use super::Environment;
use super::disks::Disks;
use crate::actors::cleaner::settings::CleanerSettings;
use crate::actors::cleaner::{CleanerActor, CleanerParts};
use crate::actors::clock::Clock;
use crate::config::ServerConfig;
use crate::metadata::{ConfigTables, Image};

/// Starts the cleaner of all log directories.
pub(super) fn start(
    config: &ServerConfig,
    environment: &Environment,
    disks: &Disks,
    clock: Clock,
    tables: &ConfigTables,
) -> Addr<CleanerActor> {
    let (node, tables) = (config.node.id, tables.clone());
    let settings = CleanerSettings::resolve(&Image::default(), &tables, node);
    let parts = CleanerParts {
        dirs: Arc::clone(&disks.log_dirs),
        clock,
        settings,
        source: Arc::new(move |image| CleanerSettings::resolve(image, &tables, node)),
        metrics: environment.metrics.cleaner.clone(),
        random: Arc::clone(&environment.random),
        has_threads: true,
    };
    CleanerActor::new(parts).start()
}
