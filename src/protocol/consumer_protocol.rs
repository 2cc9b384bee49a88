//! What consumers of the classic protocol say to one another through the coordinator: the metadata of
//! their joins, and the assignments their leader makes (`ConsumerProtocolSubscription.json`,
//! `ConsumerProtocolAssignment.json`, versions 0 to 3).
//!
//! A coordinator passes these bytes on untouched; it looks into them to know what a group is subscribed
//! to, and speaks them itself where members of both protocols share a group (KIP-848). A version
//! newer than is known is read as the newest known, as Kafka's `ConsumerProtocol` does; bytes left
//! over are passed over.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::ProtocolError;
use super::cursor::Cursor;
use super::writer::{put_count, put_nullable_string, put_string};

/// The newest version of both schemas.
pub const VERSION_MAX: i16 = 3;

/// The topics of partitions, by name, with their numbers.
pub type NamedPartitions = Vec<(Arc<str>, Vec<i32>)>;

/// What a member wants, and has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The version it was written in.
    pub version: i16,
    /// Topics by name.
    pub topics: Vec<Arc<str>>,
    /// What its assignor adds.
    pub user_data: Option<Bytes>,
    /// What it has (version 1).
    pub owned: NamedPartitions,
    /// In which generation it got that (version 2); -1 when unknown.
    pub generation: i32,
    /// `client.rack` (version 3).
    pub rack_id: Option<Arc<str>>,
}

/// What a member is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberAssignment {
    /// The version it was written in; all are the same.
    pub version: i16,
    /// Its partitions.
    pub partitions: NamedPartitions,
    /// What the assignor adds.
    pub user_data: Option<Bytes>,
}

impl Subscription {
    /// Reads the metadata of a protocol in a join.
    pub fn parse(bytes: &[u8]) -> Result<Subscription, ProtocolError> {
        let mut cursor = Cursor::new(bytes);
        let version = version(&mut cursor)?;
        let topics = parse_topics(&mut cursor)?;
        let user_data = parse_user_data(&mut cursor)?;
        let owned = match version {
            1.. => parse_partitions(&mut cursor)?,
            _ => Vec::new(),
        };
        let generation = match version {
            2.. => cursor.i32()?,
            _ => -1,
        };
        let rack_id = match version {
            3.. => cursor.nullable_text(false)?.map(Arc::from),
            _ => None,
        };
        Ok(Subscription {
            version,
            topics,
            user_data,
            owned,
            generation,
            rack_id,
        })
    }

    /// Reads the topics alone, which stand in front in every version.
    pub fn parse_topics(bytes: &[u8]) -> Result<Vec<Arc<str>>, ProtocolError> {
        let mut cursor = Cursor::new(bytes);
        version(&mut cursor)?;
        parse_topics(&mut cursor)
    }

    /// Writes it in its version, which must be one that is known. Fails when a name is longer than
    /// 32,767 bytes.
    pub fn encode(&self) -> Result<Bytes, ProtocolError> {
        let version = self.version.clamp(0, VERSION_MAX);
        let mut buffer = BytesMut::new();
        buffer.put_i16(version);
        put_count(&mut buffer, false, self.topics.len())?;
        for topic in &self.topics {
            put_string(&mut buffer, false, topic)?;
        }
        put_user_data(&mut buffer, self.user_data.as_ref())?;
        if version >= 1 {
            put_partitions(&mut buffer, &self.owned)?;
        }
        if version >= 2 {
            buffer.put_i32(self.generation);
        }
        if version >= 3 {
            put_nullable_string(&mut buffer, false, self.rack_id.as_deref())?;
        }
        Ok(buffer.freeze())
    }
}

impl MemberAssignment {
    /// Reads an assignment of a sync.
    pub fn parse(bytes: &[u8]) -> Result<MemberAssignment, ProtocolError> {
        let mut cursor = Cursor::new(bytes);
        Ok(MemberAssignment {
            version: version(&mut cursor)?,
            partitions: parse_partitions(&mut cursor)?,
            user_data: parse_user_data(&mut cursor)?,
        })
    }

    /// Writes it. Fails when a name is longer than 32,767 bytes.
    pub fn encode(&self) -> Result<Bytes, ProtocolError> {
        let mut buffer = BytesMut::new();
        buffer.put_i16(self.version.clamp(0, VERSION_MAX));
        put_partitions(&mut buffer, &self.partitions)?;
        put_user_data(&mut buffer, self.user_data.as_ref())?;
        Ok(buffer.freeze())
    }
}

fn version(cursor: &mut Cursor<'_>) -> Result<i16, ProtocolError> {
    match cursor.i16()? {
        negative @ ..=-1 => Err(cursor.malformed(&format!("version {negative}"))),
        version => Ok(version.min(VERSION_MAX)),
    }
}

fn parse_topics(cursor: &mut Cursor<'_>) -> Result<Vec<Arc<str>>, ProtocolError> {
    let count = cursor.count(false, 2)?;
    (0..count)
        .map(|_| cursor.text(false).map(Arc::from))
        .collect()
}

fn parse_user_data(cursor: &mut Cursor<'_>) -> Result<Option<Bytes>, ProtocolError> {
    let bytes = cursor.nullable_bytes(false)?;
    Ok(bytes.map(Bytes::copy_from_slice))
}

fn parse_partitions(cursor: &mut Cursor<'_>) -> Result<NamedPartitions, ProtocolError> {
    let count = cursor.count(false, 6)?;
    (0..count)
        .map(|_| Ok((Arc::from(cursor.text(false)?), cursor.numbers(false)?)))
        .collect()
}

fn put_user_data(buffer: &mut BytesMut, bytes: Option<&Bytes>) -> Result<(), ProtocolError> {
    match bytes {
        Some(bytes) => {
            put_count(buffer, false, bytes.len())?;
            buffer.put_slice(bytes);
        }
        None => buffer.put_i32(-1),
    }
    Ok(())
}

fn put_partitions(
    buffer: &mut BytesMut,
    partitions: &NamedPartitions,
) -> Result<(), ProtocolError> {
    put_count(buffer, false, partitions.len())?;
    for (topic, numbers) in partitions {
        put_string(buffer, false, topic)?;
        put_count(buffer, false, numbers.len())?;
        numbers.iter().for_each(|number| buffer.put_i32(*number));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Kafka 4.3.1 writes (`MessageUtil.toVersionPrefixedBytes`).
    const SUBSCRIPTIONS: [&str; 4] = [
        "000000000002000161000162000000020908",
        "00010000000200016100016200000002090800000001000161000000020000000000000003",
        "000200000002000161000162000000020908000000010001610000000200000000000000030000000b",
        "000300000002000161000162000000020908000000010001610000000200000000000000030000000b00047261636b",
    ];
    const BARE: &str = "000300000000ffffffff00000000ffffffffffff";
    const ASSIGNMENT: &str = "000300000001000161000000020000000000000003000000020908";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    fn partitions() -> NamedPartitions {
        vec![(Arc::from("a"), vec![0, 3])]
    }

    fn subscription(version: i16) -> Subscription {
        Subscription {
            version,
            topics: vec![Arc::from("a"), Arc::from("b")],
            user_data: Some(Bytes::from_static(&[9, 8])),
            owned: match version {
                0 => vec![],
                _ => partitions(),
            },
            generation: match version {
                2.. => 11,
                _ => -1,
            },
            rack_id: (version >= 3).then(|| Arc::from("rack")),
        }
    }

    #[test]
    fn subscriptions_of_every_version_are_as_kafka_writes_them() {
        for (golden, version) in SUBSCRIPTIONS.iter().zip(0..) {
            let expected = subscription(version);
            assert_eq!(Subscription::parse(&bytes(golden)), Ok(expected.clone()));
            assert_eq!(expected.encode().unwrap(), bytes(golden), "{version}");
            let topics = Subscription::parse_topics(&bytes(golden));
            assert_eq!(topics, Ok(expected.topics));
        }
        let bare = Subscription::parse(&bytes(BARE)).unwrap();
        assert_eq!((bare.user_data.clone(), bare.rack_id.clone()), (None, None));
        assert_eq!(bare.encode().unwrap(), bytes(BARE));
    }

    #[test]
    fn assignments_are_as_kafka_writes_them() {
        let assignment = MemberAssignment {
            version: 3,
            partitions: partitions(),
            user_data: Some(Bytes::from_static(&[9, 8])),
        };
        assert_eq!(assignment.encode().unwrap(), bytes(ASSIGNMENT));
        assert_eq!(MemberAssignment::parse(&bytes(ASSIGNMENT)), Ok(assignment));
    }

    #[test]
    fn a_version_of_the_future_is_read_as_the_newest_known() {
        let mut future = bytes(SUBSCRIPTIONS[3]);
        future[1] = 9;
        future.extend([1, 2, 3]);
        assert_eq!(Subscription::parse(&future), Ok(subscription(3)));
        future[0] = 0xff;
        assert!(Subscription::parse(&future).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn no_bytes_are_too_strange(
            version in 0u8..5,
            rest in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..60),
        ) {
            let bytes = [vec![0, version], rest].concat();
            let _ = MemberAssignment::parse(&bytes);
            if let Ok(subscription) = Subscription::parse(&bytes) {
                let written = subscription.encode().unwrap();
                prop_assert_eq!(Subscription::parse(&written), Ok(subscription));
            }
        }
    }
}
