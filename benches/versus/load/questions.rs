//! Questions about everything there is, and how long a small question waits meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use milena::message;
use milena::protocol::messages::{
    Answer, ApiVersionsRequest, ApiVersionsResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, MetadataRequest, MetadataResponse, Request,
};
use milena::protocol::{decode_response, encode_request};
use serde_json::{Value, json};

use crate::Failure;
use crate::args::Args;
use crate::gate::{self, now_ns};
use crate::stats;
use crate::wire::Connection;

/// Versions that both brokers know.
const METADATA: i16 = 9;
const LOG_DIRS: i16 = 4;
/// Between two small questions.
const PAUSE: Duration = Duration::from_micros(500);

/// `rounds=5`: Metadata of all topics and DescribeLogDirs of all partitions, so often each.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (address, rounds) = (args.address()?, args.number("rounds", 5)?);
    let metadata = message!(MetadataRequest {
        topics: None,
        allow_auto_topic_creation: false,
    });
    let metadata = asked(address, rounds, METADATA, &metadata, led)?;
    let dirs = message!(DescribeLogDirsRequest { topics: None });
    let dirs = asked(address, rounds, LOG_DIRS, &dirs, described)?;
    gate::result(&json!({"metadata": metadata, "log_dirs": dirs}))
}

fn led(answer: &MetadataResponse) -> usize {
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let led = partitions.filter(|partition| partition.error_code == 0 && partition.leader_id >= 0);
    led.count()
}

fn described(answer: &DescribeLogDirsResponse) -> usize {
    let topics = answer.results.iter().flat_map(|dir| &dir.topics);
    topics.map(|topic| topic.partitions.len()).sum()
}

/// Asks the same again and again; somebody else asks for next to nothing all the while.
fn asked<R: Request, A: Answer>(
    address: SocketAddr,
    rounds: usize,
    version: i16,
    request: &R,
    count: fn(&A) -> usize,
) -> Result<Value, Failure> {
    let frame = encode_request(1, version, Some("versus"), request)?;
    let mut connection = Connection::open(address, 1 << 20)?;
    let over = Arc::new(AtomicBool::new(false));
    let beside = Arc::clone(&over);
    let beside = std::thread::spawn(move || small_questions(address, &beside));
    let (mut waits, mut last) = (Vec::new(), Bytes::new());
    for _ in 0..rounds.max(1) {
        let since = now_ns();
        connection.send(&frame)?;
        let answer = connection.receive()?;
        waits.push(now_ns() - since);
        last = Bytes::copy_from_slice(answer);
    }
    over.store(true, Ordering::Relaxed);
    let mut small = beside.join().map_err(|_| "the other client panicked")??;
    let bytes = last.len();
    let partitions = count(&decode_response::<A>(last, version)?.1);
    Ok(json!({
        "partitions": partitions, "bytes": bytes, "answered": stats::summary(&mut waits),
        "small": stats::summary(&mut small),
    }))
}

fn small_questions(address: SocketAddr, over: &AtomicBool) -> Result<Vec<u64>, Failure> {
    let mut connection = Connection::open(address, 1 << 16)?;
    let mut waits = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let since = now_ns();
        let _: ApiVersionsResponse = connection.ask(0, &message!(ApiVersionsRequest {}))?;
        waits.push(now_ns() - since);
        std::thread::sleep(PAUSE);
    }
    Ok(waits)
}
