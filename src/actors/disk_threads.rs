//! The threads of one log directory on which everything that can block is done.
//!
//! Log actors hand them flushes, throttled appends, cold reads, recovery and deletion as jobs and
//! hear of the end by message. Order between the jobs of one log is its actor's business: it has at
//! most one of each kind under way. Invariant: nobody waits here for a full queue on an arbiter;
//! [`DiskThreads::run`] waits asynchronously.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::{Semaphore, oneshot};

use crate::storage::disk::Disk;

type Job = Box<dyn FnOnce() + Send>;

/// A thread, and what is dropped when it has done its last job.
type Living = (oneshot::Receiver<()>, JoinHandle<()>);

/// Jobs under way or queued at once; who comes then waits for a place, without a thread.
const JOBS_MAX: usize = 1024;

/// The niceness of threads that give way: each step is a tenth of the processor.
const NICE: i32 = 5;

/// A pool of named threads. Cheap to clone; the threads end when the last clone is gone.
#[derive(Clone)]
pub struct DiskThreads {
    jobs: Jobs,
    places: Arc<Semaphore>,
    name: Arc<str>,
    living: Arc<Mutex<Vec<Living>>>,
}

/// Where jobs go.
#[derive(Clone)]
enum Jobs {
    Threads(Sender<Option<Job>>),
    /// Nowhere: they are done where they are asked for.
    Here,
}

/// The job's thread is gone: it panicked, or the pool was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the disk threads of this log directory have ended")]
pub struct DiskThreadsEnded;

impl DiskThreads {
    /// Starts `count` threads named after `name`.
    ///
    /// # Errors
    /// When the system refuses a thread.
    pub fn start(name: &str, count: usize) -> std::io::Result<DiskThreads> {
        DiskThreads::start_with(name, count, || {})
    }

    /// As [`DiskThreads::start`], of threads that give way: where there is not enough of the
    /// processor, they get a third of what others get.
    ///
    /// # Errors
    /// As [`DiskThreads::start`].
    pub fn start_behind(name: &str, count: usize) -> std::io::Result<DiskThreads> {
        // Of the calling thread, on Linux. Where it is refused, they are as all others.
        let give_way = || {
            let _ = rustix::process::setpriority_process(None, NICE);
        };
        DiskThreads::start_with(name, count, give_way)
    }

    fn start_with(name: &str, count: usize, begin: fn()) -> std::io::Result<DiskThreads> {
        // Twice the places: jobs nobody waits for take none.
        let (jobs, queue) = bounded(2 * JOBS_MAX);
        let mut living = Vec::new();
        for index in 0..count.max(1) {
            let queue = queue.clone();
            let (alive, ended) = oneshot::channel();
            let thread = thread::Builder::new()
                .name(format!("{name}-{index}"))
                .spawn(move || {
                    begin();
                    work_off(queue);
                    drop(alive);
                })?;
            living.push((ended, thread));
        }
        let places = Arc::new(Semaphore::new(JOBS_MAX));
        Ok(DiskThreads {
            jobs: Jobs::Threads(jobs),
            places,
            name: name.into(),
            living: Arc::new(Mutex::new(living)),
        })
    }

    /// No threads: each job is done at once, where it is asked for. For tests whose time stands
    /// still, and for disks that never block.
    pub fn here() -> DiskThreads {
        DiskThreads {
            jobs: Jobs::Here,
            places: Arc::new(Semaphore::new(JOBS_MAX)),
            name: "here".into(),
            living: Arc::default(),
        }
    }

    /// Threads for a disk whose operations may wait, none for one that never does.
    ///
    /// # Errors
    /// As [`DiskThreads::start`].
    pub fn for_disk(disk: &dyn Disk, name: &str, count: usize) -> std::io::Result<DiskThreads> {
        match disk.waits() {
            true => DiskThreads::start(name, count),
            false => Ok(DiskThreads::here()),
        }
    }

    /// Ends the threads once they have done what is queued, and waits for it; who comes later, also
    /// through a clone, is refused.
    pub async fn end(&self) {
        let living =
            std::mem::take(&mut *self.living.lock().unwrap_or_else(PoisonError::into_inner));
        let Jobs::Threads(jobs) = &self.jobs else {
            return;
        };
        for _ in &living {
            while let Err(TrySendError::Full(_)) = jobs.try_send(None) {
                tokio::time::sleep(RETRY).await;
            }
        }
        for (ended, thread) in living {
            // It is dropped, never sent on.
            let _ = ended.await;
            // Jobs that panic are caught, and the thread has nothing left to do.
            let _ = thread.join();
        }
    }

    /// No threads: jobs gather until whoever holds the queue does them. For tests that look at what
    /// happens meanwhile.
    #[cfg(test)]
    pub(super) fn by_hand() -> (DiskThreads, JobsByHand) {
        let (jobs, queue) = bounded(2 * JOBS_MAX);
        let threads = DiskThreads {
            jobs: Jobs::Threads(jobs),
            places: Arc::new(Semaphore::new(JOBS_MAX)),
            name: "by hand".into(),
            living: Arc::default(),
        };
        (threads, JobsByHand(queue))
    }

    /// Runs a job on one of the threads and waits for what it returns.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, DiskThreadsEnded> {
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await.map_err(|_| DiskThreadsEnded)?;
        let (done, result) = oneshot::channel();
        let mut job: Job = Box::new(move || {
            let _place = place;
            // Nobody waits any more when the caller's actor has stopped.
            let _ = done.send(job());
        });
        let jobs = match &self.jobs {
            Jobs::Threads(jobs) => jobs,
            Jobs::Here => {
                do_job(job);
                return result.await.map_err(|_| DiskThreadsEnded);
            }
        };
        loop {
            match jobs.try_send(Some(job)) {
                Ok(()) => return result.await.map_err(|_| DiskThreadsEnded),
                Err(TrySendError::Disconnected(_)) => return Err(DiskThreadsEnded),
                // Only jobs nobody waits for can have filled the queue.
                Err(TrySendError::Full(Some(refused))) => job = refused,
                Err(TrySendError::Full(None)) => return Err(DiskThreadsEnded),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

const RETRY: Duration = Duration::from_millis(1);

impl DiskThreads {
    /// Runs a job nobody waits for, when there is room for it in the queue.
    pub fn run_unwatched(&self, job: impl FnOnce() + Send + 'static) {
        match &self.jobs {
            Jobs::Here => do_job(Box::new(job)),
            // Such jobs only tidy up; what is not done now is done after the next start.
            Jobs::Threads(jobs) => drop(jobs.try_send(Some(Box::new(job)))),
        }
    }
}

impl std::fmt::Debug for DiskThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queued = match &self.jobs {
            Jobs::Threads(jobs) => jobs.len(),
            Jobs::Here => 0,
        };
        write!(f, "DiskThreads({}, {queued} queued)", self.name)
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the queue closes when the last thread has dropped its end"
)]
fn work_off(queue: Receiver<Option<Job>>) {
    while let Ok(Some(job)) = queue.recv() {
        do_job(job);
    }
}

/// A job that panics answers nobody: its caller sees the closed channel. The thread lives.
fn do_job(job: Job) {
    let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
}

/// See [`DiskThreads::by_hand`].
#[cfg(test)]
pub(super) struct JobsByHand(Receiver<Option<Job>>);

#[cfg(test)]
impl JobsByHand {
    /// Does everything that is queued; how much that was.
    pub(super) fn work_off(&self) -> usize {
        self.0.try_iter().flatten().map(do_job).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_job_that_panics_is_told_and_the_thread_serves_the_next() {
        let threads = DiskThreads::start("test-disk", 1).unwrap();
        let broken: Result<(), _> = threads.run(|| panic!("expected in this test")).await;
        assert_eq!(broken, Err(DiskThreadsEnded));
        assert_eq!(threads.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn threads_that_were_ended_do_what_was_queued_and_refuse_the_rest() {
        let threads = DiskThreads::start("test-disk", 2).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        threads.run_unwatched(move || tell.send(1).unwrap());
        let clone = threads.clone();
        threads.end().await;
        assert_eq!(told.recv(), Ok(1));
        assert_eq!(clone.run(|| 7).await, Err(DiskThreadsEnded));
    }
}
