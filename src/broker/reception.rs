//! One reception per data arbiter: takes accepted connections and gives each an actor.
//!
//! It holds what the connections of its arbiter share: the gateway of the front desk, limits and
//! credits. Invariant: a connection never leaves the arbiter of its reception.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::io::DuplexStream;

use super::Environment;
use super::directories::Directories;
use super::doors::IN_PROCESS;
use super::front_desk::{Controller, Levels, QuorumState};
use super::groups::Groups;
use super::quorum::Quorum;
use super::running::Running;
use crate::actors::clock::Clock;
use crate::actors::connection::ConnectionActor;
use crate::actors::groups::router::GroupRouter;
use crate::actors::log_dirs::LogDirs;
use crate::actors::moving::Mover;
use crate::actors::observe::{OnPanic, PanicWatch};
use crate::actors::partition_host::PartitionRouter;
use crate::actors::settings::SettingsSource;
use crate::api::data_path::{DataLimits, DataPath};
use crate::api::dispatch::FrontDesk;
use crate::api::fetch_session::FetchSessions;
use crate::api::gateway::{BrokerFacts, Gateway};
use crate::api::peer::Connection;
use crate::config::ServerConfig;
use crate::metadata::Image;
use crate::net::listener::{Accepted, Listener};
use crate::net::{
    ConnectionContext, ConnectionLimits, ConnectionQuota, ConnectionSlot, Credits, LogGate,
    QuotaLimits, Shutdown, Transport, UnreadAnswers,
};
use crate::telemetry::log_levels::LogLevels;

/// How long a question to a partition may take before its asker is told that it timed out.
const PARTITION_PATIENCE: Duration = Duration::from_secs(30);
/// How many partitions all fetch sessions of an arbiter may name together.
const SESSION_PARTITIONS_MAX: usize = 1_000_000;
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What a reception is made of; sent to its arbiter.
#[derive(Clone)]
pub(super) struct ReceptionParts {
    image: Arc<ArcSwap<Image>>,
    facts: Arc<BrokerFacts>,
    quorum: Quorum,
    log_dirs: Arc<LogDirs>,
    mover: Addr<Mover>,
    log_levels: Option<Arc<LogLevels>>,
    router: PartitionRouter,
    groups: GroupRouter,
    clock: Clock,
    limits: DataLimits,
    settings: SettingsSource,
    sessions_max: usize,
    random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
    context: ConnectionContext,
    on_panic: OnPanic,
}

impl ReceptionParts {
    pub(super) fn new(
        broker: &Running,
        config: &ServerConfig,
        environment: &Environment,
        clock: Clock,
        settings: SettingsSource,
    ) -> ReceptionParts {
        let metrics = environment.metrics.clone();
        ReceptionParts {
            image: Arc::clone(&broker.image),
            facts: Arc::new(BrokerFacts {
                cluster_id: broker.disks.cluster_id.clone(),
                broker_id: config.node.id,
                tables: Arc::new(config.tables()),
            }),
            quorum: broker.quorum.clone(),
            log_dirs: Arc::clone(&broker.disks.log_dirs),
            mover: broker.caretakers.mover.clone(),
            log_levels: environment.log_levels.clone(),
            router: broker.router.clone(),
            groups: broker.groups.clone(),
            clock,
            limits: data_limits(config),
            settings,
            sessions_max: config.limits.fetch_sessions_max,
            random: Arc::clone(&environment.random),
            context: context(config, broker.shutdown.clone()),
            on_panic: Arc::new(move |_| metrics.actor_panicked("connection")),
        }
    }
}

pub(super) fn data_limits(config: &ServerConfig) -> DataLimits {
    DataLimits {
        decompressed_bytes_max: usize::try_from(config.limits.decompressed_bytes_max)
            .unwrap_or(usize::MAX),
        sendfile_bytes_min: config.engine.sendfile_bytes_min,
        fetch_bytes_max: config.limits.fetch_bytes_max,
        patience: PARTITION_PATIENCE,
    }
}

fn context(config: &ServerConfig, shutdown: Shutdown) -> ConnectionContext {
    let limits = &config.limits;
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    ConnectionContext {
        limits: Arc::new(ConnectionLimits {
            frame_bytes_max: limits.request_bytes_max,
            requests_in_flight_max: limits.requests_per_connection_max,
            bytes_in_flight_max: bytes(limits.request_bytes_per_connection_max),
            idle: limits
                .connection_idle_ms_max
                .map_or(NEVER, Duration::from_millis),
            frame_stall: Duration::from_millis(limits.frame_stall_ms_max),
            write_stall: Duration::from_millis(limits.write_stall_ms_max),
            ..ConnectionLimits::default()
        }),
        credits: limits
            .queued_request_bytes_max
            .map_or_else(Credits::unlimited, |max| Credits::new(bytes(max))),
        unread: UnreadAnswers::new(limits.queued_request_bytes_max.map_or(usize::MAX, bytes)),
        shutdown,
        complaints: Arc::new(LogGate::new(super::COMPLAINTS_PER_SECOND)),
    }
}

/// `max.connections` and its kin.
pub(super) fn quota_limits(config: &ServerConfig) -> QuotaLimits {
    QuotaLimits {
        total: config.limits.connections_max,
        per_address: config.limits.connections_per_ip_max,
        overrides: config
            .limits
            .connections_per_ip_overrides
            .clone()
            .into_iter()
            .collect(),
    }
}

/// See the module.
pub(super) struct Reception {
    gateway: Rc<Gateway>,
    context: ConnectionContext,
    on_panic: OnPanic,
}

impl Reception {
    pub(super) fn new(parts: ReceptionParts) -> Reception {
        let random = Arc::clone(&parts.random);
        let random_u32 = move || {
            let bytes = random();
            u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
        };
        let data = DataPath::new(
            parts.router,
            parts.clock,
            parts.limits,
            parts.settings,
            FetchSessions::new(parts.sessions_max, SESSION_PARTITIONS_MAX),
            Box::new(random_u32),
        );
        let groups = Groups {
            router: parts.groups,
            image: Arc::clone(&parts.image),
            random: parts.random,
        };
        let gateway = Gateway {
            image: parts.image,
            facts: parts.facts,
            controller: Rc::new(Controller(parts.quorum.controller)),
            quorum: Rc::new(QuorumState(parts.quorum.quorum)),
            log_dirs: Rc::new(Directories {
                dirs: parts.log_dirs,
                mover: parts.mover,
            }),
            groups: Rc::new(groups),
            loggers: Rc::new(Levels(parts.log_levels)),
            complaints: Arc::clone(&parts.context.complaints),
            data: Rc::new(data),
        };
        Reception {
            gateway: Rc::new(gateway),
            context: parts.context,
            on_panic: parts.on_panic,
        }
    }
}

impl Actor for Reception {
    type Context = Context<Self>;
}

/// A connection was accepted on a listener.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Arrived {
    accepted: Accepted,
    listener: Arc<str>,
}

impl Handler<Arrived> for Reception {
    type Result = ();

    fn handle(&mut self, Arrived { accepted, listener }: Arrived, _: &mut Context<Self>) {
        let transport = match Transport::from_accepted(accepted.stream) {
            Ok(transport) => transport,
            Err(error) => return log::debug!("{} was lost: {error}", accepted.peer),
        };
        let connection = Connection::anonymous(listener, accepted.peer.ip().to_string());
        let name = format!("connection of {}", accepted.peer);
        self.serve(transport, connection, name, accepted.slot);
    }
}

/// A connection without a socket begins.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Entered {
    pub(super) pipe: DuplexStream,
    pub(super) slot: ConnectionSlot,
}

impl Handler<Entered> for Reception {
    type Result = ();

    fn handle(&mut self, Entered { pipe, slot }: Entered, _: &mut Context<Self>) {
        let connection = Connection::anonymous(IN_PROCESS, IN_PROCESS);
        let name = "connection from inside the process".to_owned();
        self.serve(Transport::Pipe(pipe), connection, name, slot);
    }
}

impl Reception {
    fn serve(
        &self,
        transport: Transport,
        connection: Connection,
        name: String,
        slot: ConnectionSlot,
    ) {
        let service = FrontDesk::new(Rc::clone(&self.gateway), connection);
        let watch = PanicWatch::new(name, Arc::clone(&self.on_panic));
        let context = self.context.clone();
        ConnectionActor::new(transport, service, context, Some(slot), watch).start();
    }
}

/// Accepts connections and deals them out to the receptions, one after the other.
pub(super) async fn accept(
    listener: Listener,
    name: Arc<str>,
    receptions: Arc<[Addr<Reception>]>,
    quota: ConnectionQuota,
    shutdown: Shutdown,
    complaints: Arc<LogGate>,
) {
    let mut turn = 0;
    let hand_over = move |accepted| {
        let listener = Arc::clone(&name);
        receptions[turn % receptions.len()].do_send(Arrived { accepted, listener });
        turn = turn.wrapping_add(1);
    };
    listener.run(quota, shutdown, complaints, hand_over).await;
}
