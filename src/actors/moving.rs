//! Moves partitions from one log directory of this broker to another (AlterReplicaLogDirs, KIP-113).
//!
//! [`Mover`] takes the wishes and keeps a list of what is under way; each move is carried out by
//! [`carry`]. Asked by the front desk through `broker`. Invariant: a partition has one move at most,
//! and one that ends without having come to its end leaves nothing behind.

mod carry;
mod pace;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::prelude::*;
use tokio::sync::{Semaphore, oneshot};

use super::clock::Clock;
use super::directory_keeper::Assign;
use super::log_dir::{LogDir, ResidentLog};
use super::log_dirs::LogDirs;
use super::observe::PanicWatch;
use super::partition_messages::PartitionKey;
use crate::model::{TopicPartition, Uuid};

use carry::{Carried, Move};
use pace::Pace;
pub use pace::RateSource;

/// What a mover is made of.
pub struct MoverParts {
    /// The directories.
    pub dirs: Arc<LogDirs>,
    /// The time.
    pub clock: Clock,
    /// Sixteen random bytes, for the names of directories.
    pub random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
    /// `replica.alter.log.dirs.io.max.bytes.per.second`.
    pub rate: RateSource,
    /// `num.replica.alter.log.dirs.threads`: how many moves copy at the same time.
    pub threads: usize,
    /// Tells the controller where a replica is about to live.
    pub assign: Recipient<Assign>,
    /// Sees to it that a panic is seen.
    pub watch: PanicWatch,
}

/// What all moves share.
struct Common {
    dirs: Arc<LogDirs>,
    clock: Clock,
    random: Arc<dyn Fn() -> [u8; 16] + Send + Sync>,
    pace: Pace,
    threads: Semaphore,
    assign: Recipient<Assign>,
}

/// A replica and the directory it shall live in.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Whose.
    pub name: TopicPartition,
    /// Its identity, when the metadata has it with a replica on this broker.
    pub key: Option<PartitionKey>,
    /// Where to.
    pub to: PathBuf,
}

/// Put replicas into these directories; answers when that is begun. The answers are in the order of
/// the wishes.
#[derive(Debug, Message)]
#[rtype(result = "Vec<Result<(), NotMoved>>")]
pub struct MoveReplicas(pub Vec<Wish>);

/// Why a replica is not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMoved {
    /// There is no such directory.
    #[error("the broker has no such log directory")]
    UnknownDirectory,
    /// The directory has failed.
    #[error("the log directory is offline")]
    DirectoryOffline,
    /// The directory takes no new replicas.
    #[error("the log directory is cordoned")]
    Cordoned,
    /// The replica is in a directory that has failed.
    #[error("the partition is offline")]
    PartitionOffline,
    /// There is no replica here; one that comes will be put where it was wished.
    #[error("the broker has no such replica")]
    NotHere,
}

/// A copy in a log directory that an earlier life of the broker had begun.
#[derive(Debug, Clone)]
pub struct LeftCopy {
    /// Whose.
    pub name: TopicPartition,
    /// In which directory.
    pub dir: PathBuf,
    /// Where it is.
    pub path: PathBuf,
}

/// Go on with moves that an earlier life had begun: the copies are made anew. `key` finds the
/// identity of a partition that has a replica here.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Resume(pub Vec<(LeftCopy, Option<PartitionKey>)>);

/// End all moves; answers when they have ended. What was copied stays, and is found by the next life.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct StopMoves;

/// A move that is under way.
struct Underway {
    to: Arc<LogDir>,
    stop: Arc<AtomicBool>,
}

/// See the module.
pub struct Mover {
    common: Rc<Common>,
    moves: BTreeMap<TopicPartition, Underway>,
    /// Moves that begin when the one of the same partition has ended.
    next: BTreeMap<TopicPartition, (PartitionKey, Arc<LogDir>)>,
    /// The broker stops.
    ended: Arc<AtomicBool>,
    farewell: Vec<oneshot::Sender<()>>,
    _watch: PanicWatch,
}

impl Mover {
    /// A mover with nothing to do.
    pub fn new(parts: MoverParts) -> Mover {
        Mover {
            common: Rc::new(Common {
                dirs: parts.dirs,
                clock: parts.clock,
                random: parts.random,
                pace: Pace::new(parts.clock, parts.rate),
                threads: Semaphore::new(parts.threads.max(1)),
                assign: parts.assign,
            }),
            moves: BTreeMap::new(),
            next: BTreeMap::new(),
            ended: Arc::default(),
            farewell: Vec::new(),
            _watch: parts.watch,
        }
    }

    fn wish(&mut self, wish: Wish, ctx: &mut Context<Self>) -> Result<(), NotMoved> {
        let Wish { name, key, to } = wish;
        let dirs = Arc::clone(&self.common.dirs);
        if dirs.unusable().contains(&to) {
            return Err(NotMoved::DirectoryOffline);
        }
        let to = dirs.at(&to).ok_or(NotMoved::UnknownDirectory)?;
        if to.is_offline() {
            return Err(NotMoved::DirectoryOffline);
        }
        if to.is_cordoned() {
            return Err(NotMoved::Cordoned);
        }
        let (from, key) = match (dirs.resident(&name), key) {
            (Some((from, _)), Some(key)) if !from.is_offline() => (from, key),
            (_, Some(_)) => return Err(NotMoved::PartitionOffline),
            (_, None) => {
                dirs.wish(&name, to);
                return Err(NotMoved::NotHere);
            }
        };
        self.next.remove(&name);
        if let Some(underway) = self.moves.get(&name) {
            let same = Arc::ptr_eq(&underway.to, to) && !underway.stop.load(Ordering::Acquire);
            if same {
                return Ok(());
            }
            underway.stop.store(true, Ordering::Release);
            // Also when it is there already: the last step may just be under way.
            self.next.insert(name, (key, Arc::clone(to)));
        } else if !Arc::ptr_eq(&from, to) {
            self.begin(name, key, Arc::clone(to), ctx);
        }
        Ok(())
    }

    fn begin(
        &mut self,
        name: TopicPartition,
        key: PartitionKey,
        to: Arc<LogDir>,
        ctx: &mut Context<Self>,
    ) {
        let Some((from, resident)) = self.common.dirs.resident(&name) else {
            return;
        };
        if Arc::ptr_eq(&from, &to) || self.ended.load(Ordering::Acquire) {
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        self.common.dirs.note_move(&name, Arc::clone(&stop));
        let underway = Underway {
            to: Arc::clone(&to),
            stop: Arc::clone(&stop),
        };
        self.moves.insert(name.clone(), underway);
        let ResidentLog { actor, .. } = resident;
        let carried = carry::carry(Move {
            common: Rc::clone(&self.common),
            name: name.clone(),
            key,
            from,
            to,
            log: actor,
            unique: Uuid::from_random((self.common.random)()),
            stop: Arc::clone(&stop),
            ended: Arc::clone(&self.ended),
        });
        ctx.spawn(carried.into_actor(self).map(move |carried, mover, ctx| {
            mover.common.dirs.forget_move(&name, &stop);
            mover.moves.remove(&name);
            mover.end(name, carried, ctx);
        }));
    }

    fn end(&mut self, name: TopicPartition, carried: Carried, ctx: &mut Context<Self>) {
        match carried {
            Carried::Whole => log::info!("{name} lives in another log directory now"),
            Carried::Stopped => log::info!("the move of {name} was stopped"),
            Carried::Failed(why) => {
                log::error!("{name} stays where it is, its move has failed: {why}");
            }
        }
        if let Some((key, to)) = self.next.remove(&name) {
            self.begin(name, key, to, ctx);
        }
        if self.moves.is_empty() {
            for told in self.farewell.drain(..) {
                // Who hung up does not wait any more.
                let _ = told.send(());
            }
        }
    }
}

impl Actor for Mover {
    type Context = Context<Self>;
}

impl Handler<MoveReplicas> for Mover {
    type Result = MessageResult<MoveReplicas>;

    fn handle(
        &mut self,
        MoveReplicas(wishes): MoveReplicas,
        ctx: &mut Context<Self>,
    ) -> Self::Result {
        let begun = wishes.into_iter().map(|wish| self.wish(wish, ctx));
        MessageResult(begun.collect())
    }
}

impl Handler<Resume> for Mover {
    type Result = ();

    fn handle(&mut self, Resume(left): Resume, ctx: &mut Context<Self>) {
        for (LeftCopy { name, dir, path }, key) in left {
            let dirs = Arc::clone(&self.common.dirs);
            let (Some(key), Some(to)) = (key, dirs.at(&dir)) else {
                log::warn!(
                    "{} belongs to no partition here; it is left alone",
                    path.display()
                );
                continue;
            };
            match dirs.resident(&name) {
                Some((from, _)) if !Arc::ptr_eq(&from, to) => {
                    log::info!("the move of {name} to {} begins anew", dir.display());
                    carry::remove_unwatched(to, path);
                    self.begin(name, key, Arc::clone(to), ctx);
                }
                Some(_) => carry::remove_unwatched(to, path),
                // It may be all there is of the partition.
                None => log::warn!(
                    "{} is left alone: the log it is a copy of is not here",
                    path.display()
                ),
            }
        }
    }
}

impl Handler<StopMoves> for Mover {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: StopMoves, _: &mut Context<Self>) -> Self::Result {
        self.ended.store(true, Ordering::Release);
        self.next.clear();
        let (told, ended) = oneshot::channel();
        if self.moves.is_empty() {
            return Box::pin(std::future::ready(()));
        }
        self.farewell.push(told);
        for underway in self.moves.values() {
            underway.stop.store(true, Ordering::Release);
        }
        Box::pin(async move {
            // A mover that is gone moves nothing any more.
            let _ = ended.await;
        })
    }
}
