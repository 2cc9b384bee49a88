//! Bad input against the real binary: whatever comes, the same process goes on serving others, and
//! says little about it.

use std::collections::BTreeMap;
use std::io::Write;

use tempfile::tempdir;

use crate::binary::{Client, Server, array, request, text, until};

const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;
const CREATE_TOPICS: i16 = 19;
const DESCRIBE_CONFIGS: i16 = 32;

fn is_served(server: &Server) {
    let answer = server.connect().ask(API_VERSIONS, 0, &[]);
    assert_eq!(answer[..2], [0, 0]);
}

/// A small generator (splitmix64), the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.next() % (most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn frames_that_make_no_sense_close_their_connection_and_no_other() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &["socket.request.max.bytes=1000000"]);
    let mut witness = server.connect();
    witness.ask(API_VERSIONS, 0, &[]);
    for size in [-1, i32::MIN, 0, 1, 7, 1_000_001, i32::MAX] {
        let mut client = server.connect();
        client.0.write_all(&size.to_be_bytes()).unwrap();
        // It may have been closed already.
        let _ = client.0.write_all(&[0; 7]);
        assert!(client.is_closed(), "a frame of {size} bytes");
    }
    for (key, version) in [(77, 0), (-1, 0), (METADATA, 99), (METADATA, -1), (0, 2)] {
        let mut client = server.connect();
        client.send(key, version, &[0; 20]);
        assert!(client.is_closed(), "request {key} version {version}");
    }
    for count in [-2, i32::MIN, i32::MAX, 1_000_001] {
        let mut client = server.connect();
        let body = [&count.to_be_bytes()[..], &[0; 100]].concat();
        client.send(METADATA, 4, &body);
        assert!(client.is_closed(), "{count} topics");
    }
    witness.ask(API_VERSIONS, 0, &[]);
    server.stop();
}

#[test]
fn an_unknown_version_of_api_versions_is_answered() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect();
    assert_eq!(client.ask(API_VERSIONS, 99, b"whatever")[..2], [0, 35]);
    assert_eq!(client.ask(API_VERSIONS, 0, b"trailing")[..2], [0, 0]);
    server.stop();
}

#[test]
fn random_requests_do_no_harm_and_are_not_told_one_by_one() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &["auto.create.topics.enable=false"]);
    let mut random = Random(3);
    for _ in 0..1500 {
        let key = (random.next() % 95) as i16;
        let version = (random.next() % 14) as i16;
        let frame = request(key, version, &random.bytes(120));
        // Half of them are not as long as they say.
        let cut = random.next() as usize % (2 * frame.len());
        let mut client = server.connect();
        let _ = client.0.write_all(&frame[..cut.min(frame.len())]);
    }
    is_served(&server);
    let log = server.stop();
    let mut in_second: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log
        .lines()
        .filter(|line| line.contains("closed the connection"))
    {
        // Up to its seconds: the log's own time, not that of this machine under load.
        *in_second.entry(&line[..19]).or_default() += 1;
    }
    // Five in any second are ten in one of the clock's at most.
    assert!(!in_second.is_empty(), "{log}");
    assert!(
        in_second.values().all(|lines| *lines <= 10),
        "{in_second:?}"
    );
    let partitions = std::fs::read_dir(dir.path().join("data")).unwrap();
    let partitions = partitions.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with("-0")
    });
    assert_eq!(partitions.count(), 0, "nothing is stored");
}

#[test]
fn credits_held_by_slow_writers_do_not_keep_others_from_being_served() {
    let dir = tempdir().unwrap();
    let limits = [
        "queued.max.request.bytes=4000000",
        "socket.request.max.bytes=1000000",
    ];
    let server = Server::start(dir.path(), &limits);
    let slow: Vec<Client> = (0..10)
        .map(|_| {
            let mut client = server.connect();
            client.0.write_all(&1_000_000i32.to_be_bytes()).unwrap();
            client.0.write_all(&[0; 8]).unwrap();
            client
        })
        .collect();
    for _ in 0..100 {
        is_served(&server);
    }
    drop(slow);
    server.stop();
}

#[test]
fn a_metadata_request_for_very_many_topics_creates_none_and_is_one_line() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let names: Vec<Vec<u8>> = (0..20_000).map(|n| text(&format!("topic-{n}"))).collect();
    let body = [array(&names), vec![1]].concat();
    let answer = server.connect().ask(METADATA, 4, &body);
    assert!(answer.len() > 20_000 * 10);
    let none = [array(&[]), vec![0]].concat();
    let all = [(-1i32).to_be_bytes().to_vec(), vec![0]].concat();
    let mut client = server.connect();
    assert_eq!(
        client.ask(METADATA, 4, &none),
        client.ask(METADATA, 4, &all)
    );
    let log = server.stop();
    assert_eq!(log.matches("could not be created").count(), 1);
}

#[test]
fn topics_beyond_all_measure_are_refused() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut client = server.connect();
    for partitions in [1_000_000, i32::MAX] {
        let topic = [
            text("huge"),
            partitions.to_be_bytes().to_vec(),
            vec![0, 1],
            vec![0; 8],
        ];
        let timeout = 10_000i32.to_be_bytes().to_vec();
        let body = [array(&[topic.concat()]), timeout, vec![0]].concat();
        let answer = client.ask(CREATE_TOPICS, 2, &body);
        // Throttle time, one topic, its name, then the code: POLICY_VIOLATION.
        assert_eq!(answer[8 + 6..8 + 8], [0, 44]);
    }
    server.stop();
}

#[test]
fn one_resource_described_very_often_does_not_fill_the_memory() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let resource = [vec![4], text("1"), (-1i32).to_be_bytes().to_vec()].concat();
    let body = [array(&vec![resource; 50_000]), vec![1]].concat();
    let answer = server.connect().ask(DESCRIBE_CONFIGS, 1, &body);
    assert!(answer.len() < 200 << 20, "{} bytes", answer.len());
    is_served(&server);
    server.stop();
}

#[test]
fn connections_beyond_the_limit_of_an_address_are_closed_and_their_places_come_back() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &["max.connections.per.ip=20"]);
    let mut inside: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    for client in &mut inside {
        client.ask(API_VERSIONS, 0, &[]);
    }
    assert!(server.connect().is_closed());
    drop(inside);
    until("the places come back", || {
        let mut client = server.connect();
        let asked = client.0.write_all(&request(API_VERSIONS, 0, &[]));
        (asked.is_ok() && !client.is_closed()).then_some(())
    });
    server.stop();
}
