//! Cutting a stream of bytes into frames: a size of four bytes, then that many bytes.
//!
//! Owned by a connection. A size is believed only as far as bytes arrive or credits were taken for
//! it: frames up to 64 KiB are read into buffers that follow what the client usually sends,
//! larger ones get their memory in growing steps once their size is charged. Frames are slices of
//! the buffer, several small ones of the same; an idle connection has no buffer at all.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};

use super::credits::Charge;
use super::transport::Transport;

/// Frames above this are charged before they are read.
pub(crate) const LARGE_FRAME_BYTES: usize = 64 * 1024;
/// The size in front of a frame.
const SIZE_BYTES: usize = 4;
/// The smallest and the largest buffer for frames that are not large. The largest takes a producer's
/// requests in flight at once: they are then stored together, and few are cut in two and moved.
const BUFFER_BYTES_MIN: usize = 512;
const BUFFER_BYTES_MAX: usize = 2 * LARGE_FRAME_BYTES;
/// The buffer in which the beginning of a large frame is met, when large ones are usual.
const BUFFER_BYTES_BEFORE_LARGE: usize = 4096;
/// The memory a large frame is given at first, as far as its size demands it; four times what has
/// arrived after that, so that moving it costs a fraction of reading it.
const LARGE_STEP_BYTES: usize = 1024 * 1024;

/// What the bytes at hand amount to.
#[derive(Debug)]
pub(crate) enum Cut {
    /// A whole frame, without its size, and what was charged for it before it was read.
    Frame(Bytes, Option<Charge>),
    /// More bytes must be read.
    Incomplete,
    /// A large frame begins; its size must be charged before more is read.
    MustCharge(usize),
    /// The size is impossible; the connection cannot be read any further.
    Refused(String),
}

/// The reading half of a connection.
#[derive(Debug)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
    frame_bytes_max: usize,
    /// How large the next buffer is made: what the client sent at once lately.
    usual_bytes: usize,
    /// The credits of the large frame at hand.
    charge: Option<Charge>,
}

impl FrameReader {
    pub(crate) fn new(frame_bytes_max: usize) -> FrameReader {
        FrameReader {
            buffer: BytesMut::new(),
            frame_bytes_max,
            usual_bytes: BUFFER_BYTES_MIN,
            charge: None,
        }
    }

    /// Whether a frame was begun and not finished.
    pub(crate) fn has_begun(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The memory held for frames that are not cut yet.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Says that the large frame at hand was charged.
    pub(crate) fn charged(&mut self, charge: Charge) {
        self.charge = Some(charge);
    }

    /// The size in front of the frame at hand, as the client claims it.
    fn claimed(&self) -> Option<i32> {
        self.buffer
            .first_chunk::<SIZE_BYTES>()
            .map(|size| i32::from_be_bytes(*size))
    }

    /// How much of the frame at hand is still to come.
    pub(crate) fn missing(&self) -> usize {
        let claimed = self.claimed().and_then(|size| usize::try_from(size).ok());
        (claimed.unwrap_or(0) + SIZE_BYTES).saturating_sub(self.buffer.len())
    }

    /// Cuts the next frame off, if it is there.
    pub(crate) fn cut(&mut self) -> Cut {
        let Some(claimed) = self.claimed() else {
            return Cut::Incomplete;
        };
        let size = match usize::try_from(claimed) {
            Ok(size) if size <= self.frame_bytes_max => size,
            Ok(size) => {
                return Cut::Refused(format!(
                    "a request of {size} bytes is larger than socket.request.max.bytes={}",
                    self.frame_bytes_max
                ));
            }
            Err(_) => return Cut::Refused(format!("a request of {claimed} bytes")),
        };
        if self.buffer.len() - SIZE_BYTES >= size {
            self.buffer.advance(SIZE_BYTES);
            let frame = if self.buffer.len() == size {
                std::mem::take(&mut self.buffer)
            } else {
                self.buffer.split_to(size)
            };
            return Cut::Frame(frame.freeze(), self.charge.take());
        }
        if size > LARGE_FRAME_BYTES && self.charge.is_none() {
            return Cut::MustCharge(size);
        }
        Cut::Incomplete
    }

    /// Reads what there is, as far as the buffer has room; 0 is the end of the stream.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut Transport,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.is_empty() && transport.poll_readable(cx)?.is_pending() {
            self.buffer = BytesMut::new();
            return Poll::Pending;
        }
        self.make_room();
        let room = self.buffer.capacity() - self.buffer.len();
        let read = transport.poll_read(cx, &mut self.buffer);
        if read.is_pending() && self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        let read = ready!(read)?;
        self.learn(read, room);
        Poll::Ready(Ok(read))
    }

    /// Gives the buffer room for what is expected: the rest of the frame at hand, or what the
    /// client usually sends.
    fn make_room(&mut self) {
        let total = self
            .claimed()
            .and_then(|size| usize::try_from(size).ok())
            .map_or(0, |size| size.saturating_add(SIZE_BYTES));
        let (length, capacity) = (self.buffer.len(), self.buffer.capacity());
        let (enough, wanted) = if self.charge.is_some() {
            let first_step = total.min(LARGE_STEP_BYTES);
            let next_step = total.min(LARGE_STEP_BYTES.max(length.saturating_mul(4)));
            (capacity >= first_step, next_step)
        } else {
            let total = total.min(LARGE_FRAME_BYTES + SIZE_BYTES);
            (capacity >= total, total.max(self.usual_bytes))
        };
        if enough && length < capacity {
            return;
        }
        let mut larger = BytesMut::with_capacity(wanted.max(length + 1));
        larger.extend_from_slice(&self.buffer);
        self.buffer = larger;
    }

    /// Follows what the client sends at once, so that the next read takes it in one call.
    fn learn(&mut self, read: usize, room: usize) {
        if self.charge.is_some() {
            self.usual_bytes = BUFFER_BYTES_BEFORE_LARGE;
        } else if read == room {
            self.usual_bytes = (self.usual_bytes * 2).min(BUFFER_BYTES_MAX);
        } else {
            let fitting = (read + 1).next_power_of_two();
            self.usual_bytes = fitting
                .max(self.usual_bytes / 2)
                .clamp(BUFFER_BYTES_MIN, BUFFER_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    fn framed(size: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(size).expect("small").to_be_bytes().to_vec();
        bytes.extend((0..size).map(|i| i as u8));
        bytes
    }

    async fn fill(reader: &mut FrameReader, transport: &mut Transport) -> usize {
        poll_fn(|cx| reader.poll_fill(cx, transport))
            .await
            .expect("a pipe does not fail")
    }

    #[tokio::test]
    async fn frames_come_out_as_they_went_in_whatever_the_pieces() {
        for piece in [1, 3, 700, 100_000] {
            let (client, server) = tokio::io::duplex(piece);
            let mut transport = Transport::Pipe(server);
            let sizes = [0usize, 1, 600, 5, 70_000, 3, 3_000_000, 64 * 1024, 9];
            let sizes = if piece < 700 { &sizes[..4] } else { &sizes[..] };
            let stream: Vec<u8> = sizes.iter().flat_map(|size| framed(*size)).collect();
            let writing = tokio::spawn(async move {
                let mut client = client;
                client.write_all(&stream).await.expect("read to the end");
            });
            let mut reader = FrameReader::new(10_000_000);
            let mut frames = Vec::new();
            while frames.len() < sizes.len() {
                match reader.cut() {
                    Cut::Frame(frame, _) => frames.push(frame),
                    Cut::MustCharge(_) => reader.charged(Charge::default()),
                    Cut::Refused(reason) => panic!("{reason}"),
                    Cut::Incomplete => assert!(fill(&mut reader, &mut transport).await > 0),
                }
            }
            for (frame, size) in frames.iter().zip(sizes) {
                assert_eq!(frame[..], framed(*size)[4..], "pieces of {piece}");
            }
            writing.await.expect("all was written");
        }
    }

    #[tokio::test]
    async fn a_claimed_size_alone_gets_no_memory() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let mut transport = Transport::Pipe(server);
        let mut reader = FrameReader::new(100 << 20);
        client
            .write_all(&(90u32 << 20).to_be_bytes())
            .await
            .expect("room");
        fill(&mut reader, &mut transport).await;
        assert!(matches!(reader.cut(), Cut::MustCharge(size) if size == 90 << 20));
        assert!(reader.capacity() <= BUFFER_BYTES_MIN);
        reader.charged(Charge::default());
        client.write_all(&vec![7; 600]).await.expect("room");
        assert_eq!(fill(&mut reader, &mut transport).await, 600);
        assert!(matches!(reader.cut(), Cut::Incomplete));
        assert!(reader.capacity() <= 2 * LARGE_STEP_BYTES);
    }

    #[test]
    fn impossible_sizes_are_refused_with_their_reason() {
        for (size, reason) in [
            (-1i32, "a request of -1 bytes"),
            (
                101,
                "a request of 101 bytes is larger than socket.request.max.bytes=100",
            ),
        ] {
            let mut reader = FrameReader::new(100);
            reader.buffer.extend_from_slice(&size.to_be_bytes());
            assert!(matches!(reader.cut(), Cut::Refused(told) if told == reason));
        }
    }

    #[tokio::test]
    async fn an_idle_connection_holds_no_buffer() {
        let (mut client, server) = tokio::io::duplex(1 << 20);
        let mut transport = Transport::Pipe(server);
        let mut reader = FrameReader::new(1 << 20);
        client.write_all(&framed(10_000)).await.expect("room");
        while !matches!(reader.cut(), Cut::Frame(..)) {
            fill(&mut reader, &mut transport).await;
        }
        poll_fn(|cx| {
            assert!(reader.poll_fill(cx, &mut transport).is_pending());
            Poll::Ready(())
        })
        .await;
        assert_eq!(reader.capacity(), 0);
    }
}
