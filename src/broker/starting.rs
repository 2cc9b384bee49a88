//! The steps of a broker's start that make its parts.
//!
//! Called by `Broker::start`, in this order. Invariant: whatever a step has begun ends when its
//! result is dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::disks::Disks;
use super::quorum::Quorum;
use super::running::Running;
use super::{Environment, Fatal};
use crate::actors::clock::Clock;
use crate::actors::controller::{AskController, AwaitLeadership, ControllerUnavailable};
use crate::actors::observe::OnPanic;
use crate::actors::partition_host::{PartitionHost, PartitionRouter, Share};
use crate::actors::partition_opening::Opening;
use crate::actors::placement::Placement;
use crate::actors::settings::SettingsSource;
use crate::config::ServerConfig;
use crate::metadata::controller::{BrokerRegistration, Reply, Request};
use crate::metadata::{ConfigTables, Endpoint, TopicSettings};
use crate::model::Uuid;

/// How long the quorum may take to elect this node, its only voter.
const LEADERSHIP_DEADLINE: Duration = Duration::from_secs(30);
/// How long until a controller that is busy is asked once more.
const BUSY_BACKOFF: Duration = Duration::from_millis(1);

/// A panic of an actor without which the broker is not right ends the broker.
pub(super) fn fatal_on_panic(
    environment: &Environment,
    tell: watch::Sender<Option<Fatal>>,
) -> OnPanic {
    let metrics = environment.metrics.clone();
    Arc::new(move |name| {
        metrics.actor_panicked("core");
        tell.send_replace(Some(Fatal(format!("its {name} actor panicked"))));
    })
}

/// What partitions are opened with.
pub(super) fn opening(
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

/// One host of partitions per place.
pub(super) fn start_hosts(places: &[Placement], opening: &Opening) -> PartitionRouter {
    let count = places.len();
    let hosts = places.iter().enumerate().map(|(index, place)| {
        let (opening, share) = (opening.clone(), Share { index, count });
        place.start(move |_| PartitionHost::new(opening, share))
    });
    PartitionRouter::new(hosts.collect())
}

/// As what this run of the broker registers.
pub(super) fn registration(
    config: &ServerConfig,
    environment: &Environment,
    disks: &Disks,
    endpoints: Vec<Endpoint>,
) -> BrokerRegistration {
    BrokerRegistration {
        broker: config.node.id,
        incarnation: Uuid::from_random((environment.random)()),
        endpoints,
        rack: config.node.rack.clone(),
        directories: disks.online(),
        unclean: disks.unclean,
    }
}

/// Registers a broker that starts, unless it finds that it cannot go on. See [`register`].
pub(super) async fn enter(
    running: &Running,
    mut fatal: watch::Receiver<Option<Fatal>>,
) -> Result<i64, String> {
    tokio::select! {
        entered = register(&running.quorum, running.registration.clone()) => entered,
        Ok(fatal) = fatal.wait_for(Option::is_some) => {
            Err(fatal.clone().map_or_else(String::new, |Fatal(reason)| reason))
        }
    }
}

/// Registers the broker, which gives its epoch; when this returns, its partitions are open and the
/// image is published. The error is a sentence.
pub(super) async fn register(
    quorum: &Quorum,
    registration: BrokerRegistration,
) -> Result<i64, String> {
    let registered = async {
        loop {
            let request = Request::RegisterBroker(registration.clone());
            match quorum.controller.send(AskController(request)).await {
                Ok(Ok(Reply::RegisterBroker(Ok(epoch)))) => return Ok(epoch),
                Ok(Ok(Reply::RegisterBroker(Err(refusal)))) => return Err(refusal.to_string()),
                Ok(Ok(_)) => return Err("it gave another answer".to_owned()),
                // The quorum has not elected its only voter yet.
                Ok(Err(ControllerUnavailable::NotController { .. })) => {
                    // One that has ended says so when it is asked again.
                    let _ = quorum.controller.send(AwaitLeadership).await;
                }
                Ok(Err(_)) => tokio::time::sleep(BUSY_BACKOFF).await,
                Err(_) => return Err("it has ended".to_owned()),
            }
        }
    };
    match tokio::time::timeout(LEADERSHIP_DEADLINE, registered).await {
        Ok(registered) => registered,
        Err(_) => Err("no leader was elected in time".to_owned()),
    }
}
