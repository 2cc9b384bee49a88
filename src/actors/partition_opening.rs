//! How a partition comes to live on a host: its directory chosen, its log opened, its actors started.
//!
//! Used by `partition_host` alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::prelude::*;

use super::clock::Clock;
use super::log::{LogActor, Reconfigure, ReportTo, StartEpoch};
use super::log_dir::{LogDir, ResidentLog};
use super::log_opening::LogSite;
use super::log_upkeep::Delete;
use super::observe::{OnPanic, PanicWatch};
use super::partition::{PartitionActor, PartitionGauges, PartitionParts, Reassign, Retire};
use super::partition_messages::PartitionKey;
use super::settings::{SettingsSource, log_config};
use crate::metadata::{Image, PartitionImage, TopicImage};
use crate::model::{BrokerId, TopicPartition, Uuid};
use crate::replication::{Assignment, Partition, PartitionConfig};
use crate::storage::log_dir::current_directory_name;
use crate::storage::{Log, LogConfig, StorageError};

/// How often a long recovery says how far it is.
const PROGRESS_SAID_EVERY: Duration = Duration::from_secs(3);

/// All log directories, and which partition lives in which.
pub struct LogDirs {
    dirs: Vec<Arc<LogDir>>,
    homes: Mutex<Homes>,
}

struct Homes {
    /// Directories of partitions found on disk at the start, and those chosen since.
    by_name: BTreeMap<TopicPartition, usize>,
    /// How many partitions are at home in each directory.
    counts: Vec<usize>,
}

impl LogDirs {
    /// The opened directories and the partitions found in each.
    pub fn new(dirs: Vec<Arc<LogDir>>, found: BTreeMap<TopicPartition, usize>) -> LogDirs {
        let mut counts = vec![0; dirs.len()];
        for index in found.values() {
            counts[*index] += 1;
        }
        let homes = Homes {
            by_name: found,
            counts,
        };
        LogDirs {
            dirs,
            homes: Mutex::new(homes),
        }
    }

    /// Every directory.
    pub fn all(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    /// Partitions on disk of which the metadata knows nothing, as `log.dirs` paths and names.
    pub fn unknown(&self, image: &Image) -> Vec<String> {
        let known = |name: &TopicPartition| {
            let topic = image.topic(&name.topic);
            topic.is_some_and(|topic| topic.partition(name.partition).is_some())
        };
        let homes = self.homes();
        let unknown = homes.by_name.iter().filter(|(name, _)| !known(name));
        unknown
            .map(|(name, index)| {
                let path = self.dirs[*index].path();
                path.join(current_directory_name(name))
                    .display()
                    .to_string()
            })
            .collect()
    }

    /// The directory of a partition: where it is already, else the online one with the fewest.
    fn home(&self, name: &TopicPartition) -> Option<Arc<LogDir>> {
        let mut homes = self.homes();
        if let Some(index) = homes.by_name.get(name) {
            return self.dirs.get(*index).cloned();
        }
        let (index, dir) = self
            .dirs
            .iter()
            .enumerate()
            .filter(|(_, dir)| !dir.is_offline())
            .min_by_key(|(index, _)| homes.counts[*index])?;
        homes.by_name.insert(name.clone(), index);
        homes.counts[index] += 1;
        Some(Arc::clone(dir))
    }

    fn forget(&self, name: &TopicPartition) {
        let mut homes = self.homes();
        if let Some(index) = homes.by_name.remove(name) {
            homes.counts[index] -= 1;
        }
    }

    fn homes(&self) -> MutexGuard<'_, Homes> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a host needs to open partitions.
#[derive(Clone)]
pub struct Opening {
    /// This broker.
    pub broker: BrokerId,
    /// The time.
    pub clock: Clock,
    /// Where logs live.
    pub dirs: Arc<LogDirs>,
    /// Answers what a topic's settings are.
    pub settings: SettingsSource,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: i64,
    /// Told of panics.
    pub on_panic: OnPanic,
    /// Sixteen random bytes, for segment jitter and the names of deleted directories.
    pub random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
}

/// A partition that lives on a host.
pub struct Residence {
    /// Its actor.
    pub partition: Addr<PartitionActor>,
    /// Its log's actor.
    pub log: Addr<LogActor>,
    name: TopicPartition,
    dir: Arc<LogDir>,
    dirs: Arc<LogDirs>,
}

/// A partition that was opened.
pub struct Opened {
    /// Which.
    pub key: PartitionKey,
    /// Its actors.
    pub residence: Residence,
}

/// What the settings of a topic mean to its partitions: the same for all of them.
#[derive(Clone)]
pub struct Rules {
    log: Arc<LogConfig>,
    partition: PartitionConfig,
}

impl Residence {
    /// Tells the partition and its log what the image says of them now.
    pub fn tell(&self, broker: BrokerId, rules: &Rules, partition: &PartitionImage) {
        self.log.do_send(Reconfigure(Arc::clone(&rules.log)));
        if partition.leader == broker {
            self.log.do_send(StartEpoch(partition.leader_epoch));
        }
        self.partition.do_send(Reassign {
            assignment: assignment(partition),
            config: rules.partition,
        });
    }

    /// Ends the partition and renames its directory; the files go later. Begins at once; comes back
    /// with the directory in which the new name must be made to last.
    pub fn delete(self, unique: Uuid) -> impl Future<Output = Arc<LogDir>> {
        self.partition.do_send(Retire);
        let deletion = self.log.send(Delete(unique));
        async move {
            // What stays is set aside when a topic of that name comes again.
            match deletion.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => log::error!("{} was not deleted: {error}", self.name),
                Err(_) => log::error!("{} was not deleted: its log failed earlier", self.name),
            }
            self.dir.move_out(&self.name);
            self.dirs.forget(&self.name);
            self.dir
        }
    }
}

impl Opening {
    /// What a topic's settings mean to its partitions under an image.
    pub fn rules(&self, image: &Image, topic: &str) -> Rules {
        let settings = (self.settings)(image, topic);
        Rules {
            log: Arc::new(log_config(&settings, self.producer_id_expiration_ms)),
            partition: PartitionConfig {
                min_insync_replicas: usize::try_from(settings.min_insync_replicas).unwrap_or(1),
            },
        }
    }

    /// Opens partitions, those of one directory on its disk threads side by side. One that cannot
    /// be opened is offline: it is logged, and asking for it is answered with a storage error.
    pub async fn open_all(&self, keys: Vec<PartitionKey>, image: &Arc<Image>) -> Vec<Opened> {
        let mut openings = Vec::new();
        for key in keys {
            let (opening, image) = (self.clone(), Arc::clone(image));
            openings.push(actix_rt::spawn(
                async move { opening.open(key, &image).await },
            ));
        }
        let (count, mut said) = (openings.len(), self.clock.now());
        let mut opened = Vec::with_capacity(count);
        for opening in openings {
            match opening.await {
                Ok(Ok(Some(residence))) => opened.push(residence),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => log::error!("a partition is offline: {error}"),
                Err(error) => log::error!("a partition is offline: opening it failed: {error}"),
            }
            let now = self.clock.now();
            if now.since(said) >= PROGRESS_SAID_EVERY {
                said = now;
                log::info!("{} of {count} logs are open", opened.len());
            }
        }
        opened
    }

    async fn open(&self, key: PartitionKey, image: &Image) -> Result<Option<Opened>, StorageError> {
        let Some((topic, partition)) = find(image, &key) else {
            return Ok(None);
        };
        if !partition.replicas.contains(&self.broker) {
            return Ok(None);
        }
        let name = TopicPartition::new(Arc::clone(&topic.name), key.1);
        let Some(dir) = self.dirs.home(&name) else {
            log::error!("{name} is offline: every log directory has failed");
            return Ok(None);
        };
        let rules = self.rules(image, &topic.name);
        let site = LogSite {
            dir: Arc::clone(&dir),
            name: name.clone(),
            topic_id: key.0,
            config: Arc::clone(&rules.log),
            leads_in: (partition.leader == self.broker).then_some(partition.leader_epoch),
            random: (self.random)(),
            now: self.clock.wall(),
        };
        let opened = dir.threads().run(move || site.open()).await;
        let opened = opened.unwrap_or_else(|_| {
            (self.on_panic)("log");
            let path = dir.path().clone();
            Err(StorageError::Poisoned { path })
        });
        if opened.is_err() {
            // It was not recovered now, so it must be at the next start.
            dir.mark_unclean();
        }
        let (log, high_watermark) = opened?;
        let end = log.log_end_offset();
        let machine = Partition::new(
            self.broker,
            assignment(partition),
            rules.partition,
            high_watermark,
            end,
        );
        Ok(Some(Opened {
            key,
            residence: self.move_in(name, dir, log, rules.log, machine),
        }))
    }

    fn move_in(
        &self,
        name: TopicPartition,
        dir: Arc<LogDir>,
        log: Log,
        config: Arc<LogConfig>,
        machine: Partition,
    ) -> Residence {
        let watch =
            |what: &str| PanicWatch::new(format!("{what} {name}"), Arc::clone(&self.on_panic));
        let reader = log.reader();
        let gauges = Arc::new(PartitionGauges::default());
        let shown = Arc::clone(&gauges);
        let home = Arc::clone(&dir);
        let log = LogActor::new(log, home, config, self.clock, shown, watch("log")).start();
        let parts = PartitionParts {
            partition: machine,
            clock: self.clock,
            log: log.clone(),
            reader: reader.clone(),
            threads: dir.threads().clone(),
            gauges: Arc::clone(&gauges),
            watch: watch("partition"),
        };
        let partition = PartitionActor::new(parts).start();
        log.do_send(ReportTo(partition.clone()));
        dir.move_in(
            name.clone(),
            ResidentLog {
                reader,
                gauges,
                actor: log.clone(),
            },
        );
        Residence {
            partition,
            log,
            name,
            dir,
            dirs: Arc::clone(&self.dirs),
        }
    }
}

/// A partition and its topic in an image.
pub fn find<'a>(
    image: &'a Image,
    key: &PartitionKey,
) -> Option<(&'a TopicImage, &'a PartitionImage)> {
    let topic = image.topic_by_id(&key.0)?;
    Some((topic, topic.partition(key.1)?))
}

fn assignment(partition: &PartitionImage) -> Assignment {
    Assignment {
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.to_vec(),
        isr: partition.isr.to_vec(),
    }
}
