//! Groups, composed: their settings from keys and values, their hosts, and how the front desk asks
//! them.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::actors::clock::Clock;
use crate::actors::gather::{Gathered, gather};
use crate::actors::groups::host::GroupHost;
use crate::actors::groups::messages::{AskGroup, ListGroups};
use crate::actors::groups::router::{GroupRouter, partition_of};
use crate::actors::groups::surroundings::{CoordinatorSettings, GroupQuota, GroupSettingsSource};
use crate::actors::metadata::MetadataChanged;
use crate::actors::partition_host::{PartitionRouter, Share};
use crate::actors::placement::Placement;
use crate::actors::settings::SettingsSource;
use crate::api::gateway::AskGroups;
use crate::broker::Environment;
use crate::config::{ServerConfig, StaticValues};
use crate::coordination::config::{GroupConfig, MigrationPolicy};
use crate::coordination::messages::{GroupError, Reply, Request, Summary};
use crate::metadata::{ConfigValues, Image, ResourceKind};
use crate::model::{CONSUMER_OFFSETS, Uuid};
use crate::net::LocalBoxFuture;
use crate::record::Codec;

/// How long a question that a group answers at once may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many groups one request asks at the same time.
const QUESTIONS_AT_ONCE: usize = 1_000;

/// The hosts of all arbiters, in the order of their shares, and the way to their shards.
pub(super) struct GroupHosts {
    pub(super) listeners: Vec<actix::Recipient<MetadataChanged>>,
    pub(super) router: GroupRouter,
}

pub(super) fn start_hosts(
    places: &[Placement],
    clock: Clock,
    partitions: &PartitionRouter,
    settings: &CoordinatorSettings,
) -> GroupHosts {
    let router = GroupRouter::default();
    let count = places.len();
    let hosts = places.iter().enumerate().map(|(index, place)| {
        let share = Share { index, count };
        let (partitions, settings) = (partitions.clone(), settings.clone());
        let router = router.clone();
        let host = place.start(move |_| GroupHost::new(share, clock, partitions, settings, router));
        host.recipient()
    });
    GroupHosts {
        listeners: hosts.collect(),
        router,
    }
}

/// What the coordinator obeys. Every value was judged when the configuration was read.
pub(super) fn settings(
    config: &ServerConfig,
    environment: &Environment,
    topics: SettingsSource,
) -> CoordinatorSettings {
    let values = &config.values;
    let metrics = environment.metrics.clone();
    CoordinatorSettings {
        broker: config.node.id,
        groups: group_settings(values, Arc::clone(&topics)),
        topics,
        codec: codec(number(values, "offsets.topic.compression.codec", 0)),
        commit_timeout: millis(values, "offsets.commit.timeout.ms", 5_000),
        load_bytes: number(values, "offsets.load.buffer.size", 5 << 20),
        expiry_interval: millis(values, "offsets.retention.check.interval.ms", 600_000),
        decompressed_bytes_max: usize::try_from(config.limits.decompressed_bytes_max)
            .unwrap_or(usize::MAX),
        quota: GroupQuota::new(number(values, "milena.groups.max", 100_000)),
        on_panic: Arc::new(move |_| metrics.actor_panicked("group")),
        metrics: environment.metrics.clone(),
    }
}

fn codec(number: i8) -> Codec {
    match number {
        1 => Codec::Gzip,
        2 => Codec::Snappy,
        3 => Codec::Lz4,
        4 => Codec::Zstd,
        _ => Codec::None,
    }
}

fn number<T: std::str::FromStr>(values: &StaticValues, name: &str, default: T) -> T {
    let text = values.text(name);
    text.and_then(|text| text.trim().parse().ok())
        .unwrap_or(default)
}

fn millis(values: &StaticValues, name: &str, default: u64) -> Duration {
    Duration::from_millis(number(values, name, default))
}

/// Of the broker's file, what all groups obey that have nothing set on them.
fn of_all_groups(values: &StaticValues) -> GroupConfig {
    let members = |name| number(values, name, i32::MAX.unsigned_abs() as usize);
    let assignors = values.text("group.consumer.assignors").unwrap_or_default();
    let assignors = assignors.split(',').map(str::trim);
    let minutes: u64 = number(values, "offsets.retention.minutes", 7 * 24 * 60);
    GroupConfig {
        session_timeout_min: millis(values, "group.min.session.timeout.ms", 6_000),
        session_timeout_max: millis(values, "group.max.session.timeout.ms", 1_800_000),
        initial_rebalance_delay: millis(values, "group.initial.rebalance.delay.ms", 3_000),
        members_max: members("group.max.size"),
        consumer_session_timeout: millis(values, "group.consumer.session.timeout.ms", 45_000),
        consumer_heartbeat_interval: millis(values, "group.consumer.heartbeat.interval.ms", 5_000),
        consumer_members_max: members("group.consumer.max.size"),
        consumer_assignors: assignors
            .filter(|name| !name.is_empty())
            .map(Arc::from)
            .collect(),
        consumer_assignment_interval: millis(
            values,
            "group.consumer.assignment.interval.ms",
            1_000,
        ),
        consumer_migration_policy: migration_policy(values),
        offset_metadata_bytes_max: number(values, "offset.metadata.max.bytes", 4_096),
        offsets_retention: Duration::from_secs(minutes.saturating_mul(60)),
        ..GroupConfig::default()
    }
}

fn migration_policy(values: &StaticValues) -> MigrationPolicy {
    let policy = values
        .text("group.consumer.migration.policy")
        .unwrap_or_default();
    match policy.to_ascii_lowercase().as_str() {
        "upgrade" => MigrationPolicy::Upgrade,
        "downgrade" => MigrationPolicy::Downgrade,
        "disabled" => MigrationPolicy::Disabled,
        _ => MigrationPolicy::Bidirectional,
    }
}

/// Resolves a group's configuration: what is set on it above the broker's file. Groups on which
/// nothing is set share one.
fn group_settings(values: &StaticValues, topics: SettingsSource) -> GroupSettingsSource {
    // With the version of the image it was resolved under: asked for with every group.
    let shared = ArcSwap::from_pointee((u64::MAX, Arc::new(of_all_groups(values))));
    Arc::new(move |image: &Image, group: &str| {
        let mut known = shared.load_full();
        if known.0 != image.version {
            let bytes_max = topics(image, CONSUMER_OFFSETS).max_message_bytes;
            let mut config = Arc::clone(&known.1);
            if i32::try_from(config.batch_bytes_max) != Ok(bytes_max) {
                Arc::make_mut(&mut config).batch_bytes_max =
                    usize::try_from(bytes_max).unwrap_or_default();
            }
            known = Arc::new((image.version, config));
            shared.store(Arc::clone(&known));
        }
        let shared = Arc::clone(&known.1);
        match image.config(ResourceKind::Group, group) {
            Some(set) => Arc::new(with_own(&shared, set)),
            None => shared,
        }
    })
}

fn with_own(shared: &GroupConfig, set: &ConfigValues) -> GroupConfig {
    let own = |name: &str, inherited: Duration| {
        let value = set.get(name).and_then(|text| text.trim().parse().ok());
        value.map_or(inherited, Duration::from_millis)
    };
    let mut config = shared.clone();
    config.consumer_session_timeout = own(
        "consumer.session.timeout.ms",
        config.consumer_session_timeout,
    );
    config.consumer_heartbeat_interval = own(
        "consumer.heartbeat.interval.ms",
        config.consumer_heartbeat_interval,
    );
    config.consumer_assignment_interval = own(
        "consumer.assignment.interval.ms",
        config.consumer_assignment_interval,
    );
    config
}

/// The groups this broker coordinates, asked through their shards.
pub(super) struct Groups {
    pub(super) router: GroupRouter,
    pub(super) image: Arc<ArcSwap<Image>>,
    pub(super) random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
}

impl Groups {
    /// Sends questions; who is not coordinated here drops his slot.
    fn send(
        &self,
        questions: impl ExactSizeIterator<Item = (Arc<str>, Request)>,
    ) -> Gathered<Reply> {
        let image = self.image.load();
        let topic = image.topic(CONSUMER_OFFSETS);
        let partitions = topic.map_or(0, |topic| topic.partitions.len());
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let (slots, gathered) = gather(questions.len());
        for ((group, request), slot) in questions.zip(slots) {
            if let Some(partition) = partition_of(&group, partitions) {
                let question = AskGroup {
                    group,
                    request,
                    slot,
                };
                self.router.ask(partition, question);
            }
        }
        gathered
    }
}

impl AskGroups for Groups {
    fn ask(&self, group: &str, request: Request) -> LocalBoxFuture<'_, Reply> {
        // The group's own deadlines end the wait of a join and of a sync.
        let waits = matches!(request, Request::Join(_) | Request::Sync(_));
        let gathered = self.send(std::iter::once((Arc::from(group), request)));
        Box::pin(async move {
            let mut replies = match waits {
                true => gathered.all().await,
                false => match tokio::time::timeout(PATIENCE, gathered.all()).await {
                    Ok(replies) => replies,
                    Err(_) => vec![Some(Reply::Failed(GroupError::CoordinatorNotAvailable))],
                },
            };
            told(replies.pop().flatten())
        })
    }

    fn ask_many(&self, questions: Vec<(Arc<str>, Request)>) -> LocalBoxFuture<'_, Vec<Reply>> {
        Box::pin(async move {
            let mut told_so_far = Vec::with_capacity(questions.len());
            // In parts, so that a request that names everybody does not fill the mailboxes.
            let mut left = questions.into_iter();
            while left.len() > 0 {
                let part: Vec<_> = left.by_ref().take(QUESTIONS_AT_ONCE).collect();
                let count = part.len();
                let gathered = self.send(part.into_iter());
                match tokio::time::timeout(PATIENCE, gathered.all()).await {
                    Ok(replies) => told_so_far.extend(replies.into_iter().map(told)),
                    Err(_) => {
                        let failed = Reply::Failed(GroupError::CoordinatorNotAvailable);
                        told_so_far.extend(std::iter::repeat_n(failed, count));
                    }
                }
            }
            told_so_far
        })
    }

    fn list(&self) -> LocalBoxFuture<'_, Result<Vec<Summary>, GroupError>> {
        let shards = self.router.shards();
        let (slots, gathered) = gather(shards.len());
        for (shard, slot) in shards.iter().zip(slots) {
            shard.do_send(ListGroups { slot });
        }
        Box::pin(async move {
            let lists = tokio::time::timeout(PATIENCE, gathered.all()).await;
            let lists = lists.map_err(|_| GroupError::CoordinatorNotAvailable)?;
            let mut groups = Vec::new();
            // A shard that went meanwhile is somebody else's.
            for list in lists.into_iter().flatten() {
                groups.extend(list?);
            }
            Ok(groups)
        })
    }

    fn fresh_id(&self) -> Uuid {
        Uuid::from_random((self.random)())
    }
}

/// Nobody who coordinates the group was there.
fn told(reply: Option<Reply>) -> Reply {
    reply.unwrap_or(Reply::Failed(GroupError::NotCoordinator))
}
