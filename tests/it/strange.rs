//! What a person, or a crash, left in a log directory: named in a warning, left alone, and the broker
//! lives. What makes a partition unsafe to serve stops that partition.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use milena::model::Timestamp;
use milena::record::{BatchBuilder, Scratch, batches, records};
use rustix::process::Signal;
use tempfile::tempdir;

use crate::binary::{Client, Server, array, text};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const KAFKA_STORAGE_ERROR: i16 = 56;
const FIRST: &str = "00000000000000000000.log";

/// Asks for topics until they are there.
fn create(client: &mut Client, topics: &[&str]) {
    for topic in topics {
        let ask = [array(&[text(topic)]), vec![1]].concat();
        let name = text(topic);
        loop {
            let answer = client.ask(METADATA, 4, &ask);
            let place = answer.windows(name.len()).rposition(|part| part == name);
            let place = place.expect("the topic is answered");
            if answer[place - 2..place] == [0, 0] {
                break;
            }
        }
    }
}

/// Produces one record with acks=all; error and offset of the answer.
fn produce(client: &mut Client, topic: &str, value: &str) -> (i16, i64) {
    let mut builder = BatchBuilder::new();
    let timestamp = Timestamp(i64::try_from(value.len()).expect("short"));
    builder.append(timestamp, None, Some(value.as_bytes()), &[]);
    let batch = builder.build().expect("a batch");
    let length = i32::try_from(batch.len()).expect("small").to_be_bytes();
    let partition = [&[0; 4][..], &length, &batch].concat();
    let topics = array(&[[text(topic), array(&[partition])].concat()]);
    let head = [
        &(-1i16).to_be_bytes()[..],
        &(-1i16).to_be_bytes(),
        &10_000i32.to_be_bytes(),
    ];
    let answer = client.ask(PRODUCE, 7, &[head.concat(), topics].concat());
    let at = 4 + 2 + topic.len() + 4 + 4;
    let error = i16::from_be_bytes(answer[at..at + 2].try_into().expect("two bytes"));
    let offset = i64::from_be_bytes(answer[at + 2..at + 10].try_into().expect("eight bytes"));
    (error, offset)
}

/// Every value from an offset on, or the error.
fn fetch(client: &mut Client, topic: &str, from: i64) -> Result<Vec<String>, i16> {
    let mut ask = Vec::new();
    for number in [-1, 0, 0, i32::MAX] {
        ask.extend(i32::to_be_bytes(number));
    }
    ask.push(0);
    let partition = [&[0; 4][..], &from.to_be_bytes(), &i32::MAX.to_be_bytes()].concat();
    ask.extend(array(&[[text(topic), array(&[partition])].concat()]));
    let answer = client.ask(FETCH, 4, &ask);
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    let error = i16::from_be_bytes(answer[at..at + 2].try_into().expect("two bytes"));
    if error != 0 {
        return Err(error);
    }
    let (mut found, mut scratch) = (Vec::new(), Scratch::new());
    for batch in batches(&answer[at + 2 + 8 + 8 + 4 + 4..]) {
        let (header, batch) = batch.expect("a batch");
        let mut reader = records(&header, batch, 1 << 20, &mut scratch).expect("records");
        while let Some(record) = reader.next().expect("a record") {
            let offset = header.base_offset.0 + i64::from(record.offset_delta);
            if offset >= from {
                let value = record.value.unwrap_or_default().to_vec();
                found.push(String::from_utf8(value).expect("text"));
            }
        }
    }
    Ok(found)
}

/// The end of a partition's log, or the error.
fn end(client: &mut Client, topic: &str) -> Result<i64, i16> {
    let partition = [&[0; 4][..], &(-1i64).to_be_bytes()].concat();
    let topics = array(&[[text(topic), array(&[partition])].concat()]);
    let ask = [&(-1i32).to_be_bytes()[..], &topics].concat();
    let answer = client.ask(LIST_OFFSETS, 1, &ask);
    let at = 4 + 2 + topic.len() + 4 + 4;
    match i16::from_be_bytes(answer[at..at + 2].try_into().expect("two bytes")) {
        0 => Ok(i64::from_be_bytes(
            answer[at + 10..at + 18].try_into().expect("eight bytes"),
        )),
        error => Err(error),
    }
}

/// Runs a broker, makes topics with three records each, and ends it in this way.
fn a_life(dir: &Path, topics: &[&str], how: Signal) {
    let server = Server::start(dir, &[]);
    let mut client = server.connect();
    create(&mut client, topics);
    for topic in topics {
        for n in 0..3 {
            assert_eq!(produce(&mut client, topic, &format!("record {n}")), (0, n));
        }
    }
    server.signal(how);
    server.ended();
}

/// Everything below a directory but what a running broker writes itself, with its bytes.
fn tree(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).expect("a directory") {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("there").file_type();
        if kind.is_dir() {
            found.extend(tree(&path));
        } else if kind.is_symlink() {
            let target = fs::read_link(&path).expect("a link");
            found.push((path, target.as_os_str().as_bytes().to_vec()));
        } else {
            let bytes = fs::read(&path).expect("a file");
            found.push((path, bytes));
        }
    }
    found.sort();
    found
}

fn values(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("record {n}")).collect()
}

#[test]
fn strange_files_are_named_and_left_alone_and_their_partitions_served() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let outside = dir.path().join("precious");
    fs::write(&outside, "not ours").unwrap();
    for how in [Signal::KILL, Signal::TERM] {
        a_life(dir.path(), &[&format!("t{}", how.as_raw())], how);
        let topic = format!("t{}", how.as_raw());
        let partition = data.join(format!("{topic}-0"));
        let put = [
            data.join(format!("notes-{topic}.txt")),
            partition.join("README"),
            partition.join("1.log"),
            partition.join("99999999999999999999.log"),
            partition.join("00000000000000000000.log.bak"),
            partition.join(std::ffi::OsStr::from_bytes(b"not \xff utf-8")),
            data.join(std::ffi::OsStr::from_bytes(b"\xfe-0")),
        ];
        for path in &put {
            fs::write(path, "a person's").unwrap();
        }
        let directories = [data.join("somebody"), partition.join("inside")];
        for path in &directories {
            fs::create_dir(path).ok();
            fs::write(path.join("x"), "x").unwrap();
        }
        let links = [data.join(format!("{topic}-9")), partition.join("link")];
        for link in &links {
            symlink(&outside, link).unwrap();
        }
        let server = Server::start(dir.path(), &[]);
        let mut client = server.connect();
        assert_eq!(fetch(&mut client, &topic, 0), Ok(values(3)));
        assert_eq!(produce(&mut client, &topic, "record 3"), (0, 3));
        let log = server.stop();
        for path in put.iter().chain(&directories).chain(&links) {
            let name = path.file_name().unwrap().to_string_lossy();
            assert!(
                log.lines()
                    .any(|line| line.contains("WARN") && line.contains(&*name)),
                "{name} is not named in\n{log}"
            );
        }
        for path in &put {
            assert_eq!(fs::read(path).unwrap(), b"a person's", "{}", path.display());
            fs::remove_file(path).unwrap();
        }
        for link in &links {
            assert!(fs::symlink_metadata(link).unwrap().is_symlink());
            fs::remove_file(link).unwrap();
        }
        assert_eq!(fs::read_to_string(&outside).unwrap(), "not ours");
    }
}

#[test]
fn a_hundred_strange_files_make_a_few_lines() {
    let dir = tempdir().unwrap();
    a_life(dir.path(), &["t"], Signal::KILL);
    for n in 0..100 {
        fs::write(dir.path().join(format!("data/note {n}")), "x").unwrap();
        fs::write(dir.path().join(format!("data/t-0/note {n}")), "x").unwrap();
    }
    let server = Server::start(dir.path(), &[]);
    assert_eq!(fetch(&mut server.connect(), "t", 0), Ok(values(3)));
    let log = server.stop();
    let named = log.lines().filter(|line| line.contains("/note ")).count();
    assert!((2..=20).contains(&named), "{named}\n{log}");
    assert!(log.contains("90 more"), "{log}");
}

/// What is done to a partition's directory, and how that is called.
type Harm = (&'static str, fn(&Path));

#[test]
fn what_is_unsafe_to_serve_stops_its_partition_alone_and_is_not_changed() {
    let harms: [Harm; 6] = [
        ("linked", |path| {
            let elsewhere = path.with_file_name("elsewhere");
            fs::rename(path, &elsewhere).unwrap();
            symlink(&elsewhere, path).unwrap();
        }),
        ("afile", |path| {
            fs::remove_dir_all(path).unwrap();
            fs::write(path, "a file").unwrap();
        }),
        ("linkedsegment", |path| {
            let elsewhere = path.with_file_name("a segment elsewhere");
            fs::rename(path.join(FIRST), &elsewhere).unwrap();
            symlink(&elsewhere, path.join(FIRST)).unwrap();
        }),
        ("newermetadata", |path| {
            let newer = "version: 1\ntopic_id: K6EJy_rPQjG_pUpkOpoHFA\nmore: x";
            fs::write(path.join("partition.metadata"), newer).unwrap();
        }),
        ("newerepochs", |path| {
            fs::write(path.join("leader-epoch-checkpoint"), "1\n1\n0 0 more\n").unwrap();
        }),
        ("newerbatches", |path| {
            let mut bytes = fs::read(path.join(FIRST)).unwrap();
            // The magic of the second batch: all three are of one length.
            let second = bytes.len() / 3;
            bytes[second + 16] = 3;
            fs::write(path.join(FIRST), bytes).unwrap();
        }),
    ];
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let topics: Vec<&str> = harms.iter().map(|(topic, _)| *topic).collect();
    a_life(
        dir.path(),
        &[&topics[..], &["sound"]].concat(),
        Signal::KILL,
    );
    for (topic, harm) in &harms {
        harm(&data.join(format!("{topic}-0")));
    }
    let of_harmed = || {
        let mut files = tree(&data);
        files.retain(|(path, _)| {
            let path = path.to_string_lossy();
            path.contains("elsewhere") || topics.iter().any(|t| path.contains(&format!("/{t}-0")))
        });
        files
    };
    let before = of_harmed();
    for stop in [Signal::TERM, Signal::KILL] {
        let server = Server::start(dir.path(), &[]);
        let mut client = server.connect();
        for topic in &topics {
            let refused = (KAFKA_STORAGE_ERROR, -1);
            assert_eq!(produce(&mut client, topic, "no"), refused, "{topic}");
            assert_eq!(
                fetch(&mut client, topic, 0),
                Err(KAFKA_STORAGE_ERROR),
                "{topic}"
            );
            assert_eq!(end(&mut client, topic), Err(KAFKA_STORAGE_ERROR), "{topic}");
        }
        let found = fetch(&mut client, "sound", 0).unwrap();
        assert_eq!(found[..3], values(3));
        assert_eq!(produce(&mut client, "sound", "and on").0, 0);
        server.signal(stop);
        let (_, log) = server.ended();
        for topic in &topics {
            let said = |line: &str| line.contains(&format!("{topic}-0 is offline"));
            assert!(log.lines().any(said), "{topic}\n{log}");
        }
        assert_eq!(of_harmed(), before);
    }
}

#[test]
fn segments_put_into_a_closed_log_are_no_part_of_it() {
    let dir = tempdir().unwrap();
    let partition = dir.path().join("data/t-0");
    a_life(dir.path(), &["t"], Signal::TERM);
    let foreign = ["00000000000000000001.log", "00000000000000009999.log"];
    let empty = "00000000000000000777.log";
    for name in foreign {
        fs::copy(partition.join(FIRST), partition.join(name)).unwrap();
    }
    fs::write(partition.join(empty), "").unwrap();
    let bytes = fs::read(partition.join(FIRST)).unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect();
    assert_eq!(end(&mut client, "t"), Ok(3));
    assert_eq!(produce(&mut client, "t", "record 3"), (0, 3));
    assert_eq!(fetch(&mut client, "t", 0), Ok(values(4)));
    let log = server.stop();
    for name in foreign {
        assert!(log.contains(name), "{name}\n{log}");
        assert_eq!(fs::read(partition.join(name)).unwrap(), bytes);
    }
    assert!(log.contains(empty), "{log}");
    assert_eq!(fs::read(partition.join(empty)).unwrap(), b"");
}

#[test]
fn what_is_half_made_or_half_deleted_is_settled() {
    let dir = tempdir().unwrap();
    let data = dir.path().join("data");
    let topics = ["empty", "onlytmp", "nameless", "gone", "torn", "noindexes"];
    a_life(dir.path(), &topics, Signal::KILL);
    let clear = |topic: &str| {
        let path = data.join(format!("{topic}-0"));
        fs::remove_dir_all(&path).unwrap();
        fs::create_dir(&path).unwrap();
        path
    };
    clear("empty");
    let path = clear("onlytmp");
    fs::write(path.join("partition.metadata.tmp"), "version").unwrap();
    fs::write(path.join("leader-epoch-checkpoint.tmp"), "0\n").unwrap();
    fs::remove_file(data.join("nameless-0/partition.metadata")).unwrap();
    fs::remove_dir_all(data.join("gone-0")).unwrap();
    let torn = data.join("torn-0").join(FIRST);
    let length = fs::metadata(&torn).unwrap().len();
    fs::File::options()
        .write(true)
        .open(&torn)
        .unwrap()
        .set_len(length - 1)
        .unwrap();
    for name in ["index", "timeindex"] {
        let name = FIRST.replace("log", name);
        fs::remove_file(data.join("noindexes-0").join(name)).unwrap();
    }
    let hex = "0123456789abcdef0123456789abcdef";
    let deleted = data.join(format!("old-3.{hex}-delete"));
    let stray = data.join(format!("old-4.{hex}-stray"));
    for path in [&deleted, &stray] {
        fs::create_dir(path).unwrap();
        fs::write(path.join(FIRST), "x").unwrap();
    }
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect();
    let lost = |topic| ["empty", "onlytmp", "gone"].contains(&topic);
    for topic in topics {
        let kept = match topic {
            "torn" => 2,
            topic if lost(topic) => 0,
            _ => 3,
        };
        assert_eq!(end(&mut client, topic), Ok(kept), "{topic}");
        let value = format!("record {kept}");
        assert_eq!(produce(&mut client, topic, &value), (0, kept), "{topic}");
        let all = values(usize::try_from(kept).unwrap() + 1);
        assert_eq!(fetch(&mut client, topic, 0), Ok(all), "{topic}");
    }
    let log = server.stop();
    assert!(log.contains("-stray is nothing of"), "{log}");
    assert!(log.contains("torn-0: "), "{log}");
    assert!(stray.join(FIRST).exists());
    assert!(!deleted.exists());
    for topic in topics {
        let path = data.join(format!("{topic}-0/partition.metadata"));
        assert!(path.exists(), "{topic}");
    }
}

#[test]
fn after_a_kill_the_logs_are_said_to_be_recovered_and_nothing_acknowledged_is_lost() {
    let dir = tempdir().unwrap();
    let overrides = [
        "num.recovery.threads.per.data.dir=2",
        "log.segment.bytes=1048576",
        "log.index.interval.bytes=100",
    ];
    let mut count = 0;
    for life in 0..3 {
        let server = Server::start(dir.path(), &overrides);
        let mut client = server.connect();
        create(&mut client, &["t"]);
        for _ in 0..30 {
            let value = format!("record {count}");
            assert_eq!(produce(&mut client, "t", &value), (0, count));
            count += 1;
        }
        server.signal(Signal::KILL);
        let (_, log) = server.ended();
        let said = log.contains("1 were looked into");
        assert_eq!(said, life > 0, "{log}");
    }
    let server = Server::start(dir.path(), &overrides);
    let found = fetch(&mut server.connect(), "t", 0);
    assert_eq!(found, Ok(values(usize::try_from(count).unwrap())));
    let log = server.stop();
    assert!(log.contains("1 logs are open after"), "{log}");
    assert!(log.contains("1 were looked into"), "{log}");
    let server = Server::start(dir.path(), &overrides);
    assert_eq!(end(&mut server.connect(), "t"), Ok(count));
    assert!(server.stop().contains("0 were looked into"));
}
