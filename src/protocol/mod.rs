//! Framing of requests and responses around the codec crates.
//!
//! Owns everything that is Kafka's wire format short of the record batches inside: headers, the
//! bodies of all requests (through [`messages`]), and hand-written codecs for the two requests
//! that carry records, [`produce`] and [`fetch`], because those are met for every batch. Pure: it
//! turns bytes into values and back. Called by `api`, by the client and by the outbound channels;
//! `net` moves the [`Response`]s without looking into them. Nothing a frame holds decides an
//! allocation before it was checked against the bytes that are really there.

pub mod api_key;
pub mod consumer_offsets;
pub mod consumer_protocol;
mod cursor;
mod error;
pub mod fetch;
mod frame;
#[cfg(test)]
mod frame_tests;
pub mod messages;
mod outbound;
pub mod produce;
mod reader;
mod response;
#[cfg(test)]
mod sample_tests;
mod tally;
mod writer;

pub use error::ProtocolError;
pub use frame::{
    ARRAY_ELEMENTS_MAX, RequestHead, TAGGED_FIELDS_MAX, decode_body, encode_response,
    parse_request, supported_versions,
};
pub use outbound::{decode_response, encode_request};
pub use response::{FileRange, RangeSource, Response, Segment};

use messages::StrBytes;

use crate::model::{BrokerId, LeaderEpoch, TopicId};

/// How a request names a topic: older versions by name, newer ones by id (KIP-516).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TopicKey {
    /// By name: Produce up to version 12, Fetch up to 12.
    Name(StrBytes),
    /// By id: Produce from version 13, Fetch from 13.
    Id(TopicId),
}

/// A broker's address, told to a client that must go elsewhere (KIP-951).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// The broker.
    pub node_id: BrokerId,
    /// Where it listens, for the listener the request came in on.
    pub host: String,
    /// Its port.
    pub port: i32,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// Who leads a partition now, told to a client that asked somebody else (KIP-951).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurrentLeader {
    /// The leader, [`BrokerId::NONE`] if there is none.
    pub leader_id: BrokerId,
    /// Its epoch, [`LeaderEpoch::NONE`] if unknown.
    pub leader_epoch: LeaderEpoch,
}
