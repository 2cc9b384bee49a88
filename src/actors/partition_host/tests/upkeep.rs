//! Retention, DeleteRecords, and directories of topics that are gone.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::super::*;
use super::bench::*;
use crate::actors::disk_threads::DiskThreads;
use crate::metadata::{ConfigResource, MetadataRecord, ResourceKind};
use crate::model::Offset;
use crate::storage::disk::{Disk, MemoryDisk};

const ROUND: Duration = Duration::from_secs(300);

#[actix::test]
async fn segments_older_than_retention_vanish_with_a_round_and_their_files_a_minute_later() {
    tokio::time::pause();
    let configs = [("retention.ms", "650000"), ("segment.ms", "60000")];
    let mut bench = Bench::start(Arc::new(MemoryDisk::new()), &topic("t", 1, &configs)).await;
    bench.make_rounds(ROUND);
    bench.write(1, "old").await.unwrap();
    tokio::time::sleep(Duration::from_secs(400)).await;
    bench.write(1, "young").await.unwrap();
    assert_eq!(bench.log_start(1).await, 0);
    // The round at 900 s finds the first segment 900 s old, the second 500 s.
    tokio::time::sleep(Duration::from_secs(501)).await;
    assert_eq!(bench.read_all(1).await, [(1, "young".to_owned())]);
    let logs = |bench: &Bench| {
        let names = bench.names("/logs/t-0");
        let logs = names.into_iter().filter(|name| name.contains(".log"));
        logs.collect::<Vec<_>>()
    };
    let (old, young) = ("00000000000000000000.log", "00000000000000000001.log");
    assert_eq!(logs(&bench), [format!("{old}.deleted"), young.to_owned()]);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(logs(&bench), [young]);
    // In the end the active one goes, too; offsets go on.
    tokio::time::sleep(Duration::from_secs(1200)).await;
    assert_eq!(bench.read_all(1).await, []);
    assert_eq!(bench.log_start(1).await, 2);
    assert_eq!(bench.write(1, "next").await, Ok(2));
}

#[actix::test]
async fn a_broker_left_alone_deletes_half_a_minute_after_its_start_and_new_settings_count_in_the_next_round()
 {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let configs = [("retention.ms", "1000"), ("file.delete.delay.ms", "5000")];
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &configs)).await;
    bench.write(1, "old").await.unwrap();
    bench.stop().await;
    let mut bench = Bench::start(Arc::new(disk), &topic("t", 1, &configs)).await;
    bench.make_rounds(ROUND);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert_eq!(bench.log_start(1).await, 1);
    bench.write(1, "kept for ever").await.unwrap();
    let set = |value: &str| MetadataRecord::Config {
        resource: ConfigResource {
            kind: ResourceKind::Topic,
            name: "t".to_owned(),
        },
        key: "retention.ms".to_owned(),
        value: Some(value.to_owned()),
    };
    bench.change(&[set("-1")]).await;
    tokio::time::sleep(3 * ROUND).await;
    assert_eq!(bench.read_all(1).await, [(1, "kept for ever".to_owned())]);
    bench.change(&[set("2000")]).await;
    tokio::time::sleep(ROUND).await;
    assert_eq!(bench.log_start(1).await, 2);
    assert_eq!(bench.dir.metrics().segments_deleted.get(), 2);
}

#[actix::test]
async fn deleted_records_stay_deleted_after_a_crash_at_once() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    for value in ["a", "b", "c"] {
        bench.write(1, value).await.unwrap();
    }
    bench.delete_records(1, 2).await.unwrap().unwrap();
    // The process dies before any round of checkpoints.
    drop(bench);
    let bench = Bench::start(Arc::new(disk), &topic("t", 1, &[])).await;
    assert_eq!(bench.read_all(1).await, [(2, "c".to_owned())]);
    assert!(bench.read(1, 1, None).await.is_err());
}

#[actix::test]
async fn many_logs_keep_few_files_open_and_none_when_nobody_uses_them() {
    tokio::time::pause();
    let names: Vec<String> = (0..10).map(|number| format!("t{number}")).collect();
    let topics = names.iter().zip(1..);
    let topics: Vec<_> = topics.flat_map(|(name, id)| topic(name, id, &[])).collect();
    let mut bench = Bench::start(Arc::new(MemoryDisk::new()), &topics).await;
    bench.make_rounds(ROUND);
    for offset in 0..3 {
        for id in 1..=10 {
            assert_eq!(bench.write(id, "x").await, Ok(offset));
            assert!(bench.dir.open_files().count() <= OPEN_FILES_MAX);
        }
    }
    for id in 1..=10 {
        assert_eq!(bench.read_all(id).await.len(), 3);
        assert!(bench.dir.open_files().count() <= OPEN_FILES_MAX);
    }
    tokio::time::sleep(2 * ROUND + Duration::from_secs(1)).await;
    assert_eq!(bench.dir.open_files().count(), 0);
    assert_eq!(bench.write(1, "y").await, Ok(3));
    assert_eq!(bench.dir.open_files().count(), 1);
}

#[actix::test]
async fn a_log_larger_than_its_retention_loses_its_oldest_segments() {
    tokio::time::pause();
    let configs = [("retention.bytes", "2500000"), ("segment.bytes", "1048576")];
    let mut bench = Bench::start(Arc::new(MemoryDisk::new()), &topic("t", 1, &configs)).await;
    bench.make_rounds(ROUND);
    for _ in 0..5 {
        bench.write(1, &"x".repeat(1_000_000)).await.unwrap();
    }
    tokio::time::sleep(ROUND + Duration::from_secs(1)).await;
    assert_eq!(bench.log_start(1).await, 2);
}

#[actix::test]
async fn deleted_records_stay_deleted_over_a_restart_and_are_counted_from_the_start() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    for value in ["a", "b", "c"] {
        bench.write(1, value).await.unwrap();
    }
    assert!(bench.delete_records(1, 4).await.unwrap().is_err());
    let start = bench.delete_records(1, 2).await.unwrap().unwrap();
    assert_eq!(start, Offset(2));
    assert!(bench.read(1, 1, None).await.is_err());
    bench.stop().await;
    let bench = Bench::start(Arc::new(disk), &topic("t", 1, &[])).await;
    assert!(bench.dir.was_stopped_cleanly());
    assert_eq!(bench.read_all(1).await, [(2, "c".to_owned())]);
}

#[actix::test]
async fn a_topic_made_again_has_nothing_of_the_one_before_not_even_after_a_crash() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    for value in ["a", "b", "c"] {
        bench.write(1, value).await.unwrap();
    }
    bench.delete_records(1, 3).await.unwrap().unwrap();
    bench.stop().await;
    let mut bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    assert_eq!(bench.log_start(1).await, 3);
    bench
        .change(&[MetadataRecord::RemoveTopic { id: topic_id(1) }])
        .await;
    bench.change(&topic("t", 2, &[])).await;
    assert_eq!(bench.log_start(2).await, 0);
    assert_eq!(bench.write(2, "new").await, Ok(0));
    // The process dies before any round of checkpoints.
    drop(bench);
    let bench = Bench::start(Arc::new(disk), &topic("t", 2, &[])).await;
    assert_eq!(bench.read_all(2).await, [(0, "new".to_owned())]);
}

#[actix::test]
async fn a_deleted_partition_waits_under_another_name_until_its_files_go() {
    tokio::time::pause();
    let mut bench = Bench::start(Arc::new(MemoryDisk::new()), &topic("t", 1, &[])).await;
    bench.write(1, "a").await.unwrap();
    bench
        .change(&[MetadataRecord::RemoveTopic { id: topic_id(1) }])
        .await;
    let partitions = |bench: &Bench| {
        let names = bench.names(DIRECTORY);
        let names = names.into_iter().filter(|name| name.starts_with("t-0"));
        names.collect::<Vec<_>>()
    };
    assert!(partitions(&bench)[0].ends_with("-delete"));
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_eq!(partitions(&bench), [""; 0]);
}

#[actix::test]
async fn the_directory_of_an_unknown_topic_is_left_alone_and_set_aside_before_the_name_is_used() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    bench.write(1, "theirs").await.unwrap();
    bench.stop().await;
    let mut bench = Bench::start(Arc::new(disk.clone()), &[]).await;
    let unknown = bench.dirs.unknown(&Image::default());
    assert_eq!(unknown, [format!("{DIRECTORY}/t-0")]);
    bench.change(&topic("t", 2, &[])).await;
    assert_eq!(bench.write(2, "ours").await, Ok(0));
    assert_eq!(bench.read_all(2).await, [(0, "ours".to_owned())]);
    let names = bench.names(DIRECTORY);
    let stray = names.iter().find(|name| name.ends_with("-stray")).unwrap();
    let kept = Path::new(DIRECTORY)
        .join(stray)
        .join("00000000000000000000.log");
    assert!(
        disk.open(&kept, crate::storage::disk::OpenMode::Read)
            .unwrap()
            .length()
            .unwrap()
            > 0
    );
}

#[actix::test]
async fn partitions_of_a_new_topic_spread_over_the_log_directories() {
    tokio::time::pause();
    let bench = Bench::start(Arc::new(MemoryDisk::new()), &[]).await;
    let dirs = vec![Arc::clone(&bench.dir), Arc::clone(&bench.dir)];
    let dirs = crate::actors::log_dirs::LogDirs::new(dirs, Default::default());
    let names = (0..6).map(|partition| crate::model::TopicPartition::new("t", partition));
    names.for_each(|name| assert!(dirs.home(&name, DirectoryId::ZERO, &[]).is_ok()));
    assert_eq!(dirs.counts(), [3, 3]);
}

#[actix::test]
async fn logs_are_opened_by_threads_of_their_own_until_the_start_has_ended() {
    tokio::time::pause();
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let mut bench = Bench::by_hand(disk, &[]).await;
    let (own, opening) = DiskThreads::by_hand();
    bench.dir.set_recovery_threads(own);
    let told = bench.send_change(&topic("early", 1, &[]));
    bench.settle().await;
    assert_eq!(bench.work().await, 0);
    assert_eq!(opening.work_off(), 1);
    told.await.unwrap();
    bench.dir.end_start();
    let told = bench.send_change(&topic("late", 2, &[]));
    assert_eq!(bench.work().await, 1);
    assert_eq!(opening.work_off(), 0);
    told.await.unwrap();
}
