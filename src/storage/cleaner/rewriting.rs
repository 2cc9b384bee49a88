//! Writing what stays of a group of segments (Kafka's `Cleaner.cleanSegments`).
//!
//! Called by a cleaning for each group, segment by segment. Invariant: batches of which everything
//! stays are written as they are; a single segment of which everything stays is not written at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::model::{Offset, Timestamp};
use crate::record::{BuildError, KeptRecords, empty_batch, plain_records, rewrite_batch};
use crate::storage::StorageError;
use crate::storage::disk::{Disk, DiskFile};
use crate::storage::log::LogConfig;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::scan::Located;
use crate::storage::transaction_index::AbortedTransaction;

use super::filling::{Looking, control_type, faulty};
use super::source::{BATCH_BYTES_MAX, Source};
use super::target::{Finished, Target};
use super::transactions::{Marker, Transactions};
use super::verdict::{BatchVerdict, RecordVerdict, Rules, delete_horizon};
use super::{CleaningError, CleaningStats, Pace};

/// Buffers that are used again from batch to batch and from group to group.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    pub(crate) looking: Looking,
    pub(crate) input: Vec<u8>,
    kept: KeptRecords,
    out: Vec<u8>,
    copied: Vec<u8>,
}

/// Where the group's segment is made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) disk: &'a Arc<dyn Disk>,
    pub(crate) directory: &'a Path,
    pub(crate) config: &'a LogConfig,
}

/// One group being written.
pub(crate) struct Rewriting<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) rules: Rules<'a>,
    pub(crate) transactions: &'a mut Transactions,
    pub(crate) buffers: &'a mut Buffers,
    pub(crate) stats: &'a mut CleaningStats,
    base_offset: Offset,
    /// None as long as all of the only segment stays.
    target: Option<Target>,
    /// Aborted transactions whose markers stay.
    aborted: Vec<AbortedTransaction>,
}

/// What is written of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    /// All of it.
    AsItIs,
    /// Its header.
    Header,
    /// Some records, or all of them with this delete horizon from now on.
    Records(Option<Timestamp>),
    Nothing,
}

/// A segment being read.
struct Reading {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    info: SegmentInfo,
    /// Whether the group has no batches behind it.
    is_last: bool,
}

impl<'a> Rewriting<'a> {
    /// Begins a group of so many segments, whose first begins at `base_offset`.
    pub(crate) fn begin(
        place: Place<'a>,
        rules: Rules<'a>,
        transactions: &'a mut Transactions,
        buffers: &'a mut Buffers,
        stats: &'a mut CleaningStats,
        (base_offset, segments): (Offset, usize),
    ) -> Result<Rewriting<'a>, CleaningError> {
        let mut rewriting = Rewriting {
            place,
            rules,
            transactions,
            buffers,
            stats,
            base_offset,
            target: None,
            aborted: Vec::new(),
        };
        if segments > 1 {
            rewriting.target = Some(rewriting.new_target()?);
        }
        Ok(rewriting)
    }

    fn new_target(&mut self) -> Result<Target, StorageError> {
        let Place {
            disk,
            directory,
            config,
        } = self.place;
        let out = std::mem::take(&mut self.buffers.out);
        Target::create(disk, directory, self.base_offset, config, out)
    }

    /// Reads the next segment of the group and writes what stays of it. Of the last batch of all the
    /// header stays in any case: from it a start knows which segments this one takes the place of,
    /// and sees no hole.
    pub(crate) fn add_segment(
        &mut self,
        file: &Arc<dyn DiskFile>,
        (info, is_last): (&SegmentInfo, bool),
        pace: &mut dyn Pace,
    ) -> Result<(), CleaningError> {
        let mut input = std::mem::take(&mut self.buffers.input);
        let reading = Reading {
            file: Arc::clone(file),
            path: file.path().to_owned(),
            info: *info,
            is_last,
        };
        let mut source = Source::new(Arc::clone(file), info, 0, &mut input);
        let result = self.add_batches(&mut source, &reading, pace);
        self.buffers.input = input;
        self.stats.segments_read += 1;
        result
    }

    fn add_batches(
        &mut self,
        source: &mut Source<'_>,
        reading: &Reading,
        pace: &mut dyn Pace,
    ) -> Result<(), CleaningError> {
        while let Some((located, bytes)) = source.next(pace)? {
            let header = &located.header;
            let records = u64::try_from(header.records_count).unwrap_or(0);
            self.stats.bytes_read += bytes.len() as u64;
            self.stats.batches_read += 1;
            self.stats.records_read += records;
            let (mut verdict, index_changed) = self.judge(&located, bytes, &reading.path)?;
            verdict.stays_empty |= reading.is_last && located.end() == reading.info.size;
            let stays = self.pick(&located, bytes, verdict, &reading.path)?;
            if self.target.is_none() && (index_changed || stays != Stays::AsItIs) {
                let mut target = self.new_target()?;
                self.copy_before(&mut target, reading, located.position, pace)?;
                self.target = Some(target);
            }
            match stays {
                Stays::AsItIs => self.stats.records_kept += records,
                Stays::Records(_) => {
                    self.stats.records_kept +=
                        u64::from(self.buffers.kept.records().unsigned_abs());
                }
                Stays::Header | Stays::Nothing => {}
            }
            self.stats.batches_kept += u64::from(stays != Stays::Nothing);
            self.write(&located, bytes, stays, &reading.path, pace)?;
        }
        Ok(())
    }

    /// What the rules say of a batch, and whether an entry of the transaction index goes with it.
    fn judge(
        &mut self,
        located: &Located,
        bytes: &[u8],
        path: &Path,
    ) -> Result<(BatchVerdict, bool), CleaningError> {
        let header = &located.header;
        if !header.is_control() {
            let aborted = self.transactions.on_records(header);
            return Ok((self.rules.of_records(header, aborted), false));
        }
        let control = control_type(located, bytes, &mut self.buffers.looking, path)?;
        let marker = self.transactions.on_control(header, control);
        if let Marker::Stays(Some(transaction)) = marker {
            self.aborted.push(transaction);
        }
        let index_changed = marker == Marker::MayGo { was_indexed: true };
        Ok((self.rules.of_control(header, marker), index_changed))
    }

    /// Picks the records that stay.
    fn pick(
        &mut self,
        located: &Located,
        bytes: &[u8],
        verdict: BatchVerdict,
        path: &Path,
    ) -> Result<Stays, CleaningError> {
        let header = &located.header;
        let tombstones = match verdict.discards_records {
            true => {
                self.buffers.kept.clear();
                false
            }
            false => self.pick_records(located, bytes, path)?,
        };
        let kept = self.buffers.kept.records();
        let all = kept == header.records_count;
        if kept == 0 {
            return Ok(match verdict.stays_empty {
                true if all => Stays::AsItIs,
                true => Stays::Header,
                false => Stays::Nothing,
            });
        }
        let begins_horizon =
            (tombstones || verdict.is_spent_marker) && delete_horizon(header).is_none();
        Ok(match begins_horizon {
            true => {
                let retention_ms = self.place.config.delete_retention_ms;
                let horizon = self.rules.now.0.saturating_add(retention_ms);
                Stays::Records(Some(Timestamp(horizon)))
            }
            false if all => Stays::AsItIs,
            false => Stays::Records(None),
        })
    }

    /// Picks the records of a batch that is not discarded; says whether tombstones are among them.
    fn pick_records(
        &mut self,
        located: &Located,
        bytes: &[u8],
        path: &Path,
    ) -> Result<bool, CleaningError> {
        let header = &located.header;
        let fault = |fault| faulty(path, located, fault);
        let Buffers { looking, kept, .. } = &mut *self.buffers;
        kept.clear();
        let Looking { scratch, plain } = looking;
        let mut walk =
            plain_records(header, bytes, BATCH_BYTES_MAX, scratch, plain).map_err(fault)?;
        let horizon_passed = self.rules.horizon_passed(header);
        let mut tombstones = false;
        while let Some((record, place)) = walk.next().map_err(fault)? {
            let verdict = match header.is_control() {
                true => RecordVerdict::Stays,
                false => self.rules.of_record(header, horizon_passed, &record),
            };
            match verdict {
                RecordVerdict::Stays => {
                    // Behind what the map knows all about nobody has found it the latest yet.
                    tombstones |= record.value.is_none()
                        && header.base_offset + i64::from(record.offset_delta)
                            <= self.rules.map_until;
                    kept.keep(place, header.record_timestamp(record.timestamp_delta));
                }
                RecordVerdict::Goes => {}
                RecordVerdict::HasNoKey => self.stats.records_without_key += 1,
            }
        }
        Ok(tombstones)
    }

    /// Writes what was picked of a batch.
    fn write(
        &mut self,
        located: &Located,
        bytes: &[u8],
        stays: Stays,
        path: &Path,
        pace: &mut dyn Pace,
    ) -> Result<(), CleaningError> {
        let Some(target) = &mut self.target else {
            return Ok(());
        };
        let header = match stays {
            Stays::Nothing => return Ok(()),
            Stays::AsItIs => {
                target.out.extend_from_slice(bytes);
                located.header
            }
            Stays::Header => {
                let (header, bytes) = empty_batch(&located.header);
                target.out.extend_from_slice(&bytes);
                header
            }
            Stays::Records(horizon) => {
                let Buffers { looking, kept, .. } = &mut *self.buffers;
                // What a batch decompressed to is still there.
                let plain: &[u8] = match located.header.codec() {
                    Ok(crate::record::Codec::None) => {
                        bytes.get(crate::record::HEADER_SIZE..).unwrap_or_default()
                    }
                    _ => &looking.plain,
                };
                rewrite_batch(&located.header, plain, kept, horizon, &mut target.out)
                    .map_err(|error| not_built(path, located, error))?
            }
        };
        target.added(header, pace)
    }

    /// Writes the batches before `end`, which all stay as they are.
    fn copy_before(
        &mut self,
        target: &mut Target,
        reading: &Reading,
        end: u64,
        pace: &mut dyn Pace,
    ) -> Result<(), CleaningError> {
        let before = SegmentInfo {
            size: end,
            ..reading.info
        };
        let copied = &mut self.buffers.copied;
        let mut source = Source::new(Arc::clone(&reading.file), &before, 0, copied);
        while let Some((located, bytes)) = source.next(pace)? {
            target.out.extend_from_slice(bytes);
            target.added(located.header, pace)?;
        }
        Ok(())
    }

    /// Ends the group; none when everything stays as it is.
    pub(crate) fn finish(
        mut self,
        modified: Option<Timestamp>,
        pace: &mut dyn Pace,
    ) -> Result<Option<Finished>, CleaningError> {
        let Some(target) = self.target.take() else {
            return Ok(None);
        };
        let (finished, out) = target.finish(&self.aborted, modified, pace)?;
        self.buffers.out = out;
        self.stats.bytes_written += finished.info.size;
        self.stats.segments_written += 1;
        Ok(Some(finished))
    }
}

fn not_built(path: &Path, located: &Located, error: BuildError) -> CleaningError {
    match error {
        BuildError::TooLarge { bytes, .. } => CleaningError::TooLarge {
            path: path.to_owned(),
            position: located.position,
            bytes: bytes as u64,
            bytes_max: BATCH_BYTES_MAX as u64,
        },
        BuildError::Compression { .. } => {
            let source = io::Error::other(error);
            StorageError::from_io("write again", path, source).into()
        }
    }
}
