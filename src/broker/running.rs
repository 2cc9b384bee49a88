//! Everything a running broker consists of, kept by one task that takes its owner's orders.
//!
//! The task lives on the thread of the broker's actix `System`; the owner's handle may be anywhere.
//! When the handle is dropped, the broker stops as if it had been told to. Invariant: when a stop has
//! been answered, threads, sockets, files and locks are given back.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use actix::Addr;
use actix_rt::Arbiter;
use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};

use super::StopError;
use super::directories::Caretakers;
use super::disks::Disks;
use super::doors::{AddListenerError, Doors};
use super::quorum::Quorum;
use super::starting::register;
use crate::actors::cleaner::{CleanerActor, StopCleaning};
use crate::actors::controller::{AskController, ControllerUnavailable};
use crate::actors::directory_keeper::Registered;
use crate::actors::groups::router::GroupRouter;
use crate::actors::log_dir::LogDir;
use crate::actors::moving::{LeftCopy, Resume, StopMoves};
use crate::actors::partition_host::{CloseAll, PartitionRouter};
use crate::actors::placement::Placement;
use crate::api::alter_replica_log_dirs::replica_here;
use crate::metadata::Image;
use crate::metadata::controller::{BrokerRegistration, Reply, Request};
use crate::model::BrokerId;
use crate::net::{ConnectionQuota, Shutdown};

/// How long a stop waits for actors that have nothing left to do but to end.
const FAREWELL: Duration = Duration::from_secs(1);

/// What the owner asks for.
pub(super) enum Order {
    /// Ask the controller.
    Ask {
        request: Request,
        told: oneshot::Sender<Result<Reply, ControllerUnavailable>>,
    },
    /// Listen on one more address.
    AddListener {
        address: String,
        told: oneshot::Sender<Result<SocketAddr, AddListenerError>>,
    },
    /// Stop.
    Stop { told: Stopped },
}

/// Who waits for the end.
pub(super) type Stopped = oneshot::Sender<Result<(), StopError>>;

/// The threads on which connections, partitions and logs live. They end when this is dropped.
pub(super) struct Places {
    arbiters: Vec<(Arbiter, oneshot::Receiver<()>)>,
}

impl Places {
    /// Starts so many.
    pub(super) fn start(count: usize) -> Places {
        let start = || {
            let arbiter = Arbiter::new();
            let (alive, ended) = oneshot::channel();
            arbiter.spawn(async move {
                let _alive: oneshot::Sender<()> = alive;
                std::future::pending().await
            });
            (arbiter, ended)
        };
        Places {
            arbiters: (0..count.max(1)).map(|_| start()).collect(),
        }
    }

    /// Each as a place for actors.
    pub(super) fn list(&self) -> Vec<Placement> {
        let arbiters = self.arbiters.iter();
        arbiters
            .map(|(arbiter, _)| Placement::On(arbiter.handle()))
            .collect()
    }

    /// Ends them with everybody who is there, and waits for it.
    async fn end(&mut self) {
        for (arbiter, _) in &self.arbiters {
            arbiter.stop();
        }
        for (arbiter, ended) in self.arbiters.drain(..) {
            // It is dropped with the arbiter's tasks; after it the thread only ends.
            let _ = ended.await;
            // One that panicked has ended as well.
            let _ = arbiter.join();
        }
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for (arbiter, _) in &self.arbiters {
            arbiter.stop();
        }
    }
}

/// See the module.
pub(super) struct Running {
    pub(super) image: Arc<ArcSwap<Image>>,
    pub(super) shutdown: Shutdown,
    pub(super) quota: ConnectionQuota,
    pub(super) router: PartitionRouter,
    pub(super) groups: GroupRouter,
    pub(super) cleaner: Addr<CleanerActor>,
    pub(super) quorum: Quorum,
    pub(super) caretakers: Caretakers,
    pub(super) disks: Disks,
    pub(super) places: Places,
    pub(super) doors: Option<Doors>,
    pub(super) registration: BrokerRegistration,
    pub(super) broker_epoch: i64,
    pub(super) patience: Duration,
    /// What every actor without which the broker is not right holds until it is gone.
    pub(super) core: Weak<dyn Fn(&str) + Send + Sync>,
}

impl Drop for Running {
    /// Also when the broker did not come to run.
    fn drop(&mut self) {
        self.shutdown.begin();
        self.quorum.begin_stop();
    }
}

/// Carries out orders until the last one, which is to stop. Answers who is to be told of the end, if
/// anybody is, and what.
pub(super) async fn keep(
    mut running: Running,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> Option<(Stopped, Result<(), StopError>)> {
    loop {
        match orders.recv().await {
            Some(Order::Ask { request, told }) => {
                let asked = running.quorum.controller.send(AskController(request));
                actix_rt::spawn(async move {
                    let reply = asked.await.unwrap_or(Err(ControllerUnavailable::Undecided));
                    // The asker may have hung up; that is its right.
                    let _ = told.send(reply);
                });
            }
            Some(Order::AddListener { address, told }) => {
                let _ = told.send(running.add_listener(&address).await);
            }
            Some(Order::Stop { told }) => return Some((told, running.stop().await)),
            None => {
                if let Err(error) = running.stop().await {
                    log::warn!("{error}");
                }
                return None;
            }
        }
    }
}

impl Running {
    /// Opens a port, has it advertised, and accepts connections from then on.
    async fn add_listener(&mut self, address: &str) -> Result<SocketAddr, AddListenerError> {
        let Some(doors) = &mut self.doors else {
            return Err(AddListenerError::Stopped);
        };
        let (endpoint, listener) = doors.prepare(address)?;
        let (name, bound) = (endpoint.listener.clone(), listener.address());
        let mut registration = self.registration.clone();
        registration.endpoints.push(endpoint);
        // What this run found at its start was told at its start.
        registration.unclean = false;
        registration.directories = self.disks.online();
        register(&self.quorum, registration.clone())
            .await
            .map_err(AddListenerError::Registration)?;
        self.registration = registration;
        let again = Registered(self.broker_epoch);
        self.caretakers.keeper.do_send(again);
        doors.open(&name, listener);
        Ok(bound)
    }

    /// The broker has registered and its partitions are open: what comes now is new, and what an
    /// earlier life had begun goes on.
    pub(super) fn look_after_directories(&mut self, broker: BrokerId) {
        let image = self.image.load();
        self.disks.log_dirs.note_started();
        let registered = Registered(self.broker_epoch);
        self.caretakers.keeper.do_send(registered);
        self.disks.tell_unknown(&image);
        let copies = std::mem::take(&mut self.disks.copies).into_iter();
        let known = |copy: LeftCopy| {
            let key = replica_here(&image, &copy.name, broker);
            (copy, key)
        };
        self.caretakers
            .mover
            .do_send(Resume(copies.map(known).collect()));
    }

    async fn stop(self) -> Result<(), StopError> {
        self.shutdown.begin();
        self.wait_for_connections().await;
        // A mover that is gone has panicked, and moves nothing.
        let stopped = self.caretakers.mover.send(StopMoves);
        if tokio::time::timeout(self.patience, stopped).await.is_err() {
            log::warn!("a move between log directories has not stopped in time");
        }
        self.stop_cleaning().await;
        let mut closed = Ok(());
        for host in self.router.hosts() {
            // A host that is gone has panicked, and its logs will be recovered.
            closed = closed.and(host.send(CloseAll).await.unwrap_or(Ok(())));
        }
        self.quorum.stop().await;
        // A log that could not be closed has marked its directory; the others are left cleanly.
        let left = closed.and(self.disks.leave_cleanly(self.broker_epoch).await);
        self.give_back().await;
        left.map_err(StopError::NotFlushed)
    }

    /// What a cleaner has not put in place by then never is: the logs are closed.
    async fn stop_cleaning(&self) {
        // A cleaner that is gone cleans nothing.
        let stopped = self.cleaner.send(StopCleaning);
        if tokio::time::timeout(self.patience, stopped).await.is_err() {
            log::warn!("the cleaner has not stopped in time");
        }
    }

    /// Ends what a start that failed has begun; nothing is marked as cleanly stopped.
    pub(super) async fn abandon(self) {
        self.shutdown.begin();
        self.stop_cleaning().await;
        self.quorum.stop().await;
        self.give_back().await;
    }

    /// Ends everybody and everything; logs and quorum have been closed.
    async fn give_back(mut self) {
        if let Some(mut doors) = self.doors.take() {
            doors.closed().await;
        }
        self.places.end().await;
        self.disks.end_threads().await;
        let (core, directories) = (self.core.clone(), self.disks.watch_gone());
        drop(self);
        // Actors that nobody can reach any more end at their next turn.
        let gone = async {
            while core.strong_count() > 0 || directories.iter().any(is_held) {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(FAREWELL, gone).await.is_err() {
            log::warn!("parts of a stopped broker have not ended yet");
        }
    }

    async fn wait_for_connections(&self) {
        if tokio::time::timeout(self.patience, self.quota.empty())
            .await
            .is_err()
        {
            log::warn!("{} connections were cut off", self.quota.open());
        }
    }
}

fn is_held(directory: &Weak<LogDir>) -> bool {
    directory.strong_count() > 0
}
