//! Many at once: producers with small keyed batches, consumers at the tail, one reader of everything.
//!
//! Producers share one thread, consumers another, the reader has its own. The rate is a limit, so
//! that two cores that are shared with the broker have something left: what is looked for is whether
//! somebody is served worse than others, not how much is possible.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use milena::record::Scratch;
use serde_json::{Value, json};

use crate::Failure;
use crate::args::Args;
use crate::batch::{Stamper, read_stamps, skim};
use crate::epoll::Poll;
use crate::fetch::{self, Appetite, FetchFrame};
use crate::gate::{self, now_ns};
use crate::latency::Stamped;
use crate::produce::warm_up;
use crate::stats;
use crate::wire::{self, Connection, PATIENCE};

/// How often somebody looks whether it is over.
const GLANCE: Duration = Duration::from_millis(100);
/// Samples of this first part are not counted.
const WARM_UP_NS: u64 = 2_000_000_000;

/// Where everybody goes, until it is over.
#[derive(Clone)]
pub(crate) struct Crowd {
    pub(crate) address: SocketAddr,
    pub(crate) topic: String,
    pub(crate) partitions: Vec<i32>,
    pub(crate) over: Arc<AtomicBool>,
}

/// `topic= partitions=100 producers=1000 consumers=50 rate= seconds= batch_records=10 record_bytes=100
/// scan=yes|no scan_mb_per_second=`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let crowd = Crowd {
        address: args.address()?,
        topic: args.text("topic")?.to_owned(),
        partitions: (0..args.number("partitions", 100)?).collect(),
        over: Arc::new(AtomicBool::new(false)),
    };
    let consumers = args.number("consumers", 50usize)?;
    let mut producers = Producers::open(&crowd, args)?;
    let mut tail = Tail::open(&crowd, consumers)?;
    let scan_rate = args.number("scan_mb_per_second", 100u64)? * 1_000_000;
    let scanning = (args.word("scan", "no") == "yes").then(|| {
        let crowd = crowd.clone();
        std::thread::spawn(move || scan(&crowd, scan_rate, u64::MAX))
    });
    let over = Arc::clone(&crowd.over);
    let consuming = std::thread::spawn(move || tail.follow(&over).map(|()| tail));
    gate::mark(args.gated(), "begin")?;
    let produced = producers.drive(args.number("seconds", 20u64)?);
    // Records on their way still arrive.
    std::thread::sleep(Duration::from_millis(500));
    crowd.over.store(true, Ordering::Relaxed);
    gate::mark(args.gated(), "end")?;
    produced?;
    let tail = consuming.join().map_err(|_| "the consumers panicked")??;
    let scanned = scanning.map(|scanning| scanning.join().map_err(|_| "the reader panicked"));
    let scanned = scanned.transpose()?.transpose()?;
    let requests = producers.requests;
    let batch_records = args.number("batch_records", 10u64)?;
    gate::result(&json!({
        "requests": requests, "records": requests * batch_records,
        "produce": told(producers.clients.into_iter().map(|client| client.waits)),
        "tail": told(tail.clients.into_iter().map(|client| client.waits)),
        "scan": scanned,
    }))
}

/// What all clients of a kind waited, and how far the worst is from the one in the middle.
fn told(clients: impl Iterator<Item = Vec<u64>>) -> Value {
    let (mut all, mut each) = (Vec::new(), Vec::new());
    for mut waits in clients.filter(|waits| !waits.is_empty()) {
        each.push(stats::percentile(&mut waits, 0.99));
        all.extend(waits);
    }
    let (middle, worst) = (
        stats::percentile(&mut each, 0.5),
        stats::percentile(&mut each, 1.0),
    );
    json!({
        "clients": each.len(), "all": stats::summary(&mut all),
        "p99_of_median_client_us": middle as f64 / 1e3,
        "p99_of_worst_client_us": worst as f64 / 1e3,
        "worst_to_median": worst as f64 / middle.max(1) as f64,
    })
}

struct Producer {
    connection: Connection,
    in_flight: VecDeque<u64>,
    waits: Vec<u64>,
}

struct Producers {
    clients: Vec<Producer>,
    /// One for each partition.
    frames: Vec<Stamped>,
    poll: Poll,
    rate: f64,
    requests: u64,
}

impl Producers {
    fn open(crowd: &Crowd, args: &Args) -> Result<Producers, Failure> {
        let count = args.number("batch_records", 10)?;
        let batch = Stamper::batch(count, args.number("record_bytes", 100)?, true)?;
        let mut frames = Vec::new();
        for partition in &crowd.partitions {
            let frame = wire::produce_frame(&crowd.topic, &[(*partition, &batch)]);
            let stamper = Stamper::find(&frame, &batch)?;
            frames.push(Stamped { frame, stamper });
        }
        let (poll, mut clients) = (Poll::new()?, Vec::new());
        for number in 0..args.number("producers", 1000usize)? {
            let mut connection = Connection::open(crowd.address, 1024)?;
            if number < frames.len() {
                frames[number].stamp();
                warm_up(&mut connection, &mut frames[number].frame)?;
            }
            poll.add(&connection.stream, number)?;
            clients.push(Producer {
                connection,
                in_flight: VecDeque::new(),
                waits: Vec::new(),
            });
        }
        Ok(Producers {
            clients,
            frames,
            poll,
            rate: args.number("rate", 2500.0)?,
            requests: 0,
        })
    }

    /// Each producer sends in turn, when its turn is due, whether the one before was answered or not.
    fn drive(&mut self, seconds: u64) -> Result<(), Failure> {
        let begun = now_ns();
        let end = begun + seconds * 1_000_000_000 + WARM_UP_NS;
        let last = (self.rate * (end - begun) as f64 / 1e9) as u64;
        let due = |number: u64, rate: f64| begun + (number as f64 / rate * 1e9) as u64;
        let mut answered = 0;
        while answered < last {
            let now = now_ns();
            if now > end + u64::try_from(PATIENCE.as_nanos())? {
                return Err(format!("{} requests were not answered", last - answered).into());
            }
            while self.requests < last && due(self.requests, self.rate) <= now {
                self.send_next(due(self.requests, self.rate))?;
            }
            let next = due(self.requests, self.rate).saturating_sub(now_ns());
            let patience = match self.requests < last {
                true => Duration::from_nanos(next),
                false => GLANCE,
            };
            for number in self.poll.wait(patience)? {
                answered += self.take_answers(number, begun + WARM_UP_NS)?;
            }
        }
        Ok(())
    }

    fn send_next(&mut self, due: u64) -> Result<(), Failure> {
        let count = self.clients.len() as u64;
        let (client, round) = (self.requests % count, self.requests / count);
        // Keys of one producer go everywhere.
        let frame = (client * 7 + round * 13) as usize % self.frames.len();
        let producer = &mut self.clients[client as usize];
        producer.connection.send(self.frames[frame].stamp())?;
        producer.in_flight.push_back(due);
        self.requests += 1;
        Ok(())
    }

    fn take_answers(&mut self, number: usize, counted_from: u64) -> Result<u64, Failure> {
        let (producer, mut answers) = (&mut self.clients[number], 0);
        loop {
            let Some(answer) = producer.connection.poll()? else {
                return Ok(answers);
            };
            wire::expect_produced(answer)?;
            answers += 1;
            let due = producer
                .in_flight
                .pop_front()
                .ok_or("an answer to no request")?;
            if due >= counted_from {
                producer.waits.push(now_ns() - due);
            }
            if !producer.connection.has_frame() {
                return Ok(answers);
            }
        }
    }
}

struct Follower {
    connection: Connection,
    frame: FetchFrame,
    waits: Vec<u64>,
}

struct Tail {
    clients: Vec<Follower>,
    poll: Poll,
}

impl Tail {
    /// Every consumer has its share of the partitions, from their ends on.
    fn open(crowd: &Crowd, consumers: usize) -> Result<Tail, Failure> {
        let (poll, mut clients) = (Poll::new()?, Vec::new());
        for number in 0..consumers {
            let mine = crowd
                .partitions
                .iter()
                .copied()
                .skip(number)
                .step_by(consumers);
            let mine: Vec<i32> = mine.collect();
            let mut connection = Connection::open(crowd.address, 1 << 16)?;
            let mut frame = FetchFrame::new(&crowd.topic, &mine, Appetite::USUAL);
            for (partition, end) in fetch::high_watermarks(&mut connection, &crowd.topic, &mine)? {
                frame.set_offset(partition, end);
            }
            poll.add(&connection.stream, number)?;
            connection.send(frame.bytes())?;
            clients.push(Follower {
                connection,
                frame,
                waits: Vec::new(),
            });
        }
        Ok(Tail { clients, poll })
    }

    fn follow(&mut self, over: &AtomicBool) -> Result<(), Failure> {
        let (mut scratch, counted_from) = (Scratch::new(), now_ns() + WARM_UP_NS);
        while !over.load(Ordering::Relaxed) {
            for number in self.poll.wait(GLANCE)? {
                let follower = &mut self.clients[number];
                let Some(answer) = follower.connection.poll()? else {
                    continue;
                };
                let now = now_ns();
                let (frame, waits) = (&mut follower.frame, &mut follower.waits);
                fetch::read_answer(answer, |fetched| {
                    let note = |stamp| {
                        if stamp >= counted_from {
                            waits.push(now.saturating_sub(stamp));
                        }
                    };
                    if let Some(next) = read_stamps(fetched.records, &mut scratch, note)? {
                        frame.set_offset(fetched.partition, next);
                    }
                    Ok(())
                })?;
                follower.connection.send(follower.frame.bytes())?;
            }
        }
        Ok(())
    }
}

/// Reads all partitions from their start to where they ended when it began, again and again.
pub(crate) fn scan(crowd: &Crowd, bytes_per_second: u64, laps_max: u64) -> Result<Value, Failure> {
    let mut connection = Connection::open(crowd.address, 8 << 20)?;
    let ends = fetch::high_watermarks(&mut connection, &crowd.topic, &crowd.partitions)?;
    let mut frame = FetchFrame::new(&crowd.topic, &crowd.partitions, Appetite::USUAL);
    let start: BTreeMap<i32, i64> = ends.keys().map(|partition| (*partition, 0)).collect();
    let (mut offsets, mut bytes, mut laps) = (start.clone(), 0u64, 0);
    let mut records = 0;
    let (begun, mut waits) = (now_ns(), Vec::new());
    while !crowd.over.load(Ordering::Relaxed) {
        // Those read to their end are asked for no more of it: they would be answered with nothing new.
        let behind = |offsets: &BTreeMap<i32, i64>| {
            offsets
                .iter()
                .any(|(partition, offset)| *offset < ends[partition])
        };
        if !behind(&offsets) {
            (offsets, laps) = (start.clone(), laps + 1);
            if laps >= laps_max {
                break;
            }
        }
        for (partition, offset) in &offsets {
            frame.set_offset(*partition, *offset);
        }
        let since = now_ns();
        connection.send(frame.bytes())?;
        let answer = connection.receive()?;
        waits.push(now_ns() - since);
        bytes += answer.len() as u64;
        fetch::read_answer(answer, |fetched| {
            let offset = offsets
                .get_mut(&fetched.partition)
                .ok_or("a partition not asked for")?;
            let next = skim(fetched.records, *offset);
            records += next - *offset;
            *offset = next;
            Ok(())
        })?;
        let due = begun + bytes.saturating_mul(1_000_000_000) / bytes_per_second;
        std::thread::sleep(Duration::from_nanos(due.saturating_sub(now_ns())));
    }
    let seconds = (now_ns() - begun) as f64 / 1e9;
    Ok(json!({
        "mb": bytes / 1_000_000, "mb_per_second": bytes as f64 / 1e6 / seconds, "laps": laps,
        "records": records, "seconds": seconds,
        "answered": stats::summary(&mut waits),
    }))
}
