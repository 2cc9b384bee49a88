//! A large consumer group that rebalances, and other groups that only report meanwhile.
//!
//! The others are classic groups of one member: one whose offsets partition is that of the large
//! group (its neighbour, handled by the same shard) and one far from it, each on its own connection
//! and thread, with one heartbeat a millisecond. First the large group only reports, then members join it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use milena::protocol::messages::{ConsumerGroupHeartbeatResponse, HeartbeatResponse};
use serde_json::{Value, json};

use crate::Failure;
use crate::args::Args;
use crate::classic;
use crate::consumer::{Member, VERSION};
use crate::crew::Crew;
use crate::gate::{self, now_ns};
use crate::stats;
use crate::wire::Connection;

/// Partitions of the offsets topic unless configured otherwise.
const SHARDS: i32 = 50;
const PACE_NS: u64 = 1_000_000;
const GLANCE: Duration = Duration::from_millis(100);
/// Turns in which a group that is not stable is told what to do.
const TURNS_MAX: usize = 2_000;

/// `topic= partitions=10000 members=1000 connections=20 joins=5 quiet_seconds=4 tag=`. Two parts
/// between marks: quiet, and the joins.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let address = args.address()?;
    let group = format!("versus-large-{}", args.word("tag", "0"));
    classic::find_coordinator(&mut Connection::open(address, 1 << 12)?, &group)?;
    let crew = Crew::open(address, args.number("connections", 20)?)?;
    let mut large = Large {
        crew,
        partitions: args.number("partitions", 10_000)?,
        group: group.clone(),
        topic: args.text("topic")?.to_owned(),
        members: Vec::new(),
    };
    let begun = now_ns();
    large.grow(args.number("members", 1000)?)?;
    let formed_ms = (now_ns() - begun) as f64 / 1e6;
    let quiet = Duration::from_secs(args.number("quiet_seconds", 4)?);
    // An assignment is due at once after a pause.
    std::thread::sleep(Duration::from_secs(2));
    gate::mark(args.gated(), "begin")?;
    let since = now_ns();
    let (looked, quiet_waits) = watched(address, &group, || large.quiet(quiet))?;
    let quiet_seconds = (now_ns() - since) as f64 / 1e9;
    gate::mark(args.gated(), "end")?;
    looked?;
    gate::mark(args.gated(), "begin")?;
    let (since, joins) = (now_ns(), args.number("joins", 5)?);
    let (joined, busy_waits) = watched(address, &group, || large.joins(joins))?;
    let join_seconds = (now_ns() - since) as f64 / 1e9;
    gate::mark(args.gated(), "end")?;
    let (mut stable, heartbeats) = joined?;
    gate::result(&json!({
        "members": large.members.len(), "formed_ms": formed_ms, "joins": joins, "heartbeats": heartbeats,
        "quiet_seconds": quiet_seconds, "join_seconds": join_seconds,
        "stable": stats::summary(&mut stable), "quiet": quiet_waits, "rebalancing": busy_waits,
    }))
}

struct Large {
    crew: Crew,
    partitions: usize,
    group: String,
    topic: String,
    members: Vec<Member>,
}

impl Large {
    fn add(&mut self) {
        let id = format!("versus-member-{:08}", self.members.len());
        self.members.push(Member::new(&self.group, id, &self.topic));
    }

    fn grow(&mut self, count: usize) -> Result<(), Failure> {
        (0..count).for_each(|_| self.add());
        self.settle().map(|_| ())
    }

    /// Everybody reports in turns until all partitions are owned at one epoch; the number of heartbeats.
    fn settle(&mut self) -> Result<u64, Failure> {
        let mut heartbeats = 0;
        let mut told = vec![true; self.members.len()];
        for _ in 0..TURNS_MAX {
            told = self.turn(&told)?;
            heartbeats += told.len() as u64;
            let epoch = self.members.first().map(Member::epoch);
            let settled = self.members.iter().all(|it| Some(it.epoch()) == epoch);
            let owned: usize = self.members.iter().map(Member::share).sum();
            if settled && owned == self.partitions && self.members.iter().all(|it| it.share() > 0) {
                return Ok(heartbeats);
            }
        }
        Err("the large group does not become stable".into())
    }

    /// One heartbeat of each; who was told something new, and says so in full the next time.
    fn turn(&mut self, full: &[bool]) -> Result<Vec<bool>, Failure> {
        let (mut requests, count) = (Vec::new(), self.crew.len());
        for (number, member) in self.members.iter().enumerate() {
            let frame = match full[number] || member.epoch() == 0 {
                true => member.frame()?,
                false => member.short_heartbeat()?,
            };
            requests.push((number % count, frame));
        }
        let answers: Vec<ConsumerGroupHeartbeatResponse> = self.crew.wave(VERSION, &requests)?;
        self.members
            .iter_mut()
            .zip(&answers)
            .map(|(member, answer)| member.told(answer))
            .collect()
    }

    /// Only reports for so long.
    fn quiet(&mut self, time: Duration) -> Result<(), Failure> {
        let since = now_ns();
        while now_ns() - since < u64::try_from(time.as_nanos())? {
            self.glance()?;
        }
        Ok(())
    }

    /// A fiftieth of the members reports, so that all do every five seconds.
    fn glance(&mut self) -> Result<(), Failure> {
        let (slot, count) = (
            now_ns() / u64::try_from(GLANCE.as_nanos())? % 50,
            self.crew.len(),
        );
        let chosen = self
            .members
            .iter()
            .enumerate()
            .filter(|(number, _)| *number as u64 % 50 == slot);
        let requests: Result<Vec<_>, Failure> = chosen
            .map(|(number, member)| Ok((number % count, member.short_heartbeat()?)))
            .collect();
        let _: Vec<ConsumerGroupHeartbeatResponse> = self.crew.wave(VERSION, &requests?)?;
        std::thread::sleep(GLANCE);
        Ok(())
    }

    /// Members join, one after the other; how long each time until the group is stable, and all heartbeats.
    fn joins(&mut self, count: u64) -> Result<(Vec<u64>, u64), Failure> {
        let (mut waits, mut heartbeats) = (Vec::new(), 0);
        for _ in 0..count {
            let begun = now_ns();
            self.add();
            heartbeats += self.settle()?;
            waits.push(now_ns() - begun);
            std::thread::sleep(Duration::from_millis(1200));
        }
        Ok((waits, heartbeats))
    }
}

/// Does this while other groups report; what it gave, and what they waited.
fn watched<T>(
    address: SocketAddr,
    group: &str,
    act: impl FnOnce() -> Result<T, Failure>,
) -> Result<(Result<T, Failure>, Value), Failure> {
    let over = Arc::new(AtomicBool::new(false));
    let near = (0..).map(|number| format!("versus-near-{number}"));
    let near = near.filter(|name| shard(name) == shard(group));
    let far = (0..).map(|number| format!("versus-far-{number}"));
    let far = far.filter(|name| shard(name) != shard(group));
    let watch = |mut names: Box<dyn Iterator<Item = String>>| {
        let (name, over) = (names.next().unwrap_or_default(), Arc::clone(&over));
        std::thread::spawn(move || report(address, &name, &over))
    };
    let watchers = [watch(Box::new(near)), watch(Box::new(far))];
    let found = act();
    over.store(true, Ordering::Relaxed);
    let mut told = Vec::new();
    for watcher in watchers {
        told.push(watcher.join().map_err(|_| "a watcher panicked")??);
    }
    Ok((found, json!({"near": told[0], "far": told[1]})))
}

/// One heartbeat a millisecond until it is over, late ones counted from when they were due.
fn report(address: SocketAddr, group: &str, over: &AtomicBool) -> Result<Value, Failure> {
    let mut connection = Connection::open(address, 1 << 12)?;
    let mut member = classic::Member::of(group);
    member.settle(&mut connection)?;
    let (begun, mut waits) = (now_ns(), Vec::new());
    while !over.load(Ordering::Relaxed) {
        let due = begun + waits.len() as u64 * PACE_NS;
        if let Some(early) = due.checked_sub(now_ns()) {
            std::thread::sleep(Duration::from_nanos(early));
        }
        let answer: HeartbeatResponse = connection.ask(classic::HEARTBEAT, &member.heartbeat())?;
        classic::expect("a heartbeat", answer.error_code)?;
        waits.push(now_ns() - due);
    }
    member.leave(&mut connection)?;
    Ok(stats::summary(&mut waits))
}

/// The offsets partition of a group: Java's hash of its name.
fn shard(group: &str) -> i32 {
    let hash = group.bytes().fold(0i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(i32::from(byte))
    });
    (hash & i32::MAX) % SHARDS
}
