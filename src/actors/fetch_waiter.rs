//! What a fetch leaves behind with the partitions it found too little in.
//!
//! One waiter is shared by all partitions of a fetch, across arbiters. Each tells it of bytes that
//! became readable; when enough came, or something changed, the front desk asks once more.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::sync::Notify;

/// The fetch's own end. Dropping it, also when its connection closes, lets partitions forget it.
#[derive(Debug)]
pub struct FetchWaiter(Arc<Inner>);

/// The partitions' end.
#[derive(Debug, Clone)]
pub struct FetchBell(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bytes_missing: AtomicI64,
    woken: Notify,
}

/// Larger than any fetch waits for, so that it wakes every waiter.
const EVERYTHING: i64 = i64::MAX / 2;

impl FetchWaiter {
    /// A waiter for `bytes` more bytes.
    pub fn new(bytes: usize) -> FetchWaiter {
        let bytes = i64::try_from(bytes).unwrap_or(EVERYTHING).min(EVERYTHING);
        FetchWaiter(Arc::new(Inner {
            bytes_missing: AtomicI64::new(bytes),
            woken: Notify::new(),
        }))
    }

    /// What a partition rings.
    pub fn bell(&self) -> FetchBell {
        FetchBell(Arc::clone(&self.0))
    }

    /// Corrects the count of bytes missing, of which `expected` was the first guess, once it is
    /// known how many there are already.
    pub fn expect(&self, missing: usize, expected: usize) {
        let there = i64::try_from(expected.saturating_sub(missing)).unwrap_or(EVERYTHING);
        ring(&self.0, there);
    }

    /// Waits until enough came. Returns at once when it has already.
    pub async fn woken(&self) {
        self.0.woken.notified().await;
    }
}

impl Drop for FetchWaiter {
    fn drop(&mut self) {
        self.0.bytes_missing.store(0, Ordering::Release);
    }
}

impl FetchBell {
    /// Bytes became readable in one of the partitions.
    pub fn add_bytes(&self, bytes: usize) {
        ring(
            &self.0,
            i64::try_from(bytes).unwrap_or(EVERYTHING).min(EVERYTHING),
        );
    }

    /// Something else happened that the fetch must see: a new leader, a deleted topic.
    pub fn wake(&self) {
        self.add_bytes(usize::MAX);
    }

    /// Whether nobody waits on this any more, so that a partition may forget it.
    pub fn is_over(&self) -> bool {
        self.0.bytes_missing.load(Ordering::Acquire) <= 0
    }
}

fn ring(inner: &Inner, bytes: i64) {
    let before = inner.bytes_missing.fetch_sub(bytes, Ordering::AcqRel);
    if before > 0 && before <= bytes {
        inner.woken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_wakes_once_the_bytes_of_all_partitions_together_suffice() {
        let waiter = FetchWaiter::new(100);
        waiter.bell().add_bytes(60);
        assert!(!waiter.bell().is_over());
        waiter.bell().add_bytes(40);
        waiter.woken().await;
        assert!(waiter.bell().is_over());
    }

    #[tokio::test]
    async fn a_change_wakes_however_few_bytes_came() {
        let waiter = FetchWaiter::new(1 << 30);
        waiter.bell().wake();
        waiter.woken().await;
    }

    #[test]
    fn a_fetch_that_is_gone_is_over_for_its_partitions() {
        let waiter = FetchWaiter::new(10);
        let bell = waiter.bell();
        drop(waiter);
        assert!(bell.is_over());
    }
}
