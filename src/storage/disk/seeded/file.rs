//! An open file of the disk; its content outlives its name, as with a real one.

use std::io::{self, IoSlice};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use super::faults::{Verdict, failure};
use super::names::{Inode, lock};
use super::{SeededDisk, State, refused};
use crate::storage::StorageError;
use crate::storage::disk::{Call, DiskFile};

/// See the module.
#[derive(Debug)]
pub(super) struct SeededFile {
    disk: SeededDisk,
    /// In which it was opened: it is closed with the process.
    life: u64,
    inode: Inode,
    path: PathBuf,
}

/// Positions are bounded by memory; one that is not cannot be meant.
const LENGTH_MAX: usize = 64 << 20;

impl SeededFile {
    pub(super) fn new(disk: &SeededDisk, life: u64, inode: Inode, path: &Path) -> SeededFile {
        SeededFile {
            disk: disk.clone(),
            life,
            inode,
            path: path.to_owned(),
        }
    }

    fn position(&self, position: u64) -> Result<usize, StorageError> {
        let position = usize::try_from(position).ok();
        position
            .filter(|position| *position <= LENGTH_MAX)
            .ok_or_else(|| {
                refused(
                    "reach a position of",
                    &self.path,
                    io::ErrorKind::InvalidInput,
                )
            })
    }

    fn judge(&self, state: &mut State, call: Call) -> Verdict {
        match state.life == self.life {
            true => state.judge(call, &self.path),
            false => Verdict::Fails { happens: false },
        }
    }

    fn failed<T>(&self) -> Result<T, StorageError> {
        Err(failure(&self.path))
    }
}

impl DiskFile for SeededFile {
    fn length(&self) -> Result<u64, StorageError> {
        Ok(lock(&self.inode).seen.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
        let start = self.position(position)?;
        let mut state = lock(&self.disk.0);
        if self.judge(&mut state, Call::Read) != Verdict::Goes {
            return self.failed();
        }
        let content = lock(&self.inode);
        let rest = content.seen.get(start..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
        let start = self.position(position)?;
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let mut state = lock(&self.disk.0);
        let verdict = self.judge(&mut state, Call::Write);
        let mut content = lock(&self.inode);
        let wanted = match verdict {
            Verdict::Goes => bytes.len(),
            // Some of it was written when it failed.
            Verdict::Fails { happens: true } => state.random.index(bytes.len() + 1),
            Verdict::Fails { happens: false } => 0,
        };
        let growth = (start + wanted).saturating_sub(content.seen.len());
        let taken = state.faults.take_space(growth.min(wanted));
        let written = wanted - (growth.min(wanted) - taken);
        content.write(start, &bytes[..written]);
        match verdict {
            Verdict::Fails { .. } => self.failed(),
            Verdict::Goes if written < bytes.len() => Err(StorageError::OutOfSpace {
                path: self.path.clone(),
            }),
            Verdict::Goes => Ok(()),
        }
    }

    fn truncate(&self, length: u64) -> Result<(), StorageError> {
        let length = self.position(length)?;
        let mut state = lock(&self.disk.0);
        let verdict = self.judge(&mut state, Call::Truncate);
        if verdict != (Verdict::Fails { happens: false }) {
            let mut content = lock(&self.inode);
            let shorter = content.seen.len().saturating_sub(length);
            state.faults.give_back(shorter);
            content.resize(length);
        }
        match verdict {
            Verdict::Goes => Ok(()),
            Verdict::Fails { .. } => self.failed(),
        }
    }

    fn allocate(&self, _: u64, _: u64) -> Result<(), StorageError> {
        Ok(())
    }

    fn sync_data(&self) -> Result<(), StorageError> {
        let mut state = lock(&self.disk.0);
        let verdict = self.judge(&mut state, Call::Sync);
        let mut content = lock(&self.inode);
        match verdict {
            Verdict::Goes => {
                if !state.faults.lies_of_files {
                    content.flush();
                }
                Ok(())
            }
            Verdict::Fails { happens } => {
                if state.faults.has_ended() {
                    // The process ended in it, the device is fine.
                    if happens && !state.faults.lies_of_files {
                        content.flush();
                    }
                } else if state.life == self.life {
                    content.flush_badly(&mut state.random);
                }
                self.failed()
            }
        }
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn path(&self) -> &Path {
        &self.path
    }
}
