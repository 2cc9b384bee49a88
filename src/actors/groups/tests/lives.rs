//! How shards and groups come and go: loading, leadership, limits, retention.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::bench::*;
use crate::actors::groups::shard::LoseGroup;
use crate::actors::partition_host::tests::bench::{DIRECTORY, topic, topic_id};
use crate::coordination::messages::{GroupError, Reply, Request};
use crate::metadata::MetadataRecord;
use crate::model::{BrokerId, CONSUMER_OFFSETS};
use crate::record::{BatchBuilder, ControlType, Scratch, ValidBatch};
use crate::storage::disk::{Disk, MemoryDisk, OpenMode};

fn memory() -> Arc<MemoryDisk> {
    Arc::new(MemoryDisk::new())
}

/// The partition is led by somebody else from now on.
fn leader(broker: i32) -> MetadataRecord {
    MetadataRecord::PartitionChange {
        topic_id: topic_id(OFFSETS),
        partition: 0,
        isr: None,
        leader: Some(BrokerId(broker)),
        replicas: None,
    }
}

#[actix::test]
async fn what_was_committed_is_there_in_the_next_life() {
    tokio::time::pause();
    let disk = memory();
    let groups = GroupBench::start(disk.clone(), &[]).await;
    for offset in 0..20 {
        assert_eq!(groups.commit("g", offset).await, stored());
        assert_eq!(groups.commit(&format!("g{offset}"), offset).await, stored());
    }
    groups.bench.stop().await;
    // A byte at a time, so that every batch is a chunk of its own.
    let turns = Turns {
        load_bytes: 1,
        ..Turns::default()
    };
    let groups = GroupBench::with(disk, &[], turns).await;
    assert_eq!(groups.committed("g").await, 19);
    assert_eq!(groups.committed("g7").await, 7);
    assert_eq!(groups.committed("nobody").await, -1);
    assert_eq!(groups.list().await.unwrap().len(), 21);
    assert_eq!(groups.quota.held(), 21);
}

#[actix::test]
async fn while_a_shard_loads_its_askers_are_told_so() {
    tokio::time::pause();
    let disk = memory();
    let groups = GroupBench::start(disk.clone(), &[]).await;
    assert_eq!(groups.commit("g", 4).await, stored());
    groups.bench.stop().await;
    let groups = GroupBench::by_hand(disk, &[]).await;
    let loading = failed(GroupError::LoadInProgress);
    assert_eq!(groups.commit("g", 5).await, loading);
    assert_eq!(groups.list().await, Err(GroupError::LoadInProgress));
    groups.bench.work_all().await;
    assert_eq!(groups.committed("g").await, 4);
}

#[actix::test]
async fn offsets_behind_a_damaged_batch_are_not_told_in_the_place_of_those_in_it() {
    tokio::time::pause();
    let disk = memory();
    let groups = GroupBench::start(disk.clone(), &[]).await;
    assert_eq!(groups.commit("g", 4).await, stored());
    assert_eq!(groups.commit("g", 5).await, stored());
    groups.bench.stop().await;
    let log = format!("{DIRECTORY}/{CONSUMER_OFFSETS}-0/{:020}.log", 0);
    let log = Path::new(&log);
    let bytes = disk.open(log, OpenMode::Read).unwrap().length().unwrap();
    // The last byte but one: in the record of the second commit.
    let position = usize::try_from(bytes).unwrap() - 2;
    disk.flip_bit(log, position, 0).unwrap();
    let groups = GroupBench::start(disk, &[]).await;
    let unavailable = failed(GroupError::CoordinatorNotAvailable);
    assert_eq!(groups.ask("g", fetch_all()).await, unavailable);
    assert_eq!(groups.commit("g", 6).await, unavailable);
}

#[actix::test]
async fn what_is_whole_and_says_nothing_is_counted_and_passed_over() {
    tokio::time::pause();
    let disk = memory();
    let groups = GroupBench::start(disk.clone(), &[]).await;
    assert_eq!(groups.commit("before", 1).await, stored());
    let append = |builder: BatchBuilder| {
        let batch = builder.build().unwrap();
        let batch = ValidBatch::from_builder(batch, &mut Scratch::new()).unwrap();
        groups.bench.append(OFFSETS, batch)
    };
    for key in [None, Some(&b"\x00\x01\xff"[..]), Some(&b"\x00"[..])] {
        let mut builder = BatchBuilder::new();
        builder.append(START, key, Some(b"?"), &[]);
        append(builder).all().await;
    }
    // Of a kind of group that this broker does not have: not an error.
    let mut unknown = BatchBuilder::new();
    unknown.append(START, Some(b"\x7f\xff\x00"), None, &[]);
    append(unknown).all().await;
    let mut control = BatchBuilder::new().control();
    control.append(START, Some(&ControlType::Commit.key()), Some(&[0; 6]), &[]);
    append(control).all().await;
    assert_eq!(groups.commit("after", 2).await, stored());
    groups.bench.stop().await;
    let groups = GroupBench::start(disk, &[]).await;
    assert_eq!(groups.committed("before").await, 1);
    assert_eq!(groups.committed("after").await, 2);
    assert_eq!(groups.metrics.group_records_skipped.get(), 3);
}

#[actix::test]
async fn who_waits_when_leadership_is_lost_is_sent_elsewhere_and_it_can_come_back() {
    tokio::time::pause();
    let mut groups = GroupBench::start(memory(), &[]).await;
    assert_eq!(groups.commit("g", 1).await, stored());
    let joining = groups.send("g", join("", 10_000)).await;
    groups.change(&[leader(2)]).await;
    drop(joining);
    assert_eq!(
        groups.commit("g", 2).await,
        None,
        "nobody coordinates it here"
    );
    assert!(groups.router.shards().is_empty());
    assert_eq!(groups.quota.held(), 0);
    groups.change(&[leader(1)]).await;
    assert_eq!(groups.committed("g").await, 1, "loaded from the log");
}

#[actix::test]
async fn a_deleted_offsets_topic_takes_its_groups_along() {
    tokio::time::pause();
    let mut groups = GroupBench::start(memory(), &[]).await;
    assert_eq!(groups.commit("g", 1).await, stored());
    let id = topic_id(OFFSETS);
    groups.change(&[MetadataRecord::RemoveTopic { id }]).await;
    assert_eq!(groups.commit("g", 2).await, None);
    groups
        .change(&topic(crate::model::CONSUMER_OFFSETS, 2, &[]))
        .await;
    assert_eq!(groups.committed("g").await, -1, "a new topic begins anew");
}

#[actix::test]
async fn invented_groups_are_refused_beyond_the_limit_and_leave_others_alone() {
    tokio::time::pause();
    let turns = Turns {
        groups_max: 3,
        ..Turns::default()
    };
    let groups = GroupBench::with(memory(), &[], turns).await;
    for number in 0..3 {
        assert_eq!(groups.commit(&format!("g{number}"), 1).await, stored());
    }
    let refused = failed(GroupError::TooManyGroups);
    assert_eq!(groups.commit("one-more", 1).await, refused);
    assert_eq!(groups.commit("g1", 2).await, stored());
    assert_eq!(
        groups.committed("one-more").await,
        -1,
        "looking makes no group"
    );
    assert_eq!(
        groups.ask("g0", Request::Delete).await,
        Some(Reply::Delete(Ok(())))
    );
    groups.bench.settle().await;
    assert_eq!(groups.quota.held(), 2, "its place is free again");
    assert_eq!(groups.commit("one-more", 1).await, stored());
}

#[actix::test]
async fn a_group_that_only_was_refused_is_forgotten() {
    tokio::time::pause();
    let groups = GroupBench::start(memory(), &[]).await;
    for number in 0..10 {
        // A session timeout no broker takes.
        let refused = groups.ask(&format!("g{number}"), join("", 1)).await;
        assert!(matches!(refused, Some(Reply::Join(Err(_)))), "{refused:?}");
    }
    groups.bench.settle().await;
    assert_eq!(groups.quota.held(), 0);
}

#[actix::test]
async fn expired_offsets_are_taken_away_at_a_check() {
    tokio::time::pause();
    let groups = GroupBench::start(memory(), &[]).await;
    assert_eq!(groups.commit("g", 1).await, stored());
    let week = Duration::from_secs(7 * 24 * 60 * 60);
    tokio::time::sleep(week - Duration::from_secs(1)).await;
    assert_eq!(groups.committed("g").await, 1);
    tokio::time::sleep(EXPIRY_INTERVAL + Duration::from_secs(2)).await;
    groups.bench.settle().await;
    assert_eq!(groups.committed("g").await, -1);
    assert_eq!(groups.quota.held(), 0, "and nothing is left of the group");
}

#[actix::test]
async fn the_offsets_of_a_deleted_topic_go_with_it() {
    tokio::time::pause();
    let mut groups = GroupBench::start(memory(), &[]).await;
    groups.change(&topic("t", 5, &[])).await;
    assert_eq!(groups.commit("g", 1).await, stored());
    let id = topic_id(5);
    groups.change(&[MetadataRecord::RemoveTopic { id }]).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(groups.committed("g").await, -1);
}

#[actix::test]
async fn after_a_panic_of_one_group_all_of_its_shard_are_right_again() {
    tokio::time::pause();
    let groups = GroupBench::start(memory(), &[]).await;
    for offset in 0..5 {
        assert_eq!(groups.commit("lost", offset).await, stored());
        assert_eq!(groups.commit("other", offset).await, stored());
    }
    groups.router.shards()[0].do_send(LoseGroup("lost"));
    groups.bench.settle().await;
    assert_eq!(
        groups.commit("lost", 9).await,
        None,
        "its client looks again"
    );
    groups.bench.settle().await;
    assert_eq!(groups.committed("lost").await, 4);
    assert_eq!(groups.committed("other").await, 4);
    assert_eq!(groups.commit("lost", 9).await, stored());
    assert_eq!(groups.quota.held(), 2);
}

#[actix::test]
async fn a_group_id_that_no_record_can_hold_is_refused() {
    tokio::time::pause();
    let groups = GroupBench::start(memory(), &[]).await;
    let longest = "x".repeat(32_767);
    assert_eq!(groups.commit(&longest, 1).await, stored());
    let refused = failed(GroupError::InvalidGroupId);
    assert_eq!(groups.commit(&format!("{longest}x"), 1).await, refused);
}
