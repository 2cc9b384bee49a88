//! Loading segments: those below the recovery point by their names and lengths alone, those above
//! by reading every batch.

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::OpenMode;
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::offset_index::{self, OffsetEntry};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::segment::scan::{BatchScan, Located, Torn};
use crate::storage::segment::search::SegmentSearch;
use crate::storage::time_index::{self, TimeEntry};

use super::inventory::{Found, Inventory};
use super::{ActiveFacts, RecoveryInput, RecoveryReport, Site, note_epoch};

/// The suffix of files that were taken out of the log but not deleted.
const SET_ASIDE_SUFFIX: &str = ".set-aside";

/// Loads the segments of one log.
pub(super) struct Loader<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) input: &'a RecoveryInput,
    pub(super) epochs: LeaderEpochs,
    pub(super) report: &'a mut RecoveryReport,
}

/// Segments, in order; the last one is to be appended to.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) segments: Vec<SegmentInfo>,
    pub(super) active: Option<ActiveFacts>,
    pub(super) log_end_offset: Offset,
}

/// A segment that was looked into.
struct Looked {
    info: SegmentInfo,
    active: ActiveFacts,
    next_offset: Offset,
    torn: Option<Torn>,
}

impl Loader<'_> {
    pub(super) fn load(&mut self, inventory: &Inventory) -> Result<Loaded, StorageError> {
        let mut loaded = Loaded::default();
        let mut rest = inventory.iter().peekable();
        while let Some((base_offset, found)) = rest.next() {
            let next = rest.peek().map(|(next, _)| **next);
            if self.is_settled(found, next) {
                loaded.segments.push(listed(*base_offset, found));
                continue;
            }
            let looked = self.look_into(*base_offset, found, next.is_none())?;
            let lost = looked.torn.is_some();
            if !self.belongs(&looked) {
                set_aside(self.site, *base_offset, self.report)?;
            } else {
                loaded.log_end_offset = looked.next_offset;
                loaded.active = Some(looked.active);
                loaded.segments.push(looked.info);
            }
            if lost && next.is_some() {
                // Behind a hole nothing can be part of the log, but it need not be destroyed.
                for (base_offset, _) in rest {
                    set_aside(self.site, *base_offset, self.report)?;
                }
                break;
            }
        }
        self.finish_last(inventory, &mut loaded)?;
        Ok(loaded)
    }

    /// The segment to append to must have been looked into; when the last file was set aside, the
    /// one before it was perhaps only listed.
    fn finish_last(
        &mut self,
        inventory: &Inventory,
        loaded: &mut Loaded,
    ) -> Result<(), StorageError> {
        let Some(last) = loaded.segments.last().map(|last| last.base_offset) else {
            return Ok(());
        };
        if loaded.active.is_some() && loaded.log_end_offset >= last {
            return Ok(());
        }
        let Some(found) = inventory.get(&last) else {
            return Ok(());
        };
        let looked = self.look_into(last, found, true)?;
        loaded.segments.pop();
        loaded.segments.push(looked.info);
        loaded.active = Some(looked.active);
        loaded.log_end_offset = looked.next_offset;
        Ok(())
    }

    /// Whether a segment can be believed from its names and lengths.
    fn is_settled(&self, found: &Found, next: Option<Offset>) -> bool {
        let Some(next) = next else {
            return false;
        };
        let below = self.input.clean_shutdown || next <= self.input.recovery_point;
        below && has_indexes(found)
    }

    fn look_into(
        &mut self,
        base_offset: Offset,
        found: &Found,
        is_last: bool,
    ) -> Result<Looked, StorageError> {
        let unclean = !self.input.clean_shutdown;
        if is_last && !unclean && has_indexes(found) {
            if let Some(looked) = self.read_end(base_offset, found)? {
                return Ok(looked);
            }
        }
        if !unclean {
            log::warn!(
                "the indexes of segment {base_offset} are missing or damaged; making them anew"
            );
            self.report.indexes_rebuilt += 1;
        }
        self.scan(base_offset, found)
    }

    /// After a clean close, the end of the last segment is found from its indexes; none when they
    /// do not fit.
    fn read_end(
        &mut self,
        base_offset: Offset,
        found: &Found,
    ) -> Result<Option<Looked>, StorageError> {
        let mut info = listed(base_offset, found);
        let log = self.open(base_offset, FileKind::Log)?;
        let index = self.open(base_offset, FileKind::OffsetIndex)?;
        let times = self.open(base_offset, FileKind::TimeIndex)?;
        info.offset_entries = offset_index::entries_in_use(&*index, info.offset_entries)?;
        info.time_entries = time_index::entries_in_use(&*times, info.time_entries)?;
        let last_entry = offset_index::last_entry(&*index, info.offset_entries, base_offset)?;
        let last_time_entry = time_index::last_entry(&*times, info.time_entries, base_offset)?;
        let search = SegmentSearch {
            info,
            log,
            index: Some(index),
            pending: Vec::new(),
        };
        let first = match search.scan(0).next() {
            Ok(first) => first,
            Err(StorageError::Corrupt { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut max = last_time_entry.unwrap_or(no_timestamp(base_offset));
        let start = last_entry.map_or(0, |entry| entry.position.into());
        let mut scan = search.scan(start);
        let mut next_offset = base_offset;
        loop {
            match scan.next() {
                Ok(Some(located)) => {
                    let fits = located.position != start
                        || last_entry
                            .is_none_or(|entry| entry.offset == located.header.last_offset());
                    if !fits {
                        return Ok(None);
                    }
                    max = later(max, &located);
                    next_offset = located.header.next_offset();
                }
                Ok(None) => break,
                Err(StorageError::Corrupt { .. }) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let timeless = info.size > 0 && max.timestamp == Timestamp::NONE && info.time_entries == 0;
        if scan.position() != info.size || (timeless && last_entry.is_some()) {
            return Ok(None);
        }
        info.max_timestamp = Some(max);
        Ok(Some(Looked {
            info,
            active: ActiveFacts {
                first_timestamp: first.map(|first| first.header.max_timestamp),
                last_time_entry,
            },
            next_offset,
            torn: None,
        }))
    }

    /// Reads and checks every batch, cuts what is not whole, writes the indexes anew.
    fn scan(&mut self, base_offset: Offset, found: &Found) -> Result<Looked, StorageError> {
        let log = self.open(base_offset, FileKind::Log)?;
        let mut scan = BatchScan::new(log.clone(), base_offset, found.length);
        let mut indexes = IndexBuilder::new(self.site.config, base_offset);
        let mut first_timestamp = None;
        let mut next_offset = base_offset;
        while let Some((located, _)) = scan.next()? {
            first_timestamp.get_or_insert(located.header.max_timestamp);
            next_offset = located.header.next_offset();
            indexes.add(&located);
            note_epoch(
                &mut self.epochs,
                located.header.partition_leader_epoch,
                located.header.base_offset,
            );
        }
        let size = scan.position();
        let torn = scan.torn().cloned();
        self.report.segments_scanned += 1;
        self.report.bytes_scanned += size;
        let mut info = SegmentInfo {
            size,
            max_timestamp: Some(indexes.max),
            ..listed(base_offset, found)
        };
        // A file whose very first batch is wrong is left as it is: it will be set aside whole.
        let keeps = torn.is_none() || size > 0 || matches!(torn, Some(Torn::Partial));
        if let Some(torn) = &torn
            && keeps
        {
            log::warn!(
                "cutting {} bytes at {size} off segment {base_offset}: {torn}",
                found.length - size
            );
            log.truncate(size)?;
            self.report.bytes_cut += found.length - size;
            self.report.cut_because = Some(torn.to_string());
        }
        let last_time_entry = indexes.finish();
        if keeps {
            self.write_indexes(&mut info, &indexes)?;
        }
        Ok(Looked {
            info,
            active: ActiveFacts {
                first_timestamp,
                last_time_entry,
            },
            next_offset,
            torn,
        })
    }

    /// A file whose first batch has offsets below its name, or none at all where there are bytes,
    /// is not this log's.
    fn belongs(&self, looked: &Looked) -> bool {
        !matches!(
            looked.torn,
            Some(Torn::NoBatch(_) | Torn::Checksum(_) | Torn::Offsets(..))
        ) || looked.info.size > 0
    }

    fn write_indexes(
        &self,
        info: &mut SegmentInfo,
        built: &IndexBuilder,
    ) -> Result<(), StorageError> {
        let base = info.base_offset;
        let path = self.site.path(base, FileKind::OffsetIndex);
        let file = self.site.disk.open(&path, OpenMode::Truncate)?;
        offset_index::write_entries(&*file, 0, base, &built.offsets)?;
        let path = self.site.path(base, FileKind::TimeIndex);
        let file = self.site.disk.open(&path, OpenMode::Truncate)?;
        time_index::write_entries(&*file, 0, base, &built.times)?;
        if self.input.clean_shutdown {
            // It lies below the recovery point, so no later flush and no later scan will see to it.
            file.sync_data()?;
            self.open(base, FileKind::OffsetIndex)?.sync_data()?;
        }
        info.offset_entries = u32::try_from(built.offsets.len()).unwrap_or(u32::MAX);
        info.time_entries = u32::try_from(built.times.len()).unwrap_or(u32::MAX);
        Ok(())
    }

    fn open(
        &self,
        base_offset: Offset,
        kind: FileKind,
    ) -> Result<std::sync::Arc<dyn crate::storage::disk::DiskFile>, StorageError> {
        let path = self.site.path(base_offset, kind);
        self.site.disk.open(&path, OpenMode::Write)
    }
}

fn has_indexes(found: &Found) -> bool {
    let whole = |length: Option<u64>, entry: usize| {
        length.is_some_and(|length| length.is_multiple_of(entry as u64))
    };
    whole(found.offset_index, offset_index::ENTRY_SIZE)
        && whole(found.time_index, time_index::ENTRY_SIZE)
}

/// What the listing says about a segment.
fn listed(base_offset: Offset, found: &Found) -> SegmentInfo {
    let entries = |length: Option<u64>, entry: usize| {
        let entries = length.unwrap_or(0) / entry as u64;
        u32::try_from(entries).unwrap_or(u32::MAX)
    };
    SegmentInfo {
        base_offset,
        size: found.length,
        offset_entries: entries(found.offset_index, offset_index::ENTRY_SIZE),
        time_entries: entries(found.time_index, time_index::ENTRY_SIZE),
        max_timestamp: None,
        modified: found.modified,
        has_aborted: found.has_aborted,
    }
}

fn no_timestamp(base_offset: Offset) -> TimeEntry {
    TimeEntry {
        timestamp: Timestamp::NONE,
        offset: base_offset,
    }
}

fn later(max: TimeEntry, located: &Located) -> TimeEntry {
    if located.header.max_timestamp <= max.timestamp {
        return max;
    }
    TimeEntry {
        timestamp: located.header.max_timestamp,
        offset: located.header.last_offset(),
    }
}

/// Makes both indexes of a segment as appending it would have.
struct IndexBuilder {
    interval: u64,
    offsets_max: usize,
    times_max: usize,
    indexed: u64,
    max: TimeEntry,
    offsets: Vec<OffsetEntry>,
    times: Vec<TimeEntry>,
}

impl IndexBuilder {
    fn new(config: &crate::storage::log::LogConfig, base_offset: Offset) -> IndexBuilder {
        let bytes_max = config.index_bytes_max as usize;
        IndexBuilder {
            interval: config.index_interval_bytes,
            offsets_max: bytes_max / offset_index::ENTRY_SIZE,
            // One is kept for the entry that closes the segment.
            times_max: (bytes_max / time_index::ENTRY_SIZE).saturating_sub(1),
            indexed: 0,
            max: no_timestamp(base_offset),
            offsets: Vec::new(),
            times: Vec::new(),
        }
    }

    fn add(&mut self, located: &Located) {
        self.max = later(self.max, located);
        let Ok(position) = u32::try_from(located.position) else {
            return;
        };
        if located.position - self.indexed <= self.interval
            || self.offsets.len() >= self.offsets_max
        {
            return;
        }
        self.indexed = located.position;
        self.offsets.push(OffsetEntry {
            offset: located.header.last_offset(),
            position,
        });
        if self.times.len() < self.times_max {
            self.push_time();
        }
    }

    fn push_time(&mut self) {
        let last = self
            .times
            .last()
            .map_or(Timestamp::NONE, |last| last.timestamp);
        if self.max.timestamp > last {
            self.times.push(self.max);
        }
    }

    /// Closes the time index with the largest timestamp of all.
    fn finish(&mut self) -> Option<TimeEntry> {
        self.push_time();
        self.times.last().copied()
    }
}

/// Takes a segment's files out of the log without destroying its batches.
pub(super) fn set_aside(
    site: &Site<'_>,
    base_offset: Offset,
    report: &mut RecoveryReport,
) -> Result<(), StorageError> {
    let path = site.path(base_offset, FileKind::Log);
    let mut aside = path.clone().into_os_string();
    aside.push(SET_ASIDE_SUFFIX);
    let aside = std::path::PathBuf::from(aside);
    log::warn!(
        "segment {base_offset} cannot be part of the log any more; keeping it as {}",
        aside.display()
    );
    site.disk.rename(&path, &aside)?;
    report.set_aside.push(aside);
    for kind in [
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
    ] {
        let path = site
            .directory
            .join(FileName::live(base_offset, kind).to_string());
        match site.disk.remove_file(&path) {
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
