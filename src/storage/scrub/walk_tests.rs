use std::io::IoSlice;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;
use crate::model::Timestamp;
use crate::record::BatchBuilder;
use crate::storage::disk::{Disk, MemoryDisk, OpenMode};

fn path() -> PathBuf {
    PathBuf::from("/00000000000000000000.log")
}

/// A batch of so many records from `base` on, as the log stores it.
fn batch(base: i64, records: i64, value: &[u8]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for n in 0..records {
        builder.append(Timestamp(base + n), None, Some(value), &[]);
    }
    let mut bytes = builder.build().unwrap().to_vec();
    bytes[..8].copy_from_slice(&base.to_be_bytes());
    bytes[12..16].copy_from_slice(&0i32.to_be_bytes());
    bytes
}

fn disk_with(bytes: &[u8]) -> MemoryDisk {
    let disk = MemoryDisk::new();
    disk.create_dir_all(Path::new("/")).unwrap();
    let file = disk.open(&path(), OpenMode::Create).unwrap();
    file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
    disk
}

/// The walk as text: batches by their first offset, gaps by place and offsets.
fn walked(disk: &MemoryDisk, next: i64) -> String {
    walked_file(disk.open(&path(), OpenMode::Read).unwrap(), next)
}

fn walked_file(file: Arc<dyn DiskFile>, next: i64) -> String {
    let mut epochs = LeaderEpochs::default();
    epochs.assign(LeaderEpoch(0), Offset(0));
    let extent = Extent {
        base_offset: Offset(0),
        length: file.length().unwrap(),
        next: Some(Offset(next)),
        epochs,
    };
    let mut walk = Walk::new(file, extent);
    let mut said = Vec::new();
    loop {
        match walk.next().unwrap() {
            Step::Batch(located) => said.push(located.header.base_offset.to_string()),
            Step::Gap(gap) => said.push(format!(
                "[{}..{}: {}..{}]",
                gap.position, gap.end, gap.first_offset, gap.next_offset
            )),
            Step::Pause => {}
            Step::End => return said.join(" "),
        }
    }
}

fn joined(batches: &[Vec<u8>]) -> Vec<u8> {
    batches.concat()
}

#[test]
fn offsets_that_compaction_left_out_are_no_damage() {
    let batches = [batch(3, 1, b"a"), batch(9, 2, b"b"), batch(40, 1, b"c")];
    assert_eq!(walked(&disk_with(&joined(&batches)), 50), "3 9 40");
}

#[test]
fn a_batch_whose_offset_rose_is_told_from_its_neighbour() {
    let (a, b, c) = (batch(0, 2, b"a"), batch(2, 2, b"b"), batch(4, 2, b"c"));
    let (from, to) = (a.len(), a.len() + b.len());
    let mut bytes = joined(&[a, b, c]);
    // Offset 2 becomes 3: its last record claims offset 4, as the next batch does.
    bytes[from + 7] ^= 1;
    let expected = format!("0 [{from}..{to}: 2..4] 4");
    assert_eq!(walked(&disk_with(&bytes), 6), expected);
}

#[test]
fn where_neighbours_contradict_each_other_and_nobody_knows_both_are_left_out() {
    let batches = [
        batch(0, 1, b"a"),
        batch(10, 5, b"b"),
        batch(12, 5, b"c"),
        batch(30, 1, b"d"),
    ];
    let from = batches[0].len();
    let to = from + batches[1].len() + batches[2].len();
    let expected = format!("0 [{from}..{to}: 1..30] 30");
    assert_eq!(walked(&disk_with(&joined(&batches)), 50), expected);
}

#[test]
fn a_length_that_leads_astray_hides_no_more_than_its_batch() {
    let batches = [batch(0, 1, b"a"), batch(1, 1, b"b"), batch(2, 1, b"c")];
    let (from, to) = (batches[0].len(), batches[0].len() + batches[1].len());
    let mut bytes = joined(&batches);
    bytes[from + 10] ^= 0x40;
    let expected = format!("0 [{from}..{to}: 1..2] 2");
    assert_eq!(walked(&disk_with(&bytes), 3), expected);
}

#[test]
fn batches_larger_than_a_window_are_checked_whole_and_found_behind_damage() {
    let large = vec![7; 700_000];
    let batches = [batch(0, 1, &large), batch(1, 1, &large), batch(2, 1, b"c")];
    let (from, to) = (batches[0].len(), batches[0].len() + batches[1].len());
    let mut bytes = joined(&batches);
    assert_eq!(walked(&disk_with(&bytes), 3), "0 1 2");
    bytes[from + 600_000] ^= 1;
    // And a frame that leads nowhere, so that the next one must be searched.
    bytes[from + 16] = 9;
    let expected = format!("0 [{from}..{to}: 1..2] 2");
    assert_eq!(walked(&disk_with(&bytes), 3), expected);
}

#[test]
fn a_file_of_nonsense_is_one_gap_and_an_empty_one_none() {
    assert_eq!(walked(&disk_with(&[]), 7), "");
    let nonsense = vec![2; 300_000];
    assert_eq!(walked(&disk_with(&nonsense), 7), "[0..300000: 0..7]");
}

#[test]
fn bytes_the_device_does_not_give_are_damage_and_the_rest_is_served() {
    #[derive(Debug)]
    struct BadSpot(Arc<dyn DiskFile>, std::ops::Range<u64>);
    impl DiskFile for BadSpot {
        fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<usize, StorageError> {
            let end = position + buffer.len() as u64;
            if position < self.1.end && end > self.1.start {
                let error = std::io::Error::from_raw_os_error(5);
                return Err(StorageError::from_io("read", self.path(), error));
            }
            self.0.read_at(buffer, position)
        }
        fn length(&self) -> Result<u64, StorageError> {
            self.0.length()
        }
        fn write_at(&self, slices: &[IoSlice<'_>], position: u64) -> Result<(), StorageError> {
            self.0.write_at(slices, position)
        }
        fn truncate(&self, length: u64) -> Result<(), StorageError> {
            self.0.truncate(length)
        }
        fn allocate(&self, position: u64, length: u64) -> Result<(), StorageError> {
            self.0.allocate(position, length)
        }
        fn sync_data(&self) -> Result<(), StorageError> {
            self.0.sync_data()
        }
        fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
            None
        }
        fn path(&self) -> &Path {
            self.0.path()
        }
    }
    let batches: Vec<Vec<u8>> = (0..4).map(|n| batch(n, 1, &[7; 100_000])).collect();
    let (from, to) = (batches[0].len() * 2, batches[0].len() * 3);
    let file = disk_with(&joined(&batches))
        .open(&path(), OpenMode::Read)
        .unwrap();
    let spot = BadSpot(file, 220_000..220_512);
    let expected = format!("0 1 [{from}..{to}: 2..3] 3");
    assert_eq!(walked_file(Arc::new(spot), 4), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_written_over_a_segment_every_byte_is_told_once(
        position in 0..2000usize,
        nonsense in proptest::collection::vec(any::<u8>(), 1..300),
    ) {
        let batches: Vec<Vec<u8>> = (0..20).map(|n| batch(n, 1, &[n as u8; 40])).collect();
        let mut bytes = joined(&batches);
        let end = (position + nonsense.len()).min(bytes.len());
        bytes[position.min(end)..end].copy_from_slice(&nonsense[..end - position.min(end)]);
        let disk = disk_with(&bytes);
        let file = disk.open(&path(), OpenMode::Read).unwrap();
        let extent = Extent {
            base_offset: Offset(0),
            length: bytes.len() as u64,
            next: Some(Offset(20)),
            epochs: LeaderEpochs::default(),
        };
        let mut walk = Walk::new(file, extent);
        let (mut at, mut offset) = (0, Offset(0));
        loop {
            match walk.next().unwrap() {
                Step::Batch(located) => {
                    prop_assert_eq!(located.position, at);
                    prop_assert!(located.header.base_offset >= offset);
                    at = located.end();
                    offset = located.header.next_offset();
                }
                Step::Gap(gap) => {
                    prop_assert_eq!((gap.position, gap.first_offset), (at, offset));
                    prop_assert!(gap.end > at && gap.next_offset >= offset);
                    at = gap.end;
                }
                Step::Pause => {}
                Step::End => break,
            }
        }
        prop_assert_eq!(at, bytes.len() as u64);
    }
}
