//! An answer on its way to the socket: bytes, and ranges of files that need not be copied.
//!
//! `protocol` builds them, `net` writes them. The first four bytes hold the size of the rest, so
//! a response is complete by itself and responses may be written one after the other.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::Bytes;

/// Something that holds bytes at positions: a segment file, or a stand-in of a test.
pub trait RangeSource: Send + Sync {
    /// Fills `buffer` with the bytes at `position`; an error if there are fewer.
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()>;

    /// The descriptor for sendfile(2), if there is a file behind it.
    fn fd(&self) -> Option<BorrowedFd<'_>>;
}

/// A run of bytes in a file; holding it keeps the file open.
#[derive(Clone)]
pub struct FileRange {
    /// Where the bytes are.
    pub file: Arc<dyn RangeSource>,
    /// The first byte's position in the file.
    pub position: u64,
    /// How many bytes.
    pub length: usize,
}

impl fmt::Debug for FileRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileRange({} bytes at {})", self.length, self.position)
    }
}

/// One piece of a response.
#[derive(Debug, Clone)]
pub enum Segment {
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes in a file.
    File(FileRange),
}

impl Segment {
    /// How many bytes this piece puts on the wire.
    pub fn len(&self) -> usize {
        match self {
            Segment::Bytes(bytes) => bytes.len(),
            Segment::File(range) => range.length,
        }
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A whole answer, its size in front. Most answers are one piece, which costs no list.
#[derive(Debug, Clone)]
pub struct Response {
    head: Bytes,
    rest: Vec<Segment>,
}

impl Response {
    /// An answer in one piece, which must begin with its size.
    pub fn from_bytes(frame: Bytes) -> Response {
        Response {
            head: frame,
            rest: Vec::new(),
        }
    }

    /// An answer whose first piece, which begins with the size of the whole, is followed by more.
    pub fn from_parts(head: Bytes, rest: Vec<Segment>) -> Response {
        Response { head, rest }
    }

    /// How many bytes go on the wire, the size in front included.
    pub fn len(&self) -> usize {
        self.head.len() + self.rest.iter().map(Segment::len).sum::<usize>()
    }

    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in the order of the wire.
    pub fn into_segments(self) -> impl Iterator<Item = Segment> {
        std::iter::once(Segment::Bytes(self.head)).chain(self.rest)
    }

    /// The whole frame as bytes, files read: for tests and for pipes.
    ///
    /// # Errors
    /// What reading the files answers.
    pub fn read_to_bytes(self) -> io::Result<Vec<u8>> {
        let mut frame = Vec::with_capacity(self.len());
        for segment in self.into_segments() {
            match segment {
                Segment::Bytes(bytes) => frame.extend_from_slice(&bytes),
                Segment::File(range) => {
                    let start = frame.len();
                    frame.resize(start + range.length, 0);
                    range
                        .file
                        .read_exact_at(&mut frame[start..], range.position)?;
                }
            }
        }
        Ok(frame)
    }
}
