//! A group host beside a partition host, as an arbiter has them, without a broker.

use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use crate::actors::gather::{Gathered, gather};
use crate::actors::groups::host::GroupHost;
use crate::actors::groups::messages::{AskGroup, ListGroups};
use crate::actors::groups::router::GroupRouter;
use crate::actors::groups::surroundings::{CoordinatorSettings, GroupQuota};
use crate::actors::metadata::MetadataChanged;
use crate::actors::partition_host::tests::bench::{Bench, EPOCH, NODE, topic};
use crate::actors::partition_host::{PartitionRouter, Share};
use crate::coordination::config::GroupConfig;
use crate::coordination::messages::{
    Client, CommitOffset, CommitOffsets, FetchOffsets, GroupError, Identity, Join, Reply, Request,
    Sync,
};
use crate::metadata::{ConfigTables, Delta, Image, MetadataRecord, TopicSettings};
use crate::model::{CONSUMER_OFFSETS, LeaderEpoch, Offset, TopicId, Uuid};
use crate::record::Codec;
use crate::storage::disk::Disk;
use crate::telemetry::metrics::Metrics;

/// The offsets topic, of one partition.
pub(super) const OFFSETS: u8 = 1;
pub(super) const COMMIT_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const EXPIRY_INTERVAL: Duration = Duration::from_secs(600);

/// A life of an arbiter with groups on it.
pub(super) struct GroupBench {
    pub(super) bench: Bench,
    pub(super) router: GroupRouter,
    pub(super) quota: GroupQuota,
    pub(super) metrics: Metrics,
    host: Addr<GroupHost>,
    image: Arc<Image>,
}

/// What a test may turn.
#[derive(Clone, Copy)]
pub(super) struct Turns {
    pub(super) groups_max: usize,
    pub(super) codec: Codec,
    pub(super) load_bytes: usize,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns {
            groups_max: 1_000,
            codec: Codec::None,
            load_bytes: 5 << 20,
        }
    }
}

impl GroupBench {
    /// A disk that never blocks, and an offsets topic with these settings.
    pub(super) async fn start(disk: Arc<dyn Disk>, configs: &[(&str, &str)]) -> GroupBench {
        GroupBench::with(disk, configs, Turns::default()).await
    }

    pub(super) async fn with(
        disk: Arc<dyn Disk>,
        configs: &[(&str, &str)],
        turns: Turns,
    ) -> GroupBench {
        let records = offsets_topic(configs);
        let bench = Bench::start(disk, &records).await;
        GroupBench::over(bench, &records, turns).await
    }

    /// A disk that works when the test says so.
    pub(super) async fn by_hand(disk: Arc<dyn Disk>, configs: &[(&str, &str)]) -> GroupBench {
        let records = offsets_topic(configs);
        let bench = Bench::by_hand(disk, &records).await;
        GroupBench::over(bench, &records, Turns::default()).await
    }

    async fn over(bench: Bench, records: &[MetadataRecord], turns: Turns) -> GroupBench {
        let (quota, metrics) = (GroupQuota::new(turns.groups_max), Metrics::default());
        let tables = ConfigTables {
            topic: Arc::new(crate::config::keys::topic_table()),
            ..ConfigTables::default()
        };
        let config = Arc::new(GroupConfig {
            initial_rebalance_delay: Duration::ZERO,
            ..GroupConfig::default()
        });
        let settings = CoordinatorSettings {
            broker: NODE,
            groups: Arc::new(move |_, _| Arc::clone(&config)),
            topics: Arc::new(move |image, topic| {
                TopicSettings::resolve(image, &tables, NODE, topic)
            }),
            codec: turns.codec,
            commit_timeout: COMMIT_TIMEOUT,
            load_bytes: turns.load_bytes,
            expiry_interval: EXPIRY_INTERVAL,
            decompressed_bytes_max: 1 << 24,
            quota: quota.clone(),
            on_panic: Arc::new(|name| panic!("{name} panicked")),
            metrics: metrics.clone(),
        };
        let router = GroupRouter::default();
        let partitions = PartitionRouter::new(vec![bench.host.clone()]);
        let share = Share { index: 0, count: 1 };
        let host = GroupHost::new(share, bench.clock, partitions, settings, router.clone());
        let mut groups = GroupBench {
            bench,
            router,
            quota,
            metrics,
            host: host.start(),
            image: Arc::default(),
        };
        groups.tell(records).await;
        groups.bench.settle().await;
        groups
    }

    /// What the metadata log says more.
    pub(super) async fn change(&mut self, records: &[MetadataRecord]) {
        self.bench.change(records).await;
        self.tell(records).await;
        self.bench.settle().await;
    }

    async fn tell(&mut self, records: &[MetadataRecord]) {
        let mut image = Image::clone(&self.image);
        records.iter().for_each(|record| image.replay(record));
        image.version += 1;
        let image = Arc::new(image);
        let delta = Arc::new(Delta::between(&self.image, &image));
        self.image = Arc::clone(&image);
        let told = self.host.send(MetadataChanged { image, delta });
        told.await.unwrap();
    }

    /// Asks, and lets the actors do what they can.
    pub(super) async fn send(&self, group: &str, request: Request) -> Gathered<Reply> {
        let (mut slots, gathered) = gather(1);
        self.router.ask(
            0,
            AskGroup {
                group: Arc::from(group),
                request,
                slot: slots.pop().unwrap(),
            },
        );
        self.bench.settle().await;
        gathered
    }

    /// Asks and waits for the answer; `None` when nobody coordinates the group here.
    pub(super) async fn ask(&self, group: &str, request: Request) -> Option<Reply> {
        answer(self.send(group, request).await).await
    }

    pub(super) async fn commit(&self, group: &str, offset: i64) -> Option<Reply> {
        self.ask(group, commit(offset)).await
    }

    /// The offset of partition 0 of topic `t`, -1 for none.
    pub(super) async fn committed(&self, group: &str) -> i64 {
        match self.ask(group, fetch_all()).await {
            Some(Reply::FetchOffsets(Ok(offsets))) => {
                offsets.first().map_or(-1, |found| found.offset.0)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<String>, GroupError> {
        let (mut slots, gathered) = gather(1);
        let shards = self.router.shards();
        let slot = slots.pop().unwrap();
        shards[0].do_send(ListGroups { slot });
        let list = gathered.all().await.pop().flatten().unwrap()?;
        let mut names: Vec<String> = list
            .iter()
            .map(|group| format!("{} {}", group.group_id, group.state))
            .collect();
        names.sort();
        Ok(names)
    }
}

pub(super) fn offsets_topic(configs: &[(&str, &str)]) -> Vec<MetadataRecord> {
    topic(CONSUMER_OFFSETS, OFFSETS, configs)
}

pub(super) async fn answer(gathered: Gathered<Reply>) -> Option<Reply> {
    gathered.all().await.pop().flatten()
}

pub(super) fn stored() -> Option<Reply> {
    Some(Reply::CommitOffsets(Ok(vec![Ok(())])))
}

pub(super) fn failed(error: GroupError) -> Option<Reply> {
    Some(Reply::Failed(error))
}

/// A commit by somebody who is no member.
pub(super) fn commit(offset: i64) -> Request {
    commit_with(offset, "")
}

pub(super) fn commit_with(offset: i64, metadata: &str) -> Request {
    Request::CommitOffsets(CommitOffsets {
        identity: identity("", -1),
        retention_ms: None,
        version: 8,
        offsets: vec![CommitOffset {
            topic: Arc::from("t"),
            topic_id: TopicId::ZERO,
            partition: 0,
            offset: Offset(offset),
            leader_epoch: LeaderEpoch::NONE,
            metadata: Arc::from(metadata),
        }],
    })
}

pub(super) fn identity(member: &str, generation: i32) -> Identity {
    Identity {
        member_id: Arc::from(member),
        instance_id: None,
        generation,
    }
}

/// A join; a new member's id is made of the session timeout, so that two can be told apart.
pub(super) fn join(member: &str, session_timeout_ms: i32) -> Request {
    Request::Join(Join {
        client: Client {
            id: Arc::from("client"),
            host: Arc::from("/127.0.0.1"),
        },
        member_id: Arc::from(member),
        instance_id: None,
        protocol_type: Arc::from("consumer"),
        protocols: vec![(Arc::from("range"), bytes::Bytes::new())],
        session_timeout_ms,
        rebalance_timeout_ms: 60_000,
        reason: None,
        requires_known_member_id: false,
        supports_skipping_assignment: true,
        fresh: Uuid([session_timeout_ms.to_le_bytes()[0]; 16]),
    })
}

pub(super) fn sync(member: &str, generation: i32) -> Request {
    Request::Sync(Sync {
        identity: identity(member, generation),
        protocol_type: None,
        protocol_name: None,
        assignments: vec![(Arc::from(member), bytes::Bytes::from_static(b"all"))],
    })
}

/// Wall time at the start of a test, for records made by hand.
pub(super) const START: crate::model::Timestamp = EPOCH;

pub(super) fn fetch_all() -> Request {
    Request::FetchOffsets(FetchOffsets {
        member: None,
        require_stable: false,
        wanted: None,
    })
}
