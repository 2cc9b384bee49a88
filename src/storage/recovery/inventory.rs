//! What is in a partition's directory, after unfinished business of an earlier life is settled.
//!
//! The rules are those of Kafka's `LogLoader`: files that were being deleted go, files the cleaner
//! had not finished go, and a replacement that was complete takes the place of what it replaces.

use std::collections::BTreeMap;

use crate::model::{Offset, Timestamp};
use crate::storage::StorageError;
use crate::storage::disk::{DirectoryEntry, OpenMode};
use crate::storage::segment::names::{FileKind, FileName, Stage};
use crate::storage::segment::scan::HeaderScan;

use super::Site;

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

/// Settles and lists; none when there is no directory.
pub(super) fn take(site: &Site<'_>) -> Result<Option<Inventory>, StorageError> {
    let entries = match list(site) {
        Ok(entries) => entries,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error),
    };
    let entries = match settle(site, &entries)? {
        true => list(site)?,
        false => entries,
    };
    let mut inventory = Inventory::new();
    for (name, entry) in &entries {
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
            (FileKind::TransactionIndex, Some(found)) => found.has_aborted = true,
            (FileKind::OffsetIndex | FileKind::TimeIndex | FileKind::TransactionIndex, None) => {
                log::warn!("removing {name}, an index without its segment");
                remove(site, name)?;
            }
            _ => {}
        }
    }
    Ok(Some(inventory))
}

type Listed = Vec<(FileName, DirectoryEntry)>;

fn list(site: &Site<'_>) -> Result<Listed, StorageError> {
    let entries = site.disk.list(site.directory)?;
    Ok(entries
        .into_iter()
        .filter(|entry| !entry.is_directory)
        .filter_map(|entry| Some((FileName::parse(&entry.name)?, entry)))
        .collect())
}

fn remove(site: &Site<'_>, name: &FileName) -> Result<(), StorageError> {
    site.disk
        .remove_file(&site.directory.join(name.to_string()))
}

/// Finishes or undoes what was under way; says whether anything changed.
fn settle(site: &Site<'_>, entries: &Listed) -> Result<bool, StorageError> {
    let of_stage = |stage| entries.iter().filter(move |(name, _)| name.stage == stage);
    let first_cleaned = of_stage(Stage::Cleaned).map(|(name, _)| name.offset).min();
    for (name, _) in of_stage(Stage::Deleted).chain(of_stage(Stage::Cleaned)) {
        remove(site, name)?;
    }
    // A replacement behind a file that was still being cleaned belongs to a split that is undone.
    let undone = |name: &FileName| first_cleaned.is_some_and(|first| name.offset >= first);
    let mut swaps = Vec::new();
    for (name, entry) in of_stage(Stage::Swap) {
        if undone(name) {
            remove(site, name)?;
        } else {
            swaps.push((*name, entry));
        }
    }
    let mut replaced: Option<(Offset, Offset)> = None;
    for (name, entry) in swaps.iter().filter(|(name, _)| name.kind == FileKind::Log) {
        let end = end_of(site, name, entry.length)?;
        let (first, last) = replaced.unwrap_or((name.offset, end));
        replaced = Some((first.min(name.offset), last.max(end)));
    }
    if let Some((first, end)) = replaced {
        for (name, _) in of_stage(Stage::Live) {
            if (first..end).contains(&name.offset) {
                remove(site, name)?;
            }
        }
    }
    for (name, _) in &swaps {
        let live = FileName::live(name.offset, name.kind);
        site.disk.rename(
            &site.directory.join(name.to_string()),
            &site.directory.join(live.to_string()),
        )?;
    }
    let changed = entries.iter().any(|(name, _)| name.stage != Stage::Live);
    if changed {
        site.disk.sync_dir(site.directory)?;
    }
    Ok(changed)
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
