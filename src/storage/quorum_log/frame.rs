//! Frames: everything the quorum keeps on the disk lies in one of these.
//!
//! Called by the log, the vote and the snapshots beside it. Layout, big-endian: magic u32, schema
//! version u16, kind u8, zero u8, index u64, count u32, length of the payload u32, CRC-32C u32 of
//! all that and the payload, payload. What is written together lies in one frame, so that a write
//! that was interrupted leaves at most one bad frame, the last. Invariant: a frame that is read has
//! the bytes that were written.

/// Bytes in front of a payload.
pub(super) const HEAD_SIZE: usize = 28;
/// Every frame starts with `MQLG`.
pub(super) const MAGIC: [u8; 4] = *b"MQLG";

const SCHEMA: u16 = 1;
const CRC_POSITION: usize = 24;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Entries of the log, the first of which has the frame's index.
    Entries = 1,
    /// Entries from the frame's index on were taken back.
    Truncation = 2,
    /// The vote.
    Vote = 3,
    /// What was purged: up to the frame's index.
    Purged = 4,
    /// The state up to the frame's index.
    Snapshot = 5,
}

impl Kind {
    fn parse(byte: u8) -> Option<Kind> {
        let kinds = [
            Kind::Entries,
            Kind::Truncation,
            Kind::Vote,
            Kind::Purged,
            Kind::Snapshot,
        ];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A frame that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) kind: Kind,
    pub(super) index: u64,
    pub(super) count: u32,
    pub(super) payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes of the whole frame.
    pub(super) fn size(&self) -> usize {
        HEAD_SIZE + self.payload.len()
    }
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidFrame {
    #[error("it ends within a frame")]
    Short,
    #[error("no frame starts here")]
    Magic,
    #[error("the frame's checksum does not match its bytes")]
    Checksum,
    #[error("the frame has schema version {0}, which this version does not know")]
    Schema(u16),
    #[error("the frame is of the unknown kind {0}")]
    Kind(u8),
}

/// Writes a frame. `None` when the payload is too long for one.
pub(super) fn encode(kind: Kind, index: u64, count: u32, payload: &[&[u8]]) -> Option<Vec<u8>> {
    let length = payload
        .iter()
        .try_fold(0usize, |sum, part| sum.checked_add(part.len()))?;
    let length_field = u32::try_from(length).ok()?;
    let mut bytes = Vec::with_capacity(HEAD_SIZE.checked_add(length)?);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&SCHEMA.to_be_bytes());
    bytes.extend_from_slice(&[kind as u8, 0]);
    bytes.extend_from_slice(&index.to_be_bytes());
    bytes.extend_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(&length_field.to_be_bytes());
    bytes.extend_from_slice(&[0; HEAD_SIZE - CRC_POSITION]);
    for part in payload {
        bytes.extend_from_slice(part);
    }
    let crc = checksum(&bytes);
    bytes[CRC_POSITION..HEAD_SIZE].copy_from_slice(&crc.to_be_bytes());
    Some(bytes)
}

/// Reads the frame at the start of `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Frame<'_>, InvalidFrame> {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD_SIZE>() else {
        return Err(InvalidFrame::Short);
    };
    if head[..4] != MAGIC {
        return Err(InvalidFrame::Magic);
    }
    let length = u32::from_be_bytes([head[20], head[21], head[22], head[23]]);
    let payload = usize::try_from(length)
        .ok()
        .and_then(|length| rest.get(..length))
        .ok_or(InvalidFrame::Short)?;
    let stored = u32::from_be_bytes([head[24], head[25], head[26], head[27]]);
    if checksum(&bytes[..HEAD_SIZE + payload.len()]) != stored {
        return Err(InvalidFrame::Checksum);
    }
    let schema = u16::from_be_bytes([head[4], head[5]]);
    if schema != SCHEMA {
        return Err(InvalidFrame::Schema(schema));
    }
    Ok(Frame {
        kind: Kind::parse(head[6]).ok_or(InvalidFrame::Kind(head[6]))?,
        index: u64::from_be_bytes([
            head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15],
        ]),
        count: u32::from_be_bytes([head[16], head[17], head[18], head[19]]),
        payload,
    })
}

/// Where the next sound frame starts at or behind `from`.
pub(super) fn find_next(bytes: &[u8], from: usize) -> Option<usize> {
    let candidates = bytes.get(from..)?.windows(MAGIC.len()).enumerate();
    candidates
        .filter(|(_, window)| *window == MAGIC)
        .map(|(at, _)| from + at)
        .find(|at| is_sound(parse(&bytes[*at..])))
}

/// Whether the bytes are those that were written, by this version or a later one.
fn is_sound(parsed: Result<Frame<'_>, InvalidFrame>) -> bool {
    !matches!(
        parsed,
        Err(InvalidFrame::Short | InvalidFrame::Magic | InvalidFrame::Checksum)
    )
}

/// The checksum of a frame, its own four bytes left out.
fn checksum(frame: &[u8]) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    digest.update(&frame[..CRC_POSITION]);
    digest.update(&frame[HEAD_SIZE..]);
    // A 32-bit checksum in a 64-bit return value.
    digest.finalize() as u32
}

/// Splits the payload of [`Kind::Entries`]: length u32 and bytes, `count` times. `None` when it is
/// not that.
pub(super) fn split_entries<'a>(frame: &Frame<'a>) -> Option<Vec<&'a [u8]>> {
    let mut entries = Vec::new();
    let mut rest = frame.payload;
    while let Some((length, behind)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (entry, behind) = behind.split_at_checked(length)?;
        entries.push(entry);
        rest = behind;
    }
    let complete = rest.is_empty() && u32::try_from(entries.len()) == Ok(frame.count);
    complete.then_some(entries)
}
