//! The directories of the disk: names as programs see them, as the device has them, and the changes
//! in between, in the order of all directories together.
//!
//! A rename within a directory happens whole or not at all; nothing here renames across them.
//! Invariant: the device's names with everything pending applied in order are those seen.

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::content::Content;
use super::random::Random;

/// A file's bytes, shared by its name and its open handles, as an inode is.
pub(super) type Inode = Arc<Mutex<Content>>;
type Directory = Arc<Mutex<Entries>>;

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Node {
    File(Inode),
    Directory(Directory),
}

#[derive(Debug, Clone)]
enum Change {
    Link(String, Node),
    Unlink(String),
    Rename(String, String, Node),
}

/// The names in one directory.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) seen: BTreeMap<String, Node>,
    durable: BTreeMap<String, Node>,
    /// With their places in the order of all changes.
    pending: Vec<(u64, Change)>,
}

/// A panic of another holder leaves bytes and names, not broken invariants: go on.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Entries {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Link(name, node) => {
                self.durable.insert(name, node);
            }
            Change::Unlink(name) => {
                self.durable.remove(&name);
            }
            Change::Rename(from, to, node) => {
                self.durable.remove(&from);
                self.durable.insert(to, node);
            }
        }
    }

    fn flush(&mut self) {
        for (_, change) in std::mem::take(&mut self.pending) {
            self.apply(change);
        }
    }
}

/// Which of the changes of names that were not flushed are on the device all the same.
#[derive(Debug, Clone, Copy)]
enum Survivors {
    /// All up to some moment, as a file system with a journal has it.
    UpTo(u64),
    /// Each with so many chances in a hundred, as is allowed without one.
    Any(u64),
}

/// All names.
#[derive(Debug, Default)]
pub(super) struct Names {
    root: Directory,
    changes: u64,
}

impl Names {
    fn directory(&self, path: &Path) -> Option<Directory> {
        let mut directory = Arc::clone(&self.root);
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            let next = match lock(&directory).seen.get(name.to_str()?) {
                Some(Node::Directory(next)) => Arc::clone(next),
                _ => return None,
            };
            directory = next;
        }
        Some(directory)
    }

    fn place(&self, path: &Path) -> Option<(Directory, String)> {
        let name = path.file_name()?.to_str()?.to_owned();
        let parent = path.parent().unwrap_or(Path::new(""));
        Some((self.directory(parent)?, name))
    }

    pub(super) fn get(&self, path: &Path) -> Option<Node> {
        match self.place(path) {
            Some((directory, name)) => lock(&directory).seen.get(&name).cloned(),
            None => Some(Node::Directory(self.directory(path)?)),
        }
    }

    pub(super) fn file(&self, path: &Path) -> Option<Inode> {
        match self.get(path) {
            Some(Node::File(inode)) => Some(inode),
            _ => None,
        }
    }

    /// The names in a directory, in their order.
    pub(super) fn list(&self, path: &Path) -> Option<Vec<(String, Node)>> {
        let directory = self.directory(path)?;
        let entries = lock(&directory);
        let listed = entries.seen.iter();
        Some(listed.map(|(name, n)| (name.clone(), n.clone())).collect())
    }

    fn note(&mut self, entries: &mut Entries, change: Change) {
        self.changes += 1;
        entries.pending.push((self.changes, change));
    }

    /// Gives a name in a directory that is there; false when it is not.
    pub(super) fn link(&mut self, path: &Path, node: Node) -> bool {
        let Some((directory, name)) = self.place(path) else {
            return false;
        };
        let mut entries = lock(&directory);
        entries.seen.insert(name.clone(), node.clone());
        self.note(&mut entries, Change::Link(name, node));
        true
    }

    pub(super) fn create_file(&mut self, path: &Path) -> Option<Inode> {
        let inode = Inode::default();
        self.link(path, Node::File(Arc::clone(&inode)))
            .then_some(inode)
    }

    /// Makes a directory and those above it; false where a file is in the way.
    pub(super) fn create_dir_all(&mut self, path: &Path) -> bool {
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        for ancestor in ancestors {
            match self.get(ancestor) {
                Some(Node::Directory(_)) => {}
                Some(Node::File(_)) => return false,
                None => {
                    self.link(ancestor, Node::Directory(Directory::default()));
                }
            }
        }
        true
    }

    /// What the name stood for.
    pub(super) fn unlink(&mut self, path: &Path) -> Option<Node> {
        let (directory, name) = self.place(path)?;
        let mut entries = lock(&directory);
        let node = entries.seen.remove(&name)?;
        self.note(&mut entries, Change::Unlink(name));
        Some(node)
    }

    /// False when there is no such name, or the new one is in another directory.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let (Some((directory, old)), Some((target, new))) = (self.place(from), self.place(to))
        else {
            return false;
        };
        if !Arc::ptr_eq(&directory, &target) {
            return false;
        }
        let mut entries = lock(&directory);
        let Some(node) = entries.seen.remove(&old) else {
            return false;
        };
        entries.seen.insert(new.clone(), node.clone());
        self.note(&mut entries, Change::Rename(old, new, node));
        true
    }

    /// The names in a directory reach the device; false when there is no such directory.
    pub(super) fn flush(&self, path: &Path) -> bool {
        let directory = self.directory(path);
        directory
            .map(|directory| lock(&directory).flush())
            .is_some()
    }

    /// The power goes: pending changes are there or not, then what is on the device is all there is.
    pub(super) fn lose_power(&mut self, random: &mut Random) {
        let survivors = match random.percent(60) {
            true => Survivors::UpTo(self.oldest_pending() + random.below(1 + self.span())),
            false => Survivors::Any(random.pick(&[0, 30, 60, 90])),
        };
        lose(&self.root, survivors, random);
    }

    fn oldest_pending(&self) -> u64 {
        let mut oldest = self.changes;
        visit(&self.root, &mut |entries| {
            let first = entries.pending.first().map(|(at, _)| at.saturating_sub(1));
            oldest = oldest.min(first.unwrap_or(u64::MAX));
        });
        oldest
    }

    fn span(&self) -> u64 {
        self.changes - self.oldest_pending()
    }

    /// Everything reaches the device, the bytes of all files included.
    pub(super) fn flush_all(&self) {
        visit(&self.root, &mut |entries| {
            entries.flush();
            for node in entries.seen.values() {
                if let Node::File(inode) = node {
                    lock(inode).flush();
                }
            }
        });
    }

    /// All files there are now.
    pub(super) fn files(&self) -> Vec<Inode> {
        let mut files = Vec::new();
        visit(&self.root, &mut |entries| {
            files.extend(entries.seen.values().filter_map(|node| match node {
                Node::File(inode) => Some(Arc::clone(inode)),
                Node::Directory(_) => None,
            }));
        });
        files
    }
}

fn visit(directory: &Directory, look: &mut dyn FnMut(&mut Entries)) {
    let mut entries = lock(directory);
    look(&mut entries);
    for node in entries.seen.values() {
        if let Node::Directory(below) = node {
            visit(below, look);
        }
    }
}

fn lose(directory: &Directory, survivors: Survivors, random: &mut Random) {
    let mut entries = lock(directory);
    for (at, change) in std::mem::take(&mut entries.pending) {
        let survives = match survivors {
            Survivors::UpTo(last) => at <= last,
            Survivors::Any(chance) => random.percent(chance),
        };
        if survives {
            entries.apply(change);
        }
    }
    entries.seen = entries.durable.clone();
    for node in entries.seen.values() {
        if let Node::Directory(below) = node {
            lose(below, survivors, random);
        }
    }
}
