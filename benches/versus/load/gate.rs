//! The clock of this program, and the two marks at which the caller reads the server's CPU time.

use std::io::{BufRead, Write};
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::Value;

use crate::Failure;

/// Nanoseconds since the first question.
#[expect(
    clippy::disallowed_methods,
    reason = "a measuring program is where time is read"
)]
pub(crate) fn now_ns() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let elapsed = FIRST.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Says `begin` or `end` and waits for the caller's line.
pub(crate) fn mark(gated: bool, name: &str) -> Result<(), Failure> {
    if gated {
        println!("{name}");
        std::io::stdout().flush()?;
        std::io::stdin().lock().read_line(&mut String::new())?;
    }
    Ok(())
}

/// Prints the result, the last line.
pub(crate) fn result(value: &Value) -> Result<(), Failure> {
    println!("{value}");
    std::io::stdout().flush()?;
    Ok(())
}

/// Ends this process when the caller is gone: a server must not stay behind.
pub(crate) fn end_with_caller() {
    std::thread::spawn(|| {
        let mut line = String::new();
        while matches!(std::io::stdin().lock().read_line(&mut line), Ok(count) if count > 0) {}
        std::process::exit(0);
    });
}
