//! Connections in stopped time over a pipe in memory, and one over a real socket for sendfile(2).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, LocalSet};

use super::*;
use crate::net::Reply;
use crate::protocol::{FileRange, RangeSource, Response, Segment};

/// A frame of the tests is one letter and a text: `p` may be pipelined, all others not.
/// `w` waits until the test answers it by its text, `c` closes, `s` is silent, `f` answers `big`.
#[derive(Clone, Default)]
struct Script {
    begun: Rc<RefCell<Vec<String>>>,
    waiting: Rc<RefCell<HashMap<String, oneshot::Sender<()>>>>,
    dropped: Rc<Cell<usize>>,
    big: Rc<RefCell<Option<FileRange>>>,
}

struct OnDrop(Rc<Cell<usize>>);

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

impl Service for Script {
    fn may_pipeline(&self, frame: &[u8]) -> bool {
        frame.first() == Some(&b'p')
    }

    fn may_abandon(&self, frame: &[u8]) -> bool {
        frame.starts_with(b"wait for news")
    }

    fn call(&self, frame: Bytes) -> LocalBoxFuture<'static, Reply> {
        let text = String::from_utf8_lossy(&frame[..frame.len().min(20)]).into_owned();
        self.begun.borrow_mut().push(text.clone());
        let script = self.clone();
        Box::pin(async move {
            let _dropped = OnDrop(script.dropped.clone());
            if text.starts_with('w') || text.starts_with("pw") {
                let (sender, receiver) = oneshot::channel();
                script.waiting.borrow_mut().insert(text.clone(), sender);
                receiver.await.ok();
            }
            match text.as_bytes().first() {
                Some(b'c') => Reply::Close("asked to".to_owned()),
                Some(b's') => Reply::Silent,
                Some(b'f') => Reply::Respond(script.file_answer()),
                _ => Reply::Respond(Response::from_bytes(framed(&text))),
            }
        })
    }
}

impl Script {
    fn answer(&self, text: &str) {
        let sender = self.waiting.borrow_mut().remove(text).expect("in flight");
        sender.send(()).expect("still in flight");
    }

    fn file_answer(&self) -> Response {
        let range = self.big.borrow().clone().expect("a file");
        let mut head = BytesMut::new();
        head.put_u32(u32::try_from(range.length + 8).expect("small"));
        head.put_slice(b"head");
        let tail = Segment::Bytes(Bytes::from_static(b"tail"));
        Response::from_parts(head.freeze(), vec![Segment::File(range), tail])
    }
}

fn framed(text: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u32(u32::try_from(text.len()).expect("small"));
    bytes.put_slice(text.as_bytes());
    bytes.freeze()
}

struct Fixture {
    client: DuplexStream,
    script: Script,
    context: ConnectionContext,
    end: JoinHandle<CloseReason>,
}

fn context(limits: ConnectionLimits) -> ConnectionContext {
    ConnectionContext {
        limits: Arc::new(limits),
        credits: Credits::new(1000),
        unread: UnreadAnswers::new(10_000),
        shutdown: Shutdown::new(),
        complaints: Arc::new(LogGate::new(1)),
    }
}

fn start_with(limits: ConnectionLimits, pipe_bytes: usize) -> Fixture {
    let (client, server) = tokio::io::duplex(pipe_bytes);
    let script = Script::default();
    let context = context(limits);
    let serving = serve(Transport::Pipe(server), script.clone(), context.clone());
    Fixture {
        client,
        script,
        context,
        end: tokio::task::spawn_local(serving),
    }
}

fn start() -> Fixture {
    start_with(ConnectionLimits::default(), 1 << 16)
}

impl Fixture {
    async fn send(&mut self, texts: &[&str]) {
        for text in texts {
            self.client.write_all(&framed(text)).await.expect("open");
        }
        settle().await;
    }

    async fn receive(&mut self) -> String {
        let size = self.client.read_u32().await.expect("open");
        let mut text = vec![0; size as usize];
        self.client.read_exact(&mut text).await.expect("open");
        String::from_utf8(text).expect("text")
    }

    fn begun(&self) -> Vec<String> {
        self.script.begun.borrow().clone()
    }

    async fn ended(self) -> String {
        format!("{:?}", self.end.await.expect("no panic"))
    }
}

/// Lets everything that can run run; virtual time stands still.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, test);
}

#[test]
fn requests_that_may_be_pipelined_are_answered_in_their_order_whatever_ends_first() {
    run(async {
        let mut connection = start();
        connection.send(&["pw1", "pw2", "p3"]).await;
        assert_eq!(connection.begun(), ["pw1", "pw2", "p3"]);
        connection.script.answer("pw2");
        settle().await;
        connection.script.answer("pw1");
        assert_eq!(connection.receive().await, "pw1");
        assert_eq!(connection.receive().await, "pw2");
        assert_eq!(connection.receive().await, "p3");
    });
}

#[test]
fn any_other_request_waits_for_all_before_it_and_holds_back_all_after_it() {
    run(async {
        let mut connection = start();
        connection.send(&["pw1", "w2", "p3", "x4"]).await;
        assert_eq!(connection.begun(), ["pw1"]);
        connection.script.answer("pw1");
        settle().await;
        assert_eq!(connection.begun(), ["pw1", "w2"]);
        connection.script.answer("w2");
        settle().await;
        assert_eq!(connection.begun(), ["pw1", "w2", "p3", "x4"]);
        for text in ["pw1", "w2", "p3", "x4"] {
            assert_eq!(connection.receive().await, text);
        }
    });
}

#[test]
fn a_silent_request_gets_no_answer_and_thousands_of_requests_at_once_get_theirs() {
    run(async {
        let mut connection = start_with(ConnectionLimits::default(), 1 << 20);
        let texts: Vec<String> = (0..5000).map(|i| format!("x{i}")).collect();
        connection.send(&["silent"]).await;
        for text in &texts {
            let framed = framed(text);
            connection.client.write_all(&framed).await.expect("open");
        }
        for text in &texts {
            assert_eq!(&connection.receive().await, text);
        }
        assert_eq!(connection.begun().len(), 5001);
    });
}

#[test]
fn no_more_requests_are_in_flight_than_allowed() {
    run(async {
        let limits = ConnectionLimits {
            requests_in_flight_max: 2,
            ..ConnectionLimits::default()
        };
        let mut connection = start_with(limits, 1 << 16);
        connection.send(&["pw1", "pw2", "pw3"]).await;
        assert_eq!(connection.begun(), ["pw1", "pw2"]);
        connection.script.answer("pw1");
        settle().await;
        assert_eq!(connection.begun(), ["pw1", "pw2", "pw3"]);
    });
}

#[test]
fn a_negative_or_too_large_size_closes_after_what_came_before_is_answered() {
    for size in [-5i32, 101 << 20] {
        run(async {
            let mut connection = start();
            connection.send(&["pw1"]).await;
            connection.client.write_i32(size).await.expect("open");
            settle().await;
            connection.script.answer("pw1");
            assert_eq!(connection.receive().await, "pw1");
            assert_eq!(connection.client.read(&mut [0; 1]).await.expect("end"), 0);
            let reason = connection.ended().await;
            assert!(reason.starts_with("Refused(\"a request of "), "{reason}");
        });
    }
}

#[test]
fn a_request_that_asks_to_close_ends_the_connection_and_what_follows_is_dropped() {
    run(async {
        let mut connection = start();
        connection.send(&["pw1", "pw2"]).await;
        connection.script.answer("pw1");
        connection.send(&["x"]).await;
        assert_eq!(connection.receive().await, "pw1");
        connection.script.answer("pw2");
        connection.send(&["close", "x"]).await;
        assert_eq!(connection.receive().await, "pw2");
        assert_eq!(connection.receive().await, "x");
        assert_eq!(connection.client.read(&mut [0; 1]).await.expect("end"), 0);
        assert_eq!(connection.ended().await, "Refused(\"asked to\")");
    });
}

#[test]
fn credits_are_taken_while_requests_are_in_flight_and_come_back_with_the_answers() {
    run(async {
        let mut connection = start();
        let (first, second) = (
            format!("pw1{}", "-".repeat(500)),
            format!("pw2{}", "-".repeat(600)),
        );
        let third = format!("pw3{}", "-".repeat(10));
        connection.send(&[&first, &second, &third]).await;
        let free = || connection.context.credits.free();
        assert_eq!(free(), Some(0), "the rest is set aside for the second");
        assert_eq!(connection.begun().len(), 1);
        connection.script.answer(&first[..20]);
        settle().await;
        assert_eq!(connection.begun().len(), 3);
        assert_eq!(connection.context.credits.free(), Some(1000 - 603 - 13));
        connection.script.answer(&second[..20]);
        connection.script.answer("pw3----------");
        settle().await;
        assert_eq!(connection.context.credits.free(), Some(1000));
    });
}

#[test]
fn a_large_frame_is_charged_before_it_is_read_and_gives_its_credits_back_when_cut_off() {
    run(async {
        let mut connection = start();
        let held = connection.context.credits.try_charge(1000).expect("free");
        connection.client.write_u32(1 << 20).await.expect("open");
        connection
            .client
            .write_all(&[b'x'; 200])
            .await
            .expect("room");
        // Longer than a frame may stall: but it is we who do not read.
        tokio::time::sleep(Duration::from_secs(100)).await;
        assert!(!connection.end.is_finished());
        drop(held);
        settle().await;
        assert_eq!(
            connection.context.credits.free(),
            Some(0),
            "larger than the budget: all of it"
        );
        let credits = connection.context.credits.clone();
        tokio::time::sleep(Duration::from_secs(31)).await;
        assert_eq!(connection.ended().await, "FrameStalled");
        assert_eq!(credits.free(), Some(1000));
    });
}

#[test]
fn a_slow_writer_is_dropped_when_its_frame_does_not_go_on() {
    run(async {
        let mut connection = start();
        connection.client.write_u32(1000).await.expect("open");
        for _ in 0..29 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            connection.client.write_all(b"x").await.expect("still open");
        }
        assert!(!connection.end.is_finished());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(connection.ended().await, "FrameStalled");
    });
}

#[test]
fn a_slow_but_steady_writer_is_not_dropped() {
    run(async {
        let mut connection = start();
        connection.client.write_u32(60_000).await.expect("open");
        for _ in 0..60 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            connection
                .client
                .write_all(&[b'x'; 1000])
                .await
                .expect("open");
        }
        assert_eq!(connection.receive().await, "x".repeat(20));
    });
}

#[test]
fn a_reader_that_never_reads_is_held_back_and_then_dropped() {
    run(async {
        let limits = ConnectionLimits {
            pending_write_bytes_max: 1000,
            ..ConnectionLimits::default()
        };
        let mut connection = start_with(limits, 4096);
        let writing = tokio::time::timeout(Duration::from_secs(119), async {
            loop {
                connection
                    .client
                    .write_all(&framed("x-a-text-of-20-bytes"))
                    .await
                    .expect("open");
            }
        });
        assert!(writing.await.is_err(), "it is not read for ever");
        // What fits into the pipe, and one answer beyond the limit of those waiting.
        assert!(connection.begun().len() <= (4096 + 1000) / 24 + 2);
        assert!(!connection.end.is_finished());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(connection.ended().await, "WriteStalled");
    });
}

#[test]
fn an_idle_connection_is_closed_but_not_while_a_request_is_in_flight() {
    run(async {
        let mut connection = start();
        connection.send(&["w1"]).await;
        tokio::time::sleep(Duration::from_secs(3000)).await;
        connection.script.answer("w1");
        assert_eq!(connection.receive().await, "w1");
        tokio::time::sleep(Duration::from_secs(599)).await;
        connection.send(&["x"]).await;
        assert_eq!(connection.receive().await, "x");
        tokio::time::sleep(Duration::from_secs(599)).await;
        assert!(!connection.end.is_finished());
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(connection.ended().await, "Idle");
    });
}

#[test]
fn a_stopping_broker_finishes_what_is_in_flight_and_begins_nothing() {
    run(async {
        let mut connection = start();
        connection.send(&["w1", "x2"]).await;
        connection.context.shutdown.begin();
        settle().await;
        connection.script.answer("w1");
        assert_eq!(connection.receive().await, "w1");
        assert_eq!(connection.client.read(&mut [0; 1]).await.expect("end"), 0);
        assert_eq!(connection.begun(), ["w1"]);
        assert_eq!(connection.ended().await, "Shutdown");
    });
}

#[test]
fn a_client_that_closes_is_still_answered_but_not_for_ever() {
    run(async {
        let mut connection = start();
        connection.send(&["pw1", "pw2"]).await;
        connection.client.shutdown().await.expect("open");
        settle().await;
        connection.script.answer("pw1");
        assert_eq!(connection.receive().await, "pw1");
        tokio::time::sleep(Duration::from_secs(11)).await;
        let dropped = connection.script.dropped.clone();
        assert_eq!(connection.ended().await, "Client");
        assert_eq!(dropped.get(), 2);
    });
}

/// A file whose descriptor may be hidden.
struct TestFile {
    file: File,
    sendable: bool,
}

impl RangeSource for TestFile {
    fn read_exact_at(&self, buffer: &mut [u8], position: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, position)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.sendable.then(|| self.file.as_fd())
    }
}

fn range_of(contents: &[u8], sendable: bool) -> FileRange {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(contents).expect("room");
    FileRange {
        file: Arc::new(TestFile { file, sendable }),
        position: 100,
        length: contents.len() - 100,
    }
}

fn contents() -> Vec<u8> {
    (0..3_000_000u32).map(|i| (i / 7) as u8).collect()
}

#[test]
fn a_file_goes_through_a_pipe_in_pieces_and_a_short_one_breaks_the_connection() {
    run(async {
        let contents = contents();
        let mut connection = start();
        *connection.script.big.borrow_mut() = Some(range_of(&contents, true));
        connection.send(&["file"]).await;
        let size = connection.client.read_u32().await.expect("open") as usize;
        let mut answer = vec![0; size];
        connection
            .client
            .read_exact(&mut answer)
            .await
            .expect("open");
        assert!(answer == [b"head", &contents[100..], b"tail"].concat());
        let mut short = range_of(&contents, true);
        short.length += 1;
        *connection.script.big.borrow_mut() = Some(short);
        connection.send(&["file"]).await;
        connection
            .client
            .read_to_end(&mut answer)
            .await
            .expect("open");
        let reason = connection.ended().await;
        assert!(reason.starts_with("Failed("), "{reason}");
    });
}

/// Real sockets need real time; nothing here depends on how much of it passes.
#[test]
fn files_and_bytes_arrive_in_order_over_a_real_socket() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let contents = contents();
        for sendable in [true, false] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("bound");
            let client = std::net::TcpStream::connect(address).expect("accepted");
            let (server, _) = listener.accept().expect("connected");
            let transport = Transport::from_accepted(server).expect("a socket");
            let script = Script::default();
            *script.big.borrow_mut() = Some(range_of(&contents, sendable));
            let serving = serve(transport, script, context(ConnectionLimits::default()));
            let end = tokio::task::spawn_local(serving);
            let mut client = match Transport::from_accepted(client).expect("a socket") {
                Transport::Tcp(client) => client,
                Transport::Pipe(_) => unreachable!("it was a socket"),
            };
            for text in ["p1", "file", "p2", "file"] {
                client.write_all(&framed(text)).await.expect("open");
            }
            let answer = [b"head", &contents[100..], b"tail"].concat();
            for expected in [b"p1", &answer[..], b"p2", &answer[..]] {
                let size = client.read_u32().await.expect("open") as usize;
                let mut got = vec![0; size];
                client.read_exact(&mut got).await.expect("open");
                assert!(got == expected, "sendable: {sendable}");
            }
            drop(client);
            assert!(matches!(end.await.expect("no panic"), CloseReason::Client));
        }
    });
}

#[test]
fn a_connection_at_rest_takes_less_than_a_kibibyte() {
    let (_client, server) = tokio::io::duplex(1);
    let context = context(ConnectionLimits::default());
    let serving = serve(Transport::Pipe(server), Script::default(), context);
    let size = size_of_val(&serving);
    assert!(size <= 1024, "{size} bytes");
}

#[test]
fn a_stopping_broker_forgets_who_only_waits_for_news() {
    run(async {
        let mut connection = start();
        connection.send(&["wait for news"]).await;
        connection.context.shutdown.begin();
        settle().await;
        assert_eq!(connection.client.read(&mut [0; 1]).await.expect("end"), 0);
        assert_eq!(connection.ended().await, "Shutdown");
    });
}

#[test]
fn a_stopping_broker_does_not_wait_for_who_does_not_read() {
    run(async {
        let mut connection = start_with(ConnectionLimits::default(), 100);
        // More answers than the pipe takes.
        for _ in 0..10 {
            connection.send(&["x-a-text-of-20-bytes"]).await;
        }
        let begun = tokio::time::Instant::now();
        connection.context.shutdown.begin();
        assert_eq!(connection.ended().await, "WriteStalled");
        // Virtual time: the deadline, not the machine.
        assert_eq!(begun.elapsed().as_secs(), 0);
    });
}

#[test]
fn a_large_frame_that_holds_credits_must_come_at_a_decent_pace() {
    run(async {
        let mut connection = start();
        connection.client.write_u32(8 << 20).await.expect("open");
        // Above 16 KiB in thirty seconds, and far below an eighth of the frame.
        for _ in 0..29 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let sent = connection.client.write_all(&[b'x'; 10_000]).await;
            sent.expect("still open");
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(connection.ended().await, "FrameStalled");
    });
}

#[test]
fn who_does_not_take_large_answers_is_dropped_soon_when_all_hold_too_much() {
    for (others, patience) in [(0, 120), (10_000, 2)] {
        run(async move {
            let limits = ConnectionLimits {
                pending_write_bytes_max: 100,
                ..ConnectionLimits::default()
            };
            let mut connection = start_with(limits, 100);
            let mut held = connection.context.unread.nothing();
            held.set(others);
            for _ in 0..10 {
                connection.send(&["x-a-text-of-20-bytes"]).await;
            }
            assert!(connection.context.unread.bytes() > others);
            let begun = tokio::time::Instant::now();
            let unread = connection.context.unread.clone();
            assert_eq!(connection.ended().await, "WriteStalled");
            assert_eq!(begun.elapsed().as_secs(), patience);
            assert_eq!(unread.bytes(), others);
        });
    }
}
