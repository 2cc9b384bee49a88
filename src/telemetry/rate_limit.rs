//! Keeps a log line that anybody on the network can provoke from filling the log.
//!
//! Lies beside what it limits, for example one in each listener for closed connections. Invariant:
//! no line is lost silently: the next one that is let through tells how many were not.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::Moment;

/// So many lines in so much time; usable from any thread.
#[derive(Debug)]
pub struct RateLimit {
    lines: u64,
    interval_ms: u64,
    window: AtomicU64,
    used: AtomicU64,
    held_back: AtomicU64,
}

impl RateLimit {
    /// Lets `lines` through in each `interval_ms`.
    pub fn new(lines: u64, interval_ms: u64) -> RateLimit {
        RateLimit {
            lines,
            interval_ms: interval_ms.max(1),
            window: AtomicU64::new(0),
            used: AtomicU64::new(0),
            held_back: AtomicU64::new(0),
        }
    }

    /// Whether a line may be written now; if so, how many were held back since the last one.
    ///
    /// Threads that meet in the same instant may let a line too many through.
    pub fn admit(&self, now: Moment) -> Option<u64> {
        let window = now.0 / self.interval_ms;
        if self.window.swap(window, Ordering::Relaxed) != window {
            self.used.store(0, Ordering::Relaxed);
        }
        if self.used.fetch_add(1, Ordering::Relaxed) < self.lines {
            Some(self.held_back.swap(0, Ordering::Relaxed))
        } else {
            self.held_back.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_limit_are_counted_and_told_with_the_next_one() {
        let limit = RateLimit::new(2, 1000);
        let admitted: Vec<Option<u64>> = [0, 10, 20, 999, 1000, 1001, 1002, 5000]
            .map(|ms| limit.admit(Moment(ms)))
            .into();
        let expected = [
            Some(0),
            Some(0),
            None,
            None,
            Some(2),
            Some(0),
            None,
            Some(1),
        ];
        assert_eq!(admitted, expected);
    }
}
