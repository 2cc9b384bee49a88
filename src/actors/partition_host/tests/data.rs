//! Appending, flushing, waiting, reading.

use std::sync::Arc;
use std::time::Duration;

use super::bench::*;
use crate::actors::fetch_waiter::FetchWaiter;
use crate::actors::log_upkeep::Tidy;
use crate::model::Offset;
use crate::replication::Acks;
use crate::storage::disk::MemoryDisk;

const FLUSHED: &[(&str, &str)] = &[("flush.messages", "1")];

fn memory() -> Arc<MemoryDisk> {
    Arc::new(MemoryDisk::new())
}

#[actix::test]
async fn what_was_appended_is_answered_with_its_offset_and_read_back() {
    tokio::time::pause();
    let bench = Bench::start(memory(), &topic("t", 1, &[])).await;
    assert_eq!(bench.write(1, "a").await, Ok(0));
    assert_eq!(bench.write(1, "b").await, Ok(1));
    let found = bench.read_all(1).await;
    assert_eq!(found, [(0, "a".to_owned()), (1, "b".to_owned())]);
    assert_eq!(bench.write(9, "nobody").await, Err("gone".to_owned()));
}

#[actix::test]
async fn appends_that_wait_for_the_disk_share_a_flush() {
    tokio::time::pause();
    let bench = Bench::by_hand(memory(), &topic("t", 1, FLUSHED)).await;
    let first = bench.append(1, batch("a", EPOCH));
    assert_eq!(bench.work().await, 1, "the files are made on a disk thread");
    let more: Vec<_> = (0..10)
        .map(|_| bench.append(1, batch("b", EPOCH)))
        .collect();
    bench.settle().await;
    let read = bench.read(1, 0, None).await.unwrap();
    assert!(
        read.plan.is_empty(),
        "nothing is committed before its flush"
    );
    assert_eq!(bench.work().await, 1, "the flush of the first");
    assert_eq!(outcome(first).await, Ok(0));
    assert_eq!(
        bench.work().await,
        1,
        "one flush for all that came meanwhile"
    );
    for (at, answer) in more.into_iter().enumerate() {
        assert_eq!(outcome(answer).await, Ok(at as i64 + 1));
    }
    assert_eq!(bench.work().await, 0);
}

#[actix::test]
async fn a_flush_that_is_wanted_while_the_log_is_away_is_not_forgotten() {
    tokio::time::pause();
    let bench = Bench::by_hand(memory(), &topic("t", 1, FLUSHED)).await;
    let first = bench.append(1, batch("a", EPOCH));
    bench.work().await;
    // The flush of the first is under way; another append wants the next, and a round takes the log.
    let second = bench.append(1, batch("b", EPOCH));
    bench.settle().await;
    for (_, log) in bench.dir.list() {
        log.actor.do_send(Tidy {
            high_watermark: Offset(0),
        });
    }
    bench.work_all().await;
    assert_eq!(outcome(first).await, Ok(0));
    assert_eq!(outcome(second).await, Ok(1));
    assert_eq!(bench.clock.now().0, 0, "nobody had to wait for a deadline");
}

#[actix::test]
async fn appends_keep_their_order_while_the_log_is_away() {
    tokio::time::pause();
    let bench = Bench::by_hand(memory(), &topic("t", 1, &[])).await;
    let mut answers = Vec::new();
    for sequence in 0..6 {
        answers.push(bench.append(1, numbered(sequence, EPOCH)));
        if sequence % 2 == 0 {
            bench.settle().await;
        }
    }
    // A retry of the last one meets it in the log.
    answers.push(bench.append(1, numbered(5, EPOCH)));
    bench.work_all().await;
    let mut offsets = Vec::new();
    for answer in answers {
        offsets.push(outcome(answer).await.unwrap());
    }
    assert_eq!(offsets, [0, 1, 2, 3, 4, 5, 5]);
}

#[actix::test]
async fn a_write_the_disk_does_not_confirm_times_out_at_its_deadline() {
    tokio::time::pause();
    let bench = Bench::by_hand(memory(), &topic("t", 1, FLUSHED)).await;
    let patience = Duration::from_millis(700);
    let answer = bench.append_as(1, batch("a", EPOCH), Acks::All, patience);
    bench.work().await;
    let outcome = outcome(answer).await;
    assert_eq!(outcome, Err("the write ended as TimedOut".to_owned()));
    assert!((700..=701).contains(&bench.clock.now().0));
}

#[actix::test]
async fn a_topic_that_is_deleted_answers_who_waits_and_makes_room_for_the_next() {
    tokio::time::pause();
    let mut bench = Bench::by_hand(memory(), &topic("t", 1, FLUSHED)).await;
    let parked = bench.append(1, batch("a", EPOCH));
    bench.work().await;
    let mut records = vec![crate::metadata::MetadataRecord::RemoveTopic { id: topic_id(1) }];
    records.extend(topic("t", 2, &[]));
    let told = bench.send_change(&records);
    bench.work_all().await;
    told.await.unwrap();
    let parked = outcome(parked).await;
    assert_eq!(parked, Err("the write ended as LeaderChanged".to_owned()));
    let new = bench.append(2, batch("new", EPOCH));
    bench.work_all().await;
    assert_eq!(outcome(new).await, Ok(0));
    assert_eq!(bench.read_all(2).await, [(0, "new".to_owned())]);
}

#[actix::test]
async fn other_partitions_are_served_while_a_topic_is_made() {
    tokio::time::pause();
    let mut bench = Bench::by_hand(memory(), &topic("t", 1, &[])).await;
    let first = bench.append(1, batch("a", EPOCH));
    bench.work_all().await;
    assert_eq!(outcome(first).await, Ok(0));
    let told = bench.send_change(&topic("slow", 2, &[]));
    bench.settle().await;
    assert_eq!(bench.write(1, "b").await, Ok(1), "the disk does nothing");
    bench.work_all().await;
    told.await.unwrap();
}

#[actix::test]
async fn a_reader_who_waits_is_rung_when_enough_is_committed() {
    tokio::time::pause();
    let bench = Bench::by_hand(memory(), &topic("t", 1, FLUSHED)).await;
    let size = batch("a", EPOCH).bytes.len();
    let waiter = FetchWaiter::new(2 * size);
    let read = bench.read(1, 0, Some(waiter.bell())).await.unwrap();
    assert!(read.plan.is_empty());
    let first = bench.append(1, batch("a", EPOCH));
    bench.work().await;
    assert!(!waiter.bell().is_over(), "it is not on the disk yet");
    bench.work().await;
    assert_eq!(outcome(first).await, Ok(0));
    assert!(!waiter.bell().is_over(), "one batch is not enough");
    let second = bench.append(1, batch("b", EPOCH));
    bench.work_all().await;
    assert_eq!(outcome(second).await, Ok(1));
    waiter.woken().await;
}
