//! The last offset of each key in the part of a log that is dirty, in memory of a fixed size.
//!
//! Owned by a cleaner's thread, lent to each cleaning in turn. 24 bytes for a key whatever its length:
//! a hash of 128 bits, which nobody can aim at without the seed, stands for it (Kafka's
//! `SkimpyOffsetMap`, with MD5). Invariant: the memory never grows, and what a small log does not
//! need of it is not touched.

use std::hash::{DefaultHasher, Hasher};

use crate::model::Offset;

/// Bytes of one slot: the hash, and the offset plus one; zero is an empty slot.
const SLOT_BYTES: usize = 24;

type Slot = [u64; 3];

/// Keys and their last offsets.
pub struct OffsetMap {
    slots: Vec<Slot>,
    load_factor: f64,
    /// How many of the slots this cleaning uses.
    used_slots: usize,
    keys: usize,
    keys_max: usize,
    hashers: [DefaultHasher; 2],
}

impl std::fmt::Debug for OffsetMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OffsetMap")
            .field("slots", &self.slots.len())
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// What became of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is in the map.
    Done,
    /// There is no room for another key.
    Full,
}

impl OffsetMap {
    /// A map of so many bytes (`log.cleaner.dedupe.buffer.size`, the share of one thread), filled up
    /// to `load_factor` (`log.cleaner.io.buffer.load.factor`). The seed is random.
    pub fn new(bytes: usize, load_factor: f64, seed: [u8; 16]) -> OffsetMap {
        let hashers = [0u8, 1].map(|prefix| {
            let mut hasher = DefaultHasher::new();
            hasher.write(&seed);
            hasher.write_u8(prefix);
            hasher
        });
        let mut map = OffsetMap {
            // Zeroes come from the system untouched, so memory that is not needed is not taken.
            slots: vec![[0; 3]; (bytes / SLOT_BYTES).max(2)],
            load_factor: load_factor.clamp(0.01, 0.99),
            used_slots: 0,
            keys: 0,
            keys_max: 0,
            hashers,
        };
        map.begin(u64::MAX);
        map
    }

    /// Forgets all keys. At most so many are to come: fewer slots are used for few.
    pub(crate) fn begin(&mut self, keys_expected: u64) {
        self.slots[..self.used_slots].fill([0; 3]);
        let wanted = (keys_expected as f64 / self.load_factor).ceil() as usize;
        self.used_slots = wanted.saturating_add(1).clamp(2, self.slots.len());
        // One stays empty, so that every search ends.
        let loaded = (self.used_slots as f64 * self.load_factor) as usize;
        self.keys_max = loaded.clamp(1, self.used_slots - 1);
        self.keys = 0;
    }

    /// Notes that a key has a record at this offset, which is above those noted before.
    pub(crate) fn put(&mut self, key: &[u8], offset: Offset) -> Put {
        let (at, hash) = self.find(key);
        let Some(slot) = self.slots.get_mut(at) else {
            return Put::Full;
        };
        if slot[2] == 0 {
            if self.keys >= self.keys_max {
                return Put::Full;
            }
            self.keys += 1;
        }
        *slot = [hash[0], hash[1], offset.0.cast_unsigned().wrapping_add(1)];
        Put::Done
    }

    /// The last offset that was noted for a key.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Offset> {
        let (at, _) = self.find(key);
        let noted = self.slots.get(at)?[2].checked_sub(1)?;
        Some(Offset(noted.cast_signed()))
    }

    /// The slot that has a key, or the empty one where it belongs.
    fn find(&self, key: &[u8]) -> (usize, [u64; 2]) {
        let [first, second] = &self.hashers;
        let hash = [first, second].map(|hasher| {
            let mut hasher = hasher.clone();
            hasher.write(key);
            hasher.finish()
        });
        let slots = self.slots.get(..self.used_slots).unwrap_or_default();
        let start = (u128::from(hash[0]) * slots.len() as u128) >> 64;
        let start = usize::try_from(start).unwrap_or(0);
        let (before, behind) = slots.split_at(start);
        let fits = |slot: &Slot| slot[2] == 0 || slot[..2] == hash;
        let found = match behind.iter().position(fits) {
            Some(at) => start + at,
            None => before.iter().position(fits).unwrap_or(usize::MAX),
        };
        (found, hash)
    }

    /// How many keys are in it.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// How many keys the whole of it takes.
    pub fn keys_max(&self) -> usize {
        ((self.slots.len() as f64 * self.load_factor) as usize).clamp(1, self.slots.len() - 1)
    }

    /// Keys of all slots there are, of 1 (`max-buffer-utilization-percent`).
    pub fn utilization(&self) -> f64 {
        self.keys as f64 / self.slots.len() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> Vec<u8> {
        format!("key {number}").into_bytes()
    }

    #[test]
    fn of_each_key_the_last_offset_is_known() {
        let mut map = OffsetMap::new(24 * 1000, 0.9, [7; 16]);
        map.begin(600);
        for offset in 0..1800 {
            assert_eq!(
                map.put(&key(offset % 600), Offset(offset as i64)),
                Put::Done
            );
        }
        for number in 0..600 {
            assert_eq!(map.get(&key(number)), Some(Offset(1200 + number as i64)));
        }
        assert_eq!(map.get(&key(600)), None);
        assert_eq!(map.get(b""), None);
        assert_eq!(map.keys(), 600);
    }

    #[test]
    fn a_full_map_takes_known_keys_only_and_still_answers() {
        for load_factor in [0.5, 0.9, 1.0] {
            let mut map = OffsetMap::new(24 * 100, load_factor, [1; 16]);
            let all = (0..200).filter(|n| map.put(&key(*n), Offset(*n as i64)) == Put::Done);
            let taken: Vec<usize> = all.collect();
            assert_eq!(taken, (0..map.keys_max()).collect::<Vec<_>>());
            assert_eq!(map.put(&key(0), Offset(500)), Put::Done);
            assert_eq!(map.get(&key(0)), Some(Offset(500)));
            assert_eq!(map.get(&key(199)), None);
        }
    }

    #[test]
    fn a_new_round_knows_nothing_of_the_last_one() {
        let mut map = OffsetMap::new(24 * 100, 0.9, [1; 16]);
        for expected in [1000, 3, 1000, 0] {
            map.begin(expected);
            for number in 0..50 {
                assert_eq!(map.get(&key(number)), None);
            }
            for number in 0..expected.min(3) as usize {
                assert_eq!(map.put(&key(number), Offset(0)), Put::Done);
            }
        }
    }

    #[test]
    fn another_seed_puts_keys_elsewhere() {
        let place = |seed| OffsetMap::new(24 * 100_000, 0.9, [seed; 16]).find(b"key");
        assert_ne!(place(1), place(2));
        assert_eq!(place(1), place(1));
    }
}
