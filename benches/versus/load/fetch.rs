//! Fetch 12 without a session, and its answer.

use std::collections::BTreeMap;

use crate::Failure;
use crate::wire::{self, Connection, FETCH, Reader};

/// What one consumer asks for again and again; a finished frame in which offsets change.
pub(crate) struct FetchFrame {
    frame: Vec<u8>,
    /// Where each partition's offset stands.
    places: BTreeMap<i32, usize>,
}

/// How much, and how long to wait for it.
#[derive(Clone, Copy)]
pub(crate) struct Appetite {
    pub(crate) wait_ms: i32,
    pub(crate) bytes_max: i32,
    pub(crate) partition_bytes_max: i32,
}

impl Appetite {
    /// What both librdkafka and the Java consumer ask for by default.
    pub(crate) const USUAL: Appetite = Appetite {
        wait_ms: 500,
        bytes_max: 52_428_800,
        partition_bytes_max: 1_048_576,
    };
}

/// Where these partitions end now.
pub(crate) fn high_watermarks(
    connection: &mut Connection,
    topic: &str,
    partitions: &[i32],
) -> Result<BTreeMap<i32, i64>, Failure> {
    let one_byte = Appetite {
        wait_ms: 0,
        bytes_max: 1,
        partition_bytes_max: 1,
    };
    let mut ends = BTreeMap::new();
    connection.send(FetchFrame::new(topic, partitions, one_byte).bytes())?;
    read_answer(connection.receive()?, |fetched| {
        ends.insert(fetched.partition, fetched.high_watermark);
        Ok(())
    })?;
    match ends.len() == partitions.len() {
        true => Ok(ends),
        false => Err("not every partition was answered".into()),
    }
}

impl FetchFrame {
    pub(crate) fn new(topic: &str, partitions: &[i32], appetite: Appetite) -> FetchFrame {
        let mut out = wire::head(FETCH, 12);
        for number in [-1, appetite.wait_ms, 1, appetite.bytes_max] {
            out.extend(i32::to_be_bytes(number));
        }
        out.push(0);
        out.extend(0i32.to_be_bytes());
        out.extend((-1i32).to_be_bytes());
        wire::put_compact(&mut out, 1);
        wire::put_compact_string(&mut out, topic);
        wire::put_compact(&mut out, partitions.len());
        let mut places = BTreeMap::new();
        for partition in partitions {
            out.extend(partition.to_be_bytes());
            out.extend((-1i32).to_be_bytes());
            places.insert(*partition, out.len());
            out.extend(0i64.to_be_bytes());
            out.extend((-1i32).to_be_bytes());
            out.extend((-1i64).to_be_bytes());
            out.extend(appetite.partition_bytes_max.to_be_bytes());
            out.push(0);
        }
        out.push(0);
        wire::put_compact(&mut out, 0);
        wire::put_compact_string(&mut out, "");
        out.push(0);
        FetchFrame {
            frame: wire::finish(out),
            places,
        }
    }

    pub(crate) fn set_offset(&mut self, partition: i32, offset: i64) {
        if let Some(&at) = self.places.get(&partition) {
            self.frame[at..at + 8].copy_from_slice(&offset.to_be_bytes());
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.frame
    }
}

/// One partition of an answer.
pub(crate) struct Fetched<'a> {
    pub(crate) partition: i32,
    pub(crate) high_watermark: i64,
    pub(crate) records: &'a [u8],
}

/// Calls `each` for every partition of an answer.
pub(crate) fn read_answer<'a>(
    answer: &'a [u8],
    mut each: impl FnMut(Fetched<'a>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut reader = Reader(answer);
    reader.skip(4)?;
    reader.skip_tags()?;
    reader.skip(4)?;
    expect_no_error(reader.i16()?)?;
    reader.skip(4)?;
    for _ in 0..reader.compact()? {
        let name = reader.compact()?;
        reader.skip(name)?;
        for _ in 0..reader.compact()? {
            let partition = reader.i32()?;
            expect_no_error(reader.i16()?)?;
            let high_watermark = reader.i64()?;
            reader.skip(16)?;
            for _ in 0..reader.compact()? {
                reader.skip(16)?;
                reader.skip_tags()?;
            }
            reader.skip(4)?;
            let length = reader.compact()?;
            let records = reader.bytes(length)?;
            reader.skip_tags()?;
            each(Fetched {
                partition,
                high_watermark,
                records,
            })?;
        }
        reader.skip_tags()?;
    }
    Ok(())
}

fn expect_no_error(error: i16) -> Result<(), Failure> {
    match error {
        0 => Ok(()),
        error => Err(format!("a fetch was refused with error {error}").into()),
    }
}
