//! Ranges of a log that are known to be damaged: kept, answered for, and forgotten again.
//!
//! A range is found by an [`Inspection`] of its segment, which whoever meets an impossible batch asks
//! for ([`LogReader::suspect`]) and the scrubber makes of all segments in turn. Invariant: while a
//! range is known no reader is given a byte of it; what lies before and behind is served. Nothing is
//! cut off: the bytes stay as they are, for somebody to restore or to look at.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use crate::model::Offset;
use crate::storage::StorageError;
use crate::storage::disk::OpenMode;
use crate::storage::recovery::RecoveryReport;
use crate::storage::scrub::walk::{Extent, Gap, Step, Walk};
use crate::storage::segment::SegmentInfo;
use crate::storage::segment::names::{FileKind, FileName};

use super::view::{Shared, View};
use super::{Log, LogReader};

/// Ranges of one segment that are told apart; what is damaged behind them is one range with the last.
const RANGES_MAX: usize = 256;

/// Bytes of a log that are not the batches they should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The offset in the segment's name.
    pub segment: Offset,
    /// The first byte of the segment's file that cannot be believed.
    pub position: u64,
    /// Where the next whole and right batch begins, or the segment ends.
    pub end: u64,
    /// The first offset that may be in these bytes.
    pub first_offset: Offset,
    /// The first offset behind them.
    pub next_offset: Offset,
    /// What is wrong.
    pub why: String,
}

impl Damage {
    pub(crate) fn of(segment: Offset, gap: &Gap) -> Damage {
        Damage {
            segment,
            position: gap.position,
            end: gap.end,
            first_offset: gap.first_offset,
            next_offset: gap.next_offset,
            why: gap.fault.to_string(),
        }
    }

    fn holds(&self, offset: Offset) -> bool {
        (self.first_offset..self.next_offset).contains(&offset)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: bytes {} to {} are damaged, which should hold the offsets from {} up to {}: {}",
            FileName::live(self.segment, FileKind::Log),
            self.position,
            self.end,
            self.first_offset,
            self.next_offset,
            self.why
        )
    }
}

/// The known ranges of one log, in order.
#[derive(Debug, Default)]
pub(super) struct Damages {
    ranges: Vec<Damage>,
    /// Segments that must be looked at, met before anybody listened.
    suspected: Vec<Offset>,
}

/// The part of a segment between two damaged ranges in which an offset is looked for.
#[derive(Debug)]
pub(super) struct Island {
    /// Where it begins.
    pub(super) start: u64,
    /// The range it ends at; the end of the segment when there is none.
    pub(super) ends_at: Option<Box<Damage>>,
}

impl Island {
    /// A whole segment.
    pub(super) const WHOLE: Island = Island {
        start: 0,
        ends_at: None,
    };
}

impl Damages {
    /// What recovery found.
    pub(super) fn recovered(report: &RecoveryReport) -> Damages {
        let mut ranges = report.damages.clone();
        ranges.sort_by_key(|range| (range.segment, range.position));
        Damages {
            ranges,
            suspected: report.suspects.clone(),
        }
    }

    /// The ranges of a segment.
    fn of(&self, segment: Offset) -> &[Damage] {
        let from = self.ranges.partition_point(|range| range.segment < segment);
        let ranges = &self.ranges[from..];
        let count = ranges.partition_point(|range| range.segment == segment);
        &ranges[..count]
    }

    /// Whether a segment has any.
    pub(super) fn touch(&self, segment: Offset) -> bool {
        !self.ranges.is_empty() && !self.of(segment).is_empty()
    }

    /// Where in a segment `offset` is to be looked for; the range it lies in when that is damaged.
    pub(super) fn island(&self, segment: Offset, offset: Offset) -> Result<Island, Box<Damage>> {
        if self.ranges.is_empty() {
            return Ok(Island::WHOLE);
        }
        let ranges = self.of(segment);
        if let Some(range) = ranges.iter().find(|range| range.holds(offset)) {
            return Err(Box::new(range.clone()));
        }
        let behind = ranges.partition_point(|range| range.next_offset <= offset);
        let before = behind.checked_sub(1).and_then(|at| ranges.get(at));
        Ok(Island {
            start: before.map_or(0, |range| range.end),
            ends_at: ranges.get(behind).cloned().map(Box::new),
        })
    }

    /// Forgets what is known of a segment.
    pub(super) fn forget(&mut self, segment: Offset) {
        self.ranges.retain(|range| range.segment != segment);
    }

    /// Says what is damaged in a segment.
    fn replace(&mut self, segment: Offset, ranges: Vec<Damage>) {
        self.forget(segment);
        self.ranges.extend(ranges);
        self.ranges
            .sort_by_key(|range| (range.segment, range.position));
    }
}

impl View {
    /// The log was cut and read again: what is left of damaged segments is looked at again.
    pub(super) fn restart_damages(&mut self) -> Vec<Offset> {
        let ranges = std::mem::take(&mut self.damages.ranges);
        let mut segments: Vec<Offset> = ranges.iter().map(|range| range.segment).collect();
        segments.dedup();
        segments.retain(|base| self.segments.iter().any(|info| info.base_offset == *base));
        self.readings += 1;
        segments
    }
}

/// Is told of segments that must be inspected, soon and away from the caller. Given to every log of
/// a directory; called from any thread, so it only takes notes.
pub trait DamageWatch: Send + Sync + fmt::Debug {
    /// Somebody met what cannot be in this segment.
    fn suspect(&self, suspect: Suspect);
}

/// A segment that should be inspected.
#[derive(Debug, Clone)]
pub struct Suspect {
    log: Weak<Shared>,
    segment: Offset,
}

impl Suspect {
    /// The log, unless it is gone meanwhile, and the offset in the segment's name.
    pub fn upgrade(&self) -> Option<(LogReader, Offset)> {
        let shared = self.log.upgrade()?;
        Some((LogReader { shared }, self.segment))
    }

    /// Whether both name the same segment.
    pub fn is(&self, other: &Suspect) -> bool {
        self.segment == other.segment && self.log.ptr_eq(&other.log)
    }
}

/// What came of an inspection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What was known of the segment is still so.
    AsKnown,
    /// Damage was found, or is gone.
    Changed,
    /// The segment was replaced, cut or deleted meanwhile.
    Outdated,
}

/// A segment being looked over, step by step. It reads through a handle of its own; the log goes on
/// meanwhile.
#[derive(Debug)]
pub struct Inspection {
    reader: LogReader,
    info: SegmentInfo,
    is_active: bool,
    readings: u32,
    walk: Walk,
    found: Vec<Damage>,
}

impl Inspection {
    /// Goes on, for about a megabyte; whether it is at its end. Work for a disk thread.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn step(&mut self) -> Result<bool, StorageError> {
        loop {
            match self.walk.next()? {
                Step::Batch(_) => {}
                Step::Gap(gap) => self.note(&gap),
                Step::Pause => return Ok(false),
                Step::End => return Ok(true),
            }
        }
    }

    fn note(&mut self, gap: &Gap) {
        let damage = Damage::of(self.info.base_offset, gap);
        let is_full = self.found.len() == RANGES_MAX;
        match self.found.last_mut() {
            Some(last) if is_full => {
                last.end = damage.end;
                last.next_offset = damage.next_offset;
            }
            _ => self.found.push(damage),
        }
    }

    /// Bytes read so far.
    pub fn bytes_read(&self) -> u64 {
        self.walk.bytes_read()
    }

    /// Says in the log what was found, when the walk is at its end. Short.
    pub fn conclude(self) -> Verdict {
        let base = self.info.base_offset;
        let path = self.walk.file().path().to_owned();
        let mut view = self.reader.shared.view();
        let now = view.segments.iter().find(|info| info.base_offset == base);
        let same = now.is_some_and(|now| match self.is_active {
            true => now.size >= self.info.size,
            false => now.size == self.info.size,
        });
        if !same || view.readings != self.readings {
            return Verdict::Outdated;
        }
        let known = view.damages.of(base).to_vec();
        if known == self.found {
            return Verdict::AsKnown;
        }
        view.damages.replace(base, self.found.clone());
        drop(view);
        tell(&path, &known, &self.found);
        Verdict::Changed
    }
}

fn tell(path: &std::path::Path, known: &[Damage], found: &[Damage]) {
    for damage in found.iter().filter(|damage| !known.contains(damage)) {
        log::error!(
            "{}: bytes {} to {} are damaged: {}; offsets from {} up to {} are answered with CORRUPT_MESSAGE until the file is restored",
            path.display(),
            damage.position,
            damage.end,
            damage.why,
            damage.first_offset,
            damage.next_offset
        );
    }
    if found.is_empty() {
        log::info!("{}: nothing is damaged any more", path.display());
    }
}

impl LogReader {
    /// What is known to be damaged, in order.
    pub fn damages(&self) -> Vec<Damage> {
        self.shared.view().damages.ranges.clone()
    }

    /// How many ranges are known to be damaged.
    pub fn damages_count(&self) -> usize {
        self.shared.view().damages.ranges.len()
    }

    /// Has the segment inspected that has, or would have, this offset: something in it cannot be.
    /// For the cleaner, for readers, for whoever meets it; any thread, any number of times.
    pub fn suspect(&self, offset: Offset) {
        self.shared.suspect(offset);
    }

    /// The first rolled segment whose base offset is above `behind`, for the scrubber.
    pub fn rolled_segment_behind(&self, behind: Option<Offset>) -> Option<Offset> {
        let view = self.shared.view();
        let from = view
            .segments
            .partition_point(|info| behind.is_some_and(|behind| info.base_offset <= behind));
        let rolled = &view.segments[..view.segments.len().saturating_sub(1)];
        rolled.get(from).map(|info| info.base_offset)
    }

    /// Begins to look over a segment; none when it is not there any more.
    ///
    /// # Errors
    /// When its file cannot be opened.
    pub fn inspect(&self, segment: Offset) -> Result<Option<Inspection>, StorageError> {
        let (info, extent, is_active, readings) = {
            let view = self.shared.view();
            let found = view
                .segments
                .binary_search_by_key(&segment, |info| info.base_offset);
            let Some((at, info)) = found.ok().and_then(|at| Some((at, view.segments.get(at)?)))
            else {
                return Ok(None);
            };
            let next = view.segments.get(at + 1).map(|next| next.base_offset);
            let extent = Extent {
                base_offset: segment,
                length: info.size,
                next: Some(next.unwrap_or(view.log_end_offset)),
                epochs: view.epochs.clone(),
            };
            (*info, extent, next.is_none(), view.readings)
        };
        let name = FileName::live(segment, FileKind::Log).to_string();
        let path = self.shared.directory.join(name);
        // While a compacted segment gets its place, the name may be that of the one before.
        let lent = self.shared.handles.lent(segment, FileKind::Log);
        let opened = lent.map_or_else(|| self.shared.disk.open(&path, OpenMode::Read), Ok);
        let file = match opened {
            Err(error) if error.is_not_found() => return Ok(None),
            file => file?,
        };
        Ok(Some(Inspection {
            reader: self.clone(),
            info,
            is_active,
            readings,
            walk: Walk::new(file, extent),
            found: Vec::new(),
        }))
    }

    /// Takes over what an earlier life knew to be damaged, until the segments were inspected anew.
    pub fn expect_damages(&self, ranges: &[Damage]) {
        let mut segments = Vec::new();
        {
            let mut view = self.shared.view();
            for range in ranges {
                let info = view
                    .segments
                    .iter()
                    .find(|info| info.base_offset == range.segment);
                let inside = info.is_some_and(|info| range.end <= info.size);
                if !inside || range.next_offset > view.log_end_offset {
                    continue;
                }
                log::error!(
                    "{}/{range}; known since before the start, and looked at again now",
                    self.shared.directory.display()
                );
                let mut known = view.damages.of(range.segment).to_vec();
                if !known.iter().any(|known| known.position == range.position) {
                    known.push(range.clone());
                    view.damages.replace(range.segment, known);
                }
                segments.push(range.segment);
            }
        }
        segments.dedup();
        segments
            .into_iter()
            .for_each(|segment| self.suspect(segment));
    }

    /// Where the log is, to tell it from others.
    pub fn directory(&self) -> &PathBuf {
        &self.shared.directory
    }
}

impl Log {
    /// From now on `watch` is told of segments that must be inspected, those met so far included.
    pub fn watch_damage(&self, watch: Arc<dyn DamageWatch>) {
        // Set once, when the log is opened.
        let _ = self.shared.watch.set(watch);
        let suspected = std::mem::take(&mut self.shared.view().damages.suspected);
        for segment in suspected {
            self.shared.suspect(segment);
        }
    }
}

impl Shared {
    /// See [`LogReader::suspect`].
    pub(super) fn suspect(self: &Arc<Self>, offset: Offset) {
        let mut view = self.view();
        let Some(at) = view.segment_at(offset) else {
            return;
        };
        let segment = view.segments[at].base_offset;
        match self.watch.get() {
            Some(watch) => {
                drop(view);
                watch.suspect(Suspect {
                    log: Arc::downgrade(self),
                    segment,
                });
            }
            None if view.damages.suspected.contains(&segment) => {}
            None => view.damages.suspected.push(segment),
        }
    }
}
