//! Which entry of the log lies where: the files and the frames in them.
//!
//! Owned by [`super::QuorumLog`]. Invariant: the frames' live entries follow one another without a
//! gap, across all files.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::storage::StorageError;
use crate::storage::disk::DiskFile;

const SUFFIX: &str = ".log";
const NUMBER_DIGITS: usize = 20;

/// One frame of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameAt {
    /// The index of its first entry.
    pub(super) first: u64,
    /// How many of its entries count: fewer than there are, when the others were taken back.
    pub(super) count: u64,
    /// Where it starts in its file.
    pub(super) position: u64,
    /// Its bytes.
    pub(super) size: u64,
}

impl FrameAt {
    /// The index behind its last entry.
    pub(super) fn end(&self) -> u64 {
        self.first.saturating_add(self.count)
    }
}

/// One file of the log.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) length: u64,
    pub(super) frames: VecDeque<FrameAt>,
}

impl Segment {
    pub(super) fn new(number: u64, file: Arc<dyn DiskFile>) -> Segment {
        Segment {
            number,
            file,
            length: 0,
            frames: VecDeque::new(),
        }
    }

    pub(super) fn path(directory: &Path, number: u64) -> PathBuf {
        directory.join(format!("{number:020}{SUFFIX}"))
    }

    pub(super) fn number_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(SUFFIX)?;
        let only_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
        (digits.len() == NUMBER_DIGITS && only_digits).then(|| digits.parse().ok())?
    }
}

/// All files, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Segments {
    pub(super) list: VecDeque<Segment>,
    pub(super) purged: Option<u64>,
}

impl Segments {
    pub(super) fn new(purged: Option<u64>) -> Segments {
        Segments {
            list: VecDeque::new(),
            purged,
        }
    }

    /// The index that the next entry gets.
    pub(super) fn next_index(&self) -> u64 {
        let last = self.frames().next_back().map_or(0, FrameAt::end);
        last.max(self.first_index())
    }

    /// The oldest index that was not purged.
    pub(super) fn first_index(&self) -> u64 {
        self.purged.map_or(0, |purged| purged.saturating_add(1))
    }

    pub(super) fn frames(&self) -> impl DoubleEndedIterator<Item = &FrameAt> {
        self.list.iter().flat_map(|segment| segment.frames.iter())
    }

    pub(super) fn push(&mut self, segment: Segment) {
        self.list.push_back(segment);
    }

    /// Says how many bytes of the last file are sound.
    pub(super) fn set_length(&mut self, length: u64) {
        if let Some(last) = self.list.back_mut() {
            last.length = length;
        }
    }

    /// Adds a frame to the last file. It continues where the frame in front of it ended; or, when
    /// everything in front of it was purged, where the purge ended.
    pub(super) fn add(&mut self, frame: FrameAt) -> Result<(), String> {
        let last = self.frames().next_back().map(FrameAt::end);
        let follows = last.is_none_or(|end| frame.first == end);
        let purged_between =
            last.is_some_and(|end| frame.first > end) && frame.first <= self.first_index();
        if !follows && !purged_between {
            return Err(format!(
                "the frame starts with entry {}, expected {}",
                frame.first,
                last.unwrap_or_default()
            ));
        }
        match self.list.back_mut() {
            Some(segment) => segment.frames.push_back(frame),
            None => return Err("there is no file for the frame".to_owned()),
        }
        Ok(())
    }

    /// Takes back the entries from `index` on.
    pub(super) fn truncate_from(&mut self, index: u64) {
        for segment in self.list.iter_mut().rev() {
            while let Some(frame) = segment.frames.back_mut() {
                if frame.end() <= index {
                    return;
                }
                frame.count = index.saturating_sub(frame.first);
                if frame.count > 0 {
                    return;
                }
                segment.frames.pop_back();
            }
        }
    }

    /// The oldest files, as far as all their entries were purged; the last file stays.
    pub(super) fn pop_purged(&mut self) -> Option<Segment> {
        let first_index = self.first_index();
        let oldest = self.list.front()?;
        let needed = oldest.frames.iter().any(|frame| frame.end() > first_index);
        if needed || self.list.len() == 1 {
            return None;
        }
        self.list.pop_front()
    }

    /// Checks that no entry is missing between what was purged and the first one that is there.
    pub(super) fn check_reaches_back(&self, directory: &Path) -> Result<(), StorageError> {
        match self.frames().next() {
            Some(oldest) if oldest.first > self.first_index() => Err(StorageError::corrupt(
                directory,
                format!(
                    "the entries {} to {} are missing",
                    self.first_index(),
                    oldest.first - 1
                ),
            )),
            _ => Ok(()),
        }
    }
}
