//! Knowing the producers again: the newest snapshot that can be read, and the batches behind it.
//!
//! The same walk makes the indexes of aborted transactions right for the segments it passes.

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::OpenMode;
use crate::storage::log::producers::note_batch;
use crate::storage::producer_state::{ProducerStates, load_newest_of, snapshot_path};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::segment::search::SegmentSearch;
use crate::storage::transaction_index::{AbortedTransaction, TransactionIndex};

use super::Site;
use super::damaged::Headers;

/// What a log has of which the producers are to be known.
pub(super) struct Range<'a> {
    pub(super) log_start_offset: Offset,
    pub(super) log_end_offset: Offset,
    /// The newest snapshot that is believed.
    pub(super) snapshot_max: Offset,
    pub(super) segments: &'a mut [SegmentInfo],
    /// Of the snapshots in the directory, rising.
    pub(super) snapshots: Vec<Offset>,
    /// Indexes of aborted transactions that were written, and not flushed.
    pub(super) rewritten: Vec<Box<str>>,
}

/// Rebuilds the state at the end of the log; also how many batches were read for it. Snapshots
/// that lie beyond the end, cannot be read or are of no use any more are removed.
pub(super) fn load_producers(
    site: &Site<'_>,
    range: &mut Range<'_>,
    now: Timestamp,
) -> Result<(ProducerStates, u64), StorageError> {
    let (start, end) = (range.log_start_offset, range.log_end_offset);
    let disk = &**site.disk;
    let newest = range.snapshots.iter().rfind(|offset| **offset <= end);
    let newest = newest.copied();
    // As Kafka keeps them: one for each segment, and the newest.
    let is_kept = |offset: &Offset| {
        let at = range
            .segments
            .binary_search_by_key(offset, |segment| segment.base_offset);
        *offset <= end && (Some(*offset) == newest || at.is_ok())
    };
    let (kept, unused): (Vec<_>, Vec<_>) = range.snapshots.iter().copied().partition(is_kept);
    for unused in unused {
        let removed = disk.remove_file(&snapshot_path(site.directory, unused));
        match removed {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    let expiration_ms = site.config.producer_id_expiration_ms;
    let believed = start..=end.min(range.snapshot_max);
    let mut states = load_newest_of(disk, site.directory, &kept, believed, expiration_ms, now)?;
    let replayed = replay(site, range, &mut states)?;
    forget_lost_markers(site, range)?;
    states.set_end_offset(end);
    states.expire(now);
    Ok((states, replayed))
}

/// An entry may be on the device whose marker is not.
fn forget_lost_markers(site: &Site<'_>, range: &mut Range<'_>) -> Result<(), StorageError> {
    let end = range.log_end_offset;
    let Some(last) = range.segments.last_mut().filter(|last| last.has_aborted) else {
        return Ok(());
    };
    let written = write_aborted(site, last, end, &[])?;
    range.rewritten.push(written);
    Ok(())
}

/// Reads the batches from the state's end to the log's.
fn replay(
    site: &Site<'_>,
    range: &mut Range<'_>,
    states: &mut ProducerStates,
) -> Result<u64, StorageError> {
    let from = states.end_offset();
    if from >= range.log_end_offset {
        return Ok(0);
    }
    let mut replayed = 0;
    let above = range.segments.partition_point(|s| s.base_offset <= from);
    for segment in &mut range.segments[above.saturating_sub(1)..] {
        if segment.size == 0 {
            continue;
        }
        let (batches, written) = replay_segment(site, segment, from, states)?;
        replayed += batches;
        range.rewritten.extend(written);
    }
    Ok(replayed)
}

fn replay_segment(
    site: &Site<'_>,
    segment: &mut SegmentInfo,
    from: Offset,
    states: &mut ProducerStates,
) -> Result<(u64, Option<Box<str>>), StorageError> {
    let open = |kind| {
        let path = site.path(segment.base_offset, kind);
        site.disk.open(&path, OpenMode::Read)
    };
    let search = SegmentSearch {
        begins_at: 0,
        info: *segment,
        log: open(FileKind::Log)?,
        index: open(FileKind::OffsetIndex).ok(),
        pending: Vec::new(),
        doubts: None,
    };
    // Damage in front of it is walked over, too.
    let first = match search.batch_reaching(from) {
        Err(StorageError::Corrupt { .. }) => None,
        first => match first? {
            Some(first) => Some(first),
            None => return Ok((0, None)),
        },
    };
    let mut headers = Headers::new(
        search.scan(first.map_or(0, |first| first.position)),
        &search,
    );
    let (mut replayed, mut begins) = (0, None);
    let mut aborted = Vec::new();
    while let Some(located) = headers.next()? {
        if located.header.last_offset() < from {
            continue;
        }
        begins.get_or_insert(located.header.base_offset);
        replayed += 1;
        if let Some(completed) = note_batch(states, &located, &*search.log)?
            && completed.aborted
        {
            let stable = states.last_stable_offset(&completed);
            aborted.push(AbortedTransaction::new(&completed, stable));
        }
    }
    if let Some(begins) = begins
        && (segment.has_aborted || !aborted.is_empty())
    {
        let written = write_aborted(site, segment, begins, &aborted)?;
        return Ok((replayed, Some(written)));
    }
    Ok((replayed, None))
}

/// Replaces what the index says about markers from `from` on; its name, for who flushes it.
fn write_aborted(
    site: &Site<'_>,
    segment: &mut SegmentInfo,
    from: Offset,
    aborted: &[AbortedTransaction],
) -> Result<Box<str>, StorageError> {
    let disk = &**site.disk;
    let path = site.path(segment.base_offset, FileKind::TransactionIndex);
    // What lies behind may be torn; what lies before was flushed, and is kept.
    let mut index = TransactionIndex::open_below(disk, path, segment.base_offset, from)?;
    for entry in aborted {
        index.append(disk, *entry)?;
    }
    segment.has_aborted = !index.entries().is_empty();
    let name = FileName::live(segment.base_offset, FileKind::TransactionIndex);
    Ok(name.to_string().into())
}
