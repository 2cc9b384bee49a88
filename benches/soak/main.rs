//! A soak: produce, tail and catch-up reads, retention and compaction at once, on a small disk budget.
//!
//! `cargo bench --bench soak -- [seconds=60] [rate=200] [keys=5000] [retained_mb=64]`, against the
//! real binary (or `MILENA_BIN`) with data in a directory of its own. First the tail is read with nothing else going
//! on, then with a cold reader, a table that is written and compacted, and retention. It ends by itself, prints what
//! it measured, and with an error when something was lost or wrong, when memory grew, or when the disk
//! holds more than it may.

mod server;
mod stream;
mod table;

#[path = "../versus/load/args.rs"]
#[allow(dead_code, reason = "the load program uses all of it")]
mod args;
#[path = "../versus/load/batch.rs"]
#[allow(dead_code, reason = "the load program uses all of it")]
mod batch;
#[path = "../versus/load/fetch.rs"]
#[allow(dead_code, reason = "the load program uses all of it")]
mod fetch;
#[path = "../versus/load/gate.rs"]
#[allow(dead_code, reason = "the load program uses all of it")]
mod gate;
#[path = "../versus/load/stats.rs"]
#[allow(dead_code, reason = "the load program uses all of it")]
mod stats;
#[path = "../versus/load/wire.rs"]
#[allow(dead_code, reason = "the load program uses all of it")]
mod wire;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use args::Args;
use milena::message;
use milena::protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, ListOffsetsRequest, ListOffsetsResponse, StrBytes,
    create_topics_request, list_offsets_request,
};
use server::Server;
use wire::Connection;

/// Anything that ends the program is told as one sentence.
type Failure = Box<dyn Error + Send + Sync>;

/// How many streams there are, each a partition with a producer and a tail reader.
const STREAMS: usize = 2;
/// How often memory is looked at.
const GLANCE: Duration = Duration::from_millis(500);
const MEGABYTE: u64 = 1 << 20;

/// What all threads share.
struct Shared {
    address: SocketAddr,
    /// 0 while it is quiet, 1 while everything goes on.
    phase: AtomicUsize,
    /// Writers end.
    stopped: AtomicBool,
    /// Where the server's files are.
    directory: PathBuf,
    rate: f64,
    keys: u64,
}

impl Shared {
    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn phase(&self) -> usize {
        self.phase.load(Ordering::Relaxed)
    }
}

fn main() -> Result<(), Failure> {
    let words = std::env::args().skip(1).filter(|word| word != "--bench");
    let args = Args::parse(words)?;
    let seconds: u64 = args.number("seconds", 60)?;
    let retained: u64 = args.number("retained_mb", 64)?;
    let directory = tempfile::tempdir()?;
    let server = Server::start(directory.path())?;
    let shared = Arc::new(Shared {
        address: server.address,
        phase: AtomicUsize::new(0),
        stopped: AtomicBool::new(false),
        directory: directory.path().join("data"),
        rate: args.number("rate", 200.0)?,
        keys: args.number("keys", 5_000)?,
    });
    make_topics(server.address, retained)?;
    let verdict = soak(&shared, &server, seconds);
    let log = server.stop()?;
    for line in log.lines().filter(|line| is_worth_telling(line)) {
        println!("server: {line}");
    }
    let mut faults = verdict?;
    if log.contains("panicked") {
        faults.push("something in the server panicked".to_owned());
    }
    let bytes = server::bytes_in(directory.path())?;
    let budget = (STREAMS as u64 * (retained + 16) + 64) * MEGABYTE;
    println!("disk: {} MB of {} MB", bytes / MEGABYTE, budget / MEGABYTE);
    if bytes > budget {
        faults.push(format!("{bytes} bytes are on the disk"));
    }
    if !faults.is_empty() {
        return Err(faults.join("; ").into());
    }
    println!("all is well");
    Ok(())
}

fn is_worth_telling(line: &str) -> bool {
    line.contains(" ERROR ") || line.contains(" WARN ") || line.contains("panicked")
}

/// Runs it all; what was wrong.
fn soak(shared: &Arc<Shared>, server: &Server, seconds: u64) -> Result<Vec<String>, Failure> {
    let streams: Vec<_> = (0..STREAMS)
        .map(|number| stream::Stream::start(Arc::clone(shared), number))
        .collect();
    let mut memory = Vec::new();
    watch(server, seconds / 4, &mut memory)?;
    shared.phase.store(1, Ordering::Relaxed);
    memory.clear();
    let cold = spawn(shared, stream::read_cold);
    let table = spawn(shared, table::write_and_read);
    watch(server, seconds - seconds / 4, &mut memory)?;
    shared.stopped.store(true, Ordering::Relaxed);
    let mut faults = Vec::new();
    let mut waits = [Vec::new(), Vec::new()];
    let mut ends = Vec::new();
    for stream in streams {
        ends.push(stream.end(shared, &mut waits)?);
    }
    println!("cold reader: {}", join(cold)?);
    println!("table: {}", join(table)?);
    stream::check_ends(shared, &ends)?;
    let [mut quiet, mut loud] = waits;
    let p99 = |samples: &mut [u64]| stats::percentile(samples, 0.99).max(1);
    let ratio = p99(&mut loud) as f64 / p99(&mut quiet) as f64;
    println!("tail readers, quiet: {}", stats::summary(&mut quiet));
    println!(
        "tail readers, beside everything: {}",
        stats::summary(&mut loud)
    );
    println!("p99 beside everything: {ratio:.1} times the quiet one");
    faults.extend(judge_memory(&memory));
    Ok(faults)
}

fn watch(server: &Server, seconds: u64, memory: &mut Vec<u64>) -> Result<(), Failure> {
    for _ in 0..seconds * 1000 / GLANCE.as_millis() as u64 {
        std::thread::sleep(GLANCE);
        memory.push(server.memory()?);
    }
    Ok(())
}

/// The last quarter must not need more than the second, but for noise.
fn judge_memory(samples: &[u64]) -> Option<String> {
    let quarter = samples.len() / 4;
    let median = |samples: &[u64]| {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or(0)
    };
    let early = median(&samples[quarter..2 * quarter]);
    let late = median(&samples[samples.len() - quarter..]);
    let most = samples.iter().max().copied().unwrap_or(0);
    println!(
        "memory: {} MB early, {} MB late, {} MB at most",
        early / MEGABYTE,
        late / MEGABYTE,
        most / MEGABYTE
    );
    let bound = early + early / 5 + 8 * MEGABYTE;
    (late > bound).then(|| format!("memory grew from {early} to {late} bytes"))
}

fn spawn<T: Send + 'static>(
    shared: &Arc<Shared>,
    work: fn(&Shared) -> Result<T, Failure>,
) -> JoinHandle<Result<T, Failure>> {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || work(&shared))
}

fn join<T>(thread: JoinHandle<Result<T, Failure>>) -> Result<T, Failure> {
    thread.join().map_err(|_| "a thread panicked")?
}

fn make_topics(address: SocketAddr, retained: u64) -> Result<(), Failure> {
    let retained = (retained * MEGABYTE).to_string();
    let stream = [
        ("retention.bytes", retained.as_str()),
        ("segment.bytes", "8388608"),
    ];
    let table = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0.3"),
        ("delete.retention.ms", "20000"),
    ];
    let topic = |name: String, configs: &[(&str, &str)]| {
        let configs = configs.iter().map(|(key, value)| {
            message!(create_topics_request::CreatableTopicConfig {
                name: StrBytes::from(*key),
                value: Some(StrBytes::from(*value)),
            })
        });
        message!(create_topics_request::CreatableTopic {
            name: StrBytes::from(name),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.collect(),
        })
    };
    let mut topics: Vec<_> = (0..STREAMS)
        .map(|number| topic(stream::name(number), &stream))
        .collect();
    topics.push(topic(table::TOPIC.to_owned(), &table));
    let request = message!(CreateTopicsRequest {
        topics: topics,
        timeout_ms: 30_000,
    });
    let mut connection = Connection::open(address, 1 << 16)?;
    let answer: CreateTopicsResponse = connection.ask(7, &request)?;
    match answer.topics.iter().find(|topic| topic.error_code != 0) {
        Some(refused) => Err(format!("{refused:?}").into()),
        None => Ok(()),
    }
}

/// Where partition 0 of a topic begins (-2) or ends (-1).
fn offset_at(connection: &mut Connection, topic: &str, timestamp: i64) -> Result<i64, Failure> {
    let partition = message!(list_offsets_request::ListOffsetsPartition {
        partition_index: 0,
        current_leader_epoch: -1,
        timestamp: timestamp,
    });
    let request = message!(ListOffsetsRequest {
        replica_id: -1,
        topics: vec![message!(list_offsets_request::ListOffsetsTopic {
            name: StrBytes::from(topic),
            partitions: vec![partition],
        })],
    });
    let answer: ListOffsetsResponse = connection.ask(7, &request)?;
    let found = answer
        .topics
        .first()
        .and_then(|topic| topic.partitions.first());
    let found = found.ok_or("an answer about nothing")?;
    match found.error_code {
        0 => Ok(found.offset),
        error => Err(format!("ListOffsets was refused with error {error}").into()),
    }
}
