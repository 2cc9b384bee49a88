//! A disk that lives in memory, and remembers what of it would survive a loss of power.
//!
//! Used by tests, and by a broker whose data lives in memory. In tests a file keeps two images: what
//! readers see, and what was flushed; [`MemoryDisk::lose_power`] goes back to the flushed one. They
//! share their bytes. A [`MemoryDisk::volatile`] one keeps only the first. Invariant: nobody holds a
//! lock while bytes are copied to a reader.

mod content;

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, IoSlice};
use std::ops::Bound;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{DirectoryEntry, Disk, DiskFile, OpenMode, Space};
use crate::storage::StorageError;
use content::Content;

/// Bytes of one file: as seen, and as flushed.
#[derive(Debug, Default, Clone)]
struct Images {
    seen: Content,
    flushed: Content,
}

/// A file's content, shared by its name and its open handles, as an inode is.
type Inode = Arc<Mutex<Images>>;

/// A name: of a file, or of a directory.
#[derive(Debug, Clone)]
enum Node {
    Directory,
    File(Inode),
}

#[derive(Debug, Default)]
struct Names {
    seen: BTreeMap<PathBuf, Node>,
    flushed: BTreeMap<PathBuf, Node>,
    /// Directories that were renamed, from and to, since the directory they are in was flushed: with
    /// that what is known to be in them has the new name, too.
    renamed: Vec<(PathBuf, PathBuf)>,
    locks: BTreeMap<PathBuf, std::sync::Weak<MemoryFile>>,
}

impl Names {
    /// Everything below a directory, in order of name.
    fn below<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
        self.seen
            .range::<Path, _>((Bound::Excluded(path), Bound::Unbounded))
            .take_while(move |(name, _)| name.starts_with(path))
    }
}

/// A file system in memory. Clones share it.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    names: Arc<Mutex<Names>>,
    volatile: bool,
}

impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = lock(&self.names);
        f.debug_struct("MemoryDisk")
            .field("names", &names.seen.len())
            .finish()
    }
}

/// A panic of another holder leaves bytes, not broken invariants: go on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_found(path: &Path) -> StorageError {
    StorageError::NotFound {
        path: path.to_owned(),
    }
}

fn refused(operation: &'static str, path: &Path, kind: io::ErrorKind) -> StorageError {
    StorageError::from_io(operation, path, kind.into())
}

impl MemoryDisk {
    /// An empty disk that knows what of it was flushed.
    pub fn new() -> MemoryDisk {
        MemoryDisk::default()
    }

    /// An empty disk that forgets everything when it loses its power, and so need not remember what
    /// was flushed. Nothing on it ever waits.
    pub fn volatile() -> MemoryDisk {
        MemoryDisk {
            volatile: true,
            ..MemoryDisk::default()
        }
    }

    /// Goes back to what was flushed. For each file `kept` is asked how many of the bytes that were
    /// appended since its last flush reached the disk all the same (path, count → how many), which
    /// is how a tail gets torn. Files and names that were never flushed are kept when `kept` keeps
    /// a byte of them: real file systems write them back in any order.
    pub fn lose_power(&self, kept: &mut dyn FnMut(&Path, usize) -> usize) {
        let mut names = lock(&self.names);
        let mut survivors = names.flushed.clone();
        for (path, node) in &names.seen {
            match node {
                Node::Directory => {
                    survivors.insert(path.clone(), Node::Directory);
                }
                Node::File(inode) => {
                    let lucky = lose_content(path, inode, kept);
                    if lucky {
                        survivors.insert(path.clone(), node.clone());
                    }
                }
            }
        }
        for node in survivors.values() {
            if let Node::File(inode) = node {
                let mut content = lock(inode);
                content.seen = content.flushed.clone();
            }
        }
        names.flushed.clone_from(&survivors);
        names.seen = survivors;
        names.renamed.clear();
    }

    /// Turns one bit of a file, as a failing medium does.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn flip_bit(&self, path: &Path, position: usize, bit: u8) -> Result<(), StorageError> {
        let inode = self.inode(path)?;
        let mut images = lock(&inode);
        let Images { seen, flushed } = &mut *images;
        for content in [seen, flushed] {
            if let [byte] = *content.piece_at(position, 1) {
                content.write(&[IoSlice::new(&[byte ^ (1 << (bit & 7))])], position);
            }
        }
        Ok(())
    }

    fn inode(&self, path: &Path) -> Result<Inode, StorageError> {
        match lock(&self.names).seen.get(path) {
            Some(Node::File(inode)) => Ok(Arc::clone(inode)),
            _ => Err(not_found(path)),
        }
    }

    fn handle(&self, inode: &Inode, path: &Path) -> Arc<MemoryFile> {
        Arc::new(MemoryFile {
            images: Arc::clone(inode),
            volatile: self.volatile,
            path: path.to_owned(),
        })
    }
}

/// Lets a file fall back to its flushed bytes plus a lucky part of the tail appended since; tells
/// whether anything at all of it is on the disk beyond what was flushed.
fn lose_content(path: &Path, inode: &Inode, kept: &mut dyn FnMut(&Path, usize) -> usize) -> bool {
    let mut images = lock(inode);
    let Images { seen, flushed } = &mut *images;
    let common = flushed.length().min(seen.length());
    let appended = seen.length() - common;
    if appended == 0 {
        return false;
    }
    let lucky = kept(path, appended).min(appended);
    flushed.resize(common);
    flushed.take_from(seen, common, lucky);
    lucky > 0
}

impl Disk for MemoryDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        let mut names = lock(&self.names);
        for ancestor in path.ancestors() {
            if let Some(Node::File(_)) = names.seen.get(ancestor) {
                return Err(refused(
                    "make directory",
                    path,
                    io::ErrorKind::AlreadyExists,
                ));
            }
            names.seen.insert(ancestor.to_owned(), Node::Directory);
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, StorageError> {
        let names = lock(&self.names);
        if !matches!(names.seen.get(path), Some(Node::Directory)) {
            return Err(not_found(path));
        }
        let mut entries = Vec::new();
        for (child, node) in names.below(path) {
            if child.parent() != Some(path) {
                continue;
            }
            let Some(name) = child.file_name().and_then(|name| name.to_str()) else {
                continue;
            };
            entries.push(DirectoryEntry {
                name: name.to_owned(),
                is_directory: matches!(node, Node::Directory),
                is_file: matches!(node, Node::File(_)),
                length: match node {
                    Node::Directory => 0,
                    Node::File(inode) => lock(inode).seen.length() as u64,
                },
                modified: None,
            });
        }
        Ok(entries)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>, StorageError> {
        let mut names = lock(&self.names);
        let existing = match names.seen.get(path) {
            Some(Node::Directory) => {
                return Err(refused("open", path, io::ErrorKind::IsADirectory));
            }
            Some(Node::File(inode)) => Some(Arc::clone(inode)),
            None => None,
        };
        let inode = match (existing, mode) {
            (Some(inode), OpenMode::Truncate) => {
                lock(&inode).seen.resize(0);
                inode
            }
            (Some(inode), _) => inode,
            (None, OpenMode::Read | OpenMode::Write) => return Err(not_found(path)),
            (None, OpenMode::Create | OpenMode::Truncate) => {
                let parent = path.parent().unwrap_or(Path::new(""));
                if parent != Path::new("")
                    && !matches!(names.seen.get(parent), Some(Node::Directory))
                {
                    return Err(not_found(path));
                }
                let inode = Inode::default();
                names
                    .seen
                    .insert(path.to_owned(), Node::File(Arc::clone(&inode)));
                inode
            }
        };
        Ok(self.handle(&inode, path))
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        Ok(lock(&self.names).seen.contains_key(path))
    }

    fn look(&self, path: &Path) -> Result<Option<DirectoryEntry>, StorageError> {
        let names = lock(&self.names);
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(node), Some(name)) = (names.seen.get(path), name) else {
            return Ok(None);
        };
        Ok(Some(DirectoryEntry {
            name: name.to_owned(),
            is_directory: matches!(node, Node::Directory),
            is_file: matches!(node, Node::File(_)),
            length: match node {
                Node::Directory => 0,
                Node::File(inode) => lock(inode).seen.length() as u64,
            },
            modified: None,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        let mut names = lock(&self.names);
        let itself = names.seen.contains_key(from).then(|| from.to_owned());
        if matches!(names.seen.get(from), Some(Node::Directory)) {
            names.renamed.push((from.to_owned(), to.to_owned()));
        }
        let below = names.below(from).map(|(name, _)| name.clone());
        let moved: Vec<PathBuf> = itself.into_iter().chain(below).collect();
        if moved.is_empty() {
            return Err(not_found(from));
        }
        for old in moved {
            let Ok(rest) = old.strip_prefix(from) else {
                continue;
            };
            let new = if rest.as_os_str().is_empty() {
                to.to_owned()
            } else {
                to.join(rest)
            };
            if let Some(node) = names.seen.remove(&old) {
                names.seen.insert(new, node);
            }
        }
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> Result<(), StorageError> {
        let mut names = lock(&self.names);
        match names.seen.get(path) {
            Some(Node::File(_)) => {
                names.seen.remove(path);
                Ok(())
            }
            _ => Err(not_found(path)),
        }
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        let mut names = lock(&self.names);
        let below: Vec<PathBuf> = names.below(path).map(|(name, _)| name.clone()).collect();
        let itself = names.seen.remove(path);
        for name in &below {
            names.seen.remove(name);
        }
        if itself.is_none() && below.is_empty() {
            return Err(not_found(path));
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> Result<(), StorageError> {
        let mut names = lock(&self.names);
        if !matches!(names.seen.get(path), Some(Node::Directory)) {
            return Err(not_found(path));
        }
        if self.volatile {
            return Ok(());
        }
        let inside = |name: &Path| name.parent() == Some(path);
        let renamed = names.renamed.extract_if(.., |(_, to)| inside(to));
        let renamed: Vec<(PathBuf, PathBuf)> = renamed.collect();
        for (from, to) in renamed {
            let below = names.flushed.keys().filter(|name| name.starts_with(&from));
            let below: Vec<PathBuf> = below.cloned().collect();
            for name in below {
                if let Some(node) = names.flushed.remove(&name)
                    && let Ok(rest) = name.strip_prefix(&from)
                {
                    names.flushed.insert(to.join(rest), node);
                }
            }
        }
        names.flushed.retain(|name, _| !inside(name));
        let current: Vec<(PathBuf, Node)> = names
            .seen
            .iter()
            .filter(|(name, _)| inside(name))
            .map(|(name, node)| (name.clone(), node.clone()))
            .collect();
        names.flushed.extend(current);
        Ok(())
    }

    fn can_sync_all(&self) -> bool {
        true
    }

    fn sync_all(&self, _: &dyn DiskFile) -> Result<(), StorageError> {
        let mut names = lock(&self.names);
        for node in names.seen.values() {
            if let Node::File(inode) = node {
                let mut content = lock(inode);
                content.flushed = content.seen.clone();
            }
        }
        names.flushed = names.seen.clone();
        Ok(())
    }

    fn space(&self, _path: &Path) -> Result<Space, StorageError> {
        Ok(Space {
            free: u64::MAX / 2,
            total: u64::MAX / 2,
        })
    }

    fn waits(&self) -> bool {
        !self.volatile
    }

    fn lock(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError> {
        self.open(path, OpenMode::Create)?;
        let inode = self.inode(path)?;
        let mut names = lock(&self.names);
        if names
            .locks
            .get(path)
            .is_some_and(|held| held.strong_count() > 0)
        {
            return Ok(None);
        }
        let handle = self.handle(&inode, path);
        names.locks.insert(path.to_owned(), Arc::downgrade(&handle));
        Ok(Some(handle))
    }
}

/// An open file in memory; its content outlives its name, as with a real one.
#[derive(Debug)]
struct MemoryFile {
    images: Inode,
    volatile: bool,
    path: PathBuf,
}

/// Positions are bounded by memory; one that is not cannot be meant.
fn position_in_memory(path: &Path, position: u64) -> Result<usize, StorageError> {
    usize::try_from(position)
        .ok()
        .filter(|position| *position <= isize::MAX as usize / 2)
        .ok_or_else(|| refused("reach a position of", path, io::ErrorKind::InvalidInput))
}

impl DiskFile for MemoryFile {
    fn length(&self) -> Result<u64, StorageError> {
        Ok(lock(&self.images).seen.length() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        let start = position_in_memory(&self.path, position)?;
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let piece = lock(&self.images).seen.piece_at(start + read, rest.len());
            if piece.is_empty() {
                break;
            }
            rest[..piece.len()].copy_from_slice(&piece);
            read += piece.len();
        }
        Ok(read)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
        let start = position_in_memory(&self.path, position)?;
        lock(&self.images).seen.write(slices, start);
        Ok(())
    }

    fn truncate(&self, length: u64) -> Result<(), StorageError> {
        let length = position_in_memory(&self.path, length)?;
        lock(&self.images).seen.resize(length);
        Ok(())
    }

    fn share_at(&self, position: u64, length: usize) -> Option<Bytes> {
        let start = usize::try_from(position).ok()?;
        let piece = lock(&self.images).seen.piece_at(start, length);
        (piece.len() == length).then_some(piece)
    }

    fn allocate(&self, _position: u64, _length: u64) -> Result<(), StorageError> {
        Ok(())
    }

    fn sync_data(&self) -> Result<(), StorageError> {
        if !self.volatile {
            let mut images = lock(&self.images);
            images.flushed = images.seen.clone();
        }
        Ok(())
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
