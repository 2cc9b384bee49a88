//! The batches that are sent: values, sizes, and stamps of when they left.

use bytes::Bytes;
use milena::model::Timestamp;
use milena::record::{BatchBuilder, Codec, Scratch, records};

use crate::Failure;
use crate::args::Args;

/// Stands where a stamp will be written.
const STAMP: [u8; 8] = *b"\xf1STAMP!\xf2";
/// The part of a batch its checksum covers, and where the checksum stands.
const CRC_AT: usize = 17;
const CRC_FROM: usize = 21;
/// Header and attributes, deltas and lengths of a record without a key, at most.
const RECORD_OVERHEAD: usize = 12;

/// What the records of a load look like.
pub(crate) struct Shape {
    pub(crate) record_bytes: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) records_max: usize,
    pub(crate) codec: Codec,
    /// Text as services log it instead of random bytes.
    pub(crate) text: bool,
    /// A key of sixteen bytes in each record.
    pub(crate) keyed: bool,
    /// How many different keys there are, drawn evenly.
    pub(crate) keys_max: u64,
}

impl Shape {
    pub(crate) fn of(args: &Args) -> Result<Shape, Failure> {
        Ok(Shape {
            record_bytes: args.number("record_bytes", 1024)?,
            batch_bytes: args.number("batch_bytes", 16_384)?,
            records_max: args.number("batch_records", usize::MAX)?,
            codec: codec(args.word("codec", "none"))?,
            text: args.word("values", "random") == "text",
            keyed: args.word("keys", "no") == "yes",
            keys_max: args.number("keys_max", u64::MAX)?,
        })
    }

    /// A batch that fills its bytes (before compression) or its count of records.
    pub(crate) fn build(&self, seed: &mut Seed) -> Result<(Bytes, u64), Failure> {
        let mut builder = BatchBuilder::new().codec(self.codec);
        let now = wall_clock()?;
        let key_bytes = if self.keyed { 16 } else { 0 };
        let largest = self.record_bytes + key_bytes + RECORD_OVERHEAD;
        let mut value = Vec::with_capacity(self.record_bytes);
        while builder.records() == 0
            || (builder.records() < self.records_max
                && builder.size() + largest <= self.batch_bytes)
        {
            value.clear();
            match self.text {
                true => seed.text(&mut value, self.record_bytes),
                false => seed.noise(&mut value, self.record_bytes),
            }
            let key = self
                .keyed
                .then(|| format!("{:016x}", seed.below(self.keys_max)));
            builder.append(now, key.as_deref().map(str::as_bytes), Some(&value), &[]);
        }
        let count = builder.records() as u64;
        Ok((builder.build()?, count))
    }
}

pub(crate) fn codec(name: &str) -> Result<Codec, Failure> {
    match name {
        "none" => Ok(Codec::None),
        "gzip" => Ok(Codec::Gzip),
        "snappy" => Ok(Codec::Snappy),
        "lz4" => Ok(Codec::Lz4),
        "zstd" => Ok(Codec::Zstd),
        _ => Err(format!("no codec {name}").into()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a measuring program is where time is read"
)]
pub(crate) fn wall_clock() -> Result<Timestamp, Failure> {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    Ok(Timestamp(i64::try_from(since.as_millis())?))
}

/// Randomness that is the same in every run.
pub(crate) struct Seed(pub(crate) u64);

impl Seed {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn noise(&mut self, out: &mut Vec<u8>, length: usize) {
        while out.len() < length {
            out.extend(self.next().to_le_bytes());
        }
        out.truncate(length);
    }

    /// Lines of JSON with a few fields that vary, cut to the length.
    fn text(&mut self, out: &mut Vec<u8>, length: usize) {
        const LEVELS: [&str; 4] = ["INFO", "INFO", "WARN", "DEBUG"];
        const PATHS: [&str; 6] = [
            "/api/v1/orders",
            "/api/v1/orders/items",
            "/api/v2/customers",
            "/login",
            "/static/app.js",
            "/api/v1/payments/confirm",
        ];
        while out.len() < length {
            let level = LEVELS[self.below(4) as usize];
            let path = PATHS[self.below(6) as usize];
            let line = format!(
                "{{\"time\":\"2026-11-21T09:{:02}:{:02}.{:03}Z\",\"level\":\"{level}\",\"service\":\"checkout-{}\",\"path\":\"{path}\",\"status\":{},\"duration_us\":{},\"trace\":\"{:016x}\",\"customer\":{}}}",
                self.below(60),
                self.below(60),
                self.below(1000),
                self.below(12),
                [200, 200, 200, 304, 404, 500][self.below(6) as usize],
                self.below(90_000),
                self.next(),
                self.below(100_000),
            );
            out.extend(line.as_bytes());
        }
        out.truncate(length);
    }
}

/// Writes stamps into a batch that lies at the end of a finished frame.
pub(crate) struct Stamper {
    /// Where the batch begins and ends in the frame.
    batch: std::ops::Range<usize>,
    stamps: Vec<usize>,
}

impl Stamper {
    /// An uncompressed batch of so many records whose values begin with a stamp.
    pub(crate) fn batch(count: usize, record_bytes: usize, keyed: bool) -> Result<Bytes, Failure> {
        let (mut builder, mut seed, mut value) = (BatchBuilder::new(), Seed(7), Vec::new());
        let now = wall_clock()?;
        for _ in 0..count {
            value.clear();
            value.extend(STAMP);
            seed.noise(&mut value, record_bytes.max(STAMP.len()));
            let key = keyed.then(|| format!("{:016x}", seed.next()));
            builder.append(now, key.as_deref().map(str::as_bytes), Some(&value), &[]);
        }
        Ok(builder.build()?)
    }

    /// Finds the batch and its stamps in a frame.
    pub(crate) fn find(frame: &[u8], batch: &[u8]) -> Result<Stamper, Failure> {
        let place = |what: &[u8], from: usize| {
            let found = frame[from..].windows(what.len()).position(|at| at == what);
            found.map(|at| at + from)
        };
        let start = place(batch, 0).ok_or("the frame has no such batch")?;
        let end = start + batch.len();
        let (mut stamps, mut from) = (Vec::new(), start);
        while let Some(at) = place(&STAMP, from) {
            stamps.push(at);
            from = at + STAMP.len();
        }
        Ok(Stamper {
            batch: start..end,
            stamps,
        })
    }

    /// The batch inside a frame.
    pub(crate) fn batch_of<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        &frame[self.batch.clone()]
    }

    pub(crate) fn stamp(&self, frame: &mut [u8], now_ns: u64) {
        for &at in &self.stamps {
            frame[at..at + STAMP.len()].copy_from_slice(&now_ns.to_be_bytes());
        }
        let batch = &mut frame[self.batch.clone()];
        let crc = crc32c(&batch[CRC_FROM..]);
        batch[CRC_AT..CRC_FROM].copy_from_slice(&crc.to_be_bytes());
    }

    /// The first stamp of a frame that is handed in without its size.
    pub(crate) fn read_behind_size(&self, frame: &[u8]) -> Option<u64> {
        let at = self.stamps.first()?.checked_sub(4)?;
        let bytes = frame.get(at..at + STAMP.len())?;
        Some(u64::from_be_bytes(bytes.try_into().ok()?))
    }
}

pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes) as u32
}

/// Calls `each` with the stamp of every record of these batches; where the next fetch begins.
pub(crate) fn read_stamps(
    bytes: &[u8],
    scratch: &mut Scratch,
    mut each: impl FnMut(u64),
) -> Result<Option<i64>, Failure> {
    let mut next = None;
    for batch in milena::record::batches(bytes) {
        // The last one may be cut off.
        let Ok((header, batch)) = batch else { break };
        let mut reader = records(&header, batch, 64 << 20, scratch)?;
        while let Some(record) = reader.next()? {
            let stamp = record.value.and_then(|value| value.first_chunk::<8>());
            each(u64::from_be_bytes(*stamp.ok_or("a record without stamp")?));
        }
        next = Some(header.next_offset().0);
    }
    Ok(next)
}

/// Counts the records of whole batches by their headers alone; where the next fetch begins.
pub(crate) fn skim(mut bytes: &[u8], from: i64) -> i64 {
    let mut next = from;
    while let Some(head) = bytes.first_chunk::<61>() {
        let field =
            |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let length = usize::try_from(field(8))
            .unwrap_or(usize::MAX)
            .saturating_add(12);
        let Some(rest) = bytes.get(length..) else {
            break;
        };
        let base = i64::from_be_bytes(*head.first_chunk().expect("61 bytes are more than 8"));
        next = base + i64::from(field(23)) + 1;
        bytes = rest;
    }
    next
}
