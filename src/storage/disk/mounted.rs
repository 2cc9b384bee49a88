//! Several devices under one door, as a machine has them, each of which can be made to hang; the
//! machine can be switched off between any two calls.
//!
//! For tests of brokers with several log directories: put a [`super::FaultyDisk`] or a
//! [`super::MemoryDisk`] under each path. Clones share their devices. Invariant: a path belongs to
//! the device with the longest matching prefix, and nothing is renamed from one to another.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::{DirectoryEntry, Disk, DiskFile, OpenMode, Space};
use crate::storage::StorageError;

/// Whether a device hangs, and who waits for it.
#[derive(Debug, Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn shut(&self) -> MutexGuard<'_, bool> {
        // A plain flag: right whoever panicked.
        self.shut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pass(&self) {
        let mut shut = self.shut();
        while *shut {
            shut = self
                .opened
                .wait(shut)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// How many calls the machine still makes; none for no limit.
#[derive(Debug, Default)]
struct Power {
    left: Mutex<Option<u64>>,
}

impl Power {
    fn left(&self) -> MutexGuard<'_, Option<u64>> {
        // A plain number: right whoever panicked.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn use_some(&self, path: &Path) -> Result<(), StorageError> {
        match &mut *self.left() {
            None => Ok(()),
            Some(0) => {
                let off = io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
                Err(StorageError::from_io("use", path, off))
            }
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

#[derive(Clone)]
struct Device {
    at: PathBuf,
    disk: Arc<dyn Disk>,
    gate: Arc<Gate>,
}

/// See the module.
#[derive(Clone)]
pub struct MountedDisk {
    devices: Vec<Device>,
    power: Arc<Power>,
}

impl fmt::Debug for MountedDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.devices.iter().map(|device| &device.at);
        f.debug_set().entries(paths).finish()
    }
}

impl MountedDisk {
    /// These devices, each at its path.
    pub fn new(devices: Vec<(&str, Arc<dyn Disk>)>) -> MountedDisk {
        let mut devices: Vec<Device> = devices
            .into_iter()
            .map(|(at, disk)| Device {
                at: PathBuf::from(at),
                disk,
                gate: Arc::default(),
            })
            .collect();
        devices.sort_by_key(|device| std::cmp::Reverse(device.at.components().count()));
        MountedDisk {
            devices,
            power: Arc::default(),
        }
    }

    /// After so many more calls nothing works any more, until told otherwise: as for a process that
    /// was killed, or a machine without power when the devices are told so as well.
    pub fn stop_after(&self, calls: Option<u64>) {
        *self.power.left() = calls;
    }

    /// Whether nothing works any more.
    pub fn is_off(&self) -> bool {
        *self.power.left() == Some(0)
    }

    /// From now on every call for the device at this path waits until [`Self::go_on`].
    pub fn hang(&self, at: &str) {
        for device in self.devices.iter().filter(|d| d.at == Path::new(at)) {
            *device.gate.shut() = true;
        }
    }

    /// The device at this path works again.
    pub fn go_on(&self, at: &str) {
        for device in self.devices.iter().filter(|d| d.at == Path::new(at)) {
            *device.gate.shut() = false;
            device.gate.opened.notify_all();
        }
    }

    fn device(&self, path: &Path) -> Result<&Device, StorageError> {
        let found = self.devices.iter().find(|d| path.starts_with(&d.at));
        found.ok_or_else(|| StorageError::NotFound {
            path: path.to_owned(),
        })
    }

    fn at<T>(
        &self,
        path: &Path,
        call: impl FnOnce(&dyn Disk) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let device = self.device(path)?;
        device.gate.pass();
        self.power.use_some(path)?;
        call(&*device.disk)
    }

    fn wrap(
        &self,
        path: &Path,
        file: Arc<dyn DiskFile>,
    ) -> Result<Arc<dyn DiskFile>, StorageError> {
        let gate = Arc::clone(&self.device(path)?.gate);
        let power = Arc::clone(&self.power);
        Ok(Arc::new(MountedFile {
            inner: file,
            gate,
            power,
        }))
    }
}

impl Disk for MountedDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.at(path, |disk| disk.create_dir_all(path))
    }

    fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, StorageError> {
        self.at(path, |disk| disk.list(path))
    }

    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>, StorageError> {
        let file = self.at(path, |disk| disk.open(path, mode))?;
        self.wrap(path, file)
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        self.at(path, |disk| disk.exists(path))
    }

    fn look(&self, path: &Path) -> Result<Option<DirectoryEntry>, StorageError> {
        self.at(path, |disk| disk.look(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        if self.device(from)?.at != self.device(to)?.at {
            let other_device = io::Error::from_raw_os_error(rustix::io::Errno::XDEV.raw_os_error());
            return Err(StorageError::from_io("rename", from, other_device));
        }
        self.at(from, |disk| disk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> Result<(), StorageError> {
        self.at(path, |disk| disk.remove_file(path))
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.at(path, |disk| disk.remove_dir_all(path))
    }

    fn sync_dir(&self, path: &Path) -> Result<(), StorageError> {
        self.at(path, |disk| disk.sync_dir(path))
    }

    fn space(&self, path: &Path) -> Result<Space, StorageError> {
        self.at(path, |disk| disk.space(path))
    }

    fn lock(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError> {
        match self.at(path, |disk| disk.lock(path))? {
            Some(file) => self.wrap(path, file).map(Some),
            None => Ok(None),
        }
    }
}

#[derive(Debug)]
struct MountedFile {
    inner: Arc<dyn DiskFile>,
    gate: Arc<Gate>,
    power: Arc<Power>,
}

impl MountedFile {
    fn pass(&self) -> Result<(), StorageError> {
        self.gate.pass();
        self.power.use_some(self.inner.path())
    }
}

impl DiskFile for MountedFile {
    fn length(&self) -> Result<u64, StorageError> {
        self.pass()?;
        self.inner.length()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        self.pass()?;
        self.inner.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
        self.pass()?;
        self.inner.write_at(slices, position)
    }

    fn truncate(&self, length: u64) -> Result<(), StorageError> {
        self.pass()?;
        self.inner.truncate(length)
    }

    fn allocate(&self, position: u64, length: u64) -> Result<(), StorageError> {
        self.pass()?;
        self.inner.allocate(position, length)
    }

    fn sync_data(&self) -> Result<(), StorageError> {
        self.pass()?;
        self.inner.sync_data()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn path(&self) -> &Path {
        self.inner.path()
    }
}
