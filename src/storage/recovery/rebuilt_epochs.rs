//! Reading from the batches in which reigns they were written, when the checkpoint cannot tell.
//!
//! Reigns never fall along a log. So where the first batches of two segments are of the same one, all
//! that is between them is, too, and is not read: the work is that of a search for each change of
//! leaders, not that of reading the log.

use std::collections::BTreeMap;

use crate::model::{LeaderEpoch, Offset};
use crate::storage::StorageError;
use crate::storage::disk::OpenMode;
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::FileKind;
use crate::storage::segment::scan::HeaderScan;

use super::{Recovered, Site, note_epoch};

/// Adds the reigns that are not known. Without a checkpoint none is; below what it knows, when the
/// log's start has fallen back to what was noted of it last, some are not.
pub(super) fn complete(
    site: &Site<'_>,
    recovered: &Recovered,
    epochs: &mut LeaderEpochs,
) -> Result<(), StorageError> {
    let earliest = epochs.earliest().map(|earliest| earliest.start_offset);
    let known_from = earliest.unwrap_or(recovered.log_end_offset);
    let start = recovered.log_start_offset;
    if known_from <= start {
        return Ok(());
    }
    let segments = &recovered.segments;
    let below = segments.partition_point(|segment| segment.base_offset < known_from);
    // What lies wholly below the start may never have been flushed.
    let above = segments.partition_point(|segment| segment.base_offset <= start);
    let first = above.saturating_sub(1).min(below);
    let known = std::mem::take(epochs);
    *epochs = read(site, &segments[first..below])?;
    if earliest.is_some() {
        epochs.truncate_from_end(known_from);
    }
    for entry in known.entries() {
        epochs.assign(entry.epoch, entry.start_offset);
    }
    Ok(())
}

/// The reigns of which the segments have batches.
fn read(site: &Site<'_>, segments: &[SegmentInfo]) -> Result<LeaderEpochs, StorageError> {
    let mut search = Search {
        site,
        segments,
        firsts: BTreeMap::new(),
        to_read: Vec::new(),
    };
    if let Some(last) = segments.len().checked_sub(1) {
        search.between(0, last)?;
        search.to_read.push(last);
    }
    let mut epochs = LeaderEpochs::default();
    for (at, first) in &search.firsts {
        if let Some((epoch, offset)) = first {
            note_epoch(&mut epochs, *epoch, *offset);
        }
        if search.to_read.binary_search(at).is_ok() {
            read_segment(site, &segments[*at], &mut epochs)?;
        }
    }
    Ok(epochs)
}

struct Search<'a> {
    site: &'a Site<'a>,
    segments: &'a [SegmentInfo],
    /// Reign and offset of the first batch of segments that were asked for it, if they have one.
    firsts: BTreeMap<usize, Option<(LeaderEpoch, Offset)>>,
    /// Segments inside of which a reign may begin, rising.
    to_read: Vec<usize>,
}

impl Search<'_> {
    /// Finds the changes between the first batches of two segments.
    fn between(&mut self, low: usize, high: usize) -> Result<(), StorageError> {
        let (first, last) = (self.first_of(low)?, self.first_of(high)?);
        let same = first
            .zip(last)
            .is_some_and(|(first, last)| first.0 == last.0);
        if same || low == high {
            return Ok(());
        }
        if high - low == 1 {
            self.to_read.push(low);
            return Ok(());
        }
        let middle = low + (high - low) / 2;
        self.between(low, middle)?;
        self.between(middle, high)
    }

    fn first_of(&mut self, at: usize) -> Result<Option<(LeaderEpoch, Offset)>, StorageError> {
        if let Some(known) = self.firsts.get(&at) {
            return Ok(*known);
        }
        let segment = &self.segments[at];
        let path = self.site.path(segment.base_offset, FileKind::Log);
        let file = self.site.disk.open(&path, OpenMode::Read)?;
        let first = match HeaderScan::new(file, 0, segment.size).next() {
            Err(StorageError::Corrupt { .. }) => None,
            first => first?,
        };
        let first = first.map(|first| {
            let header = first.header;
            (header.partition_leader_epoch, header.base_offset)
        });
        self.firsts.insert(at, first);
        Ok(first)
    }
}

fn read_segment(
    site: &Site<'_>,
    segment: &SegmentInfo,
    epochs: &mut LeaderEpochs,
) -> Result<(), StorageError> {
    let path = site.path(segment.base_offset, FileKind::Log);
    let mut scan = HeaderScan::new(site.disk.open(&path, OpenMode::Read)?, 0, segment.size);
    loop {
        match scan.next() {
            Ok(Some(located)) => {
                let header = located.header;
                note_epoch(epochs, header.partition_leader_epoch, header.base_offset);
            }
            Ok(None) => return Ok(()),
            // What is behind the damage is found by whoever reads it.
            Err(StorageError::Corrupt { detail, .. }) => {
                log::warn!("segment {} is damaged: {detail}", segment.base_offset);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
}
