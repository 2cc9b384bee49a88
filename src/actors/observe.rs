//! Panics seen: each actor that owns something carries a [`PanicWatch`].
//!
//! actix never restarts an actor that panicked; its address closes and callers' slots are dropped.
//! The watch makes it visible: a metric, a log line, and for the actors without which the broker is
//! not right (controller, quorum, metadata) word to the broker, which ends.

use std::sync::Arc;

/// What to do when an actor panics; given its name.
pub type OnPanic = Arc<dyn Fn(&str) + Send + Sync>;

/// Lies in an actor and speaks when the actor is dropped by a panic.
pub struct PanicWatch {
    name: String,
    on_panic: OnPanic,
}

impl PanicWatch {
    /// Watches the actor `name`.
    pub fn new(name: impl Into<String>, on_panic: OnPanic) -> PanicWatch {
        PanicWatch {
            name: name.into(),
            on_panic,
        }
    }
}

impl PanicWatch {
    /// Tells of a panic: that of the actor itself, or of a job it gave to a thread.
    pub fn report(&self) {
        log::error!(
            "actor {} panicked and is gone; see the panic's message above",
            self.name
        );
        (self.on_panic)(&self.name);
    }
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.report();
        }
    }
}
