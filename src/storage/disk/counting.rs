//! A disk that counts the calls made of it, in front of any other: how a test tells that work does
//! not grow with what is on the disk.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::{DirectoryEntry, Disk, DiskFile, OpenMode, Space};
use crate::storage::StorageError;

type Counts = BTreeMap<&'static str, u64>;

/// See the module. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct CountingDisk {
    inner: Arc<dyn Disk>,
    counts: Arc<Mutex<Counts>>,
}

impl CountingDisk {
    /// Counts what is asked of `inner`.
    pub(crate) fn new(inner: Arc<dyn Disk>) -> CountingDisk {
        CountingDisk {
            inner,
            counts: Arc::default(),
        }
    }

    /// The calls by kind since this was asked last.
    pub(crate) fn take(&self) -> Counts {
        std::mem::take(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn count(&self, call: &'static str) {
        count(&self.counts, call);
    }
}

fn count(counts: &Mutex<Counts>, call: &'static str) {
    let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.entry(call).or_default() += 1;
}

impl Disk for CountingDisk {
    fn create_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.count("make directory");
        self.inner.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<DirectoryEntry>, StorageError> {
        self.count("list");
        self.inner.list(path)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn DiskFile>, StorageError> {
        self.count("open");
        let file = self.inner.open(path, mode)?;
        let counts = Arc::clone(&self.counts);
        Ok(Arc::new(CountingFile { file, counts }))
    }

    fn exists(&self, path: &Path) -> Result<bool, StorageError> {
        self.count("look");
        self.inner.exists(path)
    }

    fn look(&self, path: &Path) -> Result<Option<DirectoryEntry>, StorageError> {
        self.count("look");
        self.inner.look(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<(), StorageError> {
        self.count("rename");
        self.inner.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> Result<(), StorageError> {
        self.count("remove");
        self.inner.remove_file(path)
    }

    fn remove_dir_all(&self, path: &Path) -> Result<(), StorageError> {
        self.count("remove");
        self.inner.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<(), StorageError> {
        self.count("sync");
        self.inner.sync_dir(path)
    }

    fn space(&self, path: &Path) -> Result<Space, StorageError> {
        self.inner.space(path)
    }

    fn lock(&self, path: &Path) -> Result<Option<Arc<dyn DiskFile>>, StorageError> {
        self.inner.lock(path)
    }
}

#[derive(Debug)]
struct CountingFile {
    file: Arc<dyn DiskFile>,
    counts: Arc<Mutex<Counts>>,
}

impl DiskFile for CountingFile {
    fn length(&self) -> Result<u64, StorageError> {
        count(&self.counts, "length");
        self.file.length()
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        count(&self.counts, "read");
        self.file.read_at(buffer, position)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
        count(&self.counts, "write");
        self.file.write_at(slices, position)
    }

    fn truncate(&self, length: u64) -> Result<(), StorageError> {
        count(&self.counts, "truncate");
        self.file.truncate(length)
    }

    fn allocate(&self, position: u64, length: u64) -> Result<(), StorageError> {
        self.file.allocate(position, length)
    }

    fn sync_data(&self) -> Result<(), StorageError> {
        count(&self.counts, "sync");
        self.file.sync_data()
    }

    fn share_at(&self, position: u64, length: usize) -> Option<Bytes> {
        self.file.share_at(position, length)
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.file.descriptor()
    }

    fn path(&self) -> &Path {
        self.file.path()
    }
}
