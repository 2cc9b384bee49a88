//! The cleaner beside a host, in stopped time, on a disk in memory.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;

use super::settings::CleanerSettings;
use super::{CleanerActor, StopCleaning};
use crate::actors::metadata::MetadataChanged;
use crate::actors::partition_host::tests::bench::{Bench, DIRECTORY, outcome, topic, topic_id};
use crate::metadata::{ConfigResource, Delta, Image, MetadataRecord, ResourceKind};
use crate::model::{Offset, Timestamp, TopicPartition};
use crate::record::{BatchBuilder, Scratch, ValidBatch};
use crate::storage::checkpoint::{CLEANER_CHECKPOINT, read_offsets};
use crate::storage::disk::{Disk, FaultyDisk, MemoryDisk};

const BACKOFF: Duration = Duration::from_secs(15);
/// Every batch gets a segment of its own.
const COMPACTED: &[(&str, &str)] = &[
    ("cleanup.policy", "compact"),
    ("segment.bytes", "80"),
    ("min.cleanable.dirty.ratio", "0.1"),
];

fn settings() -> CleanerSettings {
    CleanerSettings {
        dedupe_bytes: 2 << 20,
        backoff: BACKOFF,
        ..CleanerSettings::default()
    }
}

fn keyed(key: &str, value: Option<&str>, timestamp: Timestamp) -> ValidBatch {
    let mut builder = BatchBuilder::new();
    let value = value.map(str::as_bytes);
    builder.append(timestamp, Some(key.as_bytes()), value, &[]);
    ValidBatch::from_builder(builder.build().unwrap(), &mut Scratch::new()).unwrap()
}

async fn put(bench: &Bench, topic: u8, key: &str, value: &str) -> i64 {
    let batch = keyed(key, Some(value), bench.clock.wall());
    outcome(bench.append(topic, batch)).await.unwrap()
}

async fn fill(bench: &Bench, topic: u8) {
    for (key, value) in [
        ("a", "a0"),
        ("b", "b1"),
        ("a", "a2"),
        ("a", "a3"),
        ("b", "b4"),
    ] {
        put(bench, topic, key, value).await;
    }
}

/// What is left of [`fill`]: the last segment is written to and stays as it is.
fn filled() -> Vec<(i64, String)> {
    vec![
        (1, "b1".to_owned()),
        (3, "a3".to_owned()),
        (4, "b4".to_owned()),
    ]
}

fn cleaned(bench: &Bench) -> Vec<(TopicPartition, Offset)> {
    let path = Path::new(DIRECTORY).join(CLEANER_CHECKPOINT);
    let offsets = read_offsets(bench.disk.as_ref(), &path).unwrap();
    offsets.into_iter().collect()
}

async fn a_while(backoffs: u32) {
    tokio::time::sleep(backoffs * BACKOFF + Duration::from_secs(1)).await;
}

fn metrics(bench: &Bench) -> &crate::telemetry::cleaner_metrics::CleanerMetrics {
    &bench.dir.metrics().cleaner
}

#[actix::test]
async fn a_broker_left_alone_keeps_the_last_record_of_each_key_and_notes_how_far_it_came() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, COMPACTED)).await;
    let cleaner = bench.start_cleaner(settings());
    fill(&bench, 1).await;
    assert_eq!(bench.read_all(1).await.len(), 5);
    a_while(1).await;
    assert_eq!(bench.read_all(1).await, filled());
    assert_eq!(cleaned(&bench), [(TopicPartition::new("t", 0), Offset(4))]);
    assert_eq!(metrics(&bench).cleanings.get(), 1);
    // The files of what was replaced go a minute later.
    a_while(5).await;
    let names = bench.names("/logs/t-0");
    assert!(
        names.iter().all(|name| !name.ends_with(".deleted")),
        "{names:?}"
    );
    assert_eq!(metrics(&bench).cleanings.get(), 1, "it is clean");
    cleaner.send(StopCleaning).await.unwrap();
    bench.stop().await;
    // The next life goes on from there.
    let bench = Bench::start(Arc::new(disk), &topic("t", 1, COMPACTED)).await;
    assert!(bench.dir.was_stopped_cleanly());
    assert_eq!(
        bench.dir.cleaned(&TopicPartition::new("t", 0)),
        Some(Offset(4))
    );
    let _cleaner = bench.start_cleaner(settings());
    assert_eq!(put(&bench, 1, "b", "b5").await, 5);
    put(&bench, 1, "a", "a6").await;
    a_while(1).await;
    let left = [(3, "a3"), (5, "b5"), (6, "a6")];
    let left = left.map(|(offset, value)| (offset, value.to_owned()));
    assert_eq!(bench.read_all(1).await, left);
}

#[actix::test]
async fn only_compacted_topics_are_cleaned_and_a_topic_that_becomes_one_is() {
    tokio::time::pause();
    let mut records = topic("t", 1, COMPACTED);
    records.extend(topic("u", 2, &[("segment.bytes", "80")]));
    let mut bench = Bench::start(Arc::new(MemoryDisk::new()), &records).await;
    let _cleaner = bench.start_cleaner(settings());
    fill(&bench, 1).await;
    fill(&bench, 2).await;
    a_while(1).await;
    assert_eq!(bench.read_all(1).await, filled());
    assert_eq!(bench.read_all(2).await.len(), 5);
    let policy = MetadataRecord::Config {
        resource: ConfigResource {
            kind: ResourceKind::Topic,
            name: "u".to_owned(),
        },
        key: "cleanup.policy".to_owned(),
        value: Some("compact,delete".to_owned()),
    };
    bench.change(&[policy]).await;
    a_while(1).await;
    assert_eq!(bench.read_all(2).await, filled());
}

#[actix::test]
async fn a_log_that_is_being_moved_is_cleaned_when_the_move_is_over() {
    tokio::time::pause();
    let bench = Bench::start(Arc::new(MemoryDisk::new()), &topic("t", 1, COMPACTED)).await;
    let _cleaner = bench.start_cleaner(settings());
    fill(&bench, 1).await;
    let (name, stop) = (TopicPartition::new("t", 0), Arc::default());
    bench.dirs.note_move(&name, Arc::clone(&stop));
    a_while(3).await;
    assert_eq!(bench.read_all(1).await.len(), 5);
    bench.dirs.forget_move(&name, &stop);
    a_while(1).await;
    assert_eq!(bench.read_all(1).await, filled());
}

#[actix::test]
async fn a_log_that_cannot_be_cleaned_is_counted_and_tried_again_until_it_can() {
    tokio::time::pause();
    let disk = FaultyDisk::new(Arc::new(MemoryDisk::new()));
    // Two batches to a segment, so that there is something to write.
    let configs = [COMPACTED, &[("segment.bytes", "160")]].concat();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &configs)).await;
    let _cleaner = bench.start_cleaner(settings());
    fill(&bench, 1).await;
    disk.limit_space(Some(0));
    a_while(1).await;
    let shown = metrics(&bench).clone();
    assert_eq!(shown.uncleanable_partitions.get(), 1);
    assert!(shown.uncleanable_bytes.get() > 0);
    a_while(2).await;
    assert!(shown.failures.get() >= 2);
    assert_eq!(bench.read_all(1).await.len(), 5);
    disk.limit_space(None);
    a_while(8).await;
    assert_eq!(shown.uncleanable_partitions.get(), 0);
    assert_eq!(bench.read_all(1).await, filled());
}

#[actix::test]
async fn a_stopped_cleaner_cleans_nothing_more_and_says_so_only_then() {
    tokio::time::pause();
    let bench = Bench::start(Arc::new(MemoryDisk::new()), &topic("t", 1, COMPACTED)).await;
    let cleaner = bench.start_cleaner(settings());
    fill(&bench, 1).await;
    cleaner.send(StopCleaning).await.unwrap();
    a_while(3).await;
    assert_eq!(bench.read_all(1).await.len(), 5);
    assert!(!cleaner.connected());
}

#[actix::test]
async fn a_partition_deleted_while_it_is_cleaned_is_let_go_of_and_its_successor_is_cleaned() {
    tokio::time::pause();
    let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
    let mut bench = Bench::by_hand(disk, &topic("t", 1, COMPACTED)).await;
    let answers: Vec<_> = (0..5)
        .map(|number| {
            let value = number.to_string();
            bench.append(1, keyed("a", Some(&value), bench.clock.wall()))
        })
        .collect();
    bench.work_all().await;
    for answer in answers {
        outcome(answer).await.unwrap();
    }
    let _cleaner = bench.start_cleaner(settings());
    // The log was asked to begin, and its directory's threads are busy.
    a_while(1).await;
    let told = bench.send_change(&[MetadataRecord::RemoveTopic { id: topic_id(1) }]);
    bench.work_all().await;
    told.await.unwrap();
    assert_eq!(cleaned(&bench), []);
    let told = bench.send_change(&topic("t", 2, COMPACTED));
    bench.work_all().await;
    told.await.unwrap();
    let answers: Vec<_> = (0..3)
        .map(|number| {
            let value = format!("new {number}");
            bench.append(2, keyed("a", Some(&value), bench.clock.wall()))
        })
        .collect();
    bench.work_all().await;
    drop(answers);
    for _ in 0..4 {
        a_while(1).await;
        bench.work_all().await;
    }
    let left = [(1, "new 1".to_owned()), (2, "new 2".to_owned())];
    assert_eq!(bench.read_all(2).await, left);
    assert_eq!(metrics(&bench).uncleanable_partitions.get(), 0);
}

fn broker_config(key: &str, value: &str) -> Vec<MetadataRecord> {
    vec![MetadataRecord::Config {
        resource: ConfigResource {
            kind: ResourceKind::Broker,
            name: String::new(),
        },
        key: key.to_owned(),
        value: Some(value.to_owned()),
    }]
}

async fn tell(cleaner: &Addr<CleanerActor>, records: &[MetadataRecord]) {
    let mut image = Image::default();
    records.iter().for_each(|record| image.replay(record));
    let delta = Arc::new(Delta::between(&Image::default(), &image));
    let image = Arc::new(image);
    cleaner
        .send(MetadataChanged { image, delta })
        .await
        .unwrap();
}

#[actix::test]
async fn its_settings_change_while_it_runs() {
    tokio::time::pause();
    let bench = Bench::start(Arc::new(MemoryDisk::new()), &topic("t", 1, COMPACTED)).await;
    let slow = CleanerSettings {
        backoff: Duration::from_secs(100_000),
        ..settings()
    };
    let cleaner = bench.start_cleaner(slow);
    fill(&bench, 1).await;
    a_while(3).await;
    assert_eq!(bench.read_all(1).await.len(), 5);
    // It looks when it is told, and every second from then on.
    tell(&cleaner, &broker_config("log.cleaner.backoff.ms", "1000")).await;
    bench.settle().await;
    assert_eq!(bench.read_all(1).await, filled());
    tell(&cleaner, &broker_config("log.cleaner.threads", "2")).await;
    for _ in 0..3 {
        put(&bench, 1, "a", "again").await;
    }
    a_while(1).await;
    let left =
        [4, 6, 7].map(|offset| (offset, if offset == 4 { "b4" } else { "again" }.to_owned()));
    assert_eq!(bench.read_all(1).await, left);
}

#[actix::test]
async fn a_checkpoint_beyond_the_end_is_not_believed() {
    tokio::time::pause();
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, COMPACTED)).await;
    fill(&bench, 1).await;
    bench.stop().await;
    disk.write_file_atomically(
        &Path::new(DIRECTORY).join(CLEANER_CHECKPOINT),
        b"0\n1\nt 0 99\n",
    )
    .unwrap();
    let bench = Bench::start(Arc::new(disk), &topic("t", 1, COMPACTED)).await;
    let _cleaner = bench.start_cleaner(settings());
    a_while(1).await;
    assert_eq!(bench.read_all(1).await, filled());
}
