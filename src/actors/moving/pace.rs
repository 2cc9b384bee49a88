//! How fast copies may be made: `replica.alter.log.dirs.io.max.bytes.per.second`, for all together.
//!
//! Used by `carry` after each piece. The rate is asked for each time, so that a change counts at
//! once. Invariant: over any time, no more than the rate and one piece for each move is copied.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::clock::Clock;
use crate::model::Moment;

/// The rate in bytes per second, as the metadata has it now; `u64::MAX` is no limit.
pub type RateSource = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How often a rate that has changed is noticed while a move waits.
const LOOK: Duration = Duration::from_secs(1);
/// The largest piece.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// See the module.
pub(super) struct Pace {
    clock: Clock,
    rate: RateSource,
    /// When what was copied until now has been paid for.
    free_at: Cell<Moment>,
}

impl Pace {
    pub(super) fn new(clock: Clock, rate: RateSource) -> Pace {
        Pace {
            clock,
            rate,
            free_at: Cell::new(Moment(0)),
        }
    }

    /// How much is copied at once: what a tenth of a second allows, at the most.
    pub(super) fn piece(&self) -> usize {
        let rate = usize::try_from((self.rate)() / 10).unwrap_or(usize::MAX);
        rate.clamp(1, PIECE_BYTES_MAX)
    }

    /// Takes note of a piece.
    pub(super) fn pay(&self, bytes: usize) {
        let (rate, now) = ((self.rate)(), self.clock.now());
        if rate == u64::MAX || rate == 0 {
            return;
        }
        let owed = u128::from(bytes as u64) * 1000 / u128::from(rate);
        let owed = Duration::from_millis(u64::try_from(owed).unwrap_or(u64::MAX));
        self.free_at.set(self.free_at.get().max(now) + owed);
    }

    /// How long to wait before the next piece; nothing when there is no need to. Asked again after
    /// that time.
    pub(super) fn wait(&self) -> Option<Duration> {
        let rate = (self.rate)();
        if rate == 0 {
            return Some(LOOK);
        }
        let left = self.clock.until(self.free_at.get());
        if rate == u64::MAX || left.is_zero() {
            return None;
        }
        Some(left.min(LOOK))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::model::Timestamp;

    #[tokio::test]
    async fn copies_are_paid_for_and_a_new_rate_counts_at_once() {
        tokio::time::pause();
        let rate = Arc::new(AtomicU64::new(1000));
        let asked = Arc::clone(&rate);
        let source: RateSource = Arc::new(move || asked.load(Ordering::Relaxed));
        let pace = Pace::new(Clock::simulated(Timestamp(0)), source);
        assert_eq!((pace.piece(), pace.wait()), (100, None));
        pace.pay(300);
        pace.pay(300);
        assert_eq!(pace.wait(), Some(Duration::from_millis(600)));
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert_eq!(pace.wait(), None);
        pace.pay(10_000);
        assert_eq!(pace.wait(), Some(LOOK), "and then it is asked again");
        rate.store(u64::MAX, Ordering::Relaxed);
        assert_eq!(pace.wait(), None);
        rate.store(0, Ordering::Relaxed);
        assert_eq!(pace.wait(), Some(LOOK), "nothing moves");
    }
}
