//! A whole broker inside this process, on a disk in memory that can lose its power, spoken to over
//! a real socket.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use milena::broker::{Broker, Environment};
use milena::config::ServerConfig;
use milena::model::Timestamp;
use milena::record::{BatchBuilder, Scratch, batches, records};
use milena::storage::disk::{Disk, MemoryDisk};
use tokio::sync::oneshot;

use crate::binary::{Client, array, text};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
/// Recent enough for retention by time.
const WRITTEN: Timestamp = Timestamp(4_000_000_000_000);

pub(crate) enum End {
    Stopped,
    /// Nothing is closed or flushed.
    Dropped,
}

pub(crate) struct Embedded {
    address: SocketAddr,
    end: oneshot::Sender<End>,
    thread: JoinHandle<()>,
}

impl Embedded {
    pub(crate) fn start(disk: &MemoryDisk, flush_messages: &str) -> Embedded {
        let config = ServerConfig::of(&[
            ("log.dirs", "/data"),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("log.flush.interval.messages", flush_messages),
            ("group.initial.rebalance.delay.ms", "0"),
            ("log.message.timestamp.after.max.ms", "9223372036854775807"),
        ])
        .expect("a configuration");
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let environment = Environment {
            disk,
            ..Environment::system()
        };
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let system = actix::System::new();
            system.block_on(async move {
                let broker = Broker::start(config, environment).await.expect("it starts");
                tell.send(broker.listening()[0].1).expect("a test");
                match ended.await.expect("a test") {
                    End::Stopped => broker.stop().await.expect("it stops"),
                    End::Dropped => std::mem::forget(broker),
                }
                actix::System::current().stop();
            });
            system.run().expect("it ran");
        });
        let address = told.recv().expect("it is ready");
        Embedded {
            address,
            end,
            thread,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    pub(crate) fn end(self, how: End) {
        self.end.send(how).ok().expect("it runs");
        self.thread.join().expect("it did not panic");
    }
}

pub(crate) fn make_topic(client: &mut Client) {
    let ask = [array(&[text("t")]), vec![1]].concat();
    loop {
        let answer = client.ask(METADATA, 4, &ask);
        let name = text("t");
        let place = answer.windows(name.len()).rposition(|part| part == name);
        let place = place.expect("the topic is answered");
        if answer[place - 2..place] == [0, 0] {
            return;
        }
    }
}

/// Produces one record with acks=all; error and offset of the answer.
fn produce(client: &mut Client, value: &str) -> (i16, i64) {
    let mut builder = BatchBuilder::new();
    builder.append(WRITTEN, None, Some(value.as_bytes()), &[]);
    let batch = builder.build().expect("a batch");
    let length = i32::try_from(batch.len()).expect("small").to_be_bytes();
    let partition = [&[0; 4][..], &length, &batch].concat();
    let topic = [text("t"), array(&[partition])].concat();
    let head = [
        &(-1i16).to_be_bytes()[..],
        &(-1i16).to_be_bytes(),
        &10_000i32.to_be_bytes(),
    ];
    let answer = client.ask(PRODUCE, 7, &[head.concat(), array(&[topic])].concat());
    // One topic, its name, one partition, its index.
    let at = 4 + 3 + 4 + 4;
    let error = i16::from_be_bytes(answer[at..at + 2].try_into().expect("two bytes"));
    let offset = i64::from_be_bytes(answer[at + 2..at + 10].try_into().expect("eight bytes"));
    (error, offset)
}

/// Every record from offset 0 on, from one answer: leader epoch, offset and value.
fn fetch(client: &mut Client) -> Vec<(i32, i64, String)> {
    let mut ask = Vec::new();
    for number in [-1, 0, 0, i32::MAX] {
        ask.extend(i32::to_be_bytes(number));
    }
    ask.push(0);
    let partition = [&[0; 4][..], &0i64.to_be_bytes(), &i32::MAX.to_be_bytes()].concat();
    ask.extend(array(&[[text("t"), array(&[partition])].concat()]));
    let answer = client.ask(FETCH, 4, &ask);
    // Throttle time, one topic, its name, one partition: index, error, two offsets, no aborted ones.
    let at = 4 + 4 + 3 + 4 + 4 + 2 + 8 + 8 + 4;
    let (mut found, mut scratch) = (Vec::new(), Scratch::new());
    for batch in batches(&answer[at + 4..]) {
        let (header, batch) = batch.expect("a batch");
        let mut reader = records(&header, batch, 1 << 20, &mut scratch).expect("records");
        while let Some(record) = reader.next().expect("a record") {
            let offset = header.base_offset.0 + i64::from(record.offset_delta);
            let value = String::from_utf8(record.value.unwrap_or_default().to_vec());
            let epoch = header.partition_leader_epoch.0;
            found.push((epoch, offset, value.expect("text")));
        }
    }
    found
}

fn written(count: i64, epoch: i32) -> Vec<(i32, i64, String)> {
    let each = (0..count).map(|offset| (epoch, offset, format!("record {offset}")));
    each.collect()
}

/// Writes so many records, ends the broker in this way, and returns the disk.
fn a_life(flush_messages: &str, count: i64, end: End) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let broker = Embedded::start(&disk, flush_messages);
    let mut client = broker.client();
    make_topic(&mut client);
    for offset in 0..count {
        assert_eq!(
            produce(&mut client, &format!("record {offset}")),
            (0, offset)
        );
    }
    assert_eq!(fetch(&mut client), written(count, 0));
    drop(client);
    broker.end(end);
    disk
}

pub(crate) const ALWAYS: &str = "1";
const NEVER: &str = "9223372036854775807";

#[test]
fn after_a_clean_stop_everything_is_there_under_the_same_leader_epoch() {
    let disk = a_life(NEVER, 20, End::Stopped);
    let mark = Path::new("/data/.kafka_cleanshutdown");
    assert!(disk.exists(mark).expect("a disk"));
    disk.lose_power(&mut |_, _| 0);
    let broker = Embedded::start(&disk, NEVER);
    assert!(!disk.exists(mark).expect("a disk"), "it is in use again");
    let mut client = broker.client();
    assert_eq!(produce(&mut client, "record 20"), (0, 20));
    assert_eq!(fetch(&mut client), written(21, 0));
    drop(client);
    broker.end(End::Stopped);
}

#[test]
fn after_a_loss_of_power_what_was_flushed_is_there_and_a_new_leader_epoch_begins() {
    let disk = a_life(ALWAYS, 20, End::Dropped);
    disk.lose_power(&mut |_, appended| appended / 3);
    let broker = Embedded::start(&disk, ALWAYS);
    let mut client = broker.client();
    assert_eq!(fetch(&mut client), written(20, 0));
    assert_eq!(produce(&mut client, "record 20"), (0, 20));
    let last = fetch(&mut client).pop();
    assert_eq!(last, Some((1, 20, "record 20".to_owned())));
    drop(client);
    broker.end(End::Stopped);
}

#[test]
fn after_a_loss_of_power_without_flushes_a_prefix_is_there_and_the_log_goes_on_behind_it() {
    let disk = a_life(NEVER, 20, End::Dropped);
    disk.lose_power(&mut |_, appended| appended / 2);
    let broker = Embedded::start(&disk, NEVER);
    let mut client = broker.client();
    let left = fetch(&mut client);
    let count = i64::try_from(left.len()).expect("few");
    assert!(count < 20, "half of the bytes are gone");
    assert_eq!(left, written(count, 0));
    assert_eq!(produce(&mut client, "and on"), (0, count));
    drop(client);
    broker.end(End::Stopped);
}
