//! What a broker takes from the world: disk, randomness, metrics, loggers.

use std::sync::Arc;

use crate::storage::disk::{Disk, MemoryDisk, SystemDisk};
use crate::telemetry::log_levels::LogLevels;
use crate::telemetry::metrics::Metrics;

/// See the module. Tests and host programs replace what they like.
#[derive(Clone)]
pub struct Environment {
    /// The only door to files.
    pub disk: Arc<dyn Disk>,
    /// Sixteen random bytes at each call, for ids.
    pub random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
    /// Where everything is counted.
    pub metrics: Metrics,
    /// The levels that BROKER_LOGGER resources show and change, when the host's logger follows them.
    pub log_levels: Option<Arc<LogLevels>>,
}

impl Environment {
    /// The system's disk and randomness, metrics of its own, and no loggers.
    pub fn system() -> Environment {
        Environment {
            disk: Arc::new(SystemDisk),
            random: Arc::new(|| {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes).expect("the system has randomness after its start");
                bytes
            }),
            metrics: Metrics::default(),
            log_levels: None,
        }
    }

    /// As [`Environment::system`], with all data in memory: it is there as long as this environment
    /// or a clone of it, also for the next broker that is started with it, and no file is touched. How
    /// much it comes to is what topics retain (`retention.bytes`, `retention.ms`).
    pub fn in_memory() -> Environment {
        Environment {
            disk: Arc::new(MemoryDisk::volatile()),
            ..Environment::system()
        }
    }
}
