//! The controller: decides every change of the cluster's metadata, one file per record family.
//!
//! It plans on `planned`, an image that already holds what earlier plans wrote, while `committed`
//! follows the log. So many changes share one write, and two plans never make the same topic
//! twice. `actors::controller` is its shell. Invariants: `planned` is `committed` plus the records
//! of all plans that are not committed yet; losing leadership sets it back to `committed`.

mod brokers;
mod configs;
mod directories;
mod elections;
mod features;
mod names;
mod partitions;
mod placement;
mod producer_ids;
mod requests;
mod topics;

pub use directories::Assignments;
pub use features::{
    FEATURES, GROUP_VERSION, METADATA_VERSION, METADATA_VERSION_MAX, METADATA_VERSION_MIN,
};
pub use requests::{
    BrokerRegistration, ConfigOperation, CreatedTopic, CreatedTopicConfig, DeletedTopic,
    FeatureUpdate, IsrChange, NewPartitions, NewTopic, Operation, PartitionState, Plan,
    ProducerIdBlock, Reply, Request, TopicRef, UpgradeType,
};

use names::CollidingNames;

use super::config_layers::{ConfigLayers, ConfigTables};
use super::image::Image;
use super::records::MetadataRecord;
use crate::model::BrokerId;

/// How many partitions one request may create (Kafka's `MAX_PARTITIONS_PER_BATCH`).
pub const PARTITIONS_PER_REQUEST_MAX: usize = 10_000;

/// What the controller is told once.
#[derive(Debug, Clone)]
pub struct ControllerConfig {
    /// The tables of keys, and the values of the broker's file.
    pub tables: ConfigTables,
    /// The node this controller runs on; effective values are told as they are there.
    pub node: BrokerId,
    /// `num.partitions`, for topics created with -1.
    pub num_partitions: i32,
    /// `default.replication.factor`, for topics created with -1.
    pub default_replication_factor: i16,
    /// The log directories of the node, by every path they are known by.
    pub log_dirs: Vec<String>,
}

/// The controller machine.
#[derive(Debug)]
pub struct Controller {
    config: ControllerConfig,
    /// What the log holds.
    committed: Image,
    /// What it will hold once every plan is committed.
    planned: Image,
    /// How many planned records are not committed yet.
    ahead: usize,
    /// Records were committed that were not planned here: `planned` must be taken anew.
    stale: bool,
    /// Which names of `planned` may collide.
    names: CollidingNames,
}

/// Sixteen random bytes at each call.
pub type Random<'a> = &'a mut dyn FnMut() -> [u8; 16];

impl Controller {
    /// A controller that has seen no record yet.
    pub fn new(config: ControllerConfig) -> Controller {
        Controller {
            config,
            committed: Image::default(),
            planned: Image::default(),
            ahead: 0,
            stale: false,
            names: CollidingNames::default(),
        }
    }

    /// Plans one request. The records are in `planned` at once; the reply is to be held until they
    /// are committed. A reply without records may tell of earlier plans, and waits for those.
    pub fn handle(&mut self, request: Request, random: Random<'_>) -> Plan {
        self.refresh();
        let mut planner = Planner {
            controller: self,
            random,
            records: Vec::new(),
        };
        let reply = planner.plan(request);
        let records = planner.records;
        self.ahead += records.len();
        Plan { records, reply }
    }

    /// Takes a committed record, in the order of the log.
    pub fn replay(&mut self, record: &MetadataRecord) {
        self.committed.replay(record);
        match self.ahead {
            0 => self.stale = true,
            1 => {
                // Both hold the same now; sharing it halves the memory of a large cluster.
                self.ahead = 0;
                self.committed = self.planned.clone();
            }
            _ => self.ahead -= 1,
        }
    }

    /// Forgets every plan that is not committed: others lead now, and may or may not commit them.
    pub fn handle_lost_leadership(&mut self) {
        self.ahead = 0;
        self.stale = true;
    }

    /// Takes over a whole state, as a snapshot tells it; plans that are not in it are forgotten.
    pub fn handle_loaded(&mut self, image: Image) {
        self.committed = image;
        self.handle_lost_leadership();
    }

    /// What the log holds.
    pub fn committed(&self) -> &Image {
        &self.committed
    }

    /// What the log will hold once every plan is committed.
    pub fn planned(&self) -> &Image {
        if self.stale {
            &self.committed
        } else {
            &self.planned
        }
    }

    fn refresh(&mut self) {
        if self.stale {
            self.planned = self.committed.clone();
            self.names = CollidingNames::of(&self.planned);
            self.stale = false;
        }
    }
}

/// One request being planned.
struct Planner<'a, 'r> {
    controller: &'a mut Controller,
    random: Random<'r>,
    records: Vec<MetadataRecord>,
}

impl Planner<'_, '_> {
    fn plan(&mut self, request: Request) -> Reply {
        match request {
            Request::CreateTopics {
                topics,
                validate_only,
            } => Reply::CreateTopics(self.create_topics(topics, validate_only)),
            Request::DeleteTopics { topics } => Reply::DeleteTopics(self.delete_topics(topics)),
            Request::CreatePartitions {
                topics,
                validate_only,
            } => Reply::CreatePartitions(self.create_partitions(topics, validate_only)),
            Request::AlterConfigs {
                resources,
                replace,
                validate_only,
            } => Reply::AlterConfigs(self.alter_configs(resources, replace, validate_only)),
            Request::RegisterBroker(registration) => {
                Reply::RegisterBroker(self.register_broker(registration))
            }
            Request::FenceBroker { broker, fenced } => {
                Reply::FenceBroker(self.fence_broker(broker, fenced))
            }
            Request::UnregisterBroker { broker } => {
                Reply::UnregisterBroker(self.unregister_broker(broker))
            }
            Request::AllocateProducerIds { broker, length } => {
                Reply::AllocateProducerIds(self.allocate_producer_ids(broker, length))
            }
            Request::UpdateFeatures {
                updates,
                validate_only,
            } => Reply::UpdateFeatures(self.update_features(&updates, validate_only)),
            Request::AlterPartition {
                broker,
                broker_epoch,
                partitions,
            } => Reply::AlterPartition(self.alter_partition(broker, broker_epoch, &partitions)),
            Request::ChangeDirectories {
                broker,
                broker_epoch,
                offline,
                cordoned,
            } => Reply::ChangeDirectories(self.change_directories(
                broker,
                broker_epoch,
                &offline,
                &cordoned,
            )),
            Request::AssignDirectories {
                broker,
                broker_epoch,
                assignments,
            } => {
                Reply::AssignDirectories(self.assign_directories(broker, broker_epoch, assignments))
            }
        }
    }

    /// What is planned so far, this request's own records included.
    fn image(&self) -> &Image {
        &self.controller.planned
    }

    fn config(&self) -> &ControllerConfig {
        &self.controller.config
    }

    /// The layers around a topic, as they are on this node.
    fn topic_layers(&self, topic: &str) -> ConfigLayers<'_> {
        ConfigLayers::of_topic(
            self.image(),
            &self.config().tables,
            self.config().node,
            topic,
        )
    }

    /// Plans a record: whatever is asked next already sees it.
    fn write(&mut self, record: MetadataRecord) {
        self.controller
            .names
            .note(&self.controller.planned, &record);
        self.controller.planned.replay(&record);
        self.records.push(record);
    }
}

#[cfg(test)]
mod tests;
