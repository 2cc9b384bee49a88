//! What is in a partition's directory, after unfinished business of an earlier life is settled.
//!
//! The rules are those of Kafka's `LogLoader`: files that were being deleted go, files the cleaner
//! had not finished go, and a replacement that was complete takes the place of what it replaces.

use std::collections::BTreeMap;

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::{DirectoryEntry, OpenMode};
use crate::storage::leader_epochs::LEADER_EPOCH_CHECKPOINT;
use crate::storage::log::ClosedLog;
use crate::storage::log::segment_times::SEGMENT_TIMES_FILE;
use crate::storage::partition_metadata::PARTITION_METADATA;
use crate::storage::segment::names::{FileKind, FileName, Stage};
use crate::storage::segment::scan::HeaderScan;

use super::Site;
use super::segments::SET_ASIDE_SUFFIX;

/// The files of one segment, by length in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) length: u64,
    pub(super) modified: Option<Timestamp>,
    pub(super) offset_index: Option<u64>,
    pub(super) time_index: Option<u64>,
    pub(super) has_aborted: bool,
}

/// Segments in order of the offset in their names.
pub(super) type Inventory = BTreeMap<Offset, Found>;

/// What one listing of a directory tells.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) segments: Inventory,
    /// The offsets of producer snapshots, rising.
    pub(super) snapshots: Vec<Offset>,
    /// Names that mean nothing here. They are left alone.
    pub(super) strange: Vec<String>,
    /// Whether there is a file of the segments' largest timestamps.
    pub(super) has_times: bool,
}

impl Taken {
    /// Takes out segments that were put here after the log was closed, when all of its own are as
    /// they were then. When they are not, nobody can tell whose the others are: a copy may have been
    /// restored.
    pub(super) fn tell_foreign(&mut self, closed: &ClosedLog) {
        let own: BTreeMap<Offset, u64> = closed.lengths().collect();
        let is_whole = own.iter().all(|(base_offset, length)| {
            let found = self.segments.get(base_offset);
            found.is_some_and(|found| found.length == *length)
        });
        if !is_whole {
            return;
        }
        let foreign = self
            .segments
            .extract_if(.., |base_offset, _| !own.contains_key(base_offset));
        for (base_offset, _) in foreign {
            let name = FileName::live(base_offset, FileKind::Log);
            self.strange.push(name.to_string());
        }
    }
}

/// The names of files beside those of segments.
const SMALL_FILES: [&str; 2] = [PARTITION_METADATA, LEADER_EPOCH_CHECKPOINT];

/// Settles and lists; none when there is no directory.
///
/// # Errors
/// When something has the name of a segment's file and is none.
pub(super) fn take(site: &Site<'_>) -> Result<Option<Taken>, StorageError> {
    let (entries, mut strange) = match list(site) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let entries = match settle(site, &entries)? {
        true => list(site)?.0,
        false => entries,
    };
    let before = strange.len();
    strange.retain(|name| name != SEGMENT_TIMES_FILE);
    let has_times = strange.len() < before;
    let mut inventory = Inventory::new();
    let mut snapshots = Vec::new();
    for (name, entry) in &entries {
        if name.kind == FileKind::Snapshot {
            snapshots.push(name.offset);
        }
        if name.kind == FileKind::Log {
            let found = Found {
                length: entry.length,
                modified: entry.modified,
                offset_index: None,
                time_index: None,
                has_aborted: false,
            };
            inventory.insert(name.offset, found);
        }
    }
    for (name, entry) in &entries {
        match (name.kind, inventory.get_mut(&name.offset)) {
            (FileKind::OffsetIndex, Some(found)) => found.offset_index = Some(entry.length),
            (FileKind::TimeIndex, Some(found)) => found.time_index = Some(entry.length),
            // A replacement brings one in any case, so that it takes the place of the one before.
            (FileKind::TransactionIndex, Some(_)) if entry.length == 0 => remove(site, name)?,
            (FileKind::TransactionIndex, Some(found)) => found.has_aborted = true,
            (FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TransactionIndex, None) => {
                log::warn!("removing {name}, an index without its segment");
                remove(site, name)?;
            }
            _ => {}
        }
    }
    Ok(Some(Taken {
        segments: inventory,
        snapshots,
        strange,
        has_times,
    }))
}

type Listed = Vec<(FileName, DirectoryEntry)>;

/// A partition's files in order of their names, and what else is there.
fn list(site: &Site<'_>) -> Result<(Listed, Vec<String>), StorageError> {
    let (mut listed, mut strange) = (Listed::new(), Vec::new());
    for entry in site.disk.list(site.directory)? {
        match FileName::parse(&entry.name) {
            Some(name) if entry.is_file => listed.push((name, entry)),
            Some(name) if name.stage == Stage::Live => {
                let path = site.directory.join(&entry.name);
                let what = "it has the name of a segment's file, and is none; move it away";
                return Err(StorageError::corrupt(&path, what));
            }
            None if entry.is_file && is_small_file(&entry.name) => {}
            _ => strange.push(entry.name),
        }
    }
    Ok((listed, strange))
}

/// Whether a file is one of those beside the segments, or was one before something went wrong.
fn is_small_file(name: &str) -> bool {
    let whole = name.strip_suffix(".tmp").unwrap_or(name);
    SMALL_FILES.contains(&whole)
        || (whole == SEGMENT_TIMES_FILE && whole != name)
        || name.ends_with(SET_ASIDE_SUFFIX)
}

fn remove(site: &Site<'_>, name: &FileName) -> Result<(), StorageError> {
    site.disk
        .remove_file(&site.directory.join(name.to_string()))
}

/// Finishes or undoes what was under way; says whether anything changed. A crash in here leaves what
/// the next start settles in the same way: each step is on the device before the next.
fn settle(site: &Site<'_>, entries: &Listed) -> Result<bool, StorageError> {
    let names = |stage| {
        let of_stage = entries.iter().filter(move |(name, _)| name.stage == stage);
        of_stage.map(|(name, _)| name)
    };
    if entries.iter().all(|(name, _)| name.stage == Stage::Live) {
        return Ok(false);
    }
    let first_cleaned = names(Stage::Cleaned).map(|name| name.offset).min();
    // As long as a file of a replacement is still being cleaned, the others do not count.
    let undone = |name: &FileName| first_cleaned.is_some_and(|first| name.offset >= first);
    let (undone, swaps): (Vec<&FileName>, Vec<&FileName>) =
        names(Stage::Swap).partition(|name| undone(name));
    if !undone.is_empty() {
        for name in undone {
            remove(site, name)?;
        }
        site.disk.sync_dir(site.directory)?;
    }
    for name in names(Stage::Deleted).chain(names(Stage::Cleaned)) {
        remove(site, name)?;
    }
    remove_replaced(site, entries, &swaps)?;
    site.disk.sync_dir(site.directory)?;
    if !swaps.is_empty() {
        for name in swaps {
            let live = FileName::live(name.offset, name.kind);
            site.disk.rename(
                &site.directory.join(name.to_string()),
                &site.directory.join(live.to_string()),
            )?;
        }
        site.disk.sync_dir(site.directory)?;
    }
    Ok(true)
}

/// Removes the segments that complete replacements take the place of. Files with the offset of a
/// replacement are replaced by name, or are its own that have their names already.
fn remove_replaced(
    site: &Site<'_>,
    entries: &Listed,
    swaps: &[&FileName],
) -> Result<(), StorageError> {
    let mut replaced: Option<(Offset, Offset)> = None;
    let mut firsts = Vec::new();
    for (name, entry) in entries {
        if name.kind == FileKind::Log && swaps.contains(&name) {
            let end = end_of(site, name, entry.length)?;
            let (first, last) = replaced.unwrap_or((name.offset, end));
            replaced = Some((first.min(name.offset), last.max(end)));
            firsts.push(name.offset);
        }
    }
    let Some((first, end)) = replaced else {
        return Ok(());
    };
    let live = |name: &FileName| name.stage == Stage::Live && name.kind != FileKind::Snapshot;
    let has = |offset, kind, stage| {
        let wanted = FileName {
            offset,
            kind,
            stage,
        };
        entries.iter().any(|(name, _)| *name == wanted)
    };
    for (name, _) in entries.iter().filter(|(name, _)| live(name)) {
        let goes = match firsts.contains(&name.offset) {
            // A Kafka leaves out an index without entries: then the old one is not replaced by name.
            true => {
                name.kind != FileKind::Log
                    && has(name.offset, FileKind::Log, Stage::Live)
                    && !has(name.offset, name.kind, Stage::Swap)
            }
            false => (first..end).contains(&name.offset),
        };
        if goes {
            remove(site, name)?;
        }
    }
    Ok(())
}

/// The offset behind the last batch of a file.
fn end_of(site: &Site<'_>, name: &FileName, length: u64) -> Result<Offset, StorageError> {
    let path = site.directory.join(name.to_string());
    let mut scan = HeaderScan::new(site.disk.open(&path, OpenMode::Read)?, 0, length);
    let mut end = name.offset;
    while let Some(located) = scan.next()? {
        end = located.header.next_offset();
    }
    Ok(end)
}
