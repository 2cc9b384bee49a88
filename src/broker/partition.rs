//! One partition, without a connection: batches are handed to it and read from it as they are stored.
//!
//! Made by the broker's handle. What comes in is judged by the rules by which `api/produce` judges,
//! and what goes out is planned by the partition as for a fetch; no request is encoded or decoded.
//! Invariant: an appended batch is answered only when it is stored as safely as with acks=all.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};

use crate::actors::clock::Clock;
use crate::actors::fetch_waiter::{FetchBell, FetchWaiter};
use crate::actors::gather::{Slot, gather};
use crate::actors::partition_host::PartitionRouter;
use crate::actors::partition_messages::{
    Append, Look, PartitionKey, Read, ReadAnswer, ReadFailure, WriteError,
};
use crate::actors::settings::SettingsSource;
use crate::api::data_path::{DataLimits, produce_rules};
use crate::metadata::{Image, TopicImage, TopicSettings};
use crate::model::{BrokerId, Moment, Offset, Timestamp, TopicId};
use crate::net::Shutdown;
use crate::record::{
    BatchBuilder, InvalidBatch, RecordFault, Scratch, ValidBatch, batches, records,
    validate_produce,
};
use crate::replication::{Acks, AppendRefusal};
use crate::storage::producer_state::SequenceError;
use crate::storage::{AppendError as LogError, ReadError as LogReadError, ReadPlan, StorageError};

/// Why a batch was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// There is no such partition, or another broker leads it.
    #[error("there is no partition {1} of topic {0} here")]
    NotHere(Arc<str>, i32),
    /// The batch breaks the format, or the topic's rules.
    #[error(transparent)]
    Invalid(#[from] InvalidBatch),
    /// A batch like this is not taken, whatever is in it.
    #[error("the batch is refused: {0}")]
    Refused(String),
    /// Its producer's epoch or sequence number does not follow.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// Fewer replicas are in sync than `min.insync.replicas`: nothing was stored.
    #[error("too few replicas are in sync")]
    TooFewReplicas,
    /// The log cannot be written: nothing was stored. When there is no space, later again.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It is not known whether the batch was stored, or that it is not stored safely enough.
    #[error("it is not known whether the batch is safely stored")]
    Undecided,
    /// The broker has stopped. What it had not answered may be stored, or not.
    #[error("the broker has stopped")]
    Stopped,
}

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such partition, or another broker leads it.
    #[error("there is no partition {1} of topic {0} here")]
    NotHere(Arc<str>, i32),
    /// The log has no such offset: it was deleted, or is not written yet.
    #[error(
        "offset {offset} is not in the log, which holds {log_start_offset} to {log_end_offset}"
    )]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first offset there is.
        log_start_offset: Offset,
        /// The offset behind the last.
        log_end_offset: Offset,
    },
    /// The next batch lies in bytes that are damaged; reading may go on behind them.
    #[error("the offsets {first_offset} up to {next_offset} are damaged: {why}")]
    Damaged {
        /// The first offset that may be in there.
        first_offset: Offset,
        /// The first offset behind.
        next_offset: Offset,
        /// Where, and what is wrong.
        why: String,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The broker has stopped.
    #[error("the broker has stopped")]
    Stopped,
}

/// What the partitions of a broker are asked with; shared by their handles.
pub(super) struct Desk {
    pub(super) image: Arc<ArcSwap<Image>>,
    pub(super) broker: BrokerId,
    pub(super) router: PartitionRouter,
    pub(super) clock: Clock,
    pub(super) limits: DataLimits,
    pub(super) settings: SettingsSource,
    pub(super) shutdown: Shutdown,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

/// The settings of a topic as of a version of the metadata.
type Resolved = (u64, TopicId, Arc<TopicSettings>);

/// One partition of one topic. Clones are the same partition; it may be used on any thread and any
/// tokio runtime, by many at once.
#[derive(Debug, Clone)]
pub struct PartitionHandle {
    desk: Arc<Desk>,
    topic: Arc<str>,
    partition: i32,
    resolved: Arc<Mutex<Option<Resolved>>>,
}

/// Whole batches as they are stored.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// The batches, one after the other, with their offsets; empty when there was nothing to read.
    /// The first one contains the offset that was asked for and may begin before it.
    pub bytes: Bytes,
    /// Where to go on.
    pub next_offset: Offset,
    /// Up to where records are committed, and so can be read.
    pub high_watermark: Offset,
    /// The first offset there is.
    pub log_start_offset: Offset,
    asked: Offset,
    decompressed_bytes_max: usize,
}

/// A record, taken out of its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its place in the partition.
    pub offset: Offset,
    /// When it was written, by its producer's clock or by the broker's, as the topic wants it.
    pub timestamp: Timestamp,
    /// Its key, if it has one.
    pub key: Option<Bytes>,
    /// Its value, if it has one.
    pub value: Option<Bytes>,
}

impl Fetched {
    /// Whether there was nothing to read.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes the records from the offset that was asked for out of their batches, without those that
    /// the broker wrote for itself. Each is copied; [`crate::record::batches`] and
    /// [`crate::record::records`] lend them instead.
    ///
    /// # Errors
    /// When a batch cannot be read.
    pub fn records(&self) -> Result<Vec<Record>, RecordFault> {
        let (mut found, mut scratch) = (Vec::new(), Scratch::new());
        for batch in batches(&self.bytes) {
            let (header, batch) =
                batch.map_err(|_| RecordFault::Malformed("the header of a batch"))?;
            if header.is_control() {
                continue;
            }
            let max = self.decompressed_bytes_max;
            let mut reader = records(&header, batch, max, &mut scratch)?;
            while let Some(record) = reader.next()? {
                let offset = Offset(header.base_offset.0 + i64::from(record.offset_delta));
                if offset < self.asked {
                    continue;
                }
                found.push(Record {
                    offset,
                    timestamp: header.record_timestamp(record.timestamp_delta),
                    key: record.key.map(Bytes::copy_from_slice),
                    value: record.value.map(Bytes::copy_from_slice),
                });
            }
        }
        Ok(found)
    }
}

impl PartitionHandle {
    pub(super) fn new(desk: Arc<Desk>, topic: &str, partition: i32) -> PartitionHandle {
        PartitionHandle {
            desk,
            topic: topic.into(),
            partition,
            resolved: Arc::default(),
        }
    }

    /// Appends one record, stamped with the time of now; gives its offset.
    ///
    /// # Errors
    /// As [`PartitionHandle::append`].
    pub async fn append_record(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Offset, AppendError> {
        let mut batch = BatchBuilder::new();
        batch.append(self.desk.clock.wall(), key, value, &[]);
        let batch = batch
            .build()
            .map_err(|error| AppendError::Refused(error.to_string()))?;
        self.append(batch).await
    }

    /// Appends one batch in Kafka's format, for example of a [`BatchBuilder`]; gives the offset of
    /// its first record. Batches that are appended one after the other, without waiting in between,
    /// keep their order from the first poll of each call on.
    ///
    /// # Errors
    /// When it is not stored, or nobody knows.
    pub async fn append(&self, batch: Bytes) -> Result<Offset, AppendError> {
        let (key, batch) = self.judge(batch)?;
        let deadline = self.deadline();
        let answered = self.ask(key, |slot| Append {
            batch,
            acks: Acks::All,
            deadline,
            slot,
        });
        match answered.await {
            Some(Ok(stored)) => Ok(stored.base_offset),
            Some(Err(error)) => Err(self.append_error(error)),
            None if self.desk.shutdown.is_begun() => Err(AppendError::Stopped),
            None => Err(AppendError::Undecided),
        }
    }

    /// Reads whole batches from `offset` on, at most `bytes_max` bytes but at least one batch, if
    /// there is any.
    ///
    /// # Errors
    /// When the offset is not there, or the log cannot be read.
    pub async fn read(&self, offset: Offset, bytes_max: usize) -> Result<Fetched, ReadError> {
        let answer = self.plan(offset, bytes_max, None).await?;
        self.carry_out(offset, answer).await
    }

    /// As [`PartitionHandle::read`]; when there is nothing yet, waits for it up to `patience`.
    ///
    /// # Errors
    /// As [`PartitionHandle::read`].
    pub async fn read_or_wait(
        &self,
        offset: Offset,
        bytes_max: usize,
        patience: Duration,
    ) -> Result<Fetched, ReadError> {
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let waiter = FetchWaiter::new(1);
            // The partition answers and takes the bell in one turn, so nothing falls between the two.
            let bell = Some(waiter.bell());
            let answer = self.plan(offset, bytes_max, bell).await?;
            if !answer.plan.is_empty() {
                return self.carry_out(offset, answer).await;
            }
            tokio::select! {
                () = waiter.woken() => {}
                () = self.desk.shutdown.begun() => return Err(ReadError::Stopped),
                () = tokio::time::sleep_until(deadline) => return self.carry_out(offset, answer).await,
            }
        }
    }

    /// The first offset that can be read, and the one behind the last.
    ///
    /// # Errors
    /// When the partition is not here.
    pub async fn offsets(&self) -> Result<Range<Offset>, ReadError> {
        let key = self.find()?;
        let asked = self.ask(key, |slot| Look {
            current_epoch: None,
            any_replica: false,
            slot,
        });
        match asked.await {
            Some(Ok(view)) => Ok(view.log.log_start_offset()..view.high_watermark),
            Some(Err(_)) => Err(self.not_here()),
            None => Err(self.no_answer()),
        }
    }

    /// Asks the partition; `None` when nobody was there to answer.
    async fn ask<M, T>(&self, key: PartitionKey, question: impl FnOnce(Slot<T>) -> M) -> Option<T>
    where
        M: actix::Message<Result = ()> + Send + 'static,
        crate::actors::partition::PartitionActor: actix::Handler<M>,
        <crate::actors::partition::PartitionActor as actix::Actor>::Context:
            actix::dev::ToEnvelope<crate::actors::partition::PartitionActor, M>,
    {
        let (mut slots, gathered) = gather(1);
        self.desk.router.send(vec![(key, question(slots.pop()?))]);
        gathered.all().await.pop().flatten()
    }

    fn deadline(&self) -> Moment {
        self.desk.clock.now() + self.desk.limits.patience
    }

    /// The partition, if this broker leads it.
    fn find(&self) -> Result<PartitionKey, ReadError> {
        let image = self.desk.image.load();
        let topic = image.topic(&self.topic);
        let found = topic.and_then(|topic| self.led(topic));
        found.ok_or_else(|| self.no_answer())
    }

    fn led(&self, topic: &TopicImage) -> Option<PartitionKey> {
        let partition = topic.partition(self.partition)?;
        (partition.leader == self.desk.broker).then_some((topic.id, self.partition))
    }

    fn not_here(&self) -> ReadError {
        ReadError::NotHere(Arc::clone(&self.topic), self.partition)
    }

    /// Why nobody answers.
    fn no_answer(&self) -> ReadError {
        match self.desk.shutdown.is_begun() {
            true => ReadError::Stopped,
            false => self.not_here(),
        }
    }

    /// Judges a batch by the topic's rules.
    fn judge(&self, batch: Bytes) -> Result<(PartitionKey, ValidBatch), AppendError> {
        if self.desk.shutdown.is_begun() {
            return Err(AppendError::Stopped);
        }
        let image = self.desk.image.load();
        let topic = image.topic(&self.topic);
        let found = topic.and_then(|topic| Some((topic, self.led(topic)?)));
        let Some((topic, key)) = found else {
            return Err(self.append_not_here());
        };
        if topic.is_internal() {
            let why = "the broker writes this topic itself".to_owned();
            return Err(AppendError::Refused(why));
        }
        let rules = produce_rules(
            &self.settings(&image, topic),
            self.desk.limits.decompressed_bytes_max,
            true,
            self.desk.clock.wall(),
        );
        let batch = validate_produce(batch, &rules, &mut Scratch::new())?;
        if batch.header.is_transactional() {
            let why = "transactions are not available yet".to_owned();
            return Err(AppendError::Refused(why));
        }
        Ok((key, batch))
    }

    /// The topic's settings, resolved once per change of the metadata.
    fn settings(&self, image: &Image, topic: &TopicImage) -> Arc<TopicSettings> {
        let mut resolved = self.resolved.lock().unwrap_or_else(PoisonError::into_inner);
        match &*resolved {
            Some((version, id, settings)) if *version == image.version && *id == topic.id => {
                Arc::clone(settings)
            }
            _ => {
                let settings = Arc::new((self.desk.settings)(image, &topic.name));
                *resolved = Some((image.version, topic.id, Arc::clone(&settings)));
                settings
            }
        }
    }

    fn append_not_here(&self) -> AppendError {
        AppendError::NotHere(Arc::clone(&self.topic), self.partition)
    }

    fn append_error(&self, error: WriteError) -> AppendError {
        match error {
            WriteError::Refused(AppendRefusal::NotLeader) => self.append_not_here(),
            WriteError::Refused(AppendRefusal::NotEnoughReplicas { .. }) => {
                AppendError::TooFewReplicas
            }
            WriteError::Log(LogError::Storage(error)) => error.into(),
            WriteError::Log(LogError::Sequence(error)) => error.into(),
            WriteError::Log(error) => AppendError::Refused(error.to_string()),
            WriteError::Ended(_) => AppendError::Undecided,
        }
    }

    async fn plan(
        &self,
        offset: Offset,
        bytes_max: usize,
        bell: Option<FetchBell>,
    ) -> Result<ReadAnswer, ReadError> {
        let key = self.find()?;
        let asked = self.ask(key, |slot| Read {
            offset,
            bytes_max,
            whole_first_batch: true,
            committed_only: false,
            replica: false,
            current_epoch: None,
            last_fetched_epoch: None,
            bell,
            slot,
        });
        match asked.await {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(ReadFailure::Refused(_))) => Err(self.not_here()),
            Some(Err(ReadFailure::Log(LogReadError::Storage(error)))) => Err(error.into()),
            Some(Err(ReadFailure::Log(LogReadError::Damaged(damage)))) => Err(ReadError::Damaged {
                first_offset: damage.first_offset,
                next_offset: damage.next_offset,
                why: damage.to_string(),
            }),
            Some(Err(ReadFailure::Log(LogReadError::OffsetOutOfRange {
                offset,
                log_start_offset,
                log_end_offset,
            }))) => Err(ReadError::OffsetOutOfRange {
                offset,
                log_start_offset,
                log_end_offset,
            }),
            None => Err(self.no_answer()),
        }
    }

    async fn carry_out(&self, asked: Offset, answer: ReadAnswer) -> Result<Fetched, ReadError> {
        let ReadAnswer { plan, threads, .. } = answer;
        let next_offset = if plan.is_empty() {
            asked
        } else {
            plan.next_offset()
        };
        let bytes = if plan.is_in_memory() {
            read_now(&plan)?
        } else {
            let reading = threads.run(move || read_now(&plan)).await;
            reading.map_err(|_| self.no_answer())??
        };
        Ok(Fetched {
            bytes,
            next_offset,
            high_watermark: answer.high_watermark,
            log_start_offset: answer.log_start_offset,
            asked,
            decompressed_bytes_max: self.desk.limits.decompressed_bytes_max,
        })
    }
}

/// Shared where the log lies in memory, read where it lies on a disk.
fn read_now(plan: &ReadPlan) -> Result<Bytes, StorageError> {
    if let Some(bytes) = plan.share() {
        return Ok(bytes);
    }
    let mut bytes = BytesMut::new();
    plan.read(&mut bytes)?;
    Ok(bytes.freeze())
}
