//! Reading a log beside its writer: which bytes answer a fetch.
//!
//! Owned by partitions and front desks, as many clones as they like. Near the end of the log it
//! answers from memory; further back with a few small reads of index and headers.

use std::sync::Arc;

use crate::model::{LeaderEpoch, Offset};
use crate::storage::StorageError;
use crate::storage::disk::DiskFile;
use crate::storage::offset_index::OffsetEntry;
use crate::storage::read_plan::ReadPlan;
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::FileKind;
use crate::storage::segment::scan::Located;
use crate::storage::segment::search::{Boundary, SegmentSearch};

use super::damage::{Damage, Island};
use super::view::{Shared, View};

/// Bytes behind the tail that are taken for being in memory.
const WARM_BYTES: u64 = 16 << 20;
/// How often a plan is made anew because a segment vanished between the look and the open.
const ATTEMPTS: usize = 3;

/// Why a read is refused.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// OFFSET_OUT_OF_RANGE: the log has no such offset, and will not have it next.
    #[error(
        "offset {offset} is outside of the log, which has {log_start_offset} to {log_end_offset}"
    )]
    OffsetOutOfRange {
        /// What was asked for.
        offset: Offset,
        /// The first offset there is.
        log_start_offset: Offset,
        /// The offset of the next record to be appended.
        log_end_offset: Offset,
    },
    /// CORRUPT_MESSAGE: the next batch lies in bytes that are known to be damaged.
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// The files could not be read.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A log for reading. Clones are cheap and may live on any thread.
#[derive(Debug, Clone)]
pub struct LogReader {
    pub(super) shared: Arc<Shared>,
}

/// What a fetch asks of one log.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    from: Offset,
    bytes_max: u64,
    /// The end of what may be read: the bound, or the end of the log.
    upper: Offset,
    min_one_batch: bool,
}

/// What one look at the view says about a fetch.
enum Look {
    /// There is nothing to read.
    Nothing,
    /// The range is among the newest batches.
    Tail {
        segment: Offset,
        start: u64,
        end: Boundary,
        warm: bool,
    },
    /// The range is somewhere in this segment.
    Segment {
        info: SegmentInfo,
        pending: Vec<OffsetEntry>,
        /// Where the readable part of the segment ends, if that is known.
        end: Option<Boundary>,
        /// The segment behind it.
        next: Option<Offset>,
        /// From this position on, bytes are surely in memory.
        warm_from: u64,
        /// Where the range probably begins: where the read before it ended.
        begins: Option<u64>,
        /// The part of the segment that may be read.
        island: Island,
        /// What of the view this is.
        replacements: u64,
    },
}

impl LogReader {
    /// The place where the log is now: it may have moved since this reader was made.
    fn home(&self) -> &Arc<Shared> {
        let mut home = &self.shared;
        while let Some(next) = home.successor.get() {
            home = next;
        }
        home
    }

    /// Whether the log lives in another directory now.
    pub(super) fn has_moved(&self) -> bool {
        self.shared.successor.get().is_some()
    }

    /// A reader of the place where the log is now, which does not follow it further: what it sees
    /// fits together.
    pub(super) fn at_home(&self) -> LogReader {
        LogReader {
            shared: Arc::clone(self.home()),
        }
    }

    /// Asks where the log is now, and once more if it moved meanwhile.
    pub(super) fn follow<T>(
        &self,
        question: impl Fn(&LogReader) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let reader = self.at_home();
        match question(&reader) {
            Err(_) if reader.shared.successor.get().is_some() => question(&self.at_home()),
            answer => answer,
        }
    }

    /// The first offset there is.
    pub fn log_start_offset(&self) -> Offset {
        self.home().view().log_start_offset
    }

    /// The offset of the next record to be appended.
    pub fn log_end_offset(&self) -> Offset {
        self.home().view().log_end_offset
    }

    /// Where the log starts and ends, both of the same moment.
    pub fn bounds(&self) -> (Offset, Offset) {
        let view = self.home().view();
        (view.log_start_offset, view.log_end_offset)
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.home().view().size()
    }

    /// The newest leader epoch that has, or is about to have, records.
    pub fn latest_epoch(&self) -> Option<LeaderEpoch> {
        self.home().view().epochs.latest().map(|entry| entry.epoch)
    }

    /// Where the reign of `epoch`, or the last one before it, ended (OffsetForLeaderEpoch, KIP-101).
    pub fn end_offset_for_epoch(&self, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let view = self.home().view();
        view.epochs.end_offset_for(epoch, view.log_end_offset)
    }

    /// The reign in which an offset was written.
    pub fn epoch_for(&self, offset: Offset) -> Option<LeaderEpoch> {
        self.home().view().epochs.epoch_for(offset)
    }

    /// Finds the batches from the one that contains `from`, or the next that exists, on: at most
    /// `bytes_max` bytes of whole batches below `bound`, from one segment. When the first batch
    /// alone is larger, it comes whole if `min_one_batch` says so (KIP-74), else nothing does.
    ///
    /// # Errors
    /// When the log does not reach `from`, or the next batch is damaged, or files cannot be read.
    pub fn plan(
        &self,
        from: Offset,
        bytes_max: usize,
        bound: Offset,
        min_one_batch: bool,
    ) -> Result<ReadPlan, ReadError> {
        let mut attempt = 1;
        loop {
            let reader = self.at_home();
            match reader.try_plan(from, bytes_max, bound, min_one_batch) {
                // The segment was deleted, cut or moved between the look and the reading: look again.
                Err(ReadError::Storage(
                    StorageError::NotFound { .. } | StorageError::Corrupt { .. },
                )) if attempt < ATTEMPTS => attempt += 1,
                Err(error @ ReadError::Storage(StorageError::Corrupt { .. })) => {
                    reader.shared.suspect(from);
                    return Err(error);
                }
                other => return other,
            }
        }
    }

    fn try_plan(
        &self,
        from: Offset,
        bytes_max: usize,
        bound: Offset,
        min_one_batch: bool,
    ) -> Result<ReadPlan, ReadError> {
        let (mut wanted, mut plan) = {
            let view = self.shared.view();
            let plan = empty_plan(&view, from)?;
            let wanted = Wanted {
                from,
                bytes_max: bytes_max as u64,
                upper: bound.min(view.log_end_offset),
                min_one_batch,
            };
            (wanted, plan)
        };
        while let Some(next) = self.look_once(&wanted, &mut plan)? {
            wanted.from = next;
        }
        Ok(plan)
    }

    /// Fills the plan from one segment; the next segment's base when compaction took all that this
    /// one had from the wanted offset on.
    fn look_once(&self, wanted: &Wanted, plan: &mut ReadPlan) -> Result<Option<Offset>, ReadError> {
        let look = look(&mut self.shared.view(), wanted)?;
        match look {
            Look::Nothing => Ok(None),
            Look::Tail {
                segment,
                start,
                end,
                warm,
            } => {
                let log = self.shared.handle(segment, FileKind::Log)?;
                fill(plan, log, start, end, warm);
                Ok(None)
            }
            Look::Segment {
                info,
                pending,
                end,
                next,
                warm_from,
                begins,
                island,
                replacements,
            } => {
                let search = self.shared.search(info, pending, &island)?;
                if self.shared.view().replacements != replacements {
                    // The files may be those of the segment that took the place of this one.
                    let path = search.log.path().to_owned();
                    return Err(StorageError::NotFound { path }.into());
                }
                let Some(first) = first_of(&search, begins, wanted.from)? else {
                    return match island.ends_at {
                        Some(damage) => Err(ReadError::Damaged(damage)),
                        None => Ok(next),
                    };
                };
                let end = end_of(&search, first, end, &wanted.up_to(&island))?;
                let warm = first.position >= warm_from;
                let mut view = self.shared.view();
                let (offset, position) = (end.next_offset, end.position);
                if view.replacements == replacements {
                    view.tail.note_sequel(info.base_offset, offset, position);
                }
                drop(view);
                fill(plan, search.log, first.position, end, warm);
                Ok(None)
            }
        }
    }
}

fn empty_plan(view: &View, from: Offset) -> Result<ReadPlan, ReadError> {
    let (log_start_offset, log_end_offset) = (view.log_start_offset, view.log_end_offset);
    if from < log_start_offset || from > log_end_offset {
        return Err(ReadError::OffsetOutOfRange {
            offset: from,
            log_start_offset,
            log_end_offset,
        });
    }
    Ok(ReadPlan {
        range: None,
        length: 0,
        next_offset: from,
        warm: true,
        log_start_offset,
        log_end_offset,
    })
}

fn fill(plan: &mut ReadPlan, log: Arc<dyn DiskFile>, start: u64, end: Boundary, warm: bool) {
    let length = end.position.saturating_sub(start);
    plan.length = usize::try_from(length).unwrap_or(0);
    if plan.length > 0 {
        plan.range = Some((log, start));
        plan.next_offset = end.next_offset;
        plan.warm = warm;
    }
}

impl Wanted {
    /// The same, but no further than the damaged range behind.
    fn up_to(&self, island: &Island) -> Wanted {
        let stop = island.ends_at.as_ref().map(|damage| damage.first_offset);
        Wanted {
            upper: stop.map_or(self.upper, |stop| self.upper.min(stop)),
            ..*self
        }
    }
}

fn look(view: &mut View, wanted: &Wanted) -> Result<Look, ReadError> {
    if wanted.from >= wanted.upper {
        return Ok(Look::Nothing);
    }
    let Some(at) = view.segment_at(wanted.from) else {
        return Ok(Look::Nothing);
    };
    let info = view.segments[at];
    let next = view.segments.get(at + 1).map(|next| next.base_offset);
    let warm_from = match next {
        Some(_) => u64::MAX,
        None => view
            .tail
            .written_from
            .max(info.size.saturating_sub(WARM_BYTES)),
    };
    let island = view.damages.island(info.base_offset, wanted.from);
    let island = island.map_err(ReadError::Damaged)?;
    let wanted = wanted.up_to(&island);
    if next.is_none()
        && !view.damages.touch(info.base_offset)
        && let Some((start, end)) = in_tail(view, &wanted)
    {
        return Ok(Look::Tail {
            segment: info.base_offset,
            start,
            end,
            warm: start >= warm_from,
        });
    }
    let mut end = readable_end(view, &info, next, wanted.upper);
    if let (Some(end), Some(damage)) = (&mut end, &island.ends_at) {
        end.position = end.position.min(damage.position);
    }
    Ok(Look::Segment {
        info,
        pending: view.pending_of(at),
        end,
        next,
        warm_from,
        begins: view.tail.take_sequel(info.base_offset, wanted.from),
        island,
        replacements: view.replacements,
    })
}

/// The batch with which a range begins.
fn first_of(
    search: &SegmentSearch,
    begins: Option<u64>,
    from: Offset,
) -> Result<Option<Located>, StorageError> {
    if let Some(position) = begins
        && let Some(first) = search.batch_at(position, from)?
    {
        return Ok(Some(first));
    }
    search.batch_reaching(from)
}

/// Answers from the newest batches, if they reach back far enough.
fn in_tail(view: &View, wanted: &Wanted) -> Option<(u64, Boundary)> {
    let recent = &view.tail.recent;
    if recent.front()?.base_offset > wanted.from {
        return None;
    }
    let first = recent.partition_point(|batch| batch.next_offset <= wanted.from);
    let start = recent.get(first)?.position;
    let limit = start.saturating_add(wanted.bytes_max);
    let readable = recent.partition_point(|batch| batch.next_offset <= wanted.upper);
    let fitting = recent.partition_point(|batch| batch.end <= limit);
    let at_least = if wanted.min_one_batch { first + 1 } else { 0 };
    let behind = readable.min(fitting.max(at_least));
    let last = recent.get(behind.checked_sub(1)?)?;
    let end = Boundary {
        position: last.end.max(start),
        next_offset: last.next_offset,
    };
    Some((start, end))
}

/// Where the readable part of a segment ends, as far as the view knows.
fn readable_end(
    view: &View,
    info: &SegmentInfo,
    next: Option<Offset>,
    upper: Offset,
) -> Option<Boundary> {
    let end = next.unwrap_or(view.log_end_offset);
    if end <= upper {
        return Some(Boundary {
            position: info.size,
            next_offset: end,
        });
    }
    let recent = &view.tail.recent;
    if next.is_some() || recent.front()?.base_offset > upper {
        return None;
    }
    let behind = recent.partition_point(|batch| batch.next_offset <= upper);
    recent.get(behind).map(|batch| Boundary {
        position: batch.position,
        next_offset: batch.base_offset,
    })
}

/// Where a range that begins with the batch `first` ends.
fn end_of(
    search: &SegmentSearch,
    first: Located,
    readable: Option<Boundary>,
    wanted: &Wanted,
) -> Result<Boundary, StorageError> {
    let nothing = Boundary {
        position: first.position,
        next_offset: wanted.from,
    };
    let readable = match readable {
        Some(boundary) => boundary,
        None => match search.batch_reaching(wanted.upper)? {
            Some(batch) => Boundary {
                position: batch.position,
                next_offset: batch.header.base_offset,
            },
            None => Boundary {
                position: search.info.size,
                next_offset: wanted.upper,
            },
        },
    };
    if readable.position <= first.position {
        return Ok(nothing);
    }
    let limit = first.position.saturating_add(wanted.bytes_max);
    if readable.position <= limit {
        return Ok(readable);
    }
    if first.end() > limit {
        return Ok(match wanted.min_one_batch {
            true => Boundary {
                position: first.end(),
                next_offset: first.header.next_offset(),
            },
            false => nothing,
        });
    }
    search.boundary_before(first, limit)
}
