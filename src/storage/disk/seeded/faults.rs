//! Which calls fail, and how.

use std::io;
use std::path::Path;

use super::super::Call;
use super::random::Random;
use crate::storage::StorageError;

/// Calls that are to fail with EIO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Their kind.
    pub(crate) call: Call,
    /// How the paths end that they are about; nothing for any.
    pub(crate) suffix: &'static str,
    /// How many succeed before.
    pub(crate) after: u64,
    /// Whether all of them fail from then on, and not only one.
    pub(crate) lasting: bool,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is done.
    Goes,
    /// It fails; it may happen all the same, or some of it.
    Fails { happens: bool },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Vec<Fault>,
    failed: u64,
    /// Calls until the process ends.
    ends_in: Option<u64>,
    ended: bool,
    pub(super) paused: bool,
    pub(super) failed_to_flush: bool,
    /// Bytes by which files may still grow.
    pub(super) space_left: Option<u64>,
    pub(super) lies_of_files: bool,
    pub(super) lies_of_directories: bool,
}

pub(super) fn failure(path: &Path) -> StorageError {
    let error = io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
    StorageError::from_io("use", path, error)
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.armed.push(fault);
    }

    pub(super) fn end_after(&mut self, calls: u64) {
        self.ends_in = Some(calls);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    pub(super) fn repair(&mut self) {
        self.armed.clear();
        self.space_left = None;
    }

    pub(super) fn begin_life(&mut self) {
        self.ended = false;
        self.ends_in = None;
    }

    pub(super) fn judge(&mut self, call: Call, path: &Path, random: &mut Random) -> Verdict {
        if self.paused {
            return Verdict::Goes;
        }
        if self.ended {
            return Verdict::Fails { happens: false };
        }
        if let Some(left) = &mut self.ends_in {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => {
                    self.ended = true;
                    let happens = random.percent(50);
                    return Verdict::Fails { happens };
                }
            }
        }
        let name = path.as_os_str().to_string_lossy();
        let hit = self.armed.iter_mut().position(|fault| {
            if fault.call != call || !name.ends_with(fault.suffix) {
                return false;
            }
            match fault.after.checked_sub(1) {
                Some(fewer) => {
                    fault.after = fewer;
                    false
                }
                None => true,
            }
        });
        let Some(at) = hit else {
            return Verdict::Goes;
        };
        if !self.armed[at].lasting {
            self.armed.remove(at);
        }
        self.failed += 1;
        self.failed_to_flush |= call == Call::Sync;
        let happens = random.percent(25);
        Verdict::Fails { happens }
    }

    /// How many of the bytes by which a file is to grow there is space for.
    pub(super) fn take_space(&mut self, growth: usize) -> usize {
        let Some(left) = &mut self.space_left else {
            return growth;
        };
        let taken = growth.min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= taken as u64;
        taken
    }

    /// What was cut off or removed can be written again.
    pub(super) fn give_back(&mut self, bytes: usize) {
        if let Some(left) = &mut self.space_left {
            *left = left.saturating_add(bytes as u64);
        }
    }
}
