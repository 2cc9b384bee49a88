//! The operating system's files.
//!
//! Buffered and positioned: pwritev(2) and pread(2), fallocate(2) that keeps the length,
//! fdatasync(2). No memory maps: a bad sector is an error, not a signal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    Advice, FallocateFlags, FlockOperation, fadvise, fallocate, fcntl_lock, fdatasync, flock,
    statvfs, syncfs,
};
use rustix::io::{Errno, ReadWriteFlags, preadv2, pwritev};

use super::{DirectoryEntry, Disk, DiskFile, OpenMode, Space};
use crate::model::Timestamp;
use crate::storage::StorageError;

/// Between two bytes looked at to tell whether a range is in memory.
const CACHE_PROBE_STEP: usize = 128 << 10;

/// The file system of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

fn sorted<T>(
    operation: &'static str,
    path: &Path,
    result: io::Result<T>,
) -> Result<T, StorageError> {
    result.map_err(|error| StorageError::from_io(operation, path, error))
}

fn open(path: &Path, mode: OpenMode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    match mode {
        OpenMode::Read => {}
        OpenMode::Write => {
            options.write(true);
        }
        OpenMode::Create => {
            options.write(true).create(true).truncate(false);
        }
        OpenMode::Truncate => {
            options.write(true).create(true).truncate(true);
        }
    }
    options.open(path)
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp(i64::try_from(since.as_millis()).ok()?))
}

fn described(name: String, metadata: &fs::Metadata) -> DirectoryEntry {
    let is_file = metadata.is_file();
    DirectoryEntry {
        name,
        is_directory: metadata.is_dir(),
        is_file,
        length: if is_file { metadata.len() } else { 0 },
        modified: metadata.modified().ok().and_then(timestamp),
    }
}

impl SystemDisk {
    fn entry(entry: &fs::DirEntry) -> io::Result<Option<DirectoryEntry>> {
        let name = match entry.file_name().into_string() {
            Ok(name) => name,
            Err(name) => {
                return Ok(Some(DirectoryEntry {
                    name: name.to_string_lossy().into_owned(),
                    is_directory: false,
                    is_file: false,
                    length: 0,
                    modified: None,
                }));
            }
        };
        match entry.metadata() {
            Ok(metadata) => Ok(Some(described(name, &metadata))),
            // Removed between the listing and the question: a deletion that was under way.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Disk for SystemDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        sorted("make directory", path, fs::create_dir_all(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, StorageError> {
        let mut entries = Vec::new();
        for entry in sorted("list", path, fs::read_dir(path))? {
            let entry = sorted("list", path, entry)?;
            entries.extend(sorted("list", path, Self::entry(&entry))?);
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>, StorageError> {
        let file = sorted("open", path, open(path, mode))?;
        Ok(Arc::new(SystemFile {
            file,
            path: path.to_owned(),
        }))
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        sorted("look at", path, path.try_exists())
    }

    fn look(&self, path: &Path) -> Result<Option<DirectoryEntry>, StorageError> {
        let name = path.file_name().and_then(|name| name.to_str());
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(name.map(|name| described(name.to_owned(), &metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => sorted("look at", path, Err(error)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        sorted("rename", from, fs::rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<(), StorageError> {
        sorted("remove", path, fs::remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        sorted("remove", path, fs::remove_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), StorageError> {
        let directory = sorted("open", path, File::open(path))?;
        sorted("flush", path, directory.sync_all())
    }

    /// Since Linux 5.8 syncfs(2) tells of what could not be written.
    fn can_sync_all(&self) -> bool {
        let uname = rustix::system::uname();
        let release = uname.release().to_string_lossy();
        let mut numbers = release.split('.').map(str::parse::<u32>);
        matches!(
            (numbers.next(), numbers.next()),
            (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= (5, 8)
        )
    }

    fn sync_all(&self, open: &dyn DiskFile) -> Result<(), StorageError> {
        let flushed = match open.descriptor() {
            Some(descriptor) => syncfs(descriptor),
            None => Err(Errno::BADF),
        };
        sorted("flush all of", open.path(), flushed.map_err(Into::into))
    }

    fn space(&self, path: &Path) -> Result<Space, StorageError> {
        let answer = sorted("ask the space of", path, statvfs(path).map_err(Into::into))?;
        Ok(Space {
            free: answer.f_bavail.saturating_mul(answer.f_frsize),
            total: answer.f_blocks.saturating_mul(answer.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError> {
        let file = sorted("open", path, open(path, OpenMode::Create))?;
        // Brokers of ours exclude each other with the first, also within one process; Apache Kafka
        // takes the second.
        let lock = FlockOperation::NonBlockingLockExclusive;
        match flock(&file, lock).and_then(|()| fcntl_lock(&file, lock)) {
            Ok(()) => Ok(Some(Arc::new(SystemFile {
                file,
                path: path.to_owned(),
            }))),
            Err(Errno::WOULDBLOCK | Errno::ACCESS) => Ok(None),
            Err(error) => Err(StorageError::from_io("lock", path, error.into())),
        }
    }
}

/// A file of the operating system; closed with its last handle.
#[derive(Debug)]
struct SystemFile {
    file: File,
    path: PathBuf,
}

/// Bytes that are looked at to tell whether a range is in memory.
fn probes(position: u64, length: usize) -> impl Iterator<Item = u64> {
    let end = position.saturating_add(length as u64);
    (position..end)
        .step_by(CACHE_PROBE_STEP)
        .chain([end.saturating_sub(1)])
}

impl SystemFile {
    fn sorted<T>(&self, operation: &'static str, result: io::Result<T>) -> Result<T, StorageError> {
        sorted(operation, &self.path, result)
    }

    /// Whether a byte is in memory. A file system that cannot say is taken to have it.
    fn has_cached(&self, position: u64) -> bool {
        let mut byte = [0u8];
        let buffers = &mut [IoSliceMut::new(&mut byte)];
        !matches!(
            preadv2(&self.file, buffers, position, ReadWriteFlags::NOWAIT),
            Err(Errno::AGAIN)
        )
    }

    /// What a first vectored write left over: rare, so it may cost a call per slice.
    fn write_rest(
        &self,
        slices: &[IoSlice<'_>],
        mut written: usize,
        mut position: u64,
    ) -> io::Result<()> {
        for slice in slices {
            let skipped = written.min(slice.len());
            written -= skipped;
            position += skipped as u64;
            let rest = &slice[skipped..];
            self.file.write_all_at(rest, position)?;
            position += rest.len() as u64;
        }
        Ok(())
    }
}

impl DiskFile for SystemFile {
    fn length(&self) -> Result<u64, StorageError> {
        self.sorted("measure", self.file.metadata())
            .map(|metadata| metadata.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let result = self
                .file
                .read_at(&mut buffer[filled..], position + filled as u64);
            match result {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.sorted("read", Err(error)),
            }
        }
        Ok(filled)
    }

    /// Looks at one byte in every 128 KiB: reads ahead bring in runs of that.
    fn is_cached(&self, position: u64, length: usize) -> bool {
        probes(position, length).all(|at| self.has_cached(at))
    }

    fn read_aside(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        // Only hints: where they do nothing, the page cache holds some more for a while.
        let _ = fadvise(&self.file, 0, None, Advice::Random);
        let in_use = probes(position, buffer.len()).any(|at| self.has_cached(at));
        let read = self.read_at(buffer, position)?;
        if !in_use {
            let length = NonZeroU64::new(read as u64);
            let _ = length.map(|_| fadvise(&self.file, position, length, Advice::DontNeed));
        }
        Ok(read)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = loop {
            match pwritev(&self.file, slices, position) {
                Ok(written) => break written,
                Err(Errno::INTR) => {}
                Err(error) => return self.sorted("write", Err(error.into())),
            }
        };
        if written == total {
            return Ok(());
        }
        self.sorted("write", self.write_rest(slices, written, position))
    }

    fn truncate(&self, length: u64) -> Result<(), StorageError> {
        self.sorted("cut", self.file.set_len(length))
    }

    fn allocate(&self, position: u64, length: u64) -> Result<(), StorageError> {
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, position, length) {
            Err(Errno::IO) => self.sorted("allocate", Err(Errno::IO.into())),
            // Not supported, or not that much space: the write itself will say so when it matters.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn sync_data(&self) -> Result<(), StorageError> {
        self.sorted("flush", fdatasync(&self.file).map_err(Into::into))
    }

    fn set_modified(&self, modified: Timestamp) -> Result<(), StorageError> {
        let Some(time) = u64::try_from(modified.0)
            .ok()
            .and_then(|ms| UNIX_EPOCH.checked_add(Duration::from_millis(ms)))
        else {
            return Ok(());
        };
        self.sorted("set the time of", self.file.set_modified(time))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_written_in_slices_are_read_back_and_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let file = SystemDisk.open(&path, OpenMode::Create).unwrap();
        file.allocate(0, 1 << 20).unwrap();
        file.write_at(&[IoSlice::new(b"head"), IoSlice::new(b"body")], 2)
            .unwrap();
        assert_eq!(file.length().unwrap(), 10);
        let mut buffer = [0; 16];
        assert_eq!(file.read_at(&mut buffer, 2).unwrap(), 8);
        assert_eq!(&buffer[..8], b"headbody");
        assert!(file.read_exact_at(&mut buffer, 0).is_err());
        file.truncate(6).unwrap();
        assert_eq!(SystemDisk.list(directory.path()).unwrap()[0].length, 6);
    }

    #[test]
    fn a_small_file_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("checkpoint");
        SystemDisk.write_file_atomically(&path, b"old").unwrap();
        SystemDisk.write_file_atomically(&path, b"new one").unwrap();
        assert_eq!(SystemDisk.read_file(&path, 100).unwrap(), b"new one");
        assert!(SystemDisk.read_file(&path, 3).is_err());
        assert_eq!(SystemDisk.list(directory.path()).unwrap().len(), 1);
    }

    #[test]
    fn a_missing_file_is_told_apart_from_a_failing_one() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing");
        let error = SystemDisk.open(&missing, OpenMode::Read).unwrap_err();
        assert!(error.is_not_found());
        assert!(!SystemDisk.exists(&missing).unwrap());
    }

    #[test]
    fn a_lock_is_held_by_one_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(".lock");
        let held = SystemDisk.lock(&path).unwrap();
        assert!(held.is_some());
        assert!(SystemDisk.lock(&path).unwrap().is_none());
        drop(held);
        assert!(SystemDisk.lock(&path).unwrap().is_some());
    }
}
