//! `milena storage`: looking at the directories of a broker that is stopped.
//!
//! Invariant: nothing in the directory is changed. What is found goes to standard output, a line
//! each; how far it is, and what ends it, to standard error. Status 0: nothing is damaged; 1: something
//! is; 2: it could not be looked at.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile, SystemDisk};
use crate::storage::log_dir::{DirectoryRole, LOCK_FILE, PartitionDirectory};
use crate::storage::verify::{
    Checked, Ends, Finding, Weight, check_checkpoints, list_directory, verify_partition,
};

/// Threads that look at partitions.
const THREADS_MAX: usize = 8;
/// How often it is said how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// It could not be looked at.
const FAILED: u8 = 2;

/// What was looked at and found.
#[derive(Default)]
struct Tally {
    partitions: u64,
    segments: u64,
    records: u64,
    bytes: u64,
    damaged: u64,
    notes: u64,
    /// What could not be looked at.
    failed: Vec<String>,
    ends: Ends,
}

/// Looks at all of a log directory, or at one partition's.
pub(super) fn verify(directory: &Path) -> ExitCode {
    match look(directory) {
        Ok(tally) => conclude(&tally),
        Err(sentence) => {
            super::fail(&sentence);
            ExitCode::from(FAILED)
        }
    }
}

fn conclude(tally: &Tally) -> ExitCode {
    let place = |count: u64, one: &str, many: &str| match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    };
    let summary = format!(
        "{}, {}, {} records, {} bytes: {}, {}\n",
        place(tally.partitions, "partition", "partitions"),
        place(tally.segments, "segment", "segments"),
        tally.records,
        tally.bytes,
        place(tally.damaged, "damaged place", "damaged places"),
        place(tally.notes, "note", "notes"),
    );
    super::print(&summary);
    for sentence in &tally.failed {
        super::fail(sentence);
    }
    match (tally.failed.is_empty(), tally.damaged) {
        (false, _) => ExitCode::from(FAILED),
        (true, 0) => ExitCode::SUCCESS,
        (true, _) => ExitCode::FAILURE,
    }
}

fn look(directory: &Path) -> Result<Tally, String> {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    // The names of partitions are looked for in it.
    let directory = directory
        .canonicalize()
        .map_err(|error| format!("{} cannot be looked at: {error}", directory.display()))?;
    let sentence = |error: StorageError| error.to_string();
    let name = directory.file_name().and_then(|name| name.to_str());
    let is_log_directory = has(&*disk, &directory, "meta.properties").map_err(sentence)?;
    let is_partition = !is_log_directory && name.and_then(PartitionDirectory::parse).is_some();
    let root = match directory.parent() {
        Some(parent) if is_partition => parent.to_owned(),
        _ => directory.clone(),
    };
    let _lock = take(&*disk, &root)?;
    let mut tally = Tally::default();
    let partitions = if is_partition {
        vec![directory.clone()]
    } else {
        let listed = list_directory(&*disk, &directory, &mut |finding| tally.tell(&finding));
        let partitions = listed.map_err(sentence)?.partitions;
        if !is_log_directory && partitions.is_empty() {
            return Err(format!(
                "{} is neither a log directory nor a partition's; name one of `log.dirs`, or a directory in one",
                directory.display()
            ));
        }
        partitions
    };
    look_at_all(&disk, &partitions, &mut tally);
    if !is_partition {
        let ends = std::mem::take(&mut tally.ends);
        check_checkpoints(&*disk, &directory, &ends, &mut |finding| {
            tally.tell(&finding);
        })
        .map_err(sentence)?;
    }
    Ok(tally)
}

fn has(disk: &dyn Disk, directory: &Path, name: &str) -> Result<bool, StorageError> {
    disk.exists(&directory.join(name))
}

/// Sees to it that no broker uses the directory meanwhile. Without the file no broker ever did, or
/// this is a copy.
fn take(disk: &dyn Disk, root: &Path) -> Result<Option<Arc<dyn DiskFile>>, String> {
    let path = root.join(LOCK_FILE);
    if !disk.exists(&path).map_err(|error| error.to_string())? {
        return Ok(None);
    }
    match disk.lock(&path) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(format!(
            "{} is in use by a broker, whose files change while they are read; stop it first",
            root.display()
        )),
        Err(error) => Err(format!("{error}; whether a broker runs cannot be told")),
    }
}

/// What a thread tells.
enum Told {
    Found(Finding),
    Done(PathBuf, Result<Checked, StorageError>),
}

/// Looks at partitions, several at a time.
fn look_at_all(disk: &Arc<dyn Disk>, partitions: &[PathBuf], tally: &mut Tally) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.min(THREADS_MAX).min(partitions.len());
    let next = AtomicUsize::new(0);
    let (sender, told) = mpsc::channel();
    let mut told_at = now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(path) = partitions.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let mut tell = |finding| drop(sender.send(Told::Found(finding)));
                    let checked = verify_partition(disk, path, &mut tell);
                    let _ = sender.send(Told::Done(path.clone(), checked));
                }
            });
        }
        drop(sender);
        loop {
            match told.recv_timeout(TOLD_EVERY) {
                Ok(Told::Found(finding)) => tally.tell(&finding),
                Ok(Told::Done(path, checked)) => tally.count(&path, checked),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
            }
            if told_at.elapsed() >= TOLD_EVERY {
                told_at = now();
                tally.tell_progress(partitions.len());
            }
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command of its own, without clock"
)]
fn now() -> Instant {
    Instant::now()
}

impl Tally {
    fn tell(&mut self, finding: &Finding) {
        match finding.weight {
            Weight::Damage => self.damaged += 1,
            Weight::Note => self.notes += 1,
        }
        super::print(&format!("{finding}\n"));
    }

    fn count(&mut self, path: &Path, checked: Result<Checked, StorageError>) {
        self.partitions += 1;
        let checked = match checked {
            Ok(checked) => checked,
            Err(error) => return self.failed.push(error.to_string()),
        };
        self.segments += checked.segments;
        self.records += checked.records;
        self.bytes += checked.bytes;
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(parsed) = name.and_then(PartitionDirectory::parse)
            && parsed.role == DirectoryRole::Current
        {
            self.ends.insert(parsed.partition, checked);
        }
    }

    fn tell_progress(&self, of: usize) {
        let _ = writeln!(
            std::io::stderr().lock(),
            "{} of {of} partitions, {} bytes",
            self.partitions,
            self.bytes
        );
    }
}
