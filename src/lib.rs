//! Milena: an Apache-Kafka-compatible broker made of message-passing actors.

pub mod metadata;
pub mod model;
pub mod net;
pub mod protocol;
