//! How a partition comes to live on a host: its directory chosen, its log opened, its actors started.
//!
//! Used by `partition_host` alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix::prelude::*;

use super::clock::Clock;
use super::log::{Delete, LogActor, Reconfigure, ReportTo, StartEpoch};
use super::log_dir::{LogDir, ResidentLog};
use super::observe::{OnPanic, PanicWatch};
use super::partition::{PartitionActor, PartitionGauges, PartitionParts, Reassign, Retire};
use super::partition_messages::PartitionKey;
use super::settings::{SettingsSource, log_config};
use crate::metadata::{Image, PartitionImage, TopicImage, TopicSettings};
use crate::model::{BrokerId, Offset, TopicPartition, Uuid};
use crate::replication::{Assignment, Partition, PartitionConfig};
use crate::storage::log_dir::current_directory_name;
use crate::storage::{Log, LogConfig, RecoveryInput, RecoveryReport, StorageError};

/// All log directories, and which partition lives in which.
pub struct LogDirs {
    dirs: Vec<Arc<LogDir>>,
    /// Directories of partitions found on disk at the start, and those chosen since.
    homes: Mutex<BTreeMap<TopicPartition, usize>>,
}

impl LogDirs {
    /// The opened directories and the partitions found in each.
    pub fn new(dirs: Vec<Arc<LogDir>>, found: BTreeMap<TopicPartition, usize>) -> LogDirs {
        LogDirs {
            dirs,
            homes: Mutex::new(found),
        }
    }

    /// Every directory.
    pub fn all(&self) -> &[Arc<LogDir>] {
        &self.dirs
    }

    /// The directory of a partition: where it is already, else the online one with the fewest.
    fn home(&self, name: &TopicPartition) -> Option<Arc<LogDir>> {
        let mut homes = self.homes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = homes.get(name) {
            return self.dirs.get(*index).cloned();
        }
        let (index, dir) = self
            .dirs
            .iter()
            .enumerate()
            .filter(|(_, dir)| !dir.is_offline())
            .min_by_key(|(_, dir)| dir.count())?;
        homes.insert(name.clone(), index);
        Some(Arc::clone(dir))
    }

    fn forget(&self, name: &TopicPartition) {
        self.homes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(name);
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

impl Residence {
    /// Tells the partition and its log what the image says of them now.
    pub fn tell(&self, opening: &Opening, key: &PartitionKey, image: &Image) {
        let Some((topic, partition)) = find(image, key) else {
            return;
        };
        let settings = (opening.settings)(image, &topic.name);
        self.log.do_send(Reconfigure(Arc::new(log_config(
            &settings,
            opening.producer_id_expiration_ms,
        ))));
        if partition.leader == opening.broker {
            self.log.do_send(StartEpoch(partition.leader_epoch));
        }
        self.partition.do_send(Reassign {
            assignment: assignment(partition),
            config: PartitionConfig {
                min_insync_replicas: min_insync(&settings),
            },
        });
    }

    /// Ends the partition and renames its directory; the files go later.
    pub async fn delete(self, unique: Uuid) {
        self.partition.do_send(Retire);
        match self.log.send(Delete(unique)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => log::error!("{} was not deleted: {error}", self.name),
            Err(_) => log::error!("{} was not deleted: its log failed earlier", self.name),
        }
        self.dir.move_out(&self.name);
        self.dirs.forget(&self.name);
    }
}

impl Opening {
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
        let mut opened = Vec::with_capacity(openings.len());
        for opening in openings {
            match opening.await {
                Ok(Ok(Some(residence))) => opened.push(residence),
                Ok(Ok(None)) => {}
                Ok(Err(error)) => log::error!("a partition is offline: {error}"),
                Err(error) => log::error!("a partition is offline: opening it failed: {error}"),
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
        let settings = (self.settings)(image, &topic.name);
        let config = Arc::new(log_config(&settings, self.producer_id_expiration_ms));
        let mut log = self.open_log(&dir, &name, key, Arc::clone(&config)).await?;
        if partition.leader == self.broker {
            log.assign_epoch(partition.leader_epoch)?;
        }
        let min_insync_replicas = min_insync(&settings);
        let machine = Partition::new(
            self.broker,
            assignment(partition),
            PartitionConfig {
                min_insync_replicas,
            },
            dir.at_start()
                .high_watermarks
                .get(&name)
                .copied()
                .unwrap_or(Offset::ZERO),
            log.log_end_offset(),
        );
        Ok(Some(Opened {
            key,
            residence: self.move_in(name, dir, log, config, machine),
        }))
    }

    async fn open_log(
        &self,
        dir: &Arc<LogDir>,
        name: &TopicPartition,
        key: PartitionKey,
        config: Arc<LogConfig>,
    ) -> Result<Log, StorageError> {
        let checkpoints = dir.at_start();
        let input = RecoveryInput {
            recovery_point: checkpoints
                .recovery_points
                .get(name)
                .copied()
                .unwrap_or(Offset::ZERO),
            log_start_offset: checkpoints
                .log_starts
                .get(name)
                .copied()
                .unwrap_or(Offset::ZERO),
            clean_shutdown: dir.was_stopped_cleanly(),
            topic_id: Some(key.0),
            random: u64::from_le_bytes(*(self.random)().first_chunk().expect("16 bytes hold 8")),
        };
        let (disk, now) = (Arc::clone(dir.disk()), self.clock.wall());
        let path = dir.path().join(current_directory_name(name));
        let open = move || Log::open(disk, path, config, &input, now);
        let opened = dir.threads().run(open).await;
        let gone = || StorageError::Poisoned {
            path: dir.path().clone(),
        };
        let (log, report) = opened.unwrap_or_else(|_| Err(gone()))?;
        tell(name, &report);
        Ok(log)
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

/// Tells of a recovery that cut or set aside something; others are not worth a line each.
fn tell(name: &TopicPartition, report: &RecoveryReport) {
    if report.bytes_cut > 0 {
        let why = report.cut_because.as_deref().unwrap_or("unknown");
        log::warn!(
            "{name}: {} bytes behind the last whole batch were cut off: {why}",
            report.bytes_cut
        );
    }
    for path in &report.set_aside {
        log::warn!(
            "{name}: {} does not fit into the log and was set aside",
            path.display()
        );
    }
}

fn min_insync(settings: &TopicSettings) -> usize {
    usize::try_from(settings.min_insync_replicas).unwrap_or(1)
}

fn find<'a>(image: &'a Image, key: &PartitionKey) -> Option<(&'a TopicImage, &'a PartitionImage)> {
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
