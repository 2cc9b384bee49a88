//! The shards of one arbiter: started and ended as the metadata says who leads which partition of
//! `__consumer_offsets`.
//!
//! It is told after the partition hosts and before the routing table that `api` reads. Invariant: a
//! shard lives on the arbiter of its partition.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::prelude::*;

use super::messages::TopicsChanged;
use super::router::GroupRouter;
use super::shard::{ConfigsChanged, GroupShardActor, Resign};
use super::surroundings::{CoordinatorSettings, Surroundings};
use crate::actors::clock::Clock;
use crate::actors::metadata::MetadataChanged;
use crate::actors::partition_host::{PartitionRouter, Share};
use crate::actors::partition_messages::PartitionKey;
use crate::metadata::{Delta, Image, ResourceKind};
use crate::model::CONSUMER_OFFSETS;

/// See the module.
pub struct GroupHost {
    share: Share,
    around: Rc<Surroundings>,
    router: GroupRouter,
    shards: BTreeMap<i32, (PartitionKey, Addr<GroupShardActor>)>,
}

impl GroupHost {
    /// A host with no shard yet, whose shards `router` will find.
    pub fn new(
        share: Share,
        clock: Clock,
        partitions: PartitionRouter,
        settings: CoordinatorSettings,
        router: GroupRouter,
    ) -> GroupHost {
        GroupHost {
            share,
            around: Rc::new(Surroundings::new(clock, partitions, settings)),
            router,
            shards: BTreeMap::new(),
        }
    }

    /// The partitions of the offsets topic that are this host's.
    fn led(&self, image: &Image) -> BTreeMap<i32, PartitionKey> {
        let me = self.around.settings.broker;
        let topic = image.topic(CONSUMER_OFFSETS);
        let partitions = topic.into_iter().flat_map(|topic| {
            let led = (0..).zip(&topic.partitions);
            let led = led.filter(move |(_, partition)| partition.leader == me);
            led.map(|(index, _)| (index, (topic.id, index)))
        });
        partitions.filter(|(_, key)| self.share.has(key)).collect()
    }

    /// Ends the shards of partitions that are not led here any more, and starts those that are now.
    fn settle(&mut self, image: &Image) {
        let led = self.led(image);
        self.shards.retain(|index, (key, shard)| {
            let stays = led.get(index) == Some(key) && shard.connected();
            if !stays {
                self.router.remove(*index);
                shard.do_send(Resign);
            }
            stays
        });
        for (index, key) in led {
            if !self.shards.contains_key(&index) {
                let shard = GroupShardActor::new(key, Rc::clone(&self.around)).start();
                self.router.add(index, &shard);
                self.shards.insert(index, (key, shard));
            }
        }
    }

    fn tell<M>(&self, message: impl Fn() -> M)
    where
        M: Message<Result = ()> + Send + 'static,
        GroupShardActor: Handler<M>,
    {
        for (_, shard) in self.shards.values() {
            shard.do_send(message());
        }
    }
}

/// The names of deleted topics, when groups must hear of a change of topics at all.
fn topics_changed(delta: &Delta) -> Option<TopicsChanged> {
    let grew = delta.partitions_changed.iter().any(|p| p.before.is_none());
    let changed = grew || !delta.topics_created.is_empty() || !delta.topics_deleted.is_empty();
    let deleted = delta.topics_deleted.iter();
    changed.then(|| TopicsChanged(deleted.map(|topic| Arc::clone(&topic.name)).collect()))
}

/// The groups whose configurations changed, when a shard must hear of a change at all.
fn configs_changed(delta: &Delta) -> Option<Arc<[Arc<str>]>> {
    let concerns = |kind: ResourceKind, name: &str| match kind {
        ResourceKind::Group | ResourceKind::Broker => true,
        ResourceKind::Topic => name == CONSUMER_OFFSETS,
        ResourceKind::ClientMetrics => false,
    };
    let changed = delta.configs_changed.iter();
    let mut changed = changed
        .clone()
        .filter(|r| concerns(r.kind, &r.name))
        .peekable();
    changed.peek()?;
    let groups = changed.filter(|resource| resource.kind == ResourceKind::Group);
    Some(groups.map(|group| Arc::from(group.name.as_str())).collect())
}

impl Actor for GroupHost {
    type Context = Context<Self>;
}

impl Handler<MetadataChanged> for GroupHost {
    type Result = ();

    fn handle(&mut self, changed: MetadataChanged, _: &mut Context<Self>) {
        let MetadataChanged { image, delta } = changed;
        self.around.set_image(Arc::clone(&image));
        self.settle(&image);
        if let Some(changed) = topics_changed(&delta) {
            self.tell(|| changed.clone());
        }
        if let Some(groups) = configs_changed(&delta) {
            self.tell(|| ConfigsChanged(Arc::clone(&groups)));
        }
    }
}
