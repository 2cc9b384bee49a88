//! How fast a compacted log is cleaned by one thread: bytes of input per second of a whole round, the
//! map filled and what stays written, flushed and swapped in.
//!
//! `cargo bench --bench clean`, with a number behind `--` for another size in MiB. Half of the
//! records go. Seconds are those of the thread on a processor, so that what else the machine does
//! does not count; waiting for the device does not, either.

use std::path::Path;
use std::sync::Arc;

use milena::model::{LeaderEpoch, Offset, Timestamp};
use milena::record::{BatchBuilder, Codec, Scratch, ValidBatch};
use milena::storage::disk::{Disk, MemoryDisk, SystemDisk};
use milena::storage::{CleaningStopped, Log, LogConfig, OffsetMap, Pace, RecoveryInput};

/// Bytes of records in one batch.
const BATCH_BYTES: usize = 16 << 10;
const NOW: Timestamp = Timestamp(1_700_000_000_000);

struct Free;

impl Pace for Free {
    fn moved(&mut self, _bytes: u64) -> Result<(), CleaningStopped> {
        Ok(())
    }
}

/// A log of so many bytes, each key in it twice.
fn filled(disk: Arc<dyn Disk>, directory: &Path, bytes: usize, value: usize, codec: Codec) -> Log {
    let config = Arc::new(LogConfig {
        compacts: true,
        deletes: false,
        segment_bytes: 64 << 20,
        ..LogConfig::default()
    });
    let input = RecoveryInput::unknown();
    let (mut log, _) = Log::open(disk, directory.join("bench-0"), config, &input, NOW)
        .expect("the directory is fresh");
    let records = bytes / (value + 30);
    let mut scratch = Scratch::new();
    let mut key = 0;
    while key < records {
        let mut builder = BatchBuilder::new().codec(codec);
        while builder.size() < BATCH_BYTES {
            let number = u64::try_from(key % (records / 2)).unwrap_or(0);
            // Numbers in an order that no cache foresees.
            let name = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            let value: Vec<u8> = (0..value)
                .map(|at| name[at % 8] ^ (at / 11) as u8)
                .collect();
            builder.append(NOW, Some(&name), Some(&value), &[]);
            key += 1;
        }
        let bytes = builder.build().expect("the batch is small");
        let batch = ValidBatch::from_builder(bytes, &mut scratch).expect("it was just built");
        log.append_as_leader(&batch, LeaderEpoch(1), NOW)
            .expect("the disk has space");
    }
    log.roll(NOW).expect("the disk has space");
    if let Some(job) = log.flush_job() {
        let done = job.run().expect("the device works");
        log.flushed(&done);
    }
    log
}

/// Seconds this thread has been on a processor.
fn seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|first| first.parse().ok());
    first.map_or(0.0, |nanoseconds: f64| nanoseconds / 1e9)
}

/// Cleans all of it; seconds for the map and for the rest, bytes before and after.
fn clean(log: &mut Log, map: &mut OffsetMap) -> (f64, f64, u64, u64) {
    let before = log.size();
    let cleanable = log
        .reader()
        .cleanable(log.config(), None, log.log_end_offset(), NOW)
        .expect("the files are there");
    let begun = seconds();
    let cleaning = log.begin_cleaning(&cleanable, NOW);
    let mut cleaning = cleaning.expect("the log is sound").expect("it is dirty");
    cleaning.fill(map, &mut Free).expect("the log is sound");
    let filled = seconds() - begun;
    while let Some(new) = cleaning
        .next_replacement(map, &mut Free)
        .expect("the log is sound")
    {
        log.replace_segments(new).expect("the disk works");
    }
    assert_eq!(cleaning.clean_until(), Offset(log.log_end_offset().0));
    let all = seconds() - begun;
    (filled, all - filled, before, log.size())
}

fn main() {
    let mebibytes = std::env::args().find_map(|argument| argument.parse().ok());
    let bytes = mebibytes.unwrap_or(256usize) << 20;
    let mut map = OffsetMap::new(128 << 20, 0.9, [1; 16]);
    println!("disk    codec   value   MB in  MB out   fill s   rest s   MB/s of input");
    for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
        for value in [1000, 100] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let disks: [(&str, Arc<dyn Disk>); 2] = [
                ("system", Arc::new(SystemDisk)),
                ("memory", Arc::new(MemoryDisk::volatile())),
            ];
            for (name, disk) in disks {
                let mut log = filled(disk, directory.path(), bytes, value, codec);
                let (fill, rest, before, after) = clean(&mut log, &mut map);
                let megabytes = |bytes: u64| bytes as f64 / 1e6;
                println!(
                    "{name:7} {:7} {value:5} {:7.0} {:7.0} {fill:8.2} {rest:8.2} {:8.0}",
                    codec.name(),
                    megabytes(before),
                    megabytes(after),
                    megabytes(before) / (fill + rest)
                );
            }
        }
    }
}
