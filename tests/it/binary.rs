//! The real binary under test: started on a free port of the loopback, spoken to over raw sockets,
//! always ended. Used by `server` and `hostile`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A test that is stuck fails after this; nothing is expected to take a part of it.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often something is looked at until it is so.
const GLANCE: Duration = Duration::from_millis(5);

/// Waits until `look` finds something.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / GLANCE.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(GLANCE);
    }
    panic!("{what}: not within {PATIENCE:?}");
}

/// A running `milena serve`.
pub(crate) struct Server {
    child: Child,
    errors: Option<std::thread::JoinHandle<String>>,
    /// What it printed when it was ready.
    pub(crate) ready: String,
}

/// The command with its data in `dir`, on ports of the system's choice.
pub(crate) fn command(dir: &Path, overrides: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_milena"));
    command.arg("serve").current_dir(dir).env_remove("RUST_LOG");
    let log_dirs = format!("log.dirs={}", dir.join("data").display());
    for text in [log_dirs.as_str(), "listeners=PLAINTEXT://127.0.0.1:0"]
        .iter()
        .chain(overrides)
    {
        command.args(["--override", text]);
    }
    command
}

/// Runs a command that is expected to end by itself; gives its status and its standard error.
pub(crate) fn run(mut command: Command) -> (Option<i32>, String) {
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let (sender, receiver) = mpsc::channel();
    let id = child.id();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let Ok(output) = receiver.recv_timeout(PATIENCE) else {
        signal(id, Signal::KILL);
        panic!("it does not end");
    };
    let output = output.expect("it ran");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), errors)
}

fn signal(id: u32, signal: Signal) {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    kill_process(id.expect("an id"), signal).expect("it runs");
}

impl Server {
    /// Starts one and waits for its ready line.
    pub(crate) fn start(dir: &Path, overrides: &[&str]) -> Server {
        let mut child = command(dir, overrides)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stderr = child.stderr.take().expect("piped");
        let errors = std::thread::spawn(move || {
            let mut text = Vec::new();
            stderr.read_to_end(&mut text).expect("a pipe");
            String::from_utf8_lossy(&text).into_owned()
        });
        let stdout = child.stdout.take().expect("piped");
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).expect("text");
            sender.send(line)
        });
        let ready = receiver.recv_timeout(PATIENCE).unwrap_or_default();
        let mut server = Server {
            child,
            errors: Some(errors),
            ready,
        };
        if !server.ready.contains("is ready") {
            let _ = server.child.kill();
            let errors = server.errors.take().expect("taken once");
            panic!("it is not ready: {}", errors.join().expect("read"));
        }
        server
    }

    /// The address of its listener of this name.
    pub(crate) fn address(&self, listener: &str) -> SocketAddr {
        let (_, rest) = self
            .ready
            .split_once(&format!("{listener}://"))
            .expect("named in the ready line");
        let end = rest.find([',', '\n']).expect("not the last thing");
        rest[..end].parse().expect("an address")
    }

    /// A connection to its first listener.
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address("PLAINTEXT"))
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, which: Signal) {
        signal(self.child.id(), which);
    }

    /// Waits for its end; gives its status and everything it logged.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = until("its end", || self.child.try_wait().expect("our child"));
        let errors = self.errors.take().expect("taken once");
        (status, errors.join().expect("read to its end"))
    }

    /// Stops it as a service manager does.
    pub(crate) fn stop(self) -> String {
        self.signal(Signal::TERM);
        let (status, log) = self.ended();
        assert!(status.success(), "{status}\n{log}");
        assert!(!log.contains("panicked"), "{log}");
        log
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended, or its test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A raw connection.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        Client(stream)
    }

    /// Sends a request of a version without tagged fields in its header.
    pub(crate) fn send(&mut self, key: i16, version: i16, body: &[u8]) {
        let frame = request(key, version, body);
        self.0.write_all(&frame).expect("it reads");
    }

    /// The next answer, without its size and correlation id.
    pub(crate) fn receive(&mut self) -> Vec<u8> {
        let mut size = [0; 4];
        self.0.read_exact(&mut size).expect("an answer");
        let size = usize::try_from(i32::from_be_bytes(size)).expect("a size");
        let mut answer = vec![0; size];
        self.0.read_exact(&mut answer).expect("a whole answer");
        answer.split_off(4)
    }

    pub(crate) fn ask(&mut self, key: i16, version: i16, body: &[u8]) -> Vec<u8> {
        self.send(key, version, body);
        self.receive()
    }

    /// Whether the server closes the connection without another byte.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 1]) {
            Ok(read) => read == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

/// A frame with a header of version 1.
pub(crate) fn request(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7i32.to_be_bytes());
    frame.extend(text("test"));
    frame.extend(body);
    let size = i32::try_from(frame.len()).expect("small").to_be_bytes();
    [size.as_slice(), &frame].concat()
}

/// A string with its two-byte length.
pub(crate) fn text(value: &str) -> Vec<u8> {
    let length = i16::try_from(value.len()).expect("short").to_be_bytes();
    [length.as_slice(), value.as_bytes()].concat()
}

/// An array with its four-byte count.
pub(crate) fn array(items: &[Vec<u8>]) -> Vec<u8> {
    let count = i32::try_from(items.len()).expect("few").to_be_bytes();
    [count.to_vec(), items.concat()].concat()
}
