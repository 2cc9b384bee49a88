//! Many classic groups of three members that do nothing but report.
//!
//! The members of a group are on three connections, one in each of three sets, so that a JoinGroup
//! that waits for the others holds back nobody who has to come first. Groups become stable in waves:
//! the first members alone; ids for the others, whose groups wait for them from then on; everybody
//! again; the assignments.

use std::time::Duration;

use bytes::Bytes;
use milena::protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::classic::{self, Member};
use crate::crew::Crew;
use crate::gate::{self, now_ns};
use crate::stats;
use crate::wire::Connection;

const MEMBERS: usize = 3;
/// Groups that become stable together, well within their sessions.
const AT_ONCE: usize = 900;
const GLANCE: Duration = Duration::from_millis(1);

/// `groups=10000 per_connection=30 interval_ms=3000 seconds=20`.
///
/// Four parts between marks: connections, groups, heartbeats each alone, heartbeats of a connection together.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (groups, each) = (
        args.number("groups", 10_000usize)?,
        args.number("per_connection", 30usize)?,
    );
    let address = args.address()?;
    raise_open_files();
    classic::find_coordinator(&mut Connection::open(address, 1 << 12)?, "versus")?;
    let set = groups.div_ceil(each.max(1));
    gate::mark(args.gated(), "begin")?;
    let crew = Crew::open(address, MEMBERS * set)?;
    gate::mark(args.gated(), "end")?;
    let mut crowd = Crowd {
        crew,
        each,
        set,
        members: Vec::new(),
    };
    gate::mark(args.gated(), "begin")?;
    let begun = now_ns();
    for first in (0..groups).step_by(AT_ONCE) {
        crowd.settle(first, groups.min(first + AT_ONCE))?;
    }
    let joined_ms = (now_ns() - begun) as f64 / 1e6;
    gate::mark(args.gated(), "end")?;
    let mut parts = Vec::new();
    for together in [1, each] {
        let beats = Beats {
            together,
            interval_ns: args.number("interval_ms", 3000u64)? * 1_000_000,
            seconds: args.number("seconds", 20)?,
        };
        parts.push(crowd.report(&beats, args.gated())?);
    }
    gate::result(&json!({
        "groups": groups, "connections": MEMBERS * set, "join_ms": joined_ms,
        "alone": parts[0], "together": parts[1],
    }))
}

fn raise_open_files() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // When it may not be raised, opening says so.
    let _ = setrlimit(Resource::Nofile, raised);
}

struct Beats {
    /// Heartbeats of a connection that are sent with one call.
    together: usize,
    interval_ns: u64,
    seconds: u64,
}

struct Crowd {
    crew: Crew,
    /// Members of a connection.
    each: usize,
    /// Connections of a set.
    set: usize,
    /// Three for each group.
    members: Vec<Member>,
}

impl Crowd {
    /// The connection of a member: a set for the first members, one for the second, one for the third.
    fn place(&self, member: usize) -> usize {
        member % MEMBERS * self.set + member / MEMBERS / self.each
    }

    /// Takes the groups of these numbers from unknown to stable.
    fn settle(&mut self, first: usize, last: usize) -> Result<(), Failure> {
        for group in first..last {
            let member = Member::of(&format!("versus-idle-{group}"));
            self.members.extend(vec![member; MEMBERS]);
        }
        let all: Vec<usize> = (MEMBERS * first..MEMBERS * last).collect();
        let (firsts, others): (Vec<_>, Vec<_>) =
            all.iter().partition(|member| *member % MEMBERS == 0);
        self.name(&firsts)?;
        self.join(&firsts)?;
        self.sync(&firsts)?;
        self.name(&others)?;
        self.join(&all)?;
        self.sync(&all)
    }

    fn name(&mut self, chosen: &[usize]) -> Result<(), Failure> {
        for (member, answer) in chosen.iter().zip(self.joins(chosen)?) {
            self.members[*member].named(&answer)?;
        }
        Ok(())
    }

    fn join(&mut self, chosen: &[usize]) -> Result<(), Failure> {
        for (member, answer) in chosen.iter().zip(self.joins(chosen)?) {
            self.members[*member].joined(&answer)?;
        }
        Ok(())
    }

    fn joins(&mut self, chosen: &[usize]) -> Result<Vec<JoinGroupResponse>, Failure> {
        let requests = self.each(chosen, |member| {
            classic::frame(classic::JOIN, &member.join())
        })?;
        self.crew.wave(classic::JOIN, &requests)
    }

    fn sync(&mut self, chosen: &[usize]) -> Result<(), Failure> {
        let requests = self.each(chosen, |member| {
            classic::frame(classic::SYNC, &member.sync())
        })?;
        let answers: Vec<SyncGroupResponse> = self.crew.wave(classic::SYNC, &requests)?;
        answers
            .iter()
            .try_for_each(|answer| classic::expect("SyncGroup", answer.error_code))
    }

    fn each(
        &self,
        chosen: &[usize],
        make: impl Fn(&Member) -> Result<Bytes, Failure>,
    ) -> Result<Vec<(usize, Bytes)>, Failure> {
        let frames = chosen
            .iter()
            .map(|member| Ok((self.place(*member), make(&self.members[*member])?)));
        frames.collect()
    }

    /// Everybody reports once per interval, evenly spread.
    fn report(&mut self, beats: &Beats, gated: bool) -> Result<serde_json::Value, Failure> {
        let calls = self.calls(beats.together)?;
        let count = calls.len() as u64;
        gate::mark(gated, "begin")?;
        let (begun, mut sent, mut number, mut answered) = (now_ns(), 0u64, 0u64, 0u64);
        let mut since = vec![0; self.crew.len()];
        let mut waits = Vec::new();
        loop {
            let elapsed = now_ns() - begun;
            let over = elapsed > beats.seconds * 1_000_000_000;
            while !over && number * beats.interval_ns / count <= elapsed {
                let (place, heartbeats, bytes) = &calls[(number % count) as usize];
                since[*place] = now_ns();
                self.crew.send(*place, bytes)?;
                sent += *heartbeats;
                number += 1;
            }
            if over && answered == sent {
                break;
            }
            if elapsed > 3 * beats.seconds * 1_000_000_000 + 60_000_000_000 {
                return Err(format!("{} heartbeats were not answered", sent - answered).into());
            }
            self.crew.answers(GLANCE, |place, answer| {
                // Correlation id, tags, throttle time, error.
                let code = answer
                    .get(9..11)
                    .map(|code| i16::from_be_bytes([code[0], code[1]]));
                classic::expect("a heartbeat", code.unwrap_or(-1))?;
                answered += 1;
                waits.push(now_ns() - since[place]);
                Ok(())
            })?;
        }
        let seconds = (now_ns() - begun) as f64 / 1e9;
        gate::mark(gated, "end")?;
        Ok(
            json!({"heartbeats": answered, "seconds": seconds, "answered": stats::summary(&mut waits)}),
        )
    }

    /// What is sent with one call: connection, heartbeats, bytes; of all connections the first, then the second, …
    fn calls(&self, together: usize) -> Result<Vec<(usize, u64, Vec<u8>)>, Failure> {
        let mut of_connection = vec![Vec::new(); self.crew.len()];
        for (number, member) in self.members.iter().enumerate() {
            of_connection[self.place(number)]
                .push(classic::frame(classic::HEARTBEAT, &member.heartbeat())?);
        }
        let mut calls = Vec::new();
        for turn in 0..self.each.div_ceil(together.max(1)) {
            for (place, frames) in of_connection.iter().enumerate() {
                if let Some(frames) = frames.chunks(together.max(1)).nth(turn) {
                    calls.push((place, frames.len() as u64, frames.concat()));
                }
            }
        }
        Ok(calls)
    }
}
