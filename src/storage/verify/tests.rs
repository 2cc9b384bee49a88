use std::io::IoSlice;
use std::sync::Arc;

use super::*;
use crate::model::{LeaderEpoch, Timestamp, Uuid};
use crate::record::{BatchBuilder, Scratch, ValidBatch};
use crate::storage::disk::{Disk, MemoryDisk, OpenMode};
use crate::storage::{Log, LogConfig, RecoveryInput};

const NOW: Timestamp = Timestamp(1_000_000);

fn directory() -> PathBuf {
    PathBuf::from("/data/t-0")
}

/// A closed log of several segments, with idempotent producers.
fn closed_log() -> MemoryDisk {
    let disk = MemoryDisk::new();
    let config = Arc::new(LogConfig {
        segment_bytes: 1000,
        index_interval_bytes: 100,
        ..LogConfig::default()
    });
    let input = RecoveryInput {
        topic_id: Some(Uuid([7; 16])),
        ..RecoveryInput::unknown()
    };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let (mut log, _) = Log::open(shared, directory(), config, &input, NOW).unwrap();
    for n in 0..40 {
        let producer = crate::model::ProducerId(9);
        let mut builder = BatchBuilder::new().producer(producer, crate::model::ProducerEpoch(0), n);
        builder.append(
            Timestamp(1000 + i64::from(n)),
            None,
            Some(&[n as u8; 50]),
            &[],
        );
        let batch = ValidBatch::from_builder(builder.build().unwrap(), &mut Scratch::new());
        log.append_as_leader(&batch.unwrap(), LeaderEpoch(2), NOW)
            .unwrap();
    }
    log.close().unwrap();
    disk
}

fn findings(disk: &MemoryDisk) -> Vec<Finding> {
    let disk: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut found = Vec::new();
    let checked = verify_partition(&disk, &directory(), &mut |finding| found.push(finding));
    assert!(checked.unwrap().segments > 3);
    found
}

#[test]
fn a_log_as_it_was_closed_is_all_right() {
    let disk = closed_log();
    assert_eq!(findings(&disk), []);
}

#[test]
fn every_turned_bit_of_every_file_is_found_in_its_file() {
    let disk = closed_log();
    let entries = disk.list(&directory()).unwrap();
    let last = entries
        .iter()
        .rfind(|entry| entry.name.ends_with(".log"))
        .unwrap();
    for entry in &entries {
        let path = directory().join(&entry.name);
        for at in 0..usize::try_from(entry.length).unwrap() {
            let bit = u8::try_from(at % 8).unwrap();
            disk.flip_bit(&path, at, bit).unwrap();
            let found = findings(&disk);
            disk.flip_bit(&path, at, bit).unwrap();
            // Nobody knows how far the last offset of the last batch may go.
            let unbounded = entry.name == last.name && at + 130 > entry.length as usize;
            let named = found
                .iter()
                .any(|finding| finding.path == path && finding.weight == Weight::Damage);
            let text = entry.name == "partition.metadata" || entry.name.contains("checkpoint");
            assert!(
                named || unbounded || text,
                "byte {at} of {}: {found:?}",
                entry.name
            );
            if entry.name.ends_with(".log") && named {
                let place = found.iter().find_map(|finding| finding.bytes).unwrap();
                let near = place.0 <= at as u64 && (at as u64) < place.1;
                assert!(near, "byte {at} of {}: {found:?}", entry.name);
            }
        }
    }
}

#[test]
fn what_is_strange_is_named_and_what_is_missing_too() {
    let disk = closed_log();
    let write = |name: &str| {
        let file = disk
            .open(&directory().join(name), OpenMode::Create)
            .unwrap();
        file.write_at(&[IoSlice::new(b"?")], 0).unwrap();
    };
    write("notes.txt");
    write("00000000000000000000.log.deleted");
    disk.remove_file(&directory().join("00000000000000000000.index"))
        .unwrap();
    let found: Vec<String> = findings(&disk).iter().map(Finding::to_string).collect();
    assert_eq!(
        found,
        [
            "note: /data/t-0/notes.txt: unknown here; the broker leaves it alone",
            "note: /data/t-0/00000000000000000000.log.deleted: left over from a deletion or a cleaning; the broker settles it when it starts",
            "damaged: /data/t-0/00000000000000000000.index: the index is missing; the broker makes it anew when it starts",
        ]
    );
}

#[test]
fn checkpoints_are_compared_with_the_logs() {
    let disk = closed_log();
    let root = Path::new("/data");
    let end = Checked {
        end_offset: Some(Offset(40)),
        ..Checked::default()
    };
    let ends: Ends = [(crate::model::TopicPartition::new("t", 0), end)].into();
    let look = |text: &str| {
        let path = root.join("recovery-point-offset-checkpoint");
        disk.write_file_atomically(&path, text.as_bytes()).unwrap();
        let mut found = Vec::new();
        check_checkpoints(&disk, root, &ends, &mut |finding| found.push(finding)).unwrap();
        let found = found.iter().map(Finding::to_string);
        found.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(look("0\n1\nt 0 40\n"), "");
    let path = "/data/recovery-point-offset-checkpoint";
    assert_eq!(
        look("0\n1\nt 0 41\n"),
        format!("damaged: {path}, offsets 40 to 41: it says 41 of t-0, whose log ends at 40")
    );
    assert_eq!(
        look("0\n1\nu 0 4\n"),
        format!("note: {path}: it names u-0, which is not in this directory")
    );
    assert_eq!(
        look("0\n1\nt 0 four\n"),
        format!("damaged: {path}: malformed line 3: `t 0 four`")
    );
}
