//! The broker-wide budget of request bytes in flight (Kafka's `queued.max.request.bytes`).
//!
//! Every connection of every arbiter takes from it before it reads a large frame, and before it
//! begins a small one, and gives back when the request is answered. A request larger than the
//! whole budget takes all of it, so that it still gets its turn: the bytes in flight exceed the
//! budget by one frame at most, and nobody waits for ever, because those that hold credits never
//! wait for more. A part of the budget is kept for small requests, which hold credits only while
//! they are answered: clients that send large ones slowly do not keep others from being served.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::frame::LARGE_FRAME_BYTES;

/// The most that is kept for small requests: 256 of the largest of them.
const KEPT_BYTES_MAX: u32 = 256 * LARGE_FRAME_BYTES as u32;
/// The part of the budget that is kept for them, if it is not more than that.
const KEPT_PART: u32 = 4;

/// The budget; clones share it.
#[derive(Debug, Clone)]
pub struct Credits {
    budget: Option<Budget>,
}

#[derive(Debug, Clone)]
struct Budget {
    large: Pool,
    /// Absent if the budget is too small to be parted.
    small: Option<Pool>,
}

#[derive(Debug, Clone)]
struct Pool {
    free: Arc<Semaphore>,
    total: u32,
}

/// Credits that are taken; dropping it gives them back.
#[derive(Debug, Default)]
pub struct Charge {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Credits {
    /// A budget of this many bytes, 4 GiB at most.
    pub fn new(bytes: usize) -> Credits {
        let total = u32::try_from(bytes.max(1)).unwrap_or(u32::MAX);
        let kept = KEPT_BYTES_MAX.min(total / KEPT_PART);
        let parted = kept as usize >= LARGE_FRAME_BYTES;
        let budget = Budget {
            large: Pool::new(if parted { total - kept } else { total }),
            small: parted.then(|| Pool::new(kept)),
        };
        Credits {
            budget: Some(budget),
        }
    }

    /// No budget, Kafka's default of -1.
    pub fn unlimited() -> Credits {
        Credits { budget: None }
    }

    /// Takes credits for this many bytes if there are enough.
    pub fn try_charge(&self, bytes: usize) -> Option<Charge> {
        let Some(budget) = &self.budget else {
            return Some(Charge::default());
        };
        let pool = budget.pool(bytes);
        let permit = pool.free.clone().try_acquire_many_owned(pool.share(bytes));
        Some(Charge {
            _permit: Some(permit.ok()?),
        })
    }

    /// Takes credits for this many bytes, after those who asked before.
    pub fn charge(&self, bytes: usize) -> impl Future<Output = Charge> + Send + 'static {
        let budget = self.budget.clone();
        async move {
            let Some(budget) = budget else {
                return Charge::default();
            };
            let pool = budget.pool(bytes);
            let share = pool.share(bytes);
            Charge {
                _permit: pool.free.clone().acquire_many_owned(share).await.ok(),
            }
        }
    }

    /// How many bytes could be charged now; `None` without a budget.
    pub fn free(&self) -> Option<usize> {
        let budget = self.budget.as_ref()?;
        let pools = budget.small.iter().chain([&budget.large]);
        Some(pools.map(|pool| pool.free.available_permits()).sum())
    }
}

impl Budget {
    fn pool(&self, bytes: usize) -> &Pool {
        match &self.small {
            Some(small) if bytes <= LARGE_FRAME_BYTES => small,
            _ => &self.large,
        }
    }
}

impl Pool {
    fn new(total: u32) -> Pool {
        Pool {
            free: Arc::new(Semaphore::new(total as usize)),
            total,
        }
    }

    fn share(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).map_or(self.total, |bytes| bytes.min(self.total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_larger_than_the_budget_waits_for_all_of_it_and_gets_it() {
        let credits = Credits::new(1000);
        let small = credits.try_charge(1).expect("there is room");
        assert!(credits.try_charge(5000).is_none());
        let mut waiting = Box::pin(credits.charge(5000));
        assert!(futures_pending(&mut waiting).await);
        drop(small);
        let large = waiting.await;
        assert_eq!(credits.free(), Some(0));
        drop(large);
        assert_eq!(credits.free(), Some(1000));
    }

    #[tokio::test]
    async fn who_stops_waiting_leaves_no_debt() {
        let credits = Credits::new(10);
        let held = credits.charge(10).await;
        let mut waiting = Box::pin(credits.charge(5));
        assert!(futures_pending(&mut waiting).await);
        drop(waiting);
        drop(held);
        assert_eq!(credits.free(), Some(10));
        assert!(Credits::unlimited().try_charge(usize::MAX).is_some());
    }

    #[tokio::test]
    async fn large_requests_leave_room_for_small_ones() {
        let credits = Credits::new(1 << 20);
        let large = credits.charge(1 << 20).await;
        assert!(credits.try_charge(LARGE_FRAME_BYTES + 1).is_none());
        let small = credits.try_charge(LARGE_FRAME_BYTES);
        assert!(small.is_some());
        drop((large, small));
        assert_eq!(credits.free(), Some(1 << 20));
    }

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx)))
            .await
            .is_pending()
    }
}
