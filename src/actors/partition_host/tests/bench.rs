//! A host over one log directory, as a broker has it, without a broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use actix::prelude::*;
use bytes::BytesMut;

use super::super::*;
use crate::actors::cleaner::settings::CleanerSettings;
use crate::actors::cleaner::{CleanerActor, CleanerParts};
use crate::actors::clock::Clock;
use crate::actors::disk_threads::{DiskThreads, JobsByHand};
use crate::actors::fetch_waiter::FetchBell;
use crate::actors::gather::{Gathered, gather};
use crate::actors::log_dir::{LogDir, LogDirActor, LogDirIntervals, LogDirLimits, LogDirParts};
use crate::actors::log_dir_opening::take_directories;
use crate::actors::log_dirs::LogDirs;
use crate::actors::partition_messages::{
    Append, AppendReply, DeleteRecords, DeleteRecordsError, Read, ReadReply,
};
use crate::metadata::{ConfigResource, ConfigTables, MetadataRecord, ResourceKind, TopicSettings};
use crate::model::{BrokerId, DirectoryId, Offset, ProducerEpoch, ProducerId, Timestamp, TopicId};
use crate::record::{BatchBuilder, Scratch, ValidBatch, batches, records};
use crate::replication::Acks;
use crate::storage::OpenFiles;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::log_dir::write_clean_shutdown;

pub(in crate::actors) const DIRECTORY: &str = "/logs";
pub(in crate::actors) const EPOCH: Timestamp = Timestamp(1_700_000_000_000);
pub(in crate::actors) const NODE: BrokerId = BrokerId(1);
/// How many files the logs keep open.
pub(in crate::actors) const OPEN_FILES_MAX: usize = 3;
/// How long a write waits, unless a test says otherwise.
const PATIENCE: Duration = Duration::from_secs(30);

/// A life of a host.
pub(in crate::actors) struct Bench {
    pub(in crate::actors) disk: Arc<dyn Disk>,
    pub(in crate::actors) dir: Arc<LogDir>,
    pub(in crate::actors) clock: Clock,
    pub(in crate::actors) host: Addr<PartitionHost>,
    pub(in crate::actors) panics: Arc<AtomicUsize>,
    pub(in crate::actors) dirs: Arc<LogDirs>,
    image: Arc<Image>,
    jobs: Option<JobsByHand>,
    rounds: Option<Addr<LogDirActor>>,
    _lock: Arc<dyn DiskFile>,
}

pub(in crate::actors) fn topic_id(number: u8) -> TopicId {
    Uuid([number; 16])
}

/// The records of a topic with one partition.
pub(in crate::actors) fn topic(
    name: &str,
    id: u8,
    configs: &[(&str, &str)],
) -> Vec<MetadataRecord> {
    let mut records = vec![
        MetadataRecord::Topic {
            name: name.to_owned(),
            id: topic_id(id),
        },
        MetadataRecord::Partition {
            topic_id: topic_id(id),
            partition: 0,
            replicas: vec![NODE],
            directories: vec![DirectoryId::ZERO],
            isr: vec![NODE],
            leader: NODE,
            leader_epoch: 0,
            partition_epoch: 0,
        },
    ];
    records.extend(configs.iter().map(|(key, value)| MetadataRecord::Config {
        resource: ConfigResource {
            kind: ResourceKind::Topic,
            name: name.to_owned(),
        },
        key: (*key).to_owned(),
        value: Some((*value).to_owned()),
    }));
    records
}

/// A batch of one record, from a producer without an id.
pub(in crate::actors) fn batch(value: &str, timestamp: Timestamp) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    builder.append(timestamp, None, Some(value.as_bytes()), &[]);
    ValidBatch::from_builder(builder.build().unwrap(), &mut Scratch::new()).unwrap()
}

/// A batch of one record, from a producer with id 7.
pub(in crate::actors) fn numbered(sequence: i32, timestamp: Timestamp) -> ValidBatch {
    let mut builder = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), sequence);
    builder.append(timestamp, None, Some(b"x"), &[]);
    ValidBatch::from_builder(builder.build().unwrap(), &mut Scratch::new()).unwrap()
}

impl Bench {
    /// A host whose disk never blocks, with these topics.
    pub(in crate::actors) async fn start(disk: Arc<dyn Disk>, records: &[MetadataRecord]) -> Bench {
        let mut bench = Bench::empty(disk, DiskThreads::here(), None);
        bench.change(records).await;
        bench
    }

    /// A host whose disk works when [`Self::work`] is called; its topics are open already.
    pub(in crate::actors) async fn by_hand(
        disk: Arc<dyn Disk>,
        records: &[MetadataRecord],
    ) -> Bench {
        let (threads, jobs) = DiskThreads::by_hand();
        let mut bench = Bench::empty(disk, threads, Some(jobs));
        let told = bench.send_change(records);
        bench.work_all().await;
        told.await.unwrap();
        bench
    }

    fn empty(disk: Arc<dyn Disk>, threads: DiskThreads, jobs: Option<JobsByHand>) -> Bench {
        let count = AtomicU8::new(1);
        let random = Arc::new(move || [count.fetch_add(1, Ordering::Relaxed); 16]);
        let paths = [PathBuf::from(DIRECTORY)];
        let cluster = "a-cluster-of-one-node".to_owned();
        let taken = take_directories(disk.as_ref(), &paths, NODE, cluster, &*random);
        let taken = taken.unwrap().taken.pop().unwrap();
        let found = taken.partitions.iter().map(|name| (name.clone(), 0));
        let found = found.collect();
        let dir = Arc::new(LogDir::new(LogDirParts {
            id: taken.id,
            path: taken.path,
            disk: Arc::clone(&disk),
            threads,
            limits: LogDirLimits {
                unflushed_bytes_max: 1 << 30,
                write_back_bytes: 1 << 20,
            },
            at_start: taken.checkpoints,
            stopped_cleanly: taken.clean_shutdown.is_some(),
            open_files: Arc::new(OpenFiles::new(OPEN_FILES_MAX)),
            closed_logs: taken.closed_logs,
            lock: Arc::downgrade(&taken.lock),
            metrics: Default::default(),
        }));
        let clock = Clock::simulated(EPOCH);
        let dirs = Arc::new(LogDirs::new(vec![Arc::clone(&dir)], found));
        let panics = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&panics);
        let tables = ConfigTables {
            topic: Arc::new(crate::config::keys::topic_table()),
            ..ConfigTables::default()
        };
        let opening = Opening {
            broker: NODE,
            clock,
            dirs: Arc::clone(&dirs),
            settings: Arc::new(move |image, topic| {
                TopicSettings::resolve(image, &tables, NODE, topic)
            }),
            producer_id_expiration_ms: 86_400_000,
            on_panic: Arc::new(move |_| {
                seen.fetch_add(1, Ordering::Relaxed);
            }),
            random,
        };
        let host = PartitionHost::new(opening, Share { index: 0, count: 1 }).start();
        Bench {
            disk,
            dir,
            clock,
            host,
            panics,
            dirs,
            image: Arc::default(),
            jobs,
            rounds: None,
            _lock: taken.lock,
        }
    }

    /// Lets the directory make its rounds.
    pub(in crate::actors) fn make_rounds(&mut self, every: Duration) {
        let intervals = LogDirIntervals {
            checkpoint: every,
            tidy: every,
            first_tidy: Duration::from_secs(30),
            close_unused: Some(every),
        };
        let rounds = LogDirActor::new(Arc::clone(&self.dir), intervals);
        self.rounds = Some(rounds.start());
    }

    /// Starts a cleaner of this directory that works where it is.
    pub(in crate::actors) fn start_cleaner(&self, settings: CleanerSettings) -> Addr<CleanerActor> {
        let tables = ConfigTables {
            broker: Arc::new(crate::config::keys::broker_table()),
            ..ConfigTables::default()
        };
        let parts = CleanerParts {
            dirs: Arc::clone(&self.dirs),
            clock: self.clock,
            settings,
            source: Arc::new(move |image| CleanerSettings::resolve(image, &tables, NODE)),
            metrics: self.dir.metrics().cleaner.clone(),
            random: Arc::new(|| [7; 16]),
            has_threads: false,
        };
        CleanerActor::new(parts).start()
    }

    /// What the metadata log says more; returns when the host has carried it out.
    pub(in crate::actors) async fn change(&mut self, records: &[MetadataRecord]) {
        self.send_change(records).await.unwrap();
    }

    pub(in crate::actors) fn send_change(
        &mut self,
        records: &[MetadataRecord],
    ) -> Request<PartitionHost, MetadataChanged> {
        let mut image = Image::clone(&self.image);
        records.iter().for_each(|record| image.replay(record));
        let image = Arc::new(image);
        let delta = Arc::new(Delta::between(&self.image, &image));
        self.image = Arc::clone(&image);
        self.host.send(MetadataChanged { image, delta })
    }

    /// Lets actors do what they can.
    pub(in crate::actors) async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    /// Lets the disk do what is queued, then the actors what they can; how many jobs there were.
    pub(in crate::actors) async fn work(&self) -> usize {
        self.settle().await;
        let done = self.jobs.as_ref().map_or(0, JobsByHand::work_off);
        self.settle().await;
        done
    }

    pub(in crate::actors) async fn work_all(&self) {
        while self.work().await > 0 {}
    }

    /// Starts an append with acks=all.
    pub(in crate::actors) fn append(&self, topic: u8, batch: ValidBatch) -> Gathered<AppendReply> {
        self.append_as(topic, batch, Acks::All, PATIENCE)
    }

    pub(in crate::actors) fn append_as(
        &self,
        topic: u8,
        batch: ValidBatch,
        acks: Acks,
        patience: Duration,
    ) -> Gathered<AppendReply> {
        let (mut slots, gathered) = gather(1);
        let append = Append {
            batch,
            acks,
            deadline: self.clock.now() + patience,
            slot: slots.pop().unwrap(),
        };
        self.ask(topic, append);
        gathered
    }

    /// Appends with acks=all and tells the offset, or what went wrong as text.
    pub(in crate::actors) async fn write(&self, topic: u8, value: &str) -> Result<i64, String> {
        outcome(self.append(topic, batch(value, self.clock.wall()))).await
    }

    pub(in crate::actors) async fn read(
        &self,
        topic: u8,
        from: i64,
        bell: Option<FetchBell>,
    ) -> ReadReply {
        let (mut slots, gathered) = gather(1);
        let read = Read {
            offset: Offset(from),
            bytes_max: 1 << 20,
            whole_first_batch: true,
            committed_only: false,
            replica: false,
            current_epoch: None,
            last_fetched_epoch: None,
            bell,
            slot: slots.pop().unwrap(),
        };
        self.ask(topic, read);
        gathered.all().await.pop().flatten().unwrap()
    }

    /// Everything there is to read, as offset and value.
    pub(in crate::actors) async fn read_all(&self, topic: u8) -> Vec<(i64, String)> {
        let (mut found, mut scratch) = (Vec::new(), Scratch::new());
        let mut from = self.log_start(topic).await;
        loop {
            let answer = self.read(topic, from, None).await.unwrap();
            if answer.plan.is_empty() {
                return found;
            }
            let mut bytes = BytesMut::new();
            answer.plan.read(&mut bytes).unwrap();
            for each in batches(&bytes) {
                let (header, each) = each.unwrap();
                let mut reader = records(&header, each, 1 << 20, &mut scratch).unwrap();
                while let Some(record) = reader.next().unwrap() {
                    let offset = header.base_offset.0 + i64::from(record.offset_delta);
                    let value = record.value.unwrap_or_default().to_vec();
                    found.push((offset, String::from_utf8(value).unwrap()));
                }
                from = header.next_offset().0;
            }
        }
    }

    pub(in crate::actors) async fn log_start(&self, topic: u8) -> i64 {
        let (mut slots, gathered) = gather(1);
        self.ask(
            topic,
            crate::actors::partition_messages::Look {
                current_epoch: None,
                any_replica: false,
                slot: slots.pop().unwrap(),
            },
        );
        let view = gathered.all().await.pop().flatten().unwrap().unwrap();
        view.log.log_start_offset().0
    }

    pub(in crate::actors) async fn delete_records(
        &self,
        topic: u8,
        before: i64,
    ) -> Option<Result<Offset, DeleteRecordsError>> {
        let (mut slots, gathered) = gather(1);
        let delete = DeleteRecords {
            before: Some(Offset(before)),
            slot: slots.pop().unwrap(),
        };
        self.ask(topic, delete);
        gathered.all().await.pop().flatten()
    }

    pub(in crate::actors) fn ask<M>(&self, topic: u8, question: M)
    where
        M: Message<Result = ()> + Send + 'static,
        PartitionActor: Handler<M>,
        <PartitionActor as Actor>::Context: ToEnvelope<PartitionActor, M>,
    {
        let questions = vec![((topic_id(topic), 0), question)];
        self.host.do_send(ToPartitions(questions));
    }

    pub(in crate::actors) fn names(&self, directory: &str) -> Vec<String> {
        let entries = self.disk.list(Path::new(directory)).unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    /// Stops as a broker does.
    pub(in crate::actors) async fn stop(self) {
        self.host.send(CloseAll).await.unwrap().unwrap();
        self.dir.write_checkpoints(true).unwrap();
        let closed = self.dir.write_closed().unwrap();
        let directory = Path::new(DIRECTORY);
        write_clean_shutdown(self.disk.as_ref(), directory, 1, Some(closed)).unwrap();
    }
}

/// The offset an append was answered with, or what went wrong as text; "gone" for no answer.
pub(in crate::actors) async fn outcome(answer: Gathered<AppendReply>) -> Result<i64, String> {
    match answer.all().await.pop().flatten() {
        Some(Ok(answer)) => Ok(answer.base_offset.0),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("gone".to_owned()),
    }
}
