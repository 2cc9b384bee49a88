//! Random values for the tests of the hand-written codecs, the same in every run.

use bytes::Bytes;

use super::messages::StrBytes;
use crate::model::Uuid;

/// A small generator (splitmix64).
pub(super) struct Sample(u64);

impl Sample {
    pub(super) fn new(seed: u64) -> Sample {
        Sample(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(super) fn flag(&mut self) -> bool {
        self.below(2) == 1
    }

    pub(super) fn text(&mut self) -> String {
        // Long ones need two bytes for a compact length.
        let length = if self.below(8) == 0 {
            200
        } else {
            self.below(12)
        };
        (0..length)
            .map(|_| char::from(b'a' + self.below(26) as u8))
            .collect()
    }

    pub(super) fn name(&mut self) -> StrBytes {
        StrBytes::from(self.text())
    }

    pub(super) fn bytes(&mut self) -> Bytes {
        let length = match self.below(6) {
            0 => 20_000,
            1 => 0,
            _ => self.below(300),
        };
        (0..length).map(|i| i as u8).collect()
    }

    pub(super) fn uuid(&mut self) -> Uuid {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&self.next().to_be_bytes());
        Uuid(id)
    }

    /// Changes a few bytes: flips, cuts, inserts, extreme values.
    pub(super) fn mutate(&mut self, bytes: &[u8]) -> Bytes {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, self.next() as u8),
                2 if !bytes.is_empty() => {
                    bytes.remove(at);
                }
                3 if !bytes.is_empty() => bytes[at] = [0, 0xff, 0x7f, 0x80][self.below(4)],
                _ if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
        bytes.into()
    }
}
