//! The partitions of one arbiter: `api` sends one message per arbiter, the host hands out the parts.
//!
//! It also follows the metadata: it opens, changes and retires the partitions of its share before
//! the routing table that `api` reads tells of them. Invariant: a question about a partition that is
//! not here is dropped, and its slot tells the asker so.

use std::collections::HashMap;
use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::prelude::*;

use super::log::{Close, LogActor};
use super::metadata::MetadataChanged;
use super::partition::PartitionActor;
use super::partition_messages::PartitionKey;
use super::partition_opening::{Opened, Opening, Residence};
use crate::metadata::{Delta, Image, ResourceKind, TopicImage};
use crate::model::Uuid;
use crate::storage::StorageError;

/// Questions to partitions of one host, each with the partition it is for.
pub struct ToPartitions<M>(pub Vec<(PartitionKey, M)>);

impl<M: Message> Message for ToPartitions<M> {
    type Result = ();
}

/// See the module.
pub struct PartitionHost {
    residences: HashMap<PartitionKey, Residence>,
    opening: Opening,
    share: Share,
}

/// Which partitions a host has: those whose key falls on `index` of `count`.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// The host's number.
    pub index: usize,
    /// How many hosts there are.
    pub count: usize,
}

impl Share {
    /// The number of the host that has this partition.
    pub fn owner(key: &PartitionKey, count: usize) -> usize {
        let (topic, partition) = key;
        let spread = topic.0.iter().fold(0usize, |sum, byte| {
            sum.wrapping_mul(31) + usize::from(*byte)
        });
        // Neighbouring partitions of a topic go to different hosts, so that one topic uses them all.
        spread.wrapping_add(usize::try_from(*partition).unwrap_or(0)) % count.max(1)
    }

    fn has(&self, key: &PartitionKey) -> bool {
        Share::owner(key, self.count) == self.index
    }
}

impl PartitionHost {
    /// A host with nobody in it yet.
    pub fn new(opening: Opening, share: Share) -> PartitionHost {
        PartitionHost {
            residences: HashMap::new(),
            opening,
            share,
        }
    }

    /// The partitions here whose topics are gone.
    fn gone(&self, delta: &Delta) -> Vec<PartitionKey> {
        let partitions = delta.topics_deleted.iter().flat_map(|topic| keys_of(topic));
        partitions
            .filter(|key| self.residences.contains_key(key))
            .collect()
    }

    /// The partitions of the share that are new, or changed, or whose settings changed.
    fn changed(&self, delta: &Delta, image: &Image) -> Vec<PartitionKey> {
        let created = delta.topics_created.iter().flat_map(|topic| keys_of(topic));
        let changed = delta
            .partitions_changed
            .iter()
            .map(|changed| (changed.topic.id, changed.partition));
        let mut keys: Vec<_> = created
            .chain(changed)
            .filter(|key| self.share.has(key))
            .collect();
        for resource in &delta.configs_changed {
            match resource.kind {
                ResourceKind::Topic => {
                    let topic = image.topic(&resource.name);
                    let partitions = topic.into_iter().flat_map(|topic| keys_of(topic));
                    keys.extend(partitions.filter(|key| self.share.has(key)));
                }
                // The default of every topic may have changed with it.
                ResourceKind::Broker => keys.extend(self.residences.keys().copied()),
                ResourceKind::Group | ResourceKind::ClientMetrics => {}
            }
        }
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn retire(&mut self, keys: &[PartitionKey]) -> Vec<Residence> {
        keys.iter()
            .filter_map(|key| self.residences.remove(key))
            .collect()
    }

    /// Splits changed partitions into those that are here, which are told, and those to be opened.
    fn tell(&self, keys: Vec<PartitionKey>, image: &Image) -> Vec<PartitionKey> {
        let (here, new): (Vec<_>, Vec<_>) = keys
            .into_iter()
            .partition(|key| self.residences.contains_key(key));
        for key in here {
            self.residences[&key].tell(&self.opening, &key, image);
        }
        new
    }

    fn move_in(&mut self, opened: Vec<Opened>) {
        for Opened { key, residence } in opened {
            self.residences.insert(key, residence);
        }
    }
}

fn keys_of(topic: &TopicImage) -> impl Iterator<Item = PartitionKey> + '_ {
    (0..)
        .zip(&topic.partitions)
        .map(|(index, _)| (topic.id, index))
}

impl Actor for PartitionHost {
    type Context = Context<Self>;
}

impl<M> Handler<ToPartitions<M>> for PartitionHost
where
    M: Message<Result = ()> + Send + 'static,
    PartitionActor: Handler<M>,
    <PartitionActor as Actor>::Context: ToEnvelope<PartitionActor, M>,
{
    type Result = ();

    fn handle(&mut self, ToPartitions(questions): ToPartitions<M>, _: &mut Context<Self>) {
        for (key, question) in questions {
            if let Some(residence) = self.residences.get(&key) {
                residence.partition.do_send(question);
            }
        }
    }
}

impl Handler<MetadataChanged> for PartitionHost {
    type Result = AtomicResponse<Self, ()>;

    /// The mailbox rests until the change is carried out, so that a recreated topic never meets the
    /// directory of the one before it.
    fn handle(&mut self, changed: MetadataChanged, _: &mut Context<Self>) -> Self::Result {
        let MetadataChanged { image, delta } = changed;
        let retired = self.retire(&self.gone(&delta));
        let new = self.tell(self.changed(&delta, &image), &image);
        let opening = self.opening.clone();
        let work = async move {
            for residence in retired {
                residence
                    .delete(Uuid::from_random((opening.random)()))
                    .await;
            }
            opening.open_all(new, &image).await
        };
        AtomicResponse::new(Box::pin(
            work.into_actor(self)
                .map(|opened, host, _| host.move_in(opened)),
        ))
    }
}

/// Flush and close every log of this host for a clean stop.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub struct CloseAll;

impl Handler<CloseAll> for PartitionHost {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, _: CloseAll, _: &mut Context<Self>) -> Self::Result {
        let logs: Vec<Addr<LogActor>> = self
            .residences
            .values()
            .map(|residence| residence.log.clone())
            .collect();
        self.residences.clear();
        Box::pin(async move {
            let closings: Vec<_> = logs.iter().map(|log| log.send(Close)).collect();
            let mut first_error = Ok(());
            for closing in closings {
                // A log whose actor is gone has failed before and said so; it is recovered at start.
                let closed = closing.await.unwrap_or(Ok(()));
                first_error = first_error.and(closed);
            }
            first_error
        })
    }
}

/// All hosts: sends each its part of a request.
#[derive(Clone)]
pub struct PartitionRouter {
    hosts: Arc<[Addr<PartitionHost>]>,
}

impl PartitionRouter {
    /// A router over the hosts, in the order of their shares.
    pub fn new(hosts: Vec<Addr<PartitionHost>>) -> PartitionRouter {
        PartitionRouter {
            hosts: hosts.into(),
        }
    }

    /// Sends questions, one message per host. Order is kept per partition.
    pub fn send<M>(&self, questions: Vec<(PartitionKey, M)>)
    where
        M: Message<Result = ()> + Send + 'static,
        PartitionActor: Handler<M>,
        <PartitionActor as Actor>::Context: ToEnvelope<PartitionActor, M>,
    {
        let count = self.hosts.len();
        if let [only] = &*self.hosts {
            return only.do_send(ToPartitions(questions));
        }
        let mut parts: Vec<Vec<(PartitionKey, M)>> = (0..count).map(|_| Vec::new()).collect();
        for (key, question) in questions {
            parts[Share::owner(&key, count)].push((key, question));
        }
        for (host, part) in self.hosts.iter().zip(parts) {
            if !part.is_empty() {
                host.do_send(ToPartitions(part));
            }
        }
    }

    /// Every host.
    pub fn hosts(&self) -> &[Addr<PartitionHost>] {
        &self.hosts
    }
}
