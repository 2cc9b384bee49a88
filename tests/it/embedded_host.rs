//! Brokers inside a host program: a plain tokio runtime or an actix `System`, data in memory, typed
//! calls and connections without a socket.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use milena::broker::{
    AppendError, Broker, BrokerHandle, ConnectError, CreateTopicError, Environment, ReadError,
    StartError,
};
use milena::config::ServerConfig;
use milena::model::{Offset, ProducerEpoch, ProducerId, Timestamp};
use milena::record::{BatchBuilder, InvalidBatch};
use milena::storage::disk::{Disk, MemoryDisk, OpenMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::binary::{Client, array, request, text};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const METADATA: i16 = 3;
const LONG: Duration = Duration::from_secs(60);
const MEBIBYTE: usize = 1 << 20;

async fn start(pairs: &[(&str, &str)]) -> BrokerHandle {
    let config = ServerConfig::embedded(pairs).expect("a configuration");
    let started = Broker::spawn(config, Environment::in_memory()).await;
    started.expect("it starts")
}

fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append(
            Timestamp(1_700_000_000_000),
            None,
            Some(value.as_bytes()),
            &[],
        );
    }
    builder.build().expect("it is small")
}

async fn values(broker: &BrokerHandle, topic: &str) -> Vec<String> {
    let partition = broker.partition(topic, 0);
    let (mut found, mut offset) = (Vec::new(), Offset(0));
    loop {
        let read = partition.read(offset, 100).await.expect("it is there");
        if read.is_empty() {
            return found;
        }
        offset = read.next_offset;
        for record in read.records().expect("whole batches") {
            let value = record.value.unwrap_or_default();
            found.push(format!(
                "{} {}",
                record.offset,
                String::from_utf8_lossy(&value)
            ));
        }
    }
}

async fn ask(connection: &mut DuplexStream, api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let asked = connection.write_all(&request(api, version, body)).await;
    asked.expect("it is read");
    let size = connection.read_u32().await.expect("an answer");
    let mut answer = vec![0; size as usize];
    connection.read_exact(&mut answer).await.expect("all of it");
    answer.split_off(4)
}

/// The host and port of the only broker in an answer to Metadata version 1.
fn told(answer: &[u8]) -> (String, i32) {
    assert_eq!(answer[..4], 1i32.to_be_bytes(), "one broker");
    let length = usize::from(u16::from_be_bytes([answer[8], answer[9]]));
    let (host, rest) = answer[10..].split_at(length);
    let port = i32::from_be_bytes(rest[..4].try_into().expect("four bytes"));
    (String::from_utf8_lossy(host).into_owned(), port)
}

const ALL_TOPICS: [u8; 4] = (-1i32).to_be_bytes();

/// What the type checker says of it is the test.
fn is_free_to_travel<T: Send + Sync + 'static>(_: &T) {}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_tokio_program_appends_and_reads() {
    let broker = start(&[]).await;
    is_free_to_travel(&broker);
    let id = broker.create_topic("t", 2, &[]).await.expect("it is new");
    assert_eq!(broker.image().topic("t").expect("published").id, id);
    let partition = broker.partition("t", 0);
    assert_eq!(
        partition.append(batch(&["a", "b"])).await.expect("stored"),
        Offset(0)
    );
    let appended = tokio::spawn({
        let partition = partition.clone();
        async move { partition.append_record(Some(b"k"), Some(b"c")).await }
    });
    assert_eq!(
        appended.await.expect("no panic").expect("stored"),
        Offset(2)
    );
    assert_eq!(values(&broker, "t").await, ["0 a", "1 b", "2 c"]);
    assert_eq!(
        partition.offsets().await.expect("here"),
        Offset(0)..Offset(3)
    );

    let read = partition.read(Offset(1), MEBIBYTE).await.expect("here");
    assert_eq!(
        (read.next_offset, read.high_watermark),
        (Offset(2), Offset(3)),
        "a segment ends here: what comes next is years younger"
    );
    let first = &read.records().expect("whole batches")[0];
    assert_eq!(
        (first.offset, first.value.as_deref()),
        (Offset(1), Some(&b"b"[..]))
    );
    let other = broker.partition("t", 1);
    assert!(
        other
            .read(Offset(0), MEBIBYTE)
            .await
            .expect("here")
            .is_empty()
    );
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn what_cannot_be_done_is_told_by_its_kind() {
    let broker = start(&[]).await;
    let made = broker
        .create_topic("t", 1, &[("max.message.bytes", "1000")])
        .await;
    made.expect("it is new");
    let again = broker.create_topic("t", 1, &[]).await;
    assert_eq!(again, Err(CreateTopicError::Exists("t".to_owned())));
    let bad = broker
        .create_topic("u", 1, &[("retention.ms", "soon")])
        .await;
    assert!(
        matches!(bad, Err(CreateTopicError::Refused { .. })),
        "{bad:?}"
    );

    let (there, nowhere) = (broker.partition("t", 0), broker.partition("t", 1));
    let refused = nowhere.append(batch(&["a"])).await;
    assert!(
        matches!(refused, Err(AppendError::NotHere(..))),
        "{refused:?}"
    );
    let refused = nowhere.read(Offset(0), MEBIBYTE).await;
    assert!(
        matches!(refused, Err(ReadError::NotHere(..))),
        "{refused:?}"
    );
    let refused = there.read(Offset(1), MEBIBYTE).await;
    assert!(
        matches!(
            refused,
            Err(ReadError::OffsetOutOfRange {
                log_end_offset: Offset(0),
                ..
            })
        ),
        "{refused:?}"
    );
    let mut damaged = batch(&["a"]).to_vec();
    *damaged.last_mut().expect("a byte") ^= 1;
    let refused = there.append(damaged.into()).await;
    assert!(
        matches!(
            refused,
            Err(AppendError::Invalid(InvalidBatch::Corrupt { .. }))
        ),
        "{refused:?}"
    );
    let refused = there.append(batch(&[&"x".repeat(1000)])).await;
    assert!(
        matches!(
            refused,
            Err(AppendError::Invalid(InvalidBatch::TooLarge { .. }))
        ),
        "{refused:?}"
    );
    let mut skips = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), 0);
    skips.append(Timestamp(1), None, None, &[]);
    let first = there.append(skips.build().expect("small")).await;
    assert_eq!(first.expect("stored"), Offset(0));
    let mut skips = BatchBuilder::new().producer(ProducerId(7), ProducerEpoch(0), 5);
    skips.append(Timestamp(1), None, None, &[]);
    let refused = there.append(skips.build().expect("small")).await;
    assert!(
        matches!(refused, Err(AppendError::Sequence(_))),
        "{refused:?}"
    );
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_reader_who_waits_is_woken_by_an_append_and_sent_home_by_time_and_stop() {
    let broker = start(&[]).await;
    broker.create_topic("t", 1, &[]).await.expect("it is new");
    let partition = broker.partition("t", 0);
    let nothing = partition.read_or_wait(Offset(0), MEBIBYTE, Duration::ZERO);
    assert!(nothing.await.expect("here").is_empty());
    let wait = |offset| {
        let partition = partition.clone();
        tokio::spawn(async move { partition.read_or_wait(offset, MEBIBYTE, LONG).await })
    };
    let waiting = wait(Offset(0));
    tokio::task::yield_now().await;
    partition.append(batch(&["a"])).await.expect("stored");
    let read = waiting.await.expect("no panic").expect("here");
    assert_eq!(read.next_offset, Offset(1));
    let waiting = wait(Offset(1));
    tokio::task::yield_now().await;
    broker.stop().await.expect("it stops");
    let stopped = waiting.await.expect("no panic");
    assert!(matches!(stopped, Err(ReadError::Stopped)), "{stopped:?}");
    let stopped = partition.append(batch(&["b"])).await;
    assert!(matches!(stopped, Err(AppendError::Stopped)), "{stopped:?}");
}

#[tokio::test]
async fn two_brokers_in_one_program_know_nothing_of_each_other() {
    let (one, two) = tokio::join!(start(&[]), start(&[]));
    assert_ne!(one.cluster_id(), two.cluster_id());
    for (broker, value) in [(&one, "of one"), (&two, "of two")] {
        broker.create_topic("t", 1, &[]).await.expect("it is new");
        let appended = broker.partition("t", 0).append(batch(&[value])).await;
        assert_eq!(appended.expect("stored"), Offset(0));
    }
    assert_eq!(values(&one, "t").await, ["0 of one"]);
    one.stop().await.expect("it stops");
    assert_eq!(values(&two, "t").await, ["0 of two"], "it goes on");
    two.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_connection_without_a_socket_speaks_kafkas_wire() {
    let broker = start(&[("max.connections", "1")]).await;
    broker.create_topic("t", 1, &[]).await.expect("it is new");
    assert_eq!(broker.listening(), []);
    let mut connection = broker.connect().expect("it runs");
    assert_eq!(broker.connect().err(), Some(ConnectError::TooMany));

    let answer = ask(&mut connection, METADATA, 1, &ALL_TOPICS).await;
    assert_eq!(
        told(&answer),
        ("node-1.in-process.invalid".to_owned(), 9092)
    );
    let leader = [
        &0i16.to_be_bytes()[..],
        &0i32.to_be_bytes(),
        &1i32.to_be_bytes(),
    ]
    .concat();
    let found = answer.windows(leader.len()).any(|part| part == leader);
    assert!(found, "the partition is told with its leader");

    let records = batch(&["over the wire"]);
    let length = i32::try_from(records.len()).expect("small").to_be_bytes();
    let partition = [&[0; 4][..], &length, &records].concat();
    let head = [&[0xff, 0xff, 0xff, 0xff][..], &10_000i32.to_be_bytes()].concat();
    let topics = array(&[[text("t"), array(&[partition])].concat()]);
    let answer = ask(&mut connection, PRODUCE, 7, &[head, topics].concat()).await;
    assert_eq!(answer[15..25], [0; 10], "no error, and offset 0");
    assert_eq!(values(&broker, "t").await, ["0 over the wire"]);

    let answer = ask(&mut connection, FETCH, 4, &fetch_all("t")).await;
    assert!(
        answer.ends_with(&records[21..]),
        "the batch as it was produced"
    );
    broker.stop().await.expect("it stops");
    assert_eq!(connection.read(&mut [0]).await.expect("an end"), 0);
}

/// A request for everything in partition 0 of a topic, version 4.
fn fetch_all(topic: &str) -> Vec<u8> {
    let limits = [-1, 0, 0, i32::MAX].map(i32::to_be_bytes).concat();
    let partition = [&[0; 4][..], &0i64.to_be_bytes(), &i32::MAX.to_be_bytes()].concat();
    let topics = array(&[[text(topic), array(&[partition])].concat()]);
    [limits, vec![0], topics].concat()
}

#[tokio::test]
async fn large_answers_come_whole_from_files_and_from_memory() {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().to_str().expect("text");
    for environment in [Environment::in_memory(), Environment::system()] {
        let config = ServerConfig::embedded(&[("log.dirs", place)]).expect("a configuration");
        let broker = Broker::spawn(config, environment).await.expect("it starts");
        broker.create_topic("t", 1, &[]).await.expect("it is new");
        let partition = broker.partition("t", 0);
        let large = batch(&[&"x".repeat(500_000)]);
        for offset in 0..4 {
            let appended = partition.append(large.clone()).await;
            assert_eq!(appended.expect("stored"), Offset(offset));
        }
        let mut connection = broker.connect().expect("it runs");
        let answer = ask(&mut connection, FETCH, 4, &fetch_all("t")).await;
        let read = partition.read(Offset(0), 4 * MEBIBYTE).await.expect("here");
        assert_eq!(read.bytes.len(), 4 * large.len());
        assert!(answer.ends_with(&read.bytes));
        assert_eq!(read.records().expect("whole batches").len(), 4);
        broker.stop().await.expect("it stops");
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_makes_room_for_another() {
    let broker = start(&[("max.connections", "1")]).await;
    drop(broker.connect().expect("it runs"));
    loop {
        match broker.connect() {
            Ok(mut connection) => {
                ask(&mut connection, METADATA, 1, &ALL_TOPICS).await;
                break;
            }
            Err(error) => assert_eq!(error, ConnectError::TooMany),
        }
        tokio::task::yield_now().await;
    }
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_listener_added_later_is_advertised_and_closed_with_the_broker() {
    let broker = start(&[]).await;
    let first = broker.add_listener("127.0.0.1:0").await.expect("a port");
    let second = broker.add_listener("localhost:0").await.expect("a port");
    let listening = [
        ("PLAINTEXT".to_owned(), first),
        ("PLAINTEXT_2".to_owned(), second),
    ];
    assert_eq!(broker.listening(), listening);
    for (address, host) in [(first, "127.0.0.1"), (second, "localhost")] {
        let asked = tokio::task::spawn_blocking(move || {
            Client::connect(address).ask(METADATA, 1, &ALL_TOPICS)
        });
        let answer = asked.await.expect("it answers");
        assert_eq!(told(&answer), (host.to_owned(), i32::from(address.port())));
    }
    let taken = broker.add_listener(&first.to_string()).await;
    assert!(taken.is_err(), "{taken:?}");
    let everywhere = broker.add_listener("0.0.0.0:0").await;
    assert!(everywhere.is_err(), "{everywhere:?}");
    assert!(broker.add_listener("nonsense").await.is_err());
    assert_eq!(broker.listening(), listening);
    broker.stop().await.expect("it stops");
    assert!(std::net::TcpStream::connect(first).is_err());
}

#[tokio::test]
async fn data_in_memory_stays_with_its_environment() {
    let environment = Environment::in_memory();
    for life in 0..3 {
        let config = ServerConfig::embedded(&[]).expect("a configuration");
        let broker = Broker::spawn(config, environment.clone()).await;
        let broker = broker.expect("it starts");
        let made = broker.create_topic("t", 1, &[]).await;
        assert_eq!(made.is_ok(), life == 0);
        let appended = broker.partition("t", 0).append(batch(&["again"])).await;
        assert_eq!(appended.expect("stored"), Offset(life));
        broker.stop().await.expect("it stops");
    }
    assert_eq!(Arc::strong_count(&environment.disk), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_before_a_stop_is_there_after_it() {
    let environment = Environment::in_memory();
    let config = || ServerConfig::embedded(&[]).expect("a configuration");
    let broker = Broker::spawn(config(), environment.clone()).await;
    let broker = broker.expect("it starts");
    broker.create_topic("t", 1, &[]).await.expect("it is new");
    let writers: Vec<_> = (0..4)
        .map(|_| {
            let partition = broker.partition("t", 0);
            tokio::spawn(async move {
                let mut last = Offset::NONE;
                loop {
                    match partition.append(batch(&["a"])).await {
                        Ok(offset) => last = offset,
                        Err(AppendError::Stopped) => return last,
                        Err(error) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    let partition = broker.partition("t", 0);
    let begun = partition.read_or_wait(Offset(0), 1, LONG).await;
    assert!(!begun.expect("here").is_empty());
    broker.stop().await.expect("it stops");
    let mut last = Offset::NONE;
    for writer in writers {
        last = last.max(writer.await.expect("no other error"));
    }
    let broker = Broker::spawn(config(), environment).await;
    let broker = broker.expect("it starts");
    let there = broker.partition("t", 0).offsets().await.expect("here");
    assert!(there.end > last, "{last} was answered, {there:?} is there");
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn where_there_is_no_system_it_says_what_to_call() {
    let config = ServerConfig::embedded(&[]).expect("a configuration");
    let refused = Broker::start(config, Environment::in_memory()).await;
    assert!(matches!(refused, Err(StartError::NoSystem)), "{refused:?}");
}

#[test]
fn in_an_actix_system_it_can_do_the_same() {
    actix::System::new().block_on(async {
        let disk = Arc::new(MemoryDisk::volatile());
        let environment = Environment {
            disk: Arc::clone(&disk) as Arc<dyn Disk>,
            ..Environment::system()
        };
        let config = ServerConfig::embedded(&[]).expect("a configuration");
        let broker = Broker::start(config, environment).await.expect("it starts");
        broker.create_topic("t", 1, &[]).await.expect("it is new");
        let appended = broker.partition("t", 0).append(batch(&["a"])).await;
        appended.expect("stored");
        let mut connection = broker.connect().expect("it runs");
        ask(&mut connection, METADATA, 1, &ALL_TOPICS).await;
        broker.add_listener("127.0.0.1:0").await.expect("a port");
        broker.stop().await.expect("it stops");
        assert_eq!(Arc::strong_count(&disk), 1, "nobody holds the data");
    });
}

#[test]
fn a_start_that_fails_late_leaves_nobody_behind_in_the_hosts_system() {
    let disk = Arc::new(MemoryDisk::volatile());
    let directory = std::path::Path::new("/d");
    disk.create_dir_all(directory).expect("a disk");
    let in_the_way = disk.open(&directory.join("quorum"), OpenMode::Create);
    drop(in_the_way.expect("a file where a directory is to be"));
    actix::System::new().block_on(async {
        let environment = Environment {
            disk: Arc::clone(&disk) as Arc<dyn Disk>,
            ..Environment::system()
        };
        let config = ServerConfig::embedded(&[("log.dirs", "/d")]).expect("a configuration");
        let refused = Broker::start(config, environment).await;
        assert!(
            matches!(refused, Err(StartError::MetadataLog(_))),
            "{refused:?}"
        );
        let gone = async {
            while Arc::strong_count(&disk) > 1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let gone = tokio::time::timeout(LONG, gone).await;
        gone.expect("actors of a broker that never ran live on");
    });
}

#[test]
fn a_start_that_fails_gives_back_what_it_began() {
    let disk = Arc::new(MemoryDisk::volatile());
    let environment = || Environment {
        disk: Arc::clone(&disk) as Arc<dyn Disk>,
        ..Environment::system()
    };
    let config = |pairs: &[_]| ServerConfig::embedded(pairs).expect("a configuration");
    actix::System::new().block_on(async {
        let broker = Broker::start(config(&[]), environment()).await;
        let broker = broker.expect("it starts");
        let locked = Broker::start(config(&[]), environment()).await;
        assert!(
            matches!(locked, Err(StartError::Directory(_))),
            "{locked:?}"
        );
        broker.stop().await.expect("it stops");
        let other = Broker::start(config(&[("node.id", "7")]), environment()).await;
        assert!(matches!(other, Err(StartError::Directory(_))), "{other:?}");
        let broker = Broker::start(config(&[]), environment()).await;
        broker
            .expect("it starts again")
            .stop()
            .await
            .expect("it stops");
    });
    assert_eq!(Arc::strong_count(&disk), 1);
}
