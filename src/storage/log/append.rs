//! Appending: giving a batch its offsets and writing it, once.
//!
//! The hot path of a broker: one vectored write of a 16-byte head and the batch's own bytes, no
//! copy, nothing allocated per record.

use std::io::IoSlice;
use std::sync::{Arc, Weak};

use crate::model::{LeaderEpoch, Offset, Timestamp};
use crate::record::{BatchHeader, ValidBatch, batches, verify_crc};
use crate::storage::StorageError;
use crate::storage::disk::DiskFile;
use crate::storage::offset_index::OffsetEntry;
use crate::storage::producer_state::SequenceError;
use crate::storage::segment::fits_relative;
use crate::storage::segment::names::FileKind;

use super::Log;
use super::view::RecentBatch;

/// Base offset, length and leader epoch: what a broker writes anew in front of a batch.
pub(super) const HEAD_SIZE: usize = 16;
/// From this size on blocks are reserved for a segment, as many again as it has: writing into reserved
/// blocks costs a third less. A segment that stays small takes no more than it has.
const RESERVED_FROM: u64 = 1 << 20;
/// The most that is reserved at once.
const RESERVED_STEP_MAX: u64 = 64 << 20;
/// Index entries that are gathered before they are written.
const INDEX_ENTRIES_PENDING_MAX: usize = 32;

/// Where a batch is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub first_offset: Offset,
    /// The offset of its last record.
    pub last_offset: Offset,
    /// Its largest timestamp: the time of append on topics that use it.
    pub timestamp: Timestamp,
    /// It was in the log already: nothing was written.
    pub duplicate: bool,
    /// A segment was closed: its flush is due, as Kafka's is.
    pub rolled: bool,
    /// Where the log begins.
    pub log_start_offset: Offset,
}

/// Why a batch was not appended; nothing of it is in the log.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The files could not take it.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The producer's sequence or epoch does not fit.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// RECORD_LIST_TOO_LARGE: no segment can hold it.
    #[error("a batch of {size} bytes does not fit into a segment of {segment_bytes}")]
    LargerThanSegment {
        /// Bytes of the batch.
        size: usize,
        /// `segment.bytes`.
        segment_bytes: u64,
    },
    /// A leader sent bytes that are no batches, or not those it means.
    #[error("the leader sent a damaged batch: {0}")]
    Damaged(String),
    /// A leader sent offsets that are in the log already.
    #[error("the leader sent offset {sent}, the log ends at {log_end_offset}")]
    OutOfOrder {
        /// The first offset that came.
        sent: Offset,
        /// The offset of the next record to be appended.
        log_end_offset: Offset,
    },
}

impl Log {
    /// Appends a batch a client sent: gives it offsets and the leader's epoch, unless its producer
    /// has it in the log already.
    ///
    /// # Errors
    /// Nothing was appended. After [`StorageError::OutOfSpace`] the next append may succeed, after
    /// other errors of the storage none does.
    pub fn append_as_leader(
        &mut self,
        batch: &ValidBatch,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        self.refuse_if_poisoned()?;
        if let Some(known) = self.check_producer(&batch.header, &batch.bytes)? {
            return Ok(Appended {
                first_offset: known.first_offset(),
                last_offset: known.last_offset,
                timestamp: known.timestamp,
                duplicate: true,
                rolled: false,
                log_start_offset: self.log_start_offset(),
            });
        }
        let header = BatchHeader {
            base_offset: self.log_end_offset,
            // A reign that has begun meanwhile has the batch: reigns never fall along a log.
            partition_leader_epoch: epoch.max(self.latest_epoch),
            ..batch.header
        };
        self.store(&header, &batch.bytes, now)
    }

    /// Whether appending this batch would make files, which may block for long: the directory, or
    /// the next segment.
    pub fn makes_files(&self, header: &BatchHeader, now: Timestamp) -> bool {
        let placed = BatchHeader {
            base_offset: self.log_end_offset,
            ..*header
        };
        self.active
            .as_ref()
            .is_none_or(|active| active.should_roll(&placed, &self.config, now))
    }

    /// Appends batches a leader sent, with the offsets and epochs it gave them. A partial batch at
    /// the end is left out. Batches before one that is refused stay appended.
    ///
    /// # Errors
    /// As [`Self::append_as_leader`], and when bytes or offsets are not what a leader sends.
    pub fn append_as_follower(
        &mut self,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Option<Appended>, AppendError> {
        self.refuse_if_poisoned()?;
        let mut whole: Option<Appended> = None;
        for batch in batches(bytes) {
            let (header, batch) = batch.map_err(|error| AppendError::Damaged(error.to_string()))?;
            if !verify_crc(batch) || header.last_offset_delta < 0 {
                let offset = header.base_offset;
                return Err(AppendError::Damaged(format!("at offset {offset}")));
            }
            if header.base_offset < self.log_end_offset {
                return Err(AppendError::OutOfOrder {
                    sent: header.base_offset,
                    log_end_offset: self.log_end_offset,
                });
            }
            let appended = self.store(&header, batch, now)?;
            whole = Some(match whole {
                None => appended,
                Some(earlier) => Appended {
                    last_offset: appended.last_offset,
                    timestamp: appended.timestamp.max(earlier.timestamp),
                    rolled: appended.rolled || earlier.rolled,
                    ..earlier
                },
            });
        }
        Ok(whole)
    }

    /// Writes a batch whose header has its final offset and epoch.
    fn store(
        &mut self,
        header: &BatchHeader,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Appended, AppendError> {
        if bytes.len() as u64 > self.config.segment_bytes {
            return Err(AppendError::LargerThanSegment {
                size: bytes.len(),
                segment_bytes: self.config.segment_bytes,
            });
        }
        let rolled = self.prepare_segment(header, now)?;
        let new_epoch = header.partition_leader_epoch > self.latest_epoch;
        if new_epoch {
            self.note_epoch(header.partition_leader_epoch, header.base_offset);
        }
        if self.owes_epochs() {
            self.write_epochs()?;
        }
        let indexed = self.index_what_it_aborts(header, bytes)?;
        if let Err(error) = self.write(header, bytes) {
            if indexed && !self.poisoned {
                self.unindex_from(header.base_offset)?;
            }
            return Err(error.into());
        }
        let appended = self.publish(header, bytes, now);
        Ok(Appended { rolled, ..appended })
    }

    /// Has a segment that takes the batch; says whether one was closed for it.
    fn prepare_segment(
        &mut self,
        header: &BatchHeader,
        now: Timestamp,
    ) -> Result<bool, StorageError> {
        match &self.active {
            Some(active) if !active.should_roll(header, &self.config, now) => Ok(false),
            Some(_) => {
                // Segments follow each other without a gap, so that recovery can see a hole; only
                // a follower of a compacted log can get an offset too far away for that.
                let base_offset = match fits_relative(self.log_end_offset, header.last_offset()) {
                    true => self.log_end_offset,
                    false => header.base_offset,
                };
                self.roll_to(base_offset, now)
            }
            None => {
                self.make_first_segment(header.base_offset, now)?;
                Ok(false)
            }
        }
    }

    /// One write at the end of the active segment. After an error the file is as it was before, or
    /// the log is poisoned.
    fn write(&mut self, header: &BatchHeader, bytes: &[u8]) -> Result<(), StorageError> {
        let (log, position) = self.writable_log()?;
        let head = head_of(header);
        let slices = [IoSlice::new(&head), IoSlice::new(body_of(bytes))];
        log.write_at(&slices, position)
            .map_err(|error| self.take_back(&*log, position, error))
    }

    /// The open file of the active segment with blocks for a while, and where to write.
    pub(super) fn writable_log(&mut self) -> Result<(Arc<dyn DiskFile>, u64), StorageError> {
        let Some(active) = &mut self.active else {
            return Err(StorageError::NotFound {
                path: self.shared.directory.clone(),
            });
        };
        let log = match active.log.as_ref().and_then(Weak::upgrade) {
            Some(log) => {
                self.shared.handles.mark_used();
                log
            }
            None => {
                let log = self.shared.handle(active.base_offset, FileKind::Log);
                let log = match log {
                    Ok(log) => log,
                    Err(error) => return self.note_failure(Err(error)),
                };
                active.log = Some(Arc::downgrade(&log));
                log
            }
        };
        let position = active.size;
        let whole = self.config.preallocate.then_some(self.config.segment_bytes);
        let outgrown = position >= RESERVED_FROM && position >= active.allocated;
        let reserve = match whole {
            Some(whole) if active.allocated < whole => Some(whole - active.allocated),
            _ if outgrown => {
                let left = self.config.segment_bytes.saturating_sub(position);
                Some(position.min(RESERVED_STEP_MAX).min(left))
            }
            _ => None,
        };
        if let Some(length) = reserve.filter(|length| *length > 0) {
            let from = active.allocated.max(position);
            active.allocated = from + length;
            let allocated = log.allocate(from, length);
            self.note_failure(allocated)?;
        }
        Ok((log, position))
    }

    /// A write failed: without space the file is cut back to its whole batches, and blocks that
    /// were only reserved are given back, too. Anything else poisons the log.
    pub(super) fn take_back(
        &mut self,
        log: &dyn DiskFile,
        size: u64,
        error: StorageError,
    ) -> StorageError {
        if !error.is_out_of_space() || log.truncate(size).is_err() {
            self.poisoned = true;
            return error;
        }
        if let Some(active) = &mut self.active {
            active.allocated = size;
        }
        error
    }

    /// Shows a written batch to readers and indexes it.
    pub(super) fn publish(
        &mut self,
        header: &BatchHeader,
        bytes: &[u8],
        now: Timestamp,
    ) -> Appended {
        let mut appended = Appended {
            first_offset: header.base_offset,
            last_offset: header.last_offset(),
            timestamp: header.max_timestamp,
            duplicate: false,
            rolled: false,
            log_start_offset: Offset::ZERO,
        };
        let size = bytes.len() as u64;
        self.log_end_offset = header.next_offset();
        self.bytes_appended += size;
        self.unflushed_since.get_or_insert(now);
        let Some(active) = &mut self.active else {
            appended.log_start_offset = self.log_start_offset();
            return appended;
        };
        let position = active.size;
        let due = active.note(header, &self.config);
        let (size, max_timestamp) = (active.size, active.max_timestamp);
        let pending = {
            let mut view = self.shared.view();
            view.log_end_offset = self.log_end_offset;
            if let Some(info) = view.segments.last_mut() {
                info.size = size;
                info.max_timestamp = Some(max_timestamp);
            }
            view.tail.push(RecentBatch {
                base_offset: header.base_offset,
                next_offset: header.next_offset(),
                position,
                end: size,
            });
            if due.offset {
                view.tail.pending_offsets.push(OffsetEntry {
                    offset: header.last_offset(),
                    // Segments are smaller than what 31 bits can say: `segment.bytes` is an int.
                    position: u32::try_from(position).unwrap_or(u32::MAX),
                });
            }
            view.tail.pending_times.extend(due.time);
            appended.log_start_offset = view.log_start_offset;
            view.tail.pending_offsets.len()
        };
        self.note_producer(header, bytes);
        if pending >= INDEX_ENTRIES_PENDING_MAX {
            self.write_pending_indexes_or_keep();
        }
        appended
    }

    /// The batch is in the log, whatever happens to its index entry: without space it stays in
    /// memory, after a failure the log is poisoned for the next append.
    fn write_pending_indexes_or_keep(&mut self) {
        if let Err(error) = self.write_pending_indexes() {
            log::warn!("index entries are not written: {error}");
        }
    }
}

/// What a broker writes in front of a batch's own bytes.
pub(super) fn head_of(header: &BatchHeader) -> [u8; HEAD_SIZE] {
    let mut head = [0; HEAD_SIZE];
    head[..8].copy_from_slice(&header.base_offset.0.to_be_bytes());
    head[8..12].copy_from_slice(&header.batch_length.to_be_bytes());
    head[12..].copy_from_slice(&header.partition_leader_epoch.0.to_be_bytes());
    head
}

/// A batch's own bytes behind that.
pub(super) fn body_of(bytes: &[u8]) -> &[u8] {
    bytes.get(HEAD_SIZE..).unwrap_or_default()
}
