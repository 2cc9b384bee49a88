//! Clean stops of many partitions, and starts after them.

use std::sync::Arc;

use super::super::*;
use super::bench::*;
use crate::metadata::MetadataRecord;
use crate::model::Offset;
use crate::storage::closed_logs::CLOSED_LOGS_FILE;
use crate::storage::disk::{Call, Disk, FaultyDisk, MemoryDisk, OpenMode};

/// Enough for their directory to be flushed as a whole.
const MANY: u8 = 100;

fn many() -> Vec<MetadataRecord> {
    let topics = 1..=MANY;
    topics
        .flat_map(|id| topic(&format!("t{id}"), id, &[]))
        .collect()
}

async fn write_all(bench: &Bench, value: &str) {
    for id in 1..=MANY {
        bench.write(id, value).await.unwrap();
    }
}

async fn expect_all(bench: &Bench, values: &[&str]) {
    let expected: Vec<(i64, String)> = (0..)
        .zip(values)
        .map(|(at, value)| (at, (*value).to_owned()))
        .collect();
    for id in 1..=MANY {
        assert_eq!(bench.read_all(id).await, expected, "{id}");
    }
}

#[actix::test]
async fn a_clean_stop_of_many_partitions_flushes_them_all_at_once() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &many()).await;
    write_all(&bench, "a").await;
    assert_eq!(bench.dir.unflushed_logs(), usize::from(MANY));
    let dir = Arc::clone(&bench.dir);
    bench.stop().await;
    assert_eq!(dir.unflushed_logs(), 0);
    disk.lose_power(&mut |_, _| 0);
    let bench = Bench::start(Arc::new(disk), &many()).await;
    expect_all(&bench, &["a"]).await;
    write_all(&bench, "b").await;
    expect_all(&bench, &["a", "b"]).await;
}

#[actix::test]
async fn a_stop_whose_flush_fails_is_not_a_clean_one_and_raises_no_recovery_point() {
    tokio::time::pause();
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let bench = Bench::start(Arc::new(disk.clone()), &many()).await;
    write_all(&bench, "a").await;
    disk.fail_after(Call::Sync, 0);
    assert!(bench.host.send(CloseAll).await.unwrap().is_err());
    assert!(bench.dir.is_unclean());
    assert_eq!(bench.dir.unflushed_logs(), usize::from(MANY));
    disk.repair();
    drop(bench);
    let bench = Bench::start(Arc::new(disk), &many()).await;
    expect_all(&bench, &["a"]).await;
}

#[actix::test]
async fn a_start_after_a_clean_stop_reads_no_file_of_any_partition() {
    tokio::time::pause();
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    let bench = Bench::start(Arc::new(disk.clone()), &many()).await;
    write_all(&bench, "a").await;
    bench.stop().await;
    let mut bench = Bench::start(Arc::new(disk.clone()), &[]).await;
    disk.fail_after(Call::Read, 0);
    bench.change(&many()).await;
    assert_eq!(bench.dir.count(), usize::from(MANY));
    disk.repair();
    // Nor does a stop, when nothing was written since.
    disk.fail_after(Call::Write, 0);
    bench.host.send(CloseAll).await.unwrap().unwrap();
    assert_eq!(bench.dir.unflushed_logs(), 0);
}

#[actix::test]
async fn what_one_stop_said_is_not_believed_after_a_later_crash() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &many()).await;
    write_all(&bench, "a").await;
    bench.stop().await;
    let bench = Bench::start(Arc::new(disk.clone()), &many()).await;
    write_all(&bench, "b").await;
    drop(bench);
    // The file of the stop is still there, but not its mark.
    let left = std::path::Path::new(DIRECTORY).join(CLOSED_LOGS_FILE);
    assert!(disk.exists(&left).unwrap());
    let bench = Bench::start(Arc::new(disk), &many()).await;
    expect_all(&bench, &["a", "b"]).await;
}

#[actix::test]
async fn a_damaged_description_only_costs_time() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &many()).await;
    write_all(&bench, "a").await;
    bench.stop().await;
    let file = std::path::Path::new(DIRECTORY).join(CLOSED_LOGS_FILE);
    let file = disk.open(&file, OpenMode::Write).unwrap();
    file.truncate(file.length().unwrap() / 2).unwrap();
    let bench = Bench::start(Arc::new(disk), &many()).await;
    expect_all(&bench, &["a"]).await;
}

#[actix::test]
async fn deleted_records_stay_deleted_when_the_log_is_opened_as_it_was_closed() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    for value in ["a", "b", "c"] {
        bench.write(1, value).await.unwrap();
    }
    let start = bench.delete_records(1, 2).await.unwrap().unwrap();
    assert_eq!(start, Offset(2));
    bench.stop().await;
    for _ in 0..2 {
        let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
        bench.stop().await;
    }
    let bench = Bench::start(Arc::new(disk), &topic("t", 1, &[])).await;
    assert_eq!(bench.log_start(1).await, 2);
}
