//! What can go wrong while keeping records; one variant per decision of the caller.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// An error of the storage room.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// ENOSPC or EDQUOT: nothing was changed, the same call may succeed once there is space.
    #[error("no space left for {}", .path.display())]
    OutOfSpace {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// EMFILE or ENFILE: nothing was changed, the same call may succeed once other files, or
    /// connections, are closed.
    #[error("too many open files to open {}", .path.display())]
    TooManyFiles {
        /// The file that could not be opened.
        path: PathBuf,
    },
    /// There is no such file or directory.
    #[error("{} does not exist", .path.display())]
    NotFound {
        /// What was looked for.
        path: PathBuf,
    },
    /// The device refused: nobody knows what is on it now, so whatever was being written is
    /// offline until restart and recovery.
    #[error("cannot {operation} {}: {source}", .path.display())]
    Failed {
        /// What was tried, as a verb.
        operation: &'static str,
        /// The file or directory it was tried on.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An earlier write or flush of this log failed: it takes no more writes until restart.
    #[error("{} is offline since an earlier write failed", .path.display())]
    Poisoned {
        /// The directory of the log.
        path: PathBuf,
    },
    /// A file was written in a way that came after this program, or long before it: it must be left
    /// as it is.
    #[error("{} is of version {version}, which is not known here; it is left as it is", .path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// What it says of itself.
        version: String,
    },
    /// A file says something it cannot mean.
    #[error("{} is damaged: {detail}", .path.display())]
    Corrupt {
        /// The damaged file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
}

impl StorageError {
    /// Sorts an error of the system into the caller's decisions.
    pub fn from_io(operation: &'static str, path: &Path, source: io::Error) -> StorageError {
        let path = path.to_owned();
        let exhausted = [Errno::MFILE, Errno::NFILE].map(Errno::raw_os_error);
        if source
            .raw_os_error()
            .is_some_and(|code| exhausted.contains(&code))
        {
            return StorageError::TooManyFiles { path };
        }
        match source.kind() {
            io::ErrorKind::NotFound => StorageError::NotFound { path },
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StorageError::OutOfSpace { path }
            }
            _ => StorageError::Failed {
                operation,
                path,
                source,
            },
        }
    }

    /// A file that says something it cannot mean.
    pub fn corrupt(path: &Path, detail: impl Into<String>) -> StorageError {
        StorageError::Corrupt {
            path: path.to_owned(),
            detail: detail.into(),
        }
    }

    /// Which file says what it cannot mean, or what only a later version means, and what is wrong
    /// with it; any other error comes back.
    ///
    /// # Errors
    /// When this is not about what a file says.
    pub fn wrong_file(self) -> Result<(PathBuf, String), StorageError> {
        match self {
            StorageError::Corrupt { path, detail } => Ok((path, detail)),
            StorageError::UnknownVersion { path, version } => Ok((
                path,
                format!("its version is {version}, which is not known here"),
            )),
            error => Err(error),
        }
    }

    /// Whether the file or directory was not there, which many callers take for "empty".
    pub fn is_not_found(&self) -> bool {
        matches!(self, StorageError::NotFound { .. })
    }

    /// Whether nothing was changed and trying again later is right: there was no space, or too many
    /// files were open.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            StorageError::OutOfSpace { .. } | StorageError::TooManyFiles { .. }
        )
    }

    /// Whether the device itself refused, so that nothing on it can be relied on.
    pub fn is_of_device(&self) -> bool {
        matches!(self, StorageError::Failed { .. })
    }

    /// Whether there was no space, so that trying again later is right.
    pub fn is_out_of_space(&self) -> bool {
        matches!(self, StorageError::OutOfSpace { .. })
    }
}
