//! A disk for tests whose power goes at a chosen moment, and that counts flushes.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::storage::StorageError;
use crate::storage::disk::{DirectoryEntry, Disk, DiskFile, MemoryDisk, OpenMode, Space};

/// Lets a number of steps through, of which a byte written is one and a flush is one, then fails
/// everything: the moment at which the power goes.
#[derive(Debug)]
pub(crate) struct CrashingDisk {
    disk: MemoryDisk,
    power: Arc<Power>,
}

#[derive(Debug)]
struct Power {
    budget: AtomicUsize,
    flushes: AtomicUsize,
}

impl CrashingDisk {
    pub(crate) fn new(disk: MemoryDisk) -> CrashingDisk {
        CrashingDisk {
            disk,
            power: Arc::new(Power {
                budget: AtomicUsize::new(usize::MAX),
                flushes: AtomicUsize::new(0),
            }),
        }
    }

    /// From now on so many steps succeed.
    pub(crate) fn fail_after(&self, steps: usize) {
        self.power.budget.store(steps, Ordering::SeqCst);
    }

    /// How many files were flushed so far.
    pub(crate) fn flushes(&self) -> usize {
        self.power.flushes.load(Ordering::SeqCst)
    }
}

fn spend(power: &Power, steps: usize) -> usize {
    let left = power.budget.load(Ordering::SeqCst);
    let spent = left.min(steps);
    power.budget.store(left - spent, Ordering::SeqCst);
    spent
}

fn no_power(path: &Path) -> StorageError {
    StorageError::from_io("reach", path, io::Error::other("no power"))
}

impl CrashingDisk {
    fn step(&self, path: &Path) -> Result<(), StorageError> {
        match spend(&self.power, 1) {
            1 => Ok(()),
            _ => Err(no_power(path)),
        }
    }
}

impl Disk for CrashingDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.disk.create_dir_all(path)
    }
    fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, StorageError> {
        self.disk.list(path)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>, StorageError> {
        self.step(path)?;
        Ok(Arc::new(CrashingFile {
            file: self.disk.open(path, mode)?,
            power: Arc::clone(&self.power),
        }))
    }
    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        self.disk.exists(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.step(from)?;
        self.disk.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> Result<(), StorageError> {
        self.step(path)?;
        self.disk.remove_file(path)
    }
    fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.disk.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> Result<(), StorageError> {
        self.step(path)?;
        self.disk.sync_dir(path)
    }
    fn space(&self, path: &Path) -> Result<Space, StorageError> {
        self.disk.space(path)
    }
    fn lock(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError> {
        self.disk.lock(path)
    }
}

#[derive(Debug)]
struct CrashingFile {
    file: Arc<dyn DiskFile>,
    power: Arc<Power>,
}

impl DiskFile for CrashingFile {
    fn length(&self) -> Result<u64, StorageError> {
        self.file.length()
    }
    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        self.file.read_at(buffer, position)
    }
    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let written = spend(&self.power, bytes.len());
        let part = IoSlice::new(&bytes[..written]);
        self.file.write_at(&[part], position)?;
        match written == bytes.len() {
            true => Ok(()),
            false => Err(no_power(self.path())),
        }
    }
    fn truncate(&self, length: u64) -> Result<(), StorageError> {
        match spend(&self.power, 1) {
            1 => self.file.truncate(length),
            _ => Err(no_power(self.path())),
        }
    }
    fn allocate(&self, position: u64, length: u64) -> Result<(), StorageError> {
        self.file.allocate(position, length)
    }
    fn sync_data(&self) -> Result<(), StorageError> {
        match spend(&self.power, 1) {
            1 => {
                self.power.flushes.fetch_add(1, Ordering::SeqCst);
                self.file.sync_data()
            }
            _ => Err(no_power(self.path())),
        }
    }
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }
    fn path(&self) -> &Path {
        self.file.path()
    }
}
