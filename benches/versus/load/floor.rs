//! The floor of throughput: a process that receives, checks and writes the same frames, and is no broker.
//!
//! It has one thread, takes the load program's own frames apart without looking further, and keeps
//! for each partition one file and the places of its batches. What a fetch asks for goes from the
//! file to the socket. Nothing is validated but the checksum, no request is refused.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use rustix::event::{PollFd, PollFlags};
use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::batch::crc32c;
use crate::epoll::Poll;
use crate::gate;
use crate::wire::{self, Connection, PATIENCE, PRODUCE, Reader};

const LISTENER: usize = usize::MAX;
/// As much as the broker sets aside at a time.
const SET_ASIDE_BYTES: u64 = 64 << 20;

/// `dir=`: prints its port and serves until its standard input ends.
pub(crate) fn serve(args: &Args) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    gate::end_with_caller();
    gate::result(&json!({"port": listener.local_addr()?.port()}))?;
    let mut floor = Floor {
        directory: PathBuf::from(args.text("dir")?),
        topic: Vec::new(),
        files: HashMap::new(),
        answers: Vec::new(),
    };
    let poll = Poll::new()?;
    poll.watch(&listener, LISTENER)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    loop {
        for number in poll.wait(PATIENCE)? {
            if number == LISTENER {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                poll.add(&stream, connections.len())?;
                connections.push(Some(Connection::of(stream, 1 << 18)));
            } else if let Some(connection) = &mut connections[number]
                && floor.answer_all(connection).is_err()
            {
                connections[number] = None;
            }
        }
    }
}

struct Floor {
    directory: PathBuf,
    /// Files are those of one topic: the next topic starts anew.
    topic: Vec<u8>,
    files: HashMap<i32, Partition>,
    answers: Vec<u8>,
}

struct Partition {
    file: File,
    end: u64,
    set_aside: u64,
    next_offset: i64,
    /// First offset and position of each batch.
    batches: Vec<(i64, u64)>,
}

impl Floor {
    /// Answers what has come; an error is the end of the connection.
    fn answer_all(&mut self, connection: &mut Connection) -> Result<(), Failure> {
        loop {
            let Some(frame) = connection.poll()? else {
                return Ok(());
            };
            let fetched =
                if i16::from_be_bytes(*frame.first_chunk().ok_or("a short frame")?) == PRODUCE {
                    self.take(frame)?;
                    None
                } else {
                    Some(self.find(frame)?)
                };
            if fetched.is_some() || !connection.has_frame() {
                connection.send(&self.answers)?;
                self.answers.clear();
            }
            if let Some((partition, from, to)) = fetched {
                let file = &self.files.get(&partition).ok_or("no such partition")?.file;
                send_file(&connection.stream, file, from, to)?;
                connection.send(&[0, 0, 0])?;
            }
        }
    }

    /// Checks and writes the batch of a produce request.
    fn take(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let mut reader = Reader(frame);
        let correlation = skip_head(&mut reader)?;
        reader.skip(1 + 2 + 4)?;
        reader.compact()?;
        let name = reader.compact()?;
        let name = reader.bytes(name)?;
        reader.compact()?;
        let number = reader.i32()?;
        let length = reader.compact()?;
        let batch = reader.bytes(length)?;
        let stored = u32::from_be_bytes(batch[17..21].try_into()?);
        if crc32c(&batch[21..]) != stored {
            return Err("a wrong checksum".into());
        }
        let base_offset = self.partition(name, number)?.append(batch)?;
        let out = &mut self.answers;
        let size = 4 + 1 + 1 + 1 + name.len() + 1 + 4 + 2 + 24 + 3 + 1 + 4 + 1;
        out.extend((size as i32).to_be_bytes());
        out.extend(correlation.to_be_bytes());
        out.extend([0, 2, name.len() as u8 + 1]);
        out.extend(name);
        out.push(2);
        out.extend(number.to_be_bytes());
        out.extend([0, 0]);
        out.extend(base_offset.to_be_bytes());
        out.extend((-1i64).to_be_bytes());
        out.extend(0i64.to_be_bytes());
        // No record errors, no message, no tags; then the topic's tags, throttle time and tags.
        out.extend([1, 0, 0, 0, 0, 0, 0, 0, 0]);
        Ok(())
    }

    /// Writes the head of a fetch's answer; partition and range of what follows it.
    fn find(&mut self, frame: &[u8]) -> Result<(i32, u64, u64), Failure> {
        let mut reader = Reader(frame);
        let correlation = skip_head(&mut reader)?;
        reader.skip(16 + 1 + 8)?;
        reader.compact()?;
        let name = reader.compact()?;
        let name = reader.bytes(name)?;
        reader.compact()?;
        let number = reader.i32()?;
        reader.skip(4)?;
        let offset = reader.i64()?;
        reader.skip(12)?;
        let bytes_max = u64::try_from(reader.i32()?)?;
        let partition = self.partition(name, number)?;
        let (from, to) = partition.range(offset, bytes_max);
        let end = partition.next_offset;
        let mut out = Vec::with_capacity(128);
        out.extend(correlation.to_be_bytes());
        out.extend([0; 1 + 4 + 2 + 4]);
        out.extend([2, name.len() as u8 + 1]);
        out.extend(name);
        out.push(2);
        out.extend(number.to_be_bytes());
        out.extend([0, 0]);
        out.extend(end.to_be_bytes());
        out.extend(end.to_be_bytes());
        out.extend(0i64.to_be_bytes());
        out.push(0);
        out.extend((-1i32).to_be_bytes());
        wire::put_compact(&mut out, usize::try_from(to - from)?);
        let size = u64::try_from(out.len())? + (to - from) + 3;
        self.answers.extend(i32::try_from(size)?.to_be_bytes());
        self.answers.extend(out);
        Ok((number, from, to))
    }

    fn partition(&mut self, topic: &[u8], number: i32) -> Result<&mut Partition, Failure> {
        if self.topic != topic {
            self.files.clear();
            self.topic = topic.to_vec();
        }
        if !self.files.contains_key(&number) {
            let path = self.directory.join(format!("floor-{number}"));
            let _ = std::fs::remove_file(&path);
            let mut options = File::options();
            let file = options.create_new(true).read(true).write(true).open(path)?;
            let partition = Partition {
                file,
                end: 0,
                set_aside: 0,
                next_offset: 0,
                batches: Vec::new(),
            };
            self.files.insert(number, partition);
        }
        Ok(self.files.get_mut(&number).expect("it was just put there"))
    }
}

impl Partition {
    /// Writes a batch under its offset in one call; the offset.
    fn append(&mut self, batch: &[u8]) -> Result<i64, Failure> {
        let length = batch.len() as u64;
        if self.end + length > self.set_aside {
            let file = &self.file;
            rustix::fs::fallocate(
                file,
                FallocateFlags::KEEP_SIZE,
                self.set_aside,
                SET_ASIDE_BYTES,
            )?;
            self.set_aside += SET_ASIDE_BYTES;
        }
        let base_offset = self.next_offset;
        let head = base_offset.to_be_bytes();
        let slices = [
            std::io::IoSlice::new(&head),
            std::io::IoSlice::new(&batch[8..]),
        ];
        let written = rustix::io::pwritev(&self.file, &slices, self.end)?;
        if written != batch.len() {
            return Err("a write that was cut short".into());
        }
        self.batches.push((base_offset, self.end));
        let records = i32::from_be_bytes(batch[57..61].try_into()?);
        self.next_offset += i64::from(records);
        self.end += length;
        Ok(base_offset)
    }

    /// Whole batches from this offset on that fit, at least one.
    fn range(&self, offset: i64, bytes_max: u64) -> (u64, u64) {
        if offset >= self.next_offset {
            return (self.end, self.end);
        }
        let place = self.batches.partition_point(|(base, _)| *base <= offset) - 1;
        let from = self.batches[place].1;
        let ends = self.batches.iter().map(|(_, position)| *position);
        let ends = ends.skip(place + 1).chain([self.end]);
        let fits = ends
            .clone()
            .take_while(|end| end - from <= bytes_max)
            .last();
        (
            from,
            fits.or_else(|| ends.clone().next()).unwrap_or(self.end),
        )
    }
}

/// The correlation id of a request; the reader then stands at its body.
fn skip_head(reader: &mut Reader<'_>) -> Result<i32, Failure> {
    reader.skip(4)?;
    let correlation = reader.i32()?;
    let client_id = usize::try_from(reader.i16()?)?;
    reader.skip(client_id)?;
    reader.skip_tags()?;
    Ok(correlation)
}

fn send_file(mut socket: &TcpStream, file: &File, from: u64, to: u64) -> Result<(), Failure> {
    socket.flush()?;
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at)?;
        match rustix::fs::sendfile(socket, file, Some(&mut at), length) {
            Ok(0) => return Err("the file is shorter than it was".into()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                rustix::event::poll(&mut [PollFd::new(socket, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
