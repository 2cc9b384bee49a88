//! What the one writer shows to all readers of a log.
//!
//! Written by `Log` after the bytes are in the file, read by `LogReader`; behind one short lock.
//! Invariant: everything below the shown log end is in the files, and the segments are in order.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::model::Offset;
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::offset_index::OffsetEntry;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::doubts::Doubts;
use crate::storage::segment::handles::Handles;
use crate::storage::segment::list::SegmentList;
use crate::storage::segment::names::FileKind;
use crate::storage::segment::search::SegmentSearch;
use crate::storage::time_index::TimeEntry;

use super::damage::{DamageWatch, Damages, Island};

/// Batches at the end of the log whose places are known without any reading.
const RECENT_BATCHES: usize = 64;
/// Readers behind the tail of whom it is remembered where they will go on.
const SEQUELS: usize = 8;

/// What writer and readers of one log share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    pub(super) handles: Arc<Handles>,
    pub(super) doubts: Arc<Doubts>,
    /// Who is told of segments that must be inspected.
    pub(super) watch: OnceLock<Arc<dyn DamageWatch>>,
    /// The log that took this one's place in another directory.
    pub(super) successor: OnceLock<Arc<Shared>>,
    view: Mutex<View>,
}

impl Shared {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: PathBuf, view: View) -> Shared {
        Shared {
            disk,
            directory,
            handles: Arc::default(),
            doubts: Arc::default(),
            watch: OnceLock::new(),
            successor: OnceLock::new(),
            view: Mutex::new(view),
        }
    }

    /// The view, for as long as the guard lives. Never across a read or a write of a file.
    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        // All changes to the view are assignments that leave it right at every step.
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn handle(
        &self,
        segment: Offset,
        kind: FileKind,
    ) -> Result<Arc<dyn DiskFile>, StorageError> {
        self.handles
            .get(&*self.disk, &self.directory, segment, kind)
    }

    /// Opens what a search in a segment needs, or in an undamaged part of it.
    pub(super) fn search(
        &self,
        mut info: SegmentInfo,
        pending: Vec<OffsetEntry>,
        island: &Island,
    ) -> Result<SegmentSearch, StorageError> {
        if let Some(damage) = &island.ends_at {
            info.size = info.size.min(damage.position);
        }
        let log = self.handle(info.base_offset, FileKind::Log)?;
        let index = match info.offset_entries {
            0 => None,
            _ => self.handle(info.base_offset, FileKind::OffsetIndex).ok(),
        };
        Ok(SegmentSearch {
            info,
            log,
            index,
            pending,
            doubts: Some(Arc::clone(&self.doubts)),
            begins_at: island.start,
        })
    }
}

/// The log as readers see it.
#[derive(Debug)]
pub(super) struct View {
    pub(super) log_start_offset: Offset,
    pub(super) log_end_offset: Offset,
    /// In order of their base offsets; the last one is the active one. Empty before the first
    /// append.
    pub(super) segments: SegmentList,
    /// How often compacted segments took the place of others. Who looked at the segments and opened
    /// files then looks at this again: files of the same name may be others now.
    pub(super) replacements: u64,
    pub(super) tail: Tail,
    pub(super) epochs: LeaderEpochs,
    /// What no reader is given.
    pub(super) damages: Damages,
    /// How often the log was cut and its files were read again.
    pub(super) readings: u32,
}

/// The end of the active segment, in memory.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The newest batches, without a gap between them in the file.
    pub(super) recent: VecDeque<RecentBatch>,
    /// Index entries that are not written yet.
    pub(super) pending_offsets: Vec<OffsetEntry>,
    /// Time index entries that are not written yet.
    pub(super) pending_times: Vec<TimeEntry>,
    /// From this position on, bytes were written since the log was opened.
    pub(super) written_from: u64,
    /// Where the last reads ended, and the next ones will probably begin. Only a guess: the batch
    /// there is looked at before it is believed.
    sequels: VecDeque<Sequel>,
}

/// The end of a read, in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sequel {
    offset: Offset,
    segment: Offset,
    position: u64,
}

/// Where a batch of the active segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecentBatch {
    pub(super) base_offset: Offset,
    pub(super) next_offset: Offset,
    pub(super) position: u64,
    pub(super) end: u64,
}

impl Tail {
    pub(super) fn push(&mut self, batch: RecentBatch) {
        if self.recent.len() == RECENT_BATCHES {
            self.recent.pop_front();
        }
        self.recent.push_back(batch);
    }

    /// Remembers where a read ended.
    pub(super) fn note_sequel(&mut self, segment: Offset, offset: Offset, position: u64) {
        if self.sequels.len() == SEQUELS {
            self.sequels.pop_front();
        }
        self.sequels.push_back(Sequel {
            offset,
            segment,
            position,
        });
    }

    /// Where a read of a segment probably begins; whoever asks will note where it ends.
    pub(super) fn take_sequel(&mut self, segment: Offset, offset: Offset) -> Option<u64> {
        let at = self
            .sequels
            .iter()
            .position(|sequel| (sequel.segment, sequel.offset) == (segment, offset))?;
        self.sequels.remove(at).map(|sequel| sequel.position)
    }

    /// Forgets where reads ended: positions have changed.
    pub(super) fn forget_sequels(&mut self) {
        self.sequels.clear();
    }

    /// Forgets everything: the active segment is a new one, or was cut to `size` bytes.
    pub(super) fn restart(&mut self, size: u64) {
        *self = Tail {
            written_from: size,
            ..Tail::default()
        };
    }
}

impl View {
    /// The segment that has `offset`, or the first one behind it.
    pub(super) fn segment_at(&self, offset: Offset) -> Option<usize> {
        if self.segments.is_empty() {
            return None;
        }
        let above = self
            .segments
            .partition_point(|segment| segment.base_offset <= offset);
        Some(above.saturating_sub(1))
    }

    /// Index entries of a segment that are not in its file yet.
    pub(super) fn pending_of(&self, at: usize) -> Vec<OffsetEntry> {
        if at + 1 == self.segments.len() {
            self.tail.pending_offsets.clone()
        } else {
            Vec::new()
        }
    }

    /// Bytes of all segments.
    pub(super) fn size(&mut self) -> u64 {
        self.segments.bytes()
    }
}
