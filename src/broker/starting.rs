//! The steps of a broker's start that make its parts.
//!
//! Called by `Broker::start`, in this order. Invariant: whatever a step has begun ends when its
//! result is dropped.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::disks::Disks;
use super::quorum::Quorum;
use super::running::Running;
use super::{Environment, Fatal};
use crate::actors::clock::Clock;
use crate::actors::controller::{AskController, AwaitLeadership, ControllerUnavailable};
use crate::actors::metadata::{AwaitPublished, MetadataActor};
use crate::actors::observe::OnPanic;
use crate::actors::partition_host::{PartitionHost, PartitionRouter, Share};
use crate::actors::partition_opening::Opening;
use crate::actors::placement::Placement;
use crate::actors::settings::SettingsSource;
use crate::config::ServerConfig;
use crate::metadata::controller::{BrokerRegistration, Reply, Request};
use crate::metadata::{ConfigTables, Endpoint, Image, TopicSettings};
use crate::model::{BrokerId, Uuid};

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

/// Registers a broker that starts, unless it finds that it cannot go on, and waits until its readers
/// see that, which is when its partitions are open. See [`register`].
pub(super) async fn enter(
    running: &Running,
    metadata: &Addr<MetadataActor>,
    mut fatal: watch::Receiver<Option<Fatal>>,
) -> Result<i64, String> {
    let registration = running.registration.clone();
    let entered = async {
        let broker = registration.broker;
        let epoch = register(&running.quorum, registration).await?;
        be_seen(&running.image, metadata, broker, epoch).await?;
        Ok(epoch)
    };
    tokio::select! {
        entered = entered => entered,
        Ok(fatal) = fatal.wait_for(Option::is_some) => {
            Err(fatal.clone().map_or_else(String::new, |Fatal(reason)| reason))
        }
    }
}

/// Waits until the published image has the broker in this epoch, however long its partitions take:
/// doors that open earlier would tell clients of topics that are not there.
async fn be_seen(
    image: &ArcSwap<Image>,
    metadata: &Addr<MetadataActor>,
    broker: BrokerId,
    epoch: i64,
) -> Result<(), String> {
    loop {
        let seen = image.load_full();
        let known = seen.brokers.get(&broker);
        if known.is_some_and(|known| known.broker_epoch == epoch) {
            return Ok(());
        }
        let next = metadata.send(AwaitPublished(seen.version.saturating_add(1)));
        next.await
            .map_err(|_| "the actor that follows the metadata has ended".to_owned())?;
    }
}

/// Registers the broker, which gives its epoch; when this returns it is committed, and published unless
/// that takes long. The error is a sentence.
pub(super) async fn register(
    quorum: &Quorum,
    registration: BrokerRegistration,
) -> Result<i64, String> {
    let deadline = Instant::now() + LEADERSHIP_DEADLINE;
    let late = || "no leader was elected in time".to_owned();
    loop {
        // While this is carried out the partitions are opened. After a crash that takes as long as
        // it takes, so it is not under the deadline.
        let request = Request::RegisterBroker(registration.clone());
        match quorum.controller.send(AskController(request)).await {
            Ok(Ok(Reply::RegisterBroker(Ok(epoch)))) => return Ok(epoch),
            Ok(Ok(Reply::RegisterBroker(Err(refusal)))) => return Err(refusal.to_string()),
            Ok(Ok(_)) => return Err("it gave another answer".to_owned()),
            // The quorum has not elected its only voter yet.
            Ok(Err(ControllerUnavailable::NotController { .. })) => {
                let elected = quorum.controller.send(AwaitLeadership);
                // One that has ended says so when it is asked again.
                let _ = timeout_at(deadline, elected).await.map_err(|_| late())?;
            }
            Ok(Err(_)) if Instant::now() < deadline => tokio::time::sleep(BUSY_BACKOFF).await,
            Ok(Err(_)) => return Err(late()),
            Err(_) => return Err("it has ended".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::metadata::MetadataChanged;
    use crate::actors::observe::PanicWatch;
    use crate::actors::quorum_messages::Committed;
    use crate::metadata::MetadataRecord;

    /// Opens partitions for minutes.
    struct SlowRoom;

    impl Actor for SlowRoom {
        type Context = Context<Self>;
    }

    impl Handler<MetadataChanged> for SlowRoom {
        type Result = ResponseFuture<()>;

        fn handle(&mut self, _: MetadataChanged, _: &mut Context<Self>) -> Self::Result {
            Box::pin(tokio::time::sleep(Duration::from_secs(120)))
        }
    }

    #[actix::test]
    async fn a_broker_is_not_in_before_its_partitions_are_open_even_if_that_takes_minutes() {
        tokio::time::pause();
        let image: Arc<ArcSwap<Image>> = Arc::default();
        let stages = vec![vec![SlowRoom.start().recipient()]];
        let watch = PanicWatch::new("metadata", Arc::new(|_| {}));
        let metadata = MetadataActor::new(Arc::clone(&image), stages, watch).start();
        // What was there before, and the registration, which is published after that.
        let commit = |index, records: Vec<MetadataRecord>| {
            let records = records.into();
            metadata.do_send(Committed { index, records });
        };
        let topic = MetadataRecord::Topic {
            name: "t".to_owned(),
            id: Uuid([1; 16]),
        };
        commit(1, vec![topic]);
        commit(
            2,
            vec![MetadataRecord::RegisterBroker {
                id: BrokerId(1),
                broker_epoch: 7,
                incarnation: Uuid([2; 16]),
                endpoints: Vec::new(),
                rack: None,
                directories: Vec::new(),
            }],
        );
        let begun = tokio::time::Instant::now();
        be_seen(&image, &metadata, BrokerId(1), 7).await.unwrap();
        assert_eq!(image.load().version, 2);
        assert_eq!(begun.elapsed().as_secs(), 240);
    }
}
