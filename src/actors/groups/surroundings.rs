//! What all shards and groups of an arbiter share: the time, the cluster's metadata, settings, and
//! the limit on how many groups a broker holds.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::topics::ImageTopics;
use crate::actors::clock::Clock;
use crate::actors::observe::OnPanic;
use crate::actors::partition_host::PartitionRouter;
use crate::actors::settings::SettingsSource;
use crate::coordination::Now;
use crate::coordination::config::GroupConfig;
use crate::metadata::Image;
use crate::model::BrokerId;
use crate::record::Codec;
use crate::telemetry::metrics::Metrics;

/// Answers the configuration of a group under an image. `broker.rs` makes one.
pub type GroupSettingsSource = Arc<dyn Fn(&Image, &str) -> Arc<GroupConfig> + Send + Sync>;

/// How the coordinator writes and reads `__consumer_offsets`, and what it may take.
#[derive(Clone)]
pub struct CoordinatorSettings {
    /// This broker.
    pub broker: BrokerId,
    /// The configuration of a group.
    pub groups: GroupSettingsSource,
    /// The settings of a topic.
    pub topics: SettingsSource,
    /// `offsets.topic.compression.codec`.
    pub codec: Codec,
    /// `offsets.commit.timeout.ms`: how long what is stored may wait for its commit.
    pub commit_timeout: Duration,
    /// `offsets.load.buffer.size`: bytes read at once when a shard loads.
    pub load_bytes: usize,
    /// `offsets.retention.check.interval.ms`.
    pub expiry_interval: Duration,
    /// `milena.decompressed.bytes.max`.
    pub decompressed_bytes_max: usize,
    /// `milena.groups.max`, counted over all arbiters.
    pub quota: GroupQuota,
    /// What to do when an actor panics.
    pub on_panic: OnPanic,
    /// Where records that cannot be read are counted.
    pub metrics: Metrics,
}

/// How many groups a broker may hold. Clones count together.
#[derive(Debug, Clone)]
pub struct GroupQuota {
    held: Arc<AtomicUsize>,
    max: usize,
}

impl GroupQuota {
    /// At most this many.
    pub fn new(max: usize) -> GroupQuota {
        GroupQuota {
            held: Arc::default(),
            max,
        }
    }

    /// A place for one more group; `None` when all are taken.
    pub(super) fn place(&self) -> Option<GroupPlace> {
        let add = |held| (held < self.max).then_some(held + 1);
        let taken = self
            .held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        taken.ok().map(|_| GroupPlace(Arc::clone(&self.held)))
    }

    /// A place for a group that is there already, whatever the limit.
    pub(super) fn place_loaded(&self) -> GroupPlace {
        self.held.fetch_add(1, Ordering::Relaxed);
        GroupPlace(Arc::clone(&self.held))
    }

    /// How many groups there are.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// A group's place in the quota, given back when dropped.
#[derive(Debug)]
pub(super) struct GroupPlace(Arc<AtomicUsize>);

impl Drop for GroupPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// See the module. Lives on one arbiter.
pub(super) struct Surroundings {
    pub(super) clock: Clock,
    pub(super) partitions: PartitionRouter,
    pub(super) settings: CoordinatorSettings,
    image: RefCell<Arc<Image>>,
}

impl Surroundings {
    pub(super) fn new(
        clock: Clock,
        partitions: PartitionRouter,
        settings: CoordinatorSettings,
    ) -> Surroundings {
        Surroundings {
            clock,
            partitions,
            settings,
            image: RefCell::default(),
        }
    }

    /// The metadata changed.
    pub(super) fn set_image(&self, image: Arc<Image>) {
        self.image.replace(image);
    }

    pub(super) fn image(&self) -> Arc<Image> {
        Arc::clone(&self.image.borrow())
    }

    pub(super) fn topics(&self) -> ImageTopics {
        ImageTopics(self.image())
    }

    pub(super) fn now(&self) -> Now {
        Now {
            moment: self.clock.now(),
            wall: self.clock.wall(),
        }
    }

    /// The configuration of a group as it is now.
    pub(super) fn group_config(&self, group: &str) -> Arc<GroupConfig> {
        (self.settings.groups)(&self.image.borrow(), group)
    }
}
