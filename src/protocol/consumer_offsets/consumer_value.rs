//! The values of consumer groups (`ConsumerGroup*Value.json`): all of version 0, all flexible; what
//! came later are tagged fields.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    ClassicMemberMetadata, ConsumerGroupValue, MemberValue, RegularExpressionValue,
    TargetEpochValue,
};
use crate::model::Timestamp;
use crate::protocol::ProtocolError;
use crate::protocol::cursor::Cursor;
use crate::protocol::writer::{put_count, put_nullable_string, put_string};

pub(super) const VERSION: i16 = 0;
/// Each of these schemas has one tagged field at most.
const TAG: u32 = 0;

pub(super) fn parse_group(bytes: &[u8]) -> Result<ConsumerGroupValue, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    super::version(&mut cursor, VERSION)?;
    let epoch = cursor.i32()?;
    let metadata_hash = tagged_number(&mut cursor)?;
    Ok(ConsumerGroupValue {
        epoch,
        metadata_hash,
    })
}

pub(super) fn put_group(
    buffer: &mut BytesMut,
    value: &ConsumerGroupValue,
) -> Result<(), ProtocolError> {
    buffer.put_i16(VERSION);
    buffer.put_i32(value.epoch);
    put_tagged_number(buffer, value.metadata_hash)
}

pub(super) fn parse_target_epoch(bytes: &[u8]) -> Result<TargetEpochValue, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    super::version(&mut cursor, VERSION)?;
    let epoch = cursor.i32()?;
    let computed = Timestamp(tagged_number(&mut cursor)?);
    Ok(TargetEpochValue { epoch, computed })
}

pub(super) fn put_target_epoch(
    buffer: &mut BytesMut,
    value: &TargetEpochValue,
) -> Result<(), ProtocolError> {
    buffer.put_i16(VERSION);
    buffer.put_i32(value.epoch);
    put_tagged_number(buffer, value.computed.0)
}

/// A number in a tagged field, which is left out when it is zero.
fn tagged_number(cursor: &mut Cursor<'_>) -> Result<i64, ProtocolError> {
    let mut number = 0;
    cursor.tagged_fields(|tag, field| {
        if tag == TAG {
            number = field.i64()?;
        }
        Ok(())
    })?;
    Ok(number)
}

fn put_tagged_number(buffer: &mut BytesMut, number: i64) -> Result<(), ProtocolError> {
    if number == 0 {
        super::put_no_tags(buffer);
        return Ok(());
    }
    super::put_tag(buffer, TAG, &number.to_be_bytes())
}

pub(super) fn parse_member(bytes: &[u8]) -> Result<MemberValue, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    super::version(&mut cursor, VERSION)?;
    let mut value = MemberValue {
        instance_id: cursor.nullable_text(true)?.map(super::text),
        rack_id: cursor.nullable_text(true)?.map(super::text),
        client_id: super::text(cursor.text(true)?),
        client_host: super::text(cursor.text(true)?),
        subscribed_topics: parse_names(&mut cursor)?,
        subscribed_regex: cursor.nullable_text(true)?.map(super::text),
        rebalance_timeout_ms: cursor.i32()?,
        server_assignor: cursor.nullable_text(true)?.map(super::text),
        classic: None,
    };
    cursor.tagged_fields(|tag, field| {
        if tag == TAG {
            value.classic = parse_classic(field)?;
        }
        Ok(())
    })?;
    Ok(value)
}

fn parse_names(cursor: &mut Cursor<'_>) -> Result<Vec<Arc<str>>, ProtocolError> {
    let count = cursor.count(true, 1)?;
    (0..count)
        .map(|_| cursor.text(true).map(super::text))
        .collect()
}

/// A structure that may be null begins with a byte, which is negative when it is.
fn parse_classic(field: &mut Cursor<'_>) -> Result<Option<ClassicMemberMetadata>, ProtocolError> {
    if field.i8()? < 0 {
        return Ok(None);
    }
    let session_timeout_ms = field.i32()?;
    let count = field.count(true, 3)?;
    let mut supported_protocols = Vec::with_capacity(count);
    for _ in 0..count {
        let name = super::text(field.text(true)?);
        let metadata = Bytes::copy_from_slice(field.bytes(true)?);
        field.skip_tagged_fields()?;
        supported_protocols.push((name, metadata));
    }
    field.skip_tagged_fields()?;
    Ok(Some(ClassicMemberMetadata {
        session_timeout_ms,
        supported_protocols,
    }))
}

pub(super) fn put_member(buffer: &mut BytesMut, value: &MemberValue) -> Result<(), ProtocolError> {
    buffer.put_i16(VERSION);
    put_nullable_string(buffer, true, value.instance_id.as_deref())?;
    put_nullable_string(buffer, true, value.rack_id.as_deref())?;
    put_string(buffer, true, &value.client_id)?;
    put_string(buffer, true, &value.client_host)?;
    put_names(buffer, &value.subscribed_topics)?;
    put_nullable_string(buffer, true, value.subscribed_regex.as_deref())?;
    buffer.put_i32(value.rebalance_timeout_ms);
    put_nullable_string(buffer, true, value.server_assignor.as_deref())?;
    match &value.classic {
        Some(classic) => put_classic(buffer, classic),
        None => {
            super::put_no_tags(buffer);
            Ok(())
        }
    }
}

fn put_names(buffer: &mut BytesMut, names: &[Arc<str>]) -> Result<(), ProtocolError> {
    put_count(buffer, true, names.len())?;
    names
        .iter()
        .try_for_each(|name| put_string(buffer, true, name))
}

fn put_classic(
    buffer: &mut BytesMut,
    classic: &ClassicMemberMetadata,
) -> Result<(), ProtocolError> {
    let mut field = BytesMut::new();
    field.put_i8(1);
    field.put_i32(classic.session_timeout_ms);
    put_count(&mut field, true, classic.supported_protocols.len())?;
    for (name, metadata) in &classic.supported_protocols {
        put_string(&mut field, true, name)?;
        super::put_bytes(&mut field, true, metadata)?;
        super::put_no_tags(&mut field);
    }
    super::put_no_tags(&mut field);
    super::put_tag(buffer, TAG, &field)
}

pub(super) fn parse_regular_expression(
    bytes: &[u8],
) -> Result<RegularExpressionValue, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    super::version(&mut cursor, VERSION)?;
    let topics = parse_names(&mut cursor)?;
    let version = cursor.i64()?;
    let resolved = Timestamp(cursor.i64()?);
    cursor.skip_tagged_fields()?;
    Ok(RegularExpressionValue {
        topics,
        version,
        resolved,
    })
}

pub(super) fn put_regular_expression(
    buffer: &mut BytesMut,
    value: &RegularExpressionValue,
) -> Result<(), ProtocolError> {
    buffer.put_i16(VERSION);
    put_names(buffer, &value.topics)?;
    buffer.put_i64(value.version);
    buffer.put_i64(value.resolved.0);
    super::put_no_tags(buffer);
    Ok(())
}
