//! The `milena` command: arguments in, exit status out.
//!
//! `main` calls [`main`]. Invariant: a mistake in arguments or configuration is one sentence on
//! standard error and status 1, and only this room reads files named on the command line.

mod host;
mod serve;
mod storage;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// An Apache-Kafka-compatible broker.
#[derive(Debug, Parser)]
#[command(name = "milena", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker. The same as no command at all.
    Serve {
        #[command(flatten)]
        serve: ServeArguments,
        /// The same as --config.
        #[arg(value_name = "FILE", conflicts_with = "config")]
        file: Option<PathBuf>,
    },
    /// Look at configuration keys.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Look at a stopped broker's directories.
    Storage {
        #[command(subcommand)]
        action: StorageAction,
    },
}

#[derive(Debug, Subcommand)]
enum StorageAction {
    /// List every damaged place: file, bytes, offsets, what is wrong. Changes nothing. Status 0:
    /// nothing is damaged; 1: something is; 2: it could not be looked at.
    Verify {
        /// A log directory, or the directory of one partition in it; Kafka's will do.
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Print every key with its default and what it does, in Markdown.
    Reference,
}

/// How a broker is run.
#[derive(Debug, Args)]
struct ServeArguments {
    /// A server.properties file, as Kafka's; without it every key has its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A key that outranks the file; may be repeated.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// What to log: error, warn, info, debug or trace, or by module as in RUST_LOG.
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// Runs the command this process was started with.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version come this way too, and are no mistake. Nothing can be done where
            // they cannot be printed.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()));
        }
    };
    match arguments.command {
        None => serve::run(&arguments.serve),
        Some(Command::Serve { mut serve, file }) => {
            serve.config = serve.config.or(file);
            serve::run(&serve)
        }
        Some(Command::Config {
            action: ConfigAction::Reference,
        }) => print(&crate::config::reference::page()),
        Some(Command::Storage {
            action: StorageAction::Verify { directory },
        }) => storage::verify(&directory),
    }
}

/// Prints a page; a reader that went away (`| head`) is no mistake.
fn print(text: &str) -> ExitCode {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            fail(&format!("standard output cannot be written: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// One sentence on standard error, and status 1.
fn fail(sentence: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr().lock(), "milena: {sentence}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Arguments {
        Arguments::try_parse_from(line.split(' ')).unwrap()
    }

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn nothing_means_serve() {
        let arguments = parse("milena --override node.id=2 --override log.dirs=/a");
        assert!(arguments.command.is_none());
        assert_eq!(arguments.serve.overrides, ["node.id=2", "log.dirs=/a"]);
    }

    #[test]
    fn the_file_may_stand_alone_as_for_kafkas_own_script() {
        let arguments = parse("milena serve a.properties --override node.id=2");
        let Some(Command::Serve { serve, file }) = arguments.command else {
            panic!("not serve");
        };
        assert_eq!(file, Some(PathBuf::from("a.properties")));
        assert_eq!(serve.overrides, ["node.id=2"]);
    }

    #[test]
    fn two_files_are_a_mistake() {
        let line = "milena serve a.properties --config b.properties";
        assert!(Arguments::try_parse_from(line.split(' ')).is_err());
    }
}
