//! When a connection is given up: idle, stalled in a frame, not taking its answers, or slow to
//! say goodbye. One timer for all of them, set again only when an earlier deadline appears, so
//! that ordinary traffic touches no timer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::super::limits::ConnectionLimits;

/// What counts as progress within a stall limit, in bytes; less is as good as nothing, or a client
/// could hold a connection with one byte at a time.
const PROGRESS_BYTES: u64 = 16 * 1024;
/// A frame that holds credits has to bring this part of itself within each stall limit, or a few
/// clients that send slowly could hold the credits of all others for days. The same goes for answers
/// when there are too many of them.
const PARTS: u64 = 8;

/// Which deadline was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    Idle,
    Frame,
    Write,
    Farewell,
}

/// Since when something is awaited, and the bytes that came meanwhile.
#[derive(Debug, Clone, Copy)]
struct Stall {
    since: Instant,
    bytes: u64,
    /// How many bytes are progress.
    enough: u64,
}

impl Stall {
    fn new(now: Instant, enough: u64) -> Stall {
        Stall {
            since: now,
            bytes: 0,
            enough,
        }
    }

    fn progress(&mut self, bytes: u64, now: Instant) {
        self.bytes += bytes;
        if self.bytes >= self.enough {
            *self = Stall::new(now, self.enough);
        }
    }
}

#[derive(Debug)]
pub(super) struct Deadlines {
    limits: Arc<ConnectionLimits>,
    last_active: Instant,
    frame: Option<Stall>,
    write: Option<Stall>,
    farewell: Option<Instant>,
    /// The answers of all connections take too much memory, this one's among them.
    hurried: bool,
    parting: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadlines {
    pub(super) fn new(limits: Arc<ConnectionLimits>, now: Instant) -> Deadlines {
        Deadlines {
            limits,
            last_active: now,
            frame: None,
            write: None,
            farewell: None,
            hurried: false,
            parting: false,
            timer: None,
        }
    }

    /// A request was begun.
    pub(super) fn active(&mut self, now: Instant) {
        self.last_active = now;
    }

    /// A frame was begun, and more of it is waited for.
    pub(super) fn frame_waits(&mut self, begun: bool, now: Instant) {
        if begun {
            self.frame.get_or_insert(Stall::new(now, PROGRESS_BYTES));
        }
    }

    pub(super) fn frame_read(&mut self, bytes: usize, now: Instant) {
        if let Some(stall) = &mut self.frame {
            stall.progress(bytes as u64, now);
        }
    }

    /// Reading goes on with credits for the frame, of which so many bytes are to come.
    pub(super) fn frame_charged(&mut self, missing: usize, now: Instant) {
        let enough = PROGRESS_BYTES.max(missing as u64 / PARTS);
        self.frame = Some(Stall::new(now, enough));
    }

    pub(super) fn frame_ended(&mut self) {
        self.frame = None;
    }

    /// The client does not take all that was to be written.
    pub(super) fn write_blocked(&mut self, written: u64, now: Instant) {
        self.write
            .get_or_insert(Stall::new(now, PROGRESS_BYTES))
            .progress(written, now);
    }

    /// The unwritten answers, of so many bytes, must be taken soon.
    pub(super) fn write_hurries(&mut self, bytes: usize) {
        if let (false, Some(stall)) = (self.hurried, &mut self.write) {
            self.hurried = true;
            stall.enough = PROGRESS_BYTES.max(bytes as u64 / PARTS);
        }
    }

    /// All was written.
    pub(super) fn write_ended(&mut self, now: Instant) {
        self.write = None;
        self.hurried = false;
        self.last_active = now;
    }

    /// The connection ends once what is in flight is done.
    pub(super) fn farewell(&mut self, now: Instant) {
        self.farewell = Some(now);
    }

    /// The broker stops: who does not take its answers is not waited for.
    pub(super) fn part(&mut self) {
        self.parting = true;
    }

    /// Whether the broker stops.
    pub(super) fn is_parting(&self) -> bool {
        self.parting
    }

    /// The earliest deadline and what it is about. `quiet`: nothing is in flight or unwritten;
    /// `reading`: it is the client we wait for, not credits or our turn.
    fn earliest(&self, quiet: bool, reading: bool) -> Option<(Instant, Overdue)> {
        let after = |since: Instant, limit: Duration, what| {
            // A limit beyond what a clock can express is none.
            since.checked_add(limit).map(|due| (due, what))
        };
        let limits = &self.limits;
        let idle = quiet.then(|| after(self.last_active, limits.idle, Overdue::Idle));
        let frame = self.frame.filter(|_| reading);
        let frame = frame.map(|stall| after(stall.since, limits.frame_stall, Overdue::Frame));
        let write = self.write;
        let patience = match (self.parting, self.hurried) {
            (true, _) => limits.write_stall.min(limits.parting_write_stall),
            (false, true) => limits.write_stall.min(limits.hurried_write_stall),
            (false, false) => limits.write_stall,
        };
        let write = write.map(|stall| after(stall.since, patience, Overdue::Write));
        let farewell = self.farewell;
        let farewell = farewell.map(|since| after(since, limits.farewell, Overdue::Farewell));
        [idle, frame, write, farewell]
            .into_iter()
            .flatten()
            .flatten()
            .min_by_key(|(due, _)| *due)
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        quiet: bool,
        reading: bool,
    ) -> Poll<Overdue> {
        let Some((due, what)) = self.earliest(quiet, reading) else {
            return Poll::Pending;
        };
        if due <= now {
            return Poll::Ready(what);
        }
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        while timer.as_mut().poll(cx).is_ready() {
            // It was set for an earlier deadline that is past or was met.
            if due <= Instant::now() {
                return Poll::Ready(what);
            }
            timer.as_mut().reset(due);
        }
        Poll::Pending
    }
}
