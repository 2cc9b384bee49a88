//! Retention and compaction in real time, in the real binary, with short intervals.

use std::fs;
use std::path::Path;

use milena::model::Timestamp;
use milena::record::BatchBuilder;
use tempfile::tempdir;

use crate::binary::{Client, Server, array, text, until};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const LONG_AGO: Timestamp = Timestamp(1_000_000);

fn make_topic(client: &mut Client) {
    let ask = [array(&[text("t")]), vec![1]].concat();
    until("the topic", || {
        let answer = client.ask(METADATA, 4, &ask);
        let name = text("t");
        let place = answer.windows(name.len()).rposition(|part| part == name)?;
        (answer[place - 2..place] == [0, 0]).then_some(())
    });
}

/// Produces one record of long ago with acks=all.
fn produce(client: &mut Client) {
    let mut builder = BatchBuilder::new();
    builder.append(LONG_AGO, None, Some(b"x"), &[]);
    produce_batch(client, &builder.build().expect("a batch"));
}

/// Produces a batch with acks=all.
fn produce_batch(client: &mut Client, batch: &[u8]) {
    let length = i32::try_from(batch.len()).expect("small").to_be_bytes();
    let partition = [&[0; 4][..], &length, batch].concat();
    let topic = [text("t"), array(&[partition])].concat();
    let head = [
        &(-1i16).to_be_bytes()[..],
        &(-1i16).to_be_bytes(),
        &10_000i32.to_be_bytes(),
    ];
    let answer = client.ask(PRODUCE, 7, &[head.concat(), array(&[topic])].concat());
    assert_eq!(answer[15..17], [0, 0]);
}

/// ListOffsets v1 of the earliest offset.
fn log_start(client: &mut Client) -> i64 {
    let partition = [&[0; 4][..], &(-2i64).to_be_bytes()].concat();
    let topic = [text("t"), array(&[partition])].concat();
    let ask = [&(-1i32).to_be_bytes()[..], &array(&[topic])].concat();
    let answer = client.ask(LIST_OFFSETS, 1, &ask);
    // One topic, its name, one partition: its index, error, timestamp, offset.
    let at = 4 + 3 + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0]);
    i64::from_be_bytes(answer[at + 10..at + 18].try_into().expect("eight bytes"))
}

/// The error of a Fetch v4 at offset 0.
fn fetch_error(client: &mut Client) -> i16 {
    let mut ask = Vec::new();
    for number in [-1, 0, 0, i32::MAX] {
        ask.extend(i32::to_be_bytes(number));
    }
    ask.push(0);
    let partition = [&[0; 4][..], &0i64.to_be_bytes(), &i32::MAX.to_be_bytes()].concat();
    ask.extend(array(&[[text("t"), array(&[partition])].concat()]));
    let answer = client.ask(FETCH, 4, &ask);
    let at = 4 + 4 + 3 + 4 + 4;
    i16::from_be_bytes(answer[at..at + 2].try_into().expect("two bytes"))
}

fn logs(partition: &Path) -> Vec<String> {
    let entries = fs::read_dir(partition).expect("a partition");
    let names = entries.map(|entry| entry.expect("readable").file_name());
    let names = names.map(|name| name.into_string().expect("text"));
    names.filter(|name| name.contains(".log")).collect()
}

#[test]
fn a_broker_left_alone_deletes_what_is_too_old_and_the_files_after_it() {
    let dir = tempdir().unwrap();
    let settings = [
        "log.retention.check.interval.ms=50",
        "log.retention.ms=3600000",
        "log.segment.delete.delay.ms=50",
        "log.message.timestamp.before.max.ms=9223372036854775807",
    ];
    let server = Server::start(dir.path(), &settings);
    let mut client = server.connect();
    make_topic(&mut client);
    produce(&mut client);
    // Nobody asks for it: the records are of 1970, and the active segment is rolled and goes.
    until("retention", || (log_start(&mut client) == 1).then_some(()));
    assert_eq!(fetch_error(&mut client), OFFSET_OUT_OF_RANGE);
    let partition = dir.path().join("data/t-0");
    until("the end of the files", || {
        (logs(&partition) == ["00000000000000000001.log"]).then_some(())
    });
    let log = server.stop();
    assert!(log.contains("because of retention.ms"), "{log}");
    // The start is where it was, for the next broker too.
    let server = Server::start(dir.path(), &settings);
    assert_eq!(log_start(&mut server.connect()), 1);
    server.stop();
}

/// Produces a megabyte of records with these keys.
fn produce_keys(client: &mut Client, keys: std::ops::Range<u32>) {
    let mut builder = BatchBuilder::new();
    let value = vec![b'x'; 1_000_000 / keys.len()];
    for key in keys {
        builder.append(LONG_AGO, Some(&key.to_be_bytes()), Some(&value), &[]);
    }
    produce_batch(client, &builder.build().expect("a batch"));
}

fn segments(partition: &Path) -> (usize, u64) {
    let names = logs(partition).into_iter();
    let lengths = names.filter(|name| name.ends_with(".log")).map(|name| {
        // One that was renamed meanwhile is none.
        fs::metadata(partition.join(name)).map_or(0, |file| file.len())
    });
    let lengths: Vec<u64> = lengths.collect();
    (lengths.len(), lengths.iter().sum())
}

#[test]
fn a_broker_compacts_by_itself_and_stops_within_a_batch_when_it_may_not_hurry() {
    let dir = tempdir().unwrap();
    let settings = [
        "log.cleanup.policy=compact",
        "log.segment.bytes=1048576",
        "log.cleaner.min.cleanable.ratio=0.01",
        "log.cleaner.backoff.ms=20",
        "log.segment.delete.delay.ms=20",
    ];
    // At a byte a second it would take months.
    let slow = ["log.cleaner.io.max.bytes.per.second=1"];
    let server = Server::start(dir.path(), &[&settings[..], &slow].concat());
    let mut client = server.connect();
    make_topic(&mut client);
    for _ in 0..5 {
        produce_keys(&mut client, 0..100);
    }
    let partition = dir.path().join("data/t-0");
    assert_eq!(segments(&partition).0, 5);
    drop(client);
    server.stop();
    let server = Server::start(dir.path(), &settings);
    // One segment with the last of each key, and the active one.
    until("compaction", || {
        (segments(&partition).1 < 2_100_000).then_some(())
    });
    let checkpoint = dir.path().join("data/cleaner-offset-checkpoint");
    until("the checkpoint", || {
        let text = fs::read_to_string(&checkpoint).ok()?;
        text.contains("t 0 400").then_some(())
    });
    server.stop();
}
