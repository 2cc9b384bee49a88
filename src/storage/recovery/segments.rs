//! Loading segments: those below the recovery point by their names and lengths alone, those above
//! by reading every batch.

use std::sync::Arc;

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::{DiskFile, OpenMode};
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::offset_index::{self, OffsetEntry};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName};
use crate::storage::segment::scan::{BatchScan, HeaderScan, Located, Torn};
use crate::storage::segment::search::SegmentSearch;
use crate::storage::time_index::{self, TimeEntry};

use super::damaged::{index_right_batches, walk_over_damage};
use super::index_builder::{IndexBuilder, later, no_timestamp};
use super::inventory::{Found, Inventory};
use super::there::There;
use super::{ActiveFacts, RecoveryInput, RecoveryReport, Site, note_epoch};

/// The suffix of files that were taken out of the log but not deleted.
pub(super) const SET_ASIDE_SUFFIX: &str = ".set-aside";

/// Bytes between two words about progress.
const TOLD_EVERY_BYTES: u64 = 8 << 20;

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
    /// Which segment the two above are about.
    looked_into: Option<Offset>,
}

impl Loaded {
    fn push(&mut self, looked: Looked) {
        self.log_end_offset = looked.next_offset;
        self.active = Some(looked.active);
        self.looked_into = Some(looked.info.base_offset);
        self.segments.push(looked.info);
    }
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
        self.site.progress.found(self.bytes_to_scan(inventory));
        let mut rest = inventory.iter().peekable();
        while let Some((base_offset, found)) = rest.next() {
            let next = rest.peek().map(|(next, _)| **next);
            if self.is_settled(next) {
                let info = match has_indexes(found) {
                    true => listed(*base_offset, found),
                    false => self.index_again(*base_offset, found)?,
                };
                loaded.segments.push(info);
                continue;
            }
            let looked = self.look_into(*base_offset, found)?;
            let end = looked.next_offset;
            let torn = looked.torn.is_some();
            if self.belongs(&looked) {
                loaded.push(looked);
            } else {
                set_aside(self.site, *base_offset, self.report)?;
            }
            if next.is_some_and(|next| torn || end > next || self.is_hole(end, next)) {
                // Behind a hole, or where offsets are taken, nothing can be part of the log, but it need not be destroyed.
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
        if loaded.looked_into == Some(last) {
            return Ok(());
        }
        if let Some(found) = inventory.get(&last) {
            let looked = self.look_into(last, found)?;
            loaded.segments.pop();
            loaded.push(looked);
        }
        Ok(())
    }

    /// Whether batches are missing between the end of one segment and the next. Only where nothing
    /// was flushed yet can batches have been lost, and only compaction leaves gaps on purpose.
    fn is_hole(&self, end: Offset, next: Offset) -> bool {
        end < next && next > self.input.recovery_point && !self.site.config.compacts
    }

    /// Bytes of the files that are to be looked into.
    fn bytes_to_scan(&self, inventory: &Inventory) -> u64 {
        if self.input.clean_shutdown {
            return 0;
        }
        let mut bytes = 0;
        for (base_offset, found) in inventory.iter().rev() {
            bytes += found.length;
            if *base_offset <= self.input.recovery_point {
                break;
            }
        }
        bytes
    }

    /// Whether a segment, if another follows, can be believed from its name and length. When the
    /// recovery point is where the next one begins, it may be older than the roll, and what the roll
    /// wrote into the indexes may be lost.
    fn is_settled(&self, next: Option<Offset>) -> bool {
        next.is_some_and(|next| self.input.clean_shutdown || next < self.input.recovery_point)
    }

    fn look_into(&mut self, base_offset: Offset, found: &Found) -> Result<Looked, StorageError> {
        if self.input.clean_shutdown {
            if has_indexes(found)
                && let Some(looked) = self.read_end(base_offset, found)?
            {
                return Ok(looked);
            }
            self.note_rebuilt(base_offset);
        }
        self.scan(base_offset, found)
    }

    fn note_rebuilt(&mut self, base_offset: Offset) {
        log::warn!("the indexes of segment {base_offset} are missing or damaged; making them anew");
        self.report.indexes_rebuilt += 1;
    }

    /// Makes the indexes of a segment that was flushed long ago anew, cutting nothing: what is
    /// wrong in there is found by whoever reads it.
    fn index_again(
        &mut self,
        base_offset: Offset,
        found: &Found,
    ) -> Result<SegmentInfo, StorageError> {
        self.note_rebuilt(base_offset);
        let (info, is_right) = index_again(self.site, listed(base_offset, found))?;
        if !is_right {
            self.report.suspects.push(base_offset);
        }
        Ok(info)
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
            doubts: None,
            begins_at: 0,
        };
        let Some(first) = unless_corrupt(search.scan(0).next())? else {
            return Ok(None);
        };
        let max = last_time_entry.unwrap_or(no_timestamp(base_offset));
        let Some((max, next_offset)) = walk_end(&search, last_entry, max)? else {
            return Ok(None);
        };
        let timeless = max.timestamp == Timestamp::NONE && info.time_entries == 0;
        if timeless && last_entry.is_some() {
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

    /// Reads and checks every batch above the recovery point, cuts what is not whole, makes the
    /// indexes right.
    fn scan(&mut self, base_offset: Offset, found: &Found) -> Result<Looked, StorageError> {
        let log = self.open(base_offset, FileKind::Log)?;
        let config = self.site.config;
        let there = There::read(self.site, base_offset, found)?;
        let mut scan = BatchScan::new(log.clone(), base_offset, found.length);
        let mut first_timestamp = None;
        let mut next_offset = base_offset;
        let mut indexes = match self.flushed_part(&log, base_offset, found, &there)? {
            Some((first, indexed)) => {
                first_timestamp = Some(first.header.max_timestamp);
                next_offset = indexed.header.next_offset();
                scan = scan.behind(&indexed);
                IndexBuilder::behind(config, base_offset, there, &indexed)
            }
            None => IndexBuilder::new(config, base_offset, there),
        };
        let (begin, mut told) = (scan.position(), scan.position());
        while let Some((located, _)) = scan.next()? {
            first_timestamp.get_or_insert(located.header.max_timestamp);
            next_offset = located.header.next_offset();
            indexes.add(&located);
            if located.end() - told >= TOLD_EVERY_BYTES {
                self.site.progress.scanned(located.end() - told);
                told = located.end();
            }
            note_epoch(
                &mut self.epochs,
                located.header.partition_leader_epoch,
                located.header.base_offset,
            );
        }
        let size = scan.position();
        let torn = scan.torn().cloned();
        self.site.progress.scanned(found.length - told);
        if torn.is_some()
            && let Some(looked) = self.over_damage(&log, base_offset, found, next_offset)?
        {
            return Ok(looked);
        }
        if let Some(torn @ Torn::Format(_)) = &torn {
            // Whoever wrote it knows what it is; cutting it off would destroy it.
            let path = log.path().to_owned();
            let version = format!("unknown from byte {size} on ({torn})");
            return Err(StorageError::UnknownVersion { path, version });
        }
        self.report.segments_scanned += 1;
        self.report.bytes_scanned += size - begin;
        self.report.indexes_wrong += usize::from(indexes.was_wrong);
        let mut info = SegmentInfo {
            size,
            max_timestamp: Some(indexes.max),
            ..listed(base_offset, found)
        };
        // A file whose very first batch is wrong is left as it is: it will be set aside whole.
        let keeps = size > 0 || matches!(torn, None | Some(Torn::Partial));
        if let Some(torn) = torn.as_ref().filter(|_| keeps) {
            self.cut(&*log, base_offset, found.length, size, &torn.to_string())?;
        }
        let mut last_time_entry = indexes.finish();
        if keeps {
            let sync = self.input.clean_shutdown;
            (info.offset_entries, info.time_entries) = indexes.write(self.site, sync)?;
            last_time_entry = indexes.time_entry_before(info.time_entries);
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

    /// Loads a segment with damage in front of `behind` that recovery must not cut: what lies below
    /// the recovery point was whole once. None when there is nothing right behind it.
    fn over_damage(
        &mut self,
        log: &Arc<dyn DiskFile>,
        base_offset: Offset,
        found: &Found,
        next_offset: Offset,
    ) -> Result<Option<Looked>, StorageError> {
        let flushed = match self.input.clean_shutdown {
            true => Offset(i64::MAX),
            false => self.input.recovery_point,
        };
        if next_offset >= flushed {
            return Ok(None);
        }
        let mut indexes = IndexBuilder::new(self.site.config, base_offset, There::default());
        let (file, length) = (Arc::clone(log), found.length);
        let walked = walk_over_damage(file, base_offset, length, flushed, &mut indexes)?;
        let Some(walked) = walked else {
            return Ok(None);
        };
        self.report.segments_scanned += 1;
        self.report.bytes_scanned += found.length;
        for (epoch, offset) in &walked.epochs {
            note_epoch(&mut self.epochs, *epoch, *offset);
        }
        let mut info = SegmentInfo {
            max_timestamp: Some(indexes.max),
            ..listed(base_offset, found)
        };
        if let Some((size, why)) = &walked.ends {
            self.cut(&**log, base_offset, found.length, *size, why)?;
            info.size = *size;
        }
        indexes.finish();
        (info.offset_entries, info.time_entries) = indexes.write(self.site, true)?;
        for damage in walked.damages {
            log::error!("{}: {damage}; it is left as it is", log.path().display());
            self.report.damages.push(damage);
        }
        Ok(Some(Looked {
            info,
            active: ActiveFacts {
                first_timestamp: walked.first.map(|first| first.header.max_timestamp),
                last_time_entry: indexes.time_entry_before(info.time_entries),
            },
            next_offset: walked.next_offset,
            torn: None,
        }))
    }

    /// The first batch, and the last one of which offset and place are in the index, that both lie
    /// below the recovery point, with all that is between them: read and checked by whoever wrote
    /// them, and flushed since. None when the indexes cannot tell.
    fn flushed_part(
        &self,
        log: &Arc<dyn DiskFile>,
        base_offset: Offset,
        found: &Found,
        there: &There,
    ) -> Result<Option<(Located, Located)>, StorageError> {
        let recovery_point = self.input.recovery_point;
        if self.input.clean_shutdown || recovery_point <= base_offset || there.was_wrong {
            return Ok(None);
        }
        let Some(indexed) = there.complete_upto(Offset(recovery_point.0 - 1)) else {
            return Ok(None);
        };
        let at = |position| {
            let mut scan = HeaderScan::new(Arc::clone(log), position, found.length);
            unless_corrupt(scan.next()).map(Option::flatten)
        };
        let batch = at(indexed.position.into())?;
        let batch = batch.filter(|batch| batch.header.last_offset() == indexed.offset);
        Ok(at(0)?.zip(batch))
    }

    /// Cuts off what is behind the last whole batch.
    fn cut(
        &mut self,
        log: &dyn DiskFile,
        base_offset: Offset,
        length: u64,
        size: u64,
        why: &str,
    ) -> Result<(), StorageError> {
        let bytes = length - size;
        log::warn!("cutting {bytes} bytes at {size} off segment {base_offset}: {why}");
        log.truncate(size)?;
        // Else a second loss of power could bring back what was cut, over what came after.
        log.sync_data()?;
        self.report.bytes_cut += bytes;
        self.report.cut_because = Some(why.to_owned());
        Ok(())
    }

    /// A file whose first batch has offsets below its name, or none at all where there are bytes,
    /// is not this log's.
    fn belongs(&self, looked: &Looked) -> bool {
        !matches!(
            looked.torn,
            Some(Torn::NoBatch(_) | Torn::Checksum(_) | Torn::Offsets(..))
        ) || looked.info.size > 0
    }

    fn open(&self, base_offset: Offset, kind: FileKind) -> Result<Arc<dyn DiskFile>, StorageError> {
        let path = self.site.path(base_offset, kind);
        self.site.disk.open(&path, OpenMode::Write)
    }
}

/// Makes the indexes of a segment anew, cutting nothing: what is damaged in there is left out. Also
/// whether it looked right, by its headers alone.
pub(crate) fn index_again(
    site: &Site<'_>,
    mut info: SegmentInfo,
) -> Result<(SegmentInfo, bool), StorageError> {
    let base_offset = info.base_offset;
    let path = site.path(base_offset, FileKind::Log);
    let mut scan = HeaderScan::new(site.disk.open(&path, OpenMode::Read)?, 0, info.size);
    let mut indexes = IndexBuilder::new(site.config, base_offset, There::default());
    while let Some(Some(located)) = unless_corrupt(scan.next())? {
        indexes.add(&located);
    }
    let is_right = scan.position() == info.size;
    if !is_right {
        indexes = index_right_batches(site, &info)?;
    }
    indexes.finish();
    (info.offset_entries, info.time_entries) = indexes.write(site, true)?;
    info.max_timestamp = Some(indexes.max);
    Ok((info, is_right))
}

/// Damage is an answer here: what was read cannot be believed.
fn unless_corrupt<T>(result: Result<T, StorageError>) -> Result<Option<T>, StorageError> {
    match result {
        Err(StorageError::Corrupt { .. }) => Ok(None),
        result => result.map(Some),
    }
}

/// Walks from the last indexed batch to the end: the largest timestamp, and the offset behind. None
/// when the entry points at no batch, or the file does not end with one.
fn walk_end(
    search: &SegmentSearch,
    last_entry: Option<OffsetEntry>,
    mut max: TimeEntry,
) -> Result<Option<(TimeEntry, Offset)>, StorageError> {
    let mut indexed = last_entry.map(|entry| entry.offset);
    let mut scan = search.scan(last_entry.map_or(0, |entry| entry.position.into()));
    let mut next_offset = search.info.base_offset;
    loop {
        let Some(next) = unless_corrupt(scan.next())? else {
            return Ok(None);
        };
        let Some(located) = next else {
            let whole = scan.position() == search.info.size && indexed.is_none();
            return Ok(whole.then_some((max, next_offset)));
        };
        let expected = indexed.take();
        if expected.is_some_and(|offset| offset != located.header.last_offset()) {
            return Ok(None);
        }
        max = later(max, &located);
        next_offset = located.header.next_offset();
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
