//! Rot in an old segment, on the real binary: named by `milena storage verify`, answered for with
//! CORRUPT_MESSAGE, and served again once the file is restored.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use milena::model::Timestamp;
use milena::record::{BatchBuilder, batches};

use crate::binary::{Client, Server, array, text, until};
use crate::embedded::make_topic;

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const CORRUPT_MESSAGE: i16 = 2;
/// Recent enough for retention by time.
const WRITTEN: Timestamp = Timestamp(4_000_000_000_000);
const OVERRIDES: [&str; 4] = [
    "log.segment.bytes=1048576",
    "log.message.timestamp.after.max.ms=9223372036854775807",
    "milena.scrub.interval.ms=500",
    "milena.scrub.max.bytes.per.second=1000000000",
];

/// Appends a batch of one large record.
fn produce(client: &mut Client, letter: u8) {
    let mut builder = BatchBuilder::new();
    builder.append(WRITTEN, None, Some(&vec![letter; 300_000]), &[]);
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
    assert_eq!(answer[4 + 3 + 4 + 4..][..2], [0, 0]);
}

/// The error and the first and last offset of what is fetched from an offset, one batch at the least
/// and half a megabyte at the most.
fn fetch(client: &mut Client, from: i64) -> (i16, Option<(i64, i64)>) {
    let mut ask = Vec::new();
    for number in [-1, 0, 0, 500_000] {
        ask.extend(i32::to_be_bytes(number));
    }
    ask.push(0);
    let partition = [&[0; 4][..], &from.to_be_bytes(), &500_000i32.to_be_bytes()].concat();
    ask.extend(array(&[[text("t"), array(&[partition])].concat()]));
    let answer = client.ask(FETCH, 4, &ask);
    // Throttle time, one topic, its name, one partition, its index.
    let at = 4 + 4 + 3 + 4 + 4;
    let error = i16::from_be_bytes(answer[at..at + 2].try_into().expect("two bytes"));
    // Two offsets and the aborted transactions, none or null; then the bytes.
    let records = answer.get(at + 2 + 16 + 4 + 4..).unwrap_or_default();
    let offsets = batches(records).map(|batch| batch.expect("a batch").0.base_offset.0);
    let offsets: Vec<i64> = offsets.collect();
    let range = offsets.first().copied().zip(offsets.last().copied());
    (error, range)
}

/// Runs `milena storage verify`; its status and what it prints.
fn verify(directory: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_milena"))
        .args(["storage", "verify"])
        .arg(directory)
        .output()
        .expect("it runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).expect("text"))
}

fn turn_bit(file: &Path, position: u64) {
    let file = std::fs::File::options().read(true).write(true).open(file);
    let file = file.expect("a segment");
    let mut byte = [0];
    file.read_exact_at(&mut byte, position).expect("a byte");
    file.write_all_at(&[byte[0] ^ 4], position).expect("a byte");
}

#[test]
fn rot_in_an_old_segment_is_named_answered_for_and_gone_when_the_file_is_restored() {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let server = Server::start(dir.path(), &OVERRIDES);
    let mut client = server.connect();
    make_topic(&mut client);
    // Three batches a segment.
    for letter in b'a'..=b'h' {
        produce(&mut client, letter);
    }
    let (status, said) = verify(&data);
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("is in use by a broker"), "{said}");
    server.stop();
    let (status, said) = verify(&data);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("8 records"), "{said}");

    let segment = data.join("t-0").join("00000000000000000000.log");
    turn_bit(&segment, 400_000);
    for directory in [&data, &data.join("t-0")] {
        let (status, said) = verify(directory);
        assert_eq!(status, Some(1), "{said}");
        let place = format!(
            "damaged: {}, bytes 300072 to 600144, offsets 1 to 2: ",
            segment.canonicalize().expect("it is there").display()
        );
        assert!(said.contains(&place), "{place} is not in {said}");
        assert!(said.contains("1 damaged place,"), "{said}");
    }

    let server = Server::start(dir.path(), &OVERRIDES);
    let mut client = server.connect();
    let corrupt = (CORRUPT_MESSAGE, None);
    until("the scrubber finds it", || {
        (fetch(&mut client, 1) == corrupt).then_some(())
    });
    assert_eq!(fetch(&mut client, 0), (0, Some((0, 0))));
    assert_eq!(fetch(&mut client, 2), (0, Some((2, 2))));
    assert_eq!(fetch(&mut client, 3), (0, Some((3, 3))));
    // Known from the start on, and gone when the byte is back.
    server.stop();
    let server = Server::start(dir.path(), &OVERRIDES);
    let mut client = server.connect();
    assert_eq!(fetch(&mut client, 1), corrupt);
    turn_bit(&segment, 400_000);
    until("the scrubber sees that it is restored", || {
        (fetch(&mut client, 1) == (0, Some((1, 1)))).then_some(())
    });
    let log = server.stop();
    assert!(log.contains("bytes 300072 to 600144 are damaged"), "{log}");
    assert!(!log.contains("nothing of this broker's"), "{log}");
    let (status, said) = verify(&data);
    assert_eq!(status, Some(0), "{said}");
}

#[test]
fn what_is_no_log_directory_is_a_sentence() {
    let dir = tempfile::tempdir().expect("a directory");
    let (status, said) = verify(dir.path());
    assert_eq!(status, Some(2));
    assert!(
        said.contains("is neither a log directory nor a partition's"),
        "{said}"
    );
    let (status, _) = verify(&dir.path().join("nothing"));
    assert_eq!(status, Some(2));
}
