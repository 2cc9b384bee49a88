//! The server under load: a process of its own, so that its memory is its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use rustix::process::{Pid, Signal, kill_process};

use crate::Failure;

/// Short intervals, and little memory for keys.
const SETTINGS: &[&str] = &[
    "listeners=PLAINTEXT://127.0.0.1:0",
    "log.retention.check.interval.ms=1000",
    "log.segment.delete.delay.ms=1000",
    "log.cleaner.backoff.ms=500",
    "log.cleaner.dedupe.buffer.size=8388608",
    "log.cleaner.io.max.bytes.per.second=50000000",
];

/// A running `milena serve`.
pub(crate) struct Server {
    child: Child,
    log: JoinHandle<String>,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(directory: &Path) -> Result<Server, Failure> {
        let other = std::env::var_os("MILENA_BIN");
        let binary = other.unwrap_or_else(|| env!("CARGO_BIN_EXE_milena").into());
        let mut command = Command::new(binary);
        command.arg("serve").current_dir(directory);
        let data = format!("log.dirs={}", directory.join("data").display());
        for setting in SETTINGS.iter().copied().chain([data.as_str()]) {
            command.args(["--override", setting]);
        }
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut errors = child.stderr.take().ok_or("no standard error")?;
        let log = std::thread::spawn(move || {
            let mut text = Vec::new();
            // What was read until it broke is what there is to tell.
            let _ = errors.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        let output = child.stdout.take().ok_or("no standard output")?;
        let mut ready = String::new();
        BufReader::new(output).read_line(&mut ready)?;
        let address = ready.split_once("PLAINTEXT://").map(|(_, rest)| rest);
        let address = address.and_then(|rest| rest.split([',', '\n']).next());
        let Some(address) = address.and_then(|address| address.parse().ok()) else {
            let _ = child.kill();
            return Err(format!("it is not ready: {ready}").into());
        };
        Ok(Server {
            child,
            log,
            address,
        })
    }

    /// Bytes of memory that are the process's own.
    pub(crate) fn memory(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        let kilobytes: u64 = kilobytes.ok_or("the server has ended")?.parse()?;
        Ok(kilobytes << 10)
    }

    /// Stops it; everything it logged.
    pub(crate) fn stop(mut self) -> Result<String, Failure> {
        let id = Pid::from_raw(i32::try_from(self.child.id())?).ok_or("no process id")?;
        // One that has ended is told by its status.
        let _ = kill_process(id, Signal::TERM);
        let status = self.child.wait()?;
        let log = self.log.join().map_err(|_| "its log cannot be read")?;
        match status.success() {
            true => Ok(log),
            false => Err(format!("the server ended with {status}\n{log}").into()),
        }
    }
}

/// Bytes of all files under a directory.
pub(crate) fn bytes_in(directory: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => bytes_in(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}

/// Has the system forget what it keeps of a directory's logs in memory, so that reading them is reading the disk.
pub(crate) fn make_cold(directory: &Path) -> Result<(), Failure> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "log") {
            // One that was deleted since is cold enough.
            if let Ok(file) = std::fs::File::open(&path) {
                rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
            }
        }
    }
    Ok(())
}
