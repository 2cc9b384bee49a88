//! The broker's listeners: opened at its start or later, told to the cluster, and closed with it.
//!
//! Used by `running`, on the thread of the broker's actix `System`. Invariant: an address is
//! advertised only after its port is open, and a connection is accepted only after its address is
//! advertised: until then it waits in the kernel.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::prelude::*;
use tokio::task::JoinHandle;

use super::reception::{self, Reception};
use super::{COMPLAINTS_PER_SECOND, StartError};
use crate::config::{Listener as ListenerConfig, ServerConfig};
use crate::metadata::Endpoint;
use crate::model::BrokerId;
use crate::net::listener::{ListenOptions, Listener};
use crate::net::{ConnectionQuota, LogGate, NetError, Shutdown};

/// The listener of connections without a socket. No listener can be configured under this name: those
/// are in capitals.
pub(super) const IN_PROCESS: &str = "in-process";
/// What such connections are told for an address. The name never resolves (RFC 2606), so a client
/// that tries it finds out; one that is handed its connections takes it for a name.
const IN_PROCESS_PORT: u16 = 9092;

/// Why a listener could not be added.
#[derive(Debug, thiserror::Error)]
pub enum AddListenerError {
    /// It is no address, or none of this machine's, or one that clients cannot be told.
    #[error("{address} cannot be listened on: {reason}")]
    Address {
        /// What was asked for.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The port cannot be opened.
    #[error(transparent)]
    Open(#[from] NetError),
    /// The cluster could not be told of it, so nobody would find it.
    #[error("the cluster could not be told of the listener: {0}")]
    Registration(String),
    /// The broker has stopped.
    #[error("the broker has stopped")]
    Stopped,
}

/// Names and addresses of what is open, shared with the broker's handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Listening(Arc<Mutex<Vec<(String, SocketAddr)>>>);

impl Listening {
    /// All of them, in the order in which they were opened.
    pub(super) fn list(&self) -> Vec<(String, SocketAddr)> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(String, SocketAddr)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for one more: Kafka's, with a number from the second on.
    fn new_name(&self) -> String {
        let taken = self.lock();
        let names = (1..).map(|number: u32| match number {
            1 => "PLAINTEXT".to_owned(),
            number => format!("PLAINTEXT_{number}"),
        });
        names
            .into_iter()
            .find(|name| !taken.iter().any(|(other, _)| other == name))
            .unwrap_or_default()
    }
}

/// See the module.
pub(super) struct Doors {
    options: ListenOptions,
    listening: Listening,
    receptions: Arc<[Addr<Reception>]>,
    quota: ConnectionQuota,
    shutdown: Shutdown,
    complaints: Arc<LogGate>,
    accepting: Vec<JoinHandle<()>>,
}

impl Doors {
    /// Closed doors that lead to `receptions`.
    pub(super) fn new(
        config: &ServerConfig,
        receptions: Arc<[Addr<Reception>]>,
        quota: ConnectionQuota,
        shutdown: Shutdown,
    ) -> Doors {
        Doors {
            options: options(config),
            listening: Listening::default(),
            receptions,
            quota,
            shutdown,
            complaints: Arc::new(LogGate::new(COMPLAINTS_PER_SECOND)),
            accepting: Vec::new(),
        }
    }

    /// What is open.
    pub(super) fn listening(&self) -> Listening {
        self.listening.clone()
    }

    /// Accepts connections from now on.
    pub(super) fn open(&mut self, name: &str, listener: Listener) {
        let named = (name.to_owned(), listener.address());
        self.listening.lock().push(named);
        self.accepting.push(actix_rt::spawn(reception::accept(
            listener,
            Arc::from(name),
            Arc::clone(&self.receptions),
            self.quota.clone(),
            self.shutdown.clone(),
            Arc::clone(&self.complaints),
        )));
    }

    /// Opens a port that is not advertised yet, and says as what it is to be.
    pub(super) fn prepare(&self, address: &str) -> Result<(Endpoint, Listener), AddListenerError> {
        let refused = |reason: &str| AddListenerError::Address {
            address: address.to_owned(),
            reason: reason.to_owned(),
        };
        let mut resolved = address
            .to_socket_addrs()
            .map_err(|error| refused(&format!("{error}; write host:port")))?;
        let resolved = resolved
            .next()
            .ok_or_else(|| refused("it has no address"))?;
        if resolved.ip().is_unspecified() {
            return Err(refused(
                "clients could not be told where to connect; name an address of this machine",
            ));
        }
        let listener = Listener::bind(resolved, &self.options)?;
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let endpoint = Endpoint {
            listener: self.listening.new_name(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port: listener.address().port(),
        };
        Ok((endpoint, listener))
    }

    /// Waits until no socket is listened on any more; the signal to stop was given.
    pub(super) async fn closed(&mut self) {
        for accepting in self.accepting.drain(..) {
            // One that panicked has closed its socket as well.
            let _ = accepting.await;
        }
    }
}

fn options(config: &ServerConfig) -> ListenOptions {
    let bytes = |bytes: Option<usize>| bytes.and_then(|bytes| u32::try_from(bytes).ok());
    ListenOptions {
        backlog: config.sockets.backlog,
        send_buffer_bytes: bytes(config.sockets.send_buffer_bytes),
        receive_buffer_bytes: bytes(config.sockets.receive_buffer_bytes),
    }
}

/// Opens every port of the configuration.
pub(super) fn bind(config: &ServerConfig) -> Result<Vec<Listener>, StartError> {
    let options = options(config);
    let bind = |listener: &ListenerConfig| {
        let source = |source| StartError::Listener {
            listener: listener.to_string(),
            source,
        };
        Listener::bind(resolve(listener)?, &options).map_err(source)
    };
    config.listeners.open.iter().map(bind).collect()
}

fn resolve(listener: &ListenerConfig) -> Result<SocketAddr, StartError> {
    let host = if listener.bind.host.is_empty() {
        "::"
    } else {
        &listener.bind.host
    };
    let failed = |reason: String| StartError::Host {
        listener: listener.to_string(),
        reason,
    };
    let mut addresses = (host, listener.bind.port)
        .to_socket_addrs()
        .map_err(|error| failed(error.to_string()))?;
    addresses
        .next()
        .ok_or_else(|| failed("it has no address".to_owned()))
}

/// What clients are told of each listener, with the port it was given, and what connections without
/// a socket are told.
pub(super) fn endpoints(
    configured: &[ListenerConfig],
    bound: &[Listener],
    node: BrokerId,
) -> Vec<Endpoint> {
    let in_process = Endpoint {
        listener: IN_PROCESS.to_owned(),
        host: format!("node-{node}.{IN_PROCESS}.invalid"),
        port: IN_PROCESS_PORT,
    };
    let endpoints = configured
        .iter()
        .zip(bound)
        .map(|(listener, bound)| Endpoint {
            listener: listener.name.clone(),
            host: listener.advertised.host.clone(),
            port: match listener.advertised.port {
                0 => bound.address().port(),
                port => port,
            },
        });
    endpoints.chain([in_process]).collect()
}
