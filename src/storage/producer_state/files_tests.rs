use super::*;
use crate::model::{ProducerEpoch, ProducerId};
use crate::storage::disk::SystemDisk;
use crate::storage::producer_state::ProducerBatch;

fn load(directory: &Path, end: i64) -> ProducerStates {
    let (start, end) = (Offset(0), Offset(end));
    load_newest_snapshot(&SystemDisk, directory, start, end, 1_000, Timestamp(0)).unwrap()
}

fn write(directory: &Path, last_offset: i64) {
    let mut states = ProducerStates::new(1_000);
    let batch = ProducerBatch {
        producer_id: ProducerId(last_offset),
        producer_epoch: ProducerEpoch(0),
        first_sequence: 0,
        last_sequence: 0,
        offset_delta: 0,
        timestamp: Timestamp(0),
        transactional: false,
    };
    states.update(&batch, Offset(last_offset));
    let offset = write_snapshot(&SystemDisk, directory, &states, true).unwrap();
    assert_eq!(offset, Offset(last_offset + 1));
}

#[test]
fn the_newest_sound_snapshot_not_above_the_end_is_used() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for last_offset in [9, 19, 29, 39] {
        write(directory, last_offset);
    }
    let path = snapshot_path(directory, Offset(30));
    assert!(path.ends_with("00000000000000000030.snapshot"));
    std::fs::write(&path, b"torn").unwrap();

    let states = load(directory, 39);
    assert_eq!(states.end_offset(), Offset(20));
    assert!(states.get(ProducerId(19)).is_some());
    let left = list_snapshots(&SystemDisk, directory).unwrap();
    assert_eq!(left, [10, 20, 40].map(Offset));

    delete_snapshots(&SystemDisk, directory, |offset| offset != Offset(40)).unwrap();
    assert_eq!(load(directory, 39).end_offset(), Offset(0));
    assert_eq!(load(directory, 40).end_offset(), Offset(40));
}

#[test]
fn files_that_only_look_like_snapshots_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    for name in ["1.snapshot", "99999999999999999999.snapshot", "x.snapshot"] {
        std::fs::write(directory.join(name), b"").unwrap();
    }
    assert_eq!(list_snapshots(&SystemDisk, directory).unwrap(), []);
    let missing = directory.join("missing");
    assert_eq!(list_snapshots(&SystemDisk, &missing).unwrap(), []);
}
