//! Reading old segments before anybody needs them, so that rot is found while it can be repaired.
//!
//! One for each log directory, run by its `LogDirActor`. It goes round all rolled segments in order,
//! a megabyte a job on the disk threads, with a pause after each that keeps to
//! `milena.scrub.max.bytes.per.second`; and it looks at once at segments of which somebody says that
//! something in them cannot be ([`Suspects`]), also when rounds are turned off. Invariant: one
//! segment at a time; between rounds it waits with one timer, however many logs there are.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::clock::Clock;
use super::disk_threads::DiskThreadsEnded;
use super::log_dir::LogDir;
use crate::model::{Moment, Offset, Timestamp, TopicPartition};
use crate::storage::scrub::{
    DamagedRanges, ScrubProgress, read_scrub_progress, write_damaged_ranges, write_scrub_progress,
};
use crate::storage::{DamageWatch, Inspection, LogReader, StorageError, Suspect, Verdict};
use crate::telemetry::metrics::Metrics;

/// Segments that wait to be looked at. More are met again by whoever reads them.
const SUSPECTS_MAX: usize = 1024;
/// A segment is not looked at again for the same reason for this long.
const SUSPECT_AGAIN: Duration = Duration::from_secs(60);
/// Suspects that are remembered for that.
const RECENT_MAX: usize = 64;
/// No round begins, or goes on, sooner after the start: recovery and readers come first.
const SETTLE: Duration = Duration::from_secs(300);
/// Logs that are looked at in one turn for a segment to read.
const LOGS_A_TURN: usize = 1000;
/// How often the progress of a round is written.
const PROGRESS_EVERY: Duration = Duration::from_secs(60);
/// The longest sleep: the wall clock, by which rounds go, may be set.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// Segments somebody met something impossible in. Shared by all logs of a directory.
#[derive(Debug, Default)]
pub struct Suspects {
    queue: Mutex<VecDeque<Suspect>>,
    rung: Notify,
}

impl Suspects {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Suspect>> {
        // A queue is right at every step, whoever panicked.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn take(&self) -> Option<Suspect> {
        self.queue().pop_front()
    }
}

impl DamageWatch for Suspects {
    fn suspect(&self, suspect: Suspect) {
        let mut queue = self.queue();
        if queue.len() < SUSPECTS_MAX && !queue.iter().any(|other| other.is(&suspect)) {
            queue.push_back(suspect);
            self.rung.notify_one();
        }
    }
}

/// How much a scrubber may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubPace {
    /// `milena.scrub.max.bytes.per.second`; zero for no rounds.
    pub bytes_per_second: u64,
    /// `milena.scrub.interval.ms`: from the beginning of a round to that of the next.
    pub interval: Duration,
}

/// See the module.
pub struct Scrubber {
    dir: Arc<LogDir>,
    pace: ScrubPace,
    clock: Clock,
    metrics: Metrics,
    /// When rounds may begin.
    settled: Moment,
    recent: VecDeque<(Suspect, Moment)>,
    /// What the file of damaged ranges says.
    written: DamagedRanges,
}

/// A round, or the time between two.
struct Round {
    progress: ScrubProgress,
    /// Whether it is under way.
    goes_on: bool,
    /// The last segment of the partition behind [`ScrubProgress::done_with`] that was looked at.
    segment: Option<(TopicPartition, Offset)>,
    saved: Moment,
}

impl Scrubber {
    /// The scrubber of `dir`.
    pub fn new(dir: Arc<LogDir>, pace: ScrubPace, clock: Clock, metrics: Metrics) -> Scrubber {
        let settled = clock.now() + SETTLE.min(pace.interval);
        let written = dir.expected_damages();
        metrics.damaged_ranges.inc_by(count(&written));
        Scrubber {
            dir,
            pace,
            clock,
            metrics,
            settled,
            recent: VecDeque::new(),
            written,
        }
    }

    /// Works until it is dropped, or the disk threads have ended.
    pub async fn run(mut self) {
        // They ended: the broker stops.
        let _: Result<(), DiskThreadsEnded> = self.work().await;
    }

    async fn work(&mut self) -> Result<(), DiskThreadsEnded> {
        let mut round = self.resume().await?;
        loop {
            while let Some(suspect) = self.dir.suspects().take() {
                self.look_into(suspect).await?;
            }
            if self.dir.is_offline() {
                return Ok(());
            }
            if let Some(wait) = self.wait_before(&mut round) {
                let dir = Arc::clone(&self.dir);
                tokio::select! {
                    () = dir.suspects().rung.notified() => {}
                    () = tokio::time::sleep(wait) => {}
                }
                continue;
            }
            match self.next_segment(&mut round) {
                Next::Segment(log, segment) => {
                    self.inspect(&log, segment, self.pace.bytes_per_second)
                        .await?;
                }
                Next::LookOn => tokio::task::yield_now().await,
                Next::RoundOver => self.end_round(&mut round).await?,
            }
            self.save_progress(&mut round, false).await?;
        }
    }

    /// Finds out where an earlier life of the broker was.
    async fn resume(&self) -> Result<Round, DiskThreadsEnded> {
        let dir = Arc::clone(&self.dir);
        let read = move || read_scrub_progress(dir.disk().as_ref(), dir.path());
        let progress = self.dir.threads().run(read).await?;
        let progress = progress.unwrap_or_else(|error| {
            log::warn!("the scrubber begins a new round: {error}");
            None
        });
        let goes_on = progress
            .as_ref()
            .is_some_and(|progress| progress.done_with.is_some());
        Ok(Round {
            progress: progress.unwrap_or(ScrubProgress {
                begun: Timestamp(0),
                done_with: None,
            }),
            goes_on,
            segment: None,
            saved: self.clock.now(),
        })
    }

    /// How long there is nothing to do; none when there is a round to go on with.
    fn wait_before(&self, round: &mut Round) -> Option<Duration> {
        if self.pace.bytes_per_second == 0 {
            return Some(SLEEP_MAX);
        }
        let settles = self.clock.until(self.settled);
        if !settles.is_zero() {
            return Some(settles.min(SLEEP_MAX));
        }
        if round.goes_on {
            return None;
        }
        let now = self.clock.wall();
        let passed = now.0.saturating_sub(round.progress.begun.0);
        let interval = i64::try_from(self.pace.interval.as_millis()).unwrap_or(i64::MAX);
        // A round that began in the future began before the clock was set back.
        if (0..interval).contains(&passed) {
            let left = u64::try_from(interval - passed).unwrap_or(0);
            return Some(Duration::from_millis(left).min(SLEEP_MAX));
        }
        *round = Round {
            progress: ScrubProgress {
                begun: now,
                done_with: None,
            },
            goes_on: true,
            segment: None,
            saved: round.saved,
        };
        None
    }

    fn next_segment(&self, round: &mut Round) -> Next {
        // The rest of the partition it is in comes first.
        if let Some((name, segment)) = round.segment.take() {
            let log = self.dir.reader_of(&name);
            let next = log.and_then(|log| {
                let next = log.rolled_segment_behind(Some(segment))?;
                Some((log, next))
            });
            if let Some((log, segment)) = next {
                round.segment = Some((name, segment));
                return Next::Segment(log, segment);
            }
            round.progress.done_with = Some(name);
        }
        let behind = round.progress.done_with.as_ref();
        let looked = self.dir.look_behind(behind, LOGS_A_TURN, |log| {
            log.rolled_segment_behind(None)
                .map(|segment| (log.clone(), segment))
        });
        match (looked.found, looked.last) {
            (Some((name, (log, segment))), last) => {
                round.progress.done_with = last.or(round.progress.done_with.take());
                round.segment = Some((name, segment));
                Next::Segment(log, segment)
            }
            (None, Some(last)) => {
                round.progress.done_with = Some(last);
                Next::LookOn
            }
            (None, None) => Next::RoundOver,
        }
    }

    async fn end_round(&mut self, round: &mut Round) -> Result<(), DiskThreadsEnded> {
        round.goes_on = false;
        round.progress.done_with = None;
        self.save_progress(round, true).await?;
        self.save_damages().await
    }

    async fn look_into(&mut self, suspect: Suspect) -> Result<(), DiskThreadsEnded> {
        let now = self.clock.now();
        self.recent
            .retain(|(_, looked)| now.since(*looked) < SUSPECT_AGAIN);
        let known = self.recent.iter().any(|(other, _)| other.is(&suspect));
        let Some((log, segment)) = suspect.upgrade().filter(|_| !known) else {
            return Ok(());
        };
        if self.recent.len() == RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((suspect, now));
        self.inspect(&log, segment, 0).await
    }

    /// Looks over one segment; at most so many bytes a second, unless that is zero.
    async fn inspect(
        &mut self,
        log: &LogReader,
        segment: Offset,
        bytes_per_second: u64,
    ) -> Result<(), DiskThreadsEnded> {
        let threads = self.dir.threads().clone();
        let reader = log.clone();
        let begun = threads.run(move || reader.inspect(segment)).await?;
        let mut inspection = match begun {
            Ok(Some(inspection)) => inspection,
            Ok(None) => return Ok(()),
            Err(error) => {
                complain(&error);
                return Ok(());
            }
        };
        loop {
            let before = inspection.bytes_read();
            let job = move || {
                let mut inspection = inspection;
                inspection.step().map(|done| (inspection, done))
            };
            let (back, done): (Inspection, bool) = match threads.run(job).await? {
                Ok(stepped) => stepped,
                Err(error) => {
                    complain(&error);
                    return Ok(());
                }
            };
            inspection = back;
            let bytes = inspection.bytes_read().saturating_sub(before);
            self.metrics.scrubbed_bytes.inc_by(bytes);
            let pause = bytes
                .saturating_mul(1_000_000)
                .checked_div(bytes_per_second);
            if let Some(pause) = pause {
                tokio::time::sleep(Duration::from_micros(pause)).await;
            }
            if done {
                break;
            }
        }
        if inspection.conclude() == Verdict::Changed {
            self.save_damages().await?;
        }
        Ok(())
    }

    /// Writes down what is damaged, so that the next life knows from its start.
    async fn save_damages(&mut self) -> Result<(), DiskThreadsEnded> {
        let ranges = self.dir.known_damages();
        if ranges == self.written {
            return Ok(());
        }
        let change = count(&ranges) - count(&self.written);
        self.metrics.damaged_ranges.inc_by(change);
        self.written.clone_from(&ranges);
        let dir = Arc::clone(&self.dir);
        let write = move || write_damaged_ranges(dir.disk().as_ref(), dir.path(), &ranges);
        if let Err(error) = self.dir.threads().run(write).await? {
            log::warn!("what is damaged must be found anew after a restart: {error}");
        }
        Ok(())
    }

    async fn save_progress(&self, round: &mut Round, now: bool) -> Result<(), DiskThreadsEnded> {
        let is_due = self.clock.now().since(round.saved) >= PROGRESS_EVERY;
        if !now && !is_due {
            return Ok(());
        }
        round.saved = self.clock.now();
        let (dir, progress) = (Arc::clone(&self.dir), round.progress.clone());
        let write = move || write_scrub_progress(dir.disk().as_ref(), dir.path(), &progress);
        if let Err(error) = self.dir.threads().run(write).await? {
            log::warn!("the scrubber's next round begins anew after a restart: {error}");
        }
        Ok(())
    }
}

fn complain(error: &StorageError) {
    log::warn!("a segment cannot be looked over: {error}");
}

fn count(ranges: &DamagedRanges) -> i64 {
    let count: usize = ranges.values().map(Vec::len).sum();
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// What there is to do in a round.
enum Next {
    Segment(LogReader, Offset),
    LookOn,
    RoundOver,
}
