//! Checks the house itself: which room may look into which, how big a file may grow, and whether
//! the pages that describe the code still match it.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms it may use. THINK HARD ABOUT THE LAYERING BEFORE CHANGING THIS TABLE.
const ROOMS: &[(&str, &[&str])] = &[
    // floor 0: words
    ("model", &[]),
    // floor 1: bytes
    ("record", &["model"]),
    ("protocol", &["model", "record"]),
    // floor 2: deciding and keeping; these do not see each other
    ("replication", &["model"]),
    ("metadata", &["model"]),
    ("coordination", &["model", "record", "protocol"]),
    ("storage", &["model", "record", "protocol"]),
    // floor 3: hallway and people
    ("telemetry", &["model"]),
    ("net", &["model", "protocol", "telemetry"]),
    (
        "actors",
        &[
            "model",
            "record",
            "protocol",
            "replication",
            "metadata",
            "coordination",
            "storage",
            "net",
            "telemetry",
        ],
    ),
    // floor 4: front desk
    (
        "api",
        &[
            "model",
            "record",
            "protocol",
            "replication",
            "metadata",
            "coordination",
            "storage",
            "net",
            "telemetry",
            "actors",
        ],
    ),
    // floor 5: doors
    ("config", &["model", "metadata", "storage", "net"]),
    (
        "cli",
        &[
            "model",
            "config",
            "telemetry",
            "broker",
            "storage",
            "actors",
        ],
    ),
    (
        "broker",
        &[
            "model",
            "record",
            "protocol",
            "replication",
            "metadata",
            "coordination",
            "storage",
            "net",
            "telemetry",
            "actors",
            "api",
            "config",
        ],
    ),
];

/// Rooms of pure machines, and what they must never name.
const PURE: &[&str] = &[
    "model",
    "record",
    "protocol",
    "replication",
    "metadata",
    "coordination",
    "storage",
];
const IMPURE: &[&str] = &[
    "actix",
    "tokio::",
    "std::fs",
    "std::net",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "rand::random",
    "getrandom",
];
/// The one place below the actors that may touch files.
const DISK: &str = "src/storage/disk";

/// Outside `protocol/` nobody names the codec, so that it can be changed.
const CODEC: &[&str] = &["kafka_wire::", "kafka_wire_core::"];

/// A macro of `protocol`: exported macros live at the root of the crate, whoever they belong to.
const PROTOCOL_MACRO: &str = "message";

const LINES_MAX: usize = 800;

#[test]
fn rooms_only_look_downstairs() {
    let mut faults = Vec::new();
    for line in source_lines() {
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == line.room) else {
            faults.push(format!(
                "{}: room `{}` is not in the table",
                line.place(),
                line.room
            ));
            continue;
        };
        for used in line.code.split("crate::").skip(1).filter_map(first_word) {
            let used = match used {
                PROTOCOL_MACRO => "protocol",
                room => room,
            };
            if used != line.room && !allowed.contains(&used) {
                faults.push(format!(
                    "{}: `{}` must not use `{used}`",
                    line.place(),
                    line.room
                ));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn pure_rooms_touch_neither_clock_nor_file_nor_actor() {
    let mut faults = Vec::new();
    for line in source_lines() {
        let pure = PURE.contains(&line.room.as_str());
        if !pure || line.path.to_string_lossy().starts_with(DISK) {
            continue;
        }
        for word in IMPURE.iter().filter(|word| line.code.contains(**word)) {
            faults.push(format!(
                "{}: `{}` is pure and names `{word}`",
                line.place(),
                line.room
            ));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn only_the_protocol_room_names_the_codec() {
    let faults: Vec<String> = source_lines()
        .filter(|line| line.room != "protocol")
        .filter(|line| CODEC.iter().any(|word| line.code.contains(word)))
        .map(|line| line.place())
        .collect();
    assert!(
        faults.is_empty(),
        "the codec is named outside protocol/:\n{}",
        faults.join("\n")
    );
}

#[test]
fn files_stay_readable_and_say_what_they_are() {
    let mut faults = Vec::new();
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).expect("readable");
        let lines = text.lines().count();
        if lines > LINES_MAX {
            faults.push(format!(
                "{}: {lines} lines, at most {LINES_MAX}",
                path.display()
            ));
        }
        if !is_test(&path) && !text.starts_with("//!") {
            faults.push(format!("{}: begins without a module doc", path.display()));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_dependency_has_its_reason_in_the_architecture_page() {
    let manifest = fs::read_to_string("Cargo.toml").expect("readable");
    let page = fs::read_to_string("ARCHITECTURE.md").expect("readable");
    let missing: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split([' ', '=']).next())
        .filter(|name| !name.is_empty() && !page.contains(&format!("`{name}`")))
        .collect();
    assert!(
        missing.is_empty(),
        "without a reason in ARCHITECTURE.md: {missing:?}"
    );
}

#[test]
fn every_room_is_on_the_map() {
    let page = fs::read_to_string("ARCHITECTURE.md").expect("readable");
    let missing: Vec<&str> = ROOMS
        .iter()
        .map(|(room, _)| *room)
        .filter(|room| !page.contains(&format!("`{room}")))
        .collect();
    assert!(
        missing.is_empty(),
        "rooms that ARCHITECTURE.md does not name: {missing:?}"
    );
}

struct Line {
    room: String,
    path: PathBuf,
    number: usize,
    code: String,
}

impl Line {
    fn place(&self) -> String {
        format!("{}:{}", self.path.display(), self.number)
    }
}

fn first_word(text: &str) -> Option<&str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()
        .filter(|word| !word.is_empty())
}

fn is_test(path: &Path) -> bool {
    path.to_string_lossy().ends_with("tests.rs") || path.iter().any(|part| part == "tests")
}

/// Code lines of the library, without comments and without test modules.
fn source_lines() -> impl Iterator<Item = Line> {
    rust_files(Path::new("src"))
        .into_iter()
        .filter(|path| !is_test(path))
        .flat_map(|path| {
            let room = path
                .components()
                .nth(1)
                .expect("a path under src/")
                .as_os_str();
            let room = room.to_string_lossy().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).expect("readable");
            let code = text
                .split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or("")
                .to_owned();
            let skip = matches!(room.as_str(), "lib" | "main");
            let lines: Vec<Line> = code
                .lines()
                .enumerate()
                .filter(|_| !skip)
                .map(|(index, line)| Line {
                    room: room.clone(),
                    path: path.clone(),
                    number: index + 1,
                    code: line.split("//").next().unwrap_or("").to_owned(),
                })
                .collect();
            lines
        })
}

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}
