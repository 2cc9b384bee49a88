//! The keys: a schema id and one or two names (`*Key.json`, version 0, not flexible).

use bytes::{BufMut, BytesMut};

use super::Record;
use crate::protocol::ProtocolError;
use crate::protocol::cursor::Cursor;
use crate::protocol::writer::put_string;

pub(super) const LEGACY_OFFSET: i16 = 0;
pub(super) const OFFSET: i16 = 1;
pub(super) const CLASSIC_GROUP: i16 = 2;
pub(super) const CONSUMER_GROUP: i16 = 3;
pub(super) const MEMBER: i16 = 5;
pub(super) const TARGET_EPOCH: i16 = 6;
pub(super) const TARGET_MEMBER: i16 = 7;
pub(super) const CURRENT_MEMBER: i16 = 8;
pub(super) const REGULAR_EXPRESSION: i16 = 16;

/// A key of a record that is of use here. `second` is the member, or the expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    Offset {
        group: &'a str,
        topic: &'a str,
        partition: i32,
    },
    Group {
        id: i16,
        group: &'a str,
    },
    Part {
        id: i16,
        group: &'a str,
        second: &'a str,
    },
}

impl<'a> Key<'a> {
    /// Reads a key; `None` for a schema that is not of use: what replaced the subscription metadata
    /// of Kafka before 4.1 (4), share groups (9 to 15), streams groups (17 on), what is unknown.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Key<'a>>, ProtocolError> {
        let mut cursor = Cursor::new(bytes);
        let id = cursor.i16()?;
        Ok(Some(match id {
            LEGACY_OFFSET | OFFSET => Key::Offset {
                group: cursor.text(false)?,
                topic: cursor.text(false)?,
                partition: cursor.i32()?,
            },
            CLASSIC_GROUP | CONSUMER_GROUP | TARGET_EPOCH => Key::Group {
                id,
                group: cursor.text(false)?,
            },
            MEMBER | TARGET_MEMBER | CURRENT_MEMBER | REGULAR_EXPRESSION => Key::Part {
                id,
                group: cursor.text(false)?,
                second: cursor.text(false)?,
            },
            _ => return Ok(None),
        }))
    }

    /// The key of a record.
    pub(super) fn of(record: &'a Record) -> Key<'a> {
        let part = |id, group, second| Key::Part { id, group, second };
        match record {
            Record::Offset {
                group,
                topic,
                partition,
                ..
            } => Key::Offset {
                group,
                topic,
                partition: *partition,
            },
            Record::ClassicGroup { group, .. } => Key::Group {
                id: CLASSIC_GROUP,
                group,
            },
            Record::ConsumerGroup { group, .. } => Key::Group {
                id: CONSUMER_GROUP,
                group,
            },
            Record::TargetEpoch { group, .. } => Key::Group {
                id: TARGET_EPOCH,
                group,
            },
            Record::Member { group, member, .. } => part(MEMBER, group, member),
            Record::TargetMember { group, member, .. } => part(TARGET_MEMBER, group, member),
            Record::CurrentMember { group, member, .. } => part(CURRENT_MEMBER, group, member),
            Record::RegularExpression {
                group, expression, ..
            } => part(REGULAR_EXPRESSION, group, expression),
        }
    }

    /// Writes the key. Fails when a name has more than 32,767 bytes.
    pub(super) fn put(&self, buffer: &mut BytesMut) -> Result<(), ProtocolError> {
        match self {
            Key::Offset {
                group,
                topic,
                partition,
            } => {
                buffer.put_i16(OFFSET);
                put_string(buffer, false, group)?;
                put_string(buffer, false, topic)?;
                buffer.put_i32(*partition);
            }
            Key::Group { id, group } => {
                buffer.put_i16(*id);
                put_string(buffer, false, group)?;
            }
            Key::Part { id, group, second } => {
                buffer.put_i16(*id);
                put_string(buffer, false, group)?;
                put_string(buffer, false, second)?;
            }
        }
        Ok(())
    }
}
