//! The segments of one log, in order of their base offsets, and what is asked of many of them without
//! looking at each: bytes, the first that reaches a timestamp, the next with aborted transactions.
//!
//! Part of the view that the writer shows to readers. The answers rest on sums over the segments that
//! are not written to any more; they are made when first asked for, grow with the log, and are made
//! anew after a segment was taken out or replaced. Invariant: no answer differs from that of a walk
//! over all segments.

use std::ops::Deref;

use super::SegmentInfo;
use crate::model::{Offset, Timestamp};
use crate::storage::time_index::TimeEntry;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct SegmentList {
    segments: Vec<SegmentInfo>,
    closed: Closed,
}

/// What is known of leading segments together. Never of the last one, which changes.
#[derive(Debug, Default)]
struct Closed {
    /// The largest timestamp of each segment and those before it.
    maxima: Vec<Timestamp>,
    /// Which of the first `aborted_upto` segments have an index of aborted transactions.
    with_aborted: Vec<usize>,
    aborted_upto: usize,
    /// Bytes of the first `bytes_upto` segments.
    bytes: u64,
    bytes_upto: usize,
}

/// The answer to a question about timestamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaching {
    /// This segment.
    Segment(SegmentInfo),
    /// It depends on this segment, whose largest timestamp nobody has read yet.
    Unknown(SegmentInfo),
    /// No segment.
    None,
}

impl From<Vec<SegmentInfo>> for SegmentList {
    fn from(segments: Vec<SegmentInfo>) -> SegmentList {
        SegmentList {
            segments,
            closed: Closed::default(),
        }
    }
}

impl Deref for SegmentList {
    type Target = [SegmentInfo];

    fn deref(&self) -> &[SegmentInfo] {
        &self.segments
    }
}

impl SegmentList {
    /// Goes on behind the last one, which is not written to any more.
    pub(crate) fn push(&mut self, segment: SegmentInfo) {
        self.segments.push(segment);
    }

    /// The segment that is written to.
    pub(crate) fn last_mut(&mut self) -> Option<&mut SegmentInfo> {
        self.segments.last_mut()
    }

    /// Any other change; the caller keeps the order.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut Vec<SegmentInfo>) -> T) -> T {
        self.closed = Closed::default();
        change(&mut self.segments)
    }

    /// Where the segment with this base offset is.
    pub(crate) fn position_of(&self, base_offset: Offset) -> Option<usize> {
        let found = self
            .segments
            .binary_search_by_key(&base_offset, |segment| segment.base_offset);
        found.ok()
    }

    /// Takes the segment with this base offset out.
    pub(crate) fn take_out(&mut self, base_offset: Offset) {
        if let Some(at) = self.position_of(base_offset) {
            self.change(|segments| segments.remove(at));
        }
    }

    /// Notes what was read about a segment of which it was not known.
    pub(crate) fn note_maximum(&mut self, base_offset: Offset, maximum: TimeEntry) {
        if let Some(at) = self.position_of(base_offset) {
            // Nothing was summed up over a segment of which it was not known.
            self.segments[at].max_timestamp.get_or_insert(maximum);
        }
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&mut self) -> u64 {
        let Some((last, older)) = self.segments.split_last() else {
            return 0;
        };
        let new = older.get(self.closed.bytes_upto..).unwrap_or_default();
        self.closed.bytes += new.iter().map(|segment| segment.size).sum::<u64>();
        self.closed.bytes_upto = older.len();
        self.closed.bytes + last.size
    }

    /// The first segment, from the one at `from` on, with a timestamp that is not below `target`.
    pub(crate) fn first_reaching(&mut self, from: usize, target: Timestamp) -> Reaching {
        let maxima = &mut self.closed.maxima;
        let older = self.segments.len().saturating_sub(1);
        let mut at = maxima.partition_point(|maximum| *maximum < target);
        while at == maxima.len() && at < older {
            let Some(own) = self.segments[at].max_timestamp else {
                break;
            };
            let before = maxima.last().copied().unwrap_or(Timestamp::NONE);
            maxima.push(own.timestamp.max(before));
            if own.timestamp < target {
                at += 1;
            }
        }
        // Those in front of `from` may be what reached it, or what is not known.
        let rest = self.segments.iter().skip(at.max(from));
        for segment in rest {
            match segment.max_timestamp {
                None => return Reaching::Unknown(*segment),
                Some(own) if own.timestamp >= target => return Reaching::Segment(*segment),
                Some(_) => {}
            }
        }
        Reaching::None
    }

    /// The first segment with the largest timestamp of all.
    pub(crate) fn with_largest(&mut self) -> Reaching {
        // Past all older ones: nothing is above this, so that all of them are summed up.
        let unknown = self.first_reaching(0, Timestamp(i64::MAX));
        if let Reaching::Unknown(_) | Reaching::Segment(_) = unknown {
            return unknown;
        }
        let older = self.closed.maxima.last().copied();
        let last = self.segments.last().and_then(|last| last.max_timestamp);
        let last = last.map(|entry| entry.timestamp);
        match older.max(last) {
            Some(largest) => self.first_reaching(0, largest),
            None => Reaching::None,
        }
    }

    /// The first segment, from the one at `from` on, with an index of aborted transactions.
    pub(crate) fn next_with_aborted(&mut self, from: usize) -> Option<(usize, SegmentInfo)> {
        let older = self.segments.len().checked_sub(1)?;
        let closed = &mut self.closed;
        let new = closed.aborted_upto..older;
        closed
            .with_aborted
            .extend(new.filter(|at| self.segments[*at].has_aborted));
        closed.aborted_upto = older;
        let next = closed.with_aborted.partition_point(|at| *at < from);
        let last = || (from <= older && self.segments[older].has_aborted).then_some(older);
        let at = closed.with_aborted.get(next).copied().or_else(last)?;
        Some((at, self.segments[at]))
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
