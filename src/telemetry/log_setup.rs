//! The logger of the `milena` binary: lines on standard error, levels changeable while it runs.
//!
//! Called by `cli` only, because a logger is global to the process and a library has no business
//! choosing one. A line is: time, level, module, message.

use std::io::Write as _;
use std::sync::Arc;

use env_logger::{Builder, Logger};
use log::{LevelFilter, Log, Metadata, Record};

use super::log_levels::LogLevels;

/// Installs the logger; gives the levels it follows. What to log is `directives` if given, else
/// RUST_LOG, else `info`. The error is a sentence.
pub fn install(directives: Option<&str>) -> Result<Arc<LogLevels>, String> {
    let environment = std::env::var("RUST_LOG").unwrap_or_default();
    let levels = LogLevels::of_directives(directives.unwrap_or(&environment))?;
    let levels = Arc::new(levels);
    let logger = Switched {
        levels: Arc::clone(&levels),
        lines: lines(),
    };
    log::set_boxed_logger(Box::new(logger))
        .map_err(|_| "a logger is already installed in this process".to_owned())?;
    levels.follow();
    Ok(levels)
}

/// Formats and writes, without choosing.
fn lines() -> Logger {
    Builder::new()
        .filter_level(LevelFilter::Trace)
        .format(|out, record| {
            let style = out.default_level_style(record.level());
            writeln!(
                out,
                "{} {style}{:<5}{style:#} {} {}",
                out.timestamp_millis(),
                record.level(),
                record.target(),
                record.args()
            )
        })
        .build()
}

/// Chooses by the levels in force, then leaves the line to env_logger.
struct Switched {
    levels: Arc<LogLevels>,
    lines: Logger,
}

impl Log for Switched {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= self.levels.level(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.lines.log(record);
        }
    }

    fn flush(&self) {
        self.lines.flush();
    }
}
