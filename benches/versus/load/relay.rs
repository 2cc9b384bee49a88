//! The floor of latency: a process that hands bytes from one socket to another, and nothing else.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::gate::{self, now_ns};
use crate::latency::{Pace, Stamped, open_plain};
use crate::stats;
use crate::wire::Connection;

/// Prints its port, then hands what the first connection sends to the second.
pub(crate) fn serve(_: &Args) -> Result<(), Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    gate::end_with_caller();
    gate::result(&json!({"port": listener.local_addr()?.port()}))?;
    loop {
        let (mut from, _) = listener.accept()?;
        let (mut to, _) = listener.accept()?;
        to.set_nodelay(true)?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            let count = from.read(&mut buffer)?;
            if count == 0 || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
    }
}

/// `addr= rate= seconds= record_bytes=`: the requests of `latency`, through a relay.
pub(crate) fn latency(args: &Args) -> Result<(), Failure> {
    let mut request = Stamped::of("versus-latency", args.number("record_bytes", 100)?)?;
    let mut from = open_plain(args.address()?)?;
    let to = open_plain(args.address()?)?;
    let mut pace = Pace::of(args)?;
    let expected = pace.count;
    let stamper = Stamped::of("versus-latency", args.number("record_bytes", 100)?)?.stamper;
    let receiving = std::thread::spawn(move || {
        let (mut connection, mut waits) = (Connection::of(to, 1 << 16), Vec::new());
        while (waits.len() as u64) < expected {
            let frame = connection.receive()?;
            let now = now_ns();
            // Places are counted with the size in front.
            let stamp = stamper.read_behind_size(frame).ok_or("a short frame")?;
            waits.push(now.saturating_sub(stamp));
        }
        Ok::<_, Failure>(waits)
    });
    while pace.wait().is_some() {
        from.write_all(request.stamp())?;
    }
    let waits = receiving.join().map_err(|_| "the receiver panicked")??;
    let mut counted = waits
        .into_iter()
        .skip(pace.uncounted as usize)
        .collect::<Vec<_>>();
    gate::result(&json!({"records": expected, "received": stats::summary(&mut counted)}))
}
