//! Small groups that a third member joins, again and again: how long until it has its share.
//!
//! The two others do not wait for their intervals: they report without pause until they hear of it,
//! so that it is the coordinator that is measured.

use std::net::SocketAddr;

use milena::protocol::messages::{
    ConsumerGroupHeartbeatResponse, HeartbeatResponse, JoinGroupResponse, SyncGroupResponse,
};
use serde_json::{Value, json};

use crate::Failure;
use crate::args::Args;
use crate::classic;
use crate::consumer;
use crate::gate::{self, now_ns};
use crate::stats;
use crate::wire::{Connection, PATIENCE};

const BUFFER_BYTES: usize = 1 << 12;

/// `topic= partitions=12 rounds=200 tag=`; the topic is for the
/// consumer protocol, its partitions a multiple of six.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (address, rounds) = (args.address()?, args.number("rounds", 200)?);
    let tag = args.word("tag", "0");
    classic::find_coordinator(&mut Connection::open(address, BUFFER_BYTES)?, "versus")?;
    let classic = Classic::new(address, &format!("versus-classic-{tag}"))?.rounds(rounds)?;
    let (topic, partitions) = (args.text("topic")?, args.number("partitions", 12)?);
    let group = format!("versus-consumer-{tag}");
    let consumer = Consumer::new(address, &group, topic, partitions)?.rounds(rounds)?;
    gate::result(&json!({"classic": classic, "consumer": consumer}))
}

fn connections(address: SocketAddr) -> Result<Vec<Connection>, Failure> {
    (0..3)
        .map(|_| Connection::open(address, BUFFER_BYTES))
        .collect()
}

/// Fails when a round has lasted too long.
fn patient(since: u64) -> Result<(), Failure> {
    match now_ns() - since > u64::try_from(PATIENCE.as_nanos())? {
        true => Err("the group does not become stable".into()),
        false => Ok(()),
    }
}

/// Two members and one that comes and goes, each with its connection.
struct Classic {
    connections: Vec<Connection>,
    members: Vec<classic::Member>,
}

impl Classic {
    fn new(address: SocketAddr, group: &str) -> Result<Classic, Failure> {
        let mut this = Classic {
            connections: connections(address)?,
            members: vec![classic::Member::of(group); 3],
        };
        this.members[0].settle(&mut this.connections[0])?;
        this.enter(1)?;
        Ok(this)
    }

    fn rounds(mut self, rounds: usize) -> Result<Value, Failure> {
        let mut waits = Vec::new();
        for _ in 0..rounds {
            let begun = now_ns();
            self.enter(2)?;
            waits.push(now_ns() - begun);
            self.members[2].leave(&mut self.connections[2])?;
            self.together(2)?;
        }
        Ok(stats::summary(&mut waits))
    }

    /// From the first JoinGroup, which only gives an id, to the assignment of this member, behind those before it.
    fn enter(&mut self, newest: usize) -> Result<(), Failure> {
        let group = self.members[0].group.to_string();
        self.members[newest] = classic::Member::of(&group);
        let request = self.members[newest].join();
        let answer: JoinGroupResponse = self.connections[newest].ask(classic::JOIN, &request)?;
        self.members[newest].named(&answer)?;
        let request = classic::frame(classic::JOIN, &self.members[newest].join())?;
        self.connections[newest].send(&request)?;
        let begun = now_ns();
        while self.reports()? != classic::REBALANCE_IN_PROGRESS {
            patient(begun)?;
        }
        self.rejoin(newest, newest + 1)
    }

    /// The first member's heartbeat.
    fn reports(&mut self) -> Result<i16, Failure> {
        let request = self.members[0].heartbeat();
        let answer: HeartbeatResponse = self.connections[0].ask(classic::HEARTBEAT, &request)?;
        match answer.error_code {
            0 | classic::REBALANCE_IN_PROGRESS => Ok(answer.error_code),
            code => classic::expect("a heartbeat", code).map(|()| 0),
        }
    }

    /// Somebody left: the others join anew.
    fn together(&mut self, count: usize) -> Result<(), Failure> {
        let begun = now_ns();
        while self.reports()? != classic::REBALANCE_IN_PROGRESS {
            patient(begun)?;
        }
        self.rejoin(count, count)
    }

    /// The first `old` members join, then all of `count` take their answers and synchronize; the last one first hears.
    fn rejoin(&mut self, old: usize, count: usize) -> Result<(), Failure> {
        for (member, connection) in self.members.iter().zip(&mut self.connections).take(old) {
            connection.send(&classic::frame(classic::JOIN, &member.join())?)?;
        }
        for (member, connection) in self
            .members
            .iter_mut()
            .zip(&mut self.connections)
            .take(count)
        {
            let answer: JoinGroupResponse = connection.hear(classic::JOIN)?;
            member.joined(&answer)?;
        }
        // Its own first, so that the leader's does not count for what the others do.
        for (member, connection) in self
            .members
            .iter()
            .zip(&mut self.connections)
            .take(count)
            .rev()
        {
            connection.send(&classic::frame(classic::SYNC, &member.sync())?)?;
        }
        if !self.members.iter().take(count).any(classic::Member::leads) {
            return Err("the group has no leader".into());
        }
        for connection in self.connections.iter_mut().take(count).rev() {
            let answer: SyncGroupResponse = connection.hear(classic::SYNC)?;
            classic::expect("SyncGroup", answer.error_code)?;
        }
        Ok(())
    }
}

struct Consumer {
    connections: Vec<Connection>,
    members: Vec<consumer::Member>,
    partitions: usize,
}

impl Consumer {
    fn new(
        address: SocketAddr,
        group: &str,
        topic: &str,
        partitions: usize,
    ) -> Result<Consumer, Failure> {
        let member =
            |number| consumer::Member::new(group, format!("versus-member-{number:08}"), topic);
        let mut this = Consumer {
            connections: connections(address)?,
            members: (0..3).map(member).collect(),
            partitions,
        };
        this.settle(2)?;
        Ok(this)
    }

    fn rounds(mut self, rounds: usize) -> Result<Value, Failure> {
        let (mut waits, mut heartbeats) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let begun = now_ns();
            heartbeats.push(self.settle(3)?);
            waits.push(now_ns() - begun);
            let request = self.members[2].leaving();
            let _: ConsumerGroupHeartbeatResponse =
                self.connections[2].ask(consumer::VERSION, &request)?;
            self.settle(2)?;
        }
        let (p50, p99) = (
            stats::percentile(&mut heartbeats, 0.5),
            stats::percentile(&mut heartbeats, 0.99),
        );
        let mut told = stats::summary(&mut waits);
        told["heartbeats_p50"] = json!(p50);
        told["heartbeats_p99"] = json!(p99);
        Ok(told)
    }

    /// The newest first, each of the first `count` reports in turn until all have their share; how often the newest
    /// did until it had its own.
    fn settle(&mut self, count: usize) -> Result<u64, Failure> {
        let (begun, mut turns, mut newest) = (now_ns(), 0, 0);
        loop {
            turns += 1;
            for (member, connection) in self
                .members
                .iter_mut()
                .zip(&mut self.connections)
                .take(count)
                .rev()
            {
                let answer: ConsumerGroupHeartbeatResponse =
                    connection.ask(consumer::VERSION, &member.heartbeat())?;
                member.told(&answer)?;
            }
            let share = |member: &consumer::Member| member.share() == self.partitions / count;
            if newest == 0 && share(&self.members[count - 1]) {
                newest = turns;
            }
            if self.members.iter().take(count).all(share) {
                return Ok(newest);
            }
            patient(begun)?;
        }
    }
}
