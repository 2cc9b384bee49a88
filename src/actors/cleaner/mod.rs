//! The broker's cleaner: compacts logs on threads of its own, a log to a thread (Kafka's
//! `LogCleaner`).
//!
//! One actor for all log directories. It has the compacted logs looked at, gives the filthiest to
//! free threads, and looks again when one is done, or after `log.cleaner.backoff.ms` when there was
//! nothing to do. Logs are asked by message to begin and to put cleaned segments in the place of old
//! ones; what lies between touches nothing of theirs. Deleting what lies below the start of a
//! compacted log is done by the rounds of its directory. Invariants: no log is with two threads; a
//! log that fails is named, counted and tried again; when a stop was answered no thread works.

mod schedule;
pub mod settings;
#[cfg(test)]
mod tests;
mod throttle;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::disk_threads::DiskThreads;
use super::log_dirs::LogDirs;
use super::metadata::MetadataChanged;
use crate::metadata::ResourceKind;
use crate::model::TopicPartition;
use crate::storage::CleaningStats;
use crate::telemetry::cleaner_metrics::CleanerMetrics;
use schedule::{Dirt, Schedule};
use settings::{CleanerSettings, CleanerSettingsSource};
use throttle::Reins;
use work::{Candidate, Cleaned, Outcome, Seen};

/// What the cleaner is made of.
pub struct CleanerParts {
    /// Where logs live.
    pub dirs: Arc<LogDirs>,
    /// The time.
    pub clock: Clock,
    /// What counts before any metadata is known.
    pub settings: CleanerSettings,
    /// What counts under an image.
    pub source: CleanerSettingsSource,
    /// Where it shows what it does.
    pub metrics: CleanerMetrics,
    /// Sixteen random bytes, so that nobody can choose keys that collide.
    pub random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
    /// Without threads everything is done where the actor is, and nothing is throttled: for tests
    /// whose time stands still.
    pub has_threads: bool,
}

/// See the module.
pub struct CleanerActor {
    parts: CleanerParts,
    crew: Option<Arc<Crew>>,
    schedule: Schedule,
    looking: bool,
    timer: Option<SpawnHandle>,
    /// Who waits for the end.
    ending: Option<Vec<oneshot::Sender<()>>>,
}

/// The threads under one set of settings.
struct Crew {
    threads: DiskThreads,
    reins: Reins,
    /// Memory of each for remembering keys.
    dedupe_bytes: usize,
    load_factor: f64,
}

/// Stop cleaning, within a batch; answers when every thread has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopCleaning;

impl CleanerActor {
    /// A cleaner that starts its threads when there is something to clean.
    pub fn new(parts: CleanerParts) -> CleanerActor {
        CleanerActor {
            parts,
            crew: None,
            schedule: Schedule::default(),
            looking: false,
            timer: None,
            ending: None,
        }
    }

    /// The threads, started when there are none.
    fn crew(&mut self) -> Option<Arc<Crew>> {
        if let Some(crew) = &self.crew {
            return Some(Arc::clone(crew));
        }
        let settings = &self.parts.settings;
        let threads = match self.parts.has_threads {
            true => DiskThreads::start_behind("milena-cleaner", settings.threads),
            false => Ok(DiskThreads::here()),
        };
        let threads = threads
            .inspect_err(|error| log::error!("a thread of the cleaner cannot be started: {error}"))
            .ok()?;
        let rate = settings.bytes_per_second_max;
        let crew = Arc::new(Crew {
            threads,
            reins: Reins::new(rate, self.parts.clock, self.parts.has_threads),
            dedupe_bytes: settings.dedupe_bytes_per_thread(),
            load_factor: settings.load_factor,
        });
        self.crew = Some(Arc::clone(&crew));
        Some(crew)
    }

    fn free_threads(&self) -> usize {
        let threads = self.parts.settings.threads;
        threads.saturating_sub(self.schedule.busy())
    }

    /// Looks after the back-off.
    fn arm(&mut self, ctx: &mut Context<Self>) {
        self.disarm(ctx);
        let after = self.parts.settings.backoff.max(BACKOFF_MIN);
        self.timer = Some(ctx.run_later(after, |actor, ctx| {
            actor.timer = None;
            actor.look(ctx);
        }));
    }

    fn disarm(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
    }

    /// Has a thread look which logs are dirty.
    fn look(&mut self, ctx: &mut Context<Self>) {
        let idle = self.looking || self.ending.is_some() || self.free_threads() == 0;
        if idle || !self.parts.settings.enabled {
            return;
        }
        self.disarm(ctx);
        let wall = self.parts.clock.wall();
        self.parts.metrics.last_run_timestamp_ms.set(wall.0);
        let candidates = self.candidates();
        let crew = match candidates.is_empty() {
            true => None,
            false => self.crew(),
        };
        let Some(crew) = crew else {
            self.parts.metrics.max_dirty_percent.set(0);
            return self.arm(ctx);
        };
        self.looking = true;
        let look = work::look(crew, candidates, wall).into_actor(self);
        ctx.spawn(look.map(|seen, actor, ctx| actor.looked(seen, ctx)));
    }

    /// The logs that may be looked at.
    fn candidates(&mut self) -> Vec<Candidate> {
        let dirs = self.parts.dirs.all();
        let dirs = dirs.iter().filter(|dir| !dir.is_offline());
        let logs = dirs.flat_map(|dir| {
            let logs = dir.compacted().into_iter();
            logs.map(|(name, log)| Candidate {
                name,
                dir: Arc::clone(dir),
                log,
            })
        });
        let mut logs: Vec<Candidate> = logs.collect();
        if self.schedule.has_pauses() {
            let names: BTreeSet<_> = logs.iter().map(|log| &log.name).collect();
            self.schedule.forget_unless(|name| names.contains(name));
        }
        self.show_uncleanable();
        let now = self.parts.clock.now();
        let moving = self.parts.dirs.moving();
        logs.retain(|log| !moving.contains(&log.name) && self.schedule.may_look(&log.name, now));
        logs
    }

    fn looked(&mut self, seen: Vec<Seen>, ctx: &mut Context<Self>) {
        self.looking = false;
        if self.ended(ctx) {
            return;
        }
        let mut found = Vec::new();
        let (mut filthiest, mut longest_ms) = (0.0f64, 0);
        for Seen { candidate, dirt } in seen {
            match dirt {
                Ok(cleanable) => {
                    filthiest = filthiest.max(cleanable.dirty_ratio());
                    longest_ms = longest_ms.max(cleanable.overdue_ms.unwrap_or(0));
                    let dirt = Dirt {
                        ratio: cleanable.dirty_ratio(),
                        is_due: cleanable.is_due(candidate.log.config.min_cleanable_dirty_ratio),
                    };
                    found.push((candidate.name.clone(), dirt, (candidate, cleanable)));
                }
                Err(why) => self.note_failure(&candidate.name, 0, &why),
            }
        }
        let metrics = &self.parts.metrics;
        metrics.max_dirty_percent.set((100.0 * filthiest) as i64);
        let longest = Duration::from_millis(longest_ms.max(0).unsigned_abs());
        metrics
            .max_compaction_delay_seconds
            .set(longest.as_secs_f64());
        let chosen = self.schedule.choose(found, self.free_threads());
        for (_, (candidate, cleanable)) in chosen {
            self.clean(candidate, cleanable, ctx);
        }
        if self.free_threads() > 0 {
            self.arm(ctx);
        }
    }

    fn clean(
        &mut self,
        candidate: Candidate,
        cleanable: crate::storage::Cleanable,
        ctx: &mut Context<Self>,
    ) {
        let Some(crew) = self.crew() else {
            self.schedule.given_back(&candidate.name);
            return;
        };
        let name = candidate.name.clone();
        let bytes = cleanable.cleanable_bytes;
        let seed = (self.parts.random)();
        let cleaning = work::clean(crew, candidate, cleanable, seed, self.parts.clock);
        ctx.spawn(cleaning.into_actor(self).map(move |outcome, actor, ctx| {
            actor.cleaned(&name, bytes, outcome);
            if !actor.ended(ctx) {
                actor.look(ctx);
            }
        }));
    }

    fn cleaned(&mut self, name: &TopicPartition, bytes: u64, outcome: Outcome) {
        let now = self.parts.clock.now();
        match outcome {
            Outcome::Cleaned(cleaned) => {
                self.show(name, &cleaned);
                match cleaned.upto > cleaned.from {
                    true => self.schedule.done(name),
                    // Nothing would be gained by doing it again at once.
                    false => self.schedule.rest(name, now, self.parts.settings.backoff),
                }
            }
            Outcome::Nothing => self.schedule.rest(name, now, self.parts.settings.backoff),
            Outcome::Stopped => self.schedule.given_back(name),
            Outcome::Failed(why) => self.note_failure(name, bytes, &why),
        }
        self.show_uncleanable();
    }

    fn note_failure(&mut self, name: &TopicPartition, bytes: u64, why: &str) {
        let (now, backoff) = (self.parts.clock.now(), self.parts.settings.backoff);
        let wait = self.schedule.failed(name, bytes, now, backoff);
        self.parts.metrics.failures.inc();
        if why == work::PANICKED {
            self.parts.metrics.panics.inc();
        }
        log::warn!("{name} was not compacted: {why}; it is tried again in {wait:?}");
    }

    fn show_uncleanable(&self) {
        let (count, bytes) = self.schedule.uncleanable();
        let metrics = &self.parts.metrics;
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        metrics.uncleanable_partitions.set(count);
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        metrics.uncleanable_bytes.set(bytes);
    }

    fn show(&self, name: &TopicPartition, cleaned: &Cleaned) {
        let Cleaned {
            from,
            upto,
            stats,
            took,
        } = cleaned;
        let CleaningStats {
            bytes_read,
            bytes_written,
            records_read,
            records_kept,
            ..
        } = stats;
        log::info!(
            "{name}: compacted {from} to {upto} in {took:?}: {bytes_read} bytes in {records_read} records became {bytes_written} bytes in {records_kept}"
        );
        let metrics = &self.parts.metrics;
        metrics.cleanings.inc();
        metrics.read_bytes.inc_by(*bytes_read);
        metrics.written_bytes.inc_by(*bytes_written);
        metrics.clean_time_seconds.set(took.as_secs_f64());
        let recopied = bytes_written.saturating_mul(100) / (*bytes_read).max(1);
        metrics
            .recopy_percent
            .set(i64::try_from(recopied).unwrap_or(i64::MAX));
        metrics
            .buffer_utilization_percent
            .set((100.0 * stats.map_utilization) as i64);
    }

    /// Puts other settings in force: another rate at once, other threads as soon as those there are
    /// have let go of what they do.
    fn obey(&mut self, settings: CleanerSettings, ctx: &mut Context<Self>) {
        let before = std::mem::replace(&mut self.parts.settings, settings);
        let settings = &self.parts.settings;
        let rate = settings.bytes_per_second_max;
        let same_crew = CleanerSettings {
            bytes_per_second_max: before.bytes_per_second_max,
            backoff: before.backoff,
            ..settings.clone()
        } == before;
        if let Some(crew) = &self.crew {
            crew.reins.set_rate(rate);
        }
        if !same_crew && let Some(crew) = self.crew.take() {
            crew.reins.stop();
            actix_rt::spawn(async move { crew.threads.end().await });
        }
        if !self.looking {
            self.look(ctx);
        }
    }

    /// Whether the cleaner is at its end; who waits for it is told when nothing is under way.
    fn ended(&mut self, ctx: &mut Context<Self>) -> bool {
        let Some(ending) = &mut self.ending else {
            return false;
        };
        if self.looking || self.schedule.busy() > 0 {
            return true;
        }
        let (crew, waiting) = (self.crew.take(), std::mem::take(ending));
        actix_rt::spawn(async move {
            if let Some(crew) = crew {
                crew.threads.end().await;
            }
            for told in waiting {
                // Who hung up does not wait any more.
                let _ = told.send(());
            }
        });
        ctx.stop();
        true
    }
}

/// With no back-off at all, looking would be all that is done.
const BACKOFF_MIN: Duration = Duration::from_millis(10);

impl Actor for CleanerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        if !self.parts.settings.enabled {
            log::warn!("log.cleaner.enable=false: compacted topics are not compacted and grow");
        }
        self.arm(ctx);
    }
}

impl Drop for CleanerActor {
    /// Also when the broker did not come to run.
    fn drop(&mut self) {
        if let Some(crew) = &self.crew {
            crew.reins.stop();
        }
    }
}

impl Handler<MetadataChanged> for CleanerActor {
    type Result = ();

    fn handle(&mut self, changed: MetadataChanged, ctx: &mut Context<Self>) {
        let mut altered = changed.delta.configs_changed.iter();
        if !altered.any(|resource| resource.kind == ResourceKind::Broker) {
            return;
        }
        let settings = (self.parts.source)(&changed.image);
        if settings != self.parts.settings {
            self.obey(settings, ctx);
        }
    }
}

impl Handler<StopCleaning> for CleanerActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopCleaning, ctx: &mut Context<Self>) -> Self::Result {
        let (told, ended) = oneshot::channel();
        self.ending.get_or_insert_default().push(told);
        self.disarm(ctx);
        if let Some(crew) = &self.crew {
            crew.reins.stop();
        }
        self.ended(ctx);
        Box::pin(async move {
            // An actor that is gone cleans nothing.
            let _ = ended.await;
        })
    }
}
