//! Finding batches in one segment: by offset, by position.
//!
//! The index gives a batch that is not too far; headers from there on give the exact one. An index
//! that points at no batch is not believed: the search starts over at the beginning of the file.

use std::sync::Arc;

use crate::model::Offset;
use crate::storage::StorageError;
use crate::storage::disk::DiskFile;
use crate::storage::offset_index::{self, OffsetEntry};

use super::SegmentInfo;
use super::doubts::Doubts;
use super::scan::{HeaderScan, Located};

/// A place between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// In the segment's file.
    pub(crate) position: u64,
    /// What to read next from there.
    pub(crate) next_offset: Offset,
}

/// A segment as a reader saw it at one moment.
#[derive(Debug)]
pub(crate) struct SegmentSearch {
    /// What was known of it.
    pub(crate) info: SegmentInfo,
    /// Its batches.
    pub(crate) log: Arc<dyn DiskFile>,
    /// Its offset index, if that has entries.
    pub(crate) index: Option<Arc<dyn DiskFile>>,
    /// Index entries that are not written yet; only the active segment has some.
    pub(crate) pending: Vec<OffsetEntry>,
    /// Where an index that does not say the truth is noted, for who can make it anew.
    pub(crate) doubts: Option<Arc<Doubts>>,
    /// Where the batches begin that may be looked at: behind a damaged range, else at zero.
    pub(crate) begins_at: u64,
}

impl SegmentSearch {
    /// The first batch that ends at `offset` or later.
    pub(crate) fn batch_reaching(&self, offset: Offset) -> Result<Option<Located>, StorageError> {
        self.first_from(self.floor_by_offset(offset), |located| {
            located.header.last_offset() >= offset
        })
    }

    /// The last place between two batches at `limit` bytes or before, looking from the beginning of
    /// the batch `from` on.
    pub(crate) fn boundary_before(
        &self,
        from: Located,
        limit: u64,
    ) -> Result<Boundary, StorageError> {
        let floor = self
            .floor_by_position(limit)
            .filter(|entry| u64::from(entry.position) > from.position);
        if let Some(entry) = floor {
            if let Some(scan) = self.scan_at(&entry)? {
                return last_boundary(scan, from, limit);
            }
            self.distrust(&entry);
        }
        last_boundary(self.scan(from.position), from, limit)
    }

    /// The batch at `position`, if it is the one with `offset`. The position may be a guess.
    pub(crate) fn batch_at(
        &self,
        position: u64,
        offset: Offset,
    ) -> Result<Option<Located>, StorageError> {
        if position < self.begins_at {
            return Ok(None);
        }
        match self.scan(position).next() {
            Ok(found) => Ok(found.filter(|found| {
                (found.header.base_offset..=found.header.last_offset()).contains(&offset)
            })),
            Err(StorageError::Corrupt { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Headers from the batch an index entry points at; none when the entry does not say the truth.
    fn scan_at(&self, entry: &OffsetEntry) -> Result<Option<HeaderScan>, StorageError> {
        let mut scan = self.scan(entry.position.into());
        match scan.next() {
            Ok(Some(first)) if first.header.last_offset() == entry.offset => {
                scan.go_back_to(&first);
                Ok(Some(scan))
            }
            Ok(_) | Err(StorageError::Corrupt { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Headers from a position on.
    pub(crate) fn scan(&self, position: u64) -> HeaderScan {
        HeaderScan::new(Arc::clone(&self.log), position, self.info.size)
    }

    fn first_from(
        &self,
        floor: Option<OffsetEntry>,
        mut wanted: impl FnMut(&Located) -> bool,
    ) -> Result<Option<Located>, StorageError> {
        if let Some(entry) = floor {
            if let Some(scan) = self.scan_at(&entry)? {
                return find(scan, &mut wanted);
            }
            self.distrust(&entry);
        }
        find(self.scan(self.begins_at), &mut wanted)
    }

    fn distrust(&self, entry: &OffsetEntry) {
        self.doubt(&format!(
            "its offset index points at byte {} for offset {}, where no such batch is",
            entry.position, entry.offset,
        ));
    }

    fn doubt(&self, why: &str) {
        if let Some(doubts) = &self.doubts {
            doubts.note(self.info.base_offset, why);
        }
    }

    fn floor_by_offset(&self, offset: Offset) -> Option<OffsetEntry> {
        let below = self.pending.partition_point(|entry| entry.offset <= offset);
        if let Some(at) = below.checked_sub(1) {
            let entry = self.pending.get(at).copied();
            return entry.filter(|entry| self.is_in_sight(entry));
        }
        self.in_file(|file| {
            let SegmentInfo {
                offset_entries,
                base_offset,
                ..
            } = self.info;
            offset_index::floor_by_offset(file, offset_entries, base_offset, offset)
        })
    }

    fn floor_by_position(&self, limit: u64) -> Option<OffsetEntry> {
        let below = self
            .pending
            .partition_point(|entry| u64::from(entry.position) <= limit);
        if let Some(at) = below.checked_sub(1) {
            let entry = self.pending.get(at).copied();
            return entry.filter(|entry| self.is_in_sight(entry));
        }
        self.in_file(|file| {
            let SegmentInfo {
                offset_entries,
                base_offset,
                ..
            } = self.info;
            offset_index::floor_by_position(file, offset_entries, base_offset, limit)
        })
    }

    fn is_in_sight(&self, entry: &OffsetEntry) -> bool {
        (self.begins_at..self.info.size).contains(&u64::from(entry.position))
    }

    /// An index that cannot be read costs time, not the answer.
    fn in_file(
        &self,
        search: impl FnOnce(&dyn DiskFile) -> Result<Option<OffsetEntry>, StorageError>,
    ) -> Option<OffsetEntry> {
        let file = self.index.as_deref()?;
        match search(file) {
            Ok(entry) => entry.filter(|entry| self.is_in_sight(entry)),
            Err(error) => {
                self.doubt(&error.to_string());
                None
            }
        }
    }
}

/// The last place between two batches at `limit` bytes or before.
fn last_boundary(
    mut scan: HeaderScan,
    from: Located,
    limit: u64,
) -> Result<Boundary, StorageError> {
    let mut boundary = Boundary {
        position: scan.position(),
        next_offset: from.header.base_offset,
    };
    while let Some(located) = next_or_stop(&mut scan, boundary.position > from.position)? {
        if located.end() > limit {
            return Ok(Boundary {
                position: located.position,
                next_offset: located.header.base_offset,
            });
        }
        boundary = Boundary {
            position: located.end(),
            next_offset: located.header.next_offset(),
        };
    }
    Ok(boundary)
}

/// The next header. Where it cannot be one and there is something in front of it, that much can be
/// read; whoever goes on there is told.
fn next_or_stop(scan: &mut HeaderScan, stops: bool) -> Result<Option<Located>, StorageError> {
    match scan.next() {
        Err(StorageError::Corrupt { .. }) if stops => Ok(None),
        next => next,
    }
}

fn find(
    mut scan: HeaderScan,
    wanted: &mut dyn FnMut(&Located) -> bool,
) -> Result<Option<Located>, StorageError> {
    while let Some(located) = scan.next()? {
        if wanted(&located) {
            return Ok(Some(located));
        }
    }
    Ok(None)
}
