//! The batches of one segment: frames, checksums, offsets, epochs, and every record in them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::model::{Offset, Timestamp};
use crate::record::{Scratch, records};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, OpenMode};
use crate::storage::scrub::walk::{Extent, Step, Walk};
use crate::storage::segment::scan::Located;

use super::{Finding, Tell};

/// Batches were accepted with a bound on what they decompress to; this one only stops nonsense.
const DECOMPRESSED_BYTES_MAX: usize = 1 << 30;

/// What an index may say of a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Indexed {
    pub(super) first_offset: Offset,
    pub(super) last_offset: Offset,
    pub(super) max_timestamp: Timestamp,
    /// The largest timestamp up to and with this batch.
    pub(super) max_so_far: Timestamp,
}

/// What a segment's batches come to.
#[derive(Debug, Default)]
pub(super) struct Batches {
    /// By position: those an index points at are looked up here.
    pub(super) by_position: BTreeMap<u64, Indexed>,
    /// Where the next segment must begin, or later.
    pub(super) next_offset: Option<Offset>,
    pub(super) records: u64,
    /// Damaged ranges: from position to position.
    pub(super) gaps: Vec<(u64, u64)>,
}

/// Which batches are remembered for the indexes: all those some entry points at, or near.
pub(super) struct Wanted<'a> {
    pub(super) positions: &'a [u64],
    pub(super) offsets: &'a [Offset],
}

/// Walks over one segment.
pub(super) fn check_batches(
    disk: &Arc<dyn Disk>,
    path: &Path,
    extent: Extent,
    wanted: &Wanted<'_>,
    scratch: &mut Scratch,
    tell: Tell<'_>,
) -> Result<Batches, StorageError> {
    let file = disk.open(path, OpenMode::Read)?;
    let mut walk = Walk::new(file, extent);
    let mut found = Batches::default();
    let mut max_so_far = Timestamp::NONE;
    let mut bytes = Vec::new();
    loop {
        match walk.next()? {
            Step::Batch(located) => {
                let header = &located.header;
                max_so_far = max_so_far.max(header.max_timestamp);
                found.next_offset = Some(header.next_offset());
                found.records += u64::try_from(header.records_count).unwrap_or(0);
                if wanted.has(&located) {
                    found.by_position.insert(
                        located.position,
                        Indexed {
                            first_offset: header.base_offset,
                            last_offset: header.last_offset(),
                            max_timestamp: header.max_timestamp,
                            max_so_far,
                        },
                    );
                }
                bytes.resize(header.size(), 0);
                walk.file().read_exact_at(&mut bytes, located.position)?;
                if let Err(what) = check_records(&located, &bytes, scratch) {
                    tell(
                        Finding::damage(path, what)
                            .at(located.position, located.end())
                            .of_offsets(header.base_offset, header.next_offset()),
                    );
                }
            }
            Step::Gap(gap) => {
                found.gaps.push((gap.position, gap.end));
                found.next_offset = found.next_offset.max(Some(gap.next_offset));
                tell(
                    Finding::damage(path, gap.fault.to_string())
                        .at(gap.position, gap.end)
                        .of_offsets(gap.first_offset, gap.next_offset),
                );
            }
            Step::Pause => {}
            Step::End => return Ok(found),
        }
    }
}

impl Wanted<'_> {
    fn has(&self, located: &Located) -> bool {
        let header = &located.header;
        let pointed_at = self.positions.binary_search(&located.position).is_ok();
        let below = self
            .offsets
            .partition_point(|offset| *offset < header.base_offset);
        let named = self.offsets.get(below);
        pointed_at || named.is_some_and(|offset| *offset <= header.last_offset())
    }
}

/// Reads every record of a batch whose checksum is right: damage from before it was made, or a
/// writer that made nonsense.
fn check_records(located: &Located, bytes: &[u8], scratch: &mut Scratch) -> Result<(), String> {
    let header = &located.header;
    let of_batch = |what: String| format!("the batch at offset {}: {what}", header.base_offset);
    let mut reader = records(header, bytes, DECOMPRESSED_BYTES_MAX, scratch)
        .map_err(|fault| of_batch(fault.to_string()))?;
    let mut before = -1;
    loop {
        let record = reader.next().map_err(|fault| of_batch(fault.to_string()))?;
        let Some(record) = record else {
            break;
        };
        let delta = record.offset_delta;
        if delta <= before || delta > header.last_offset_delta {
            return Err(of_batch(format!(
                "a record claims to be number {delta} behind number {before}, of {} at most",
                header.last_offset_delta
            )));
        }
        before = delta;
    }
    scratch.trim();
    Ok(())
}
