//! A disk that fails on demand, in front of any other.
//!
//! Tests say when: after so many bytes there is no space, at the n-th call of a kind the device
//! fails. Together with [`super::MemoryDisk::lose_power`] and [`super::MemoryDisk::flip_bit`] it
//! shows every way in which a disk lets a broker down. Clones share their faults.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{DirectoryEntry, Disk, DiskFile, OpenMode, Space};
use crate::storage::StorageError;

/// What a call does to a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Writes bytes into a file.
    Write,
    /// Reads bytes of a file.
    Read,
    /// Waits for the device.
    Sync,
    /// Cuts a file.
    Truncate,
    /// Opens, makes, renames, lists or removes by name.
    Name,
}

#[derive(Debug, Default)]
struct Faults {
    /// Bytes that may still be written.
    space_left: Option<u64>,
    /// Kind of the calls that are counted, and how many more of them succeed.
    failing: Option<(Call, u64)>,
    broken: bool,
}

/// A disk in front of another that fails when told to.
#[derive(Clone)]
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    faults: Arc<Mutex<Faults>>,
}

impl fmt::Debug for FaultyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyDisk")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

fn lock(faults: &Mutex<Faults>) -> MutexGuard<'_, Faults> {
    // The faults are plain numbers: right whoever panicked.
    faults.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Faults {
    /// Whether a call may go on.
    fn admit(&mut self, call: Call, path: &Path) -> Result<(), StorageError> {
        if let Some((kind, left)) = &mut self.failing
            && *kind == call
        {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => self.broken = true,
            }
            if self.broken {
                let error = io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
                return Err(StorageError::from_io("use", path, error));
            }
        }
        Ok(())
    }

    /// How many of some bytes there is space for.
    fn take_space(&mut self, wanted: usize) -> usize {
        let Some(left) = &mut self.space_left else {
            return wanted;
        };
        let taken = wanted.min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= taken as u64;
        taken
    }
}

impl Faults {
    /// What was cut off can be written again.
    fn give_back_space(&mut self, bytes: u64) {
        if let Some(left) = &mut self.space_left {
            *left = left.saturating_add(bytes);
        }
    }
}

impl FaultyDisk {
    /// A disk that works until told otherwise.
    pub fn new(inner: Arc<dyn Disk>) -> FaultyDisk {
        FaultyDisk {
            inner,
            faults: Arc::default(),
        }
    }

    /// From now on `bytes` more can be written, then there is no space; none for no limit.
    pub fn limit_space(&self, bytes: Option<u64>) {
        lock(&self.faults).space_left = bytes;
    }

    /// From now on `calls` more of this kind succeed, then all of them fail.
    pub fn fail_after(&self, call: Call, calls: u64) {
        let mut faults = lock(&self.faults);
        faults.failing = Some((call, calls));
        faults.broken = false;
    }

    /// No call fails any more.
    pub fn repair(&self) {
        *lock(&self.faults) = Faults::default();
    }

    fn named<T>(
        &self,
        path: &Path,
        call: impl FnOnce(&dyn Disk) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        lock(&self.faults).admit(Call::Name, path)?;
        call(&*self.inner)
    }

    fn wrap(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile {
            inner: file,
            faults: Arc::clone(&self.faults),
        })
    }
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.named(path, |disk| disk.create_dir_all(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, StorageError> {
        self.named(path, |disk| disk.list(path))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>, StorageError> {
        self.named(path, |disk| disk.open(path, mode))
            .map(|file| self.wrap(file))
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        self.named(path, |disk| disk.exists(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.named(from, |disk| disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<(), StorageError> {
        self.named(path, |disk| disk.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.named(path, |disk| disk.remove_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), StorageError> {
        lock(&self.faults).admit(Call::Sync, path)?;
        self.inner.sync_dir(path)
    }

    fn can_sync_all(&self) -> bool {
        self.inner.can_sync_all()
    }

    fn sync_all(&self, open: &dyn DiskFile) -> Result<(), StorageError> {
        lock(&self.faults).admit(Call::Sync, open.path())?;
        self.inner.sync_all(open)
    }

    fn space(&self, path: &Path) -> Result<Space, StorageError> {
        let space = self.inner.space(path)?;
        Ok(match lock(&self.faults).space_left {
            Some(free) => Space { free, ..space },
            None => space,
        })
    }

    fn lock(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError> {
        self.named(path, |disk| disk.lock(path))
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    faults: Arc<Mutex<Faults>>,
}

impl FaultyFile {
    fn admit(&self, call: Call) -> Result<(), StorageError> {
        lock(&self.faults).admit(call, self.inner.path())
    }
}

impl DiskFile for FaultyFile {
    fn length(&self) -> Result<u64, StorageError> {
        self.inner.length()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        self.admit(Call::Read)?;
        self.inner.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
        self.admit(Call::Write)?;
        let wanted: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let taken = lock(&self.faults).take_space(wanted.len());
        self.inner
            .write_at(&[IoSlice::new(&wanted[..taken])], position)?;
        match taken < wanted.len() {
            true => Err(StorageError::OutOfSpace {
                path: self.inner.path().to_owned(),
            }),
            false => Ok(()),
        }
    }

    fn truncate(&self, length: u64) -> Result<(), StorageError> {
        self.admit(Call::Truncate)?;
        let before = self.inner.length()?;
        self.inner.truncate(length)?;
        lock(&self.faults).give_back_space(before.saturating_sub(length));
        Ok(())
    }

    fn allocate(&self, position: u64, length: u64) -> Result<(), StorageError> {
        self.inner.allocate(position, length)
    }

    fn sync_data(&self) -> Result<(), StorageError> {
        self.admit(Call::Sync)?;
        self.inner.sync_data()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn path(&self) -> &Path {
        self.inner.path()
    }
}
