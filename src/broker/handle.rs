//! The owner's end of a running broker.
//!
//! Given by `Broker::start` and `Broker::spawn`; may be used on any thread and any tokio runtime.
//! Invariant: nothing in it keeps a part of a stopped broker alive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use actix::prelude::*;
use arc_swap::ArcSwap;
use tokio::io::DuplexStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::doors::{AddListenerError, Listening};
use super::partition::{Desk, PartitionHandle};
use super::reception::{Entered, Reception};
use super::running::Order;
use super::{Fatal, StopError};
use crate::actors::controller::ControllerUnavailable;
use crate::metadata::controller::{NewTopic, Reply, Request};
use crate::metadata::{Image, Refusal};
use crate::model::{ClusterId, TopicId};
use crate::net::{ConnectionQuota, Shutdown};

/// What a connection without a socket holds for the other side before its writer waits, each way.
const PIPE_BYTES: usize = 256 << 10;

/// A running broker. Dropping the handle stops the broker as [`BrokerHandle::stop`] does, but nobody
/// waits for it: a process that ends at once leaves it to be recovered.
#[derive(Debug)]
pub struct BrokerHandle {
    pub(super) cluster_id: ClusterId,
    pub(super) image: Arc<ArcSwap<Image>>,
    pub(super) fatal: watch::Receiver<Option<Fatal>>,
    pub(super) shutdown: Shutdown,
    pub(super) quota: ConnectionQuota,
    pub(super) listening: Listening,
    pub(super) desk: Arc<Desk>,
    pub(super) receptions: Arc<[Addr<Reception>]>,
    /// The reception of the next connection.
    pub(super) turn: AtomicUsize,
    pub(super) orders: mpsc::UnboundedSender<Order>,
    /// The broker's own thread, if it has one.
    pub(super) thread: Option<JoinHandle<()>>,
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// As many are open as `max.connections` allows.
    #[error("as many connections are open as max.connections allows; close one, or raise it")]
    TooMany,
    /// The broker has stopped.
    #[error("the broker has stopped")]
    Stopped,
}

/// Why a topic was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateTopicError {
    /// There is one of this name.
    #[error("topic {0} exists already")]
    Exists(String),
    /// Its name, its settings or the cluster's rules do not allow it.
    #[error("topic {name} is refused: {refusal}")]
    Refused {
        /// The topic.
        name: String,
        /// Why.
        refusal: Refusal,
    },
    /// The controller did not answer: it may come to be, or not.
    #[error("it is not known whether topic {name} was created: {reason}")]
    Undecided {
        /// The topic.
        name: String,
        /// Why.
        reason: ControllerUnavailable,
    },
    /// The broker has stopped.
    #[error("the broker has stopped")]
    Stopped,
}

impl BrokerHandle {
    /// The listeners by name, in the order in which they were opened, with the ports they were
    /// given. Connections without a socket need none.
    pub fn listening(&self) -> Vec<(String, SocketAddr)> {
        self.listening.list()
    }

    /// The cluster.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// The cluster's metadata, as published last.
    pub fn image(&self) -> Arc<Image> {
        self.image.load_full()
    }

    /// A connection without a socket: what is written to it are requests in Kafka's wire format, what
    /// is read from it the answers. It counts as one of `max.connections` and ends as any other
    /// when it is dropped or the broker stops. Any client that is handed its transport can use it; the
    /// cluster it is shown has one broker, at an address that does not resolve.
    ///
    /// # Errors
    /// When there are too many, or the broker has stopped.
    pub fn connect(&self) -> Result<DuplexStream, ConnectError> {
        if self.shutdown.is_begun() {
            return Err(ConnectError::Stopped);
        }
        let slot = self.quota.enter_from_inside();
        let slot = slot.ok_or(ConnectError::TooMany)?;
        let (ours, pipe) = tokio::io::duplex(PIPE_BYTES);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.receptions.len().max(1);
        let reception = self.receptions.get(turn).ok_or(ConnectError::Stopped)?;
        // To a reception that is just ending this says nothing, and the connection is closed.
        reception.do_send(Entered { pipe, slot });
        Ok(ours)
    }

    /// A partition, to append to and to read from without a connection. The topic need not exist yet;
    /// each call looks it up by its name.
    pub fn partition(&self, topic: &str, partition: i32) -> PartitionHandle {
        PartitionHandle::new(Arc::clone(&self.desk), topic, partition)
    }

    /// Creates a topic; `configs` are Kafka's topic settings. When this returns, the topic can be
    /// used.
    ///
    /// # Errors
    /// When it exists, is refused, or nobody knows.
    pub async fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<TopicId, CreateTopicError> {
        let name = name.to_owned();
        let configs = configs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())));
        let request = Request::CreateTopics {
            topics: vec![NewTopic {
                name: name.clone(),
                partitions,
                replication_factor: -1,
                assignments: Vec::new(),
                configs: configs.collect(),
            }],
            validate_only: false,
        };
        let (told, reply) = oneshot::channel();
        let order = Order::Ask { request, told };
        let sent = self.orders.send(order);
        sent.map_err(|_| CreateTopicError::Stopped)?;
        let created = match reply.await.map_err(|_| CreateTopicError::Stopped)? {
            Ok(Reply::CreateTopics(mut topics)) => topics.pop(),
            Ok(_) => None,
            Err(reason) => return Err(CreateTopicError::Undecided { name, reason }),
        };
        match created {
            Some(Ok(topic)) => Ok(topic.id),
            Some(Err(Refusal::TopicAlreadyExists(_))) => Err(CreateTopicError::Exists(name)),
            Some(Err(refusal)) => Err(CreateTopicError::Refused { name, refusal }),
            None => {
                let reason = ControllerUnavailable::Undecided;
                Err(CreateTopicError::Undecided { name, reason })
            }
        }
    }

    /// Listens on one more address, for example `127.0.0.1:0`, and has it advertised to whoever
    /// connects there. Gives the address with the port it was given.
    ///
    /// # Errors
    /// When it cannot be opened or advertised. Nothing is listened on then.
    pub async fn add_listener(&self, address: &str) -> Result<SocketAddr, AddListenerError> {
        let (told, added) = oneshot::channel();
        let address = address.to_owned();
        let sent = self.orders.send(Order::AddListener { address, told });
        sent.map_err(|_| AddListenerError::Stopped)?;
        added.await.unwrap_or(Err(AddListenerError::Stopped))
    }

    /// Waits until the broker cannot go on; for ever, if that does not happen.
    pub async fn failed(&self) -> Fatal {
        let mut fatal = self.fatal.clone();
        let found = fatal.wait_for(Option::is_some).await;
        match found.map(|fatal| fatal.clone()) {
            Ok(Some(fatal)) => fatal,
            Ok(None) | Err(_) => Fatal("its actix System has ended".to_owned()),
        }
    }

    /// Stops: connections finish what they have begun, logs are flushed and closed, and the
    /// directories marked as cleanly stopped. When this returns, threads, sockets, files and locks
    /// are given back. Once begun it goes on even if this future is dropped.
    ///
    /// # Errors
    /// When something could not be flushed: the next start then recovers, as after a crash.
    pub async fn stop(self) -> Result<(), StopError> {
        let (told, stopped) = oneshot::channel();
        let BrokerHandle { orders, thread, .. } = self;
        let sent = orders.send(Order::Stop { told });
        sent.map_err(|_| StopError::SystemEnded)?;
        let stopped = stopped.await.unwrap_or(Err(StopError::SystemEnded));
        if let Some(thread) = thread {
            // It told that it has done everything; if it panicked, it told by not telling.
            let _ = thread.join();
        }
        stopped
    }
}
