//! The only place that asks what time it is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::{Moment, Timestamp};

/// Moments follow tokio's clock, so that a paused test pauses them too.
/// Wall time is the system's, or in tests a fixed epoch that follows the moments.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: tokio::time::Instant,
    epoch: Option<Timestamp>,
}

impl Clock {
    /// The system's time.
    pub fn system() -> Clock {
        Clock {
            started: tokio::time::Instant::now(),
            epoch: None,
        }
    }

    /// Wall time that starts at `epoch` and passes as tokio's clock does.
    pub fn simulated(epoch: Timestamp) -> Clock {
        Clock {
            epoch: Some(epoch),
            ..Clock::system()
        }
    }

    /// For deadlines.
    pub fn now(&self) -> Moment {
        Moment(millis(self.started.elapsed()))
    }

    /// For records.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    pub fn wall(&self) -> Timestamp {
        let since_epoch = match self.epoch {
            Some(epoch) => return Timestamp(epoch.0.saturating_add(self.now().0.cast_signed())),
            None => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        };
        Timestamp(millis(since_epoch).cast_signed())
    }

    /// How long until `at`; zero when it has passed.
    pub fn until(&self, at: Moment) -> Duration {
        at.since(self.now())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
