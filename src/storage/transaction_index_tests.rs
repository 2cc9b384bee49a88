use super::*;
use crate::storage::disk::SystemDisk;

fn aborted(producer_id: i64, first: i64, last: i64, stable: i64) -> AbortedTransaction {
    AbortedTransaction {
        producer_id: ProducerId(producer_id),
        first_offset: Offset(first),
        last_offset: Offset(last),
        last_stable_offset: Offset(stable),
    }
}

fn index(path: &Path, entries: &[AbortedTransaction]) -> TransactionIndex {
    let mut index = TransactionIndex::open(&SystemDisk, path.to_owned(), Offset(0)).unwrap();
    for entry in entries {
        index.append(&SystemDisk, *entry).unwrap();
    }
    index
}

fn found(index: &TransactionIndex, from: i64, upper_bound: i64) -> (Vec<i64>, bool) {
    let mut found = Vec::new();
    let complete = index.collect(Offset(from), Offset(upper_bound), &mut found);
    (found.iter().map(|e| e.producer_id.0).collect(), complete)
}

#[test]
fn an_entry_is_kafkas_34_bytes() {
    let entry = aborted(1, 2, 0x0304, -1);
    let bytes = entry.encode();
    let mut expected = [0; 34];
    expected[9] = 1;
    expected[17] = 2;
    expected[24..26].copy_from_slice(&[3, 4]);
    expected[26..].fill(0xff);
    assert_eq!(bytes, expected);
    assert_eq!(AbortedTransaction::decode(&bytes), Some(entry));
    assert_eq!(AbortedTransaction::decode(&[1; 34]), None);
}

#[test]
fn a_range_is_told_the_transactions_that_overlap_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00000000000000000000.txnindex");
    let entries = [
        aborted(1, 0, 10, 11),
        aborted(2, 5, 15, 13),
        aborted(3, 18, 35, 25),
        aborted(4, 32, 50, 40),
    ];
    let index = index(&path, &entries);
    assert_eq!(found(&index, 0, 100), (vec![1, 2, 3, 4], false));
    assert_eq!(found(&index, 0, 32), (vec![1, 2, 3], true));
    assert_eq!(found(&index, 16, 30), (vec![3], true));
    assert_eq!(found(&index, 0, 11), (vec![1], true));
    assert_eq!(found(&index, 51, 60), (vec![], false));
}

#[test]
fn the_file_is_made_with_the_first_entry_and_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00000000000000000000.txnindex");
    let mut written = index(&path, &[]);
    assert!(!path.exists());
    written.append(&SystemDisk, aborted(1, 0, 10, 11)).unwrap();
    written.append(&SystemDisk, aborted(2, 5, 15, 13)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 68);
    assert!(written.append(&SystemDisk, aborted(3, 0, 15, 16)).is_err());

    let mut read = index(&path, &[]);
    assert_eq!(read.entries(), written.entries());
    read.truncate_to(Offset(15)).unwrap();
    read.append(&SystemDisk, aborted(4, 5, 20, 21)).unwrap();
    let read = index(&path, &[]);
    assert_eq!(found(&read, 0, 100).0, [1, 4]);
}

#[test]
fn an_index_that_is_torn_or_makes_no_sense_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("00000000000000000100.txnindex");
    let entry = aborted(1, 90, 110, 111).encode();
    let earlier = aborted(1, 90, 99, 111).encode();
    for bytes in [
        entry[..33].to_vec(),
        [entry, entry].concat(),
        earlier.to_vec(),
        vec![9; 34],
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let opened = TransactionIndex::open(&SystemDisk, path.clone(), Offset(100));
        assert!(matches!(opened, Err(StorageError::Corrupt { .. })));
    }
    std::fs::write(&path, entry).unwrap();
    assert!(TransactionIndex::open(&SystemDisk, path, Offset(100)).is_ok());
}
