//! The log directories as the front desk asks for them, and who looks after them: the keeper that
//! tells the controller, the mover.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::disks::Disks;
use super::quorum::Quorum;
use super::{Environment, Fatal};
use crate::actors::clock::Clock;
use crate::actors::directory_keeper::{
    CordonedSource, DirectoryKeeper, EndKeeping, Failures, ServedBy, TellTo,
};
use crate::actors::log_dir::LogDir;
use crate::actors::log_dirs::LogDirs;
use crate::actors::metadata::MetadataChanged;
use crate::actors::moving::{MoveReplicas, Mover, MoverParts, NotMoved, RateSource, Wish};
use crate::actors::observe::{OnPanic, PanicWatch};
use crate::actors::partition_host::PartitionRouter;
use crate::api::gateway::{AskLogDirs, LogDirReplica, LogDirReport};
use crate::config::ServerConfig;
use crate::metadata::{ConfigLayers, ConfigTables, Image, entries};
use crate::model::{BrokerId, ErrorCode};
use crate::net::LocalBoxFuture;

const CORDONED: &str = "cordoned.log.dirs";
/// What `cordoned.log.dirs` has to say for all of them.
const ALL: &str = "*";
const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";

/// Who looks after the log directories of a running broker. They end with it, and they do when the
/// broker did not come to run: keeper and directories know each other, so that nobody else ends them.
pub(super) struct Caretakers {
    pub(super) keeper: Addr<DirectoryKeeper>,
    pub(super) mover: Addr<Mover>,
}

impl Caretakers {
    /// Starts them; before any partition is opened.
    pub(super) fn start(
        config: &ServerConfig,
        environment: &Environment,
        disks: &Disks,
        clock: Clock,
        image: &Arc<ArcSwap<Image>>,
        tell_fatal: watch::Sender<Option<Fatal>>,
        on_panic: &OnPanic,
    ) -> Caretakers {
        let dirs = Arc::clone(&disks.log_dirs);
        let (tables, node) = (config.tables(), config.node.id);
        let watch = |what: &str| PanicWatch::new(what.to_owned(), Arc::clone(on_panic));
        let keeper = DirectoryKeeper::new(
            node,
            Arc::clone(&dirs),
            cordoned(tables.clone(), node, config.log_dirs.absolute()),
            failures(config, tell_fatal),
            watch("log directories"),
        );
        let keeper = keeper.start();
        dirs.report_to(keeper.clone().recipient(), &keeper.clone().recipient());
        let threads = config.values.text("num.replica.alter.log.dirs.threads");
        let threads = threads.and_then(|text| text.trim().parse().ok());
        let mover = Mover::new(MoverParts {
            threads: threads.unwrap_or(dirs.all().len()),
            dirs,
            clock,
            random: Arc::clone(&environment.random),
            rate: rate(tables, node, Arc::clone(image)),
            assign: keeper.clone().recipient(),
            watch: watch("mover"),
        });
        Caretakers {
            keeper,
            mover: mover.start(),
        }
    }
}

impl Caretakers {
    /// Who is told first of a change of the metadata.
    pub(super) fn stage(&self) -> Vec<Recipient<MetadataChanged>> {
        vec![self.keeper.clone().recipient()]
    }

    /// Makes them known to those they tell.
    pub(super) fn meet(&self, quorum: &Quorum, router: &PartitionRouter) {
        let controller = quorum.controller.clone().recipient();
        self.keeper.do_send(TellTo(controller));
        let hosts = router.hosts().iter();
        let hosts = hosts.map(|host| host.clone().recipient());
        self.keeper.do_send(ServedBy(hosts.collect()));
    }
}

impl Drop for Caretakers {
    fn drop(&mut self) {
        self.keeper.do_send(EndKeeping);
    }
}

fn failures(config: &ServerConfig, tell_fatal: watch::Sender<Option<Fatal>>) -> Failures {
    let timeout = config.values.text("log.dir.failure.timeout.ms");
    let timeout = timeout.and_then(|text| text.trim().parse().ok());
    Failures {
        metadata: config.log_dirs.absolute_metadata(),
        timeout: Duration::from_millis(timeout.unwrap_or(30_000)),
        end: Box::new(move |reason| {
            tell_fatal.send_replace(Some(Fatal(reason)));
        }),
    }
}

/// The value of a broker key in an image.
fn value(image: &Image, tables: &ConfigTables, node: BrokerId, name: &str) -> Option<String> {
    let key = tables.broker_key(name)?;
    ConfigLayers::of_broker(image, tables, node)
        .broker_value(key)
        .value
}

fn cordoned(tables: ConfigTables, node: BrokerId, all: Vec<PathBuf>) -> CordonedSource {
    Arc::new(move |image| {
        let text = value(image, &tables, node, CORDONED).unwrap_or_default();
        let listed: Vec<&str> = entries(&text).collect();
        if listed == [ALL] {
            return all.clone();
        }
        let absolute = |path: &str| std::path::absolute(path).unwrap_or_else(|_| path.into());
        listed.into_iter().map(absolute).collect()
    })
}

fn rate(tables: ConfigTables, node: BrokerId, image: Arc<ArcSwap<Image>>) -> RateSource {
    Arc::new(move || {
        let rate = value(&image.load(), &tables, node, RATE);
        match rate.and_then(|text| text.trim().parse::<i64>().ok()) {
            None | Some(i64::MAX) => u64::MAX,
            Some(rate) => u64::try_from(rate).unwrap_or(0),
        }
    })
}

/// This broker's log directories.
pub(super) struct Directories {
    pub(super) dirs: Arc<LogDirs>,
    pub(super) mover: Addr<Mover>,
}

fn bytes(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A directory of which nothing is known but that it has failed.
fn offline(path: String) -> LogDirReport {
    LogDirReport {
        path,
        error: ErrorCode::KafkaStorageError,
        total_bytes: -1,
        usable_bytes: -1,
        is_cordoned: false,
        replicas: Vec::new(),
    }
}

async fn report(dirs: &LogDirs, dir: &Arc<LogDir>) -> LogDirReport {
    let path = dir.path().display().to_string();
    if dir.is_offline() {
        return offline(path);
    }
    let space = {
        let dir = Arc::clone(dir);
        let threads = dir.threads().clone();
        threads.run(move || dir.disk().space(dir.path())).await
    };
    let (total_bytes, usable_bytes) = match space {
        Ok(Ok(space)) => (bytes(space.total), bytes(space.free)),
        _ => (-1, -1),
    };
    let present = dir.list().into_iter().map(|(name, log)| LogDirReplica {
        topic: name.topic,
        partition: name.partition,
        size_bytes: bytes(log.reader.size()),
        offset_lag: (log.gauges.high_watermark() - log.reader.log_end_offset()).max(0),
        is_future: false,
    });
    let mut replicas: Vec<LogDirReplica> = present.collect();
    for (name, copy) in dir.list_future() {
        let Some((_, log)) = dirs.resident(&name) else {
            continue;
        };
        replicas.push(LogDirReplica {
            topic: name.topic,
            partition: name.partition,
            size_bytes: bytes(copy.size()),
            offset_lag: log.reader.log_end_offset() - copy.log_end_offset(),
            is_future: true,
        });
    }
    LogDirReport {
        path,
        error: ErrorCode::None,
        total_bytes,
        usable_bytes,
        is_cordoned: dir.is_cordoned(),
        replicas,
    }
}

impl AskLogDirs for Directories {
    fn log_dirs(&self) -> LocalBoxFuture<'_, Vec<LogDirReport>> {
        Box::pin(async move {
            // All are asked before the first is waited for.
            let asking = self.dirs.all().iter().map(|dir| {
                let (dirs, dir) = (Arc::clone(&self.dirs), Arc::clone(dir));
                actix_rt::spawn(async move { report(&dirs, &dir).await })
            });
            let asking: Vec<_> = asking.collect();
            let mut reports = Vec::new();
            for asked in asking {
                // One that panicked is told where it happened.
                reports.extend(asked.await);
            }
            let unusable = self.dirs.unusable().iter();
            reports.extend(unusable.map(|path| offline(path.display().to_string())));
            reports
        })
    }

    fn move_replicas(&self, wishes: Vec<Wish>) -> LocalBoxFuture<'_, Vec<ErrorCode>> {
        Box::pin(async move {
            let count = wishes.len();
            let begun = self.mover.send(MoveReplicas(wishes)).await;
            let Ok(begun) = begun else {
                return vec![ErrorCode::KafkaStorageError; count];
            };
            let code = |begun: Result<(), NotMoved>| begun.map_or_else(code, |()| ErrorCode::None);
            begun.into_iter().map(code).collect()
        })
    }
}

fn code(refused: NotMoved) -> ErrorCode {
    match refused {
        NotMoved::UnknownDirectory => ErrorCode::LogDirNotFound,
        NotMoved::DirectoryOffline | NotMoved::PartitionOffline => ErrorCode::KafkaStorageError,
        NotMoved::Cordoned => ErrorCode::InvalidReplicaAssignment,
        NotMoved::NotHere => ErrorCode::ReplicaNotAvailable,
    }
}
