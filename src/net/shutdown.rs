//! The signal that the broker stops, heard by every listener and connection.
//!
//! Asked on every wake of every connection, so asking is one load; waiting is registered once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The signal; clones are the same signal.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    begun: AtomicBool,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    wakers: HashMap<u64, Waker>,
}

/// One listener of the signal; dropping it ends the listening.
#[derive(Debug)]
pub(crate) struct Watch {
    shared: Arc<Shared>,
    registered: Option<(u64, Waker)>,
}

impl Shutdown {
    /// A signal that has not been given.
    pub fn new() -> Shutdown {
        Shutdown::default()
    }

    /// Gives the signal: no request is begun any more, those in flight are finished.
    pub fn begin(&self) {
        self.shared.begun.store(true, Ordering::SeqCst);
        let wakers = std::mem::take(&mut self.shared.lock().wakers);
        wakers.into_values().for_each(Waker::wake);
    }

    /// Whether it was given.
    pub fn is_begun(&self) -> bool {
        self.shared.begun.load(Ordering::SeqCst)
    }

    /// Waits until it is given.
    pub async fn begun(&self) {
        let mut watch = self.watch();
        std::future::poll_fn(|cx| watch.poll(cx)).await;
    }

    pub(crate) fn watch(&self) -> Watch {
        Watch {
            shared: self.shared.clone(),
            registered: None,
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.begun.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        match &self.registered {
            Some((_, waker)) if waker.will_wake(cx.waker()) => return Poll::Pending,
            _ => self.register(cx.waker()),
        }
        // The signal may have been given while we registered.
        if self.shared.begun.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn register(&mut self, waker: &Waker) {
        let mut waiting = self.shared.lock();
        let place = match self.registered {
            Some((place, _)) => place,
            None => {
                waiting.next += 1;
                waiting.next
            }
        };
        waiting.wakers.insert(place, waker.clone());
        self.registered = Some((place, waker.clone()));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((place, _)) = self.registered {
            self.shared.lock().wakers.remove(&place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_hears_the_signal_and_who_left_is_forgotten() {
        let shutdown = Shutdown::new();
        let other = shutdown.clone();
        let waiter = tokio::spawn(async move { other.begun().await });
        tokio::task::yield_now().await;
        assert_eq!(shutdown.shared.lock().wakers.len(), 1);
        let mut gone = shutdown.watch();
        std::future::poll_fn(|cx| {
            assert!(gone.poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(gone);
        assert_eq!(shutdown.shared.lock().wakers.len(), 1);
        shutdown.begin();
        waiter.await.expect("the waiter returns");
        shutdown.begun().await;
    }
}
