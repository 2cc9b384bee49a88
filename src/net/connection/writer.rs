//! The answers of a connection on their way out, in pieces.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};

use super::super::transport::Transport;
use crate::protocol::{FileRange, Response, Segment};

/// Pieces given to one writev(2).
const SLICES_MAX: usize = 32;
/// Bytes of a file given to one sendfile(2).
const SEND_FILE_BYTES: usize = 1024 * 1024;
/// Bytes of a file read at once, where sendfile is not to be had.
const READ_BYTES: usize = 256 * 1024;
/// Bytes written in one wake, before other tasks of the thread get their turn.
const TURN_BYTES: usize = 4 * 1024 * 1024;

/// The writing half of a connection.
#[derive(Debug, Default)]
pub(super) struct Writer {
    queue: VecDeque<Segment>,
    memory_bytes: usize,
    written: u64,
}

impl Writer {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes in memory that are not written yet.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Bytes written since the connection began.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Queues an answer.
    pub(super) fn push(&mut self, response: Response) {
        for segment in response.into_segments().filter(|piece| !piece.is_empty()) {
            if let Segment::Bytes(bytes) = &segment {
                self.memory_bytes += bytes.len();
            }
            self.queue.push_back(segment);
        }
    }

    /// Writes until all is written, the socket takes no more, or it is the turn of others.
    pub(super) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut Transport,
    ) -> Poll<io::Result<()>> {
        let end_of_turn = self.written + TURN_BYTES as u64;
        while let Some(front) = self.queue.front() {
            if self.written >= end_of_turn {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match front {
                Segment::Bytes(_) => ready!(self.poll_write_bytes(cx, transport))?,
                Segment::File(range) => match range.file.fd() {
                    Some(_) if transport.sends_files() => {
                        ready!(self.poll_write_file(cx, transport))?;
                    }
                    _ => self.read_front()?,
                },
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Writes pieces from memory, as many as stand in front, in one call.
    fn poll_write_bytes(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut Transport,
    ) -> Poll<io::Result<()>> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0;
        let mut more = false;
        for segment in self.queue.iter().take(SLICES_MAX + 1) {
            match segment {
                Segment::Bytes(bytes) if count < SLICES_MAX => {
                    slices[count] = IoSlice::new(bytes);
                    count += 1;
                }
                Segment::Bytes(_) => break,
                Segment::File(_) => {
                    more = true;
                    break;
                }
            }
        }
        let written = ready!(transport.poll_write(cx, &slices[..count], more))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.written += written as u64;
        self.memory_bytes = self.memory_bytes.saturating_sub(written);
        self.drop_front(written);
        Poll::Ready(Ok(()))
    }

    /// Takes this many bytes of pieces in memory off the front.
    fn drop_front(&mut self, mut written: usize) {
        while let Some(Segment::Bytes(bytes)) = self.queue.front_mut() {
            if written < bytes.len() {
                bytes.advance(written);
                return;
            }
            written -= bytes.len();
            self.queue.pop_front();
            if written == 0 {
                return;
            }
        }
    }

    /// Sends a piece of the file in front without reading it.
    fn poll_write_file(
        &mut self,
        cx: &mut Context<'_>,
        transport: &mut Transport,
    ) -> Poll<io::Result<()>> {
        let Some(Segment::File(range)) = self.queue.front_mut() else {
            return Poll::Ready(Ok(()));
        };
        let Some(file) = range.file.fd() else {
            return Poll::Ready(Ok(()));
        };
        let length = range.length.min(SEND_FILE_BYTES);
        let sent = match ready!(transport.poll_send_file(cx, file, range.position, length)) {
            Ok(0) => return Poll::Ready(Err(cut_short(range))),
            Ok(sent) => sent,
            // Some file systems cannot do it; then the bytes are read.
            Err(error) if is_unsupported(&error) => return Poll::Ready(self.read_front()),
            Err(error) => return Poll::Ready(Err(error)),
        };
        self.written += sent as u64;
        range.position += sent as u64;
        range.length -= sent;
        if range.length == 0 {
            self.queue.pop_front();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads a piece of the file in front into memory and puts it before what is left.
    fn read_front(&mut self) -> io::Result<()> {
        let Some(Segment::File(range)) = self.queue.front_mut() else {
            return Ok(());
        };
        let length = range.length.min(READ_BYTES);
        let mut buffer = BytesMut::zeroed(length);
        range.file.read_exact_at(&mut buffer, range.position)?;
        range.position += length as u64;
        range.length -= length;
        if range.length == 0 {
            self.queue.pop_front();
        }
        self.memory_bytes += length;
        self.queue.push_front(Segment::Bytes(Bytes::from(buffer)));
        Ok(())
    }
}

/// The file is shorter than the answer that was promised.
fn cut_short(range: &FileRange) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("a segment ends before position {}", range.position),
    )
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
    )
}
