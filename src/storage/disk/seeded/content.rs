//! The bytes of one file: as programs see them, as the device has them, and what was done since they
//! were the same.
//!
//! Invariant: the device's bytes with everything pending applied in order are those seen, unless a
//! flush failed or lied.

use super::random::Random;

/// Devices write sectors of this size whole or not at all.
const SECTOR: usize = 512;

/// A change that was not flushed.
#[derive(Debug, Clone)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    Resize(usize),
}

/// How much of what was not flushed is on the device all the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Luck {
    /// Chances in a hundred that a change is there whole.
    pub(super) whole: u64,
    /// Chances in a hundred that a part of a write is there that is not there whole.
    pub(super) part: u64,
    /// Chances in a hundred that the file has the length it had, zeroes where nothing arrived.
    pub(super) length: u64,
}

impl Luck {
    /// A different one each time: from nothing to nearly everything.
    pub(super) fn draw(random: &mut Random) -> Luck {
        Luck {
            whole: random.pick(&[0, 20, 50, 80, 95]),
            part: random.pick(&[0, 30, 70]),
            length: random.pick(&[0, 10, 50]),
        }
    }
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    pub(super) seen: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

fn write(image: &mut Vec<u8>, position: usize, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let end = position + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[position..end].copy_from_slice(bytes);
}

impl Content {
    /// A file of a copy: all of it is on the device.
    pub(super) fn settled(bytes: Vec<u8>) -> Content {
        Content {
            durable: bytes.clone(),
            seen: bytes,
            pending: Vec::new(),
        }
    }

    pub(super) fn write(&mut self, position: usize, bytes: &[u8]) {
        write(&mut self.seen, position, bytes);
        if !bytes.is_empty() {
            self.pending.push(Change::Write {
                position,
                bytes: bytes.to_vec(),
            });
        }
    }

    pub(super) fn resize(&mut self, length: usize) {
        if length != self.seen.len() {
            self.seen.resize(length, 0);
            self.pending.push(Change::Resize(length));
        }
    }

    /// Everything reaches the device.
    pub(super) fn flush(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            self.apply(&change);
        }
    }

    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write { position, bytes } => write(&mut self.durable, *position, bytes),
            Change::Resize(length) => self.durable.resize(*length, 0),
        }
    }

    /// A flush failed: some of it arrived, and of the rest the system believes that it did.
    pub(super) fn flush_badly(&mut self, random: &mut Random) {
        let luck = Luck::draw(random);
        self.settle(luck, random);
    }

    /// The power goes: of each change that was not flushed the whole, a part or nothing is there,
    /// whatever became of those before it.
    pub(super) fn lose_power(&mut self, luck: Luck, random: &mut Random) {
        let length = self.seen.len();
        self.settle(luck, random);
        if self.durable.len() < length && random.percent(luck.length) {
            let length = self.durable.len() + 1 + random.index(length - self.durable.len());
            self.durable.resize(length, 0);
        }
        self.seen = self.durable.clone();
    }

    fn settle(&mut self, luck: Luck, random: &mut Random) {
        for change in std::mem::take(&mut self.pending) {
            if random.percent(luck.whole) {
                self.apply(&change);
            } else if let Change::Write { position, bytes } = &change
                && random.percent(luck.part)
            {
                self.tear(*position, bytes, random);
            }
        }
    }

    /// A part of a write arrives: up to a byte, or some of its sectors.
    fn tear(&mut self, position: usize, bytes: &[u8], random: &mut Random) {
        if random.percent(50) {
            let kept = random.index(bytes.len() + 1);
            return write(&mut self.durable, position, &bytes[..kept]);
        }
        let mut from = 0;
        while from < bytes.len() {
            let sector_end = (position + from) / SECTOR * SECTOR + SECTOR;
            let until = (sector_end - position).min(bytes.len());
            if random.percent(50) {
                write(&mut self.durable, position + from, &bytes[from..until]);
            }
            from = until;
        }
    }

    /// A failing medium: what programs see and what the device has, changed alike.
    pub(super) fn flip_bit(&mut self, position: usize, bit: u8) {
        for image in [&mut self.seen, &mut self.durable] {
            if let Some(byte) = image.get_mut(position) {
                *byte ^= 1 << (bit & 7);
            }
        }
    }
}
