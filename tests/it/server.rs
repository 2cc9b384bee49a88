//! The `milena` command as its user meets it: start, ready line, stop, and mistakes in the
//! configuration.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use tempfile::tempdir;

use crate::binary::{Client, Server, array, command, request, run, text};

const FETCH: i16 = 1;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;

/// A Fetch v4 that waits as long as it may for a record of this topic.
fn long_poll(topic: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [-1, i32::MAX, 1, i32::MAX] {
        body.extend(i32::to_be_bytes(number));
    }
    body.push(0);
    let partition = [&[0; 4][..], &0i64.to_be_bytes(), &i32::MAX.to_be_bytes()].concat();
    body.extend(array(&[[text(topic), array(&[partition])].concat()]));
    body
}

/// Asks for a topic until it is there.
fn create(client: &mut Client, topic: &str) {
    let ask = [array(&[text(topic)]), vec![1]].concat();
    let name = text(topic);
    loop {
        let answer = client.ask(METADATA, 4, &ask);
        let place = answer.windows(name.len()).position(|part| part == name);
        let place = place.expect("the topic is answered");
        if answer[place - 2..place] == [0, 0] {
            return;
        }
    }
}

#[test]
fn it_says_when_it_is_ready_answers_and_stops_with_status_0_and_a_mark() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let data = dir.path().join("data");
    let ends = format!(", data in {}\n", data.display());
    assert!(server.ready.ends_with(&ends), "{}", server.ready);
    assert_ne!(server.address("PLAINTEXT").port(), 0);
    let answer = server.connect().ask(API_VERSIONS, 0, &[]);
    assert_eq!(answer[..2], [0, 0]);
    assert!(!data.join(".kafka_cleanshutdown").exists());
    let log = server.stop();
    assert!(data.join(".kafka_cleanshutdown").exists());
    assert!(log.contains("configuration in effect"), "{log}");
}

#[test]
fn a_parked_fetch_does_not_hold_the_stop_up() {
    let dir = tempdir().unwrap();
    // Longer than a test waits: the stop must not depend on it.
    let server = Server::start(dir.path(), &["milena.shutdown.timeout.ms=600000"]);
    let mut client = server.connect();
    create(&mut client, "quiet");
    client.send(FETCH, 4, &long_poll("quiet"));
    // One that is answered behind it on another connection, so that the first has been read.
    server.connect().ask(API_VERSIONS, 0, &[]);
    let log = server.stop();
    assert!(!log.contains("cut off"), "{log}");
    assert!(client.is_closed());
}

#[test]
fn interrupt_stops_as_well() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    server.signal(Signal::INT);
    assert!(server.ended().0.success());
    assert!(dir.path().join("data/.kafka_cleanshutdown").exists());
}

#[test]
fn each_listener_tells_of_itself() {
    let dir = tempdir().unwrap();
    let server = Server::start(
        dir.path(),
        &[
            "listeners=PLAINTEXT://127.0.0.1:0,INSIDE://127.0.0.1:0",
            "advertised.listeners=PLAINTEXT://broker.example:1234,INSIDE://127.0.0.1:0",
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,INSIDE:PLAINTEXT",
            "inter.broker.listener.name=INSIDE",
        ],
    );
    let inside = server.address("INSIDE");
    let all = (-1i32).to_be_bytes();
    let answer = Client::connect(inside).ask(METADATA, 1, &all);
    // Brokers: one, with its id, host and port.
    let endpoint = |host: &str, port: u16| {
        let port = i32::from(port).to_be_bytes();
        [text(host), port.to_vec()].concat()
    };
    assert!(answer[8..].starts_with(&endpoint("127.0.0.1", inside.port())));
    let answer = server.connect().ask(METADATA, 1, &all);
    assert!(answer[8..].starts_with(&endpoint("broker.example", 1234)));
    server.stop();
}

/// The sentence of a command that must fail with status 1.
fn refused(command: Command) -> String {
    let (status, errors) = run(command);
    assert_eq!(status, Some(1), "{errors}");
    let sentence = errors.lines().last().unwrap_or_default();
    assert!(sentence.starts_with("milena: "), "{errors}");
    sentence.to_owned()
}

#[test]
fn a_mistake_in_the_configuration_is_one_sentence_and_status_1() {
    let dir = tempdir().unwrap();
    let told = |overrides: &[&str]| refused(command(dir.path(), overrides));
    for (overrides, parts) in [
        (
            &["num.partitions=many"][..],
            &["num.partitions", "many"][..],
        ),
        (
            &[
                "listeners=PLAINTEXT://0.0.0.0:0",
                "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
            ],
            &["advertised.listeners", "0.0.0.0"],
        ),
        (&["nonsense"], &["nonsense", "key=value"]),
        (&["listeners=SSL://127.0.0.1:0"], &["SSL"]),
    ] {
        let sentence = told(overrides);
        for part in parts {
            assert!(sentence.contains(part), "{part} is not in: {sentence}");
        }
    }
    let mut no_file = Command::new(env!("CARGO_BIN_EXE_milena"));
    no_file.args(["serve", "--config", "nowhere.properties"]);
    assert!(refused(no_file).contains("nowhere.properties"));
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}

#[test]
fn an_unknown_key_is_a_warning_that_names_the_nearest() {
    let dir = tempdir().unwrap();
    let log = Server::start(dir.path(), &["num.partition=3"]).stop();
    let line = log.lines().find(|line| line.contains(" num.partition"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("WARN") && line.contains("num.partitions"),
        "{line}"
    );
}

#[test]
fn what_another_broker_has_is_not_taken() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let other = tempdir().unwrap();
    let same_directory = format!("log.dirs={}", dir.path().join("data").display());
    let sentence = refused(command(other.path(), &[&same_directory]));
    assert!(sentence.contains("data"), "{sentence}");
    let port = server.address("PLAINTEXT").port().to_string();
    let same_port = format!("listeners=PLAINTEXT://127.0.0.1:{port}");
    let sentence = refused(command(other.path(), &[&same_port]));
    assert!(sentence.contains(&port), "{sentence}");
    server.stop();
    let sentence = refused(command(dir.path(), &["node.id=77"]));
    assert!(sentence.contains("77"), "{sentence}");
}

#[test]
fn help_version_and_the_reference_are_printed() {
    let output = |arguments: &[&str]| {
        let milena = Command::new(env!("CARGO_BIN_EXE_milena"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(milena.status.success());
        String::from_utf8(milena.stdout).unwrap()
    };
    assert!(output(&["--help"]).contains("--override"));
    assert!(output(&["--version"]).starts_with("milena "));
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/reference.md");
    assert_eq!(
        output(&["config", "reference"]),
        fs::read_to_string(reference).unwrap()
    );
}

#[test]
fn a_client_that_is_cut_off_in_a_request_leaves_nothing() {
    let dir = tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let whole = request(API_VERSIONS, 0, &[]);
    for length in 0..whole.len() {
        let mut client = server.connect();
        std::io::Write::write_all(&mut client.0, &whole[..length]).unwrap();
    }
    server.connect().ask(API_VERSIONS, 0, &[]);
    server.stop();
}
