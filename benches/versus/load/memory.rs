//! Start to first answer of a broker inside this process, with its data in memory.

use std::sync::Arc;

use milena::broker::{Broker, Environment};
use milena::config::ServerConfig;
use milena::message;
use milena::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use milena::storage::disk::MemoryDisk;
use serde_json::json;

use crate::Failure;
use crate::args::Args;
use crate::gate::{self, now_ns};
use crate::stats;
use crate::wire::Connection;

/// `rounds=9`.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for _ in 0..args.number("rounds", 9)? {
        let (begun, answered, stopped) = one_life()?;
        up.push(answered - begun);
        down.push(stopped - answered);
    }
    gate::result(&json!({"start": stats::summary(&mut up), "stop": stats::summary(&mut down)}))
}

fn one_life() -> Result<(u64, u64, u64), Failure> {
    let begun = now_ns();
    let config = ServerConfig::of(&[
        ("log.dirs", "/data"),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
    ])?;
    let environment = Environment {
        disk: Arc::new(MemoryDisk::new()),
        ..Environment::system()
    };
    let system = actix::System::new();
    let answered = system.block_on(async move {
        let broker = Broker::start(config, environment).await?;
        let address = broker.listening()[0].1;
        let asking = std::thread::spawn(move || {
            let mut connection = Connection::open(address, 1 << 16)?;
            let _: ApiVersionsResponse = connection.ask(0, &message!(ApiVersionsRequest {}))?;
            Ok::<u64, Failure>(now_ns())
        });
        while !asking.is_finished() {
            tokio::task::yield_now().await;
        }
        let answered = asking.join().map_err(|_| "the client panicked")??;
        broker.stop().await?;
        Ok::<u64, Failure>(answered)
    })?;
    Ok((begun, answered, now_ns()))
}
