//! Connections and the two frames that carry records: Produce 9 and its answer.
//!
//! Everything is made before it is measured: a request is a finished frame of which only the
//! correlation id changes. Requests that are not on a measured path go through `milena::protocol`.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use milena::protocol::messages::{Answer, Request};
use milena::protocol::{decode_response, encode_request};

use crate::Failure;

/// Nothing here waits longer than this for a server.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const CLIENT_ID: &str = "versus";
/// From the start of a frame, behind its size.
const CORRELATION_AT: usize = 8;
/// Frames from here on are read one by one.
const LARGE_FRAME_BYTES: usize = 1 << 16;
const FRAME_BYTES_MAX: usize = 256 << 20;

/// One connection, blocking unless told otherwise, with a buffer of its own.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    /// Where bytes that were not handed out begin and end in the buffer.
    start: usize,
    filled: usize,
    /// Bytes of it that were handed out last.
    taken: usize,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr, buffer_bytes: usize) -> Result<Connection, Failure> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection::of(stream, buffer_bytes))
    }

    pub(crate) fn of(stream: TcpStream, buffer_bytes: usize) -> Connection {
        Connection {
            stream,
            buffer: vec![0; buffer_bytes.max(64)],
            start: 0,
            filled: 0,
            taken: 0,
        }
    }

    /// Sends a frame; on a socket that does not block it waits for room by itself.
    pub(crate) fn send(&mut self, mut frame: &[u8]) -> Result<(), Failure> {
        while !frame.is_empty() {
            match self.stream.write(frame) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(count) => frame = &frame[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next frame without its size.
    pub(crate) fn receive(&mut self) -> Result<&[u8], Failure> {
        match self.try_receive()? {
            Some(range) => Ok(&self.buffer[range]),
            None => Err("the server did not answer in time".into()),
        }
    }

    /// The next frame, if it is there or (on a blocking socket) comes.
    pub(crate) fn poll(&mut self) -> Result<Option<&[u8]>, Failure> {
        Ok(self.try_receive()?.map(|range| &self.buffer[range]))
    }

    fn try_receive(&mut self) -> Result<Option<std::ops::Range<usize>>, Failure> {
        self.start += std::mem::take(&mut self.taken);
        loop {
            let wanted = self.wanted()?;
            if self.filled - self.start >= wanted && wanted > 4 {
                self.taken = wanted;
                return Ok(Some(self.start + 4..self.start + wanted));
            }
            self.make_room(wanted);
            // The rest of a large frame and no more, so that the next one needs no moving.
            let until = match wanted {
                ..=LARGE_FRAME_BYTES => self.buffer.len(),
                _ => self.start + wanted,
            };
            match self.stream.read(&mut self.buffer[self.filled..until]) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(count) => self.filled += count,
                Err(error) if is_no_news(&error) => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Bytes of the next frame with its size, or those of a size.
    fn wanted(&self) -> Result<usize, Failure> {
        match self.buffer[self.start..self.filled].first_chunk::<4>() {
            Some(size) => Ok(frame_size(*size)? + 4),
            None => Ok(4),
        }
    }

    /// Whether a whole frame is here already.
    pub(crate) fn has_frame(&self) -> bool {
        let rest = &self.buffer[self.start + self.taken..self.filled];
        let size = rest
            .first_chunk::<4>()
            .map(|size| i32::from_be_bytes(*size));
        size.is_some_and(|size| usize::try_from(size).is_ok_and(|size| rest.len() >= size + 4))
    }

    fn make_room(&mut self, wanted: usize) {
        if self.start == self.filled || self.start + wanted > self.buffer.len() {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= std::mem::take(&mut self.start);
        }
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted.next_power_of_two(), 0);
        }
    }

    /// Asks something off the measured path.
    pub(crate) fn ask<R: Request, A: Answer>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<A, Failure> {
        let frame = encode_request(1, version, Some(CLIENT_ID), request)?;
        self.send(&frame)?;
        self.hear(version)
    }

    /// The answer to what was sent before.
    pub(crate) fn hear<A: Answer>(&mut self, version: i16) -> Result<A, Failure> {
        let answer = bytes::Bytes::copy_from_slice(self.receive()?);
        Ok(decode_response::<A>(answer, version)?.1)
    }
}

fn is_no_news(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn frame_size(size: [u8; 4]) -> Result<usize, Failure> {
    let size = usize::try_from(i32::from_be_bytes(size))?;
    match size {
        1..=FRAME_BYTES_MAX => Ok(size),
        _ => Err(format!("a frame of {size} bytes").into()),
    }
}

/// A length or count of the flexible versions: one more than it is.
pub(crate) fn put_compact(out: &mut Vec<u8>, length: usize) {
    let mut rest = length + 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

pub(crate) fn put_compact_string(out: &mut Vec<u8>, text: &str) {
    put_compact(out, text.len());
    out.extend(text.as_bytes());
}

/// Size (to be set by [`finish`]) and header of a flexible version.
pub(crate) fn head(api_key: i16, version: i16) -> Vec<u8> {
    let mut out = vec![0; 4];
    out.extend(api_key.to_be_bytes());
    out.extend(version.to_be_bytes());
    out.extend(0i32.to_be_bytes());
    out.extend((CLIENT_ID.len() as i16).to_be_bytes());
    out.extend(CLIENT_ID.as_bytes());
    out.push(0);
    out
}

pub(crate) fn finish(mut frame: Vec<u8>) -> Vec<u8> {
    let size = i32::try_from(frame.len() - 4).expect("frames here are smaller than 2 GiB");
    frame[..4].copy_from_slice(&size.to_be_bytes());
    frame
}

pub(crate) fn set_correlation(frame: &mut [u8], id: i32) {
    frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&id.to_be_bytes());
}

pub(crate) const PRODUCE: i16 = 0;
pub(crate) const FETCH: i16 = 1;

/// A Produce 9 of these batches with acks=all.
pub(crate) fn produce_frame(topic: &str, batches: &[(i32, &[u8])]) -> Vec<u8> {
    let mut out = head(PRODUCE, 9);
    out.push(0); // no transaction
    out.extend((-1i16).to_be_bytes());
    out.extend(30_000i32.to_be_bytes());
    put_compact(&mut out, 1);
    put_compact_string(&mut out, topic);
    put_compact(&mut out, batches.len());
    for (partition, batch) in batches {
        out.extend(partition.to_be_bytes());
        put_compact(&mut out, batch.len());
        out.extend(*batch);
        out.push(0);
    }
    out.extend([0, 0]);
    finish(out)
}

/// Said of a batch whose records were complained of one by one.
const INVALID_RECORD: i16 = 87;

/// Whether every partition of a Produce 9's answer took its batch; the first error otherwise.
pub(crate) fn produce_error(answer: &[u8]) -> Result<i16, Failure> {
    let mut reader = Reader(answer);
    reader.skip(4)?;
    reader.skip_tags()?;
    for _ in 0..reader.compact()? {
        let name = reader.compact()?;
        reader.skip(name)?;
        for _ in 0..reader.compact()? {
            reader.skip(4)?;
            let error = reader.i16()?;
            if error != 0 {
                return Ok(error);
            }
            reader.skip(24)?;
            if reader.compact()? > 0 {
                return Ok(INVALID_RECORD);
            }
            let message = reader.compact()?;
            reader.skip(message)?;
            reader.skip_tags()?;
        }
        reader.skip_tags()?;
    }
    Ok(0)
}

/// Fails if the answer is an error.
pub(crate) fn expect_produced(answer: &[u8]) -> Result<(), Failure> {
    match produce_error(answer)? {
        0 => Ok(()),
        error => Err(format!("a batch was refused with error {error}").into()),
    }
}

/// A place in a frame.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or("a short answer")?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn skip(&mut self, count: usize) -> Result<(), Failure> {
        self.bytes(count).map(|_| ())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        Ok(self.bytes(N)?.try_into()?)
    }

    pub(crate) fn i16(&mut self) -> Result<i16, Failure> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, Failure> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, Failure> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    fn varint(&mut self) -> Result<usize, Failure> {
        let mut value = 0usize;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a varint of more than five bytes".into())
    }

    /// A length or count of the flexible versions, null being none.
    pub(crate) fn compact(&mut self) -> Result<usize, Failure> {
        Ok(self.varint()?.saturating_sub(1))
    }

    pub(crate) fn skip_tags(&mut self) -> Result<(), Failure> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Ok(())
    }
}
