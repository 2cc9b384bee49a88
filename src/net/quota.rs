//! How many connections there may be, in all and from one address (`max.connections`,
//! `max.connections.per.ip`, `max.connections.per.ip.overrides`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The limits; they may be changed while connections are open, which closes none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaLimits {
    /// Of all addresses together. Above it nobody is accepted until one leaves.
    pub total: usize,
    /// Of one address. Above it a connection is closed at once.
    pub per_address: usize,
    /// Of particular addresses.
    pub overrides: HashMap<IpAddr, usize>,
}

/// Counts the connections of all listeners; clones count together.
#[derive(Debug, Clone)]
pub struct ConnectionQuota {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    limits: QuotaLimits,
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One counted connection; dropping it gives the place back.
#[derive(Debug)]
pub struct ConnectionSlot {
    shared: Arc<Shared>,
    /// None for a connection from inside this process.
    address: Option<IpAddr>,
}

impl ConnectionQuota {
    /// Counts from zero.
    pub fn new(limits: QuotaLimits) -> ConnectionQuota {
        ConnectionQuota {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    limits,
                    total: 0,
                    by_address: HashMap::new(),
                }),
                changed: Notify::new(),
            }),
        }
    }

    /// Changes the limits from now on.
    pub fn set_limits(&self, limits: QuotaLimits) {
        self.shared.lock().limits = limits;
        self.shared.changed.notify_waiters();
    }

    /// Waits until there is room for one more connection of anybody.
    pub async fn room(&self) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that a connection that leaves in between is noticed.
            changed.as_mut().enable();
            {
                let state = self.shared.lock();
                if state.total < state.limits.total {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Whether nobody is accepted until one leaves.
    pub fn is_full(&self) -> bool {
        let state = self.shared.lock();
        state.total >= state.limits.total
    }

    /// Counts a connection from this address, unless it has too many or there is no room.
    pub fn enter(&self, address: IpAddr) -> Option<ConnectionSlot> {
        let mut state = self.shared.lock();
        let limit = state
            .limits
            .overrides
            .get(&address)
            .copied()
            .unwrap_or(state.limits.per_address);
        let open = state.by_address.get(&address).copied().unwrap_or(0);
        if open >= limit || state.total >= state.limits.total {
            return None;
        }
        state.total += 1;
        state.by_address.insert(address, open + 1);
        Some(ConnectionSlot {
            shared: self.shared.clone(),
            address: Some(address),
        })
    }

    /// Counts a connection from inside this process, unless there is no room.
    pub fn enter_from_inside(&self) -> Option<ConnectionSlot> {
        let mut state = self.shared.lock();
        if state.total >= state.limits.total {
            return None;
        }
        state.total += 1;
        Some(ConnectionSlot {
            shared: self.shared.clone(),
            address: None,
        })
    }

    /// Waits until no connection is counted.
    pub async fn empty(&self) {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.open() == 0 {
                return;
            }
            changed.await;
        }
    }

    /// How many connections are counted now.
    pub fn open(&self) -> usize {
        self.shared.lock().total
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.total = state.total.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(open) = state.by_address.get_mut(&address)
        {
            *open = open.saturating_sub(1);
            if *open == 0 {
                state.by_address.remove(&address);
            }
        }
        drop(state);
        self.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total: usize, per_address: usize) -> QuotaLimits {
        QuotaLimits {
            total,
            per_address,
            overrides: HashMap::from([(IpAddr::from([10, 0, 0, 9]), 1)]),
        }
    }

    #[tokio::test]
    async fn an_address_has_its_limit_and_all_together_have_theirs() {
        let quota = ConnectionQuota::new(limits(3, 2));
        let (a, b) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 9]));
        let first = quota.enter(a).expect("room");
        let second = quota.enter(a).expect("room");
        assert!(quota.enter(a).is_none(), "two are allowed");
        let third = quota.enter(b).expect("room");
        drop(second);
        assert!(quota.enter(b).is_none(), "one is allowed by its override");
        let again = quota.enter(a).expect("a place came back");
        assert_eq!(quota.open(), 3);
        let waiter = tokio::spawn({
            let quota = quota.clone();
            async move { quota.room().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(third);
        waiter.await.expect("there is room now");
        let inside = quota.enter_from_inside().expect("there is room");
        assert!(quota.enter_from_inside().is_none(), "three in all");
        drop((first, again));
        let waiter = tokio::spawn({
            let quota = quota.clone();
            async move { quota.empty().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiter.is_finished());
        drop(inside);
        waiter.await.expect("everybody left");
        assert_eq!(quota.open(), 0);
        assert!(quota.shared.lock().by_address.is_empty());
    }
}
