//! The offsets topic is compacted while groups commit, and what is left of it says the same.

use std::sync::Arc;
use std::time::Duration;

use super::bench::*;
use crate::actors::cleaner::StopCleaning;
use crate::actors::cleaner::settings::CleanerSettings;
use crate::storage::disk::MemoryDisk;

/// Every batch gets a segment of its own.
const COMPACTED: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.bytes", "300"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "0"),
];

#[actix::test]
async fn groups_load_from_a_compacted_log_what_they_committed() {
    tokio::time::pause();
    let disk = Arc::new(MemoryDisk::new());
    let groups = GroupBench::start(disk.clone(), COMPACTED).await;
    let settings = CleanerSettings {
        dedupe_bytes: 2 << 20,
        backoff: Duration::from_secs(1),
        ..CleanerSettings::default()
    };
    let cleaner = groups.bench.start_cleaner(settings);
    let assert_all = async |groups: &GroupBench, offset: i64| {
        for number in 0..5 {
            assert_eq!(groups.committed(&format!("g{number}")).await, offset);
        }
        assert_eq!(groups.committed("once").await, 7);
    };
    assert_eq!(groups.commit("once", 7).await, stored());
    let records = async |groups: &GroupBench| {
        let read = groups.bench.read(OFFSETS, 0, None).await.unwrap();
        let mut bytes = bytes::BytesMut::new();
        read.plan.read(&mut bytes).unwrap();
        let batches = crate::record::batches(&bytes);
        batches
            .map(|batch| batch.unwrap().0.records_count)
            .sum::<i32>()
    };
    for offset in 0..40 {
        for number in 0..5 {
            let answer = groups.commit(&format!("g{number}"), offset).await;
            assert_eq!(answer, stored());
        }
        if offset % 10 == 0 {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(10)).await;
    // Six keys, and what the active segment has beside them.
    assert!(records(&groups).await <= 12, "{}", records(&groups).await);
    assert_all(&groups, 39).await;
    assert!(groups.bench.dir.metrics().cleaner.cleanings.get() >= 4);
    cleaner.send(StopCleaning).await.unwrap();
    groups.bench.stop().await;
    // With chunks of a byte, so that loading goes over every gap.
    for load_bytes in [1, 5 << 20] {
        let turns = Turns {
            load_bytes,
            ..Turns::default()
        };
        let groups = GroupBench::with(disk.clone(), COMPACTED, turns).await;
        assert_all(&groups, 39).await;
        groups.bench.stop().await;
    }
}
