//! kill -9 on the real binary, again and again, under the load of clients that want acks=all: nothing
//! acknowledged is lost, because the page cache survives, and nothing an idempotent producer sends
//! again is there twice. What all clients did and saw is judged by `history`.
//!
//! `MILENA_KILLS` says how often it is killed; without it a few times.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::Signal;
use tempfile::tempdir;

use crate::binary::{Client, Server, array, text, until};
use crate::history::{
    Deed, Key, Offsets, Operation, Outcome, Part, Process, Value, broken_promises,
};
use crate::kill_client::{Answer, Connection};

pub(crate) const PARTITIONS: Key = 3;
/// How often every `cargo test` kills it.
const KILLS: u64 = 4;
/// Between two requests of a producer: the load is bounded, whatever the machine can do.
const BREATH: Duration = Duration::from_millis(2);
const METADATA: i16 = 3;

/// What all clients share.
struct Load {
    address: Mutex<SocketAddr>,
    ends: AtomicBool,
    history: Mutex<Vec<Operation>>,
    values: AtomicU64,
    processes: AtomicU32,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::SeqCst)
    }

    fn new_process(&self) -> Process {
        self.processes.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, process: Process, outcome: Outcome, deed: Deed) {
        self.history
            .lock()
            .expect("no client panics with it")
            .push(Operation {
                process,
                outcome,
                deed,
            });
    }

    /// A connection to the broker of the moment; none when the load ends before there is one.
    fn connect(&self) -> Option<Connection> {
        while self.goes_on() {
            let address = *self.address.lock().expect("no client panics with it");
            if let Ok(connection) = Connection::open(address) {
                return Some(connection);
            }
            thread::sleep(BREATH);
        }
        None
    }
}

/// What becomes of a batch, for the history.
fn sent(key: Key, values: &[Value], base: Option<i64>) -> Deed {
    let offsets = (0..).map(|at| base.map(|base| base + at));
    let parts = values.iter().zip(offsets);
    let parts = parts.map(|(value, offset)| Part::Send {
        key,
        value: *value,
        offset,
    });
    Deed::Parts(parts.collect(), Vec::new())
}

/// Sends to all partitions in turn. An idempotent producer sends a batch again until it is answered,
/// another one does not know what became of it.
fn produce(load: &Load, idempotent: bool) {
    let process = load.new_process();
    let mut producer: Option<i64> = None;
    let mut sequences = [0; PARTITIONS as usize];
    let mut connection = load.connect();
    for turn in 0.. {
        if !load.goes_on() {
            break;
        }
        let key = turn % PARTITIONS;
        let count = u64::from(1 + turn % 4);
        let first = load.values.fetch_add(count, Ordering::SeqCst);
        let values: Vec<Value> = (first..first + count).collect();
        let sequence = &mut sequences[key as usize];
        let mut outcome = (Outcome::Failed, None);
        while let Some(open) = &mut connection {
            if idempotent && producer.is_none() {
                match open.new_producer() {
                    Ok(id) => producer = Some(id),
                    Err(_) => {
                        connection = load.connect();
                        continue;
                    }
                }
            }
            let answer = open.produce(key, &values, producer.map(|id| (id, *sequence)));
            match answer {
                Ok(Answer::Stored(base)) => outcome = (Outcome::Ok, Some(base)),
                Ok(Answer::Refused(error)) if idempotent => {
                    // Only what passes may come: nobody else writes as this producer.
                    assert!([3, 5, 6, 7, 19, 56].contains(&error), "error {error}");
                    outcome = (Outcome::Unknown, None);
                    thread::sleep(BREATH);
                    continue;
                }
                Ok(Answer::Refused(_)) => outcome = (Outcome::Failed, None),
                Err(_) => {
                    outcome = (Outcome::Unknown, None);
                    connection = load.connect();
                    if idempotent {
                        continue;
                    }
                }
            }
            break;
        }
        load.note(process, outcome.0, sent(key, &values, outcome.1));
        *sequence += i32::try_from(count).expect("few");
        thread::sleep(BREATH);
    }
}

/// Reads one partition from its begin on; as long as the load goes on, or to the end that was shown.
fn consume(load: &Load, key: Key, mut connection: Option<Connection>, to_the_end: bool) {
    let process = load.new_process();
    let mut next = 0;
    while let Some(open) = &mut connection {
        let Ok(fetched) = open.fetch(key, next) else {
            assert!(!to_the_end, "the last broker closes a connection");
            connection = load.connect();
            continue;
        };
        assert_ne!(
            fetched.error, 1,
            "partition {key} has no offset {next} any more"
        );
        if fetched.error != 0 {
            thread::sleep(BREATH);
            continue;
        }
        let told = Offsets {
            log_start: fetched.log_start,
            last_stable: fetched.last_stable,
            high_watermark: fetched.high_watermark,
            log_end: None,
        };
        load.note(process, Outcome::Ok, Deed::Offsets(key, told));
        if let Some((last, _)) = fetched.records.last() {
            next = last + 1;
            let reads = fetched.records.into_iter();
            let reads = reads.map(|(offset, value)| (key, offset, value)).collect();
            let parts = vec![Part::Poll(reads)];
            load.note(process, Outcome::Ok, Deed::Parts(parts, Vec::new()));
        } else if to_the_end && next >= fetched.high_watermark {
            return;
        }
        if !to_the_end && !load.goes_on() {
            return;
        }
    }
}

fn make_topic(client: &mut Client) {
    let ask = [array(&[text("t")]), vec![1]].concat();
    until("the topic", || {
        let answer = client.ask(METADATA, 4, &ask);
        let name = text("t");
        let place = answer.windows(name.len()).rposition(|part| part == name)?;
        (answer[place - 2..place] == [0, 0]).then_some(())
    });
}

fn clients(load: &Arc<Load>) -> Vec<JoinHandle<()>> {
    let spawn = |client: Box<dyn FnOnce(&Load) + Send>| {
        let load = Arc::clone(load);
        thread::spawn(move || client(&load))
    };
    let producers = [true, true, false, false]
        .map(|idempotent| spawn(Box::new(move |load: &Load| produce(load, idempotent))));
    let consumers = (0..PARTITIONS).map(|key| {
        spawn(Box::new(move |load: &Load| {
            consume(load, key, load.connect(), false)
        }))
    });
    producers.into_iter().chain(consumers).collect()
}

#[test]
fn what_was_acknowledged_outlives_any_number_of_kills() {
    let kills = std::env::var("MILENA_KILLS").ok();
    let kills = kills.map_or(KILLS, |text| text.parse().expect("a number"));
    let dir = tempdir().unwrap();
    let settings = [
        &format!("num.partitions={PARTITIONS}")[..],
        "log.segment.bytes=1048576",
        "log.flush.offset.checkpoint.interval.ms=100",
    ];
    let mut server = Server::start(dir.path(), &settings);
    make_topic(&mut server.connect());
    let load = Arc::new(Load {
        address: Mutex::new(server.address("PLAINTEXT")),
        ends: AtomicBool::new(false),
        history: Mutex::default(),
        values: AtomicU64::new(1),
        processes: AtomicU32::new(0),
    });
    let clients = clients(&load);
    for kill in 0..kills {
        let before = load.history.lock().expect("no client panics with it").len();
        until("some work", || {
            (load.history.lock().expect("no client panics with it").len() > before + 100)
                .then_some(())
        });
        thread::sleep(Duration::from_millis(kill * 37 % 200));
        server.signal(Signal::KILL);
        let (status, log) = server.ended();
        assert!(
            status.code().is_none() && !log.contains("panicked"),
            "{status} {log}"
        );
        server = Server::start(dir.path(), &settings);
        *load.address.lock().expect("no client panics with it") = server.address("PLAINTEXT");
    }
    load.ends.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().expect("it saw nothing impossible");
    }
    for key in 0..PARTITIONS {
        let connection = Connection::open(server.address("PLAINTEXT")).expect("it listens");
        consume(&load, key, Some(connection), true);
    }
    server.stop();
    let history = load.history.lock().expect("no client panics with it");
    let wrong = broken_promises(&history);
    let told = &wrong[..wrong.len().min(20)];
    assert!(
        wrong.is_empty(),
        "{} things are wrong: {told:?}",
        wrong.len()
    );
    let acknowledged = history
        .iter()
        .filter(|op| op.outcome == Outcome::Ok)
        .count();
    assert!(acknowledged > 100, "{acknowledged} operations are no load");
}
