//! The requests of a connection that are being answered, in their order.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use super::super::credits::Charge;
use super::super::limits::ConnectionLimits;
use super::super::{LocalBoxFuture, Reply};
use super::writer::Writer;

/// Requests in flight. Either all of them may be pipelined, or there is one.
#[derive(Default)]
pub(super) struct Requests {
    slots: VecDeque<Slot>,
    bytes: usize,
}

/// What the service says of a request before it is begun.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// It may be in flight together with others of its kind.
    pub(super) pipelined: bool,
    /// It may be forgotten when the broker stops.
    pub(super) abandonable: bool,
}

/// One request.
struct Slot {
    state: State,
    bytes: usize,
    manner: Manner,
    _charge: Charge,
}

enum State {
    Running(LocalBoxFuture<'static, Reply>),
    Done(Reply),
}

impl Requests {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether another request that may be pipelined may join those in flight.
    pub(super) fn has_room(&self, limits: &ConnectionLimits) -> bool {
        self.slots.back().is_none_or(|slot| slot.manner.pipelined)
            && self.slots.len() < limits.requests_in_flight_max
            && self.bytes < limits.bytes_in_flight_max
    }

    /// Puts a request at the end and polls it once.
    pub(super) fn begin(
        &mut self,
        cx: &mut Context<'_>,
        answer: LocalBoxFuture<'static, Reply>,
        charge: Charge,
        bytes: usize,
        manner: Manner,
    ) {
        let mut slot = Slot {
            state: State::Running(answer),
            bytes,
            manner,
            _charge: charge,
        };
        slot.drive(cx);
        self.bytes += bytes;
        self.slots.push_back(slot);
    }

    /// Polls every request that is not done.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        for slot in &mut self.slots {
            slot.drive(cx);
        }
    }

    /// Queues the answers that are due: those of the requests in front that are done. Answers the
    /// reason if one of them asks to close the connection.
    pub(super) fn retire(&mut self, writer: &mut Writer) -> Option<String> {
        while let Some(Slot {
            state: State::Done(_),
            ..
        }) = self.slots.front()
        {
            let slot = self.slots.pop_front()?;
            self.bytes = self.bytes.saturating_sub(slot.bytes);
            match slot.state {
                State::Done(Reply::Respond(response)) => writer.push(response),
                State::Done(Reply::Close(reason)) => return Some(reason),
                State::Done(Reply::Silent) | State::Running(_) => {}
            }
        }
        None
    }

    /// Forgets them if every one only waits for something to read.
    pub(super) fn abandon_waiting(&mut self) {
        let waits =
            |slot: &Slot| slot.manner.abandonable && matches!(slot.state, State::Running(_));
        if self.slots.iter().all(waits) {
            self.abandon();
        }
    }

    /// Forgets all of them.
    pub(super) fn abandon(&mut self) {
        self.slots.clear();
        self.bytes = 0;
    }
}

impl Slot {
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let State::Running(future) = &mut self.state
            && let Poll::Ready(reply) = future.as_mut().poll(cx)
        {
            self.state = State::Done(reply);
        }
    }
}
