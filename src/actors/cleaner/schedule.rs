//! Which log is cleaned next (Kafka's `LogCleanerManager`).
//!
//! A plain struct in the hands of the cleaner's actor. Invariants: no log is with two threads; one
//! that could not be cleaned is tried again, later each time, and counted until it succeeds or is
//! gone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{Moment, TopicPartition};

/// A log that cannot be cleaned is tried again at least this often.
const RETRY_MAX: Duration = Duration::from_secs(30 * 60);
/// Without a back-off a broken log would be tried without end.
const RETRY_MIN: Duration = Duration::from_secs(1);

/// What one look said about a log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Dirt {
    /// The part of the log that is not clean and can be cleaned now.
    pub(super) ratio: f64,
    /// Whether that is enough, or has been so for too long.
    pub(super) is_due: bool,
}

/// A log that is not looked at for a while.
#[derive(Debug, Clone, Copy)]
struct Pause {
    /// How often in a row it could not be cleaned; zero when there only was nothing to do.
    failures: u32,
    until: Moment,
    bytes: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    with_threads: BTreeSet<TopicPartition>,
    pauses: BTreeMap<TopicPartition, Pause>,
}

impl Schedule {
    /// Whether a log may be looked at: no thread has it, and no failure is too recent.
    pub(super) fn may_look(&self, log: &TopicPartition, now: Moment) -> bool {
        let pause = self.pauses.get(log);
        !self.with_threads.contains(log) && pause.is_none_or(|pause| pause.until <= now)
    }

    /// Takes up to `free` of the logs that were looked at, the filthiest first.
    pub(super) fn choose<T>(
        &mut self,
        mut found: Vec<(TopicPartition, Dirt, T)>,
        free: usize,
    ) -> Vec<(TopicPartition, T)> {
        found.retain(|(name, dirt, _)| dirt.is_due && !self.with_threads.contains(name));
        found.sort_by(|(_, one, _), (_, other, _)| other.ratio.total_cmp(&one.ratio));
        found.truncate(free);
        for (name, _, _) in &found {
            self.with_threads.insert(name.clone());
        }
        let chosen = found.into_iter().map(|(name, _, log)| (name, log));
        chosen.collect()
    }

    /// A log was cleaned.
    pub(super) fn done(&mut self, log: &TopicPartition) {
        self.with_threads.remove(log);
        self.pauses.remove(log);
    }

    /// A thread was stopped in the middle; nothing is wrong with the log.
    pub(super) fn given_back(&mut self, log: &TopicPartition) {
        self.with_threads.remove(log);
    }

    /// Nothing came of cleaning a log, and nothing would if it were done again at once.
    pub(super) fn rest(&mut self, log: &TopicPartition, now: Moment, backoff: Duration) {
        self.with_threads.remove(log);
        let pause = Pause {
            failures: 0,
            until: now + backoff.max(RETRY_MIN),
            bytes: 0,
        };
        self.pauses.insert(log.clone(), pause);
    }

    /// A log could not be looked at or cleaned; how long until it is tried again.
    pub(super) fn failed(
        &mut self,
        log: &TopicPartition,
        bytes: u64,
        now: Moment,
        backoff: Duration,
    ) -> Duration {
        self.with_threads.remove(log);
        let before = self.pauses.get(log).map_or(0, |pause| pause.failures);
        let doubled = 2u32.saturating_pow(before.min(16));
        let wait = backoff.max(RETRY_MIN).saturating_mul(doubled);
        let wait = wait.min(RETRY_MAX.max(backoff));
        let pause = Pause {
            failures: before.saturating_add(1),
            until: now + wait,
            bytes,
        };
        self.pauses.insert(log.clone(), pause);
        wait
    }

    /// How many logs are with threads.
    pub(super) fn busy(&self) -> usize {
        self.with_threads.len()
    }

    /// Whether any log is not looked at for a while.
    pub(super) fn has_pauses(&self) -> bool {
        !self.pauses.is_empty()
    }

    /// Forgets the pauses of logs that are gone.
    pub(super) fn forget_unless(&mut self, lives: impl Fn(&TopicPartition) -> bool) {
        self.pauses.retain(|name, _| lives(name));
    }

    /// How many logs cannot be cleaned, and how many bytes of them could be otherwise.
    pub(super) fn uncleanable(&self) -> (usize, u64) {
        let failed = self.pauses.values().filter(|pause| pause.failures > 0);
        failed.fold((0, 0), |(count, bytes), pause| {
            (count + 1, bytes.saturating_add(pause.bytes))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(number: i32) -> TopicPartition {
        TopicPartition::new("t", number)
    }

    fn dirt(ratio: f64) -> Dirt {
        Dirt {
            ratio,
            is_due: ratio > 0.5,
        }
    }

    fn chosen(schedule: &mut Schedule, found: &[(i32, Dirt)], free: usize) -> Vec<i32> {
        let found = found.iter().map(|(number, dirt)| (log(*number), *dirt, ()));
        let chosen = schedule.choose(found.collect(), free);
        chosen
            .into_iter()
            .map(|(name, ())| name.partition)
            .collect()
    }

    #[test]
    fn the_filthiest_logs_go_first_and_clean_ones_not_at_all() {
        let mut schedule = Schedule::default();
        let found = [
            (0, dirt(0.5)),
            (1, dirt(0.6)),
            (2, dirt(0.9)),
            (3, dirt(0.7)),
        ];
        assert_eq!(chosen(&mut schedule, &found, 2), [2, 3]);
        assert_eq!(schedule.busy(), 2);
        // No log is with two threads.
        assert!(!schedule.may_look(&log(2), Moment(0)));
        assert_eq!(chosen(&mut schedule, &found, 2), [1]);
        schedule.done(&log(2));
        assert_eq!(chosen(&mut schedule, &found, 9), [2]);
    }

    #[test]
    fn a_log_that_is_due_goes_whatever_its_ratio() {
        let overdue = Dirt {
            is_due: true,
            ..dirt(0.1)
        };
        let mut schedule = Schedule::default();
        let found = [(0, dirt(0.2)), (1, overdue)];
        assert_eq!(chosen(&mut schedule, &found, 9), [1]);
    }

    #[test]
    fn a_log_that_fails_is_tried_again_later_each_time_and_counted_until_it_succeeds() {
        let mut schedule = Schedule::default();
        let backoff = Duration::from_secs(15);
        assert_eq!(chosen(&mut schedule, &[(0, dirt(0.9))], 1), [0]);
        let mut now = Moment(0);
        for seconds in [15, 30, 60, 120, 240, 480, 960, 1800, 1800] {
            let wait = schedule.failed(&log(0), 100, now, backoff);
            assert_eq!(wait, Duration::from_secs(seconds));
            assert!(!schedule.may_look(&log(0), now));
            now = now + wait;
            assert!(schedule.may_look(&log(0), now));
        }
        assert_eq!(schedule.uncleanable(), (1, 100));
        schedule.done(&log(0));
        assert_eq!(schedule.uncleanable(), (0, 0));
        schedule.failed(&log(1), 7, now, Duration::ZERO);
        schedule.forget_unless(|_| false);
        assert_eq!(schedule.uncleanable(), (0, 0));
    }
}
