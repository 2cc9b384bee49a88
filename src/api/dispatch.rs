//! From a frame to its outcome: head, row of the table, handler, answer.
//!
//! A connection has a [`FrontDesk`], which `net` hands every frame. Invariant: a frame that is not understood
//! changes nothing and closes the connection, with the one exception that an unknown version of
//! ApiVersions is answered (KIP-511).

use std::rc::Rc;

use bytes::Bytes;

use super::api_versions;
use super::gateway::Gateway;
use super::peer::{Connection, Peer};
use super::table;
use crate::net::{LocalBoxFuture, Reply, Service};
use crate::protocol::messages::{Answer, Message};
use crate::protocol::{
    ProtocolError, RequestHead, api_key, decode_body, encode_response, parse_request,
};

/// The front desk as one connection sees it.
pub struct FrontDesk {
    gateway: Rc<Gateway>,
    connection: Rc<Connection>,
}

impl FrontDesk {
    /// A desk for one connection.
    pub fn new(gateway: Rc<Gateway>, connection: Connection) -> FrontDesk {
        FrontDesk {
            gateway,
            connection: Rc::new(connection),
        }
    }
}

impl Service for FrontDesk {
    /// Produce alone may be taken while those before it are still being served: it is answered late
    /// and takes effect early.
    fn may_pipeline(&self, frame: &[u8]) -> bool {
        key_of(frame) == Some(api_key::PRODUCE)
    }

    /// A fetch, a join and a sync may wait for minutes; who is cut off asks another broker, or this
    /// one again. The group keeps the member until its session ends, as after any lost connection.
    fn may_abandon(&self, frame: &[u8]) -> bool {
        matches!(
            key_of(frame),
            Some(api_key::FETCH | api_key::JOIN_GROUP | api_key::SYNC_GROUP)
        )
    }

    fn call(&self, frame: Bytes) -> LocalBoxFuture<'static, Reply> {
        let gateway = Rc::clone(&self.gateway);
        let connection = Rc::clone(&self.connection);
        dispatch(gateway, connection, frame)
    }
}

fn key_of(frame: &[u8]) -> Option<i16> {
    frame.first_chunk().map(|key| i16::from_be_bytes(*key))
}

/// Serves one frame, without its size in front.
///
/// A Produce has its batches on their way when this returns, before the future is polled: that is
/// what lets several of one connection be under way and still take effect in their order.
pub fn dispatch(
    gateway: Rc<Gateway>,
    connection: Rc<Connection>,
    frame: Bytes,
) -> LocalBoxFuture<'static, Reply> {
    match find_row(frame) {
        Ok((row, head)) => {
            let peer = Peer {
                connection,
                client_id: head.client_id.clone(),
            };
            (row.serve)(gateway, peer, head)
        }
        Err(outcome) => Box::pin(std::future::ready(outcome)),
    }
}

fn find_row(frame: Bytes) -> Result<(&'static table::Row, RequestHead), Reply> {
    let head = parse_request(frame).map_err(|error| refused(&error))?;
    let version = head.api_version;
    let Some(row) = table::find(head.api_key) else {
        let why = format!("request {} is not served", head.api_key);
        return Err(Reply::Close(why));
    };
    if (row.min..=row.max).contains(&version) {
        return Ok((row, head));
    }
    if head.api_key == api_key::API_VERSIONS {
        let answer = api_versions::unsupported_version();
        return Err(respond(head.correlation_id, 0, &answer));
    }
    Err(Reply::Close(format!(
        "version {version} of {} is not served, only {} to {}",
        row.name, row.min, row.max
    )))
}

/// The body of a request, or the outcome of one that cannot be read.
pub fn decode<R: Message>(head: RequestHead) -> Result<R, Reply> {
    decode_body(head.body, head.api_version).map_err(|error| refused(&error))
}

/// The outcome of an answer. One that its version cannot express is a fault of ours, and the
/// client must not wait for it.
pub fn respond<A: Answer>(correlation_id: i32, version: i16, answer: &A) -> Reply {
    match encode_response(correlation_id, version, answer) {
        Ok(response) => Reply::Respond(response),
        Err(error) => refused(&error),
    }
}

fn refused(error: &ProtocolError) -> Reply {
    Reply::Close(error.to_string())
}
