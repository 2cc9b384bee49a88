//! Many connections that take requests in waves, and streams of finished frames with a window in flight.
//!
//! A wave sends each connection its requests at once and ends when all are answered; a connection
//! answers in order, so that a parked JoinGroup holds back only what is behind it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::Bytes;
use milena::protocol::decode_response;
use milena::protocol::messages::Answer;

use crate::Failure;
use crate::epoll::Poll;
use crate::gate::now_ns;
use crate::wire::{Connection, PATIENCE};

/// What a request of a member fits in, with its answer.
const BUFFER_BYTES: usize = 1024;

/// Connections by number.
pub(crate) struct Crew {
    poll: Poll,
    connections: Vec<Connection>,
}

impl Crew {
    pub(crate) fn open(address: SocketAddr, count: usize) -> Result<Crew, Failure> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(count);
        for number in 0..count {
            let connection = Connection::open(address, BUFFER_BYTES)?;
            poll.add(&connection.stream, number)?;
            connections.push(connection);
        }
        Ok(Crew { poll, connections })
    }

    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    pub(crate) fn send(&mut self, number: usize, frames: &[u8]) -> Result<(), Failure> {
        self.connections[number].send(frames)
    }

    /// Takes every answer that comes within this time, if any: its connection and its bytes.
    pub(crate) fn answers(
        &mut self,
        patience: std::time::Duration,
        mut take: impl FnMut(usize, &[u8]) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        for number in self.poll.wait(patience)? {
            while let Some(answer) = self.connections[number].poll()? {
                take(number, answer)?;
            }
        }
        Ok(())
    }

    /// Sends all of it and gives the answers in the same order.
    pub(crate) fn wave<A: Answer>(
        &mut self,
        version: i16,
        requests: &[(usize, Bytes)],
    ) -> Result<Vec<A>, Failure> {
        let mut asked = vec![VecDeque::new(); self.connections.len()];
        let mut batches = vec![Vec::new(); self.connections.len()];
        for (place, (number, frame)) in requests.iter().enumerate() {
            asked[*number].push_back(place);
            batches[*number].extend_from_slice(frame);
        }
        for (number, batch) in batches.iter().enumerate() {
            self.send(number, batch)?;
        }
        let mut answers: Vec<Option<A>> = requests.iter().map(|_| None).collect();
        let (mut missing, mut heard) = (requests.len(), now_ns());
        while missing > 0 {
            self.answers(PATIENCE, |number, answer| {
                let place = asked[number].pop_front().ok_or("nobody asked that")?;
                let answer = Bytes::copy_from_slice(answer);
                answers[place] = Some(decode_response::<A>(answer, version)?.1);
                missing -= 1;
                heard = now_ns();
                Ok(())
            })?;
            if now_ns() - heard > u64::try_from(PATIENCE.as_nanos())? {
                return Err(format!("{missing} of {} were not answered", requests.len()).into());
            }
        }
        Ok(answers.into_iter().flatten().collect())
    }
}

/// A connection and the frames it sends again and again.
struct Lane {
    frames: Vec<Bytes>,
    /// The first answer of each frame behind its correlation id; all others have to be the same.
    expected: Vec<Option<Bytes>>,
    next: usize,
    in_flight: VecDeque<(usize, u64)>,
}

impl Lane {
    fn take(&mut self, answer: &[u8], check: &Check) -> Result<u64, Failure> {
        let (place, sent) = self.in_flight.pop_front().ok_or("nobody asked that")?;
        match &self.expected[place] {
            Some(first) if first[..] == answer[4..] => {}
            _ => {
                check(Bytes::copy_from_slice(answer))?;
                self.expected[place] = Some(Bytes::copy_from_slice(&answer[4..]));
            }
        }
        Ok(now_ns() - sent)
    }
}

/// Fails if an answer is not the one that is wished for.
pub(crate) type Check = dyn Fn(Bytes) -> Result<(), Failure>;

/// Each connection sends the frames of its lane in turn, `window` in flight, `total` in all.
pub(crate) struct Stream {
    crew: Crew,
    lanes: Vec<Lane>,
    window: usize,
}

impl Stream {
    pub(crate) fn open(
        address: SocketAddr,
        lanes: Vec<Vec<Bytes>>,
        window: usize,
    ) -> Result<Stream, Failure> {
        let crew = Crew::open(address, lanes.len())?;
        let lanes = lanes.into_iter().map(|frames| Lane {
            expected: vec![None; frames.len()],
            frames,
            next: 0,
            in_flight: VecDeque::new(),
        });
        Ok(Stream {
            crew,
            lanes: lanes.collect(),
            window: window.max(1),
        })
    }

    /// What each request waited, in nanoseconds.
    pub(crate) fn drive(&mut self, total: usize, check: &Check) -> Result<Vec<u64>, Failure> {
        let (mut sent, mut waits) = (0, Vec::with_capacity(total));
        for number in 0..self.lanes.len() {
            self.fill(number, &mut sent, total)?;
        }
        while waits.len() < total {
            let (before, lanes) = (waits.len(), &mut self.lanes);
            let mut served = Vec::new();
            self.crew.answers(PATIENCE, |number, answer| {
                waits.push(lanes[number].take(answer, check)?);
                if served.last() != Some(&number) {
                    served.push(number);
                }
                Ok(())
            })?;
            if waits.len() == before && !self.crew.poll.wait(PATIENCE)?.is_empty() {
                continue; // a part of an answer
            }
            if waits.len() == before {
                return Err("nobody was answered in time".into());
            }
            for number in served {
                self.fill(number, &mut sent, total)?;
            }
        }
        Ok(waits)
    }

    fn fill(&mut self, number: usize, sent: &mut usize, total: usize) -> Result<(), Failure> {
        let lane = &mut self.lanes[number];
        let mut bytes = Vec::new();
        while lane.in_flight.len() < self.window && *sent < total {
            let place = lane.next % lane.frames.len();
            bytes.extend_from_slice(&lane.frames[place]);
            lane.in_flight.push_back((place, now_ns()));
            lane.next += 1;
            *sent += 1;
        }
        self.crew.send(number, &bytes)
    }
}
