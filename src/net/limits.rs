//! The limits of one connection, each with its name and its default.

use std::time::Duration;

/// What one connection may take. Shared by all connections of a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// The largest frame, `socket.request.max.bytes`. A larger one closes the connection.
    pub frame_bytes_max: usize,
    /// Requests being answered at once. Further ones wait in the socket.
    pub requests_in_flight_max: usize,
    /// Bytes of the requests being answered at once; one request may exceed it.
    pub bytes_in_flight_max: usize,
    /// Answers in memory that the client has not taken; no request is begun above it. Ranges of
    /// files hold no memory and do not count.
    pub pending_write_bytes_max: usize,
    /// How long a connection may say nothing, `connections.max.idle.ms`.
    pub idle: Duration,
    /// How long a frame that was begun may take to bring another 16 KiB, an eighth of itself if it
    /// is a large one, or its end.
    pub frame_stall: Duration,
    /// How long a client may take to accept another 16 KiB of its answers or their end.
    pub write_stall: Duration,
    /// The same, for an eighth of them, when the unread answers of all connections take too much
    /// memory.
    pub hurried_write_stall: Duration,
    /// The same while the broker stops.
    pub parting_write_stall: Duration,
    /// How long requests in flight are waited for once the client has closed its side, or the
    /// broker is stopping.
    pub farewell: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            frame_bytes_max: 100 * 1024 * 1024,
            requests_in_flight_max: 64,
            bytes_in_flight_max: 32 * 1024 * 1024,
            pending_write_bytes_max: 256 * 1024,
            idle: Duration::from_secs(600),
            frame_stall: Duration::from_secs(30),
            write_stall: Duration::from_secs(120),
            hurried_write_stall: Duration::from_secs(2),
            parting_write_stall: Duration::from_millis(200),
            farewell: Duration::from_secs(10),
        }
    }
}
