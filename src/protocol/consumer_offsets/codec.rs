//! Records to bytes and back.
//!
//! [`encode`] serves the shard's appends, [`Decoder`] its loads and whoever dumps a log.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::key::{self, Key};
use super::{Record, assignment_value, classic_value, consumer_value, offset_value};
use crate::protocol::ProtocolError;

/// So many names are shared while loading; more are forgotten, not refused.
const NAMES_MAX: usize = 65_536;

/// A record as the log stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedRecord {
    /// Schema id and names.
    pub key: Bytes,
    /// Version and fields; `None` for a tombstone.
    pub value: Option<Bytes>,
}

/// Encodes a record with the versions a broker of Kafka 4.3 writes. Fails when a name is longer than
/// the format can say (32,767 bytes in keys and in values of classic groups).
pub fn encode(record: &Record) -> Result<EncodedRecord, ProtocolError> {
    let mut buffer = BytesMut::with_capacity(128);
    Key::of(record).put(&mut buffer)?;
    let key = buffer.split().freeze();
    if record.is_tombstone() {
        return Ok(EncodedRecord { key, value: None });
    }
    put_value(&mut buffer, record)?;
    Ok(EncodedRecord {
        key,
        value: Some(buffer.freeze()),
    })
}

fn put_value(buffer: &mut BytesMut, record: &Record) -> Result<(), ProtocolError> {
    match record {
        Record::Offset { value, .. } => put_some(buffer, value, offset_value::put),
        Record::ClassicGroup { value, .. } => put_some(buffer, value, classic_value::put),
        Record::ConsumerGroup { value, .. } => put_some(buffer, value, consumer_value::put_group),
        Record::Member { value, .. } => put_some(buffer, value, consumer_value::put_member),
        Record::TargetEpoch { value, .. } => {
            put_some(buffer, value, consumer_value::put_target_epoch)
        }
        Record::TargetMember { value, .. } => put_some(buffer, value, assignment_value::put_target),
        Record::CurrentMember { value, .. } => {
            put_some(buffer, value, assignment_value::put_current)
        }
        Record::RegularExpression { value, .. } => {
            put_some(buffer, value, consumer_value::put_regular_expression)
        }
    }
}

fn put_some<Value>(
    buffer: &mut BytesMut,
    value: &Option<Value>,
    put: impl FnOnce(&mut BytesMut, &Value) -> Result<(), ProtocolError>,
) -> Result<(), ProtocolError> {
    match value {
        Some(value) => put(buffer, value),
        None => Ok(()),
    }
}

/// Decodes one record, see [`Decoder::decode`].
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, ProtocolError> {
    Decoder::default().decode(key, value)
}

/// Decodes the records of a log, and shares the names that come again: of groups and topics there are
/// few beside their offsets.
#[derive(Debug, Default)]
pub struct Decoder {
    names: HashSet<Arc<str>>,
}

impl Decoder {
    /// Reads a record, of any version there ever was. `None` is a record of a schema this broker has
    /// no use for, which is to be passed over: share and streams groups, those of other
    /// brokers. Fails when the bytes are not what their schema says.
    pub fn decode(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<Option<Record>, ProtocolError> {
        Ok(match Key::parse(key)? {
            Some(Key::Offset {
                group,
                topic,
                partition,
            }) => Some(Record::Offset {
                group: self.name(group),
                topic: self.name(topic),
                partition,
                value: value.map(offset_value::parse).transpose()?,
            }),
            Some(Key::Group { id, group }) => Some(decode_group(id, self.name(group), value)?),
            Some(Key::Part { id, group, second }) => {
                let group = self.name(group);
                Some(decode_part(id, group, Arc::from(second), value)?)
            }
            None => None,
        })
    }

    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        if self.names.len() >= NAMES_MAX {
            self.names.clear();
        }
        let name: Arc<str> = Arc::from(name);
        self.names.insert(Arc::clone(&name));
        name
    }
}

fn decode_group(id: i16, group: Arc<str>, value: Option<&[u8]>) -> Result<Record, ProtocolError> {
    Ok(match id {
        key::CLASSIC_GROUP => Record::ClassicGroup {
            group,
            value: value.map(classic_value::parse).transpose()?,
        },
        key::CONSUMER_GROUP => Record::ConsumerGroup {
            group,
            value: value.map(consumer_value::parse_group).transpose()?,
        },
        _ => Record::TargetEpoch {
            group,
            value: value.map(consumer_value::parse_target_epoch).transpose()?,
        },
    })
}

fn decode_part(
    id: i16,
    group: Arc<str>,
    second: Arc<str>,
    value: Option<&[u8]>,
) -> Result<Record, ProtocolError> {
    Ok(match id {
        key::MEMBER => Record::Member {
            group,
            member: second,
            value: value.map(consumer_value::parse_member).transpose()?,
        },
        key::TARGET_MEMBER => Record::TargetMember {
            group,
            member: second,
            value: value.map(assignment_value::parse_target).transpose()?,
        },
        key::CURRENT_MEMBER => Record::CurrentMember {
            group,
            member: second,
            value: value.map(assignment_value::parse_current).transpose()?,
        },
        _ => Record::RegularExpression {
            group,
            expression: second,
            value: value
                .map(consumer_value::parse_regular_expression)
                .transpose()?,
        },
    })
}
