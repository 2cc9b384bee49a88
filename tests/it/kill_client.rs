//! A small client that expects its broker to vanish at any moment. Used by `kill`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, UNIX_EPOCH};

use milena::model::{ProducerEpoch, ProducerId, Timestamp};
use milena::record::{BatchBuilder, Scratch, batches, records, verify_crc};

use crate::binary::{array, request, text};
use crate::history::{Key, Value};

const PRODUCE: i16 = 0;
const FETCH: i16 = 1;
const INIT_PRODUCER_ID: i16 = 22;
const PATIENCE: Duration = Duration::from_secs(60);
/// Makes segments roll now and then.
const PADDING: usize = 400;

/// How a produce was answered.
pub(crate) enum Answer {
    /// The offset of the first record.
    Stored(i64),
    /// The error code.
    Refused(i16),
}

/// One answer to a fetch.
pub(crate) struct Fetched {
    pub(crate) error: i16,
    pub(crate) high_watermark: i64,
    pub(crate) last_stable: i64,
    pub(crate) log_start: i64,
    /// From the wanted offset on.
    pub(crate) records: Vec<(i64, Value)>,
}

/// See the module. After an error it is of no use any more.
pub(crate) struct Connection(TcpStream);

/// Takes numbers off the front of an answer.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (word, rest) = self.0.split_first_chunk().expect("long enough");
        self.0 = rest;
        *word
    }

    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }

    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.take())
    }
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection(stream))
    }

    fn ask(&mut self, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.0.write_all(&request(key, version, body))?;
        let mut size = [0; 4];
        self.0.read_exact(&mut size)?;
        let size = usize::try_from(i32::from_be_bytes(size)).expect("a size");
        let mut answer = vec![0; size];
        self.0.read_exact(&mut answer)?;
        Ok(answer.split_off(4))
    }

    /// The id of a new idempotent producer, at epoch 0.
    pub(crate) fn new_producer(&mut self) -> io::Result<i64> {
        let body = [&(-1i16).to_be_bytes()[..], &60_000i32.to_be_bytes()].concat();
        let answer = self.ask(INIT_PRODUCER_ID, 0, &body)?;
        let mut words = Words(&answer[4..]);
        match words.i16() {
            0 => Ok(words.i64()),
            error => Err(io::Error::other(format!("error {error}"))),
        }
    }

    /// One batch with acks=all; of a producer and a sequence, when it is an idempotent one's.
    pub(crate) fn produce(
        &mut self,
        key: Key,
        values: &[Value],
        producer: Option<(i64, i32)>,
    ) -> io::Result<Answer> {
        let mut builder = BatchBuilder::new();
        if let Some((id, sequence)) = producer {
            builder = builder.producer(ProducerId(id), ProducerEpoch(0), sequence);
        }
        // The broker forgets producers that wrote long ago, and it goes by what batches say.
        let now = UNIX_EPOCH
            .elapsed()
            .expect("a clock that was set")
            .as_millis();
        let now = Timestamp(i64::try_from(now).expect("this era"));
        for value in values {
            let value = [&value.to_be_bytes()[..], &[7; PADDING]].concat();
            builder.append(now, None, Some(&value), &[]);
        }
        let batch = builder.build().expect("a batch");
        let length = i32::try_from(batch.len()).expect("small").to_be_bytes();
        let partition = [&key.to_be_bytes()[..], &length, &batch].concat();
        let topic = [text("t"), array(&[partition])].concat();
        let no_transaction = (-1i16).to_be_bytes();
        let acks = (-1i16).to_be_bytes();
        let head = [&no_transaction[..], &acks, &30_000i32.to_be_bytes()].concat();
        let answer = self.ask(PRODUCE, 7, &[head, array(&[topic])].concat())?;
        // One topic, its name, one partition, its index.
        let mut words = Words(&answer[4 + 3 + 4 + 4..]);
        Ok(match words.i16() {
            0 => Answer::Stored(words.i64()),
            error => Answer::Refused(error),
        })
    }

    /// What there is from an offset on; waits a little when there is nothing.
    pub(crate) fn fetch(&mut self, key: Key, from: i64) -> io::Result<Fetched> {
        let mut body = Vec::new();
        // No replica, 50 ms for a byte, so many bytes.
        for number in [-1, 50, 1, 1 << 20] {
            body.extend(i32::to_be_bytes(number));
        }
        body.push(0);
        let place = [from.to_be_bytes(), (-1i64).to_be_bytes()].concat();
        let partition = [&key.to_be_bytes()[..], &place, &(1i32 << 20).to_be_bytes()].concat();
        body.extend(array(&[[text("t"), array(&[partition])].concat()]));
        let answer = self.ask(FETCH, 5, &body)?;
        // Throttle time, one topic, its name, one partition, its index.
        let mut words = Words(&answer[4 + 4 + 3 + 4 + 4..]);
        let mut fetched = Fetched {
            error: words.i16(),
            high_watermark: words.i64(),
            last_stable: words.i64(),
            log_start: words.i64(),
            records: Vec::new(),
        };
        let aborted = words.i32();
        assert!(aborted <= 0, "nobody aborts here");
        if words.i32() > 0 {
            fetched.records = values(words.0, from);
        }
        Ok(fetched)
    }
}

/// The values of whole batches from an offset on.
fn values(bytes: &[u8], from: i64) -> Vec<(i64, Value)> {
    let (mut found, mut scratch) = (Vec::new(), Scratch::new());
    for batch in batches(bytes) {
        let Ok((header, batch)) = batch else {
            break;
        };
        assert!(
            verify_crc(batch),
            "a damaged batch at {}",
            header.base_offset
        );
        let mut reader = records(&header, batch, 1 << 20, &mut scratch).expect("records");
        while let Some(record) = reader.next().expect("a record") {
            let offset = header.base_offset.0 + i64::from(record.offset_delta);
            let value = record.value.and_then(|value| value.first_chunk());
            let value = Value::from_be_bytes(*value.expect("eight bytes"));
            found.push((offset, value));
        }
    }
    found.retain(|(offset, _)| *offset >= from);
    found
}
