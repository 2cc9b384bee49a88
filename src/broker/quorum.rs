//! The metadata quorum of this node and its controller, started and stopped together.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::watch;

use super::{Environment, Fatal, StartError};
use crate::actors::controller::{ControllerActor, Space};
use crate::actors::disk_threads::DiskThreads;
use crate::actors::metadata::MetadataActor;
use crate::actors::observe::{OnPanic, PanicWatch};
use crate::actors::quorum::{
    NoPeers, QuorumActor, QuorumConfig, QuorumFailed, QuorumParts, Shutdown, Subscribe, Subscriber,
};
use crate::config::ServerConfig;
use crate::metadata::ConfigTables;
use crate::metadata::controller::{Controller, ControllerConfig};
use crate::storage::log_dir::QUORUM_DIRECTORY;
use crate::storage::quorum_log::QuorumLog;

const HEARTBEAT: Duration = Duration::from_millis(500);
/// A single voter stands for election at once; these are for voters that wait for others.
const ELECTION_TIMEOUT: (Duration, Duration) =
    (Duration::from_millis(1000), Duration::from_millis(2000));
const SNAPSHOT_ENTRIES: u64 = 50_000;
const KEPT_ENTRIES: u64 = 1_000;
/// The metadata log goes on in a new file after so many bytes.
const FILE_BYTES: u64 = 16 << 20;

/// See the module.
#[derive(Clone)]
pub(super) struct Quorum {
    pub(super) quorum: Addr<QuorumActor>,
    pub(super) controller: Addr<ControllerActor>,
    disk_thread: DiskThreads,
}

impl Quorum {
    /// Opens the metadata log and starts the actors over it.
    pub(super) fn start(
        config: &ServerConfig,
        environment: &Environment,
        tables: &ConfigTables,
        metadata: Addr<MetadataActor>,
        tell_fatal: watch::Sender<Option<Fatal>>,
        on_panic: OnPanic,
    ) -> Result<Quorum, StartError> {
        let directory = config.log_dirs.metadata.join(QUORUM_DIRECTORY);
        let log = QuorumLog::open(Arc::clone(&environment.disk), directory, FILE_BYTES)?;
        let is_short = log.is_short();
        let disk = environment.disk.as_ref();
        let disk_thread =
            DiskThreads::for_disk(disk, "milena-quorum", 1).map_err(StartError::Threads)?;
        let quorum = QuorumActor::new(QuorumParts {
            config: QuorumConfig {
                node_id: config.node.id,
                voters: BTreeMap::from([(config.node.id, String::new())]),
                heartbeat: HEARTBEAT,
                election_timeout: ELECTION_TIMEOUT,
                snapshot_entries: SNAPSHOT_ENTRIES,
                snapshot_bytes: config.quorum.snapshot_bytes,
                kept_entries: KEPT_ENTRIES,
            },
            log,
            disk_thread: disk.waits().then(|| disk_thread.clone()),
            peers: Rc::new(NoPeers),
            subscribers: vec![Subscriber {
                committed: metadata.clone().recipient(),
                installed: metadata.clone().recipient(),
                leadership: None,
            }],
            failed: Overseer { tell_fatal }.start().recipient(),
            panic_watch: Some(PanicWatch::new("quorum", Arc::clone(&on_panic))),
        })?
        .start();
        let machine = Controller::new(ControllerConfig {
            tables: tables.clone(),
            node: config.node.id,
            num_partitions: config.topics.partitions,
            default_replication_factor: config.topics.replication_factor,
            log_dirs: config.log_dirs.names(),
        });
        let random = Arc::clone(&environment.random);
        let controller = ControllerActor::new(
            machine,
            quorum.clone().recipient(),
            metadata.recipient(),
            Box::new(move || random()),
            PanicWatch::new("controller", on_panic),
        )
        .on_a_disk(Space {
            is_short,
            quorum: quorum.clone().recipient(),
        })
        .start();
        quorum.do_send(Subscribe(Subscriber {
            committed: controller.clone().recipient(),
            installed: controller.clone().recipient(),
            leadership: Some(controller.clone().recipient()),
        }));
        Ok(Quorum {
            quorum,
            controller,
            disk_thread,
        })
    }

    /// Stops the quorum once everything on its way to the disk is there.
    pub(super) async fn stop(&self) {
        // One that is gone has failed before, and said so.
        let _ = self.quorum.send(Shutdown).await;
        self.disk_thread.end().await;
    }

    /// Begins to stop it, and waits for nothing.
    pub(super) fn begin_stop(&self) {
        self.quorum.do_send(Shutdown);
    }
}

/// Hears of the quorum's failure and tells the broker's owner.
struct Overseer {
    tell_fatal: watch::Sender<Option<Fatal>>,
}

impl Actor for Overseer {
    type Context = Context<Self>;
}

impl Handler<QuorumFailed> for Overseer {
    type Result = ();

    fn handle(&mut self, failed: QuorumFailed, _: &mut Context<Self>) {
        self.tell_fatal.send_replace(Some(Fatal(failed.reason)));
    }
}
