//! Taking a log directory into use: locked, identified, its last stop judged, its partitions listed.
//!
//! `broker.rs` calls this once per directory, before anything else is started; it may block.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{BrokerId, ClusterId, DirectoryId, TopicPartition, Uuid};
use crate::storage::closed_logs::{ClosedLogs, read_closed_logs};
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::log_dir::{self, CleanShutdown, DirectoryRole, MetaProperties};
use crate::storage::{Checkpoints, StorageError};

/// Why a directory cannot be used. Each sentence says which, why, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryRefused {
    /// Another process has it.
    #[error(
        "the log directory {} is locked by another broker; stop that one, or give this one another `log.dirs`",
        .0.display()
    )]
    Locked(PathBuf),
    /// It belongs to another cluster.
    #[error(
        "the log directory {} belongs to cluster {found}, not {expected}; give this broker another `log.dirs`",
        .path.display()
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// Its cluster.
        found: ClusterId,
        /// The cluster of the other directories.
        expected: ClusterId,
    },
    /// It belongs to another node.
    #[error(
        "the log directory {} belongs to node {found}, but node.id is {expected}; set node.id={found}, or give this broker another `log.dirs`",
        .path.display()
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// Its node.
        found: BrokerId,
        /// `node.id`.
        expected: BrokerId,
    },
    /// Another one has the same identity: one was copied.
    #[error(
        "the log directories {} and {} have the same directory.id {id}; take the copy out of `log.dirs`, or delete its meta.properties",
        .path.display(), .other.display()
    )]
    SameDirectory {
        /// The directory.
        path: PathBuf,
        /// The other one.
        other: PathBuf,
        /// Their identity.
        id: DirectoryId,
    },
    /// It cannot be read or written.
    #[error(
        "a log directory cannot be used: {0}; point `log.dirs` at a directory this broker may make and write to"
    )]
    Storage(#[from] StorageError),
}

/// A directory taken into use.
pub struct TakenDirectory {
    /// Where it is.
    pub path: PathBuf,
    /// Its identity.
    pub id: DirectoryId,
    /// How the last broker left it: `None` after a crash, and in a directory never used.
    pub clean_shutdown: Option<CleanShutdown>,
    /// Whether it was made now.
    pub is_new: bool,
    /// What the checkpoints say.
    pub checkpoints: Checkpoints,
    /// The logs as the last broker closed them, if it stopped cleanly.
    pub closed_logs: ClosedLogs,
    /// The partitions found.
    pub partitions: Vec<TopicPartition>,
    /// What is there beside partitions and the broker's own files, with its path. It is left alone.
    pub strange: Vec<String>,
    /// Directories of deleted partitions, still to be removed.
    pub deleted: Vec<PathBuf>,
    /// Copies of partitions of other directories, that were to be moved here.
    pub copies: Vec<(TopicPartition, PathBuf)>,
    /// Held as long as the broker runs.
    pub lock: Arc<dyn DiskFile>,
}

/// Log directories as they were found.
pub struct FoundDirectories {
    /// The cluster.
    pub cluster: ClusterId,
    /// Those in use from now on.
    pub taken: Vec<TakenDirectory>,
    /// Those that cannot be used, and why: offline as long as the broker runs.
    pub unusable: Vec<(PathBuf, StorageError)>,
}

/// Takes directories into use. The first one that was used before says which cluster this is; where
/// none was, `new_cluster_id` is this cluster's. What cannot be read or written is left out, as by
/// Kafka, as long as there is another; what belongs to somebody else is refused.
pub fn take_directories(
    disk: &dyn Disk,
    paths: &[PathBuf],
    node: BrokerId,
    new_cluster_id: ClusterId,
    random: &dyn Fn() -> [u8; 16],
) -> Result<FoundDirectories, DirectoryRefused> {
    let (mut locked, mut unusable) = (Vec::new(), Vec::new());
    for path in paths {
        match lock_and_read(disk, path) {
            Ok((lock, properties)) => locked.push((path, lock, properties)),
            Err(DirectoryRefused::Storage(error)) => unusable.push((path.clone(), error)),
            Err(refused) => return Err(refused),
        }
    }
    let mut known = locked.iter().filter_map(|(_, _, known)| known.as_ref());
    let cluster = known
        .next()
        .map_or(new_cluster_id, |p| p.cluster_id.clone());
    let mut ids: BTreeMap<DirectoryId, &Path> = BTreeMap::new();
    for (path, _, properties) in &locked {
        let Some(properties) = properties else {
            continue;
        };
        judge(path, properties, &cluster, node)?;
        if let Some(id) = properties.directory_id
            && let Some(other) = ids.insert(id, path)
        {
            return Err(DirectoryRefused::SameDirectory {
                path: path.to_path_buf(),
                other: other.to_owned(),
                id,
            });
        }
    }
    let mut taken = Vec::new();
    for (path, lock, properties) in locked {
        let fresh = MetaProperties {
            cluster_id: cluster.clone(),
            node_id: node,
            directory_id: Some(Uuid::from_random(random())),
        };
        match identify_and_take(disk, path, lock, properties, fresh) {
            Ok(directory) => taken.push(directory),
            Err(error) => unusable.push((path.clone(), error)),
        }
    }
    if taken.is_empty()
        && let Some((_, error)) = unusable.pop()
    {
        return Err(error.into());
    }
    Ok(FoundDirectories {
        cluster,
        taken,
        unusable,
    })
}

/// The lock of a directory, and what it says of itself, if it was used before.
type Locked = (Arc<dyn DiskFile>, Option<MetaProperties>);

fn lock_and_read(disk: &dyn Disk, path: &Path) -> Result<Locked, DirectoryRefused> {
    disk.create_dir_all(path)?;
    let lock = log_dir::lock(disk, path)?;
    let lock = lock.ok_or_else(|| DirectoryRefused::Locked(path.to_owned()))?;
    Ok((lock, log_dir::read_meta_properties(disk, path)?))
}

fn identify_and_take(
    disk: &dyn Disk,
    path: &Path,
    lock: Arc<dyn DiskFile>,
    known: Option<MetaProperties>,
    fresh: MetaProperties,
) -> Result<TakenDirectory, StorageError> {
    let is_new = known.is_none();
    let id = match known.and_then(|known| known.directory_id) {
        Some(id) => id,
        None => {
            log_dir::write_meta_properties(disk, path, &fresh)?;
            fresh.directory_id.unwrap_or_default()
        }
    };
    take(disk, path, id, is_new, lock)
}

fn judge(
    path: &Path,
    properties: &MetaProperties,
    cluster: &ClusterId,
    node: BrokerId,
) -> Result<(), DirectoryRefused> {
    if properties.cluster_id != *cluster {
        return Err(DirectoryRefused::OtherCluster {
            path: path.to_owned(),
            found: properties.cluster_id.clone(),
            expected: cluster.clone(),
        });
    }
    if properties.node_id != node {
        return Err(DirectoryRefused::OtherNode {
            path: path.to_owned(),
            found: properties.node_id,
            expected: node,
        });
    }
    Ok(())
}

fn take(
    disk: &dyn Disk,
    path: &Path,
    id: DirectoryId,
    is_new: bool,
    lock: Arc<dyn DiskFile>,
) -> Result<TakenDirectory, StorageError> {
    let clean_shutdown = log_dir::take_clean_shutdown(disk, path)?;
    let checkpoints = Checkpoints::read(disk, path, |error| {
        log::warn!("{error}; recovery takes longer, nothing is lost");
    })?;
    let closed_logs = clean_shutdown.and_then(|clean| clean.closed_logs);
    let closed_logs = closed_logs.map(|expected| read_closed_logs(disk, path, expected));
    let (mut partitions, mut deleted, mut copies) = (Vec::new(), Vec::new(), Vec::new());
    let listing = log_dir::list(disk, path)?;
    let mut strange = listing.unknown;
    for (name, directory) in listing.partitions {
        match directory.role {
            DirectoryRole::Current => partitions.push(directory.partition),
            DirectoryRole::Deleted => deleted.push(path.join(name)),
            DirectoryRole::Future => copies.push((directory.partition, path.join(name))),
            DirectoryRole::Stray => strange.push(name),
        }
    }
    Ok(TakenDirectory {
        path: path.to_owned(),
        id,
        clean_shutdown,
        is_new,
        checkpoints,
        closed_logs: closed_logs.unwrap_or_default(),
        partitions,
        strange: strange
            .iter()
            .map(|name| path.join(name).display().to_string())
            .collect(),
        deleted,
        copies,
        lock,
    })
}
