//! How fast the cleaner may read and write, all of its threads together
//! (`log.cleaner.io.max.bytes.per.second`; Kafka's `Throttler`), and when it must let go.
//!
//! [`Throttle`] decides, [`Reins`] makes threads wait. Invariant: over any second in which somebody
//! waits, what was moved is at most a second's worth and what one call brought.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::Addr;

use crate::actors::clock::Clock;
use crate::actors::log::LogActor;
use crate::model::Moment;
use crate::storage::{CleaningStopped, Pace};

/// A waiting thread looks again at least so often: the rate may have changed.
const WAIT_MAX: Duration = Duration::from_millis(300);

/// What has been moved and not been waited for yet.
#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: f64,
    owed: f64,
    at: Moment,
}

impl Throttle {
    pub(super) fn new(bytes_per_second: f64, now: Moment) -> Throttle {
        Throttle {
            bytes_per_second,
            owed: 0.0,
            at: now,
        }
    }

    /// Another rate from now on, also for what is owed already.
    pub(super) fn set_rate(&mut self, bytes_per_second: f64, now: Moment) {
        self.settle(now);
        self.bytes_per_second = bytes_per_second;
    }

    /// So much was moved.
    #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
    pub(super) fn note(&mut self, bytes: u64, now: Moment) {
        self.settle(now);
        self.owed += bytes as f64;
    }

    /// How long until nothing is owed.
    pub(super) fn wait(&mut self, now: Moment) -> Duration {
        self.settle(now);
        let seconds = self.owed / self.bytes_per_second;
        // Less than the clock can tell is nothing.
        if seconds < 0.001 {
            return Duration::ZERO;
        }
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn settle(&mut self, now: Moment) {
        let passed = now.since(self.at).as_secs_f64();
        self.at = now;
        self.owed = (self.owed - passed * self.bytes_per_second).max(0.0);
    }
}

/// Holds all threads of the cleaner: how fast they go, and that they stop.
pub(super) struct Reins {
    throttle: Mutex<Throttle>,
    woken: Condvar,
    stopped: AtomicBool,
    clock: Clock,
    /// Whether threads wait. Work that is done on an arbiter, in tests, must not.
    waits: bool,
}

impl Reins {
    pub(super) fn new(bytes_per_second: f64, clock: Clock, waits: bool) -> Reins {
        Reins {
            throttle: Mutex::new(Throttle::new(bytes_per_second, clock.now())),
            woken: Condvar::new(),
            stopped: AtomicBool::new(false),
            clock,
            waits,
        }
    }

    /// Another rate; who waits for the old one looks again.
    pub(super) fn set_rate(&self, bytes_per_second: f64) {
        self.lock().set_rate(bytes_per_second, self.clock.now());
        self.woken.notify_all();
    }

    /// Everybody stops at the next batch.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        // Under the lock, so that nobody is between looking and waiting.
        drop(self.lock());
        self.woken.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn moved(&self, bytes: u64) -> Result<(), CleaningStopped> {
        let mut throttle = self.lock();
        throttle.note(bytes, self.clock.now());
        loop {
            if self.is_stopped() {
                return Err(CleaningStopped);
            }
            let wait = throttle.wait(self.clock.now());
            if wait.is_zero() || !self.waits {
                return Ok(());
            }
            let waited = self.woken.wait_timeout(throttle, wait.min(WAIT_MAX));
            throttle = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pace of the cleaning of one log: that of all, as long as the log lives.
pub(super) struct LogPace<'a> {
    pub(super) reins: &'a Reins,
    pub(super) log: &'a Addr<LogActor>,
}

impl Pace for LogPace<'_> {
    fn moved(&mut self, bytes: u64) -> Result<(), CleaningStopped> {
        // The actor of a partition that was deleted or moved away has ended.
        match self.log.connected() {
            true => self.reins.moved(bytes),
            false => Err(CleaningStopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_paid_for_with_time() {
        let mut throttle = Throttle::new(1000.0, Moment(0));
        throttle.note(500, Moment(0));
        throttle.note(500, Moment(0));
        assert_eq!(throttle.wait(Moment(0)), Duration::from_secs(1));
        assert_eq!(throttle.wait(Moment(400)), Duration::from_millis(600));
        assert_eq!(throttle.wait(Moment(1000)), Duration::ZERO);
        // Idle time buys nothing.
        throttle.note(1000, Moment(60_000));
        assert_eq!(throttle.wait(Moment(60_000)), Duration::from_secs(1));
    }

    #[test]
    fn a_new_rate_counts_for_what_is_owed_and_the_greatest_one_never_waits() {
        let mut throttle = Throttle::new(1.0, Moment(0));
        throttle.note(2_000_000, Moment(0));
        throttle.set_rate(1_000_000.0, Moment(0));
        assert_eq!(throttle.wait(Moment(0)), Duration::from_secs(2));
        throttle.set_rate(f64::MAX, Moment(0));
        throttle.note(u64::MAX, Moment(0));
        assert_eq!(throttle.wait(Moment(0)), Duration::ZERO);
    }

    #[test]
    fn a_thread_that_waits_for_its_turn_is_told_to_stop() {
        let clock = Clock::system();
        let reins = std::sync::Arc::new(Reins::new(1.0, clock, true));
        let held = std::sync::Arc::clone(&reins);
        let thread = std::thread::spawn(move || held.moved(1 << 40).is_err());
        reins.stop();
        assert!(thread.join().unwrap());
    }
}
