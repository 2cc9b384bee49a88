//! A disk for tests that lets a broker down in every way a disk can, as a seed has it.
//!
//! It lives in memory. When its power goes ([`SeededDisk::lose_power`]) each write that was not
//! flushed is there whole, in part or not at all, whatever became of the others, and so is each name
//! that was made, changed or removed since its directory was flushed. Any call can fail, space can
//! end at any byte, and the process can end in the middle of any call. Everything follows from the
//! seed and the order of calls. Clones share it.
//!
//! Invariant: handles of an earlier life ([`SeededDisk::lose_power`], [`SeededDisk::end_process`])
//! do nothing any more.

mod content;
mod faults;
mod file;
mod names;
mod random;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

pub(crate) use faults::Fault;
pub(crate) use random::Random;

use super::{Call, DirectoryEntry, Disk, DiskFile, OpenMode, Space};
use crate::storage::StorageError;
use content::{Content, Luck};
use faults::{Faults, Verdict};
use file::SeededFile;
use names::{Names, Node, lock};

/// What clones and open files share.
#[derive(Debug)]
struct State {
    names: Names,
    faults: Faults,
    random: Random,
    life: u64,
    locks: BTreeMap<PathBuf, Weak<SeededFile>>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct SeededDisk(Arc<Mutex<State>>);

fn not_found(path: &Path) -> StorageError {
    StorageError::NotFound {
        path: path.to_owned(),
    }
}

fn refused(operation: &'static str, path: &Path, kind: io::ErrorKind) -> StorageError {
    StorageError::from_io(operation, path, kind.into())
}

impl SeededDisk {
    /// An empty disk that works until told otherwise.
    pub(crate) fn new(seed: u64) -> SeededDisk {
        SeededDisk(Arc::new(Mutex::new(State {
            names: Names::default(),
            faults: Faults::default(),
            random: Random::new(seed),
            life: 0,
            locks: BTreeMap::new(),
        })))
    }

    /// The power goes, and comes back. What was not flushed is there or not.
    pub(crate) fn lose_power(&self) {
        let mut state = lock(&self.0);
        let State { names, random, .. } = &mut *state;
        names.lose_power(random);
        let luck = Luck::draw(random);
        for file in names.files() {
            lock(&file).lose_power(luck, random);
        }
        state.faults.failed_to_flush = false;
        state.begin_life();
    }

    /// The process ends, as by kill -9, and another begins. What it wrote is there.
    pub(crate) fn end_process(&self) {
        lock(&self.0).begin_life();
    }

    /// After so many calls the process ends in the middle of one: from then on every call fails,
    /// until [`Self::lose_power`] or [`Self::end_process`].
    pub(crate) fn end_after(&self, calls: u64) {
        lock(&self.0).faults.end_after(calls);
    }

    /// Whether the process has ended.
    pub(crate) fn has_ended(&self) -> bool {
        lock(&self.0).faults.has_ended()
    }

    /// From now on `bytes` more can be written, then there is no space; none for no limit.
    pub(crate) fn limit_space(&self, bytes: Option<u64>) {
        lock(&self.0).faults.space_left = bytes;
    }

    /// Has calls fail.
    pub(crate) fn fail(&self, fault: Fault) {
        lock(&self.0).faults.add(fault);
    }

    /// How many calls failed with EIO so far.
    pub(crate) fn failed(&self) -> u64 {
        lock(&self.0).faults.failed()
    }

    /// Whether a flush failed since the power was last lost.
    pub(crate) fn failed_to_flush(&self) -> bool {
        lock(&self.0).faults.failed_to_flush
    }

    /// While they are paused, calls neither fail nor count.
    pub(crate) fn pause_faults(&self, paused: bool) {
        lock(&self.0).faults.paused = paused;
    }

    /// No call fails any more, and there is space.
    pub(crate) fn repair(&self) {
        lock(&self.0).faults.repair();
    }

    /// From now on flushes are answered and not done, for files or for directories.
    pub(crate) fn lie(&self, of_files: bool, of_directories: bool) {
        let faults = &mut lock(&self.0).faults;
        (faults.lies_of_files, faults.lies_of_directories) = (of_files, of_directories);
    }

    /// Turns one bit of a file, as a failing medium does; false when there is no such file.
    pub(crate) fn flip_bit(&self, path: &Path, position: usize, bit: u8) -> bool {
        let file = lock(&self.0).names.file(path);
        file.map(|file| lock(&file).flip_bit(position, bit))
            .is_some()
    }

    /// Another disk with those files that are wanted, as they are seen now, and no faults.
    pub(crate) fn copy(&self, wanted: impl Fn(&Path) -> bool) -> SeededDisk {
        let copy = SeededDisk::new(0);
        let from = lock(&self.0);
        copy_below(
            &from.names,
            Path::new("/"),
            &wanted,
            &mut lock(&copy.0).names,
        );
        drop(from);
        copy
    }

    /// Judges a call; when it may go on, does it.
    fn call<T>(
        &self,
        call: Call,
        path: &Path,
        act: impl FnOnce(&mut State) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let mut state = lock(&self.0);
        match state.judge(call, path) {
            Verdict::Goes => act(&mut state),
            Verdict::Fails { happens } => {
                if happens {
                    // It happened, and nobody is told.
                    let _ = act(&mut state);
                }
                Err(faults::failure(path))
            }
        }
    }
}

fn copy_below(from: &Names, path: &Path, wanted: &dyn Fn(&Path) -> bool, to: &mut Names) {
    to.create_dir_all(path);
    for (name, node) in from.list(path).unwrap_or_default() {
        let path = path.join(name);
        match node {
            Node::Directory(_) => copy_below(from, &path, wanted, to),
            Node::File(inode) if wanted(&path) => {
                let content = Content::settled(lock(&inode).seen.clone());
                to.link(&path, Node::File(Arc::new(Mutex::new(content))));
            }
            Node::File(_) => {}
        }
    }
}

impl State {
    fn begin_life(&mut self) {
        self.life += 1;
        self.faults.begin_life();
        self.locks.clear();
    }

    fn judge(&mut self, call: Call, path: &Path) -> Verdict {
        self.faults.judge(call, path, &mut self.random)
    }

    fn open(&mut self, path: &Path, mode: OpenMode) -> Result<names::Inode, StorageError> {
        match (self.names.get(path), mode) {
            (Some(Node::Directory(_)), _) => {
                Err(refused("open", path, io::ErrorKind::IsADirectory))
            }
            (Some(Node::File(inode)), OpenMode::Truncate) => {
                let mut content = lock(&inode);
                self.faults.give_back(content.seen.len());
                content.resize(0);
                drop(content);
                Ok(inode)
            }
            (Some(Node::File(inode)), _) => Ok(inode),
            (None, OpenMode::Read | OpenMode::Write) => Err(not_found(path)),
            (None, OpenMode::Create | OpenMode::Truncate) => {
                // A name may need a block of its own, or find room in one.
                if self.faults.space_left == Some(0) && self.random.percent(50) {
                    let path = path.to_owned();
                    return Err(StorageError::OutOfSpace { path });
                }
                self.names.create_file(path).ok_or_else(|| not_found(path))
            }
        }
    }

    fn forget(&mut self, node: &Node) {
        if let Node::File(inode) = node {
            self.faults.give_back(lock(inode).seen.len());
        }
    }
}

impl Disk for SeededDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.call(Call::Name, path, |state| {
            match state.names.create_dir_all(path) {
                true => Ok(()),
                false => {
                    let kind = io::ErrorKind::AlreadyExists;
                    Err(refused("make directory", path, kind))
                }
            }
        })
    }

    fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, StorageError> {
        self.call(Call::Read, path, |state| {
            let listed = state.names.list(path).ok_or_else(|| not_found(path))?;
            Ok(listed
                .into_iter()
                .map(|(name, node)| DirectoryEntry {
                    name,
                    is_directory: matches!(node, Node::Directory(_)),
                    is_file: matches!(node, Node::File(_)),
                    length: match node {
                        Node::Directory(_) => 0,
                        Node::File(inode) => lock(&inode).seen.len() as u64,
                    },
                    modified: None,
                })
                .collect())
        })
    }

    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>, StorageError> {
        let call = match mode {
            OpenMode::Read | OpenMode::Write => Call::Read,
            OpenMode::Create | OpenMode::Truncate => Call::Name,
        };
        self.call(call, path, |state| {
            let inode = state.open(path, mode)?;
            Ok(Arc::new(SeededFile::new(self, state.life, inode, path)) as Arc<dyn DiskFile>)
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        self.call(Call::Read, path, |state| {
            Ok(state.names.get(path).is_some())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.call(Call::Name, from, |state| {
            if let Some(replaced) = state.names.get(to) {
                state.forget(&replaced);
            }
            match state.names.rename(from, to) {
                true => Ok(()),
                false => Err(not_found(from)),
            }
        })
    }

    fn remove_file(&self, path: &Path) -> Result<(), StorageError> {
        self.call(Call::Name, path, |state| {
            if state.names.file(path).is_none() {
                return Err(not_found(path));
            }
            if let Some(node) = state.names.unlink(path) {
                state.forget(&node);
            }
            Ok(())
        })
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.call(Call::Name, path, |state| {
            for (name, _) in state.names.list(path).unwrap_or_default() {
                if let Some(node) = state.names.unlink(&path.join(name)) {
                    state.forget(&node);
                }
            }
            let gone = state.names.unlink(path);
            gone.map(|_| ()).ok_or_else(|| not_found(path))
        })
    }

    fn sync_dir(&self, path: &Path) -> Result<(), StorageError> {
        self.call(Call::Sync, path, |state| {
            let known = state.faults.lies_of_directories || state.names.flush(path);
            known.then_some(()).ok_or_else(|| not_found(path))
        })
    }

    fn can_sync_all(&self) -> bool {
        true
    }

    fn sync_all(&self, open: &dyn DiskFile) -> Result<(), StorageError> {
        self.call(Call::Sync, open.path(), |state| {
            if !state.faults.lies_of_files {
                state.names.flush_all();
            }
            Ok(())
        })
    }

    fn space(&self, _: &Path) -> Result<Space, StorageError> {
        let left = lock(&self.0).faults.space_left;
        Ok(Space {
            free: left.unwrap_or(u64::MAX / 2),
            total: u64::MAX / 2,
        })
    }

    fn lock(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError> {
        self.call(Call::Name, path, |state| {
            let inode = state.open(path, OpenMode::Create)?;
            let held = state.locks.get(path);
            if held.is_some_and(|held| held.strong_count() > 0) {
                return Ok(None);
            }
            let file = Arc::new(SeededFile::new(self, state.life, inode, path));
            state.locks.insert(path.to_owned(), Arc::downgrade(&file));
            Ok(Some(file as Arc<dyn DiskFile>))
        })
    }
}
