//! Many connections on one thread.

use std::net::TcpStream;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::Failure;

/// Tells which connections have something to read.
pub(crate) struct Poll(OwnedFd);

/// Shorter waits end to the microsecond.
const EXACTLY_BELOW: Duration = Duration::from_millis(20);
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
        let mut timeout = Timespec::try_from(patience)?;
        if patience < EXACTLY_BELOW {
            // Waiting for events knows only whole milliseconds, so the queue itself is waited for.
            let mut queue = [PollFd::new(&self.0, PollFlags::IN)];
            match rustix::event::poll(&mut queue, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => timeout = Timespec::default(),
                Err(error) => return Err(error.into()),
            }
        }
        let mut events = Vec::with_capacity(EVENTS);
        match epoll::wait(&self.0, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let numbers = events.iter().map(|event| event.data.u64() as usize);
        Ok(numbers.collect())
    }
}
