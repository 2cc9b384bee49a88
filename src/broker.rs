//! The composition root: starts a broker in order, stops it in order.
//!
//! `cli` runs one; a host program starts as many as it likes, each with a disk, metrics and threads of
//! its own. Nothing here is global: disk, time, randomness and loggers come with the
//! [`Environment`], no signal is caught, and nothing is written but through the `log` crate.
//!
//! | the host has | it calls | the broker's actors live |
//! |---|---|---|
//! | an actix `System` | [`Broker::start`], on a thread of the `System` | there, and on threads of their own for data |
//! | another runtime, such as `#[tokio::main]` | [`Broker::spawn`] | on a thread that the broker starts, and as above |
//!
//! The [`BrokerHandle`] is the same for both and may be used on any thread. Invariant: a broker that
//! is ready has opened every partition it holds, and one that has stopped has given back every
//! thread, socket, file and lock.
//!
//! ```
//! use milena::broker::{Broker, Environment};
//! use milena::config::ServerConfig;
//! use milena::model::Offset;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ServerConfig::embedded(&[])?;
//! let broker = Broker::spawn(config, Environment::in_memory()).await?;
//!
//! broker.create_topic("letters", 1, &[]).await?;
//! let letters = broker.partition("letters", 0);
//! let offset = letters.append_record(None, Some(b"dear Milena")).await?;
//! let read = letters.read(offset, 1 << 20).await?;
//! assert_eq!(read.records()?[0].value.as_deref(), Some(&b"dear Milena"[..]));
//! assert_eq!(read.next_offset, Offset(1));
//!
//! // Other programs reach it once it listens somewhere.
//! let address = broker.add_listener("127.0.0.1:0").await?;
//! assert_ne!(address.port(), 0);
//!
//! broker.stop().await?;
//! # Ok(())
//! # }
//! ```

mod cleaner;
mod directories;
mod disks;
mod doors;
mod environment;
mod front_desk;
mod groups;
mod handle;
mod own_thread;
mod partition;
mod quorum;
mod reception;
mod running;
mod starting;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};

use crate::actors::cleaner::StopCleaning;
use crate::actors::clock::Clock;
use crate::actors::log_dir_opening::DirectoryRefused;
use crate::actors::metadata::{MetadataActor, MetadataChanged};
use crate::actors::observe::PanicWatch;
use crate::actors::partition_host::PartitionRouter;
use crate::actors::placement::Placement;
use crate::actors::settings::SettingsSource;
use crate::config::ServerConfig;
use crate::metadata::Image;
use crate::model::BrokerId;
use crate::net::listener::Listener;
use crate::net::{ConnectionQuota, NetError, Shutdown};
use crate::storage::StorageError;

use directories::Caretakers;
use disks::Disks;
pub use doors::AddListenerError;
use doors::Doors;
pub use environment::Environment;
pub use handle::{BrokerHandle, ConnectError, CreateTopicError};
use partition::Desk;
pub use partition::{AppendError, Fetched, PartitionHandle, ReadError, Record};
use quorum::Quorum;
use reception::{Reception, ReceptionParts};
use running::{Order, Places, Running, keep};

/// Lines about bad clients, per second.
const COMPLAINTS_PER_SECOND: u32 = 5;

/// Why a broker did not start. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A listener cannot be opened.
    #[error("listeners={listener}: {source}; choose another address or port, or stop who has it")]
    Listener {
        /// Its name and address.
        listener: String,
        /// Why.
        source: NetError,
    },
    /// A listener's host is no address of this machine.
    #[error(
        "listeners={listener}: the host cannot be resolved ({reason}); name an address of this machine"
    )]
    Host {
        /// Its name and address.
        listener: String,
        /// Why.
        reason: String,
    },
    /// A log directory cannot be used.
    #[error(transparent)]
    Directory(#[from] DirectoryRefused),
    /// The metadata log cannot be used.
    #[error("the metadata log cannot be used: {0}")]
    MetadataLog(#[from] StorageError),
    /// The system gives no thread.
    #[error("a thread cannot be started: {0}")]
    Threads(std::io::Error),
    /// The broker could not be registered with its own controller.
    #[error("the broker could not be registered with the controller: {0}")]
    Registration(String),
    /// There is no actix `System` on this thread.
    #[error(
        "Broker::start needs an actix System on its thread; call Broker::spawn, which brings its own"
    )]
    NoSystem,
}

/// Why a broker did not stop cleanly. It has ended all the same; the next start recovers.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// Something could not be flushed, or marked as flushed.
    #[error(transparent)]
    NotFlushed(#[from] StorageError),
    /// The actix `System` it lived in ended first, and the broker with it.
    #[error("the broker's actix System ended before the broker was stopped")]
    SystemEnded,
}

/// Why a running broker ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the broker cannot go on: {0}; start it again, it recovers from its log")]
pub struct Fatal(pub String);

/// Starts brokers.
pub struct Broker;

/// A broker that runs, and both ends of its owner's orders.
type Begun = (BrokerHandle, Running, mpsc::UnboundedReceiver<Order>);

impl Broker {
    /// Starts a broker inside the actix `System` of this thread; returns when it serves. If the
    /// `System` ends before the broker was stopped, the broker ends as in a crash.
    ///
    /// ```
    /// use milena::broker::{Broker, Environment};
    /// use milena::config::ServerConfig;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// actix_rt::System::new().block_on(async {
    ///     let config = ServerConfig::embedded(&[("listeners", "PLAINTEXT://127.0.0.1:0")])?;
    ///     let broker = Broker::start(config, Environment::in_memory()).await?;
    ///     assert_eq!(broker.listening()[0].0, "PLAINTEXT");
    ///     broker.stop().await?;
    ///     Ok(())
    /// })
    /// # }
    /// ```
    ///
    /// # Errors
    /// When listeners, directories or the metadata log cannot be used. What was started has been
    /// given back then, but for threads that are ending.
    pub async fn start(
        config: ServerConfig,
        environment: Environment,
    ) -> Result<BrokerHandle, StartError> {
        if System::try_current().is_none() {
            return Err(StartError::NoSystem);
        }
        let (handle, running, orders) = Broker::begin(config, environment).await?;
        actix_rt::spawn(async move {
            if let Some((told, result)) = keep(running, orders).await {
                // Who does not wait any more has hung up.
                let _ = told.send(result);
            }
        });
        Ok(handle)
    }

    /// Starts a broker with an actix `System` of its own, on a thread of its own; returns when it
    /// serves. For every host that has no `System`, whatever its runtime.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn spawn(
        config: ServerConfig,
        environment: Environment,
    ) -> Result<BrokerHandle, StartError> {
        own_thread::spawn(config, environment).await
    }

    async fn begin(config: ServerConfig, environment: Environment) -> Result<Begun, StartError> {
        let listeners = doors::bind(&config)?;
        let clock = Clock::system();
        let disks = Disks::take(&config, &environment)?;
        let (tell_fatal, fatal) = watch::channel(None);
        let fatal_panic = starting::fatal_on_panic(&environment, tell_fatal.clone());
        let core = Arc::downgrade(&fatal_panic);
        let places = Places::start(config.engine.data_threads.unwrap_or_else(data_threads));
        let image = Arc::new(ArcSwap::from_pointee(Image::default()));
        let tables = config.tables();
        let caretakers = Caretakers::start(
            &config,
            &environment,
            &disks,
            clock,
            &image,
            tell_fatal.clone(),
            &fatal_panic,
        );
        let opening = starting::opening(&config, &environment, &disks, clock, &tables);
        let router = starting::start_hosts(&places.list(), &opening);
        let settings = groups::settings(&config, &environment, Arc::clone(&opening.settings));
        let groups = groups::start_hosts(&places.list(), clock, &router, &settings);
        let cleaner = cleaner::start(&config, &environment, &disks, clock, &tables);
        let followers = [groups.listeners, vec![cleaner.clone().recipient()]].concat();
        let stages = vec![caretakers.stage(), partition_stage(&router), followers];
        let watch = PanicWatch::new("metadata", Arc::clone(&fatal_panic));
        let metadata = MetadataActor::new(Arc::clone(&image), stages, watch).start();
        let quorum = Quorum::start(
            &config,
            &environment,
            &tables,
            metadata.clone(),
            tell_fatal,
            fatal_panic,
        );
        // Its timer keeps it, whoever has forgotten it.
        let quorum = quorum.inspect_err(|_| cleaner.do_send(StopCleaning))?;
        caretakers.meet(&quorum, &router);
        let endpoints = doors::endpoints(&config.listeners.open, &listeners, config.node.id);
        let mut running = Running {
            image,
            shutdown: Shutdown::new(),
            quota: ConnectionQuota::new(reception::quota_limits(&config)),
            registration: starting::registration(&config, &environment, &disks, endpoints),
            router,
            groups: groups.router,
            cleaner,
            quorum,
            caretakers,
            disks,
            places,
            doors: None,
            broker_epoch: -1,
            patience: Duration::from_millis(config.engine.shutdown_timeout_ms),
            core,
        };
        if let Err(reason) = running
            .enter(&metadata, fatal.clone(), config.node.id)
            .await
        {
            drop(opening);
            running.abandon().await;
            return Err(StartError::Registration(reason));
        }
        let settings = opening.settings.clone();
        let parts = ReceptionParts::new(&running, &config, &environment, clock, settings);
        let receptions = receptions(&running.places.list(), &parts);
        running.open_doors(&config, listeners, Arc::clone(&receptions));
        Ok(running.with_handle(&config, clock, opening.settings, receptions, fatal))
    }
}

/// One event loop for every two cores, where nobody says otherwise: the kernel's half of the work, the
/// disk threads and the clients of a small machine want cores as well.
fn data_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1))
}

/// The partition hosts, who are told of a change of the metadata first.
fn partition_stage(router: &PartitionRouter) -> Vec<Recipient<MetadataChanged>> {
    let hosts = router.hosts().iter();
    hosts.map(|host| host.clone().recipient()).collect()
}

/// One reception per place.
fn receptions(places: &[Placement], parts: &ReceptionParts) -> Arc<[Addr<Reception>]> {
    let receptions = places.iter().map(|place| {
        let parts = parts.clone();
        place.start(move |_| Reception::new(parts))
    });
    receptions.collect()
}

impl Running {
    /// Registers the broker, and opens its partitions with that.
    async fn enter(
        &mut self,
        metadata: &Addr<MetadataActor>,
        fatal: watch::Receiver<Option<Fatal>>,
        broker: BrokerId,
    ) -> Result<(), String> {
        self.broker_epoch = starting::enter(self, metadata, fatal).await?;
        self.look_after_directories(broker);
        Ok(())
    }

    fn open_doors(
        &mut self,
        config: &ServerConfig,
        listeners: Vec<Listener>,
        receptions: Arc<[Addr<Reception>]>,
    ) {
        let (quota, shutdown) = (self.quota.clone(), self.shutdown.clone());
        let mut doors = Doors::new(config, receptions, quota, shutdown);
        for (named, listener) in config.listeners.open.iter().zip(listeners) {
            doors.open(&named.name, listener);
        }
        self.doors = Some(doors);
    }

    /// Makes the owner's end.
    fn with_handle(
        self,
        config: &ServerConfig,
        clock: Clock,
        settings: SettingsSource,
        receptions: Arc<[Addr<Reception>]>,
        fatal: watch::Receiver<Option<Fatal>>,
    ) -> Begun {
        let (orders, to_come) = mpsc::unbounded_channel();
        let desk = Desk {
            image: Arc::clone(&self.image),
            broker: config.node.id,
            router: self.router.clone(),
            clock,
            limits: reception::data_limits(config),
            settings,
            shutdown: self.shutdown.clone(),
        };
        let listening = self.doors.as_ref().map(Doors::listening);
        let handle = BrokerHandle {
            cluster_id: self.disks.cluster_id.clone(),
            image: Arc::clone(&self.image),
            fatal,
            shutdown: self.shutdown.clone(),
            quota: self.quota.clone(),
            listening: listening.unwrap_or_default(),
            desk: Arc::new(desk),
            receptions,
            turn: AtomicUsize::new(0),
            orders,
            thread: None,
        };
        (handle, self, to_come)
    }
}
