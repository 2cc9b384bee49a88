//! How far the opening of a directory's logs is, said in the log of the broker.
//!
//! Told by the threads that open and recover; whoever makes progress says so when nothing was said
//! for a while, so that no timer is needed. Invariant: at a start there is one last line for each
//! time all logs that were to be opened are.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::clock::Clock;
use crate::model::Moment;
use crate::storage::{Progress, RecoveryReport};

/// Between two lines about one directory.
const SAID_EVERY_MS: u64 = 3_000;
/// Strange files of one directory that are named; the others are counted.
const STRANGE_NAMED_MAX: u64 = 10;
const MIB: f64 = 1_048_576.0;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct OpeningProgress {
    /// Whether the broker does not just start.
    is_running: AtomicBool,
    began: AtomicU64,
    said: AtomicU64,
    logs: AtomicU64,
    done: AtomicU64,
    offline: AtomicU64,
    /// Logs that were looked into, and what was found.
    recovered: AtomicU64,
    segments: AtomicU64,
    bytes_found: AtomicU64,
    bytes_scanned: AtomicU64,
    bytes_cut: AtomicU64,
    indexes: AtomicU64,
    strange: AtomicU64,
}

impl OpeningProgress {
    /// So many more logs are to be opened.
    pub(super) fn begin(&self, now: Moment, logs: usize) {
        if self.done.load(Relaxed) == self.logs.load(Relaxed) {
            for counter in [
                &self.logs,
                &self.done,
                &self.offline,
                &self.recovered,
                &self.segments,
                &self.bytes_found,
                &self.bytes_scanned,
                &self.bytes_cut,
                &self.indexes,
            ] {
                counter.store(0, Relaxed);
            }
            self.began.store(now.0, Relaxed);
            self.said.store(now.0, Relaxed);
        }
        self.logs.fetch_add(logs as u64, Relaxed);
    }

    /// From now on logs are opened a few at a time, and only what takes long is worth a line.
    pub(super) fn end_start(&self, directory: &Path) {
        self.is_running.store(true, Relaxed);
        let unnamed = self.strange.load(Relaxed).saturating_sub(STRANGE_NAMED_MAX);
        if unnamed > 0 {
            log::warn!("so are {unnamed} more files in {}", directory.display());
        }
    }

    /// A log was looked into.
    pub(super) fn note_recovered(&self, directory: &Path, report: &RecoveryReport) {
        self.recovered.fetch_add(1, Relaxed);
        self.segments
            .fetch_add(report.segments_scanned as u64, Relaxed);
        self.bytes_cut.fetch_add(report.bytes_cut, Relaxed);
        let indexes = report.indexes_rebuilt + report.indexes_wrong;
        self.indexes.fetch_add(indexes as u64, Relaxed);
        for name in &report.strange {
            if self.strange.fetch_add(1, Relaxed) < STRANGE_NAMED_MAX {
                let path = directory.join(name);
                log::warn!("{} is no file of a log; it is left alone", path.display());
            }
        }
    }

    /// A log is open, or offline.
    pub(super) fn note_done(&self, directory: &Path, clock: Clock, is_open: bool) {
        self.offline.fetch_add(u64::from(!is_open), Relaxed);
        let done = self.done.fetch_add(1, Relaxed) + 1;
        if done < self.logs.load(Relaxed) {
            self.say_sometimes(directory, clock);
            return;
        }
        let took_ms = clock.now().0.saturating_sub(self.began.load(Relaxed));
        if self.is_running.load(Relaxed) && took_ms < SAID_EVERY_MS {
            return;
        }
        log::info!(
            "{}: {} logs are open after {took_ms} ms, {} offline; {} were looked into, {:.1} MiB in {} segments read and checked, {} indexes made anew, {} bytes cut off",
            directory.display(),
            done - self.offline.load(Relaxed),
            self.offline.load(Relaxed),
            self.recovered.load(Relaxed),
            mebibytes(&self.bytes_scanned),
            self.segments.load(Relaxed),
            self.indexes.load(Relaxed),
            self.bytes_cut.load(Relaxed),
        );
    }

    fn say_sometimes(&self, directory: &Path, clock: Clock) {
        let (now, said) = (clock.now().0, self.said.load(Relaxed));
        let is_due = now.saturating_sub(said) >= SAID_EVERY_MS;
        // Of several threads at a time one says it.
        if !is_due
            || self
                .said
                .compare_exchange(said, now, Relaxed, Relaxed)
                .is_err()
        {
            return;
        }
        log::info!(
            "{}: {} of {} logs are open, {:.1} of {:.1} MiB read and checked so far",
            directory.display(),
            self.done.load(Relaxed),
            self.logs.load(Relaxed),
            mebibytes(&self.bytes_scanned),
            mebibytes(&self.bytes_found),
        );
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn mebibytes(bytes: &AtomicU64) -> f64 {
    bytes.load(Relaxed) as f64 / MIB
}

/// What a recovery tells.
pub(super) struct Told<'a> {
    pub(super) progress: &'a OpeningProgress,
    pub(super) directory: &'a Path,
    pub(super) clock: Clock,
}

impl Progress for Told<'_> {
    fn found(&self, bytes: u64) {
        self.progress.bytes_found.fetch_add(bytes, Relaxed);
    }

    fn scanned(&self, bytes: u64) {
        self.progress.bytes_scanned.fetch_add(bytes, Relaxed);
        self.progress.say_sometimes(self.directory, self.clock);
    }
}
