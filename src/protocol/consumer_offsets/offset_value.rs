//! The value of a committed offset (`OffsetCommitValue.json`, versions 0 to 4; `LegacyOffsetCommitValue`
//! is version 0 of it).

use bytes::{BufMut, BytesMut};

use super::OffsetValue;
use crate::model::{LeaderEpoch, Offset, Timestamp, TopicId};
use crate::protocol::ProtocolError;
use crate::protocol::cursor::Cursor;
use crate::protocol::writer::put_string;

const VERSION_MAX: i16 = 4;
/// What Kafka 4.3 writes.
const VERSION: i16 = 4;
/// What it writes of commits with an expiry of their own; no other version has room for that.
const VERSION_WITH_EXPIRY: i16 = 1;
const TOPIC_ID_TAG: u32 = 0;

pub(super) fn parse(bytes: &[u8]) -> Result<OffsetValue, ProtocolError> {
    let mut cursor = Cursor::new(bytes);
    let version = super::version(&mut cursor, VERSION_MAX)?;
    let flexible = version >= 4;
    let offset = Offset(cursor.i64()?);
    let leader_epoch = match version {
        3.. => LeaderEpoch(cursor.i32()?),
        _ => LeaderEpoch::NONE,
    };
    let metadata = cursor.text(flexible)?;
    let committed = Timestamp(cursor.i64()?);
    let expires = match version {
        VERSION_WITH_EXPIRY => Some(Timestamp(cursor.i64()?)),
        _ => None,
    };
    let mut topic_id = TopicId::ZERO;
    if flexible {
        cursor.tagged_fields(|tag, field| {
            if tag == TOPIC_ID_TAG {
                topic_id = field.uuid()?;
            }
            Ok(())
        })?;
    }
    Ok(OffsetValue {
        offset,
        leader_epoch,
        metadata: super::text(metadata),
        committed,
        expires: expires.filter(|expires| *expires != Timestamp::NONE),
        topic_id,
    })
}

pub(super) fn put(buffer: &mut BytesMut, value: &OffsetValue) -> Result<(), ProtocolError> {
    let version = match value.expires {
        Some(_) => VERSION_WITH_EXPIRY,
        None => VERSION,
    };
    let flexible = version >= 4;
    buffer.put_i16(version);
    buffer.put_i64(value.offset.0);
    if flexible {
        buffer.put_i32(value.leader_epoch.0);
    }
    put_string(buffer, flexible, &value.metadata)?;
    buffer.put_i64(value.committed.0);
    if let Some(expires) = value.expires {
        buffer.put_i64(expires.0);
    }
    if flexible && value.topic_id.is_zero() {
        super::put_no_tags(buffer);
    } else if flexible {
        super::put_tag(buffer, TOPIC_ID_TAG, &value.topic_id.0)?;
    }
    Ok(())
}
