//! What groups decide on its way into the log: batches, commits, disks that fail.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::bench::*;
use crate::coordination::messages::{CommitOffset, GroupError, Reply, Request};
use crate::record::{Codec, batches};
use crate::storage::disk::{Call, FaultyDisk, MemoryDisk};

const FLUSHED: &[(&str, &str)] = &[("flush.messages", "1")];

fn memory() -> Arc<MemoryDisk> {
    Arc::new(MemoryDisk::new())
}

/// How many records each batch of the offsets topic has.
async fn records_per_batch(groups: &GroupBench) -> Vec<i32> {
    let read = groups.bench.read(OFFSETS, 0, None).await.unwrap();
    let mut bytes = bytes::BytesMut::new();
    read.plan.read(&mut bytes).unwrap();
    let found = batches(&bytes).map(|batch| batch.unwrap().0.records_count);
    found.collect()
}

#[actix::test]
async fn what_comes_while_a_batch_is_under_way_shares_the_next() {
    tokio::time::pause();
    let groups = GroupBench::by_hand(memory(), &[]).await;
    let mut answers = vec![groups.send("first", commit(1)).await];
    for number in 0..10 {
        let group = format!("later-{number}");
        answers.push(groups.send(&group, commit(1)).await);
    }
    groups.bench.work_all().await;
    for each in answers {
        assert_eq!(answer(each).await, stored());
    }
    assert_eq!(records_per_batch(&groups).await, [1, 10]);
}

#[actix::test]
async fn a_batch_is_no_larger_than_the_topic_takes_and_a_step_lies_in_one() {
    tokio::time::pause();
    let groups = GroupBench::by_hand(memory(), &[("max.message.bytes", "1000")]).await;
    let long = "x".repeat(300);
    let mut answers = Vec::new();
    for number in 0..5 {
        let request = commit_with(1, &long);
        answers.push(groups.send(&format!("g{number}"), request).await);
    }
    groups.bench.work_all().await;
    for each in answers {
        assert_eq!(answer(each).await, stored());
    }
    assert_eq!(records_per_batch(&groups).await, [1, 2, 2]);
    let refused = groups.send("g0", commit_with(2, &"x".repeat(3_000))).await;
    assert_eq!(answer(refused).await, failed(GroupError::TooLarge));
    assert_eq!(groups.committed("g0").await, 1, "and nothing has changed");
}

#[actix::test]
async fn an_answer_waits_until_what_it_tells_is_committed() {
    tokio::time::pause();
    let groups = GroupBench::by_hand(memory(), FLUSHED).await;
    let mut waiting = pin!(answer(groups.send("g", commit(1)).await));
    groups.bench.work().await;
    assert_eq!(records_in_log(&groups), 1, "the log has it");
    let told = tokio::time::timeout(Duration::ZERO, waiting.as_mut()).await;
    assert!(told.is_err(), "and nobody is told before the disk has it");
    groups.bench.work().await;
    assert_eq!(waiting.await, stored());
    assert!(
        groups.bench.clock.now().0 < 10,
        "nobody waited for a deadline"
    );
}

fn records_in_log(groups: &GroupBench) -> i64 {
    let logs = groups.bench.dir.list();
    logs[0].1.reader.log_end_offset().0
}

#[actix::test]
async fn a_question_waits_for_what_was_stored_before_it() {
    tokio::time::pause();
    let groups = GroupBench::by_hand(memory(), FLUSHED).await;
    let first = groups.send("g", commit(1)).await;
    groups.bench.work().await;
    let mut look = pin!(answer(groups.send("g", fetch_all()).await));
    let told = tokio::time::timeout(Duration::ZERO, look.as_mut()).await;
    assert!(told.is_err(), "its answer would tell what is not committed");
    groups.bench.work_all().await;
    assert_eq!(answer(first).await, stored());
    assert!(matches!(look.await, Some(Reply::FetchOffsets(Ok(_)))));
}

#[actix::test]
async fn who_waits_for_a_commit_that_does_not_come_is_told_at_the_deadline() {
    tokio::time::pause();
    let groups = GroupBench::by_hand(memory(), FLUSHED).await;
    let waiting = groups.send("g", commit(1)).await;
    groups.bench.work().await;
    let told = answer(waiting).await;
    assert_eq!(told, failed(GroupError::CoordinatorNotAvailable));
    let now = u128::from(groups.bench.clock.now().0);
    let due = COMMIT_TIMEOUT.as_millis();
    assert!((due..=due + 1).contains(&now), "{now}");
    groups.bench.work_all().await;
    assert_eq!(
        groups.committed("g").await,
        1,
        "what was stored counts all the same"
    );
}

#[actix::test]
async fn a_full_disk_refuses_a_step_and_the_group_lives_on() {
    tokio::time::pause();
    let disk = FaultyDisk::new(memory());
    let groups = GroupBench::start(Arc::new(disk.clone()), &[]).await;
    assert_eq!(groups.commit("g", 1).await, stored());
    disk.limit_space(Some(20));
    let refused = failed(GroupError::CoordinatorNotAvailable);
    assert_eq!(groups.commit("g", 2).await, refused);
    assert_eq!(groups.committed("g").await, 1, "nothing of it has happened");
    disk.limit_space(None);
    assert_eq!(groups.commit("g", 3).await, stored());
    assert_eq!(groups.committed("g").await, 3);
}

#[actix::test]
async fn a_disk_that_fails_answers_everybody_and_loses_nothing_it_answered() {
    tokio::time::pause();
    let disk = FaultyDisk::new(memory());
    let groups = GroupBench::start(Arc::new(disk.clone()), &[]).await;
    assert_eq!(groups.commit("g", 1).await, stored());
    disk.fail_after(Call::Write, 0);
    let refused = failed(GroupError::CoordinatorNotAvailable);
    assert_eq!(groups.commit("g", 2).await, refused);
    assert_eq!(groups.commit("new", 1).await, refused);
    assert_eq!(groups.committed("g").await, 1);
    assert_eq!(
        groups.quota.held(),
        1,
        "a group that is not stored is not kept"
    );
}

#[actix::test]
async fn compressed_batches_are_written_and_loaded() {
    tokio::time::pause();
    let disk = memory();
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let turns = Turns {
            codec,
            ..Turns::default()
        };
        let groups = GroupBench::with(disk.clone(), &[], turns).await;
        let name = codec.name();
        let long = "x".repeat(2_000);
        assert_eq!(groups.ask(name, commit_with(5, &long)).await, stored());
        groups.bench.stop().await;
    }
    let groups = GroupBench::start(disk, &[]).await;
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        assert_eq!(groups.committed(codec.name()).await, 5, "{}", codec.name());
    }
}

#[actix::test]
async fn a_group_with_more_offsets_than_one_batch_of_tombstones_can_be_deleted() {
    tokio::time::pause();
    let groups = GroupBench::start(memory(), &[]).await;
    for start in [0, 10_000, 20_000] {
        let Request::CommitOffsets(mut request) = commit(7) else {
            unreachable!()
        };
        let one = request.offsets[0].clone();
        let partitions = start..start + 10_000;
        request.offsets = partitions
            .map(|partition| CommitOffset {
                partition,
                ..one.clone()
            })
            .collect();
        let stored = groups.ask("g", Request::CommitOffsets(request)).await;
        assert!(matches!(stored, Some(Reply::CommitOffsets(Ok(_)))));
    }
    let deleted = groups.ask("g", Request::Delete).await;
    assert_eq!(deleted, Some(Reply::Delete(Ok(()))));
    assert_eq!(groups.committed("g").await, -1);
    assert_eq!(groups.quota.held(), 0);
}

#[actix::test]
async fn a_list_that_would_leave_out_groups_is_an_error() {
    tokio::time::pause();
    let groups = GroupBench::by_hand(memory(), &[]).await;
    groups.bench.work_all().await;
    let committing = groups.send("g", commit(1)).await;
    // Its log takes nothing until the disk works again.
    let list = groups.list().await;
    assert_eq!(list, Err(GroupError::CoordinatorNotAvailable));
    groups.bench.work_all().await;
    assert_eq!(answer(committing).await, stored());
    assert_eq!(groups.list().await.unwrap(), ["g Empty"]);
}
