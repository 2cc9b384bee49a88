//! Listening: opens a port, counts connections, hands them over.
//!
//! Called by the broker's start, once per listener. Accepting never spins: when the process is out
//! of descriptors it pauses, and when `max.connections` is reached it waits until one leaves.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};

use super::error::NetError;
use super::log_gate::LogGate;
use super::quota::{ConnectionQuota, ConnectionSlot};
use super::shutdown::Shutdown;

/// How long accepting pauses when it fails for want of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(100);

/// How the sockets of a listener are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenOptions {
    /// How many connections the kernel keeps for us, `socket.listen.backlog.size`.
    pub backlog: u32,
    /// `socket.send.buffer.bytes`; `None` leaves it to the operating system.
    pub send_buffer_bytes: Option<u32>,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the operating system.
    pub receive_buffer_bytes: Option<u32>,
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions {
            backlog: 50,
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
        }
    }
}

/// An open port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// A connection that was accepted and counted. May be sent to another thread.
#[derive(Debug)]
pub struct Accepted {
    /// The socket, without blocking; see [`Transport::from_accepted`](super::Transport).
    pub stream: std::net::TcpStream,
    /// Who connected.
    pub peer: SocketAddr,
    /// Its place among the connections; drop it when the connection ends.
    pub slot: ConnectionSlot,
}

impl Listener {
    /// Opens a port; port 0 lets the operating system choose one. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`NetError::AddressInUse`] if somebody listens there already.
    pub fn bind(address: SocketAddr, options: &ListenOptions) -> Result<Listener, NetError> {
        let open = || -> io::Result<(TcpListener, SocketAddr)> {
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            socket.set_reuseaddr(true)?;
            if let Some(bytes) = options.send_buffer_bytes {
                socket.set_send_buffer_size(bytes)?;
            }
            if let Some(bytes) = options.receive_buffer_bytes {
                socket.set_recv_buffer_size(bytes)?;
            }
            socket.bind(address)?;
            let socket = socket.listen(options.backlog.max(1))?;
            let bound = socket.local_addr()?;
            Ok((socket, bound))
        };
        match open() {
            Ok((socket, address)) => Ok(Listener { socket, address }),
            Err(source) if source.kind() == io::ErrorKind::AddrInUse => {
                Err(NetError::AddressInUse { address })
            }
            Err(source) if source.kind() == io::ErrorKind::AddrNotAvailable => {
                Err(NetError::NotOurs { address })
            }
            Err(source) => Err(NetError::Bind { address, source }),
        }
    }

    /// Where it listens, with the port that was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections until the broker stops, and hands each to `hand_over`, which must not
    /// wait. Connections beyond the quota of their address are closed; beyond the quota of all
    /// they stay in the kernel's queue.
    pub async fn run(
        self,
        quota: ConnectionQuota,
        shutdown: Shutdown,
        complaints: Arc<LogGate>,
        mut hand_over: impl FnMut(Accepted),
    ) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.begun() => return,
                accepted = self.accept(&quota, &complaints) => {
                    if let Some(accepted) = accepted {
                        hand_over(accepted);
                    }
                }
            }
        }
    }

    async fn accept(&self, quota: &ConnectionQuota, complaints: &LogGate) -> Option<Accepted> {
        if quota.is_full() {
            complaints.warn(format_args!(
                "{} connections are open, which is max.connections: further ones wait",
                quota.open()
            ));
        }
        quota.room().await;
        let (stream, peer) = match self.socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !concerns_one_client(&error) {
                    complaints.warn(format_args!("cannot accept on {}: {error}", self.address));
                    tokio::time::sleep(PAUSE).await;
                }
                return None;
            }
        };
        let Some(slot) = quota.enter(peer.ip()) else {
            complaints.warn(format_args!(
                "closed a connection from {}: too many from this address",
                peer.ip()
            ));
            return None;
        };
        match stream.into_std() {
            Ok(stream) => Some(Accepted { stream, peer, slot }),
            Err(error) => {
                complaints.warn(format_args!("cannot hand over {peer}: {error}"));
                None
            }
        }
    }
}

/// Errors about a connection that was gone before it was accepted: the next one may be fine.
fn concerns_one_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Read;
    use std::net::{Ipv4Addr, TcpStream};

    use super::super::quota::QuotaLimits;
    use super::*;

    fn loopback() -> SocketAddr {
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    #[tokio::test]
    async fn a_port_in_use_is_told_as_such() {
        let first = Listener::bind(loopback(), &ListenOptions::default()).expect("a free port");
        assert_ne!(first.address().port(), 0);
        let second = Listener::bind(first.address(), &ListenOptions::default());
        assert!(matches!(second, Err(NetError::AddressInUse { .. })));
    }

    #[tokio::test]
    async fn connections_beyond_the_address_quota_are_closed_and_others_handed_over() {
        let listener = Listener::bind(loopback(), &ListenOptions::default()).expect("a free port");
        let address = listener.address();
        let quota = ConnectionQuota::new(QuotaLimits {
            total: 10,
            per_address: 1,
            overrides: HashMap::new(),
        });
        let shutdown = Shutdown::new();
        let (sender, mut accepted) = tokio::sync::mpsc::unbounded_channel();
        let run = tokio::spawn(listener.run(
            quota.clone(),
            shutdown.clone(),
            Arc::new(LogGate::new(1)),
            move |connection| sender.send(connection).expect("the test listens"),
        ));
        let _first = TcpStream::connect(address).expect("accepted");
        let held = accepted.recv().await.expect("handed over");
        let refused = TcpStream::connect(address).expect("the kernel accepts");
        let end = tokio::task::spawn_blocking(move || (&refused).read(&mut [0; 1]));
        assert_eq!(end.await.expect("no panic").expect("closed, not reset"), 0);
        drop(held);
        assert_eq!(quota.open(), 0);
        let _third = TcpStream::connect(address).expect("accepted");
        accepted.recv().await.expect("its place is free again");
        shutdown.begin();
        run.await.expect("the listener returns");
    }
}
