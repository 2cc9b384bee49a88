//! The storage room in a storm: random work on a few logs on a disk that fails as a seed has it, and
//! a mirror beside each log that says what must be there.
//!
//! Checked behind every step and every start: what was flushed, or written before a kill -9, is there
//! byte for byte; nothing is there that nobody appended; an offset of an epoch has one batch for ever;
//! producers, epochs, log start and the answers of the indexes are those a log made anew from the
//! batches has; readers get whole batches; without space nothing changes, after a failure nothing is
//! taken; a start that is cut off by a crash changes nothing. The log start never falls below what a
//! checkpoint said.
//!
//! `tests.rs` runs a few seeds, or those of `MILENA_SEEDS` and `MILENA_SEED_FROM`. A seed that fails
//! is made shorter and printed as a test to be kept.

mod checks;
#[cfg(test)]
mod kept_tests;
mod mirror;
mod place;
#[cfg(test)]
mod quorum_tests;
mod script;
mod shorten;
#[cfg(test)]
mod tests;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use mirror::Fault;
use script::Script;
use world::{Broken, World};

/// Runs a script; what went wrong, and at which step.
fn run(script: &Script, broken: Broken) -> Result<(), (usize, Fault)> {
    let mut at = 0;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(script.disk, &script.rules, broken)?;
        for step in &script.steps {
            world.step(step)?;
            at += 1;
        }
        world.finish()
    }));
    match ran {
        Ok(result) => result.map_err(|fault| (at, fault)),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Err((at, format!("panicked: {}", text.unwrap_or_default())))
        }
    }
}
