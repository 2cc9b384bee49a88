//! The bytes of one file in memory: pieces that never change, in their order.
//!
//! Owned by [`super::MemoryDisk`]'s files. A write adds a piece, an overwrite replaces pieces, so
//! that a reader who shares one keeps it without a copy, and a copy of the whole content shares them
//! all. Small neighbours are joined, each byte a few times at most. Invariant: the pieces follow one
//! another without a gap, none is empty, and together they are `length` bytes.

use std::io::IoSlice;

use bytes::Bytes;

/// Neighbours are joined up to this size: large enough that what a piece costs beside its bytes does
/// not count, small enough that a batch of usual size is never copied for it.
const JOINED_BYTES_MAX: usize = 16 << 10;

#[derive(Debug, Clone)]
struct Piece {
    start: usize,
    bytes: Bytes,
}

/// See the module. A clone shares the bytes.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pieces: Vec<Piece>,
    length: usize,
}

impl Content {
    /// Bytes in all.
    pub(super) fn length(&self) -> usize {
        self.length
    }

    /// Writes all slices one after the other from `position`; a gap before it becomes zeroes.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>], position: usize) {
        let mut bytes = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
        for slice in slices {
            bytes.extend_from_slice(slice);
        }
        self.put(bytes.into(), position);
    }

    /// Cuts, or lengthens with zeroes.
    pub(super) fn resize(&mut self, length: usize) {
        if length > self.length {
            self.push(vec![0; length - self.length].into());
            return;
        }
        while let Some(last) = self.pieces.last_mut() {
            if last.start >= length {
                self.pieces.pop();
                continue;
            }
            last.bytes.truncate(length - last.start);
            break;
        }
        self.length = length;
    }

    /// What lies at `position`, up to `length` bytes of it, as far as it is in one piece; empty at
    /// the end. Nothing is copied.
    pub(super) fn piece_at(&self, position: usize, length: usize) -> Bytes {
        let behind = self.pieces.partition_point(|piece| piece.start <= position);
        let Some(piece) = behind.checked_sub(1).and_then(|at| self.pieces.get(at)) else {
            return Bytes::new();
        };
        let from = (position - piece.start).min(piece.bytes.len());
        let until = from.saturating_add(length).min(piece.bytes.len());
        piece.bytes.slice(from..until)
    }

    /// Appends what `other` has from `position` on, up to `length` bytes of it.
    pub(super) fn take_from(&mut self, other: &Content, mut position: usize, length: usize) {
        let end = position.saturating_add(length).min(other.length);
        while position < end {
            let piece = other.piece_at(position, end - position);
            position += piece.len();
            self.push(piece);
        }
    }

    fn put(&mut self, bytes: Bytes, position: usize) {
        if position >= self.length {
            if position > self.length && !bytes.is_empty() {
                self.resize(position);
            }
            return self.push(bytes);
        }
        let mut behind = Content::default();
        let end = position.saturating_add(bytes.len());
        behind.take_from(self, end, self.length.saturating_sub(end));
        self.resize(position);
        self.push(bytes);
        self.take_from(&behind, 0, behind.length);
    }

    /// Joins a piece with those before it while they are small. Each join at least adds half of what
    /// was there, so no byte is copied often.
    fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.length += bytes.len();
        let mut from = self.pieces.len();
        let mut joined = bytes.len();
        while let Some(before) = from.checked_sub(1).and_then(|at| self.pieces.get(at)) {
            let length = before.bytes.len();
            if joined + length > JOINED_BYTES_MAX || length > joined.saturating_mul(2) {
                break;
            }
            joined += length;
            from -= 1;
        }
        let start = self.length - joined;
        let bytes = if from == self.pieces.len() {
            bytes
        } else {
            let mut together = Vec::with_capacity(joined);
            for piece in self.pieces.drain(from..) {
                together.extend_from_slice(&piece.bytes);
            }
            together.extend_from_slice(&bytes);
            together.into()
        };
        self.pieces.push(Piece { start, bytes });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(content: &Content) -> Vec<u8> {
        let (mut bytes, mut position) = (Vec::new(), 0);
        while position < content.length() {
            let piece = content.piece_at(position, usize::MAX);
            assert!(!piece.is_empty());
            position += piece.len();
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    #[derive(Debug, Clone)]
    enum Step {
        Write(usize, usize, u8),
        Resize(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0usize..60_000, 0usize..9_000, any::<u8>())
                .prop_map(|(position, length, byte)| Step::Write(position, length, byte)),
            1 => (0usize..60_000).prop_map(Step::Resize),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn it_holds_what_a_plain_vector_would(steps in proptest::collection::vec(step(), 0..40)) {
            let (mut content, mut plain) = (Content::default(), Vec::new());
            for step in steps {
                match step {
                    Step::Write(position, length, byte) => {
                        content.write(&[IoSlice::new(&vec![byte; length])], position);
                        if length > 0 {
                            plain.resize(plain.len().max(position + length), 0);
                            plain[position..position + length].fill(byte);
                        }
                    }
                    Step::Resize(length) => {
                        content.resize(length);
                        plain.resize(length, 0);
                    }
                }
                prop_assert_eq!(content.length(), plain.len());
            }
            prop_assert_eq!(all(&content), plain);
        }
    }

    #[test]
    fn small_writes_are_joined_and_large_ones_kept_as_they_are() {
        let mut content = Content::default();
        for _ in 0..100_000 {
            content.write(&[IoSlice::new(&[7; 100])], content.length());
        }
        let pieces = content.pieces.len();
        assert!(pieces < 10_000_000 / JOINED_BYTES_MAX * 4, "{pieces}");
        let mut content = Content::default();
        content.write(&[IoSlice::new(&[1; JOINED_BYTES_MAX])], 0);
        let kept = content.piece_at(0, JOINED_BYTES_MAX);
        content.write(&[IoSlice::new(&[2; 10])], JOINED_BYTES_MAX);
        let again = content.piece_at(0, JOINED_BYTES_MAX);
        assert_eq!(kept.as_ptr(), again.as_ptr(), "shared, not copied");
    }
}
