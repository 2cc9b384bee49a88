//! `milena serve`: reads the configuration, runs a broker, and stops it when it is told to.
//!
//! Invariant: the ready line is printed once, on standard output, after the broker serves; a first
//! SIGTERM or SIGINT stops it cleanly, a second one at once.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{ServeArguments, fail, host};
use crate::broker::{Broker, BrokerHandle, Environment};
use crate::config::{ConfigError, Notice, ServerConfig, Sources};
use crate::telemetry::log_levels::LogLevels;
use crate::telemetry::log_setup;

/// Descriptors that are neither connections nor segments: listeners, runtimes, locks, checkpoints.
const FILES_FOR_OTHERS: usize = 32;

/// Runs a broker until it is told to stop.
pub(super) fn run(arguments: &ServeArguments) -> ExitCode {
    let levels = match log_setup::install(arguments.log_level.as_deref()) {
        Ok(levels) => levels,
        Err(sentence) => return fail(&sentence),
    };
    let mut config = match read_config(arguments) {
        Ok(config) => config,
        Err(sentence) => return fail(&sentence),
    };
    announce(&config);
    leave_files_for_logs(&mut config);
    actix_rt::System::new().block_on(serve(config, levels))
}

fn read_config(arguments: &ServeArguments) -> Result<ServerConfig, String> {
    let overrides: Vec<(String, String)> = arguments
        .overrides
        .iter()
        .map(|text| split_override(text))
        .collect::<Result<_, _>>()?;
    let file = match &arguments.config {
        None => None,
        Some(path) => Some((path.display().to_string(), read_file(path)?)),
    };
    let sources = Sources {
        file: file
            .as_ref()
            .map(|(name, bytes)| (name.as_str(), bytes.as_slice())),
        overrides: &overrides,
        host_name: &host::name(),
    };
    ServerConfig::load(sources).map_err(|error: ConfigError| error.to_string())
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| {
        format!(
            "--config {} cannot be read: {error}; name a file that exists, or leave it out for the defaults",
            path.display()
        )
    })
}

fn split_override(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| {
        format!("--override {text} is not key=value; write for example --override node.id=1")
    })?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Logs what was understood, and every value in effect.
fn announce(config: &ServerConfig) {
    log::info!("milena {} is starting", env!("CARGO_PKG_VERSION"));
    let lines: Vec<String> = config.values.listing().collect();
    log::info!("configuration in effect:\n\t{}", lines.join("\n\t"));
    for notice in &config.notices {
        match notice {
            Notice::Told(text) => log::info!("{text}"),
            Notice::Warned(text) => log::warn!("{text}"),
        }
    }
}

/// Lets connections never take the descriptors that logs need: a partition that cannot open its
/// files goes offline, and anybody can open connections.
fn leave_files_for_logs(config: &mut ServerConfig) {
    let Some(files) = host::raise_open_files() else {
        return;
    };
    let asked = config.values.get_set("max.connections").is_some();
    let limits = &mut config.limits;
    let half = usize::try_from(files / 2).unwrap_or(usize::MAX);
    limits.open_files_max = limits.open_files_max.min(half);
    let most = connections_beside_logs(files, limits.open_files_max);
    if limits.connections_max <= most {
        return;
    }
    limits.connections_max = most;
    let sentence = format!(
        "this process may open {files} files, which leaves room for {most} connections beside the logs; raise the limit (ulimit -n) for more"
    );
    if asked {
        log::warn!("max.connections: {sentence}");
    } else {
        log::info!("{sentence}");
    }
}

/// How many connections leave room for the files of logs: those kept open, but no more than half of
/// all, and a few for everything else.
fn connections_beside_logs(files: u64, open_files_max: usize) -> usize {
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let logs = open_files_max.min(files / 2);
    files
        .saturating_sub(logs)
        .saturating_sub(FILES_FOR_OTHERS)
        .max(1)
}

/// SIGTERM and SIGINT.
struct Stops {
    terminate: Signal,
    interrupt: Signal,
}

impl Stops {
    fn listen() -> std::io::Result<Stops> {
        Ok(Stops {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next of them: its name, and the exit status of a process it ends (128 + its number).
    async fn next(&mut self) -> (&'static str, u8) {
        tokio::select! {
            _ = self.terminate.recv() => ("SIGTERM", 143),
            _ = self.interrupt.recv() => ("SIGINT", 130),
        }
    }
}

async fn serve(config: ServerConfig, levels: Arc<LogLevels>) -> ExitCode {
    let mut stops = match Stops::listen() {
        Ok(stops) => stops,
        Err(error) => return fail(&format!("signals cannot be caught: {error}")),
    };
    let directories: Vec<String> = config
        .log_dirs
        .directories
        .iter()
        .map(|directory| directory.display().to_string())
        .collect();
    let started = tokio::select! {
        started = start(config, levels) => started,
        (name, status) = stops.next() => {
            log::warn!("{name} before the broker was ready: ended at once");
            return ExitCode::from(status);
        }
    };
    let broker = match started {
        Ok(broker) => broker,
        Err(sentence) => return fail(&sentence),
    };
    let listening: Vec<String> = broker
        .listening()
        .iter()
        .map(|(name, address)| format!("{name}://{address}"))
        .collect();
    // Nobody has to read it: a closed standard output is no reason to end.
    let _ = writeln!(
        std::io::stdout().lock(),
        "milena {} is ready: listening on {}, data in {}",
        env!("CARGO_PKG_VERSION"),
        listening.join(","),
        directories.join(",")
    );
    run_until_stopped(broker, stops).await
}

/// Waits for the first signal or a failure, then stops the broker; a second signal ends it at once.
async fn run_until_stopped(broker: BrokerHandle, mut stops: Stops) -> ExitCode {
    let name = tokio::select! {
        fatal = broker.failed() => {
            // What is not flushed is recovered: nothing must be marked as cleanly stopped.
            log::error!("{fatal}");
            std::process::exit(1)
        }
        (name, _) = stops.next() => name,
    };
    log::info!("{name}: stopping; a second one ends this process at once");
    tokio::select! {
        stopped = broker.stop() => match stopped {
            Ok(()) => {
                log::info!("stopped");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&format!("not stopped cleanly, the next start recovers: {error}")),
        },
        (name, status) = stops.next() => {
            log::warn!("{name} again: ended at once");
            std::process::exit(i32::from(status))
        }
    }
}

/// Starts a broker whose BROKER_LOGGER resources show and change the levels of this process.
async fn start(config: ServerConfig, levels: Arc<LogLevels>) -> Result<BrokerHandle, String> {
    let environment = Environment {
        log_levels: Some(levels),
        ..Environment::system()
    };
    Broker::start(config, environment)
        .await
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_files_for_logs() {
        assert_eq!(connections_beside_logs(20_000, 4096), 15_872);
        assert_eq!(connections_beside_logs(1024, 4096), 480);
        assert_eq!(connections_beside_logs(10, 4096), 1);
        assert_eq!(connections_beside_logs(u64::MAX, 64), usize::MAX - 96);
    }

    #[test]
    fn an_override_is_split_at_its_first_equals_sign() {
        assert_eq!(
            split_override(" a = b=c "),
            Ok(("a".to_owned(), "b=c".to_owned()))
        );
        assert_eq!(
            split_override("a").unwrap_err(),
            "--override a is not key=value; write for example --override node.id=1"
        );
    }

    #[test]
    fn a_file_that_is_not_there_is_a_sentence() {
        let sentence = read_file(Path::new("/nowhere/a.properties")).unwrap_err();
        assert!(sentence.starts_with("--config /nowhere/a.properties cannot be read: "));
    }
}
