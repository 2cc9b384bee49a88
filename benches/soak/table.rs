//! A table in a compacted topic: written by one, read whole again and again by another. A record's
//! offset is its version.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use milena::record::{BatchBuilder, Scratch, batches, records};

use crate::batch::{Seed, wall_clock};
use crate::fetch::{self, Appetite, FetchFrame};
use crate::gate::now_ns;
use crate::wire::{self, Connection};
use crate::{Failure, Shared, offset_at};

pub(crate) const TOPIC: &str = "table";
const RECORDS_PER_BATCH: u64 = 100;
const VALUE_BYTES: usize = 200;
/// One in so many deletes its key.
const DELETES: u64 = 20;
/// A reader that takes longer may miss a tombstone whose time has passed meanwhile.
const PASS_NS_MAX: u64 = 15_000_000_000;
const PATIENCE_NS: u64 = 60_000_000_000;

/// The newest of a key: its offset, and the checksum of its value, if it has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Version {
    offset: i64,
    value: Option<u32>,
}

type Table = BTreeMap<u64, Version>;

/// Writes and reads until the end; then compares.
pub(crate) fn write_and_read(shared: &Shared) -> Result<String, Failure> {
    let written = Arc::new(Mutex::new(Table::new()));
    let result = std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(shared, &written));
        let reading = scope.spawn(|| read_again_and_again(shared, &written));
        let count = writing.join().map_err(|_| "the writer panicked")?;
        let passes = reading.join().map_err(|_| "the reader panicked")?;
        Ok::<_, Failure>((count?, passes?))
    });
    let (count, passes) = result?;
    let mut connection = Connection::open(shared.address, 1 << 20)?;
    let written = lock(&written).clone();
    let pass = read_whole(&mut connection, 1 << 20)?;
    compare(&written, &pass, true)?;
    let kept = pass.records;
    if kept * 2 > count && count > 20 * shared.keys {
        return Err(format!("{kept} of {count} records are still there").into());
    }
    Ok(format!(
        "{count} records of {} keys became {kept}, read whole {passes} times and right each time",
        written.len()
    ))
}

fn lock(table: &Mutex<Table>) -> std::sync::MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(shared: &Shared, written: &Mutex<Table>) -> Result<u64, Failure> {
    let mut connection = Connection::open(shared.address, 1 << 16)?;
    let (mut seed, mut next, begun) = (Seed(99), 0i64, now_ns());
    while !shared.is_stopped() {
        let due = begun + ((next as u64 / RECORDS_PER_BATCH) as f64 * 1e9 / shared.rate) as u64;
        std::thread::sleep(std::time::Duration::from_nanos(
            due.saturating_sub(now_ns()),
        ));
        let (mut builder, mut changes) = (BatchBuilder::new(), Vec::new());
        for _ in 0..RECORDS_PER_BATCH {
            let key = seed.next() % shared.keys;
            let mut value = Vec::with_capacity(VALUE_BYTES);
            while value.len() < VALUE_BYTES {
                value.extend(seed.next().to_le_bytes());
            }
            let value = (seed.next() % DELETES != 0).then_some(value);
            let text = format!("{key:016x}");
            builder.append(wall_clock()?, Some(text.as_bytes()), value.as_deref(), &[]);
            let value = value.as_deref().map(crate::batch::crc32c);
            changes.push((
                key,
                Version {
                    offset: next,
                    value,
                },
            ));
            next += 1;
        }
        let frame = wire::produce_frame(TOPIC, &[(0, &builder.build()?)]);
        connection.send(&frame)?;
        wire::expect_produced(connection.receive()?)?;
        lock(written).extend(changes);
    }
    Ok(next as u64)
}

/// What one pass found.
struct Pass {
    table: Table,
    records: u64,
    took_ns: u64,
}

fn read_again_and_again(shared: &Shared, written: &Mutex<Table>) -> Result<u32, Failure> {
    let mut connection = Connection::open(shared.address, 1 << 20)?;
    let (mut passes, mut seed) = (0, Seed(5));
    while !shared.is_stopped() {
        let before = lock(written).clone();
        // With any limits.
        let bytes_max = 1 << (8 + seed.next() % 14);
        let pass = read_whole(&mut connection, bytes_max)?;
        compare(&before, &pass, false)?;
        passes += 1;
    }
    Ok(passes)
}

/// Reads the table from its start until it has caught up: what was written before it began may have
/// been compacted away meanwhile for something that was written since.
fn read_whole(connection: &mut Connection, bytes_max: i32) -> Result<Pass, Failure> {
    let appetite = Appetite {
        partition_bytes_max: bytes_max,
        ..Appetite::USUAL
    };
    let mut frame = FetchFrame::new(TOPIC, &[0], appetite);
    let begun = now_ns();
    let mut end = offset_at(connection, TOPIC, -1)?;
    let (mut table, mut count, mut scratch) = (Table::new(), 0, Scratch::new());
    let mut offset = offset_at(connection, TOPIC, -2)?;
    while offset < end {
        if now_ns() > begun + PATIENCE_NS {
            return Err(format!("the table cannot be read beyond {offset} of {end}").into());
        }
        frame.set_offset(0, offset);
        connection.send(frame.bytes())?;
        fetch::read_answer(connection.receive()?, |fetched| {
            end = end.max(fetched.high_watermark);
            for batch in batches(fetched.records) {
                let Ok((header, batch)) = batch else { break };
                let mut reader = records(&header, batch, 64 << 20, &mut scratch)?;
                while let Some(record) = reader.next()? {
                    let at = header.base_offset.0 + i64::from(record.offset_delta);
                    if at < offset {
                        continue;
                    }
                    let key = std::str::from_utf8(record.key.ok_or("a record without key")?)?;
                    let key = u64::from_str_radix(key, 16)?;
                    let value = record.value.map(crate::batch::crc32c);
                    let version = Version { offset: at, value };
                    let before = table.insert(key, version);
                    if before.is_some_and(|before| before.offset >= at) {
                        return Err(format!("offset {at} came behind its like").into());
                    }
                    count += 1;
                }
                offset = offset.max(header.next_offset().0);
            }
            Ok(())
        })?;
    }
    Ok(Pass {
        table,
        records: count,
        took_ns: now_ns() - begun,
    })
}

/// Whether a pass found of each key what had been written before it, or newer; exactly that when
/// nothing was written since.
fn compare(written: &Table, pass: &Pass, exactly: bool) -> Result<(), Failure> {
    for (key, version) in written {
        let found = pass.table.get(key);
        let right = match found {
            Some(found) if found.offset == version.offset => found == version,
            Some(found) if found.offset > version.offset => !exactly,
            // Older than what was written: right for nobody but a reader who was too slow to see
            // the tombstone.
            Some(_) => version.value.is_none() && !exactly && pass.took_ns > PASS_NS_MAX,
            None => version.value.is_none(),
        };
        if !right {
            return Err(
                format!("key {key} was written as {version:?} and read as {found:?}").into(),
            );
        }
    }
    Ok(())
}
