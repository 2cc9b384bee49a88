//! One member of a classic group (Kafka's `ClassicGroupMember`).
//!
//! Read by everybody in this room; changed through [`super::members::Members`], which counts.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::coordination::Ticket;
use crate::coordination::messages::Client;

/// A member of a classic group.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub id: Arc<str>,
    /// `group.instance.id`, if it is static.
    pub instance_id: Option<Arc<str>>,
    /// Who it is.
    pub client: Client,
    /// Milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// The protocols it supports with its metadata, in its order of preference; each name once. Of a
    /// member that was loaded, only the one that had been chosen.
    pub protocols: Vec<(Arc<str>, Bytes)>,
    /// What the leader assigned to it; empty if nothing.
    pub assignment: Bytes,
    /// Its JoinGroup that waits for the others.
    pub(super) join: Option<Ticket>,
    /// Its SyncGroup that waits for the leader's.
    pub(super) sync: Option<Ticket>,
    /// Whether it never was in a generation: it may not know its id, so that nobody would miss it.
    pub(super) is_new: bool,
}

impl Member {
    /// Its metadata for a protocol; `None` if it does not support it.
    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        self.protocols
            .iter()
            .find(|(name, _)| **name == *protocol)
            .map(|(_, metadata)| metadata)
    }

    /// Whether a request of its own is parked here, so that it needs no heartbeat.
    pub(super) fn is_waiting(&self) -> bool {
        self.join.is_some() || self.sync.is_some()
    }

    pub(super) fn session_timeout(&self) -> Duration {
        duration(self.session_timeout_ms)
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        duration(self.rebalance_timeout_ms)
    }
}

/// Milliseconds from the wire; negative ones are none.
pub(super) fn duration(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
