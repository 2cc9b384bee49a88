//! A broker with several log directories, each on a device of its own that fails, fills up, hangs or
//! is gone when a test says so.

use std::path::Path;
use std::sync::Arc;

use milena::broker::{Broker, BrokerHandle, Environment};
use milena::config::ServerConfig;
use milena::model::{DirectoryId, Offset};
use milena::storage::disk::{Call, Disk, FaultyDisk, MemoryDisk, MountedDisk};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::binary::{array, request, text};

const ALTER_REPLICA_LOG_DIRS: i16 = 34;
const DESCRIBE_LOG_DIRS: i16 = 35;
const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
const DELETE_TOPICS: i16 = 20;
const METADATA: i16 = 3;

/// The devices of a machine.
struct Machine {
    disk: MountedDisk,
    metadata: FaultyDisk,
    a: FaultyDisk,
    b: FaultyDisk,
    memories: Vec<MemoryDisk>,
}

impl Machine {
    /// `/m` for the metadata and two devices for data.
    fn new() -> Machine {
        let memories: Vec<MemoryDisk> = (0..3).map(|_| MemoryDisk::new()).collect();
        let device = |at: usize| FaultyDisk::new(Arc::new(memories[at].clone()));
        let (metadata, a, b) = (device(0), device(1), device(2));
        let disk = MountedDisk::new(vec![
            ("/m", Arc::new(metadata.clone()) as Arc<dyn Disk>),
            ("/a", Arc::new(a.clone())),
            ("/b", Arc::new(b.clone())),
        ]);
        Machine {
            disk,
            metadata,
            a,
            b,
            memories,
        }
    }

    async fn try_start(&self, log_dirs: &str) -> Result<BrokerHandle, String> {
        self.start_with(&[("log.dirs", log_dirs)]).await
    }

    async fn start_with(&self, pairs: &[(&str, &str)]) -> Result<BrokerHandle, String> {
        let mut all = vec![("metadata.log.dir", "/m")];
        all.extend(pairs);
        let config = ServerConfig::embedded(&all).expect("a configuration");
        let environment = Environment {
            disk: Arc::new(self.disk.clone()),
            ..Environment::system()
        };
        let started = Broker::spawn(config, environment).await;
        started.map_err(|error| error.to_string())
    }

    async fn start(&self, log_dirs: &str) -> BrokerHandle {
        self.try_start(log_dirs).await.expect("it starts")
    }
}

/// The directories of partitions, but for those that wait for their end.
fn partitions(machine: &Machine, at: &str) -> Vec<String> {
    let entries = machine.disk.list(Path::new(at)).expect("it is there");
    let directories = entries.into_iter().filter(|entry| entry.is_directory);
    let names = directories.map(|entry| entry.name);
    names.filter(|name| !name.ends_with("-delete")).collect()
}

async fn write(
    broker: &BrokerHandle,
    topic: &str,
    partition: i32,
    value: &str,
) -> Result<i64, String> {
    let partition = broker.partition(topic, partition);
    let offset = partition.append_record(None, Some(value.as_bytes())).await;
    offset
        .map(|offset| offset.0)
        .map_err(|error| error.to_string())
}

/// Every record's value.
async fn read(broker: &BrokerHandle, topic: &str, index: i32) -> Result<Vec<String>, String> {
    let partition = broker.partition(topic, index);
    let (mut found, mut offset) = (Vec::new(), Offset(0));
    loop {
        let read = partition.read(offset, 1 << 20).await;
        let read = read.map_err(|error| error.to_string())?;
        if read.is_empty() {
            return Ok(found);
        }
        offset = read.next_offset;
        for record in read.records().expect("whole batches") {
            assert_eq!(record.offset.0, found.len() as i64, "no gap and no copy");
            let value = record.value.unwrap_or_default();
            found.push(String::from_utf8_lossy(&value).into_owned());
        }
    }
}

fn values(count: usize) -> Vec<String> {
    (0..count).map(|at| format!("value {at}")).collect()
}

async fn fill(broker: &BrokerHandle, topic: &str, partition: i32, from: usize, to: usize) {
    for at in from..to {
        let offset = write(broker, topic, partition, &format!("value {at}")).await;
        assert_eq!(offset, Ok(at as i64));
    }
}

async fn ask(broker: &BrokerHandle, api: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut connection = broker.connect().expect("a connection");
    let asked = connection.write_all(&request(api, version, body)).await;
    asked.expect("it is read");
    let size = connection.read_u32().await.expect("an answer");
    let mut answer = vec![0; size as usize];
    connection.read_exact(&mut answer).await.expect("all of it");
    answer.split_off(4)
}

/// Asks for one partition to be moved; the error.
async fn alter(broker: &BrokerHandle, topic: &str, partition: i32, to: &str) -> i16 {
    let topic = [text(topic), array(&[partition.to_be_bytes().to_vec()])].concat();
    let body = array(&[[text(to), array(&[topic])].concat()]);
    let answer = ask(broker, ALTER_REPLICA_LOG_DIRS, 1, &body).await;
    i16::from_be_bytes(answer[answer.len() - 2..].try_into().expect("two bytes"))
}

async fn delete(broker: &BrokerHandle, topic: &str) {
    let body = [array(&[text(topic)]), 10_000i32.to_be_bytes().to_vec()].concat();
    let answer = ask(broker, DELETE_TOPICS, 1, &body).await;
    assert_eq!(answer[answer.len() - 2..], [0, 0]);
}

/// Reads an answer.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, tail) = self.0.split_at(N);
        self.0 = tail;
        head.try_into().expect("as many")
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn text(&mut self) -> String {
        let length = usize::from(u16::from_be_bytes(self.take()));
        let (head, tail) = self.0.split_at(length);
        self.0 = tail;
        String::from_utf8_lossy(head).into_owned()
    }
}

/// A line for each directory: path, error, partitions with lag, copies with a plus.
async fn describe(broker: &BrokerHandle) -> Vec<String> {
    let answer = ask(broker, DESCRIBE_LOG_DIRS, 1, &(-1i32).to_be_bytes()).await;
    let mut reader = Reader(&answer);
    reader.int();
    let mut lines = Vec::new();
    for _ in 0..reader.int() {
        let error = i16::from_be_bytes(reader.take());
        let path = reader.text();
        let mut line = match error {
            0 => format!("{path}:"),
            error => format!("{path}: error {error}"),
        };
        for _ in 0..reader.int() {
            let topic = reader.text();
            for _ in 0..reader.int() {
                let index = reader.int();
                let _size = i64::from_be_bytes(reader.take());
                let lag = i64::from_be_bytes(reader.take());
                let plus = if reader.take() == [1] { "+" } else { "" };
                line.push_str(&format!(" {plus}{topic}-{index}={lag}"));
            }
        }
        lines.push(line);
    }
    lines
}

/// Waits until the directories are described so.
async fn until_described(broker: &BrokerHandle, wanted: &[&str]) {
    for _ in 0..2000 {
        if describe(broker).await == wanted {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{:?} and not {wanted:?}", describe(broker).await);
}

/// In which directory the metadata has a partition, and who leads it, once it is so.
async fn until_recorded(
    broker: &BrokerHandle,
    topic: &str,
    index: i32,
    leader: i32,
) -> DirectoryId {
    for _ in 0..2000 {
        let image = broker.image();
        let found = image.topic(topic).and_then(|t| t.partition(index).cloned());
        if let Some(found) = found.filter(|p| p.leader.0 == leader && !p.directories[0].is_zero()) {
            return found.directories[0];
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("{:?}", broker.image().topic(topic));
}

async fn set(broker: &BrokerHandle, key: &str, value: &str) -> i16 {
    let resource = [
        vec![4],
        text("1"),
        array(&[[text(key), vec![0], text(value)].concat()]),
    ];
    let body = [array(&[resource.concat()]), vec![0]].concat();
    let answer = ask(broker, INCREMENTAL_ALTER_CONFIGS, 0, &body).await;
    i16::from_be_bytes(answer[8..10].try_into().expect("two bytes"))
}

#[tokio::test]
async fn new_partitions_go_to_the_emptiest_directory_and_the_metadata_says_where() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    broker.create_topic("t", 4, &[]).await.expect("it is new");
    let mut directories = Vec::new();
    for index in 0..4 {
        fill(&broker, "t", index, 0, 1).await;
        directories.push(until_recorded(&broker, "t", index, 1).await);
    }
    assert_eq!(
        describe(&broker).await,
        ["/a: t-0=0 t-2=0", "/b: t-1=0 t-3=0"]
    );
    assert_eq!(
        (directories[0], directories[1]),
        (directories[2], directories[3])
    );
    assert_ne!(directories[0], directories[1]);
    broker.stop().await.expect("it stops");
    let broker = machine.start("/a,/b,/b/more").await;
    broker.create_topic("u", 2, &[]).await.expect("it is new");
    fill(&broker, "u", 0, 0, 1).await;
    fill(&broker, "u", 1, 0, 1).await;
    assert_eq!(
        partitions(&machine, "/b/more"),
        ["u-0", "u-1"],
        "a new directory is empty"
    );
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_partition_whose_directory_is_missing_waits_for_it() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    broker.create_topic("t", 2, &[]).await.expect("it is new");
    for index in 0..2 {
        fill(&broker, "t", index, 0, 3).await;
        until_recorded(&broker, "t", index, 1).await;
    }
    broker.stop().await.expect("it stops");
    for _ in 0..2 {
        let broker = machine.start("/a").await;
        until_recorded(&broker, "t", 1, -1).await;
        assert_eq!(read(&broker, "t", 0).await, Ok(values(3)));
        let refused = write(&broker, "t", 1, "lost?").await;
        assert!(refused.is_err(), "{refused:?}");
        assert!(read(&broker, "t", 1).await.is_err());
        assert_eq!(alter(&broker, "t", 1, "/a").await, 56);
        broker.stop().await.expect("it stops");
        assert_eq!(partitions(&machine, "/a"), ["t-0"], "nothing is made anew");
    }
    let broker = machine.start("/a,/b").await;
    until_recorded(&broker, "t", 1, 1).await;
    assert_eq!(read(&broker, "t", 1).await, Ok(values(3)));
    fill(&broker, "t", 1, 3, 5).await;
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_partition_moves_while_it_is_written_to_and_read() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    let small = [("segment.bytes", "1048576")];
    broker
        .create_topic("t", 1, &small)
        .await
        .expect("it is new");
    fill(&broker, "t", 0, 0, 200).await;
    let before = until_recorded(&broker, "t", 0, 1).await;
    let mut written = 200;
    for (to, described) in [
        ("/b", ["/a:", "/b: t-0=0"]),
        ("/a", ["/a: t-0=0", "/b:"]),
        ("/b", ["/a:", "/b: t-0=0"]),
    ] {
        assert_eq!(alter(&broker, "t", 0, to).await, 0);
        fill(&broker, "t", 0, written, written + 100).await;
        written += 100;
        assert_eq!(read(&broker, "t", 0).await, Ok(values(written)));
        until_described(&broker, &described).await;
    }
    fill(&broker, "t", 0, written, written + 10).await;
    assert_eq!(read(&broker, "t", 0).await, Ok(values(written + 10)));
    assert_ne!(until_recorded(&broker, "t", 0, 1).await, before);
    broker.stop().await.expect("it stops");
    assert_eq!(partitions(&machine, "/b"), ["t-0"]);
    let broker = machine.start("/a,/b").await;
    assert_eq!(read(&broker, "t", 0).await, Ok(values(written + 10)));
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn what_cannot_be_moved_is_refused_in_kafkas_words_and_a_wish_is_remembered() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    broker.create_topic("t", 1, &[]).await.expect("it is new");
    let long = "l".repeat(220);
    assert_eq!(alter(&broker, "t", 0, "/nowhere").await, 57);
    assert_eq!(alter(&broker, "t", 7, "/b").await, 3);
    assert_eq!(alter(&broker, &long, 0, "/b").await, 17);
    assert_eq!(alter(&broker, "to come", 0, "/b").await, 17);
    assert_eq!(alter(&broker, "coming", 0, "/a").await, 3);
    assert_eq!(alter(&broker, "t", 0, "/a").await, 0, "it is there already");
    broker
        .create_topic("coming", 1, &[])
        .await
        .expect("it is new");
    assert_eq!(describe(&broker).await, ["/a: coming-0=0 t-0=0", "/b:"]);
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_throttled_move_shows_how_far_it_is_and_can_be_called_off() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    broker.create_topic("t", 1, &[]).await.expect("it is new");
    fill(&broker, "t", 0, 0, 50).await;
    let rate = "replica.alter.log.dirs.io.max.bytes.per.second";
    assert_eq!(set(&broker, rate, "0").await, 0);
    assert_eq!(alter(&broker, "t", 0, "/b").await, 0);
    until_described(&broker, &["/a: t-0=0", "/b: +t-0=50"]).await;
    let copy = partitions(&machine, "/b").pop().expect("a copy");
    assert!(
        copy.starts_with("t-0.") && copy.ends_with("-future"),
        "{copy}"
    );
    assert_eq!(alter(&broker, "t", 0, "/a").await, 0);
    until_described(&broker, &["/a: t-0=0", "/b:"]).await;
    assert_eq!(alter(&broker, "t", 0, "/b").await, 0);
    assert_eq!(set(&broker, rate, "1000000000").await, 0);
    until_described(&broker, &["/a:", "/b: t-0=0"]).await;
    assert_eq!(read(&broker, "t", 0).await, Ok(values(50)));
    broker.stop().await.expect("it stops");
    assert_eq!(partitions(&machine, "/b"), ["t-0"]);
}

#[tokio::test]
async fn a_move_that_a_stop_interrupts_goes_on_and_a_deleted_topic_takes_its_copy_along() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    for topic in ["kept", "gone"] {
        broker
            .create_topic(topic, 1, &[("file.delete.delay.ms", "0")])
            .await
            .expect("it is new");
        fill(&broker, topic, 0, 0, 20).await;
        until_recorded(&broker, topic, 0, 1).await;
    }
    let rate = "replica.alter.log.dirs.io.max.bytes.per.second";
    assert_eq!(set(&broker, rate, "0").await, 0);
    assert_eq!(alter(&broker, "kept", 0, "/b").await, 0);
    assert_eq!(alter(&broker, "gone", 0, "/a").await, 0);
    until_described(
        &broker,
        &["/a: +gone-0=20 kept-0=0", "/b: gone-0=0 +kept-0=20"],
    )
    .await;
    delete(&broker, "gone").await;
    until_described(&broker, &["/a: kept-0=0", "/b: +kept-0=20"]).await;
    broker.stop().await.expect("it stops");
    let broker = machine.start("/a,/b").await;
    until_described(&broker, &["/a: kept-0=0", "/b: +kept-0=20"]).await;
    assert_eq!(set(&broker, rate, "1000000000").await, 0);
    until_described(&broker, &["/a:", "/b: kept-0=0"]).await;
    assert_eq!(read(&broker, "kept", 0).await, Ok(values(20)));
    broker.stop().await.expect("it stops");
    assert_eq!(partitions(&machine, "/b"), ["kept-0"]);
}

#[tokio::test]
async fn a_cordoned_directory_takes_no_new_partitions_and_no_moves() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    assert_eq!(set(&broker, "cordoned.log.dirs", "/c").await, 42);
    assert_eq!(set(&broker, "cordoned.log.dirs", "/a").await, 0);
    broker.create_topic("t", 3, &[]).await.expect("it is new");
    assert_eq!(describe(&broker).await, ["/a:", "/b: t-0=0 t-1=0 t-2=0"]);
    assert_eq!(alter(&broker, "t", 0, "/a").await, 39);
    assert_eq!(set(&broker, "cordoned.log.dirs", "*").await, 0);
    let image = || broker.image();
    for _ in 0..2000 {
        if image().brokers.values().all(|broker| broker.is_cordoned()) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let refused = broker
        .create_topic("u", 1, &[])
        .await
        .expect_err("nowhere to go");
    assert!(refused.to_string().contains("cordoned"), "{refused}");
    assert_eq!(set(&broker, "cordoned.log.dirs", "").await, 0);
    assert_eq!(alter(&broker, "t", 0, "/a").await, 0);
    until_described(&broker, &["/a: t-0=0", "/b: t-1=0 t-2=0"]).await;
    broker.stop().await.expect("it stops");
}

/// Error, leader and offline replicas of a topic's only or second partition, as Metadata v5 tells.
async fn shown(broker: &BrokerHandle, topic: &str) -> Vec<(i16, i32, usize)> {
    let body = [array(&[text(topic)]), vec![0]].concat();
    let answer = ask(broker, METADATA, 5, &body).await;
    let mut reader = Reader(&answer);
    reader.int();
    for _ in 0..reader.int() {
        reader.int();
        reader.text();
        reader.int();
        assert_eq!(i16::from_be_bytes(reader.take()), -1, "no rack");
    }
    reader.text();
    reader.int();
    assert_eq!(reader.int(), 1);
    let (_error, _name, _internal) = (reader.take::<2>(), reader.text(), reader.take::<1>());
    let mut partitions: Vec<(i32, (i16, i32, usize))> = Vec::new();
    for _ in 0..reader.int() {
        let error = i16::from_be_bytes(reader.take());
        let (index, leader) = (reader.int(), reader.int());
        let mut lengths = [0; 3];
        for length in &mut lengths {
            let count = reader.int();
            for _ in 0..count {
                reader.int();
            }
            *length = usize::try_from(count).expect("not negative");
        }
        partitions.push((index, (error, leader, lengths[2])));
    }
    partitions.sort_unstable();
    partitions.into_iter().map(|(_, shown)| shown).collect()
}

#[tokio::test]
async fn a_directory_that_fails_goes_offline_with_its_partitions_and_the_rest_lives() {
    for call in [Call::Write, Call::Sync, Call::Truncate] {
        let machine = Machine::new();
        let broker = machine.start("/a,/b").await;
        let durable = [("flush.messages", "1"), ("segment.bytes", "1048576")];
        broker
            .create_topic("t", 2, &durable)
            .await
            .expect("it is new");
        for index in 0..2 {
            fill(&broker, "t", index, 0, 10).await;
            until_recorded(&broker, "t", index, 1).await;
        }
        if call == Call::Truncate {
            // Closing a log that has more blocks than it needs cuts it.
            machine.b.fail_after(Call::Name, 0);
            assert_eq!(alter(&broker, "t", 0, "/b").await, 0);
        } else {
            machine.b.fail_after(call, 0);
            let refused = write(&broker, "t", 1, "unknown").await;
            assert!(refused.is_err(), "{refused:?}");
        }
        until_recorded(&broker, "t", 1, -1).await;
        assert_eq!(describe(&broker).await, ["/a: t-0=0", "/b: error 56"]);
        assert_eq!(shown(&broker, "t").await, [(0, 1, 0), (5, -1, 1)]);
        assert!(write(&broker, "t", 1, "refused").await.is_err());
        assert!(read(&broker, "t", 1).await.is_err());
        assert_eq!(alter(&broker, "t", 0, "/b").await, 56);
        assert_eq!(alter(&broker, "t", 1, "/a").await, 56);
        fill(&broker, "t", 0, 10, 20).await;
        broker.create_topic("new", 2, &[]).await.expect("it is new");
        fill(&broker, "new", 1, 0, 3).await;
        assert_eq!(read(&broker, "t", 0).await, Ok(values(20)));
        broker.stop().await.expect("it stops");
        machine.b.repair();
        let broker = machine.start("/a,/b").await;
        until_recorded(&broker, "t", 1, 1).await;
        let found = read(&broker, "t", 1).await.expect("it is back");
        assert_eq!(found[..10], values(10), "{call:?}");
        fill(&broker, "t", 0, 20, 21).await;
        broker.stop().await.expect("it stops");
    }
}

#[tokio::test]
async fn a_broker_ends_when_its_last_directory_or_that_of_the_metadata_fails() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    let durable = [("flush.messages", "1")];
    broker
        .create_topic("t", 2, &durable)
        .await
        .expect("it is new");
    for index in 0..2 {
        fill(&broker, "t", index, 0, 1).await;
        until_recorded(&broker, "t", index, 1).await;
    }
    machine.b.fail_after(Call::Sync, 0);
    assert!(write(&broker, "t", 1, "unknown").await.is_err());
    until_recorded(&broker, "t", 1, -1).await;
    machine.a.fail_after(Call::Sync, 0);
    assert!(write(&broker, "t", 0, "unknown").await.is_err());
    let fatal = broker.failed().await.to_string();
    assert!(
        fatal.contains("all its log directories have failed"),
        "{fatal}"
    );
    drop(broker);
    let machine = Machine::new();
    let broker = machine
        .start_with(&[("log.dirs", "/a,/b"), ("metadata.log.dir", "/a")])
        .await;
    let broker = broker.expect("it starts");
    broker
        .create_topic("t", 1, &durable)
        .await
        .expect("it is new");
    fill(&broker, "t", 0, 0, 1).await;
    machine.a.fail_after(Call::Sync, 0);
    assert!(write(&broker, "t", 0, "unknown").await.is_err());
    let fatal = broker.failed().await.to_string();
    assert!(fatal.contains("/a"), "{fatal}");
}

#[tokio::test]
async fn a_start_leaves_out_directories_that_cannot_be_used_but_none_of_another_cluster() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    broker.create_topic("t", 2, &[]).await.expect("it is new");
    for index in 0..2 {
        fill(&broker, "t", index, 0, 3).await;
        until_recorded(&broker, "t", index, 1).await;
    }
    broker.stop().await.expect("it stops");
    machine.b.fail_after(Call::Name, 0);
    let broker = machine.start("/a,/b").await;
    assert_eq!(describe(&broker).await, ["/a: t-0=0", "/b: error 56"]);
    until_recorded(&broker, "t", 1, -1).await;
    assert_eq!(alter(&broker, "t", 0, "/b").await, 56);
    assert_eq!(read(&broker, "t", 0).await, Ok(values(3)));
    broker.create_topic("u", 2, &[]).await.expect("it is new");
    fill(&broker, "u", 1, 0, 1).await;
    broker.stop().await.expect("it stops");
    machine.a.fail_after(Call::Name, 0);
    let refused = machine
        .try_start("/a,/b")
        .await
        .expect_err("no directory is left");
    assert!(refused.contains("log.dirs"), "{refused}");
    machine.a.repair();
    machine.b.repair();
    let broker = machine.start("/a,/b").await;
    assert_eq!(read(&broker, "t", 1).await, Ok(values(3)));
    broker.stop().await.expect("it stops");
    // Of another cluster, and a copy.
    let other = Machine::new();
    other.start("/a,/b").await.stop().await.expect("it stops");
    let strange = MountedDisk::new(vec![
        ("/m", Arc::new(machine.metadata.clone()) as Arc<dyn Disk>),
        ("/a", Arc::new(machine.a.clone())),
        ("/b", Arc::new(other.b.clone())),
    ]);
    let strange = Machine {
        disk: strange,
        ..machine
    };
    let refused = strange
        .try_start("/a,/b")
        .await
        .expect_err("of another cluster");
    assert!(refused.contains("cluster"), "{refused}");
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_takes_them_again_when_there_is_space() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    let small = [("segment.bytes", "1048576"), ("flush.messages", "1")];
    broker
        .create_topic("t", 2, &small)
        .await
        .expect("it is new");
    for index in 0..2 {
        fill(&broker, "t", index, 0, 5).await;
    }
    for space in [0, 1, 40, 100, 1000] {
        let before = read(&broker, "t", 0).await.expect("it is there").len();
        machine.a.limit_space(Some(space));
        let mut refused = None;
        let mut at = before;
        while refused.is_none() && at < before + 100 {
            match write(&broker, "t", 0, &format!("value {at}")).await {
                Ok(_) => at += 1,
                Err(error) => refused = Some(error),
            }
        }
        let refused = refused.expect("it is full");
        assert!(refused.contains("no space"), "{refused}");
        let beside = read(&broker, "t", 1).await.expect("it is there").len();
        fill(&broker, "t", 1, beside, beside + 3).await;
        assert_eq!(read(&broker, "t", 0).await, Ok(values(at)), "{space}");
        // Made all the same: its files come with the first record.
        let name = format!("full-{space}");
        broker.create_topic(&name, 2, &[]).await.expect("it is new");
        assert_eq!(describe(&broker).await.len(), 2);
        machine.a.limit_space(None);
        fill(&broker, "t", 0, at, at + 3).await;
        for index in 0..2 {
            fill(&broker, &name, index, 0, 1).await;
        }
    }
    // A move waits for space.
    machine.b.limit_space(Some(10));
    assert_eq!(alter(&broker, "t", 0, "/b").await, 0);
    let count = read(&broker, "t", 0).await.expect("it is there").len();
    fill(&broker, "t", 0, count, count + 5).await;
    machine.b.limit_space(None);
    broker.stop().await.expect("it stops");
    let broker = machine.start("/a,/b").await;
    assert_eq!(read(&broker, "t", 0).await, Ok(values(count + 5)));
    broker.stop().await.expect("it stops");
}

#[tokio::test]
async fn a_full_metadata_disk_refuses_changes_and_the_broker_lives() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    broker.create_topic("t", 1, &[]).await.expect("it is new");
    fill(&broker, "t", 0, 0, 5).await;
    machine.metadata.limit_space(Some(0));
    let mut refused = Ok(Default::default());
    for at in 0..2_000 {
        if refused.is_ok() {
            refused = broker.create_topic(&format!("u{at}"), 1, &[]).await;
        }
    }
    fill(&broker, "t", 0, 5, 10).await;
    assert_eq!(read(&broker, "t", 0).await, Ok(values(10)));
    machine.metadata.limit_space(None);
    let refused = refused.expect_err("it is full").to_string();
    assert!(refused.contains("full"), "{refused}");
    for _ in 0..1000 {
        if broker.create_topic("v", 1, &[]).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    broker
        .create_topic("w", 1, &[])
        .await
        .expect("there is space");
    fill(&broker, "v", 0, 0, 5).await;
    broker.stop().await.expect("it stops");
    let broker = machine.start("/a,/b").await;
    assert_eq!(read(&broker, "v", 0).await, Ok(values(5)));
    broker.stop().await.expect("it stops");
}

/// A broker is ended at a call to its disks during a move; what it acknowledged must be there.
async fn ended_in_the_middle_of_a_move(calls: u64, with_power: bool) {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    let durable = [("flush.messages", "1"), ("segment.bytes", "1048576")];
    broker
        .create_topic("t", 1, &durable)
        .await
        .expect("it is new");
    fill(&broker, "t", 0, 0, 20).await;
    until_recorded(&broker, "t", 0, 1).await;
    machine.disk.stop_after(Some(calls));
    let begun = alter(&broker, "t", 0, "/b").await;
    let mut acknowledged = 20;
    for at in 20..40 {
        if write(&broker, "t", 0, &format!("value {at}"))
            .await
            .is_err()
        {
            break;
        }
        acknowledged = at + 1;
    }
    for _ in 0..50 {
        if machine.disk.is_off() || begun == 0 && describe(&broker).await == ["/a:", "/b: t-0=0"] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    machine.disk.stop_after(Some(0));
    // Nothing it does any more leaves a trace.
    drop(broker.stop().await);
    if !with_power {
        for memory in &machine.memories {
            memory.lose_power(&mut |_, _| 0);
        }
    }
    machine.disk.stop_after(None);
    let broker = machine.start("/a,/b").await;
    until_recorded(&broker, "t", 0, 1).await;
    let found = read(&broker, "t", 0).await.expect("it is there");
    let place = format!("after {calls} calls");
    assert!(
        found.len() >= acknowledged,
        "{place}: {} of {acknowledged}",
        found.len()
    );
    assert_eq!(found, values(found.len()), "{place}");
    fill(&broker, "t", 0, found.len(), found.len() + 5).await;
    // What was begun goes on, or was not begun.
    assert_eq!(alter(&broker, "t", 0, "/b").await, 0);
    until_described(&broker, &["/a:", "/b: t-0=0"]).await;
    assert_eq!(
        read(&broker, "t", 0).await,
        Ok(values(found.len() + 5)),
        "{place}"
    );
    broker.stop().await.expect("it stops");
    let live = |at| {
        partitions(&machine, at)
            .into_iter()
            .filter(|name| !name.ends_with("-stray"))
    };
    assert_eq!(live("/a").count(), 0, "{place}");
    assert_eq!(live("/b").collect::<Vec<_>>(), ["t-0"], "{place}");
}

/// Longer than any of these lives, on a machine that is busy.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);

/// Every call in turn: `MILENA_CALLS=1`.
fn steps() -> usize {
    let every = std::env::var("MILENA_CALLS").ok();
    every.and_then(|text| text.parse().ok()).unwrap_or(17)
}

#[tokio::test]
async fn a_broker_that_is_killed_in_the_middle_of_a_move_finds_the_right_log() {
    for calls in (0..240).step_by(steps()) {
        let life = ended_in_the_middle_of_a_move(calls, true);
        tokio::time::timeout(LONG, life)
            .await
            .expect("no wait without an end");
    }
}

#[tokio::test]
async fn a_loss_of_power_in_the_middle_of_a_move_takes_nothing_that_was_acknowledged() {
    for calls in (4..240).step_by(steps()) {
        let life = ended_in_the_middle_of_a_move(calls, false);
        tokio::time::timeout(LONG, life)
            .await
            .expect("no wait without an end");
    }
}

#[tokio::test]
async fn a_directory_that_hangs_does_not_hold_up_the_others() {
    let machine = Machine::new();
    let broker = machine.start("/a,/b").await;
    let rate = "replica.alter.log.dirs.io.max.bytes.per.second";
    broker
        .create_topic("t", 2, &[("segment.bytes", "1048576")])
        .await
        .expect("it is new");
    for index in 0..2 {
        fill(&broker, "t", index, 0, 5).await;
        until_recorded(&broker, "t", index, 1).await;
    }
    machine.disk.hang("/b");
    // A copy that waits for the disk, and a question that does.
    assert_eq!(alter(&broker, "t", 0, "/b").await, 0);
    fill(&broker, "t", 0, 5, 50).await;
    assert_eq!(read(&broker, "t", 0).await, Ok(values(50)));
    assert_eq!(set(&broker, rate, "1000000000").await, 0);
    machine.disk.go_on("/b");
    until_described(&broker, &["/a:", "/b: t-0=0 t-1=0"]).await;
    assert_eq!(read(&broker, "t", 0).await, Ok(values(50)));
    fill(&broker, "t", 1, 5, 10).await;
    broker.stop().await.expect("it stops");
}
