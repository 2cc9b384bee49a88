//! The only door to files: everything in this room reads and writes through [`Disk`].
//!
//! [`SystemDisk`] is the operating system, [`MemoryDisk`] its twin in memory,
//! [`FaultyDisk`] makes any of them fail. Every error names the file it is about and is already
//! sorted into the decisions of a caller ([`StorageError`]).

#[cfg(test)]
pub(crate) mod counting;
mod faulty;
mod memory;
mod mounted;
#[cfg(test)]
pub(crate) mod seeded;
mod system;

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use faulty::{Call, FaultyDisk};
pub use memory::MemoryDisk;
pub use mounted::MountedDisk;
pub use system::SystemDisk;

use super::StorageError;
use crate::model::Timestamp;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must exist.
    Read,
    /// For reading and writing; it must exist.
    Write,
    /// For reading and writing; made when it is not there, kept as it is when it is.
    Create,
    /// For reading and writing, emptied; made when it is not there.
    Truncate,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The last part of its path. A name that is not UTF-8 comes as something that is neither a file
    /// nor a directory, with its wrong bytes replaced: none of ours is.
    pub name: String,
    /// Whether it is a directory itself. A symbolic link to one is not.
    pub is_directory: bool,
    /// Whether it is a file. Symbolic links, pipes, sockets and devices are not.
    pub is_file: bool,
    /// Its length in bytes; zero for what is no file.
    pub length: u64,
    /// When it was last written; none on a disk that keeps no such time.
    pub modified: Option<Timestamp>,
}

/// Directory operations of a file system.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Makes a directory and those above it; content with what is there already.
    fn create_dir_all(&self, path: &Path) -> Result<(), StorageError>;

    /// Lists a directory, sorted by name.
    fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, StorageError>;

    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>, StorageError>;

    /// Whether there is a file or directory of that name.
    fn exists(&self, path: &Path) -> Result<bool, StorageError>;

    /// What is under a name; none when nothing is.
    fn look(&self, path: &Path) -> Result<Option<DirectoryEntry>, StorageError> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(None);
        };
        match self.list(parent) {
            Ok(entries) => Ok(entries
                .into_iter()
                .find(|entry| name.to_str() == Some(&entry.name))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Renames a file or directory, replacing a file that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError>;

    /// Removes a file.
    fn remove_file(&self, path: &Path) -> Result<(), StorageError>;

    /// Removes a directory and all that is in it.
    fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError>;

    /// Makes the names in a directory last over a loss of power.
    fn sync_dir(&self, path: &Path) -> Result<(), StorageError>;

    /// Whether [`Self::sync_all`] works here.
    fn can_sync_all(&self) -> bool {
        false
    }

    /// Makes everything written so far last over a loss of power, names included, on the whole file
    /// system of a file that was open all the time: what failed to be written meanwhile is told.
    fn sync_all(&self, open: &dyn DiskFile) -> Result<(), StorageError> {
        let refused = io::ErrorKind::Unsupported.into();
        Err(StorageError::from_io("flush all of", open.path(), refused))
    }

    /// Whether its operations may wait for a device. Those of a disk that never waits need no thread
    /// of their own.
    fn waits(&self) -> bool {
        true
    }

    /// Bytes that an ordinary user may still write, and bytes of the whole file system.
    fn space(&self, path: &Path) -> Result<Space, StorageError>;

    /// Takes the exclusive lock of a file, making it when needed. It is held as long as the
    /// returned handle lives; `None` when another process holds it.
    fn lock(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError>;

    /// Reads a small file whole. Refuses one longer than `length_max` bytes as damaged.
    fn read_file(&self, path: &Path, length_max: usize) -> Result<Vec<u8>, StorageError> {
        let file = self.open(path, OpenMode::Read)?;
        let length = usize::try_from(file.length()?).unwrap_or(usize::MAX);
        if length > length_max {
            return Err(StorageError::corrupt(
                path,
                format!("{length} bytes where at most {length_max} make sense"),
            ));
        }
        let mut bytes = vec![0; length];
        let read = file.read_at(&mut bytes, 0)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Replaces a small file so that after a crash it holds the old bytes or the new ones, never
    /// a mixture: written beside it, flushed, renamed, and the directory flushed.
    fn write_file_atomically(&self, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        let beside = Path::new(&beside);
        let file = self.open(beside, OpenMode::Truncate)?;
        file.write_at(&[IoSlice::new(bytes)], 0)?;
        file.sync_data()?;
        drop(file);
        self.rename(beside, path)?;
        match path.parent() {
            Some(parent) => self.sync_dir(parent),
            None => Ok(()),
        }
    }
}

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that an ordinary user may still write.
    pub free: u64,
    /// Bytes of the whole file system.
    pub total: u64,
}

/// An open file. All operations say where they work: there is no cursor, so any number of readers
/// may share one handle with the one writer.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Length in bytes.
    fn length(&self) -> Result<u64, StorageError>;

    /// Reads from `position` until the buffer is full or the file ends; returns the bytes read.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError>;

    /// Reads like [`Self::read_at`], but leaves nothing in the page cache that was not there before,
    /// and reads nothing ahead: for a pass over data that nobody is going to ask for. The handle is
    /// the caller's own, for it remembers that.
    fn read_aside(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        self.read_at(buffer, position)
    }

    /// Writes all slices one after the other from `position`. After an error any part of them may
    /// have been written.
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError>;

    /// Cuts the file to `length` bytes, or lengthens it with zeroes; gives back blocks that were
    /// allocated beyond it.
    fn truncate(&self, length: u64) -> Result<(), StorageError>;

    /// Reserves blocks for a range without changing the length. Only a hint: what the file system
    /// cannot reserve is not an error.
    fn allocate(&self, position: u64, length: u64) -> Result<(), StorageError>;

    /// Returns when everything written so far would survive a loss of power.
    fn sync_data(&self) -> Result<(), StorageError>;

    /// Sets when the file was last written, for a file that takes the place of an older one. Only
    /// where the file system keeps such times.
    fn set_modified(&self, _modified: Timestamp) -> Result<(), StorageError> {
        Ok(())
    }

    /// Whether reading the range would find it in memory, as far as can be told without reading it.
    /// A file that cannot tell says yes.
    fn is_cached(&self, _position: u64, _length: usize) -> bool {
        true
    }

    /// The range without a copy, from a file that lives in memory and has it in one piece.
    fn share_at(&self, _position: u64, _length: usize) -> Option<Bytes> {
        None
    }

    /// The descriptor, for sendfile(2); none for a file that lives in memory.
    fn descriptor(&self) -> Option<BorrowedFd<'_>>;

    /// Fills the whole buffer from `position`; a file that ends before is damaged.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> Result<(), StorageError> {
        let read = self.read_at(buffer, position)?;
        if read == buffer.len() {
            return Ok(());
        }
        Err(StorageError::corrupt(
            self.path(),
            format!("ends after {read} of {} bytes at {position}", buffer.len()),
        ))
    }

    /// The name under which it was opened, for messages: it may have been renamed since.
    fn path(&self) -> &Path;
}
