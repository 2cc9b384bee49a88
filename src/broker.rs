//! The composition root: starts a broker in order, stops it in order.
//!
//! `cli` runs one; a host program starts as many as it likes inside its actix `System`. Nothing here
//! is global: disk, time, randomness and loggers come with the [`Environment`]. Invariant: a broker
//! that is ready has opened every partition it holds, and one that has stopped has given back every
//! thread, socket and lock.

mod disks;
mod environment;
mod front_desk;
mod groups;
mod quorum;
mod reception;

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use actix_rt::Arbiter;
use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::actors::clock::Clock;
use crate::actors::controller::AskController;
use crate::actors::groups::router::GroupRouter;
use crate::actors::log_dir_opening::DirectoryRefused;
use crate::actors::metadata::MetadataActor;
use crate::actors::observe::{OnPanic, PanicWatch};
use crate::actors::partition_host::{CloseAll, PartitionHost, PartitionRouter, Share};
use crate::actors::partition_opening::Opening;
use crate::actors::placement::Placement;
use crate::actors::settings::SettingsSource;
use crate::config::{Listener as ListenerConfig, ServerConfig};
use crate::metadata::controller::{BrokerRegistration, Reply, Request};
use crate::metadata::{ConfigTables, Endpoint, Image, TopicSettings};
use crate::model::{ClusterId, Uuid};
use crate::net::listener::{ListenOptions, Listener};
use crate::net::{ConnectionQuota, LogGate, NetError, Shutdown};
use crate::storage::StorageError;

use disks::Disks;
pub use environment::Environment;
use quorum::Quorum;
use reception::{Reception, ReceptionParts};

/// How long the quorum may take to elect this node, its only voter.
const LEADERSHIP_DEADLINE: Duration = Duration::from_secs(30);
const LEADERSHIP_POLL: Duration = Duration::from_millis(1);
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
}

/// Why a running broker ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the broker cannot go on: {0}; start it again, it recovers from its log")]
pub struct Fatal(pub String);

/// Starts brokers.
pub struct Broker;

/// A running broker. Dropping it leaves the broker running; [`BrokerHandle::stop`] ends it.
pub struct BrokerHandle {
    listening: Vec<(String, SocketAddr)>,
    cluster_id: ClusterId,
    image: Arc<ArcSwap<Image>>,
    fatal: watch::Receiver<Option<Fatal>>,
    shutdown: Shutdown,
    quota: ConnectionQuota,
    router: PartitionRouter,
    groups: GroupRouter,
    quorum: Quorum,
    disks: Disks,
    arbiters: Vec<Arbiter>,
    broker_epoch: i64,
    patience: Duration,
}

impl Broker {
    /// Starts a broker inside the running actix `System`; returns when it serves.
    ///
    /// # Errors
    /// When listeners, directories or the metadata log cannot be used. What was started has been
    /// given back then, but for arbiters that are ending.
    pub async fn start(
        config: ServerConfig,
        environment: Environment,
    ) -> Result<BrokerHandle, StartError> {
        let listeners = bind(&config)?;
        let clock = Clock::system();
        let disks = Disks::take(&config, &environment)?;
        let (tell_fatal, fatal) = watch::channel(None);
        let fatal_panic = fatal_on_panic(&environment, tell_fatal.clone());
        let placements = place(&config);
        let image = Arc::new(ArcSwap::from_pointee(Image::default()));
        let tables = config.tables();
        let opening = opening(&config, &environment, &disks, clock, &tables);
        let router = start_hosts(&placements.places, &opening);
        let settings = groups::settings(&config, &environment, Arc::clone(&opening.settings));
        let groups = groups::start_hosts(&placements.places, clock, &router, &settings);
        let hosts = router.hosts().iter();
        let stages = vec![
            hosts.map(|host| host.clone().recipient()).collect(),
            groups.listeners,
        ];
        let watch = PanicWatch::new("metadata", Arc::clone(&fatal_panic));
        let metadata = MetadataActor::new(Arc::clone(&image), stages, watch).start();
        let quorum = Quorum::start(
            &config,
            &environment,
            &tables,
            metadata,
            tell_fatal,
            fatal_panic,
        )?;
        let endpoints = endpoints(&config.listeners.open, &listeners);
        let broker_epoch = register(&config, &environment, &disks, &quorum, endpoints).await?;
        disks.tell_unknown(&image.load());
        let listening: Vec<_> = config
            .listeners
            .open
            .iter()
            .zip(&listeners)
            .map(|(config, listener)| (config.name.clone(), listener.address()))
            .collect();
        let handle = BrokerHandle {
            listening,
            cluster_id: disks.cluster_id.clone(),
            image,
            fatal,
            shutdown: Shutdown::new(),
            quota: ConnectionQuota::new(reception::quota_limits(&config)),
            router,
            groups: groups.router,
            quorum,
            disks,
            arbiters: placements.arbiters,
            broker_epoch,
            patience: Duration::from_millis(config.engine.shutdown_timeout_ms),
        };
        handle.open_doors(
            &config,
            &environment,
            clock,
            opening.settings,
            listeners,
            &placements.places,
        );
        Ok(handle)
    }
}

impl BrokerHandle {
    /// The listeners by name, with the ports they were given.
    pub fn listening(&self) -> &[(String, SocketAddr)] {
        &self.listening
    }

    /// The cluster.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The cluster's metadata, as published last.
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// Waits until the broker cannot go on; for ever, if that does not happen.
    pub async fn failed(&mut self) -> Fatal {
        match self
            .fatal
            .wait_for(Option::is_some)
            .await
            .map(|fatal| fatal.clone())
        {
            Ok(Some(fatal)) => fatal,
            // Nobody is left to tell of a failure.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Stops: connections finish what they have begun, logs are flushed and closed, and the
    /// directories marked as cleanly stopped.
    ///
    /// # Errors
    /// When something could not be flushed: the next start then recovers, as after a crash.
    pub async fn stop(self) -> Result<(), StorageError> {
        self.shutdown.begin();
        self.wait_for_connections().await;
        let mut closed = Ok(());
        for host in self.router.hosts() {
            // A host that is gone has panicked, and its logs will be recovered.
            closed = closed.and(host.send(CloseAll).await.unwrap_or(Ok(())));
        }
        self.quorum.stop().await;
        // A log that could not be closed has marked its directory; the others are left cleanly.
        let left = closed.and(self.disks.leave_cleanly(self.broker_epoch).await);
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        for arbiter in self.arbiters {
            // One that panicked has ended as well.
            let _ = arbiter.join();
        }
        left
    }

    async fn wait_for_connections(&self) {
        let gone = async {
            while self.quota.open() > 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        if tokio::time::timeout(self.patience, gone).await.is_err() {
            log::warn!("{} connections were cut off", self.quota.open());
        }
    }

    fn open_doors(
        &self,
        config: &ServerConfig,
        environment: &Environment,
        clock: Clock,
        settings: SettingsSource,
        listeners: Vec<Listener>,
        places: &[Placement],
    ) {
        let parts = ReceptionParts::new(self, config, environment, clock, settings);
        let receptions: Vec<Addr<Reception>> = places
            .iter()
            .map(|place| {
                let parts = parts.clone();
                place.start(move |_| Reception::new(parts))
            })
            .collect();
        let complaints = Arc::new(LogGate::new(COMPLAINTS_PER_SECOND));
        for ((name, _), listener) in self.listening.iter().zip(listeners) {
            let accepting = reception::accept(
                listener,
                Arc::from(name.as_str()),
                receptions.clone(),
                self.quota.clone(),
                self.shutdown.clone(),
                Arc::clone(&complaints),
            );
            actix_rt::spawn(accepting);
        }
    }
}

fn bind(config: &ServerConfig) -> Result<Vec<Listener>, StartError> {
    let bytes = |bytes: Option<usize>| bytes.and_then(|bytes| u32::try_from(bytes).ok());
    let options = ListenOptions {
        backlog: config.sockets.backlog,
        send_buffer_bytes: bytes(config.sockets.send_buffer_bytes),
        receive_buffer_bytes: bytes(config.sockets.receive_buffer_bytes),
    };
    let bind = |listener: &ListenerConfig| {
        let source = |source| StartError::Listener {
            listener: listener.to_string(),
            source,
        };
        Listener::bind(resolve(listener)?, &options).map_err(source)
    };
    config.listeners.open.iter().map(bind).collect()
}

fn resolve(listener: &ListenerConfig) -> Result<SocketAddr, StartError> {
    let host = if listener.bind.host.is_empty() {
        "::"
    } else {
        &listener.bind.host
    };
    let failed = |reason: String| StartError::Host {
        listener: listener.to_string(),
        reason,
    };
    let mut addresses = (host, listener.bind.port)
        .to_socket_addrs()
        .map_err(|error| failed(error.to_string()))?;
    addresses
        .next()
        .ok_or_else(|| failed("it has no address".to_owned()))
}

/// What clients are told of each listener, with the port it was given.
fn endpoints(configured: &[ListenerConfig], bound: &[Listener]) -> Vec<Endpoint> {
    let endpoints = configured
        .iter()
        .zip(bound)
        .map(|(listener, bound)| Endpoint {
            listener: listener.name.clone(),
            host: listener.advertised.host.clone(),
            port: match listener.advertised.port {
                0 => bound.address().port(),
                port => port,
            },
        });
    endpoints.collect()
}

/// A panic of an actor without which the broker is not right ends the broker.
fn fatal_on_panic(environment: &Environment, tell: watch::Sender<Option<Fatal>>) -> OnPanic {
    let metrics = environment.metrics.clone();
    Arc::new(move |name| {
        metrics.actor_panicked("core");
        tell.send_replace(Some(Fatal(format!("its {name} actor panicked"))));
    })
}

/// Where connections, partitions and logs live.
struct Places {
    places: Vec<Placement>,
    arbiters: Vec<Arbiter>,
}

fn place(config: &ServerConfig) -> Places {
    let arbiters: Vec<Arbiter> = (0..config.engine.data_threads.unwrap_or(1))
        .map(|_| Arbiter::new())
        .collect();
    let places = arbiters
        .iter()
        .map(|arbiter| Placement::On(arbiter.handle()))
        .collect();
    Places { places, arbiters }
}

fn opening(
    config: &ServerConfig,
    environment: &Environment,
    disks: &Disks,
    clock: Clock,
    tables: &ConfigTables,
) -> Opening {
    let (tables, node) = (tables.clone(), config.node.id);
    let settings: SettingsSource =
        Arc::new(move |image, topic| TopicSettings::resolve(image, &tables, node, topic));
    let metrics = environment.metrics.clone();
    let expiration = config.values.text("producer.id.expiration.ms");
    Opening {
        broker: node,
        clock,
        dirs: Arc::clone(&disks.log_dirs),
        settings,
        producer_id_expiration_ms: expiration
            .and_then(|text| text.parse().ok())
            .unwrap_or(24 * 60 * 60 * 1000),
        on_panic: Arc::new(move |_| metrics.actor_panicked("partition")),
        random: Arc::clone(&environment.random),
    }
}

fn start_hosts(places: &[Placement], opening: &Opening) -> PartitionRouter {
    let count = places.len();
    let hosts = places.iter().enumerate().map(|(index, place)| {
        let (opening, share) = (opening.clone(), Share { index, count });
        place.start(move |_| PartitionHost::new(opening, share))
    });
    PartitionRouter::new(hosts.collect())
}

/// Registers the broker; when this returns, its partitions are open and the image is published.
async fn register(
    config: &ServerConfig,
    environment: &Environment,
    disks: &Disks,
    quorum: &Quorum,
    endpoints: Vec<Endpoint>,
) -> Result<i64, StartError> {
    let registration = BrokerRegistration {
        broker: config.node.id,
        incarnation: Uuid::from_random((environment.random)()),
        endpoints,
        rack: config.node.rack.clone(),
        directories: disks.log_dirs.all().iter().map(|dir| dir.id()).collect(),
        unclean: disks.unclean,
    };
    let registered = async {
        loop {
            let request = Request::RegisterBroker(registration.clone());
            match quorum.controller.send(AskController(request)).await {
                Ok(Ok(Reply::RegisterBroker(Ok(epoch)))) => return Ok(epoch),
                Ok(Ok(Reply::RegisterBroker(Err(refusal)))) => return Err(refusal.to_string()),
                Ok(Ok(_)) => return Err("it gave another answer".to_owned()),
                // The quorum has not elected its only voter yet.
                Ok(Err(_)) => tokio::time::sleep(LEADERSHIP_POLL).await,
                Err(_) => return Err("it has ended".to_owned()),
            }
        }
    };
    match tokio::time::timeout(LEADERSHIP_DEADLINE, registered).await {
        Ok(registered) => registered.map_err(StartError::Registration),
        Err(_) => Err(StartError::Registration(
            "no leader was elected in time".to_owned(),
        )),
    }
}
