//! Milena: an Apache-Kafka-compatible broker made of message-passing actors.
//!
//! The binary runs one broker (`milena serve`); a program runs as many as it likes inside itself:
//!
//! ```
//! use milena::broker::{Broker, Environment};
//! use milena::config::ServerConfig;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In memory and without a listener. Keys are those of server.properties.
//! let config = ServerConfig::embedded(&[("num.partitions", "3")])?;
//! let broker = Broker::spawn(config, Environment::in_memory()).await?;
//!
//! // A connection that speaks Kafka's wire without a socket: AsyncRead and AsyncWrite.
//! let connection = broker.connect()?;
//! # drop(connection);
//! broker.stop().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`broker`] is where to begin: how to start one, talk to it and stop it. Behind it the rooms stand on
//! floors and look downstairs only, from the ground up:
//!
//! - [`model`] has the words: offsets, ids, points in time, Kafka's error codes;
//! - [`record`] and [`protocol`] know bytes: record batches, requests and answers;
//! - [`replication`] and [`metadata`] decide, [`storage`] keeps: plain values without a runtime;
//! - [`net`], [`actors`] and [`telemetry`] move things: connections, mailboxes, metrics;
//! - [`api`] is the front desk, one file for each kind of request;
//! - [`config`], [`cli`] and [`broker`] are the doors.

pub mod actors;
pub mod api;
pub mod broker;
pub mod cli;
pub mod config;
pub mod coordination;
pub mod metadata;
pub mod model;
pub mod net;
pub mod protocol;
pub mod record;
pub mod replication;
pub mod storage;
pub mod telemetry;
