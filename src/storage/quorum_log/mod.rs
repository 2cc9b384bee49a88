//! The log of the metadata quorum: entries, vote, snapshots, in files of our own.
//!
//! `actors::quorum` drives it from one thread; what an entry, a vote or a snapshot says is not known
//! here. Invariant: when a method that writes returns, what it wrote survives a loss of power. A
//! log that cannot keep that promise any more is poisoned and refuses everything.
//!
//! In the directory: numbered `.log` files of frames, appended to and never changed; `vote`,
//! `purged` and `<index>.snapshot`, replaced as a whole; `reserve`, space kept back.

pub mod codec;
#[cfg(test)]
#[path = "crashing_disk_tests.rs"]
pub(crate) mod crashing_disk;
mod frame;
mod recovery;
mod reserve;
mod segment;
mod state_files;
#[cfg(test)]
mod tests;
mod verify;

pub use verify::{FrameFault, verify_file};

use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use frame::Kind;
use segment::{FrameAt, Segment, Segments};

use super::StorageError;
use super::disk::{Disk, OpenMode};

/// The quorum's log, open for writing.
#[derive(Debug)]
pub struct QuorumLog {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segment_bytes: u64,
    segments: Segments,
    next_number: u64,
    purged_stamp: Option<Vec<u8>>,
    snapshot: Option<u64>,
    poisoned: bool,
    /// Whether the disk is so full that the space kept back is being used.
    is_short: Arc<AtomicBool>,
}

impl QuorumLog {
    /// Opens the log in `directory`, which is made when it is not there. A file is followed by the
    /// next once it has `segment_bytes`.
    ///
    /// # Errors
    /// [`StorageError::Corrupt`] names file and position when something that was acknowledged
    /// cannot be read: the node must not start, or it might vote against its own promises.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        segment_bytes: u64,
    ) -> Result<QuorumLog, StorageError> {
        disk.create_dir_all(&directory)?;
        if let Some(parent) = directory.parent() {
            disk.sync_dir(parent)?;
        }
        let snapshot = state_files::newest_snapshot(&*disk, &directory)?;
        let purged_path = directory.join(state_files::PURGED_FILE);
        let purged = state_files::read(&*disk, &purged_path, Kind::Purged)?;
        let (purged, purged_stamp) = purged.unzip();
        let segments = recovery::recover(&*disk, &directory, purged)?;
        let next_number = segments
            .list
            .back()
            .map_or(0, |segment| segment.number.saturating_add(1));
        let mut log = QuorumLog {
            disk,
            directory,
            segment_bytes,
            segments,
            next_number,
            purged_stamp,
            snapshot,
            poisoned: false,
            is_short: Arc::default(),
        };
        log.remove_purged_files()?;
        log.keep_space_back();
        Ok(log)
    }

    /// Takes what is missing of the space that is kept back, if the disk has it again.
    pub fn keep_space_back(&self) {
        let is_short = reserve::take(&*self.disk, &self.directory);
        self.is_short.store(is_short, Ordering::Release);
    }

    /// Shows whether the disk is full, so that only what is kept back can be written: enough for
    /// starts, and for changes that make space.
    pub fn is_short(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_short)
    }

    /// Where its files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The index of the next entry.
    pub fn next_index(&self) -> u64 {
        self.segments.next_index()
    }

    /// The oldest index that was not purged.
    pub fn first_index(&self) -> u64 {
        self.segments.first_index()
    }

    /// What the caller said of the purge, see [`Self::purge_to`].
    pub fn purged_stamp(&self) -> Option<&[u8]> {
        self.purged_stamp.as_deref()
    }

    /// Appends entries, the first of which gets `index`, with one write and one flush.
    ///
    /// # Errors
    /// After [`StorageError::OutOfSpace`] the log is as it was; after anything else it is poisoned.
    pub fn append(&mut self, index: u64, entries: &[Vec<u8>]) -> Result<(), StorageError> {
        if entries.is_empty() {
            return self.check_poisoned();
        }
        if index != self.next_index() {
            let expected = self.next_index();
            let what = format!("entry {index} was to be written where {expected} comes next");
            return Err(StorageError::corrupt(&self.directory, what));
        }
        let too_long = || StorageError::corrupt(&self.directory, "an entry is too long");
        let mut lengths = Vec::with_capacity(entries.len());
        for entry in entries {
            let length = u32::try_from(entry.len()).map_err(|_| too_long())?;
            lengths.push(length.to_be_bytes());
        }
        let parts: Vec<&[u8]> = lengths
            .iter()
            .zip(entries)
            .flat_map(|(length, entry)| [length.as_slice(), entry.as_slice()])
            .collect();
        let count = u32::try_from(entries.len()).map_err(|_| too_long())?;
        let bytes = frame::encode(Kind::Entries, index, count, &parts).ok_or_else(too_long)?;
        let position = self.with_reserve(|log| log.write_frame(&bytes))?;
        let frame = FrameAt {
            first: index,
            count: u64::from(count),
            position,
            size: bytes.len() as u64,
        };
        let directory = &self.directory;
        let added = self.segments.add(frame);
        added.map_err(|what| StorageError::corrupt(directory, what))
    }

    /// Takes back the entries from `index` on: another leader wrote others.
    pub fn truncate_from(&mut self, index: u64) -> Result<(), StorageError> {
        self.check_poisoned()?;
        if index >= self.next_index() {
            return Ok(());
        }
        let bytes = frame::encode(Kind::Truncation, index, 0, &[])
            .ok_or_else(|| StorageError::corrupt(&self.directory, "a frame is too long"))?;
        self.write_frame(&bytes)?;
        self.segments.truncate_from(index);
        Ok(())
    }

    /// Writes a frame behind all others and flushes it; returns where it lies in the last file.
    fn write_frame(&mut self, bytes: &[u8]) -> Result<u64, StorageError> {
        self.check_poisoned()?;
        let full = |segment: &Segment| segment.length >= self.segment_bytes;
        if self.segments.list.back().is_none_or(full) {
            self.start_file()?;
        }
        let Some(segment) = self.segments.list.back_mut() else {
            return Err(StorageError::corrupt(&self.directory, "it has no file"));
        };
        let position = segment.length;
        if let Err(error) = segment.file.write_at(&[IoSlice::new(bytes)], position) {
            let cut = segment.file.truncate(position);
            self.poisoned = !error.is_passing() || cut.is_err();
            return Err(error);
        }
        if let Err(error) = segment.file.sync_data() {
            // Nobody knows what of it is on the disk, and a second flush would not tell.
            self.poisoned = true;
            return Err(error);
        }
        segment.length = position + bytes.len() as u64;
        Ok(position)
    }

    /// Writes; when there is no space for it, once more with what was kept back.
    fn with_reserve<T>(
        &mut self,
        mut write: impl FnMut(&mut QuorumLog) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match write(self) {
            Err(error)
                if error.is_out_of_space() && reserve::give_back(&*self.disk, &self.directory) =>
            {
                log::warn!("{error}; using space that was kept back for the metadata log");
                let written = write(self);
                self.keep_space_back();
                written
            }
            written => written,
        }
    }

    fn start_file(&mut self) -> Result<(), StorageError> {
        let path = Segment::path(&self.directory, self.next_number);
        let file = self.disk.open(&path, OpenMode::Truncate)?;
        let synced = self.disk.sync_dir(&self.directory);
        self.poison_on_error(synced)?;
        self.segments.push(Segment::new(self.next_number, file));
        self.next_number = self.next_number.saturating_add(1);
        Ok(())
    }

    /// Reads the entries `from..to`, as far as they are there, oldest first; stops behind the one
    /// with which `bytes_max` is reached.
    pub fn read(&self, from: u64, to: u64, bytes_max: usize) -> Result<Vec<Vec<u8>>, StorageError> {
        let from = from.max(self.first_index());
        let mut entries: Vec<Vec<u8>> = Vec::new();
        let mut bytes_read = 0;
        for segment in &self.segments.list {
            let start = segment.frames.partition_point(|frame| frame.end() <= from);
            for frame in segment.frames.iter().skip(start) {
                if frame.first >= to || bytes_read >= bytes_max {
                    return Ok(entries);
                }
                let skip = usize::try_from(from.saturating_sub(frame.first)).unwrap_or(usize::MAX);
                let take = usize::try_from(frame.end().min(to) - frame.first).unwrap_or(usize::MAX);
                for entry in read_frame(segment, frame)?.drain(..).take(take).skip(skip) {
                    if bytes_read >= bytes_max {
                        break;
                    }
                    bytes_read = bytes_read.saturating_add(entry.len());
                    entries.push(entry);
                }
            }
        }
        Ok(entries)
    }

    /// Forgets the entries up to and including `index`; a snapshot has them. Files go as a whole.
    /// `stamp` is what the caller wants to know of it after a restart.
    pub fn purge_to(&mut self, index: u64, stamp: &[u8]) -> Result<(), StorageError> {
        self.check_poisoned()?;
        if index < self.first_index() {
            return Ok(());
        }
        let path = self.directory.join(state_files::PURGED_FILE);
        let written = state_files::write(&*self.disk, &path, Kind::Purged, index, stamp);
        self.poison_on_error(written)?;
        self.segments.purged = Some(index);
        self.purged_stamp = Some(stamp.to_vec());
        self.remove_purged_files()
    }

    /// Removes files oldest first, one at a time, so that after a crash none is missing between
    /// two others.
    fn remove_purged_files(&mut self) -> Result<(), StorageError> {
        while let Some(segment) = self.segments.pop_purged() {
            let path = Segment::path(&self.directory, segment.number);
            let removed = self.disk.remove_file(&path);
            let synced = removed.and_then(|()| self.disk.sync_dir(&self.directory));
            self.poison_on_error(synced)?;
        }
        Ok(())
    }

    /// Replaces the vote.
    pub fn save_vote(&mut self, vote: &[u8]) -> Result<(), StorageError> {
        self.check_poisoned()?;
        let path = self.directory.join(state_files::VOTE_FILE);
        self.with_reserve(|log| {
            let written = state_files::write(&*log.disk, &path, Kind::Vote, 0, vote);
            log.poison_on_error(written)
        })
    }

    /// Reads the vote; `None` before the first.
    pub fn read_vote(&self) -> Result<Option<Vec<u8>>, StorageError> {
        let path = self.directory.join(state_files::VOTE_FILE);
        let vote = state_files::read(&*self.disk, &path, Kind::Vote)?;
        Ok(vote.map(|(_, payload)| payload))
    }

    /// Keeps the state up to `index`; older snapshots go.
    pub fn save_snapshot(&mut self, index: u64, state: &[u8]) -> Result<(), StorageError> {
        self.check_poisoned()?;
        let path = state_files::snapshot_path(&self.directory, index);
        let written = state_files::write(&*self.disk, &path, Kind::Snapshot, index, state);
        self.poison_on_error(written)?;
        match self.snapshot.replace(index) {
            Some(older) if older != index => {
                let path = state_files::snapshot_path(&self.directory, older);
                let removed = self.disk.remove_file(&path);
                self.poison_on_error(removed)
            }
            _ => Ok(()),
        }
    }

    /// Reads the newest snapshot.
    pub fn read_snapshot(&self) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(index) = self.snapshot else {
            return Ok(None);
        };
        let path = state_files::snapshot_path(&self.directory, index);
        let snapshot = state_files::read(&*self.disk, &path, Kind::Snapshot)?;
        Ok(snapshot.map(|(_, payload)| payload))
    }

    /// An error of a write that may have happened in part poisons the log. Without space nothing
    /// was replaced.
    fn poison_on_error<T>(&mut self, result: Result<T, StorageError>) -> Result<T, StorageError> {
        if let Err(error) = &result {
            self.poisoned |= !error.is_passing();
        }
        result
    }

    fn check_poisoned(&self) -> Result<(), StorageError> {
        if self.poisoned {
            let path = self.directory.clone();
            return Err(StorageError::Poisoned { path });
        }
        Ok(())
    }
}

fn read_frame(segment: &Segment, frame: &FrameAt) -> Result<Vec<Vec<u8>>, StorageError> {
    let damaged = |what: String| {
        let path = segment.file.path();
        StorageError::corrupt(path, format!("at position {}: {what}", frame.position))
    };
    let size = usize::try_from(frame.size)
        .map_err(|_| damaged("the frame does not fit into memory".to_owned()))?;
    let mut bytes = vec![0; size];
    segment.file.read_exact_at(&mut bytes, frame.position)?;
    let parsed = frame::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
    let entries = frame::split_entries(&parsed)
        .ok_or_else(|| damaged("the frame's entries are not as many as it says".to_owned()))?;
    Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
}
