//! Walking over batches that lie one behind the other, as in a segment or a fetched range.
//!
//! Called by `storage` (recovery, follower appends) and by `api`. Invariant: every batch handed out
//! is whole; nothing is said about its checksum or its records.

use super::batch_header::{BatchError, BatchHeader};

/// Iterates over the whole batches at the start of `bytes`.
pub fn batches(bytes: &[u8]) -> Batches<'_> {
    Batches {
        bytes,
        position: 0,
        failed: false,
    }
}

/// Whole batches, one after the other. Ends at a partial one, and behind the first error.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// How many bytes were whole batches so far: where a torn tail would be cut.
    pub fn whole_bytes(&self) -> usize {
        self.position
    }

    /// The bytes not handed out yet; behind the last batch, the torn tail.
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.position == self.bytes.len() {
            return None;
        }
        let rest = self.rest();
        let header = match BatchHeader::parse(rest) {
            Ok(header) => header,
            Err(BatchError::Partial { .. }) => return None,
            Err(error) => {
                self.failed = true;
                return Some(Err(error));
            }
        };
        let batch = rest.get(..header.size())?;
        self.position += batch.len();
        Some(Ok((header, batch)))
    }
}

#[cfg(test)]
mod tests {
    use crate::model::Timestamp;

    use super::super::BatchBuilder;
    use super::*;

    fn batch(values: &[&str]) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        for value in values {
            builder.append(Timestamp(1), None, Some(value.as_bytes()), &[]);
        }
        builder.build().unwrap().to_vec()
    }

    #[test]
    fn whole_batches_come_out_and_a_torn_tail_stays() {
        let first = batch(&["a"]);
        let second = batch(&["b", "c"]);
        let bytes = [first.as_slice(), &second, &first].concat();
        for torn in [1, 11, 12, 17, 60, 61, first.len() - 1] {
            let whole = first.len() + second.len();
            let mut walk = batches(&bytes[..whole + torn]);
            assert_eq!(walk.next().unwrap().unwrap().1, first);
            let (header, found) = walk.next().unwrap().unwrap();
            assert_eq!((header.records_count, found), (2, second.as_slice()));
            assert!(walk.next().is_none());
            assert_eq!(walk.whole_bytes(), whole);
            assert_eq!(walk.rest().len(), torn);
        }
    }

    #[test]
    fn a_bad_length_ends_the_walk_with_an_error() {
        let mut bytes = batch(&["a"]);
        let whole = bytes.len();
        bytes.extend_from_slice(&[0; 100]);
        bytes[whole + 16] = 2;
        let mut walk = batches(&bytes);
        assert!(walk.next().unwrap().is_ok());
        assert_eq!(walk.next(), Some(Err(BatchError::Length(0))));
        assert_eq!(walk.next(), None);
        assert_eq!(walk.whole_bytes(), whole);
    }

    #[test]
    fn a_length_beyond_the_bytes_is_a_tail() {
        let mut bytes = batch(&["a"]);
        bytes[8..12].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(batches(&bytes).next().is_none());
    }
}
