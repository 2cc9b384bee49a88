//! The broker-wide budget of request bytes in flight (Kafka's `queued.max.request.bytes`).
//!
//! Every connection of every arbiter takes from it before it reads a large frame, and before it
//! begins a small one, and gives back when the request is answered. A request larger than the
//! whole budget takes all of it, so that it still gets its turn: the bytes in flight exceed the
//! budget by one frame at most, and nobody waits for ever, because those that hold credits never
//! wait for more.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget; clones share it.
#[derive(Debug, Clone)]
pub struct Credits {
    budget: Option<Budget>,
}

#[derive(Debug, Clone)]
struct Budget {
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
        Credits {
            budget: Some(Budget {
                free: Arc::new(Semaphore::new(total as usize)),
                total,
            }),
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
        let permit = budget
            .free
            .clone()
            .try_acquire_many_owned(budget.share(bytes))
            .ok()?;
        Some(Charge {
            _permit: Some(permit),
        })
    }

    /// Takes credits for this many bytes, after those who asked before.
    pub fn charge(&self, bytes: usize) -> impl Future<Output = Charge> + Send + 'static {
        let budget = self.budget.clone();
        async move {
            let Some(budget) = budget else {
                return Charge::default();
            };
            let share = budget.share(bytes);
            Charge {
                _permit: budget.free.acquire_many_owned(share).await.ok(),
            }
        }
    }

    /// How many bytes could be charged now; `None` without a budget.
    pub fn free(&self) -> Option<usize> {
        self.budget
            .as_ref()
            .map(|budget| budget.free.available_permits())
    }
}

impl Budget {
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

    async fn futures_pending<F: Future + Unpin>(future: &mut F) -> bool {
        std::future::poll_fn(|cx| std::task::Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx)))
            .await
            .is_pending()
    }
}
