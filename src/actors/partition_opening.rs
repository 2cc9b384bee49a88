//! How a partition comes to live on a host: its directory chosen, its log opened, its actors started.
//!
//! Used by `partition_host` alone.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use actix::prelude::*;

use super::clock::Clock;
use super::homeless::HomelessPartitions;
use super::log::{LogActor, LogFailed, Reconfigure, ReportTo, StartEpoch};
use super::log_dir::{LogDir, ResidentLog};
use super::log_dirs::{Home, LogDirs};
use super::log_opening::LogSite;
use super::log_upkeep::{Abandon, Close, Delete};
use super::observe::{OnPanic, PanicWatch};
use super::partition::{PartitionActor, PartitionGauges, PartitionParts, Reassign, Retire};
use super::partition_messages::PartitionKey;
use super::rules::{RuleBook, Rules};
use super::settings::SettingsSource;
use crate::metadata::{Image, PartitionImage, TopicImage};
use crate::model::{BrokerId, DirectoryId, Offset, TopicPartition, Uuid};
use crate::replication::{Assignment, Partition, PartitionConfig};
use crate::storage::{Log, StorageError};

/// Into so many jobs an opening is split where there are enough partitions, so that all threads of
/// the directory have some.
const JOBS_AT_LEAST: usize = 16;

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
    /// Where it was opened; it may have moved since.
    opened_in: Arc<LogDir>,
    dirs: Arc<LogDirs>,
}

/// A partition that was opened.
pub struct Opened {
    /// Which.
    pub key: PartitionKey,
    /// Its actors.
    pub residence: Residence,
}

/// A partition that is to be opened.
struct PartitionSite {
    key: PartitionKey,
    assignment: Assignment,
    config: PartitionConfig,
    /// The directory in which the metadata has it.
    recorded: DirectoryId,
    log: LogSite,
}

impl Residence {
    /// Tells the partition and its log what the image says of them now.
    pub fn tell(&self, broker: BrokerId, rules: &Rules, partition: &PartitionImage) {
        self.dir().reconfigure(&self.name, &rules.log);
        self.log.do_send(Reconfigure(Arc::clone(&rules.log)));
        if partition.leader == broker {
            self.log.do_send(StartEpoch(partition.leader_epoch));
        }
        self.partition.do_send(Reassign {
            assignment: assignment(partition),
            config: rules.partition,
        });
    }

    /// The directory it lives in.
    pub(super) fn dir(&self) -> Arc<LogDir> {
        let home = self.dirs.home_of(&self.name);
        home.unwrap_or_else(|| Arc::clone(&self.opened_in))
    }

    /// Closes its log for a clean stop, and has the directory remember it. Begins at once; comes
    /// back with its name, or nothing when its log failed before: then it has marked its directory.
    pub(super) fn close(
        self,
        flush: bool,
    ) -> impl Future<Output = Result<Option<TopicPartition>, StorageError>> {
        let closing = self.log.send(Close { flush });
        async move {
            let Ok(closed) = closing.await else {
                return Ok(None);
            };
            if let Some(closed) = closed? {
                self.dir().remember_closed(self.name.clone(), closed);
            }
            Ok(Some(self.name))
        }
    }

    /// Ends the partition because its directory has failed: who waits is told that nobody knows.
    pub(super) fn leave_failed(self) {
        self.partition.do_send(LogFailed);
        self.partition.do_send(Retire);
        self.log.do_send(Abandon);
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
                Ok(Err(error)) => {
                    log::error!("{} was not deleted: {error}", self.name);
                    self.dir().fail_if_device(&error);
                }
                Err(_) => log::error!("{} was not deleted: its log failed earlier", self.name),
            }
            let dir = self.dir();
            dir.move_out(&self.name);
            self.dirs.forget(&self.name);
            dir
        }
    }
}

impl Opening {
    /// What the settings of topics mean to their partitions under an image.
    pub fn rules<'a>(&'a self, image: &'a Image) -> RuleBook<'a> {
        RuleBook::new(&self.settings, self.producer_id_expiration_ms, image)
    }

    /// Opens partitions, those of one directory on its disk threads side by side. One that cannot
    /// be opened is offline: it is logged, and asking for it is answered with a storage error.
    pub async fn open_all(&self, keys: Vec<PartitionKey>, image: &Arc<Image>) -> Vec<Opened> {
        let sites = self.sites(keys, image);
        let count: usize = sites.values().map(|(_, sites)| sites.len()).sum();
        let mut openings = Vec::new();
        for (dir, mut sites) in sites.into_values() {
            dir.opening().begin(self.clock.now(), sites.len());
            let together = opened_together(&dir, sites.len());
            while !sites.is_empty() {
                let some = sites.split_off(sites.len().saturating_sub(together));
                let (opening, dir) = (self.clone(), Arc::clone(&dir));
                openings.push(actix_rt::spawn(async move {
                    opening.open_some(dir, some).await
                }));
            }
        }
        let mut opened = Vec::with_capacity(count);
        for opening in openings {
            match opening.await {
                Ok(residences) => opened.extend(residences),
                Err(error) => log::error!("partitions are offline: opening them failed: {error}"),
            }
        }
        opened
    }

    /// What is to be opened in each directory.
    fn sites(
        &self,
        keys: Vec<PartitionKey>,
        image: &Image,
    ) -> BTreeMap<DirectoryId, (Arc<LogDir>, Vec<PartitionSite>)> {
        let mut sites: BTreeMap<DirectoryId, (Arc<LogDir>, Vec<PartitionSite>)> = BTreeMap::new();
        let mut homeless = HomelessPartitions::new(self.broker, image);
        let mut rules = self.rules(image);
        for key in keys {
            let Some((topic, partition)) = find(image, &key) else {
                continue;
            };
            if !partition.replicas.contains(&self.broker) {
                continue;
            }
            let name = TopicPartition::new(Arc::clone(&topic.name), key.1);
            let recorded = partition.directory_of(self.broker);
            let Home { dir, rivals } = match self.dirs.home(&name, recorded, homeless.directories())
            {
                Ok(home) => home,
                Err(why) => {
                    homeless.add(key, &name, recorded, why);
                    continue;
                }
            };
            let rules = rules.of(topic);
            let site = PartitionSite {
                key,
                assignment: assignment(partition),
                config: rules.partition,
                recorded,
                log: LogSite {
                    dir: Arc::clone(&dir),
                    rivals,
                    name,
                    topic_id: key.0,
                    config: Arc::clone(&rules.log),
                    leads_in: (partition.leader == self.broker).then_some(partition.leader_epoch),
                    random: (self.random)(),
                    clock: self.clock,
                },
            };
            let (_, sites) = sites.entry(dir.id()).or_insert_with(|| (dir, Vec::new()));
            sites.push(site);
        }
        self.dirs.report(homeless.tell());
        sites
    }

    /// Opens partitions of one directory in one job.
    async fn open_some(&self, dir: Arc<LogDir>, sites: Vec<PartitionSite>) -> Vec<Opened> {
        let job = move || -> Vec<_> {
            let open = |mut site: PartitionSite| {
                let log = panic::catch_unwind(AssertUnwindSafe(|| {
                    site.log.settle_rivals()?;
                    site.log.open()
                }));
                site.log.note_done(matches!(log, Ok(Ok(_))));
                (site, log)
            };
            sites.into_iter().map(open).collect()
        };
        let Ok(done) = dir.opening_threads().run(job).await else {
            log::error!("partitions are offline: the threads of their directory have ended");
            return Vec::new();
        };
        let mut opened = Vec::with_capacity(done.len());
        let mut placed = Vec::new();
        for (site, log) in done {
            if !Arc::ptr_eq(&site.log.dir, &dir) {
                self.dirs.rehome(&site.log.name, &site.log.dir);
            }
            let log = log.unwrap_or_else(|_| {
                (self.on_panic)("log");
                let path = dir.path().clone();
                Err(StorageError::Poisoned { path })
            });
            match log {
                Ok((log, high_watermark)) => {
                    let directory = site.log.dir.id();
                    if site.recorded != directory {
                        placed.push((site.key, directory));
                    }
                    opened.push(self.move_in(site, log, high_watermark));
                }
                Err(error) => {
                    log::error!("{} is offline: {error}", site.log.name);
                    // It was not recovered now, so it must be at the next start.
                    dir.mark_unclean();
                    dir.fail_if_device(&error);
                }
            }
        }
        self.dirs.report(placed);
        opened
    }

    fn move_in(&self, site: PartitionSite, log: Log, high_watermark: Offset) -> Opened {
        let LogSite {
            dir, name, config, ..
        } = site.log;
        let machine = Partition::new(
            self.broker,
            site.assignment,
            site.config,
            high_watermark,
            log.log_end_offset(),
        );
        let watch =
            |what: &str| PanicWatch::new(format!("{what} {name}"), Arc::clone(&self.on_panic));
        let reader = log.reader();
        let gauges = Arc::new(PartitionGauges::default());
        let shown = Arc::clone(&gauges);
        let home = Arc::clone(&dir);
        let settings = Arc::clone(&config);
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
                config: settings,
            },
        );
        Opened {
            key: site.key,
            residence: Residence {
                partition,
                log,
                name,
                opened_in: dir,
                dirs: Arc::clone(&self.dirs),
            },
        }
    }
}

/// How many partitions are opened in one job. After a clean stop each takes a few microseconds,
/// less than handing it over; after a crash one may take minutes, and nobody should wait behind it.
fn opened_together(dir: &LogDir, count: usize) -> usize {
    let together = if dir.was_stopped_cleanly() { 128 } else { 4 };
    (count / JOBS_AT_LEAST).clamp(1, together)
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
