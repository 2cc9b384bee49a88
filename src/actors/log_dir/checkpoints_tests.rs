//! When rounds write checkpoints, and when they need not.

use std::path::Path;
use std::sync::Arc;

use crate::actors::partition_host::tests::bench::{Bench, DIRECTORY, topic};
use crate::model::{Offset, TopicPartition};
use crate::storage::checkpoint::{
    CLEANER_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, RECOVERY_POINT_CHECKPOINT, read_offsets,
};
use crate::storage::disk::MemoryDisk;

const FILES: [&str; 3] = [
    CLEANER_CHECKPOINT,
    HIGH_WATERMARK_CHECKPOINT,
    RECOVERY_POINT_CHECKPOINT,
];

/// What a file says of the partition, or none when it says nothing or is not there.
fn said(bench: &Bench, file: &str) -> Option<i64> {
    let path = Path::new(DIRECTORY).join(file);
    let offsets = read_offsets(bench.disk.as_ref(), &path).unwrap();
    offsets.get(&TopicPartition::new("t", 0)).map(|o| o.0)
}

/// A round, over files that are missing until it writes them.
fn round(bench: &Bench) -> [Option<i64>; 3] {
    for file in FILES {
        // The first round finds none.
        let _ = bench.disk.remove_file(&Path::new(DIRECTORY).join(file));
    }
    bench.dir.write_checkpoints(false).unwrap();
    FILES.map(|file| said(bench, file))
}

#[actix::test]
async fn a_round_writes_what_changed_and_nothing_when_logs_lie_still() {
    tokio::time::pause();
    let configs = [("cleanup.policy", "compact,delete")];
    let bench = Bench::start(Arc::new(MemoryDisk::new()), &topic("t", 1, &configs)).await;
    bench.write(1, "a").await.unwrap();
    assert_eq!(round(&bench), [None, Some(1), Some(0)]);
    assert_eq!(round(&bench), [None; 3]);
    bench.write(1, "b").await.unwrap();
    assert_eq!(round(&bench)[1], Some(2));
    let name = TopicPartition::new("t", 0);
    bench.dir.set_cleaned(&name, Some(Offset(1)));
    assert_eq!(round(&bench)[0], Some(1));
    assert_eq!(round(&bench), [None; 3]);
    bench.dir.move_out(&name);
    bench.dir.write_checkpoints(false).unwrap();
    let empty = |file: &&str| {
        let path = Path::new(DIRECTORY).join(file);
        bench.disk.exists(&path).unwrap() && said(&bench, file).is_none()
    };
    assert!(FILES.iter().all(empty));
}
