//! Milena: an Apache-Kafka-compatible broker made of message-passing actors.

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
