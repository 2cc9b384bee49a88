//! Many connections on one thread.

use std::net::TcpStream;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::Failure;

/// Tells which connections have something to read.
pub(crate) struct Poll(OwnedFd);

/// Connections told of at once.
const EVENTS: usize = 128;

impl Poll {
    pub(crate) fn new() -> Result<Poll, Failure> {
        Ok(Poll(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    /// Watches a stream, which no longer blocks from now on.
    pub(crate) fn add(&self, stream: &TcpStream, number: usize) -> Result<(), Failure> {
        stream.set_nonblocking(true)?;
        self.watch(stream, number)
    }

    pub(crate) fn watch(
        &self,
        source: impl rustix::fd::AsFd,
        number: usize,
    ) -> Result<(), Failure> {
        let data = epoll::EventData::new_u64(number as u64);
        Ok(epoll::add(&self.0, source, data, epoll::EventFlags::IN)?)
    }

    /// Waits at most this long; the numbers of those that can be read.
    pub(crate) fn wait(&self, patience: Duration) -> Result<Vec<usize>, Failure> {
        let timeout = Timespec::try_from(patience)?;
        let mut events = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.0, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(events
            .iter()
            .map(|event| event.data.u64() as usize)
            .collect())
    }
}
