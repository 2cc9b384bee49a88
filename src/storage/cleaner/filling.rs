//! Putting the dirty part of a log into the map (Kafka's `Cleaner.buildOffsetMap`).
//!
//! Called by a cleaning for each dirty segment in turn.

use std::path::Path;

use crate::model::Offset;
use crate::record::{ControlType, RecordFault, Scratch, plain_records};
use crate::storage::segment::scan::Located;

use super::offset_map::Put;
use super::source::{BATCH_BYTES_MAX, Source};
use super::transactions::Transactions;
use super::{CleaningError, CleaningStats, OffsetMap, Pace};

/// Buffers for looking into batches, used again from batch to batch.
#[derive(Debug, Default)]
pub(crate) struct Looking {
    pub(crate) scratch: Scratch,
    pub(crate) plain: Vec<u8>,
}

/// Fills the map.
#[derive(Debug)]
pub(crate) struct Filling<'a> {
    pub(crate) map: &'a mut OffsetMap,
    pub(crate) first_dirty_offset: Offset,
    pub(crate) transactions: Transactions,
    /// The last offset the map knows all about.
    pub(crate) until: Offset,
    pub(crate) looking: &'a mut Looking,
    pub(crate) stats: &'a mut CleaningStats,
}

impl Filling<'_> {
    /// Reads one segment; false when the map is full. It then knows all about the batches before the
    /// one that did not fit.
    pub(crate) fn add_segment(
        &mut self,
        source: &mut Source<'_>,
        pace: &mut dyn Pace,
    ) -> Result<bool, CleaningError> {
        let path = source.path();
        while let Some((located, bytes)) = source.next(pace)? {
            let header = &located.header;
            self.stats.map_bytes_read += bytes.len() as u64;
            let records = u64::try_from(header.records_count).unwrap_or(0);
            self.stats.map_records_read += records;
            if header.is_control() {
                let control = control_type(&located, bytes, self.looking, &path)?;
                self.transactions.on_control(header, control);
            } else if !self.transactions.on_records(header)
                && !self.add_records(&located, bytes, &path)?
            {
                return match self.until < self.first_dirty_offset {
                    true => Err(CleaningError::MapTooSmall {
                        offset: header.base_offset,
                        keys_max: self.map.keys_max() as u64,
                    }),
                    false => Ok(false),
                };
            }
            self.until = self.until.max(header.last_offset());
        }
        Ok(true)
    }

    fn add_records(
        &mut self,
        located: &Located,
        bytes: &[u8],
        path: &Path,
    ) -> Result<bool, CleaningError> {
        let header = &located.header;
        let fault = |fault| faulty(path, located, fault);
        let Looking { scratch, plain } = &mut *self.looking;
        let mut walk =
            plain_records(header, bytes, BATCH_BYTES_MAX, scratch, plain).map_err(fault)?;
        while let Some((record, _)) = walk.next().map_err(fault)? {
            let offset = header.base_offset + i64::from(record.offset_delta);
            if let Some(key) = record.key
                && offset >= self.first_dirty_offset
                && self.map.put(key, offset) == Put::Full
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What a control batch marks; none when it is empty.
pub(crate) fn control_type(
    located: &Located,
    bytes: &[u8],
    looking: &mut Looking,
    path: &Path,
) -> Result<Option<ControlType>, CleaningError> {
    let fault = |fault| faulty(path, located, fault);
    let Looking { scratch, plain } = looking;
    let walk = plain_records(&located.header, bytes, BATCH_BYTES_MAX, scratch, plain);
    let first = walk.map_err(fault)?.next().map_err(fault)?;
    // What nobody can read ends no transaction, and stays.
    let unreadable = ControlType::Unknown(-1);
    Ok(first.map(|(record, _)| ControlType::parse(record.key).unwrap_or(unreadable)))
}

/// What is wrong with the records of a batch, whose checksum is right.
pub(crate) fn faulty(path: &Path, located: &Located, fault: RecordFault) -> CleaningError {
    match fault {
        RecordFault::DecompressedTooLarge { bytes_max } => CleaningError::TooLarge {
            path: path.to_owned(),
            position: located.position,
            bytes: bytes_max as u64 + 1,
            bytes_max: bytes_max as u64,
        },
        fault => CleaningError::Damaged {
            path: path.to_owned(),
            position: located.position,
            offset: located.header.base_offset,
            detail: fault.to_string(),
        },
    }
}
