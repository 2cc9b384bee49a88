//! Knowing the producers again: the newest snapshot that can be read, and the batches behind it.

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::OpenMode;
use crate::storage::log::producers::note_batch;
use crate::storage::producer_state::ProducerStates;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName, Stage};
use crate::storage::segment::search::SegmentSearch;

use super::Site;

/// What a log has of which the producers are to be known.
pub(crate) struct Range<'a> {
    pub(crate) log_start_offset: Offset,
    pub(crate) log_end_offset: Offset,
    pub(crate) segments: &'a [SegmentInfo],
}

/// The snapshots in a directory, oldest first.
pub(crate) fn snapshots_of(site: &Site<'_>) -> Result<Vec<Offset>, StorageError> {
    let entries = site.disk.list(site.directory)?;
    let mut offsets: Vec<Offset> = entries
        .iter()
        .filter_map(|entry| FileName::parse(&entry.name))
        .filter(|name| name.kind == FileKind::Snapshot && name.stage == Stage::Live)
        .map(|name| name.offset)
        .collect();
    offsets.sort_unstable();
    Ok(offsets)
}

/// Rebuilds the state at the end of the log; also how many batches were read for it. Snapshots
/// that lie beyond the end, or cannot be read, are removed.
pub(crate) fn load_producers(
    site: &Site<'_>,
    range: &Range<'_>,
    now: Timestamp,
) -> Result<(ProducerStates, u64), StorageError> {
    let mut states = None;
    for offset in snapshots_of(site)?.into_iter().rev() {
        if offset > range.log_end_offset {
            remove(site, offset)?;
        } else if states.is_none() && offset >= range.log_start_offset {
            states = load_snapshot(site, offset, now)?;
        }
    }
    let mut states = states.unwrap_or_else(|| {
        let mut states = ProducerStates::new(site.config.producer_id_expiration_ms);
        states.set_end_offset(range.log_start_offset);
        states
    });
    let replayed = replay(site, range, &mut states)?;
    states.set_end_offset(range.log_end_offset);
    states.expire(now);
    Ok((states, replayed))
}

fn remove(site: &Site<'_>, offset: Offset) -> Result<(), StorageError> {
    site.disk.remove_file(&site.path(offset, FileKind::Snapshot))
}

fn load_snapshot(
    site: &Site<'_>,
    offset: Offset,
    now: Timestamp,
) -> Result<Option<ProducerStates>, StorageError> {
    const LENGTH_MAX: usize = 1 << 30;
    let path = site.path(offset, FileKind::Snapshot);
    let bytes = match site.disk.read_file(&path, LENGTH_MAX) {
        Ok(bytes) => bytes,
        Err(StorageError::Corrupt { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let expiration_ms = site.config.producer_id_expiration_ms;
    match ProducerStates::from_snapshot(&bytes, offset, expiration_ms, now) {
        Ok(states) => Ok(Some(states)),
        Err(error) => {
            log::warn!("removing {}: {error}", path.display());
            remove(site, offset)?;
            Ok(None)
        }
    }
}

/// Reads the batches from the state's end to the log's.
fn replay(
    site: &Site<'_>,
    range: &Range<'_>,
    states: &mut ProducerStates,
) -> Result<u64, StorageError> {
    let mut replayed = 0;
    let from = states.end_offset();
    if from >= range.log_end_offset {
        return Ok(0);
    }
    for (at, segment) in range.segments.iter().enumerate() {
        let next = range.segments.get(at + 1).map(|next| next.base_offset);
        if next.is_some_and(|next| next <= from) || segment.size == 0 {
            continue;
        }
        let open = |kind| {
            let path = site.path(segment.base_offset, kind);
            site.disk.open(&path, OpenMode::Read)
        };
        let search = SegmentSearch {
            info: *segment,
            log: open(FileKind::Log)?,
            index: open(FileKind::OffsetIndex).ok(),
            pending: Vec::new(),
        };
        let Some(first) = search.batch_reaching(from)? else {
            continue;
        };
        let mut scan = search.scan(first.position);
        while let Some(located) = scan.next()? {
            note_batch(states, &located, &*search.log)?;
            replayed += 1;
        }
    }
    Ok(replayed)
}
