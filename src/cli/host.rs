//! What the command asks of the machine: its name, and how many files may be open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The machine's name, which clients are told for a listener on every address.
pub(super) fn name() -> String {
    let uname = rustix::system::uname();
    match uname.nodename().to_str() {
        Ok(name) if !name.is_empty() => name.to_owned(),
        _ => "localhost".to_owned(),
    }
}

/// Raises the number of files and sockets this process may have open to what the system allows it,
/// as a JVM does for Kafka, and gives that number; `None` is no limit.
pub(super) fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}
