//! Log lines about bad clients, a few in a second at most, so that an attack does not fill the
//! disk. The state is handed in, one gate for each kind of trouble.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets a few lines through in every second and counts the others.
#[derive(Debug)]
pub struct LogGate {
    lines_per_second: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    since: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl LogGate {
    /// A gate for this many lines in a second.
    pub fn new(lines_per_second: u32) -> LogGate {
        LogGate {
            lines_per_second,
            state: Mutex::new(State::default()),
        }
    }

    /// Whether a line may be written at this moment, and if so how many were suppressed before it.
    pub fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |since| now.saturating_duration_since(since) >= Duration::from_secs(1);
        if state.since.is_none_or(over) {
            state.since = Some(now);
            state.lines = 0;
        }
        if state.lines >= self.lines_per_second {
            state.suppressed += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.suppressed))
    }

    /// Writes a warning if the gate lets it through.
    pub fn warn(&self, line: fmt::Arguments<'_>) {
        match self.admit(Instant::now()) {
            None => {}
            Some(0) => log::warn!("{line}"),
            Some(suppressed) => log::warn!("{line} ({suppressed} lines like it were left out)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_rate_are_counted_and_told_with_the_next() {
        let gate = LogGate::new(2);
        let start = Instant::now();
        assert_eq!(gate.admit(start), Some(0));
        assert_eq!(gate.admit(start), Some(0));
        assert_eq!(gate.admit(start), None);
        assert_eq!(gate.admit(start + Duration::from_millis(999)), None);
        assert_eq!(gate.admit(start + Duration::from_secs(1)), Some(2));
        assert_eq!(gate.admit(start + Duration::from_secs(1)), Some(0));
    }
}
