//! The load program of `benches/versus`: exact loads over plain sockets, and what they are held against.
//!
//! `benches/versus/run` builds and calls it; by hand: `versus-load COMMAND key=value…`. Every load is
//! bounded by a count or a time and ends by itself. With `gate=yes` it prints `begin` and `end` around
//! what is to be measured and waits for a line after each, so that the caller reads the server's CPU
//! time exactly there. The last line it prints is one object of JSON.

mod admin;
mod args;
mod batch;
mod beside;
mod classic;
mod commits;
mod consume;
mod consumer;
mod crew;
mod epoll;
mod fdatasync;
mod fetch;
mod floor;
mod gate;
mod groups_idle;
mod keyed;
mod latency;
mod many;
mod memory;
mod produce;
mod questions;
mod rebalance;
mod relay;
mod serving;
mod spread;
mod stall;
mod stats;
mod wire;

use std::error::Error;
use std::process::ExitCode;

use args::Args;

/// Anything that ends the program is told as one sentence.
type Failure = Box<dyn Error + Send + Sync>;

type Command = fn(&Args) -> Result<(), Failure>;

const COMMANDS: &[(&str, Command)] = &[
    ("create", admin::create),
    ("alter", admin::alter),
    ("delete", admin::delete),
    ("fill", admin::fill),
    ("questions", questions::run),
    ("spread", spread::run),
    ("serving", serving::run),
    ("beside", beside::run),
    ("produce", produce::run),
    ("keyed", keyed::run),
    ("consume", consume::run),
    ("pair", consume::pair),
    ("latency", latency::run),
    ("ack", latency::acknowledged),
    ("relay-latency", relay::latency),
    ("relay", relay::serve),
    ("floor", floor::serve),
    ("fdatasync", fdatasync::run),
    ("many", many::run),
    ("groups-idle", groups_idle::run),
    ("commits", commits::run),
    ("offset-wait", commits::wait),
    ("rebalance", rebalance::run),
    ("stall", stall::run),
    ("start-in-memory", memory::run),
];

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_default();
    let Some((_, command)) = COMMANDS.iter().find(|(known, _)| *known == name) else {
        // `cargo bench` comes this way too: on its own this program measures nothing.
        let known: Vec<&str> = COMMANDS.iter().map(|(name, _)| *name).collect();
        println!(
            "versus-load COMMAND key=value…, called by benches/versus/run; commands: {}",
            known.join(" ")
        );
        return ExitCode::SUCCESS;
    };
    match Args::parse(words).and_then(|args| command(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("versus-load {name}: {failure}");
            ExitCode::FAILURE
        }
    }
}
