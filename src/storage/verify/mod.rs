//! Looking at everything in a stopped broker's directory, and changing nothing.
//!
//! Called by `milena storage verify`, one partition a thread. Invariant: files are opened for reading
//! only; what is found is told as it is found, with its file and its place; nothing that is found ends
//! the look.

mod batches;
mod directory;
mod indexes;
mod partition;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::model::Offset;
use crate::storage::StorageError;

pub use directory::{Contents, Ends, check_checkpoints, list_directory};
pub use partition::{Checked, verify_partition};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only worth knowing.
    Note,
    /// Bytes that were written are not there any more, or not what they were.
    Damage,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub weight: Weight,
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, from one byte up to another.
    pub bytes: Option<(u64, u64)>,
    /// Which offsets may be in there, from one up to another.
    pub offsets: Option<(Offset, Offset)>,
    /// What is wrong.
    pub what: String,
}

impl Finding {
    fn damage(path: &Path, what: impl Into<String>) -> Finding {
        Finding {
            weight: Weight::Damage,
            path: path.to_owned(),
            bytes: None,
            offsets: None,
            what: what.into(),
        }
    }

    fn note(path: &Path, what: impl Into<String>) -> Finding {
        Finding {
            weight: Weight::Note,
            ..Finding::damage(path, what)
        }
    }

    fn at(self, from: u64, to: u64) -> Finding {
        Finding {
            bytes: Some((from, to)),
            ..self
        }
    }

    fn of_offsets(self, from: Offset, to: Offset) -> Finding {
        Finding {
            offsets: Some((from, to)),
            ..self
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = match self.weight {
            Weight::Damage => "damaged",
            Weight::Note => "note",
        };
        write!(f, "{weight}: {}", self.path.display())?;
        if let Some((from, to)) = self.bytes {
            write!(f, ", bytes {from} to {to}")?;
        }
        if let Some((from, to)) = self.offsets {
            write!(f, ", offsets {from} to {to}")?;
        }
        write!(f, ": {}", self.what)
    }
}

/// A file that says what it cannot mean is a finding, not the end of the look.
fn unless_corrupt<T>(
    read: Result<T, StorageError>,
    tell: Tell<'_>,
) -> Result<Option<T>, StorageError> {
    match read {
        Err(error) => {
            let (path, detail) = error.wrong_file()?;
            tell(Finding::damage(&path, detail));
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// Is told what is found.
pub type Tell<'a> = &'a mut dyn FnMut(Finding);
