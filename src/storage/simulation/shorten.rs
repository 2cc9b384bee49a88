//! A script that fails, with as few steps as still do.

use super::script::{Script, Step};

/// Leaves steps out, many at a time, then few, as long as `fails` says that it fails still. Bounded.
pub(super) fn shorten(script: &Script, fails: &dyn Fn(&Script) -> bool) -> Script {
    let mut shortest = script.clone();
    let mut tries = 1_000;
    let mut size = script.steps.len().div_ceil(2);
    while size > 0 {
        let mut from = 0;
        let before = shortest.steps.len();
        while from < shortest.steps.len() && tries > 0 {
            tries -= 1;
            let until = (from + size).min(shortest.steps.len());
            let mut shorter = shortest.clone();
            shorter.steps.drain(from..until);
            match fails(&shorter) {
                true => shortest = shorter,
                false => from = until,
            }
        }
        if shortest.steps.len() == before || tries == 0 {
            size /= 2;
        }
    }
    shortest
}

/// The script as a test to be kept.
pub(super) fn as_test(script: &Script) -> String {
    let Script { disk, rules, steps } = script;
    let line = |step: &Step| format!("        {step:?},\n");
    let steps: String = steps.iter().map(line).collect();
    format!(
        "#[test]\nfn say_what_was_wrong() {{\n    let rules = {rules:?};\n    holds({disk}, rules, &[\n{steps}    ]);\n}}\n"
    )
}
