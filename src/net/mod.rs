//! The hallway: sockets, frames, connections. Knows sizes and order, no request of Kafka's.
//!
//! [`listener`] accepts, [`connection::serve`] is one future per connection, which reads frames
//! ([`frame`]), asks a [`Service`] about each and writes the answers in the order of the requests.
//! Called by the broker's start and by tests, which hand in an in-memory pipe instead of a socket.
//! Its invariant: what one connection can hold in memory has a limit with a name
//! ([`ConnectionLimits`]), and what all of them can hold has one too ([`Credits`] for requests, [`UnreadAnswers`] for
//! answers).

pub mod connection;
mod credits;
mod error;
mod frame;
mod limits;
pub mod listener;
mod log_gate;
mod quota;
mod shutdown;
mod transport;
mod unread;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;

use crate::protocol::Response;

pub use connection::{CloseReason, ConnectionContext, serve};
pub use credits::{Charge, Credits};
pub use error::NetError;
pub use limits::ConnectionLimits;
pub use log_gate::LogGate;
pub use quota::{ConnectionQuota, ConnectionSlot, QuotaLimits};
pub use shutdown::Shutdown;
pub use transport::Transport;
pub use unread::UnreadAnswers;

/// A boxed future that stays on its thread.
pub type LocalBoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Who answers the frames of one connection.
///
/// A frame for which [`may_pipeline`](Service::may_pipeline) says no is given to
/// [`call`](Service::call) only when everything before it has been answered; those for which it
/// says yes may be in flight together. So requests take effect in the order in which they came, as
/// with Kafka, which reads the next one only after the answer.
pub trait Service: 'static {
    /// Whether the frame may be begun while earlier ones of its kind are still in flight.
    fn may_pipeline(&self, frame: &[u8]) -> bool;

    /// Whether a request that waits changes nothing and may be forgotten when the broker stops: a
    /// long poll, which would hold the stop up.
    fn may_abandon(&self, _frame: &[u8]) -> bool {
        false
    }

    /// Begins to answer a frame (without its size). The future is polled once before the next
    /// frame is looked at, so what it does before its first wait is done in order. It is dropped
    /// unfinished if the connection breaks.
    fn call(&self, frame: Bytes) -> LocalBoxFuture<'static, Reply>;
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Reply {
    /// An answer.
    Respond(Response),
    /// No answer: a produce with acks=0.
    Silent,
    /// The connection is closed once earlier answers are written; the reason is logged.
    Close(String),
}
