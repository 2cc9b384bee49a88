//! The partitions of one arbiter: `api` sends one message per arbiter, the host hands out the parts.
//!
//! It also follows the metadata: it opens, changes and retires the partitions of its share before
//! the routing table that `api` reads tells of them, one change after the other, so that a recreated
//! topic never meets the directory of the one before it; the partitions that stay are served
//! meanwhile. Invariant: a question about a partition that is not here is dropped, and its slot tells
//! the asker so.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use actix::dev::ToEnvelope;
use actix::prelude::*;
use tokio::sync::oneshot;

use super::log_dir::{DirectoryFailed, LogDir};
use super::metadata::MetadataChanged;
use super::partition::PartitionActor;
use super::partition_closing::close_all;
use super::partition_messages::PartitionKey;
use super::partition_opening::{Opened, Opening, Residence, find};
use crate::metadata::{Delta, Image, ResourceKind, TopicImage};
use crate::model::{DirectoryId, TopicPartition, Uuid};
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
    /// What is to be done after the change that is under way.
    to_come: VecDeque<Turn>,
    changing: bool,
}

/// What must not overlap with a change of the metadata.
enum Turn {
    Change(MetadataChanged, oneshot::Sender<()>),
    Close(oneshot::Sender<Result<(), StorageError>>),
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

    pub(super) fn has(&self, key: &PartitionKey) -> bool {
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
            to_come: VecDeque::new(),
            changing: false,
        }
    }

    /// The partitions here whose topics are gone.
    fn gone(&self, delta: &Delta) -> Vec<PartitionKey> {
        let partitions = delta.topics_deleted.iter().flat_map(|topic| keys_of(topic));
        partitions
            .filter(|key| self.residences.contains_key(key))
            .collect()
    }

    /// What is offline is not here to be deleted; its place is free for a topic of the same name.
    fn forget_offline(&self, delta: &Delta) {
        for topic in &delta.topics_deleted {
            let offline = keys_of(topic).filter(|key| self.share.has(key));
            for (_, index) in offline.filter(|key| !self.residences.contains_key(key)) {
                let name = TopicPartition::new(Arc::clone(&topic.name), index);
                self.opening.dirs.forget(&name);
            }
        }
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
        let mut rules = self.opening.rules(image);
        for key in here {
            if let Some((topic, partition)) = find(image, &key) {
                self.residences[&key].tell(self.opening.broker, rules.of(topic), partition);
            }
        }
        new
    }

    /// Directories that failed while partitions in them were opened.
    fn leave_failed_directories(&mut self) {
        let failed = self
            .opening
            .dirs
            .all()
            .iter()
            .filter(|dir| dir.is_offline());
        let failed: Vec<DirectoryId> = failed.map(|dir| dir.id()).collect();
        for id in failed {
            self.leave_directory(id);
        }
    }

    fn leave_directory(&mut self, id: DirectoryId) {
        let gone = self.residences.iter();
        let gone = gone.filter(|(_, residence)| residence.dir().id() == id);
        let gone: Vec<_> = gone.map(|(key, _)| *key).collect();
        for residence in self.retire(&gone) {
            residence.leave_failed();
        }
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

impl PartitionHost {
    /// Takes the next turn, unless one is under way.
    fn next_turn(&mut self, ctx: &mut Context<Self>) {
        if self.changing {
            return;
        }
        match self.to_come.pop_front() {
            Some(Turn::Change(changed, told)) => self.change(&changed, told, ctx),
            Some(Turn::Close(told)) => self.close(told),
            None => {}
        }
    }

    fn change(
        &mut self,
        MetadataChanged { image, delta }: &MetadataChanged,
        told: oneshot::Sender<()>,
        ctx: &mut Context<Self>,
    ) {
        self.changing = true;
        self.forget_offline(delta);
        let retired = self.retire(&self.gone(delta));
        let new = self.tell(self.changed(delta, image), image);
        let (opening, image) = (self.opening.clone(), Arc::clone(image));
        let work = async move {
            delete_all(retired, &opening).await;
            opening.open_all(new, &image).await
        };
        ctx.spawn(work.into_actor(self).map(|opened, host, ctx| {
            host.move_in(opened);
            host.leave_failed_directories();
            host.changing = false;
            // Who does not wait any more found that it took too long.
            let _ = told.send(());
            host.next_turn(ctx);
        }));
    }

    fn close(&mut self, told: oneshot::Sender<Result<(), StorageError>>) {
        let residences = self.residences.drain();
        let residences = residences.map(|(_, residence)| residence).collect();
        actix_rt::spawn(async move {
            let _ = told.send(close_all(residences).await);
        });
    }
}

/// Renames the directories of retired partitions side by side, then makes the new names last.
async fn delete_all(retired: Vec<Residence>, opening: &Opening) {
    let deletions: Vec<_> = retired
        .into_iter()
        .map(|residence| residence.delete(Uuid::from_random((opening.random)())))
        .collect();
    let mut dirs: BTreeMap<DirectoryId, Arc<LogDir>> = BTreeMap::new();
    for deletion in deletions {
        let dir = deletion.await;
        dirs.insert(dir.id(), dir);
    }
    for dir in dirs.into_values() {
        let threads = dir.threads().clone();
        let synced = threads.run(move || dir.disk().sync_dir(dir.path())).await;
        if let Ok(Err(error)) = synced {
            // After a loss of power the directory may be back: of a topic nobody knows, left alone.
            log::warn!("deleted partitions may come back after a loss of power: {error}");
        }
    }
}

impl Handler<MetadataChanged> for PartitionHost {
    type Result = ResponseFuture<()>;

    /// Answers when the change is carried out.
    fn handle(&mut self, changed: MetadataChanged, ctx: &mut Context<Self>) -> Self::Result {
        let (told, done) = oneshot::channel();
        self.to_come.push_back(Turn::Change(changed, told));
        self.next_turn(ctx);
        Box::pin(async move {
            // A host that is gone has panicked; its partitions are offline.
            let _ = done.await;
        })
    }
}

/// Flush and close every log of this host for a clean stop.
#[derive(Message)]
#[rtype(result = "Result<(), StorageError>")]
pub struct CloseAll;

impl Handler<CloseAll> for PartitionHost {
    type Result = ResponseFuture<Result<(), StorageError>>;

    fn handle(&mut self, _: CloseAll, ctx: &mut Context<Self>) -> Self::Result {
        let (told, closed) = oneshot::channel();
        self.to_come.push_back(Turn::Close(told));
        self.next_turn(ctx);
        Box::pin(async move { closed.await.unwrap_or(Ok(())) })
    }
}

/// A log directory has failed: its partitions are not here any more.
impl Handler<DirectoryFailed> for PartitionHost {
    type Result = ();

    fn handle(&mut self, DirectoryFailed(id): DirectoryFailed, _: &mut Context<Self>) {
        self.leave_directory(id);
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
            if let Some(part) = parts.get_mut(Share::owner(&key, count)) {
                part.push((key, question));
            }
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

#[cfg(test)]
pub(super) mod tests;
