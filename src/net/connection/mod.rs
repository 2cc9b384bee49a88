//! One connection: one future that reads frames, asks the service and writes the answers.
//!
//! Started by whoever accepted the connection, on the thread where the service lives. No task and
//! no timer is made per request: requests in flight are polled here, and one timer watches over
//! whatever deadline is next. Its invariants: answers leave in the order of the requests; a
//! request that may not be pipelined begins when everything before it was answered; nothing is
//! read while a whole frame waits for its turn, and no frame begins while the client does not take
//! its answers, so what a connection holds is bounded by its limits and the credits it was given.

mod deadlines;
mod requests;
#[cfg(test)]
mod tests;
mod writer;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::time::Instant;

use self::deadlines::{Deadlines, Overdue};
use self::requests::{Manner, Requests};
use self::writer::Writer;
use super::credits::{Charge, Credits};
use super::frame::{Cut, FrameReader};
use super::limits::ConnectionLimits;
use super::log_gate::LogGate;
use super::shutdown::{Shutdown, Watch};
use super::transport::Transport;
use super::unread::{Held, UnreadAnswers};
use super::{LocalBoxFuture, Service};

/// Turns of work in one wake, before other tasks of the thread get theirs.
const TURNS_MAX: usize = 16;
/// Requests begun in one turn, before their answers are written.
const BEGINNINGS_MAX: usize = 64;

/// What all connections of a listener share.
#[derive(Debug, Clone)]
pub struct ConnectionContext {
    /// The limits of each.
    pub limits: Arc<ConnectionLimits>,
    /// The budget of all together.
    pub credits: Credits,
    /// What all together hold of answers.
    pub unread: UnreadAnswers,
    /// When to stop.
    pub shutdown: Shutdown,
    /// Where lines about bad clients go.
    pub complaints: Arc<LogGate>,
}

/// Why a connection ended.
#[derive(Debug)]
pub enum CloseReason {
    /// The client closed it.
    Client,
    /// Nothing was said for `connections.max.idle.ms`.
    Idle,
    /// The broker stops.
    Shutdown,
    /// The service asked for it, or the frames make no sense.
    Refused(String),
    /// A frame was begun and did not go on.
    FrameStalled,
    /// The client does not take its answers.
    WriteStalled,
    /// The operating system says so, or a file could not be read.
    Failed(io::Error),
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Client => f.write_str("the client closed it"),
            CloseReason::Idle => f.write_str("it was idle for connections.max.idle.ms"),
            CloseReason::Shutdown => f.write_str("the broker stops"),
            CloseReason::Refused(reason) => f.write_str(reason),
            CloseReason::FrameStalled => f.write_str("a request was begun and did not go on"),
            CloseReason::WriteStalled => f.write_str("the client does not take its answers"),
            CloseReason::Failed(error) => error.fmt(f),
        }
    }
}

/// Serves one connection until it ends, and says why it did; reasons that speak of a bad client
/// are logged, rate-limited, as well. Drop the future to cut the connection off.
pub async fn serve<S: Service>(
    transport: Transport,
    service: S,
    context: ConnectionContext,
) -> CloseReason {
    let peer = transport.peer_address();
    let complaints = context.complaints.clone();
    let mut connection = Connection::new(transport, service, context);
    let reason = poll_fn(|cx| connection.poll(cx)).await;
    let told = match &reason {
        CloseReason::Refused(_) | CloseReason::FrameStalled | CloseReason::WriteStalled => true,
        CloseReason::Failed(error) => !is_common(error),
        CloseReason::Client | CloseReason::Idle | CloseReason::Shutdown => false,
    };
    match (told, peer) {
        (true, Some(peer)) => {
            complaints.warn(format_args!("closed the connection of {peer}: {reason}"));
        }
        (true, None) => complaints.warn(format_args!("closed an in-memory connection: {reason}")),
        (false, _) => log::debug!("closed the connection of {peer:?}: {reason}"),
    }
    poll_fn(|cx| connection.transport.poll_shutdown(cx))
        .await
        .ok();
    reason
}

/// Errors by which clients usually end a connection.
fn is_common(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
    )
}

/// How far a connection that is to end has come.
enum Ending {
    /// It goes on.
    No,
    /// No more is read; requests in flight are finished and their answers written.
    Finishing(CloseReason),
    /// Only answers are written that stand before the one that refused.
    Draining(CloseReason),
}

struct Connection<S> {
    transport: Transport,
    service: S,
    limits: Arc<ConnectionLimits>,
    credits: Credits,
    shutdown: Watch,
    reader: FrameReader,
    /// A frame that waits for its turn, and what was charged for it.
    next: Option<(Bytes, Option<Charge>)>,
    /// Credits that are waited for: for the frame above, or for the large one being read.
    credit_wait: Option<LocalBoxFuture<'static, Charge>>,
    requests: Requests,
    writer: Writer,
    /// What the writer holds beyond what every connection may.
    held: Held,
    deadlines: Deadlines,
    ending: Ending,
}

impl<S: Service> Connection<S> {
    fn new(transport: Transport, service: S, context: ConnectionContext) -> Connection<S> {
        let now = Instant::now();
        Connection {
            transport,
            service,
            reader: FrameReader::new(context.limits.frame_bytes_max),
            deadlines: Deadlines::new(context.limits.clone(), now),
            limits: context.limits,
            credits: context.credits,
            shutdown: context.shutdown.watch(),
            next: None,
            credit_wait: None,
            requests: Requests::default(),
            writer: Writer::default(),
            held: context.unread.nothing(),
            ending: Ending::No,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let now = Instant::now();
        if self.shutdown.poll(cx).is_ready() {
            self.finish(CloseReason::Shutdown, now);
            self.deadlines.part();
        }
        self.requests.drive(cx);
        if self.deadlines.is_parting() {
            self.requests.abandon_waiting();
        }
        for _ in 0..TURNS_MAX {
            let more = self.begin_requests(cx, now);
            if let Err(error) = self.flush(cx, now) {
                return Poll::Ready(CloseReason::Failed(error));
            }
            if let Some(reason) = self.ended() {
                return Poll::Ready(reason);
            }
            // What was written may have made room for a request that is at hand already.
            if more || self.may_begin() {
                continue;
            }
            match self.fill(cx, now) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(CloseReason::Failed(error)),
                Poll::Pending => return self.watch_deadlines(cx, now),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Stops reading; what is in flight is finished.
    fn finish(&mut self, reason: CloseReason, now: Instant) {
        if matches!(self.ending, Ending::No) {
            self.ending = Ending::Finishing(reason);
            self.next = None;
            self.credit_wait = None;
            self.deadlines.farewell(now);
        }
    }

    /// Stops answering; only what is queued for writing still leaves.
    fn drain(&mut self, reason: CloseReason, now: Instant) {
        if !matches!(self.ending, Ending::Draining(_)) {
            self.finish(CloseReason::Client, now);
            self.ending = Ending::Draining(reason);
            self.requests.abandon();
        }
    }

    /// Why the connection has ended, if it has.
    fn ended(&mut self) -> Option<CloseReason> {
        if matches!(self.ending, Ending::No) || !self.writer.is_empty() || !self.requests.is_empty()
        {
            return None;
        }
        match std::mem::replace(&mut self.ending, Ending::No) {
            Ending::No => None,
            Ending::Finishing(reason) | Ending::Draining(reason) => Some(reason),
        }
    }

    /// Begins the requests that are at hand and may be begun, and queues the answers that are due.
    /// Answers whether it stopped only because it is time to write.
    fn begin_requests(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        for _ in 0..BEGINNINGS_MAX {
            if let Some(reason) = self.requests.retire(&mut self.writer) {
                self.drain(CloseReason::Refused(reason), now);
            }
            if !self.find_next(cx, now) || !self.may_begin() {
                return false;
            }
            let Some((frame, charge)) = self.next.take() else {
                return false;
            };
            let Some(charge) = charge.or_else(|| self.credits.try_charge(frame.len())) else {
                self.credit_wait = Some(Box::pin(self.credits.charge(frame.len())));
                self.next = Some((frame, None));
                continue;
            };
            let manner = Manner {
                pipelined: self.service.may_pipeline(&frame),
                abandonable: self.service.may_abandon(&frame),
            };
            let length = frame.len();
            let answer = self.service.call(frame);
            self.requests.begin(cx, answer, charge, length, manner);
            self.deadlines.active(now);
        }
        true
    }

    /// Whether a frame is at hand and nothing before it, no limit and no missing credit holds it
    /// back.
    fn may_begin(&self) -> bool {
        let Some((frame, _)) = &self.next else {
            return false;
        };
        matches!(self.ending, Ending::No)
            && self.credit_wait.is_none()
            && self.writer.memory_bytes() < self.limits.pending_write_bytes_max
            && (self.requests.is_empty()
                || self.service.may_pipeline(frame) && self.requests.has_room(&self.limits))
    }

    /// Looks for the next frame among what was read, and answers whether there is one that is not
    /// held back by credits.
    fn find_next(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        if !matches!(self.ending, Ending::No) {
            return false;
        }
        loop {
            if let Some(wait) = &mut self.credit_wait {
                let Poll::Ready(charge) = wait.as_mut().poll(cx) else {
                    return false;
                };
                self.credit_wait = None;
                match &mut self.next {
                    Some((_, unpaid)) => *unpaid = Some(charge),
                    None => {
                        self.reader.charged(charge);
                        self.deadlines.frame_charged(self.reader.missing(), now);
                    }
                }
            }
            if self.next.is_some() {
                return true;
            }
            match self.reader.cut() {
                Cut::Frame(frame, charge) => {
                    self.deadlines.frame_ended();
                    self.next = Some((frame, charge));
                }
                Cut::Incomplete => return false,
                Cut::MustCharge(size) => match self.credits.try_charge(size) {
                    Some(charge) => {
                        self.reader.charged(charge);
                        self.deadlines.frame_charged(self.reader.missing(), now);
                    }
                    None => self.credit_wait = Some(Box::pin(self.credits.charge(size))),
                },
                Cut::Refused(reason) => {
                    self.refuse_rest(reason, now);
                    return false;
                }
            }
        }
    }

    /// The stream makes no sense from here on: what is in flight is still answered.
    fn refuse_rest(&mut self, reason: String, now: Instant) {
        self.finish(CloseReason::Refused(reason), now);
    }

    fn flush(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<()> {
        if self.writer.is_empty() {
            return Ok(());
        }
        let before = self.writer.written();
        let flushed = self.writer.poll_flush(cx, &mut self.transport);
        let written = self.writer.written().wrapping_sub(before);
        match flushed {
            Poll::Ready(result) => {
                self.held.set(0);
                self.deadlines.write_ended(now);
                result
            }
            Poll::Pending => {
                self.deadlines.write_blocked(written, now);
                self.tell_unread();
                Ok(())
            }
        }
    }

    /// Tells what the client has not taken, so that all together have a limit.
    fn tell_unread(&mut self) {
        let bytes = self.writer.memory_bytes();
        let above = bytes >= self.limits.pending_write_bytes_max;
        self.held.set(if above { bytes } else { 0 });
        if self.held.is_too_much() {
            self.deadlines.write_hurries(bytes);
        }
    }

    /// Reads more, unless a whole frame waits for its turn or credits are missing: then the bytes
    /// stay in the socket and the client is held back.
    fn fill(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<io::Result<()>> {
        if !matches!(self.ending, Ending::No) || self.next.is_some() || self.credit_wait.is_some() {
            return Poll::Pending;
        }
        match self.reader.poll_fill(cx, &mut self.transport) {
            Poll::Pending => {
                self.deadlines.frame_waits(self.reader.has_begun(), now);
                Poll::Pending
            }
            Poll::Ready(Ok(0)) => {
                self.finish(CloseReason::Client, now);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Ok(read)) => {
                self.deadlines.frame_read(read, now);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        }
    }

    /// Arms the timer for the next deadline, or ends the connection that missed one.
    fn watch_deadlines(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<CloseReason> {
        let reading = self.next.is_none() && self.credit_wait.is_none();
        let quiet = reading && self.requests.is_empty() && self.writer.is_empty();
        match self.deadlines.poll(cx, now, quiet, reading) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Overdue::Idle) => Poll::Ready(CloseReason::Idle),
            Poll::Ready(Overdue::Frame) => Poll::Ready(CloseReason::FrameStalled),
            Poll::Ready(Overdue::Write) => Poll::Ready(CloseReason::WriteStalled),
            Poll::Ready(Overdue::Farewell) => {
                match std::mem::replace(&mut self.ending, Ending::No) {
                    Ending::Finishing(reason) | Ending::Draining(reason) => Poll::Ready(reason),
                    Ending::No => Poll::Ready(CloseReason::Client),
                }
            }
        }
    }
}
