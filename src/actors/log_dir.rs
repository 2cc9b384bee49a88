//! One log directory while the broker runs: its disk threads, what it owes the disk, its checkpoints.
//!
//! [`LogDir`] is shared by the logs in it; [`LogDirActor`] (`rounds`) has its timers: checkpoints of recovery
//! points, log starts and high watermarks, and the round that lets each log delete what retention
//! allows. Invariant: checkpoints are written on a disk thread, one at a time, from what the logs
//! show of themselves; no log is asked.

mod checkpoints;
mod rounds;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use actix::prelude::*;
pub use checkpoints::write_checkpoints;
pub use rounds::{EndRounds, LastCheckpoint, LogDirActor, LogDirIntervals};

use super::disk_threads::DiskThreads;
use super::log::LogActor;
use super::opening_progress::OpeningProgress;
use super::partition::PartitionGauges;
use super::scrubber::Suspects;
use crate::model::{DirectoryId, Moment, Offset, TopicPartition};
use crate::storage::closed_logs::{ClosedLogs, write_closed_logs};
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::scrub::{DamagedRanges, read_damaged_ranges};
use crate::storage::{Checkpoints, ClosedLog, LogConfig, LogReader, OpenFiles, StorageError};
use crate::telemetry::metrics::Metrics;

/// Bounds that `broker.rs` hands in.
#[derive(Debug, Clone, Copy)]
pub struct LogDirLimits {
    /// While more than this is on its way to the disk, appends go through the disk threads, which
    /// the kernel may stop, instead of the arbiter, which it must not.
    pub unflushed_bytes_max: u64,
    /// How many bytes a log gathers before a disk thread begins to write them back.
    pub write_back_bytes: u64,
}

/// A log that lives in the directory.
#[derive(Clone)]
pub struct ResidentLog {
    /// Shows its offsets.
    pub reader: LogReader,
    /// Shows its high watermark.
    pub gauges: Arc<PartitionGauges>,
    /// Its actor.
    pub actor: Addr<LogActor>,
    /// Its settings.
    pub config: Arc<LogConfig>,
}

/// What a log directory in use is made of.
pub struct LogDirParts {
    /// Its identity (KIP-858).
    pub id: DirectoryId,
    /// Where it is.
    pub path: PathBuf,
    /// The door to its files.
    pub disk: Arc<dyn Disk>,
    /// Where to run what can block.
    pub threads: DiskThreads,
    /// Bounds.
    pub limits: LogDirLimits,
    /// What the checkpoints said at the start.
    pub at_start: Checkpoints,
    /// Whether the last broker here stopped after flushing everything.
    pub stopped_cleanly: bool,
    /// Bounds the open files of all logs, those of other directories included.
    pub open_files: Arc<OpenFiles>,
    /// The logs as the last stop left them, when it was a clean one.
    pub closed_logs: ClosedLogs,
    /// A file in the directory that its owner keeps open as long as the broker runs.
    pub lock: Weak<dyn DiskFile>,
    /// Where things are counted.
    pub metrics: Metrics,
}

/// See the module.
pub struct LogDir {
    parts: LogDirParts,
    bytes_on_their_way: AtomicU64,
    offline: AtomicBool,
    /// Takes no new partitions (KIP-1066).
    cordoned: AtomicBool,
    /// Told when the directory fails.
    on_failure: OnceLock<Recipient<DirectoryFailed>>,
    /// Something here must be recovered at the next start, however this broker stops.
    unclean: AtomicBool,
    full: Mutex<Option<FullSince>>,
    /// Whether `full` is something.
    is_full: AtomicBool,
    residents: Mutex<BTreeMap<TopicPartition, ResidentLog>>,
    /// Logs that are being moved here.
    future: Mutex<BTreeMap<TopicPartition, LogReader>>,
    /// What the checkpoints said at the start of directories nobody lives in: not opened yet, failed
    /// to open, or of topics the metadata does not know.
    carried: Mutex<Checkpoints>,
    /// The logs as they were closed: by the last broker, until they are opened; by this one, at its
    /// end.
    closed: Mutex<ClosedLogs>,
    /// Up to where the logs that live here were cleaned.
    cleaned: Mutex<BTreeMap<TopicPartition, Offset>>,
    /// What an earlier life knew to be damaged in logs that are not opened yet.
    expected_damages: Mutex<DamagedRanges>,
    suspects: Arc<Suspects>,
    /// What the files say. Locked while they are written, by disk threads only.
    written: Mutex<Checkpoints>,
    /// How far the opening of logs is.
    opening: OpeningProgress,
    /// Threads that open logs while the broker starts; afterwards the others do.
    recovery_threads: Mutex<Option<DiskThreads>>,
    /// How often it was asked that moved log starts are written down, and how many of these were.
    starts_moved: AtomicU64,
    starts_kept: tokio::sync::Mutex<u64>,
}

/// While a directory has no space.
struct FullSince {
    /// When it was said last.
    said: Moment,
    /// How many writes were refused since.
    refused: u64,
}

/// Between two lines about the same full directory.
const FULL_SAID_EVERY_MS: u64 = 10_000;

impl LogDir {
    /// A directory that was taken into use.
    pub fn new(mut parts: LogDirParts) -> LogDir {
        LogDir {
            closed: Mutex::new(std::mem::take(&mut parts.closed_logs)),
            bytes_on_their_way: AtomicU64::new(0),
            offline: AtomicBool::new(false),
            cordoned: AtomicBool::new(false),
            on_failure: OnceLock::new(),
            unclean: AtomicBool::new(false),
            full: Mutex::default(),
            is_full: AtomicBool::new(false),
            residents: Mutex::default(),
            opening: OpeningProgress::default(),
            recovery_threads: Mutex::default(),
            future: Mutex::default(),
            carried: Mutex::new(parts.at_start.clone()),
            cleaned: Mutex::default(),
            expected_damages: Mutex::new(expected_damages(&parts)),
            suspects: Arc::default(),
            written: Mutex::new(parts.at_start.clone()),
            starts_moved: AtomicU64::new(0),
            starts_kept: tokio::sync::Mutex::default(),
            parts,
        }
    }

    /// Its identity (KIP-858).
    pub fn id(&self) -> DirectoryId {
        self.parts.id
    }

    /// Where it is.
    pub fn path(&self) -> &PathBuf {
        &self.parts.path
    }

    /// The door to its files.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.parts.disk
    }

    /// Where to run what can block.
    pub fn threads(&self) -> &DiskThreads {
        &self.parts.threads
    }

    /// Has logs opened by threads of their own until [`Self::end_start`]:
    /// `num.recovery.threads.per.data.dir`.
    pub fn set_recovery_threads(&self, threads: DiskThreads) {
        *lock(&self.recovery_threads) = Some(threads);
    }

    /// Where to open logs.
    pub(super) fn opening_threads(&self) -> DiskThreads {
        let own = lock(&self.recovery_threads).clone();
        own.unwrap_or_else(|| self.threads().clone())
    }

    /// How far the opening of logs is.
    pub(super) fn opening(&self) -> &OpeningProgress {
        &self.opening
    }

    /// All logs that were to be opened at the start are: what was only for that goes.
    pub fn end_start(&self) {
        self.forget_closed();
        *lock(&self.recovery_threads) = None;
        self.opening.end_start(self.path());
    }

    /// Bounds the open files of all logs.
    pub fn open_files(&self) -> &Arc<OpenFiles> {
        &self.parts.open_files
    }

    /// What the checkpoints said at the start.
    pub fn at_start(&self) -> &Checkpoints {
        &self.parts.at_start
    }

    /// Something here failed, so that the next start must recover, however this broker stops.
    pub fn mark_unclean(&self) {
        self.unclean.store(true, Ordering::Release);
    }

    /// See [`Self::mark_unclean`].
    pub fn is_unclean(&self) -> bool {
        self.unclean.load(Ordering::Acquire)
    }

    /// A write was refused for lack of space, or of files: says so now and then.
    pub fn note_full(&self, now: Moment, error: &StorageError) {
        let mut full = lock(&self.full);
        let since = full.get_or_insert(FullSince {
            said: Moment(0),
            refused: 0,
        });
        since.refused += 1;
        let silent = Duration::from_millis(FULL_SAID_EVERY_MS);
        if since.refused == 1 || now.since(since.said) >= silent {
            since.said = now;
            log::error!(
                "{error}: writes to {} are refused with KAFKA_STORAGE_ERROR, {} so far; reads go on, and writes as soon as there is space",
                self.parts.path.display(),
                since.refused
            );
        }
        self.is_full.store(true, Ordering::Relaxed);
    }

    /// A write succeeded.
    pub fn note_written(&self) {
        if self.is_full.load(Ordering::Relaxed) {
            self.is_full.store(false, Ordering::Relaxed);
            if let Some(since) = lock(&self.full).take() {
                log::info!(
                    "{} takes writes again, {} were refused",
                    self.parts.path.display(),
                    since.refused
                );
            }
        }
    }

    /// Whether the last broker here stopped after flushing everything.
    pub fn was_stopped_cleanly(&self) -> bool {
        self.parts.stopped_cleanly
    }

    /// How a log was closed by the last broker, asked once.
    pub fn take_closed(&self, partition: &TopicPartition) -> Option<ClosedLog> {
        lock(&self.closed).remove(partition)
    }

    /// How a log was closed by this broker.
    pub fn remember_closed(&self, partition: TopicPartition, closed: ClosedLog) {
        lock(&self.closed).insert(partition, closed);
    }

    /// Forgets what the last broker said of logs that were not opened.
    fn forget_closed(&self) {
        lock(&self.closed).clear();
    }

    /// Writes down how the logs were closed; what the mark of a clean stop must say of it. Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_closed(&self) -> Result<u64, StorageError> {
        let closed = std::mem::take(&mut *lock(&self.closed));
        write_closed_logs(self.disk().as_ref(), self.path(), closed)
    }

    /// How many logs have something that is not known to be on the disk.
    pub fn unflushed_logs(&self) -> usize {
        let behind = |log: &&ResidentLog| log.gauges.recovery_point() < log.reader.log_end_offset();
        self.residents().values().filter(behind).count()
    }

    /// Whether everything in here can be flushed at once.
    pub fn can_flush_whole(&self) -> bool {
        self.parts.lock.strong_count() > 0 && self.disk().can_sync_all()
    }

    /// Flushes everything written in here. Blocks.
    ///
    /// # Errors
    /// When the device failed: nobody knows what is on it now.
    pub fn flush_whole(&self) -> Result<(), StorageError> {
        let Some(lock) = self.parts.lock.upgrade() else {
            let path = self.path().clone();
            return Err(StorageError::Poisoned { path });
        };
        self.disk().sync_all(lock.as_ref())
    }

    /// Logs that were closed are on the disk up to their ends.
    pub fn note_flushed(&self, closed: &[TopicPartition]) {
        let residents = self.residents();
        for log in closed.iter().filter_map(|name| residents.get(name)) {
            log.gauges.set_recovery_point(log.reader.log_end_offset());
        }
    }

    /// Whether the disk keeps up, so that an append may write on the arbiter.
    pub fn keeps_up(&self) -> bool {
        self.bytes_on_their_way.load(Ordering::Relaxed) <= self.parts.limits.unflushed_bytes_max
    }

    /// See [`LogDirLimits::write_back_bytes`].
    pub fn write_back_bytes(&self) -> u64 {
        self.parts.limits.write_back_bytes
    }

    /// Counts bytes as on their way until the guard is dropped.
    pub fn count_on_its_way(self: &Arc<Self>, bytes: u64) -> OnTheirWay {
        self.bytes_on_their_way.fetch_add(bytes, Ordering::Relaxed);
        OnTheirWay {
            dir: Arc::clone(self),
            bytes,
        }
    }

    /// Whether the directory has failed.
    pub fn is_offline(&self) -> bool {
        self.offline.load(Ordering::Acquire)
    }

    /// The disk failed in here: from now on nothing in it is served, until the broker is started
    /// again. Says so once.
    pub fn fail(&self, error: &StorageError) {
        self.mark_unclean();
        if self.offline.swap(true, Ordering::AcqRel) {
            return;
        }
        log::error!(
            "the log directory {} has failed: {error}; its {} partitions are offline until the broker is restarted with a directory that works",
            self.parts.path.display(),
            self.count()
        );
        if let Some(keeper) = self.on_failure.get() {
            keeper.do_send(DirectoryFailed(self.id()));
        }
    }

    /// What failed was the device, not one file: with it goes all that lies in here, as in Kafka,
    /// where any input or output that fails does so (KIP-112).
    pub fn fail_if_device(&self, error: &StorageError) {
        if error.is_of_device() {
            self.fail(error);
        }
    }

    /// Nobody lives here any more: the directory has failed.
    pub fn vacate(&self) {
        self.residents().clear();
        lock(&self.future).clear();
    }

    /// Who is told when the directory fails; said once, at the start.
    pub fn report_failure_to(&self, keeper: Recipient<DirectoryFailed>) {
        let keeper = self.on_failure.get_or_init(|| keeper);
        if self.is_offline() {
            keeper.do_send(DirectoryFailed(self.id()));
        }
    }

    /// Whether it takes no new partitions.
    pub fn is_cordoned(&self) -> bool {
        self.cordoned.load(Ordering::Acquire)
    }

    /// See [`Self::is_cordoned`].
    pub fn set_cordoned(&self, cordoned: bool) {
        self.cordoned.store(cordoned, Ordering::Release);
    }

    /// A log is being copied here.
    pub fn begin_future(&self, partition: TopicPartition, copy: LogReader) {
        lock(&self.future).insert(partition, copy);
    }

    /// No log of this partition is being copied here any more.
    pub fn end_future(&self, partition: &TopicPartition) {
        lock(&self.future).remove(partition);
    }

    /// The logs that are being copied here.
    pub fn list_future(&self) -> Vec<(TopicPartition, LogReader)> {
        let future = lock(&self.future);
        future
            .iter()
            .map(|(n, log)| (n.clone(), log.clone()))
            .collect()
    }

    /// A log will live here: the checkpoints say so before it does, so that a crash finds it where
    /// it starts. Blocks.
    ///
    /// # Errors
    /// As [`Self::write_checkpoints`].
    pub fn expect_log(
        &self,
        partition: &TopicPartition,
        start: Offset,
        end: Offset,
        high_watermark: Offset,
    ) -> Result<(), StorageError> {
        {
            let mut carried = lock(&self.carried);
            let name = partition.clone();
            carried.recovery_points.insert(name.clone(), end);
            carried.log_starts.insert(name.clone(), start);
            carried.high_watermarks.insert(name, high_watermark);
        }
        self.write_checkpoints(false)
    }

    /// Segments that must be looked at soon.
    pub fn suspects(&self) -> &Arc<Suspects> {
        &self.suspects
    }

    /// What the last broker knew to be damaged, of logs that are not opened yet.
    pub fn expected_damages(&self) -> DamagedRanges {
        lock(&self.expected_damages).clone()
    }

    /// What is known to be damaged.
    pub fn known_damages(&self) -> DamagedRanges {
        let mut known = self.expected_damages();
        for (name, log) in self.residents().iter() {
            if log.reader.damages_count() > 0 {
                known.insert(name.clone(), log.reader.damages());
            }
        }
        known
    }

    /// Reads the log of a partition, if that lives here.
    pub fn reader_of(&self, partition: &TopicPartition) -> Option<LogReader> {
        let residents = self.residents();
        residents.get(partition).map(|log| log.reader.clone())
    }

    /// Looks at the logs behind `partition`, in order and at most so many, until one gives something.
    pub fn look_behind<T>(
        &self,
        partition: Option<&TopicPartition>,
        at_most: usize,
        mut look: impl FnMut(&LogReader) -> Option<T>,
    ) -> Looked<T> {
        let residents = self.residents();
        let from = partition.map_or(Bound::Unbounded, Bound::Excluded);
        let mut last: Option<&TopicPartition> = None;
        for (name, log) in residents
            .range::<TopicPartition, _>((from, Bound::Unbounded))
            .take(at_most)
        {
            if let Some(found) = look(&log.reader) {
                return Looked {
                    last: last.cloned(),
                    found: Some((name.clone(), found)),
                };
            }
            last = Some(name);
        }
        Looked {
            last: last.cloned(),
            found: None,
        }
    }

    /// A log lives here from now on.
    pub fn move_in(&self, partition: TopicPartition, log: ResidentLog) {
        let cleaned = lock(&self.carried).cleaned.get(&partition).copied();
        self.set_cleaned(&partition, cleaned);
        let expected = lock(&self.expected_damages).remove(&partition);
        if let Some(ranges) = expected {
            log.reader.expect_damages(&ranges);
        }
        self.residents().insert(partition.clone(), log);
        self.disown(&partition);
    }

    /// The settings of a log that lives here changed.
    pub fn reconfigure(&self, partition: &TopicPartition, config: &Arc<LogConfig>) {
        if let Some(log) = self.residents().get_mut(partition) {
            log.config = Arc::clone(config);
        }
    }

    /// Up to where a log was cleaned, if it ever was.
    pub fn cleaned(&self, partition: &TopicPartition) -> Option<Offset> {
        lock(&self.cleaned).get(partition).copied()
    }

    /// A log was cleaned up to here; a log that moves in brings what it had where it was.
    pub fn set_cleaned(&self, partition: &TopicPartition, upto: Option<Offset>) {
        let mut cleaned = lock(&self.cleaned);
        match upto {
            Some(upto) => cleaned.insert(partition.clone(), upto),
            None => cleaned.remove(partition),
        };
    }

    /// Notes up to where a log was cleaned, if that very log still lives here; says whether it does.
    pub fn note_cleaned(
        &self,
        partition: &TopicPartition,
        actor: &Addr<LogActor>,
        upto: Offset,
    ) -> bool {
        let residents = self.residents();
        let lives = residents
            .get(partition)
            .is_some_and(|log| log.actor == *actor);
        if lives {
            self.set_cleaned(partition, Some(upto));
        }
        lives
    }

    /// Brings the checkpoint of the cleaner up to date, and no other; blocks.
    ///
    /// # Errors
    /// When it cannot be written. With an old one the same is cleaned again.
    pub fn write_cleaner_checkpoint(&self) -> Result<(), StorageError> {
        let mut written = lock(&self.written);
        let current = Checkpoints {
            cleaned: self.all_cleaned(),
            ..written.clone()
        };
        self.refuse_if_offline()?;
        current.write(Some(&written), self.disk().as_ref(), self.path())?;
        *written = current;
        Ok(())
    }

    /// What the checkpoint of the cleaner should say: of logs that live here, and of those that may
    /// still come to.
    fn all_cleaned(&self) -> BTreeMap<TopicPartition, Offset> {
        let mut all = lock(&self.carried).cleaned.clone();
        let cleaned = lock(&self.cleaned);
        all.extend(cleaned.iter().map(|(name, upto)| (name.clone(), *upto)));
        all
    }

    /// Logs that are to be compacted and have something in them.
    pub fn compacted(&self) -> Vec<(TopicPartition, ResidentLog)> {
        let residents = self.residents();
        let compacted = residents.iter().filter(|(_, log)| {
            log.config.compacts && log.reader.log_end_offset() > log.reader.log_start_offset()
        });
        let compacted = compacted.map(|(name, log)| (name.clone(), log.clone()));
        compacted.collect()
    }

    /// The log of a partition that lives here.
    pub fn resident(&self, partition: &TopicPartition) -> Option<ResidentLog> {
        self.residents().get(partition).cloned()
    }

    /// What an earlier life knew of this partition is true no more.
    pub fn disown(&self, partition: &TopicPartition) {
        let mut carried = lock(&self.carried);
        carried.recovery_points.remove(partition);
        carried.log_starts.remove(partition);
        carried.high_watermarks.remove(partition);
        carried.cleaned.remove(partition);
    }

    /// The log turned out to end before the recovery point that the checkpoint says.
    pub(super) fn forget_recovery_point(&self, partition: &TopicPartition) {
        lock(&self.carried).recovery_points.remove(partition);
    }

    /// Where things in here are counted.
    pub fn metrics(&self) -> &Metrics {
        &self.parts.metrics
    }

    /// A log is deleted or moves away.
    pub fn move_out(&self, partition: &TopicPartition) {
        self.residents().remove(partition);
        self.set_cleaned(partition, None);
    }

    /// How many logs live here.
    pub fn count(&self) -> usize {
        self.residents().len()
    }

    /// Every log that lives here.
    pub fn list(&self) -> Vec<(TopicPartition, ResidentLog)> {
        self.residents()
            .iter()
            .map(|(name, log)| (name.clone(), log.clone()))
            .collect()
    }

    fn residents(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, ResidentLog>> {
        lock(&self.residents)
    }
}

/// What looking at logs came to.
pub struct Looked<T> {
    /// The last one that gave nothing.
    pub last: Option<TopicPartition>,
    /// The one that gave something, and what.
    pub found: Option<(TopicPartition, T)>,
}

fn expected_damages(parts: &LogDirParts) -> DamagedRanges {
    read_damaged_ranges(parts.disk.as_ref(), &parts.path).unwrap_or_else(|error| {
        log::warn!("{error}; what is damaged must be found anew");
        DamagedRanges::new()
    })
}

/// All that is locked here is right at every step, whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes counted as on their way to the disk.
pub struct OnTheirWay {
    dir: Arc<LogDir>,
    bytes: u64,
}

impl Drop for OnTheirWay {
    fn drop(&mut self) {
        self.dir
            .bytes_on_their_way
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// A log directory failed while the broker runs.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct DirectoryFailed(pub DirectoryId);
