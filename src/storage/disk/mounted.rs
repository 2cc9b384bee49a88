//! Several devices under one door, as a machine has them, each of which can be made to hang.
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
        MountedDisk { devices }
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
        call(&*device.disk)
    }

    fn wrap(
        &self,
        path: &Path,
        file: Arc<dyn DiskFile>,
    ) -> Result<Arc<dyn DiskFile>, StorageError> {
        let gate = Arc::clone(&self.device(path)?.gate);
        Ok(Arc::new(MountedFile { inner: file, gate }))
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
}

impl DiskFile for MountedFile {
    fn length(&self) -> Result<u64, StorageError> {
        self.gate.pass();
        self.inner.length()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        self.gate.pass();
        self.inner.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
        self.gate.pass();
        self.inner.write_at(slices, position)
    }

    fn truncate(&self, length: u64) -> Result<(), StorageError> {
        self.gate.pass();
        self.inner.truncate(length)
    }

    fn allocate(&self, position: u64, length: u64) -> Result<(), StorageError> {
        self.gate.pass();
        self.inner.allocate(position, length)
    }

    fn sync_data(&self) -> Result<(), StorageError> {
        self.gate.pass();
        self.inner.sync_data()
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.inner.descriptor()
    }

    fn path(&self) -> &Path {
        self.inner.path()
    }
}
