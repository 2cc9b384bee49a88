//! What is done on the cleaner's threads: a look at all logs, and the cleaning of one, step by step.
//!
//! Between the steps the log's actor puts in place what a step made. Invariant: a job that panics
//! costs the cleaning of one log, never a thread or the cleaner.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::Crew;
use super::throttle::LogPace;
use crate::actors::clock::Clock;
use crate::actors::log_cleaning::{BeginCleaning, ReplaceSegments};
use crate::actors::log_dir::{LogDir, ResidentLog};
use crate::model::{Moment, Offset, Timestamp, TopicPartition};
use crate::storage::{
    Cleanable, Cleaning, CleaningError, CleaningStats, OffsetMap, Replacement, StorageError,
};

/// A log that is to be compacted, and where it lives.
pub(super) struct Candidate {
    pub(super) name: TopicPartition,
    pub(super) dir: Arc<LogDir>,
    pub(super) log: ResidentLog,
}

/// A log that was looked at.
pub(super) struct Seen {
    pub(super) candidate: Candidate,
    /// What can be cleaned of it, or why it could not be looked at.
    pub(super) dirt: Result<Cleanable, String>,
}

/// How the cleaning of a log ended.
pub(super) enum Outcome {
    Cleaned(Cleaned),
    /// There was nothing to clean any more.
    Nothing,
    /// The cleaner was stopped, or the log is gone.
    Stopped,
    Failed(String),
}

/// What a cleaning came to.
pub(super) struct Cleaned {
    pub(super) from: Offset,
    pub(super) upto: Offset,
    pub(super) stats: CleaningStats,
    pub(super) took: Duration,
}

/// Why a cleaning failed whose job panicked.
pub(super) const PANICKED: &str = "the cleaner panicked; see the panic's message above";

/// Looks at logs on a cleaner thread.
pub(super) async fn look(crew: Arc<Crew>, candidates: Vec<Candidate>, now: Timestamp) -> Vec<Seen> {
    let held = Arc::clone(&crew);
    let job = move || {
        let look = |candidate: Candidate| {
            let dirt = catch_unwind(AssertUnwindSafe(|| look_at(&candidate, now)));
            let dirt = dirt.unwrap_or_else(|_| Err(PANICKED.to_owned()));
            Seen { candidate, dirt }
        };
        let candidates = candidates.into_iter();
        let candidates = candidates.take_while(|_| !held.reins.is_stopped());
        candidates.map(look).collect()
    };
    // Threads that have ended see nothing.
    crew.threads.run(job).await.unwrap_or_default()
}

fn look_at(candidate: &Candidate, now: Timestamp) -> Result<Cleanable, String> {
    let log = &candidate.log;
    let cleaned = candidate.dir.cleaned(&candidate.name);
    let upper = log.gauges.last_stable_offset();
    let cleanable = log.reader.cleanable(&log.config, cleaned, upper, now);
    cleanable.map_err(|error| error.to_string())
}

/// A cleaning on its way from step to step.
struct UnderWay {
    cleaning: Cleaning,
    candidate: Candidate,
    from: Offset,
    begun: Moment,
    seed: [u8; 16],
    /// Made with the first step.
    map: Option<OffsetMap>,
}

/// What a step came to.
enum Step {
    Replace(Box<UnderWay>, Replacement),
    End(Outcome),
}

/// Cleans a log.
pub(super) async fn clean(
    crew: Arc<Crew>,
    candidate: Candidate,
    cleanable: Cleanable,
    seed: [u8; 16],
    clock: Clock,
) -> Outcome {
    let actor = candidate.log.actor.clone();
    let dir = Arc::clone(&candidate.dir);
    let from = cleanable.first_dirty_offset;
    let begun = actor.send(BeginCleaning(cleanable)).await;
    let cleaning = match begun {
        Ok(Ok(Some(cleaning))) => cleaning,
        Ok(Ok(None)) => return Outcome::Nothing,
        Ok(Err(error)) => return failed(&dir, &error),
        // Its actor is gone; it may be listed for long.
        Err(_) => return Outcome::Nothing,
    };
    let mut under_way = Box::new(UnderWay {
        cleaning,
        candidate,
        from,
        begun: clock.now(),
        seed,
        map: None,
    });
    loop {
        let held = Arc::clone(&crew);
        let job = move || {
            let step = catch_unwind(AssertUnwindSafe(|| under_way.step(&held, clock)));
            step.unwrap_or_else(|_| Step::End(Outcome::Failed(PANICKED.to_owned())))
        };
        let replacement = match crew.threads.run(job).await {
            Ok(Step::Replace(rest, replacement)) => {
                under_way = rest;
                replacement
            }
            Ok(Step::End(outcome)) => return outcome,
            // Others have come in their place.
            Err(_) => return Outcome::Stopped,
        };
        match actor.send(ReplaceSegments(replacement)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return failed(&dir, &error),
            Err(_) => return Outcome::Stopped,
        }
    }
}

/// The log could not do its part; a device that failed takes its directory offline.
fn failed(dir: &LogDir, error: &StorageError) -> Outcome {
    dir.fail_if_device(error);
    Outcome::Failed(error.to_string())
}

impl UnderWay {
    fn step(mut self: Box<Self>, crew: &Crew, clock: Clock) -> Step {
        match self.next_replacement(crew) {
            Ok(Some(replacement)) => Step::Replace(self, replacement),
            Ok(None) => Step::End(Outcome::Cleaned(self.finish(clock))),
            Err(CleaningError::Stopped) => Step::End(Outcome::Stopped),
            // Retention was quicker, for example.
            Err(CleaningError::Changed) => Step::End(Outcome::Nothing),
            Err(error) => {
                if let CleaningError::Damaged { offset, .. } = error {
                    // The scrubber finds out how far it goes, and readers are told.
                    self.candidate.log.reader.suspect(offset);
                }
                Step::End(Outcome::Failed(error.to_string()))
            }
        }
    }

    fn next_replacement(&mut self, crew: &Crew) -> Result<Option<Replacement>, CleaningError> {
        let mut pace = LogPace {
            reins: &crew.reins,
            log: &self.candidate.log.actor,
        };
        let map = match &mut self.map {
            Some(map) => map,
            None => {
                // After a crash the producers are read from the log behind the recovery point that
                // was noted, and from a snapshot below it: what compaction takes must be below, too.
                self.candidate.dir.write_checkpoints(false)?;
                let map = OffsetMap::new(crew.dedupe_bytes, crew.load_factor, self.seed);
                let map = self.map.insert(map);
                self.cleaning.fill(map, &mut pace)?;
                map
            }
        };
        self.cleaning.next_replacement(map, &mut pace)
    }

    /// Everything is in place: notes up to where.
    fn finish(self, clock: Clock) -> Cleaned {
        let Candidate { name, dir, log } = &self.candidate;
        let upto = self.cleaning.clean_until();
        if dir.note_cleaned(name, &log.actor, upto)
            && let Err(error) = dir.write_cleaner_checkpoint()
        {
            log::warn!("{name}: what was compacted is compacted again after a crash: {error}");
        }
        Cleaned {
            from: self.from,
            upto,
            stats: *self.cleaning.stats(),
            took: clock.now().since(self.begun),
        }
    }
}
