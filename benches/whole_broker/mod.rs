//! A whole broker inside a benchmark, spoken to over a real socket. The benchmark has `wire` and `Failure`.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use milena::broker::{Broker, Environment};
use milena::config::ServerConfig;
use milena::message;
use milena::protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, StrBytes, create_topics_request,
};
use tokio::sync::oneshot;

use crate::Failure;
use crate::wire::Connection;

/// Makes a topic of one partition.
pub(crate) fn create(connection: &mut Connection, topic: &str) -> Result<(), Failure> {
    let request = message!(CreateTopicsRequest {
        topics: vec![message!(create_topics_request::CreatableTopic {
            name: StrBytes::from(topic),
            num_partitions: 1,
            replication_factor: 1,
        })],
    });
    let answer: CreateTopicsResponse = connection.ask(7, &request)?;
    match answer.topics.iter().find(|topic| topic.error_code != 0) {
        Some(refused) => Err(format!("{refused:?}").into()),
        None => Ok(()),
    }
}

/// A broker on a thread of its own.
pub(crate) struct WholeBroker {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), Failure>>,
}

impl WholeBroker {
    pub(crate) fn start(directory: &Path) -> Result<WholeBroker, Failure> {
        let data = directory.display().to_string();
        let config = ServerConfig::of(&[
            ("log.dirs", data.as_str()),
            ("listeners", "PLAINTEXT://127.0.0.1:0"),
            ("log.message.timestamp.after.max.ms", "9223372036854775807"),
        ])?;
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            actix::System::new().block_on(async move {
                let broker = Broker::start(config, Environment::system()).await?;
                tell.send(broker.listening()[0].1)?;
                // An end without a word is an end as well.
                let _ = stopped.await;
                Ok(broker.stop().await?)
            })
        });
        let address = told.recv()?;
        Ok(WholeBroker {
            address,
            stop,
            thread,
        })
    }

    pub(crate) fn stop(self) -> Result<(), Failure> {
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| "the broker panicked")?
    }
}
