//! What a broker inside a program costs: its start to the first answered request, its stop, and an
//! append and a read without a connection. Prints medians; `cargo bench --bench embedded`.
#![expect(clippy::disallowed_methods, reason = "it measures")]

use std::time::{Duration, Instant};

use milena::broker::{Broker, BrokerHandle, Environment};
use milena::config::ServerConfig;
use milena::model::{Offset, Timestamp};
use milena::record::BatchBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ROUNDS: usize = 40;
const APPENDS: usize = 5_000;

/// Version 0, correlation id 7, no client id.
const API_VERSIONS: &[u8] = &[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

async fn first_answer(broker: &BrokerHandle) {
    let mut connection = broker.connect().expect("it runs");
    connection.write_all(API_VERSIONS).await.expect("it reads");
    let size = connection.read_u32().await.expect("it answers");
    let mut answer = vec![0; size as usize];
    connection
        .read_exact(&mut answer)
        .await
        .expect("it answers");
}

async fn start() -> BrokerHandle {
    let config = ServerConfig::embedded(&[]).expect("a configuration");
    let started = Broker::spawn(config, Environment::in_memory()).await;
    started.expect("it starts")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

async fn lives() {
    let (mut starts, mut answers, mut stops) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let broker = start().await;
        starts.push(begun.elapsed());
        first_answer(&broker).await;
        answers.push(begun.elapsed());
        let begun = Instant::now();
        broker.stop().await.expect("it stops");
        stops.push(begun.elapsed());
    }
    println!("start                      {:>10.1?}", median(starts));
    println!("start to the first answer  {:>10.1?}", median(answers));
    println!("stop                       {:>10.1?}", median(stops));
}

async fn records() {
    let broker = start().await;
    let made = broker.create_topic("t", 1, &[]).await;
    made.expect("it is new");
    let partition = broker.partition("t", 0);
    let mut batch = BatchBuilder::new();
    for _ in 0..16 {
        batch.append(Timestamp(1_700_000_000_000), None, Some(&[b'x'; 1024]), &[]);
    }
    let batch = batch.build().expect("it is small");
    let begun = Instant::now();
    for _ in 0..APPENDS {
        let appended = partition.append(batch.clone()).await;
        appended.expect("it is stored");
    }
    let each = begun.elapsed() / u32::try_from(APPENDS).expect("it is small");
    println!("append of 16 KiB, one at a time      {each:>10.1?}");
    for bytes_max in [16 << 10, 1 << 20] {
        let (begun, mut offset, mut bytes, mut reads) = (Instant::now(), Offset(0), 0, 0);
        loop {
            let read = partition
                .read(offset, bytes_max)
                .await
                .expect("it is there");
            if read.is_empty() {
                break;
            }
            (bytes, reads) = (bytes + read.bytes.len(), reads + 1);
            offset = read.next_offset;
        }
        let each = begun.elapsed() / reads;
        println!(
            "read of {:>4} KiB, one at a time     {each:>10.1?}",
            bytes / reads as usize / 1024
        );
    }
    broker.stop().await.expect("it stops");
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        lives().await;
        records().await;
    });
}
