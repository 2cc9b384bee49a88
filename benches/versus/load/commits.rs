//! OffsetCommit and OffsetFetch, pipelined; and how long a coordinator that was started again is not there.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use milena::message;
use milena::protocol::decode_response;
use milena::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use milena::protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopics,
};
use milena::protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::classic::{self, Member};
use crate::crew::{Check, Stream};
use crate::gate::{self, now_ns};
use crate::stats;
use crate::wire::Connection;

/// Names are the last version's before topic ids.
const COMMIT: i16 = 9;
const FETCH: i16 = 8;
const OFFSET: i64 = 1234;
const LOADING: [i16; 3] = [14, 15, 16];

/// What is committed for a group with one request.
struct Shape {
    topic: String,
    partitions: i32,
}

impl Shape {
    fn of(args: &Args) -> Result<Shape, Failure> {
        Ok(Shape {
            topic: args.text("topic")?.to_owned(),
            partitions: args.number("partitions", 1)?,
        })
    }

    fn commit(&self, member: &Member) -> Result<Bytes, Failure> {
        let partitions = (0..self.partitions).map(|partition| {
            message!(OffsetCommitRequestPartition {
                partition_index: partition,
                committed_offset: OFFSET,
                committed_leader_epoch: 0,
                committed_metadata: Some("".into()),
            })
        });
        let request = message!(OffsetCommitRequest {
            group_id: member.group.clone(),
            generation_id_or_member_epoch: if member.id.is_empty() {
                -1
            } else {
                member.generation
            },
            member_id: member.id.clone(),
            topics: vec![message!(OffsetCommitRequestTopic {
                name: self.topic.as_str().into(),
                partitions: partitions.collect(),
            })],
        });
        classic::frame(COMMIT, &request)
    }

    fn asked(&self, group: &str) -> OffsetFetchRequestGroup {
        message!(OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: Some(vec![message!(OffsetFetchRequestTopics {
                name: self.topic.as_str().into(),
                partition_indexes: (0..self.partitions).collect(),
            })]),
        })
    }

    fn fetch(&self, group: &str) -> Result<Bytes, Failure> {
        let request = message!(OffsetFetchRequest {
            groups: vec![self.asked(group)]
        });
        classic::frame(FETCH, &request)
    }
}

fn committed(answer: Bytes) -> Result<(), Failure> {
    let (_, answer): (_, OffsetCommitResponse) = decode_response(answer, COMMIT)?;
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.try_for_each(|one| classic::expect("OffsetCommit", one.error_code))
}

fn fetched(answer: Bytes) -> Result<(), Failure> {
    let (_, answer): (_, OffsetFetchResponse) = decode_response(answer, FETCH)?;
    answer
        .groups
        .iter()
        .try_for_each(|group| classic::expect("OffsetFetch", group.error_code))?;
    let mut partitions = answer
        .groups
        .iter()
        .flat_map(|group| &group.topics)
        .flat_map(|it| &it.partitions);
    match partitions.find(|one| one.error_code != 0 || one.committed_offset != OFFSET) {
        Some(wrong) => Err(format!("this was not committed: {wrong:?}").into()),
        None => Ok(()),
    }
}

/// `topic= kind=simple|member groups=64 partitions=1 connections=4 window=64 commits= fetches= tag=`, a
/// commit being one partition's offset, and the tag part of the groups' names. Two parts between marks: commits, fetches.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (shape, address) = (Shape::of(args)?, args.address()?);
    let connections = args.number("connections", 4usize)?.max(1);
    let window = args.number("window", 64)?;
    let members = gather(args, address)?;
    let lanes = |make: &dyn Fn(&Member) -> Result<Bytes, Failure>| {
        let mut lanes = vec![Vec::new(); connections.min(members.len())];
        for (number, member) in members.iter().enumerate() {
            lanes[number % connections].push(make(member)?);
        }
        Ok::<_, Failure>(lanes)
    };
    let commits = lanes(&|member| shape.commit(member))?;
    let commits = Stream::open(address, commits, window)?;
    let asked = requests(args, "commits", &shape)?;
    let commits = measured(args, commits, asked, members.len(), &committed)?;
    let fetches = lanes(&|member| shape.fetch(&member.group))?;
    let fetches = Stream::open(address, fetches, window)?;
    let asked = requests(args, "fetches", &shape)?;
    let fetches = match asked {
        0 => serde_json::Value::Null,
        _ => measured(args, fetches, asked, members.len(), &fetched)?,
    };
    gate::result(&json!({"partitions": shape.partitions, "commit": commits, "fetch": fetches}))
}

fn requests(args: &Args, name: &str, shape: &Shape) -> Result<usize, Failure> {
    let offsets = args.number(name, 0usize)?;
    Ok(offsets / usize::try_from(shape.partitions.max(1))?)
}

/// The committers: of `kind=member`, each the only member of its group.
fn gather(args: &Args, address: SocketAddr) -> Result<Vec<Member>, Failure> {
    let (kind, tag) = (args.word("kind", "simple"), args.word("tag", "0"));
    let mut connection = Connection::open(address, 1 << 12)?;
    classic::find_coordinator(&mut connection, "versus")?;
    let mut members = Vec::new();
    for number in 0..args.number("groups", 64)? {
        let mut member = Member::of(&format!("versus-{kind}-{tag}-{number}"));
        if kind == "member" {
            member.settle(&mut connection)?;
        }
        members.push(member);
    }
    Ok(members)
}

/// One turn of everybody, when that is fewer, goes ahead of what is measured.
fn measured(
    args: &Args,
    mut stream: Stream,
    asked: usize,
    turn: usize,
    check: &Check,
) -> Result<serde_json::Value, Failure> {
    if args.word("warm", "yes") == "yes" {
        stream.drive(turn.min(asked), check)?;
    }
    gate::mark(args.gated(), "begin")?;
    let begun = now_ns();
    let mut waits = stream.drive(asked, check)?;
    let seconds = (now_ns() - begun) as f64 / 1e9;
    gate::mark(args.gated(), "end")?;
    Ok(json!({"requests": asked, "seconds": seconds, "answered": stats::summary(&mut waits)}))
}

/// Asks groups of the simple committers until all have their offsets: `topic= groups= partitions=`.
///
/// Of every seventh group, so that all partitions of the offsets topic are among them.
pub(crate) fn wait(args: &Args) -> Result<(), Failure> {
    let shape = Shape::of(args)?;
    let groups = args.number("groups", 64usize)?;
    let asked: Vec<_> = (0..groups)
        .step_by(7)
        .take(350)
        .map(|number| shape.asked(&format!("versus-simple-0-{number}")))
        .collect();
    let request = message!(OffsetFetchRequest { groups: asked });
    let mut connection = Connection::open(args.address()?, 1 << 16)?;
    let (begun, mut first) = (now_ns(), None);
    let mut refused = 0;
    loop {
        let answer: OffsetFetchResponse = connection.ask(FETCH, &request)?;
        let codes: Vec<i16> = answer.groups.iter().map(|group| group.error_code).collect();
        if codes.contains(&0) {
            first.get_or_insert_with(now_ns);
        }
        if codes.iter().all(|code| *code == 0) {
            let all = now_ns();
            let offsets = answer
                .groups
                .iter()
                .flat_map(|it| &it.topics)
                .flat_map(|it| &it.partitions);
            let wrong = offsets.filter(|one| one.committed_offset != OFFSET).count();
            if wrong > 0 {
                return Err(format!("{wrong} offsets are lost").into());
            }
            let since = |at: u64| (at - begun) as f64 / 1e6;
            return gate::result(&json!({
                "first_ms": since(first.unwrap_or(all)), "all_ms": since(all),
                "groups": codes.len(), "refused": refused,
            }));
        }
        if let Some(code) = codes
            .iter()
            .find(|code| **code != 0 && !LOADING.contains(code))
        {
            return classic::expect("OffsetFetch", *code);
        }
        if now_ns() - begun > 120_000_000_000 {
            return Err("offsets are not there after two minutes".into());
        }
        refused += 1;
        std::thread::sleep(Duration::from_millis(2));
    }
}
