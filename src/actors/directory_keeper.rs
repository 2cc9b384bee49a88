//! Tells the controller of this broker's log directories: where replicas are, which directories
//! failed, which are spared (what KIP-858's AssignReplicasToDirs and heartbeats carry, KIP-1066).
//!
//! Told by `log_dirs` and `moving`; follows the metadata for `cordoned.log.dirs`. Nothing is told
//! before the broker has registered, one request is under way at a time, and one that failed is
//! made again: the controller knows in the end. Invariant: a move is only completed once the
//! controller knows of the new directory, and nobody serves a partition of a failed one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::controller::AskController;
use super::log_dir::DirectoryFailed;
use super::log_dirs::{LogDirs, ReplicasPlaced};
use super::metadata::MetadataChanged;
use super::observe::PanicWatch;
use super::partition_messages::PartitionKey;
use crate::metadata::Image;
use crate::metadata::ResourceKind;
use crate::metadata::controller::{Assignments, Reply, Request};
use crate::model::{BrokerId, DirectoryId, TopicId};

/// After so long a request that failed is made again.
const RETRY: Duration = Duration::from_secs(1);
/// How many replicas one request tells of.
const REPLICAS_PER_REQUEST_MAX: usize = 10_000;

/// Which paths are spared under an image: `cordoned.log.dirs`, with `*` spelt out.
pub type CordonedSource = Arc<dyn Fn(&Image) -> Vec<PathBuf> + Send + Sync>;

/// The broker has registered under this epoch; also when it did so again.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Registered(pub i64);

/// A replica is about to live in this directory; answers once the controller knows.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Assign {
    /// Whose.
    pub key: PartitionKey,
    /// Where.
    pub directory: DirectoryId,
}

/// What follows from a failed directory.
pub struct Failures {
    /// The one that has the metadata, without which the broker cannot go on.
    pub metadata: PathBuf,
    /// How long a failed directory may stay unknown to the controller: `log.dir.failure.timeout.ms`.
    pub timeout: Duration,
    /// Ends the broker; given the reason.
    pub end: Box<dyn Fn(String)>,
}

/// See the module.
pub struct DirectoryKeeper {
    broker: BrokerId,
    dirs: Arc<LogDirs>,
    cordoned: CordonedSource,
    failures: Failures,
    /// Who serves partitions, and leaves those of failed directories.
    hosts: Vec<Recipient<DirectoryFailed>>,
    controller: Option<Recipient<AskController>>,
    broker_epoch: Option<i64>,
    placed: BTreeMap<PartitionKey, DirectoryId>,
    waiting: Vec<oneshot::Sender<()>>,
    failed: BTreeSet<DirectoryId>,
    /// Those of them that the controller was told of, and answered.
    known_failed: BTreeSet<DirectoryId>,
    /// Whether the controller does not know yet which directories failed or are spared.
    owes_directories: bool,
    under_way: bool,
    _watch: PanicWatch,
}

/// What a request tells, to be told again when it failed.
enum Told {
    /// With the failed ones.
    Directories(BTreeSet<DirectoryId>),
    Placed(
        BTreeMap<PartitionKey, DirectoryId>,
        Vec<oneshot::Sender<()>>,
    ),
}

impl DirectoryKeeper {
    /// A keeper of these directories, which has nobody to tell yet.
    pub fn new(
        broker: BrokerId,
        dirs: Arc<LogDirs>,
        cordoned: CordonedSource,
        failures: Failures,
        watch: PanicWatch,
    ) -> DirectoryKeeper {
        spare(&dirs, &cordoned(&Image::default()));
        DirectoryKeeper {
            broker,
            dirs,
            cordoned,
            failures,
            hosts: Vec::new(),
            controller: None,
            broker_epoch: None,
            placed: BTreeMap::new(),
            waiting: Vec::new(),
            failed: BTreeSet::new(),
            known_failed: BTreeSet::new(),
            owes_directories: false,
            under_way: false,
            _watch: watch,
        }
    }

    fn cordoned_ids(&self) -> Vec<DirectoryId> {
        let spared = self.dirs.all().iter().filter(|dir| dir.is_cordoned());
        spared.map(|dir| dir.id()).collect()
    }

    /// Makes the next request, if one is owed and none is under way.
    fn tell(&mut self, ctx: &mut Context<Self>) {
        let (Some(controller), Some(broker_epoch)) = (&self.controller, self.broker_epoch) else {
            return;
        };
        if self.under_way {
            return;
        }
        let (request, told) = if std::mem::take(&mut self.owes_directories) {
            let request = Request::ChangeDirectories {
                broker: self.broker,
                broker_epoch,
                offline: self.failed.iter().copied().collect(),
                cordoned: self.cordoned_ids(),
            };
            (request, Told::Directories(self.failed.clone()))
        } else if !self.placed.is_empty() {
            let rest = self.placed.keys().nth(REPLICAS_PER_REQUEST_MAX).copied();
            let rest = rest.map(|first| self.placed.split_off(&first));
            let some = std::mem::replace(&mut self.placed, rest.unwrap_or_default());
            let waiting = match self.placed.is_empty() {
                true => std::mem::take(&mut self.waiting),
                false => Vec::new(),
            };
            let request = Request::AssignDirectories {
                broker: self.broker,
                broker_epoch,
                assignments: assignments(&some),
            };
            (request, Told::Placed(some, waiting))
        } else {
            return;
        };
        self.under_way = true;
        let asked = controller.send(AskController(request)).into_actor(self);
        ctx.spawn(asked.map(|answer, keeper, ctx| {
            keeper.under_way = false;
            keeper.take_answer(told, answer, ctx);
        }));
    }

    fn take_answer(
        &mut self,
        told: Told,
        answer: Result<Result<Reply, super::controller::ControllerUnavailable>, MailboxError>,
        ctx: &mut Context<Self>,
    ) {
        match answer {
            Ok(Ok(Reply::ChangeDirectories(result) | Reply::AssignDirectories(result))) => {
                if let Err(refusal) = result {
                    // Another run of this broker has registered: nobody believes this one.
                    log::warn!(
                        "the controller does not want to hear of log directories: {refusal}"
                    );
                }
                match told {
                    Told::Directories(failed) => self.known_failed.extend(failed),
                    Told::Placed(_, waiting) => {
                        for waiter in waiting {
                            // Who hung up does not wait any more.
                            let _ = waiter.send(());
                        }
                    }
                }
                self.tell(ctx);
            }
            // The controller has ended: the broker stops.
            Err(_) => {}
            Ok(_) => {
                match told {
                    Told::Directories(_) => self.owes_directories = true,
                    Told::Placed(some, waiting) => {
                        for (key, directory) in some {
                            self.placed.entry(key).or_insert(directory);
                        }
                        self.waiting.extend(waiting);
                    }
                }
                ctx.run_later(RETRY, DirectoryKeeper::tell);
            }
        }
    }
}

fn spare(dirs: &LogDirs, spared: &[PathBuf]) {
    for dir in dirs.all() {
        dir.set_cordoned(spared.contains(dir.path()));
    }
}

/// The same, by directory and topic.
fn assignments(placed: &BTreeMap<PartitionKey, DirectoryId>) -> Assignments {
    let mut by_directory: BTreeMap<DirectoryId, BTreeMap<TopicId, Vec<i32>>> = BTreeMap::new();
    for ((topic, partition), directory) in placed {
        let topics = by_directory.entry(*directory).or_default();
        topics.entry(*topic).or_default().push(*partition);
    }
    let by_directory = by_directory.into_iter();
    by_directory
        .map(|(directory, topics)| (directory, topics.into_iter().collect()))
        .collect()
}

impl Actor for DirectoryKeeper {
    type Context = Context<Self>;
}

/// Whom to tell.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellTo(pub Recipient<AskController>);

impl Handler<TellTo> for DirectoryKeeper {
    type Result = ();

    fn handle(&mut self, TellTo(controller): TellTo, ctx: &mut Context<Self>) {
        self.controller = Some(controller);
        self.tell(ctx);
    }
}

impl Handler<Registered> for DirectoryKeeper {
    type Result = ();

    fn handle(&mut self, Registered(epoch): Registered, ctx: &mut Context<Self>) {
        self.broker_epoch = Some(epoch);
        // A registration names all directories and spares none.
        self.owes_directories = !self.failed.is_empty() || !self.cordoned_ids().is_empty();
        self.tell(ctx);
    }
}

impl Handler<ReplicasPlaced> for DirectoryKeeper {
    type Result = ();

    fn handle(&mut self, ReplicasPlaced(placed): ReplicasPlaced, ctx: &mut Context<Self>) {
        self.placed.extend(placed);
        self.tell(ctx);
    }
}

impl Handler<Assign> for DirectoryKeeper {
    type Result = ResponseFuture<()>;

    fn handle(
        &mut self,
        Assign { key, directory }: Assign,
        ctx: &mut Context<Self>,
    ) -> Self::Result {
        let (told, known) = oneshot::channel();
        self.placed.insert(key, directory);
        // Who waits in vain asks again.
        self.waiting.retain(|waiter| !waiter.is_closed());
        self.waiting.push(told);
        self.tell(ctx);
        Box::pin(async move {
            // A keeper that is gone belongs to a broker that stops.
            let _ = known.await;
        })
    }
}

/// Who leaves the partitions of a directory that fails.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ServedBy(pub Vec<Recipient<DirectoryFailed>>);

impl Handler<ServedBy> for DirectoryKeeper {
    type Result = ();

    fn handle(&mut self, ServedBy(hosts): ServedBy, _: &mut Context<Self>) {
        for id in &self.failed {
            for host in &hosts {
                host.do_send(DirectoryFailed(*id));
            }
        }
        self.hosts = hosts;
    }
}

impl Handler<DirectoryFailed> for DirectoryKeeper {
    type Result = ();

    fn handle(&mut self, DirectoryFailed(id): DirectoryFailed, ctx: &mut Context<Self>) {
        if !self.failed.insert(id) {
            return;
        }
        let dirs = self.dirs.all();
        if let Some(dir) = dirs.iter().find(|dir| dir.id() == id) {
            dir.vacate();
            if *dir.path() == self.failures.metadata {
                let path = dir.path().display();
                (self.failures.end)(format!("{path}, which has the metadata, has failed"));
            }
        }
        if dirs.iter().all(|dir| dir.is_offline()) {
            (self.failures.end)("all its log directories have failed".to_owned());
        }
        for host in &self.hosts {
            host.do_send(DirectoryFailed(id));
        }
        self.owes_directories = true;
        self.tell(ctx);
        ctx.run_later(self.failures.timeout, move |keeper, _| {
            if !keeper.known_failed.contains(&id) {
                let why = "the controller did not hear of a failed log directory within log.dir.failure.timeout.ms";
                (keeper.failures.end)(why.to_owned());
            }
        });
    }
}

impl Handler<MetadataChanged> for DirectoryKeeper {
    type Result = ();

    fn handle(
        &mut self,
        MetadataChanged { image, delta }: MetadataChanged,
        ctx: &mut Context<Self>,
    ) {
        let of_brokers = |kind: ResourceKind| kind == ResourceKind::Broker;
        if !delta
            .configs_changed
            .iter()
            .any(|changed| of_brokers(changed.kind))
        {
            return;
        }
        let before = self.cordoned_ids();
        spare(&self.dirs, &(self.cordoned)(&image));
        if self.cordoned_ids() != before {
            self.owes_directories = true;
            self.tell(ctx);
        }
    }
}

/// Ends the keeper: the directories know its address, and it knows them, so that it would never end
/// by itself.
#[derive(Message)]
#[rtype(result = "()")]
pub struct EndKeeping;

impl Handler<EndKeeping> for DirectoryKeeper {
    type Result = ();

    fn handle(&mut self, _: EndKeeping, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

#[cfg(test)]
#[path = "directory_keeper_tests.rs"]
mod tests;
