//! The broker's log directories, from taking them into use to the last mark of a clean stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::prelude::*;

use super::{Environment, StartError};
use crate::actors::clock::Clock;
use crate::actors::disk_threads::DiskThreads;
use crate::actors::log_dir::{
    EndRounds, LastCheckpoint, LogDir, LogDirActor, LogDirIntervals, LogDirLimits, LogDirParts,
};
use crate::actors::log_dir_opening::{
    DirectoryRefused, FoundDirectories, TakenDirectory, take_directories,
};
use crate::actors::log_dirs::LogDirs;
use crate::actors::moving::LeftCopy;
use crate::actors::scrubber::{ScrubPace, Scrubber};
use crate::config::ServerConfig;
use crate::metadata::Image;
use crate::model::{ClusterId, DirectoryId, TopicPartition, Uuid};
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::{OpenFiles, StorageError, log_dir};
use crate::telemetry::metrics::Metrics;

/// How many bytes a log gathers before a disk thread begins to write them back.
const WRITE_BACK_BYTES: u64 = 16 << 20;

/// Files nobody used for this long, or up to twice as long, are closed.
const FILES_CLOSED_AFTER: Duration = Duration::from_secs(30);

/// Unknown partitions, and strange files, that are named in the log; the others are counted.
const UNKNOWN_TOLD_MAX: usize = 10;

/// All log directories of a running broker.
pub(super) struct Disks {
    pub(super) cluster_id: ClusterId,
    pub(super) log_dirs: Arc<LogDirs>,
    /// Whether some directory was in use when the last broker died.
    pub(super) unclean: bool,
    /// Copies that moves of the last broker have left.
    pub(super) copies: Vec<LeftCopy>,
    disk: Arc<dyn Disk>,
    rounds: Vec<Addr<LogDirActor>>,
    /// Held until the broker has stopped.
    _locks: Vec<Arc<dyn DiskFile>>,
}

impl Disks {
    /// Takes every directory into use, and starts its threads and its rounds.
    pub(super) fn take(
        config: &ServerConfig,
        environment: &Environment,
    ) -> Result<Disks, StartError> {
        let disk = Arc::clone(&environment.disk);
        let random = &environment.random;
        let FoundDirectories {
            cluster: cluster_id,
            taken,
            mut unusable,
        } = take_directories(
            disk.as_ref(),
            &config.log_dirs.absolute(),
            config.node.id,
            Uuid::from_random(random()).to_string(),
            &|| random(),
        )?;
        let metadata = config.log_dirs.absolute_metadata();
        if let Some(at) = unusable.iter().position(|(path, _)| *path == metadata) {
            let (_, error) = unusable.swap_remove(at);
            return Err(DirectoryRefused::Storage(error).into());
        }
        for (path, error) in &unusable {
            log::error!(
                "the log directory {} is offline until the next start: {error}",
                path.display()
            );
        }
        let unclean = taken
            .iter()
            .any(|dir| dir.clean_shutdown.is_none() && !dir.is_new);
        let open_files = Arc::new(OpenFiles::new(config.limits.open_files_max));
        let (mut dirs, mut locks, mut copies) = (Vec::new(), Vec::new(), Vec::new());
        let mut found: BTreeMap<TopicPartition, usize> = BTreeMap::new();
        let mut rivals: BTreeMap<TopicPartition, Vec<usize>> = BTreeMap::new();
        for (index, mut taken) in taken.into_iter().enumerate() {
            for name in &taken.partitions {
                if found.contains_key(name) {
                    rivals.entry(name.clone()).or_default().push(index);
                } else {
                    found.insert(name.clone(), index);
                }
            }
            tell_some(
                &taken.strange,
                "is nothing of this broker's; it is left alone",
            );
            let dir = taken.path.clone();
            copies.extend(taken.copies.drain(..).map(|(name, path)| LeftCopy {
                name,
                dir: dir.clone(),
                path,
            }));
            locks.push(Arc::clone(&taken.lock));
            let open_files = Arc::clone(&open_files);
            dirs.push(start_directory(config, environment, taken, open_files)?);
        }
        let rounds = dirs.iter().enumerate();
        let metrics = &environment.metrics;
        let rounds = rounds.map(|(index, dir)| start_rounds(config, dir, index == 0, metrics));
        let rounds = rounds.collect();
        let unusable = unusable.into_iter().map(|(path, _)| path).collect();
        let log_dirs = LogDirs::new(dirs, found).with_trouble(unusable, rivals);
        Ok(Disks {
            cluster_id,
            log_dirs: Arc::new(log_dirs),
            unclean,
            copies,
            disk,
            rounds,
            _locks: locks,
        })
    }

    /// Writes the last checkpoints and the marks of a clean stop. Every log has been closed.
    pub(super) async fn leave_cleanly(&self, broker_epoch: i64) -> Result<(), StorageError> {
        let mut left = Ok(());
        for (dir, rounds) in self.log_dirs.all().iter().zip(&self.rounds) {
            if dir.is_offline() {
                rounds.do_send(EndRounds);
                log::warn!("{} has failed and is left as it is", dir.path().display());
                continue;
            }
            // An actor that is gone has panicked; then this stop is not a clean one.
            let path = dir.path().clone();
            let written = rounds.send(LastCheckpoint).await;
            let written = written.unwrap_or(Err(StorageError::Poisoned { path }));
            if written.is_ok() && dir.is_unclean() {
                log::warn!(
                    "{} is not marked as cleanly stopped: something in it failed, and is recovered at the next start",
                    dir.path().display()
                );
                continue;
            }
            let marked = written.and_then(|closed| {
                let disk = self.disk.as_ref();
                log_dir::write_clean_shutdown(disk, dir.path(), broker_epoch, Some(closed))
            });
            left = left.and(marked);
        }
        left
    }

    /// The directories that can be used now.
    pub(super) fn online(&self) -> Vec<DirectoryId> {
        let all = self.log_dirs.all().iter();
        let online = all.filter(|dir| !dir.is_offline());
        online.map(|dir| dir.id()).collect()
    }

    /// Ends the threads of every directory once they have done what was begun.
    pub(super) async fn end_threads(&self) {
        for dir in self.log_dirs.all() {
            dir.threads().end().await;
        }
    }

    /// The directories, to be seen gone: whoever still has one has its open files.
    pub(super) fn watch_gone(&self) -> Vec<Weak<LogDir>> {
        self.log_dirs.all().iter().map(Arc::downgrade).collect()
    }

    /// After all partitions were opened: tells of those on disk that belong to no topic of the
    /// cluster. They are left alone.
    pub(super) fn tell_unknown(&self, image: &Image) {
        for dir in self.log_dirs.all() {
            dir.end_start();
        }
        let unknown = self.log_dirs.unknown(image);
        tell_some(
            &unknown,
            "belongs to no topic of this cluster; it is left alone",
        );
    }
}

/// Names the first few of some paths, and counts the others.
fn tell_some(paths: &[String], what: &str) {
    for path in paths.iter().take(UNKNOWN_TOLD_MAX) {
        log::warn!("{path} {what}");
    }
    if paths.len() > UNKNOWN_TOLD_MAX {
        log::warn!(
            "the same is true of {} more",
            paths.len() - UNKNOWN_TOLD_MAX
        );
    }
}

impl Drop for Disks {
    /// Also when the broker did not come to run: rounds would go on for ever.
    fn drop(&mut self) {
        for rounds in &self.rounds {
            rounds.do_send(EndRounds);
        }
    }
}

fn start_directory(
    config: &ServerConfig,
    environment: &Environment,
    taken: TakenDirectory,
    open_files: Arc<OpenFiles>,
) -> Result<Arc<LogDir>, StartError> {
    let disk = Arc::clone(&environment.disk);
    let count = config.engine.disk_threads_per_log_dir;
    let threads =
        DiskThreads::for_disk(disk.as_ref(), "milena-disk", count).map_err(StartError::Threads)?;
    let deleted = taken.deleted;
    if !deleted.is_empty() {
        let disk = Arc::clone(&disk);
        threads.run_unwatched(move || {
            for path in deleted {
                if let Err(error) = disk.remove_dir_all(&path) {
                    log::warn!("the remains of a deleted partition stay: {error}");
                }
            }
        });
    }
    let recovery_threads = config.engine.recovery_threads_per_log_dir;
    let recovery_threads =
        DiskThreads::for_disk(disk.as_ref(), "milena-recovery", recovery_threads);
    let dir = LogDir::new(LogDirParts {
        id: taken.id,
        path: taken.path,
        disk,
        threads,
        limits: LogDirLimits {
            unflushed_bytes_max: config.engine.unflushed_bytes_max,
            write_back_bytes: WRITE_BACK_BYTES,
        },
        at_start: taken.checkpoints,
        stopped_cleanly: taken.clean_shutdown.is_some(),
        open_files,
        closed_logs: taken.closed_logs,
        lock: Arc::downgrade(&taken.lock),
        metrics: environment.metrics.clone(),
    });
    dir.set_recovery_threads(recovery_threads.map_err(StartError::Threads)?);
    Ok(Arc::new(dir))
}

fn start_rounds(
    config: &ServerConfig,
    dir: &Arc<LogDir>,
    is_first: bool,
    metrics: &Metrics,
) -> Addr<LogDirActor> {
    let upkeep = &config.upkeep;
    let checkpoint = upkeep
        .recovery_point_interval_ms
        .min(upkeep.log_start_offset_interval_ms)
        .min(upkeep.high_watermark_interval_ms);
    let intervals = LogDirIntervals {
        checkpoint: Duration::from_millis(checkpoint.max(1)),
        tidy: Duration::from_millis(upkeep.retention_check_interval_ms.max(1)),
        first_tidy: Duration::from_millis(upkeep.first_retention_check_ms),
        close_unused: is_first.then_some(FILES_CLOSED_AFTER),
    };
    let pace = ScrubPace {
        bytes_per_second: config.engine.scrub_bytes_per_second,
        interval: Duration::from_millis(config.engine.scrub_interval_ms),
    };
    let scrubber = Scrubber::new(Arc::clone(dir), pace, Clock::system(), metrics.clone());
    LogDirActor::new(Arc::clone(dir), intervals)
        .scrubbing(scrubber)
        .start()
}
