//! Putting Kafka's types into a buffer, for the hand-written encoders.

use bytes::{BufMut, BytesMut};

use super::error::ProtocolError;
use super::{CurrentLeader, NodeEndpoint, TopicKey};

pub(crate) fn put_varint(buffer: &mut BytesMut, mut value: u32) {
    while value >= 0x80 {
        buffer.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

/// A length as the wire holds it; what does not fit is a fault of ours.
fn length(value: usize) -> Result<u32, ProtocolError> {
    i32::try_from(value)
        .ok()
        .and_then(|value| u32::try_from(value).ok())
        .ok_or_else(|| ProtocolError::Unencodable(format!("a length of {value}")))
}

/// The count of an array, or the length of bytes: compact in flexible versions.
pub(crate) fn put_count(
    buffer: &mut BytesMut,
    flexible: bool,
    count: usize,
) -> Result<(), ProtocolError> {
    let count = length(count)?;
    if flexible {
        put_varint(buffer, count + 1);
    } else {
        buffer.put_u32(count);
    }
    Ok(())
}

pub(crate) fn put_string(
    buffer: &mut BytesMut,
    flexible: bool,
    text: &str,
) -> Result<(), ProtocolError> {
    if flexible {
        put_varint(buffer, length(text.len())? + 1);
    } else {
        let length = i16::try_from(text.len())
            .map_err(|_| ProtocolError::Unencodable(format!("text of {} bytes", text.len())))?;
        buffer.put_i16(length);
    }
    buffer.put_slice(text.as_bytes());
    Ok(())
}

pub(crate) fn put_nullable_string(
    buffer: &mut BytesMut,
    flexible: bool,
    text: Option<&str>,
) -> Result<(), ProtocolError> {
    match text {
        Some(text) => put_string(buffer, flexible, text)?,
        None if flexible => buffer.put_u8(0),
        None => buffer.put_i16(-1),
    }
    Ok(())
}

/// A topic by the key its version uses; the wrong kind of key is a fault of ours.
pub(crate) fn put_topic(
    buffer: &mut BytesMut,
    flexible: bool,
    by_id: bool,
    topic: &TopicKey,
) -> Result<(), ProtocolError> {
    match topic {
        TopicKey::Name(name) if !by_id => put_string(buffer, flexible, name),
        TopicKey::Id(id) if by_id => {
            buffer.put_slice(&id.0);
            Ok(())
        }
        _ => Err(ProtocolError::Unencodable(
            "a topic by name where the version wants its id, or the reverse".to_owned(),
        )),
    }
}

/// The tagged field that names a partition's leader: tag, length, two numbers, no tags inside.
pub(crate) fn put_leader_field(buffer: &mut BytesMut, tag: u32, leader: CurrentLeader) {
    put_varint(buffer, tag);
    put_varint(buffer, 9);
    buffer.put_i32(leader.leader_id.0);
    buffer.put_i32(leader.leader_epoch.0);
    buffer.put_u8(0);
}

/// The tagged fields at the end of an answer: the brokers' endpoints under tag 0, if there are any
/// and the version has the field.
pub(crate) fn put_endpoints_field(
    buffer: &mut BytesMut,
    endpoints: &[NodeEndpoint],
) -> Result<(), ProtocolError> {
    if endpoints.is_empty() {
        buffer.put_u8(0);
        return Ok(());
    }
    let mut field = BytesMut::with_capacity(64 * endpoints.len());
    put_count(&mut field, true, endpoints.len())?;
    for endpoint in endpoints {
        field.put_i32(endpoint.node_id.0);
        put_string(&mut field, true, &endpoint.host)?;
        field.put_i32(endpoint.port);
        put_nullable_string(&mut field, true, endpoint.rack.as_deref())?;
        field.put_u8(0);
    }
    buffer.put_u8(1);
    buffer.put_u8(0);
    put_varint(buffer, length(field.len())?);
    buffer.put_slice(&field);
    Ok(())
}
