//! The last step of a move, with everything that may happen while it is made.

use std::path::Path;
use std::sync::Arc;

use super::super::*;
use super::bench::*;
use crate::actors::disk_threads::{DiskThreads, JobsByHand};
use crate::actors::log::LogActor;
use crate::actors::log_dir::{LogDir, LogDirLimits, LogDirParts, ResidentLog};
use crate::actors::log_switch::{DescribeCopy, NotSwitched, Switch};
use crate::actors::log_upkeep::Abandon;
use crate::model::{DirectoryId, Offset, TopicPartition, Uuid};
use crate::storage::checkpoint::{LOG_START_CHECKPOINT, read_offsets};
use crate::storage::disk::{Disk, MemoryDisk};
use crate::storage::{CleaningHold, Log, OpenFiles};

const FLUSHED: &[(&str, &str)] = &[("flush.messages", "1")];
const OTHER: &str = "/other";
const OTHER_ID: DirectoryId = Uuid([9; 16]);

/// A partition, a copy of its log in another directory, and that directory.
struct Moving {
    bench: Bench,
    name: TopicPartition,
    actor: Addr<LogActor>,
    to: Arc<LogDir>,
    jobs: JobsByHand,
    copy: Option<Box<Log>>,
    _hold: CleaningHold,
}

fn other(disk: &Arc<dyn Disk>, open_files: &Arc<OpenFiles>) -> (Arc<LogDir>, JobsByHand) {
    let (threads, jobs) = DiskThreads::by_hand();
    disk.create_dir_all(Path::new(OTHER)).unwrap();
    let lock: Arc<dyn crate::storage::disk::DiskFile> = disk
        .open(
            &Path::new(OTHER).join("lock"),
            crate::storage::disk::OpenMode::Create,
        )
        .unwrap();
    let dir = LogDir::new(LogDirParts {
        id: OTHER_ID,
        path: OTHER.into(),
        disk: Arc::clone(disk),
        threads,
        limits: LogDirLimits {
            unflushed_bytes_max: 1 << 30,
            write_back_bytes: 1 << 20,
        },
        at_start: Default::default(),
        stopped_cleanly: true,
        open_files: Arc::clone(open_files),
        closed_logs: Default::default(),
        lock: Arc::downgrade(&lock),
        metrics: Default::default(),
    });
    (Arc::new(dir), jobs)
}

type Switched = actix_rt::task::JoinHandle<Result<Result<(), NotSwitched>, MailboxError>>;

impl Moving {
    async fn begin() -> Moving {
        let disk: Arc<dyn Disk> = Arc::new(MemoryDisk::new());
        let bench = Bench::by_hand(Arc::clone(&disk), &topic("t", 1, FLUSHED)).await;
        let first = bench.append(1, batch("0", bench.clock.wall()));
        bench.work_all().await;
        assert_eq!(outcome(first).await, Ok(0));
        let name = TopicPartition::new("t", 0);
        let ResidentLog { actor, .. } = bench.dir.resident(&name).unwrap();
        let described = actor.send(DescribeCopy).await.unwrap();
        let (blueprint, reader, hold) = described.unwrap();
        let path = Path::new(OTHER).join("t-0.0123-future");
        let (to, jobs) = other(&disk, bench.dir.open_files());
        let now = bench.clock.wall();
        let copy = blueprint.begin(path, reader.copy_start().unwrap(), now);
        let copy = Box::new(copy.unwrap());
        to.begin_future(name.clone(), copy.reader());
        Moving {
            bench,
            name,
            actor,
            to,
            jobs,
            copy: Some(copy),
            _hold: hold,
        }
    }

    fn switch(&mut self) -> Switched {
        let switch = Switch {
            copy: self.copy.take().unwrap(),
            name: self.name.clone(),
            to: Arc::clone(&self.to),
            dirs: Arc::clone(&self.bench.dirs),
            unique: Uuid([8; 16]),
        };
        actix_rt::spawn(self.actor.send(switch))
    }

    /// Has both disks do what they are asked until nothing is asked any more.
    async fn work_all(&self) {
        loop {
            self.bench.settle().await;
            let done = self.jobs.work_off();
            if done + self.bench.work().await == 0 {
                return;
            }
        }
    }
}

#[actix::test]
async fn who_waits_for_a_flush_during_the_last_step_is_answered_after_it() {
    let mut moving = Moving::begin().await;
    let bench = &moving.bench;
    // The flush of the first is under way, that of the second is wanted.
    let first = bench.append(1, batch("1", bench.clock.wall()));
    bench.settle().await;
    let second = bench.append(1, batch("2", bench.clock.wall()));
    bench.settle().await;
    let switched = moving.switch();
    moving.bench.work().await;
    assert_eq!(outcome(first).await, Ok(1));
    moving.work_all().await;
    assert!(switched.await.unwrap().unwrap().is_ok());
    assert_eq!(outcome(second).await, Ok(2));
    let third = moving
        .bench
        .append(1, batch("3", moving.bench.clock.wall()));
    moving.work_all().await;
    assert_eq!(outcome(third).await, Ok(3));
    assert_eq!(moving.bench.read_all(1).await.len(), 4);
}

#[actix::test]
async fn records_deleted_during_the_last_step_stay_deleted_where_the_log_is_then() {
    let mut moving = Moving::begin().await;
    let switched = moving.switch();
    moving.bench.settle().await;
    let (answer, ()) = tokio::join!(moving.bench.delete_records(1, 1), moving.work_all());
    assert!(matches!(answer, Some(Ok(Offset(1)))));
    assert!(switched.await.unwrap().unwrap().is_ok());
    let path = Path::new(OTHER).join(LOG_START_CHECKPOINT);
    let starts = read_offsets(moving.bench.disk.as_ref(), &path).unwrap();
    assert_eq!(starts.get(&moving.name), Some(&Offset(1)));
}

#[actix::test]
async fn a_moved_log_lives_in_its_directory_though_the_other_one_failed_meanwhile() {
    let mut moving = Moving::begin().await;
    let switched = moving.switch();
    moving.bench.settle().await;
    moving.bench.dir.vacate();
    moving.work_all().await;
    assert!(switched.await.unwrap().unwrap().is_ok());
    assert!(moving.to.list_future().is_empty());
    let log = moving.to.resident(&moving.name).unwrap();
    // It is watched as every log there.
    assert!(moving.to.suspects().take().is_none());
    log.reader.suspect(Offset(0));
    assert!(moving.to.suspects().take().is_some());
}

#[actix::test]
async fn a_log_abandoned_during_the_last_step_ends_when_no_job_has_it_any_more() {
    let mut moving = Moving::begin().await;
    let switched = moving.switch();
    moving.bench.settle().await;
    moving.actor.do_send(Abandon);
    moving.bench.settle().await;
    assert!(
        moving.actor.connected(),
        "the copy would be removed under the job"
    );
    moving.work_all().await;
    assert!(matches!(
        switched.await.unwrap().unwrap(),
        Err(NotSwitched::Gone)
    ));
    assert!(!moving.actor.connected());
    assert!(moving.to.resident(&moving.name).is_none());
}
