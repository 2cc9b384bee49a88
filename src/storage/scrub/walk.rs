//! Walking over the batches of a segment that may be damaged.
//!
//! Used by inspections, by recovery and by `milena storage verify`. Every batch is checked: frame,
//! checksum, and what the checksum does not cover, which is its offset (offsets rise, up to where
//! the next segment begins) and its leader epoch (as the checkpoint says). Behind bytes that are no
//! batch the next right one is looked for. Invariant: every byte of the file is in exactly one
//! batch or one gap, in order; memory is one window.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::model::{LeaderEpoch, Offset};
use crate::record::{BatchChecksum, BatchError, BatchHeader, HEADER_SIZE};
use crate::storage::StorageError;
use crate::storage::disk::DiskFile;
use crate::storage::leader_epochs::LeaderEpochs;
use crate::storage::segment::fits_relative;
use crate::storage::segment::scan::Located;

use super::window::Window;

/// Bytes after which a step ends.
const STEP_BYTES: u64 = 1 << 20;
/// Where the magic byte and the length of a batch are: what a search looks at first.
const MAGIC_AT: usize = 16;
const LENGTH_AT: usize = 8;
/// Bytes of would-be batches that a search checks in one segment before it gives the rest up: else
/// records made to look like batches could keep it busy for hours.
const SEARCHED_BYTES_MAX: u64 = 4 << 30;

/// What is wrong with the bytes where a batch should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// They are no batch.
    #[error("no batch: {0}")]
    Frame(BatchError),
    /// The batch claims to go on behind the end of the file.
    #[error("the batch claims {size} bytes where the file has {left} left")]
    Partial {
        /// What it claims.
        size: u64,
        /// What there is.
        left: u64,
    },
    /// The bytes are not those that were appended.
    #[error("the checksum of the batch at offset {0} is wrong")]
    Checksum(Offset),
    /// Its offsets are taken, or belong to the next segment.
    #[error(
        "the batch claims the offsets {first} to {last}, where {expected} or more was expected"
    )]
    Offsets {
        /// The first it claims.
        first: Offset,
        /// The last it claims.
        last: Offset,
        /// The lowest that was free.
        expected: Offset,
    },
    /// It claims another reign than the one its offset was written in.
    #[error("the batch at offset {offset} claims leader epoch {claimed}, where {known} was the leader's", claimed = .claimed.0, known = .known.0)]
    Epoch {
        /// Its first offset.
        offset: Offset,
        /// What it claims.
        claimed: LeaderEpoch,
        /// What the checkpoint says.
        known: LeaderEpoch,
    },
    /// The device does not give them.
    #[error("{0}")]
    Unreadable(String),
}

/// Bytes that are not the batches they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    /// The first byte that cannot be believed.
    pub(crate) position: u64,
    /// Where the next right batch begins, or the segment ends.
    pub(crate) end: u64,
    /// The first offset that may be in there.
    pub(crate) first_offset: Offset,
    /// The first offset behind; the same as the first when nothing is known to be behind.
    pub(crate) next_offset: Offset,
    /// What is wrong at its beginning.
    pub(crate) fault: Fault,
}

/// What a walk comes to next.
#[derive(Debug)]
pub(crate) enum Step {
    /// A batch that is whole and right.
    Batch(Located),
    /// Bytes that are none.
    Gap(Gap),
    /// Nothing yet: enough was read for one turn.
    Pause,
    /// The end of the segment.
    End,
}

/// What is known of a segment from outside.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    /// The offset in its name.
    pub(crate) base_offset: Offset,
    /// Bytes of it.
    pub(crate) length: u64,
    /// Where the next segment begins, or the log ends, where that is known.
    pub(crate) next: Option<Offset>,
    /// The reigns of the log; of what they do not know nothing is said.
    pub(crate) epochs: LeaderEpochs,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Walk {
    extent: Extent,
    window: Window,
    position: u64,
    /// The lowest offset the next batch may have, apart from the held one.
    expected: Offset,
    /// A right batch that is told once the next one does not contradict it.
    held: Option<Held>,
    search: Option<Search>,
    searched: u64,
    ready: VecDeque<Step>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    located: Located,
    /// What was expected where it is.
    expected: Offset,
}

#[derive(Debug)]
struct Search {
    gap: Gap,
    at: u64,
}

struct Judged {
    header: Option<BatchHeader>,
    fault: Option<Fault>,
}

impl Walk {
    /// Walks from the beginning of a segment's file.
    pub(crate) fn new(file: Arc<dyn DiskFile>, extent: Extent) -> Walk {
        Walk {
            window: Window::new(file, extent.length),
            position: 0,
            expected: extent.base_offset,
            held: None,
            search: None,
            searched: 0,
            ready: VecDeque::new(),
            extent,
        }
    }

    /// How many bytes were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.window.bytes_read()
    }

    /// The file.
    pub(crate) fn file(&self) -> &Arc<dyn DiskFile> {
        self.window.file()
    }

    /// Goes on, for about a megabyte.
    ///
    /// # Errors
    /// When the file cannot be read at all, or is gone.
    pub(crate) fn next(&mut self) -> Result<Step, StorageError> {
        let until = self.window.bytes_read() + STEP_BYTES;
        loop {
            if let Some(step) = self.ready.pop_front() {
                return Ok(step);
            }
            if self.window.bytes_read() > until {
                return Ok(Step::Pause);
            }
            if let Some(search) = self.search.take() {
                self.go_on_searching(search)?;
            } else if self.position < self.extent.length {
                self.look()?;
            } else {
                let held = self.held.take();
                return Ok(held.map_or(Step::End, |held| Step::Batch(held.located)));
            }
        }
    }

    /// Judges what is at the walk's position.
    fn look(&mut self) -> Result<(), StorageError> {
        let expected = self.expected_now();
        let judged = self.judge(self.position, expected)?;
        let Some(fault) = judged.fault else {
            if let Some(header) = judged.header {
                self.hold(header, expected);
            }
            return Ok(());
        };
        if let (Fault::Offsets { .. }, Some(header), Some(held)) =
            (&fault, &judged.header, self.held)
            && self.may_contradict(header, &held)
        {
            self.blame(held, *header, fault);
            return Ok(());
        }
        self.let_go();
        self.begin_search(self.position, expected, fault, judged.header)
    }

    fn expected_now(&self) -> Offset {
        let behind = |held: Held| held.located.header.next_offset();
        self.held.map_or(self.expected, behind)
    }

    fn hold(&mut self, header: BatchHeader, expected: Offset) {
        self.let_go();
        let located = Located {
            header,
            position: self.position,
        };
        self.position = located.end();
        self.held = Some(Held { located, expected });
    }

    /// Tells the held batch: nothing contradicts it.
    fn let_go(&mut self) {
        if let Some(held) = self.held.take() {
            self.expected = held.located.header.next_offset();
            self.ready.push_back(Step::Batch(held.located));
        }
    }

    /// Whether a batch that claims offsets of the one before it may be right, and that one wrong,
    /// because a gap is in front of that one.
    fn may_contradict(&self, header: &BatchHeader, held: &Held) -> bool {
        let free = held.expected;
        held.located.header.base_offset > free
            && header.base_offset >= free
            && self.offsets_fault(header, free).is_none()
    }

    /// Two neighbours claim the same offsets. Where the first one, moved down to where it was
    /// expected, fits before the second without a gap, it is the wrong one; else nobody knows.
    fn blame(&mut self, held: Held, second: BatchHeader, fault: Fault) {
        self.held = None;
        let first = held.located.header;
        let fits = held.expected + (first.next_offset() - first.base_offset) == second.base_offset;
        let gap = Gap {
            position: held.located.position,
            end: self.position,
            first_offset: held.expected,
            next_offset: second.base_offset,
            fault: Fault::Offsets {
                first: first.base_offset,
                last: first.last_offset(),
                expected: held.expected,
            },
        };
        self.expected = held.expected;
        if fits {
            self.ready.push_back(Step::Gap(gap));
            return;
        }
        let at = self.position + second.size() as u64;
        self.search = Some(Search {
            gap: Gap { fault, ..gap },
            at,
        });
    }

    /// Looks for the end of a gap. Where the frame of the wrong batch leads to a right one that
    /// follows it without a gap, the frame is right.
    fn begin_search(
        &mut self,
        position: u64,
        first_offset: Offset,
        fault: Fault,
        header: Option<BatchHeader>,
    ) -> Result<(), StorageError> {
        let framed = header.filter(|header| header.base_offset == first_offset);
        let framed = framed.map(|header| (position + header.size() as u64, header.next_offset()));
        let gap = Gap {
            position,
            end: position,
            first_offset,
            next_offset: first_offset,
            fault,
        };
        self.expected = first_offset;
        let mut at = position + 1;
        if let Some((end, next_offset)) = framed.filter(|(end, _)| *end <= self.extent.length) {
            let ends_with = end == self.extent.length && self.extent.next == Some(next_offset);
            let behind = self.judge(end, first_offset)?;
            let follows = behind.fault.is_none()
                && behind
                    .header
                    .is_some_and(|header| header.base_offset == next_offset);
            if ends_with || follows {
                at = end;
            }
        }
        self.search = Some(Search { gap, at });
        Ok(())
    }

    /// Looks at the next bytes of a search: what may be a batch is checked as one.
    fn go_on_searching(&mut self, mut search: Search) -> Result<(), StorageError> {
        let end = self.extent.length;
        if end.saturating_sub(search.at) < HEADER_SIZE as u64 || self.searched > SEARCHED_BYTES_MAX
        {
            let next_offset = self.extent.next.unwrap_or(search.gap.first_offset);
            self.end_gap(search.gap, end, next_offset);
            return Ok(());
        }
        let (extent, first) = (&self.extent, search.gap.first_offset);
        let bytes = self.window.get(search.at, HEADER_SIZE)?;
        let starts = bytes.len().saturating_sub(HEADER_SIZE - 1);
        let left = end - search.at;
        let found = (0..starts).find(|at| {
            let bytes = &bytes[*at..];
            bytes[MAGIC_AT] == 2 && may_be_batch(bytes, left - *at as u64, first, extent)
        });
        let Some(skipped) = found else {
            // A file that is shorter than it was has nothing to search.
            search.at = if starts == 0 {
                end
            } else {
                search.at + starts as u64
            };
            self.search = Some(search);
            return Ok(());
        };
        search.at += skipped as u64;
        let judged = self.judge(search.at, first)?;
        match (judged.fault, judged.header) {
            (None, Some(header)) => self.end_gap(search.gap, search.at, header.base_offset),
            (_, header) => {
                self.searched += header.map_or(1, |header| header.size() as u64);
                search.at += 1;
                self.search = Some(search);
            }
        }
        Ok(())
    }

    fn end_gap(&mut self, gap: Gap, end: u64, next_offset: Offset) {
        self.position = end;
        self.ready.push_back(Step::Gap(Gap {
            end,
            next_offset: next_offset.max(gap.first_offset),
            ..gap
        }));
    }

    /// What is at a position, and whether it is what it should be.
    fn judge(&mut self, position: u64, expected: Offset) -> Result<Judged, StorageError> {
        let left = self.extent.length.saturating_sub(position);
        let head = self.window.get(position, HEADER_SIZE)?;
        let header = match BatchHeader::parse(head) {
            Ok(header) => header,
            Err(error) => {
                let fault = self.trouble_or(Fault::Frame(error));
                return Ok(Judged {
                    header: None,
                    fault: Some(fault),
                });
            }
        };
        let size = header.size() as u64;
        let fault = if size > left {
            Some(self.trouble_or(Fault::Partial { size, left }))
        } else if !self.checksum_fits(position, &header)? {
            Some(self.trouble_or(Fault::Checksum(header.base_offset)))
        } else {
            self.offsets_fault(&header, expected)
                .or_else(|| self.epoch_fault(&header))
        };
        Ok(Judged {
            // A frame that cannot be believed leads nowhere.
            header: Some(header).filter(|_| size <= left),
            fault,
        })
    }

    fn trouble_or(&mut self, fault: Fault) -> Fault {
        let trouble = self.window.take_trouble();
        trouble.map_or(fault, Fault::Unreadable)
    }

    fn checksum_fits(&mut self, position: u64, header: &BatchHeader) -> Result<bool, StorageError> {
        let mut checksum = BatchChecksum::new();
        let mut at = position + BatchChecksum::COVERS_FROM as u64;
        let end = position + header.size() as u64;
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX);
            let bytes = self.window.get(at, 1)?;
            let bytes = &bytes[..bytes.len().min(left)];
            if bytes.is_empty() {
                return Ok(false);
            }
            checksum.update(bytes);
            at += bytes.len() as u64;
        }
        Ok(checksum.fits(header))
    }

    fn offsets_fault(&self, header: &BatchHeader, expected: Offset) -> Option<Fault> {
        let (first, last) = (header.base_offset, header.last_offset());
        let rises = first >= expected && header.last_offset_delta >= 0;
        let inside = self.extent.next.is_none_or(|next| last < next)
            && fits_relative(self.extent.base_offset, last);
        (!rises || !inside).then_some(Fault::Offsets {
            first,
            last,
            expected,
        })
    }

    fn epoch_fault(&self, header: &BatchHeader) -> Option<Fault> {
        let known = self.extent.epochs.epoch_for(header.base_offset)?;
        let claimed = header.partition_leader_epoch;
        (known != claimed).then_some(Fault::Epoch {
            offset: header.base_offset,
            claimed,
            known,
        })
    }
}

/// Whether bytes begin as a batch of this segment would: cheap, and almost never true of others.
fn may_be_batch(bytes: &[u8], left: u64, first: Offset, extent: &Extent) -> bool {
    let (Some(offset), Some(length)) = (
        bytes.first_chunk::<8>().copied().map(i64::from_be_bytes),
        bytes.get(LENGTH_AT..).and_then(<[u8]>::first_chunk::<4>),
    ) else {
        return false;
    };
    let size = u64::from(u32::from_be_bytes(*length)) + 12;
    let offset = Offset(offset);
    (HEADER_SIZE as u64..=left).contains(&size)
        && offset >= first
        && extent.next.is_none_or(|next| offset < next)
        && fits_relative(extent.base_offset, offset)
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
