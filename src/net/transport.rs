//! The two ends of a connection: a TCP socket, or a pipe in memory for embedding and for tests.
//!
//! Only a plain socket can take bytes from a file by itself (sendfile(2)); elsewhere files are
//! read. Reading grows the given buffer only once there are bytes to read, so that an idle
//! connection holds none.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::io::{AsyncReadExt, AsyncWrite, DuplexStream, Interest};
use tokio::net::TcpStream;

/// One end of a connection.
#[derive(Debug)]
pub enum Transport {
    /// A TCP socket.
    Tcp(TcpStream),
    /// One end of a pipe in memory.
    Pipe(DuplexStream),
}

impl Transport {
    /// Takes over a socket that was accepted, perhaps on another thread. Small answers leave at
    /// once (TCP_NODELAY), as Kafka's do.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn from_accepted(stream: std::net::TcpStream) -> io::Result<Transport> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Transport::Tcp(TcpStream::from_std(stream)?))
    }

    /// Who is at the other end; a pipe has no address.
    pub fn peer_address(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(stream) => stream.peer_addr().ok(),
            Transport::Pipe(_) => None,
        }
    }

    /// Which of our addresses the other end is connected to.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Transport::Tcp(stream) => stream.local_addr().ok(),
            Transport::Pipe(_) => None,
        }
    }

    /// Whether there may be something to read. A pipe cannot say, so it says yes.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(stream) => stream.poll_read_ready(cx),
            Transport::Pipe(_) => Poll::Ready(Ok(())),
        }
    }

    /// Reads into the spare room of `buffer`, which must have some; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(stream) => pin!(stream.read_buf(buffer)).poll(cx),
            Transport::Pipe(pipe) => pin!(pipe.read_buf(buffer)).poll(cx),
        }
    }

    /// Writes some of the slices. `more` says that a file follows at once, so that the head of an
    /// answer does not leave in a packet of its own.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        match self {
            Transport::Tcp(stream) => match slices {
                [slice] if more => poll_send_more(stream, cx, slice),
                [slice] => Pin::new(stream).poll_write(cx, slice),
                _ => Pin::new(stream).poll_write_vectored(cx, slices),
            },
            Transport::Pipe(pipe) => Pin::new(pipe).poll_write_vectored(cx, slices),
        }
    }

    /// Whether ranges of files can be sent without reading them.
    pub(crate) fn sends_files(&self) -> bool {
        matches!(self, Transport::Tcp(_))
    }

    /// Sends some bytes of a file; 0 means that the file ends there.
    pub(crate) fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        position: u64,
        length: usize,
    ) -> Poll<io::Result<usize>> {
        let Transport::Tcp(stream) = self else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        loop {
            ready!(stream.poll_write_ready(cx))?;
            let sent = stream.try_io(Interest::WRITABLE, || {
                let mut at = position;
                retry(|| rustix::fs::sendfile(&*stream, file, Some(&mut at), length))
            });
            match sent {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    /// Tells the other end that nothing more will come.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Transport::Pipe(pipe) => Pin::new(pipe).poll_shutdown(cx),
        }
    }
}

/// Repeats a call that a signal interrupted.
fn retry(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Sends with MSG_MORE: the kernel waits for what follows before it fills a packet.
fn poll_send_more(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    slice: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let sent = stream.try_io(Interest::WRITABLE, || {
            retry(|| rustix::net::send(stream, slice, SendFlags::MORE | SendFlags::NOSIGNAL))
        });
        match sent {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            sent => return Poll::Ready(sent),
        }
    }
}
