//! Disks that fail, power that goes, actors that panic.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::prelude::*;

use super::super::*;
use super::bench::*;
use crate::actors::log::LogActor;
use crate::model::Offset;
use crate::storage::disk::{Call, FaultyDisk, MemoryDisk};

fn faulty() -> FaultyDisk {
    FaultyDisk::new(Arc::new(MemoryDisk::new()))
}

#[actix::test]
async fn after_a_failed_flush_nothing_is_written_and_what_was_committed_is_read() {
    tokio::time::pause();
    let disk = faulty();
    let records = topic("t", 1, &[("flush.messages", "1")]);
    let bench = Bench::start(Arc::new(disk.clone()), &records).await;
    assert_eq!(bench.write(1, "safe").await, Ok(0));
    disk.fail_after(Call::Sync, 0);
    assert_eq!(bench.write(1, "unknown").await, Err("gone".to_owned()));
    disk.repair();
    let refused = bench.write(1, "later").await.unwrap_err();
    assert!(refused.contains("offline"), "{refused}");
    assert_eq!(bench.read_all(1).await, [(0, "safe".to_owned())]);
    assert!(bench.dir.is_unclean(), "the next start recovers");
    assert_eq!(bench.clock.now().0, 0, "nobody had to wait for a deadline");
}

#[actix::test]
async fn without_space_writes_are_refused_and_go_on_when_there_is_some() {
    tokio::time::pause();
    let disk = faulty();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    assert_eq!(bench.write(1, "a").await, Ok(0));
    disk.limit_space(Some(20));
    for _ in 0..3 {
        let refused = bench.write(1, "no room").await.unwrap_err();
        assert!(refused.contains("no space left"), "{refused}");
    }
    assert_eq!(bench.read_all(1).await, [(0, "a".to_owned())]);
    disk.limit_space(None);
    assert_eq!(bench.write(1, "b").await, Ok(1));
    assert!(!bench.dir.is_unclean());
}

#[actix::test]
async fn a_log_opens_after_a_crash_without_any_space_and_serves_its_readers() {
    tokio::time::pause();
    let disk = faulty();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    assert_eq!(bench.write(1, "a").await, Ok(0));
    drop(bench);
    disk.limit_space(Some(0));
    let mut records = topic("t", 1, &[]);
    records.push(crate::metadata::MetadataRecord::PartitionChange {
        topic_id: topic_id(1),
        partition: 0,
        isr: None,
        leader: Some(NODE),
        replicas: None,
    });
    let bench = Bench::start(Arc::new(disk.clone()), &records).await;
    assert_eq!(bench.read_all(1).await, [(0, "a".to_owned())]);
    bench.write(1, "no room").await.unwrap_err();
    disk.limit_space(None);
    assert_eq!(bench.write(1, "b").await, Ok(1));
    let path = format!("{DIRECTORY}/t-0/leader-epoch-checkpoint");
    let epochs = bench.disk.read_file(Path::new(&path), 1000).unwrap();
    assert_eq!(String::from_utf8(epochs).unwrap(), "0\n2\n0 0\n1 1\n");
}

/// Writes `count` records, loses the power, and reads what is there in the next life.
async fn after_a_loss_of_power(configs: &[(&str, &str)], count: i64) -> Vec<(i64, String)> {
    let disk = MemoryDisk::new();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, configs)).await;
    for offset in 0..count {
        let written = bench.write(1, &format!("record {offset}")).await;
        assert_eq!(written, Ok(offset));
        if offset == count / 2 {
            bench.dir.write_checkpoints(false).unwrap();
        }
    }
    drop(bench);
    let mut bytes_of_the_last = 13;
    disk.lose_power(&mut |_, appended| {
        bytes_of_the_last += 41;
        bytes_of_the_last % (appended + 1)
    });
    let bench = Bench::start(Arc::new(disk), &topic("t", 1, configs)).await;
    let found = bench.read_all(1).await;
    assert_eq!(bench.write(1, "and on").await, Ok(found.len() as i64));
    found
}

#[actix::test]
async fn flushed_records_survive_a_loss_of_power_and_others_leave_a_prefix() {
    tokio::time::pause();
    let written: Vec<_> = (0..60).map(|at| (at, format!("record {at}"))).collect();
    let small = [("flush.messages", "1"), ("segment.bytes", "1048576")];
    assert_eq!(after_a_loss_of_power(&small, 60).await, written);
    let some = after_a_loss_of_power(&[("flush.messages", "20")], 60).await;
    assert!(
        some.len() >= 60,
        "every 20th append waits for all before it"
    );
    let left = after_a_loss_of_power(&[], 60).await;
    assert_eq!(left, written[..left.len()]);
}

/// Panics in the actor of a log.
#[derive(Message)]
#[rtype(result = "()")]
struct PanicHere;

impl Handler<PanicHere> for LogActor {
    type Result = ();

    fn handle(&mut self, _: PanicHere, _: &mut Context<Self>) {
        panic!("expected in this test");
    }
}

/// Panics in a job of a log.
#[derive(Message)]
#[rtype(result = "()")]
struct PanicInAJob;

impl Handler<PanicInAJob> for LogActor {
    type Result = ();

    fn handle(&mut self, _: PanicInAJob, ctx: &mut Context<Self>) {
        self.on_disk_thread(|_| panic!("expected in this test"), ctx);
    }
}

/// Panics in the actor of a partition.
#[derive(Message)]
#[rtype(result = "()")]
struct PanicInThePartition;

impl Handler<PanicInThePartition> for PartitionActor {
    type Result = ();

    fn handle(&mut self, _: PanicInThePartition, _: &mut Context<Self>) {
        panic!("expected in this test");
    }
}

#[actix::test]
async fn a_panic_stays_in_its_partition_is_counted_and_answered_at_once() {
    tokio::time::pause();
    let mut records = topic("handler", 1, &[]);
    records.extend(topic("job", 2, &[]));
    records.extend(topic("partition", 3, &[]));
    records.extend(topic("neighbour", 4, &[]));
    let bench = Bench::start(Arc::new(MemoryDisk::new()), &records).await;
    for id in 1..=4 {
        assert_eq!(bench.write(id, "a").await, Ok(0));
    }
    for (name, log) in bench.dir.list() {
        match &*name.topic {
            "handler" => log.actor.do_send(PanicHere),
            "job" => log.actor.do_send(PanicInAJob),
            _ => {}
        }
    }
    bench.ask(3, PanicInThePartition);
    bench.settle().await;
    assert_eq!(bench.panics.load(Ordering::Relaxed), 3);
    for id in 1..=3 {
        assert_eq!(bench.write(id, "b").await, Err("gone".to_owned()), "{id}");
    }
    for id in [1, 2, 4] {
        assert_eq!(bench.read_all(id).await, [(0, "a".to_owned())], "{id}");
    }
    assert_eq!(bench.write(4, "b").await, Ok(1));
    assert!(bench.dir.is_unclean(), "what a panic left is recovered");
    assert_eq!(bench.clock.now().0, 0, "nobody had to wait for a deadline");
}

#[actix::test]
async fn a_log_that_does_not_open_keeps_its_checkpoints_and_spoils_the_clean_stop() {
    tokio::time::pause();
    let disk = faulty();
    let bench = Bench::start(Arc::new(disk.clone()), &topic("t", 1, &[])).await;
    for value in ["a", "b", "c"] {
        bench.write(1, value).await.unwrap();
    }
    let start = bench.delete_records(1, 2).await.unwrap().unwrap();
    assert_eq!(start, Offset(2));
    bench.stop().await;
    let taken = Bench::start(Arc::new(disk.clone()), &[]).await;
    disk.fail_after(Call::Name, 0);
    let mut bench = taken;
    bench.change(&topic("t", 1, &[])).await;
    disk.repair();
    assert_eq!(bench.write(1, "d").await, Err("gone".to_owned()));
    assert!(bench.dir.is_unclean());
    // The directory has failed with it, and what it shows now is not what its files should say.
    assert!(bench.dir.write_checkpoints(true).is_err());
    drop(bench);
    let bench = Bench::start(Arc::new(disk), &topic("t", 1, &[])).await;
    assert_eq!(bench.read_all(1).await, [(2, "c".to_owned())]);
}
