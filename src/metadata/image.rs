//! The cluster's metadata at one point of its log, immutable and cheap to copy.
//!
//! Readers hold an `Arc<Image>`; `actors::metadata` is the only one that replays records into the
//! next one. Invariant: an image is the sum of the records up to `version`, nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use super::records::{ConfigResource, EndpointRecord, MetadataRecord, ResourceKind};
use crate::model::{
    BrokerId, DirectoryId, LOST_DIRECTORY, LeaderEpoch, TopicId, Uuid, is_internal,
};

/// A listener of a broker, as clients reach it.
pub type Endpoint = EndpointRecord;

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionImage {
    /// The brokers that hold a replica, the preferred leader first.
    pub replicas: Arc<[BrokerId]>,
    /// The replicas' log directories, in the same order; zero means "the broker chooses".
    pub directories: Arc<[DirectoryId]>,
    /// The replicas in sync.
    pub isr: Arc<[BrokerId]>,
    /// The leader, or `BrokerId::NONE`.
    pub leader: BrokerId,
    /// The leader's epoch.
    pub leader_epoch: LeaderEpoch,
    /// Rises with every change.
    pub partition_epoch: i32,
}

impl PartitionImage {
    /// The log directory of this broker's replica; zero while it is not known, and for no replica.
    pub fn directory_of(&self, broker: BrokerId) -> DirectoryId {
        let at = self.replicas.iter().position(|replica| *replica == broker);
        at.and_then(|at| self.directories.get(at))
            .copied()
            .unwrap_or_default()
    }
}

/// One topic with its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicImage {
    /// Its name.
    pub name: Arc<str>,
    /// Its identity.
    pub id: TopicId,
    /// Its partitions; the index is the partition's number.
    pub partitions: Vec<PartitionImage>,
}

impl TopicImage {
    /// Whether the topic belongs to the cluster itself.
    pub fn is_internal(&self) -> bool {
        is_internal(&self.name)
    }

    /// The partition of this index.
    pub fn partition(&self, index: i32) -> Option<&PartitionImage> {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.partitions.get(index))
    }

    fn to_records(&self) -> impl Iterator<Item = MetadataRecord> {
        let topic = MetadataRecord::Topic {
            name: self.name.to_string(),
            id: self.id,
        };
        let partitions = self.partitions.iter().zip(0..);
        std::iter::once(topic).chain(partitions.map(|(partition, index)| {
            MetadataRecord::Partition {
                topic_id: self.id,
                partition: index,
                replicas: partition.replicas.to_vec(),
                directories: partition.directories.to_vec(),
                isr: partition.isr.to_vec(),
                leader: partition.leader,
                leader_epoch: partition.leader_epoch.0,
                partition_epoch: partition.partition_epoch,
            }
        }))
    }
}

/// One broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerImage {
    /// Its id.
    pub id: BrokerId,
    /// Identifies the run of its process.
    pub incarnation: Uuid,
    /// Rises with every registration.
    pub broker_epoch: i64,
    /// How clients reach it, by listener.
    pub endpoints: Vec<Endpoint>,
    /// Its rack.
    pub rack: Option<String>,
    /// The log directories it can use.
    pub directories: Vec<DirectoryId>,
    /// Those of them that take no new replicas (KIP-1066).
    pub cordoned: Vec<DirectoryId>,
    /// A fenced broker leads nothing and is not shown to clients.
    pub fenced: bool,
}

impl BrokerImage {
    /// The endpoint of a listener.
    pub fn endpoint(&self, listener: &str) -> Option<&Endpoint> {
        self.endpoints
            .iter()
            .find(|endpoint| endpoint.listener == listener)
    }

    /// Whether a replica in this directory can be served. One that is not known yet can; a broker
    /// that names no directories has none that could be missing.
    pub fn has_online(&self, directory: DirectoryId) -> bool {
        let known = self.directories.is_empty() || self.directories.contains(&directory);
        directory != LOST_DIRECTORY && (directory.is_zero() || known)
    }

    /// Whether every directory of it is spared from new replicas.
    pub fn is_cordoned(&self) -> bool {
        !self.directories.is_empty() && self.directories.iter().all(|d| self.cordoned.contains(d))
    }

    fn to_records(&self) -> impl Iterator<Item = MetadataRecord> {
        let registration = MetadataRecord::RegisterBroker {
            id: self.id,
            incarnation: self.incarnation,
            broker_epoch: self.broker_epoch,
            endpoints: self.endpoints.clone(),
            rack: self.rack.clone(),
            directories: self.directories.clone(),
        };
        let fence = MetadataRecord::FenceBroker {
            id: self.id,
            fenced: true,
        };
        let directories = MetadataRecord::BrokerDirectories {
            id: self.id,
            online: self.directories.clone(),
            cordoned: self.cordoned.clone(),
        };
        let spares = !self.cordoned.is_empty();
        std::iter::once(registration)
            .chain(spares.then_some(directories))
            .chain(self.fenced.then_some(fence))
    }
}

/// The configuration values set on one resource, by key.
pub type ConfigValues = BTreeMap<String, String>;

/// The whole of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The place in the metadata log up to which records are in here.
    pub version: u64,
    /// Topics by identity.
    pub topics: HashTrieMapSync<TopicId, Arc<TopicImage>>,
    /// Identities by name, in order of name.
    pub topic_ids: RedBlackTreeMapSync<Arc<str>, TopicId>,
    /// Set values, by resource.
    pub configs: RedBlackTreeMapSync<ConfigResource, Arc<ConfigValues>>,
    /// Brokers by id.
    pub brokers: BTreeMap<BrokerId, Arc<BrokerImage>>,
    /// Finalized features and their levels.
    pub features: BTreeMap<String, i16>,
    /// The first producer id not yet in a block that was handed out.
    pub next_producer_id: i64,
}

impl Image {
    /// The topic of this name.
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicImage>> {
        self.topic_ids.get(name).and_then(|id| self.topics.get(id))
    }

    /// The topic of this identity.
    pub fn topic_by_id(&self, id: &TopicId) -> Option<&Arc<TopicImage>> {
        self.topics.get(id)
    }

    /// The values set on a resource.
    pub fn config(&self, kind: ResourceKind, name: &str) -> Option<&Arc<ConfigValues>> {
        self.configs.get(&ConfigResource {
            kind,
            name: name.to_owned(),
        })
    }

    /// Brokers that are not fenced, in order of id.
    pub fn alive_brokers(&self) -> impl Iterator<Item = &Arc<BrokerImage>> {
        self.brokers.values().filter(|broker| !broker.fenced)
    }

    /// Whether a broker cannot serve its replica because the replica's log directory is not online.
    pub fn is_in_offline_directory(&self, partition: &PartitionImage, broker: BrokerId) -> bool {
        let directory = partition.directory_of(broker);
        let known = self.brokers.get(&broker);
        known.is_some_and(|known| !known.has_online(directory))
    }

    /// Records that add up to this image again, for a snapshot: in order of name, so that equal
    /// images give equal snapshots.
    pub fn to_records(&self) -> Vec<MetadataRecord> {
        let mut records = Vec::new();
        for (name, level) in &self.features {
            records.push(MetadataRecord::FeatureLevel {
                name: name.clone(),
                level: *level,
            });
        }
        records.push(MetadataRecord::ProducerIds {
            next: self.next_producer_id,
        });
        for broker in self.brokers.values() {
            records.extend(broker.to_records());
        }
        for id in self.topic_ids.values() {
            if let Some(topic) = self.topics.get(id) {
                records.extend(topic.to_records());
            }
        }
        for (resource, values) in &self.configs {
            records.extend(values.iter().map(|(key, value)| MetadataRecord::Config {
                resource: resource.clone(),
                key: key.clone(),
                value: Some(value.clone()),
            }));
        }
        records
    }

    /// The image these records add up to.
    pub fn of_records<'a>(records: impl IntoIterator<Item = &'a MetadataRecord>) -> Image {
        let mut image = Image::default();
        for record in records {
            image.replay(record);
        }
        image
    }

    /// Applies one record. Records about things that do not exist change nothing: the controller
    /// never plans them, and a log that holds one must not stop a broker from starting.
    pub fn replay(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::Topic { name, id } => self.replay_topic(name, *id),
            MetadataRecord::RemoveTopic { id } => self.replay_remove_topic(id),
            MetadataRecord::Partition { .. } => self.replay_partition(record),
            MetadataRecord::PartitionChange { .. } => self.replay_partition_change(record),
            MetadataRecord::Config {
                resource,
                key,
                value,
            } => {
                self.replay_config(resource, key, value.as_deref());
            }
            MetadataRecord::RegisterBroker { .. } => self.replay_register_broker(record),
            MetadataRecord::FenceBroker { id, fenced } => {
                if let Some(broker) = self.brokers.get_mut(id) {
                    Arc::make_mut(broker).fenced = *fenced;
                }
            }
            MetadataRecord::UnregisterBroker { id } => {
                self.brokers.remove(id);
            }
            MetadataRecord::ProducerIds { next } => self.next_producer_id = *next,
            MetadataRecord::FeatureLevel { name, level: 0 } => {
                self.features.remove(name);
            }
            MetadataRecord::FeatureLevel { name, level } => {
                self.features.insert(name.clone(), *level);
            }
            MetadataRecord::RaiseLeaderEpochs { broker } => self.replay_raise_epochs(*broker),
            MetadataRecord::BrokerDirectories {
                id,
                online,
                cordoned,
            } => {
                if let Some(broker) = self.brokers.get_mut(id) {
                    let broker = Arc::make_mut(broker);
                    broker.directories.clone_from(online);
                    broker.cordoned.clone_from(cordoned);
                }
            }
            MetadataRecord::AssignDirectory {
                broker,
                directory,
                partitions,
            } => {
                for (topic, partitions) in partitions {
                    self.replay_assign(*broker, *directory, topic, partitions);
                }
            }
        }
    }

    fn replay_topic(&mut self, name: &str, id: TopicId) {
        let name: Arc<str> = name.into();
        self.topic_ids.insert_mut(Arc::clone(&name), id);
        self.topics.insert_mut(
            id,
            Arc::new(TopicImage {
                name,
                id,
                partitions: Vec::new(),
            }),
        );
    }

    fn replay_remove_topic(&mut self, id: &TopicId) {
        let Some(topic) = self.topics.get(id).cloned() else {
            return;
        };
        self.topics.remove_mut(id);
        self.topic_ids.remove_mut(&topic.name);
        self.configs.remove_mut(&ConfigResource {
            kind: ResourceKind::Topic,
            name: topic.name.to_string(),
        });
    }

    fn change_topic(&mut self, id: &TopicId, change: impl FnOnce(&mut TopicImage)) {
        if let Some(topic) = self.topics.get_mut(id) {
            change(Arc::make_mut(topic));
        }
    }

    fn replay_partition(&mut self, record: &MetadataRecord) {
        let MetadataRecord::Partition {
            topic_id,
            partition,
            replicas,
            directories,
            isr,
            leader,
            leader_epoch,
            partition_epoch,
        } = record
        else {
            return;
        };
        self.change_topic(topic_id, |topic| {
            let neighbour = topic.partitions.last();
            let replicas = shared(replicas, neighbour.map(|last| &last.replicas));
            let image = PartitionImage {
                directories: shared(directories, neighbour.map(|last| &last.directories)),
                isr: shared(isr, Some(&replicas)),
                replicas,
                leader: *leader,
                leader_epoch: LeaderEpoch(*leader_epoch),
                partition_epoch: *partition_epoch,
            };
            let index = usize::try_from(*partition).unwrap_or(usize::MAX);
            if index == topic.partitions.len() {
                topic.partitions.push(image);
            } else if let Some(existing) = topic.partitions.get_mut(index) {
                *existing = image;
            }
        });
    }

    fn replay_partition_change(&mut self, record: &MetadataRecord) {
        let MetadataRecord::PartitionChange {
            topic_id,
            partition,
            isr,
            leader,
            replicas,
        } = record
        else {
            return;
        };
        self.change_topic(topic_id, |topic| {
            let index = usize::try_from(*partition).unwrap_or(usize::MAX);
            let Some(image) = topic.partitions.get_mut(index) else {
                return;
            };
            if let Some(isr) = isr {
                image.isr = isr.as_slice().into();
            }
            if let Some((replicas, directories)) = replicas {
                image.replicas = replicas.as_slice().into();
                image.directories = directories.as_slice().into();
            }
            if let Some(leader) = leader {
                image.leader = *leader;
                image.leader_epoch = LeaderEpoch(image.leader_epoch.0.saturating_add(1));
            }
            image.partition_epoch = image.partition_epoch.saturating_add(1);
        });
    }

    fn replay_config(&mut self, resource: &ConfigResource, key: &str, value: Option<&str>) {
        let Some(value) = value else {
            return self.remove_config(resource, key);
        };
        if let Some(values) = self.configs.get_mut(resource) {
            Arc::make_mut(values).insert(key.to_owned(), value.to_owned());
            return;
        }
        let values = ConfigValues::from([(key.to_owned(), value.to_owned())]);
        self.configs.insert_mut(resource.clone(), Arc::new(values));
    }

    fn remove_config(&mut self, resource: &ConfigResource, key: &str) {
        let Some(values) = self.configs.get_mut(resource) else {
            return;
        };
        Arc::make_mut(values).remove(key);
        if values.is_empty() {
            self.configs.remove_mut(resource);
        }
    }

    fn replay_register_broker(&mut self, record: &MetadataRecord) {
        let MetadataRecord::RegisterBroker {
            id,
            incarnation,
            broker_epoch,
            endpoints,
            rack,
            directories,
        } = record
        else {
            return;
        };
        let broker = BrokerImage {
            id: *id,
            incarnation: *incarnation,
            broker_epoch: *broker_epoch,
            endpoints: endpoints.clone(),
            rack: rack.clone(),
            directories: directories.clone(),
            cordoned: Vec::new(),
            fenced: false,
        };
        self.brokers.insert(*id, Arc::new(broker));
    }

    fn replay_assign(
        &mut self,
        broker: BrokerId,
        directory: DirectoryId,
        topic: &TopicId,
        partitions: &[i32],
    ) {
        self.change_topic(topic, |topic| {
            for index in partitions {
                let index = usize::try_from(*index).unwrap_or(usize::MAX);
                let neighbour = index.checked_sub(1).and_then(|at| topic.partitions.get(at));
                let neighbour = neighbour.map(|neighbour| Arc::clone(&neighbour.directories));
                let Some(image) = topic.partitions.get_mut(index) else {
                    continue;
                };
                let at = image.replicas.iter().position(|replica| *replica == broker);
                let mut directories = image.directories.to_vec();
                if let Some(place) = at.and_then(|at| directories.get_mut(at)) {
                    *place = directory;
                    image.directories = shared(&directories, neighbour.as_ref());
                    image.partition_epoch = image.partition_epoch.saturating_add(1);
                }
            }
        });
    }

    fn replay_raise_epochs(&mut self, broker: BrokerId) {
        let leads = |partition: &PartitionImage| partition.leader == broker;
        let ids: Vec<TopicId> = self
            .topics
            .values()
            .filter(|topic| topic.partitions.iter().any(leads))
            .map(|topic| topic.id)
            .collect();
        for id in ids {
            self.change_topic(&id, |topic| {
                for partition in topic.partitions.iter_mut().filter(|p| leads(p)) {
                    let epoch = partition.leader_epoch.0.saturating_add(1);
                    partition.leader_epoch = LeaderEpoch(epoch);
                    partition.partition_epoch = partition.partition_epoch.saturating_add(1);
                }
            });
        }
    }
}

/// A list as an `Arc`, the neighbour's own when it holds the same: most partitions of a topic, and
/// the replicas and those in sync, are equal, and a large cluster has many of them.
fn shared<T: PartialEq + Clone>(list: &[T], neighbour: Option<&Arc<[T]>>) -> Arc<[T]> {
    match neighbour {
        Some(neighbour) if **neighbour == *list => Arc::clone(neighbour),
        _ => list.into(),
    }
}
