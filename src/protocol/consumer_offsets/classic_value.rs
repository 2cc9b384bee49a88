//! The value of a classic group (`GroupMetadataValue.json`, versions 0 to 4).

use bytes::{BufMut, Bytes, BytesMut};

use super::{ClassicGroupValue, ClassicMemberValue};
use crate::model::Timestamp;
use crate::protocol::ProtocolError;
use crate::protocol::cursor::Cursor;
use crate::protocol::writer::{put_count, put_nullable_string, put_string};

const VERSION_MAX: i16 = 4;
/// What Kafka 4.3 writes: the last that is not flexible.
const VERSION: i16 = 3;
/// The least a member takes in any version: four strings or byte strings and a number.
const MEMBER_BYTES_MIN: usize = 9;
/// The rebalance timeout of a member that was stored before there was one.
const NO_TIMEOUT: i32 = -1;

pub(super) fn parse(bytes: &[u8]) -> Result<ClassicGroupValue, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    let version = super::version(&mut cursor, VERSION_MAX)?;
    let flexible = version >= 4;
    let protocol_type = super::text(cursor.text(flexible)?);
    let generation = cursor.i32()?;
    let protocol = cursor.nullable_text(flexible)?.map(super::text);
    let leader = cursor.nullable_text(flexible)?.map(super::text);
    let state_since = match version {
        2.. => Timestamp(cursor.i64()?),
        _ => Timestamp::NONE,
    };
    let count = cursor.count(flexible, MEMBER_BYTES_MIN)?;
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        members.push(parse_member(&mut cursor, version)?);
    }
    if flexible {
        cursor.skip_tagged_fields()?;
    }
    Ok(ClassicGroupValue {
        protocol_type,
        generation,
        protocol,
        leader,
        state_since,
        members,
    })
}

fn parse_member(
    cursor: &mut Cursor<'_>,
    version: i16,
) -> Result<ClassicMemberValue, ProtocolError> {
    let flexible = version >= 4;
    let member_id = super::text(cursor.text(flexible)?);
    let instance_id = match version {
        3.. => cursor.nullable_text(flexible)?.map(super::text),
        _ => None,
    };
    let client_id = super::text(cursor.text(flexible)?);
    let client_host = super::text(cursor.text(flexible)?);
    let rebalance_timeout_ms = match version {
        1.. => cursor.i32()?,
        _ => NO_TIMEOUT,
    };
    let session_timeout_ms = cursor.i32()?;
    let subscription = Bytes::copy_from_slice(cursor.bytes(flexible)?);
    let assignment = Bytes::copy_from_slice(cursor.bytes(flexible)?);
    if flexible {
        cursor.skip_tagged_fields()?;
    }
    Ok(ClassicMemberValue {
        member_id,
        instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms,
        session_timeout_ms,
        subscription,
        assignment,
    })
}

pub(super) fn put(buffer: &mut BytesMut, value: &ClassicGroupValue) -> Result<(), ProtocolError> {
    buffer.put_i16(VERSION);
    put_string(buffer, false, &value.protocol_type)?;
    buffer.put_i32(value.generation);
    put_nullable_string(buffer, false, value.protocol.as_deref())?;
    put_nullable_string(buffer, false, value.leader.as_deref())?;
    buffer.put_i64(value.state_since.0);
    put_count(buffer, false, value.members.len())?;
    for member in &value.members {
        put_string(buffer, false, &member.member_id)?;
        put_nullable_string(buffer, false, member.instance_id.as_deref())?;
        put_string(buffer, false, &member.client_id)?;
        put_string(buffer, false, &member.client_host)?;
        buffer.put_i32(member.rebalance_timeout_ms);
        buffer.put_i32(member.session_timeout_ms);
        super::put_bytes(buffer, false, &member.subscription)?;
        super::put_bytes(buffer, false, &member.assignment)?;
    }
    Ok(())
}
