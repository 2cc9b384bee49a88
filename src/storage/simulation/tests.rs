use super::script::script;
use super::shorten::{as_test, shorten};
use super::*;

/// Seeds that every `cargo test` runs.
const SEEDS: u64 = 64;
/// Failing seeds that are told before it ends.
const FAILURES_MAX: usize = 5;

pub(super) fn number(variable: &str, otherwise: u64) -> u64 {
    let told = std::env::var(variable).ok();
    told.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// What a failing script becomes.
fn report(seed: u64, found: &Script) -> String {
    let short = shorten(found, &|script| run(script, Broken::Nothing).is_err());
    let (at, fault) = run(&short, Broken::Nothing).expect_err("it still fails");
    format!("seed {seed}: at step {at}: {fault}\n{}", as_test(&short))
}

#[test]
fn whatever_happens_the_log_keeps_its_promises() {
    let from = number("MILENA_SEED_FROM", 0);
    let mut failures = Vec::new();
    for seed in from..from + number("MILENA_SEEDS", SEEDS) {
        let script = script(seed);
        if run(&script, Broken::Nothing).is_err() {
            failures.push(report(seed, &script));
        }
        if failures.len() >= FAILURES_MAX {
            break;
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

/// Whether what is broken on purpose is noticed by one seed of these.
fn is_noticed(broken: Broken, seeds: u64) -> bool {
    (0..seeds).any(|seed| run(&script(seed), broken).is_err())
}

#[test]
fn a_disk_that_does_not_flush_files_is_noticed() {
    assert!(is_noticed(Broken::FileFlushes, 40));
}

#[test]
fn a_disk_that_does_not_flush_names_is_noticed() {
    assert!(is_noticed(Broken::DirectoryFlushes, 40));
}

#[test]
fn an_answer_before_its_flush_is_noticed() {
    assert!(is_noticed(Broken::EarlyAnswers, 200));
}

#[test]
fn an_unclean_start_without_a_new_epoch_is_noticed() {
    assert!(is_noticed(Broken::NoNewEpoch, 200));
}
