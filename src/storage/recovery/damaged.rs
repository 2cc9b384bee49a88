//! Loading segments in which bytes below the recovery point are damaged: nothing of that is cut.
//!
//! What was flushed once was whole once, so batches behind a damaged range are as good as those
//! before it. Called by `segments` after a scan met what cannot be; reads the whole segment anew.

use std::sync::Arc;

use crate::model::{LeaderEpoch, Offset};
use crate::storage::StorageError;
use crate::storage::disk::{DiskFile, OpenMode};
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::log::Damage;
use crate::storage::scrub::walk::{Extent, Gap, Step, Walk};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::FileKind;
use crate::storage::segment::scan::{HeaderScan, Located};
use crate::storage::segment::search::SegmentSearch;

use super::Site;
use super::index_builder::IndexBuilder;
use super::there::There;

/// A segment that goes on behind damage.
pub(super) struct OverDamage {
    pub(super) first: Option<Located>,
    /// The offset behind the last right batch.
    pub(super) next_offset: Offset,
    /// Where reigns begin.
    pub(super) epochs: Vec<(LeaderEpoch, Offset)>,
    /// What is damaged between them.
    pub(super) damages: Vec<Damage>,
    /// Where the part ends, and why: behind it nothing was flushed, or nothing is right.
    pub(super) ends: Option<(u64, String)>,
}

impl OverDamage {
    fn take(&mut self, located: &Located) {
        let header = &located.header;
        self.first.get_or_insert(*located);
        self.next_offset = header.next_offset();
        let epoch = header.partition_leader_epoch;
        if self.epochs.last().is_none_or(|(last, _)| *last != epoch) {
            self.epochs.push((epoch, header.base_offset));
        }
    }
}

fn walk(file: Arc<dyn DiskFile>, base_offset: Offset, length: u64) -> Walk {
    let extent = Extent {
        base_offset,
        length,
        next: None,
        // Recovery makes them right from the batches, not the other way round.
        epochs: LeaderEpochs::default(),
    };
    Walk::new(file, extent)
}

/// Walks over the damage in a segment whose batches below `flushed` were all on the device; none when
/// no right batch lies behind any of it. Right batches are indexed.
pub(super) fn walk_over_damage(
    file: Arc<dyn DiskFile>,
    base_offset: Offset,
    length: u64,
    flushed: Offset,
    indexes: &mut IndexBuilder,
) -> Result<Option<OverDamage>, StorageError> {
    let mut walk = walk(file, base_offset, length);
    let mut found = OverDamage {
        first: None,
        next_offset: base_offset,
        epochs: Vec::new(),
        damages: Vec::new(),
        ends: None,
    };
    let mut pending: Option<Gap> = None;
    loop {
        match walk.next()? {
            Step::Batch(located) => {
                let gap = pending.take().map(|gap| Damage::of(base_offset, &gap));
                found.damages.extend(gap);
                found.take(&located);
                indexes.add(&located);
            }
            Step::Gap(gap) => {
                let flushed = gap.first_offset < flushed;
                pending = Some(gap);
                if !flushed {
                    break;
                }
            }
            Step::Pause => {}
            Step::End => break,
        }
    }
    found.ends = pending.map(|gap| (gap.position, gap.fault.to_string()));
    Ok((!found.damages.is_empty()).then_some(found))
}

/// Indexes the right batches of a segment, whatever lies between them.
pub(super) fn index_right_batches(
    site: &Site<'_>,
    info: &SegmentInfo,
) -> Result<IndexBuilder, StorageError> {
    let path = site.path(info.base_offset, FileKind::Log);
    let file = site.disk.open(&path, OpenMode::Read)?;
    let mut walk = walk(file, info.base_offset, info.size);
    let mut indexes = IndexBuilder::new(site.config, info.base_offset, There::default());
    loop {
        match walk.next()? {
            Step::Batch(located) => indexes.add(&located),
            Step::Gap(_) | Step::Pause => {}
            Step::End => return Ok(indexes),
        }
    }
}

/// The batches of a segment, by their headers alone as long as these can be; behind the first that
/// cannot, only those that are right.
pub(super) struct Headers {
    scan: HeaderScan,
    walk: Option<Walk>,
    info: SegmentInfo,
    file: Arc<dyn DiskFile>,
    next_offset: Offset,
}

impl Headers {
    /// Goes on behind `first`, the batch at which `scan` stands.
    pub(super) fn new(scan: HeaderScan, search: &SegmentSearch) -> Headers {
        Headers {
            scan,
            walk: None,
            info: search.info,
            file: Arc::clone(&search.log),
            next_offset: search.info.base_offset,
        }
    }

    /// The next batch.
    pub(super) fn next(&mut self) -> Result<Option<Located>, StorageError> {
        if self.walk.is_none() {
            match self.scan.next() {
                Err(StorageError::Corrupt { path, detail }) => {
                    log::error!(
                        "{}: {detail}; what is damaged says nothing of its producers",
                        path.display()
                    );
                    let (base, size) = (self.info.base_offset, self.info.size);
                    self.walk = Some(walk(Arc::clone(&self.file), base, size));
                }
                next => {
                    let next = next?;
                    let behind = next.map(|located| located.header.next_offset());
                    self.next_offset = behind.unwrap_or(self.next_offset);
                    return Ok(next);
                }
            }
        }
        let Some(walk) = &mut self.walk else {
            return Ok(None);
        };
        loop {
            match walk.next()? {
                Step::Batch(located) if located.header.base_offset >= self.next_offset => {
                    return Ok(Some(located));
                }
                Step::Batch(_) | Step::Gap(_) | Step::Pause => {}
                Step::End => return Ok(None),
            }
        }
    }
}
