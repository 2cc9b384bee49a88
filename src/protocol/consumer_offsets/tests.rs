//! The bytes Kafka 4.3.1 itself writes (its `GroupCoordinatorRecordSerde`), and bytes that nobody should.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// Name, key and value in hexadecimal digits; `-` for a tombstone.
const GOLDEN: &str = "\
offset_v4 00010001670005746f70696300000007 00040000011f71fb04cb00000005056e6f74650000018bcfe568000100100102030405060708090a0b0c0d0e0f10
offset_v4_no_id 00010001670005746f70696300000007 00040000011f71fb04cbffffffff010000018bcfe5680000
offset_v1 00010001670005746f70696300000007 00010000011f71fb04cb00046e6f74650000018bcfe568000000018bcfee8fc0
offset_v0 00010001670005746f70696300000007 00000000011f71fb04cb00046e6f74650000018bcfe56800
offset_v2 00010001670005746f70696300000007 00020000011f71fb04cb00046e6f74650000018bcfe56800
offset_v3 00010001670005746f70696300000007 00030000011f71fb04cb0000000500046e6f74650000018bcfe56800
offset_tombstone 00010001670005746f70696300000007 -
legacy_offset 00000001670005746f70696300000007 0000000000000000002a00036f6c6400000000000003e8
classic_v0 0002000167 00000008636f6e73756d657200000003000572616e67650003632d31000000010003632d31000163000a2f3132372e302e302e310000afc800000002000100000003020304
classic_v1 0002000167 00010008636f6e73756d657200000003000572616e67650003632d31000000010003632d31000163000a2f3132372e302e302e31000493e00000afc800000002000100000003020304
classic_v2 0002000167 00020008636f6e73756d657200000003000572616e67650003632d310000018bcfe56800000000010003632d31000163000a2f3132372e302e302e31000493e00000afc800000002000100000003020304
classic_v3 0002000167 00030008636f6e73756d657200000003000572616e67650003632d310000018bcfe56800000000010003632d31000169000163000a2f3132372e302e302e31000493e00000afc800000002000100000003020304
classic_v4 0002000167 000409636f6e73756d6572000000030672616e676504632d310000018bcfe568000204632d31026902630b2f3132372e302e302e31000493e00000afc8030001040203040000
classic_empty 0002000167 0003000000000000ffffffff0000018bcfe5680000000000
classic_tombstone 0002000167 -
consumer_group 0003000167 0000000000090100080102030405060708
consumer_group_no_hash 0003000167 00000000000900
consumer_group_tombstone 0003000167 -
member 000500016700016d 0000026902720263032f68030261026204782e2a000493e008756e69666f726d010011010000afc8020672616e67650301020000
member_plain 000500016700016d 000000000263032f680100ffffffff0000
target_epoch 0006000167 0000000000040100080000018bcfe56800
target_epoch_no_time 0006000167 00000000000400
target_member 000700016700016d 0000030102030405060708090a0b0c0d0e0f1004000000000000000100000002001112131415161718191a1b1c1d1e1f2002000000050000
current_member 000800016700016d 0000000000070000000601020102030405060708090a0b0c0d0e0f10030000000000000002010009030000000300000007021112131415161718191a1b1c1d1e1f200200000005010005020000000400
current_member_before_4_3 000800016700016d 0000000000070000000602020102030405060708090a0b0c0d0e0f10030000000000000002000100
regex 00100001670003782e2a 000003037861037862000000000000000c0000018bcfe5680000
subscription_metadata 0004000167 0000020102030405060708090a0b0c0d0e0f10026100000003010000
share_group 000b000167 000000000002000000000000000000
streams_group 0011000167 000000000002000000000000000000
";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
        .collect()
}

fn golden(name: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    let line = GOLDEN
        .lines()
        .find(|line| line.split(' ').next() == Some(name))
        .unwrap();
    let fields: Vec<&str> = line.split(' ').collect();
    let value = (fields[2] != "-").then(|| bytes(fields[2]));
    (bytes(fields[1]), value)
}

fn read(name: &str) -> Option<Record> {
    let (key, value) = golden(name);
    decode(&key, value.as_deref()).unwrap()
}

/// The record is written as Kafka writes it, and read as it was.
fn assert_same_as_kafka(name: &str, record: &Record) {
    let (key, value) = golden(name);
    let encoded = encode(record).unwrap();
    assert_eq!(encoded.key, key, "{name}");
    assert_eq!(encoded.value.as_deref(), value.as_deref(), "{name}");
    assert_eq!(read(name).as_ref(), Some(record), "{name}");
}

fn name(name: &str) -> Arc<str> {
    Arc::from(name)
}

fn id(first: u8) -> TopicId {
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = first + u8::try_from(at).unwrap();
    }
    crate::model::Uuid(bytes)
}

fn offset(value: Option<OffsetValue>) -> Record {
    Record::Offset {
        group: name("g"),
        topic: name("topic"),
        partition: 7,
        value,
    }
}

fn offset_value() -> OffsetValue {
    OffsetValue {
        offset: Offset(1_234_567_890_123),
        leader_epoch: LeaderEpoch(5),
        metadata: name("note"),
        committed: Timestamp(1_700_000_000_000),
        expires: None,
        topic_id: id(1),
    }
}

fn classic_value() -> ClassicGroupValue {
    ClassicGroupValue {
        protocol_type: name("consumer"),
        generation: 3,
        protocol: Some(name("range")),
        leader: Some(name("c-1")),
        state_since: Timestamp(1_700_000_000_000),
        members: vec![ClassicMemberValue {
            member_id: name("c-1"),
            instance_id: Some(name("i")),
            client_id: name("c"),
            client_host: name("/127.0.0.1"),
            rebalance_timeout_ms: 300_000,
            session_timeout_ms: 45_000,
            subscription: Bytes::from_static(&[0, 1]),
            assignment: Bytes::from_static(&[2, 3, 4]),
        }],
    }
}

fn classic(value: Option<ClassicGroupValue>) -> Record {
    let group = name("g");
    Record::ClassicGroup { group, value }
}

fn consumer(epoch: i32, metadata_hash: i64) -> Record {
    Record::ConsumerGroup {
        group: name("g"),
        value: Some(ConsumerGroupValue {
            epoch,
            metadata_hash,
        }),
    }
}

fn member(value: MemberValue) -> Record {
    Record::Member {
        group: name("g"),
        member: name("m"),
        value: Some(value),
    }
}

fn plain_member() -> MemberValue {
    MemberValue {
        instance_id: None,
        rack_id: None,
        client_id: name("c"),
        client_host: name("/h"),
        subscribed_topics: vec![],
        subscribed_regex: None,
        rebalance_timeout_ms: -1,
        server_assignor: None,
        classic: None,
    }
}

fn current(value: CurrentMemberValue) -> Record {
    Record::CurrentMember {
        group: name("g"),
        member: name("m"),
        value: Some(value),
    }
}

#[test]
fn offsets_are_written_as_kafka_writes_them() {
    assert_same_as_kafka("offset_v4", &offset(Some(offset_value())));
    let bare = OffsetValue {
        leader_epoch: LeaderEpoch::NONE,
        metadata: name(""),
        topic_id: TopicId::ZERO,
        ..offset_value()
    };
    assert_same_as_kafka("offset_v4_no_id", &offset(Some(bare)));
    assert_same_as_kafka("offset_tombstone", &offset(None));
}

#[test]
fn an_offset_with_an_expiry_of_its_own_is_written_in_the_version_that_has_room_for_it() {
    let expiring = OffsetValue {
        leader_epoch: LeaderEpoch::NONE,
        expires: Some(Timestamp(1_700_000_600_000)),
        topic_id: TopicId::ZERO,
        ..offset_value()
    };
    assert_same_as_kafka("offset_v1", &offset(Some(expiring)));
}

#[test]
fn offsets_of_older_versions_are_read() {
    let old = OffsetValue {
        leader_epoch: LeaderEpoch::NONE,
        topic_id: TopicId::ZERO,
        ..offset_value()
    };
    for version in ["offset_v0", "offset_v2"] {
        assert_eq!(read(version), Some(offset(Some(old.clone()))), "{version}");
    }
    let with_epoch = OffsetValue {
        leader_epoch: LeaderEpoch(5),
        ..old.clone()
    };
    assert_eq!(read("offset_v3"), Some(offset(Some(with_epoch))));
    let legacy = OffsetValue {
        offset: Offset(42),
        metadata: name("old"),
        committed: Timestamp(1000),
        ..old
    };
    assert_eq!(read("legacy_offset"), Some(offset(Some(legacy))));
}

#[test]
fn classic_groups_are_written_as_kafka_writes_them() {
    assert_same_as_kafka("classic_v3", &classic(Some(classic_value())));
    assert_same_as_kafka("classic_tombstone", &classic(None));
    let empty = ClassicGroupValue {
        protocol_type: name(""),
        generation: 0,
        protocol: None,
        leader: None,
        members: vec![],
        ..classic_value()
    };
    assert_same_as_kafka("classic_empty", &classic(Some(empty)));
}

#[test]
fn classic_groups_of_other_versions_are_read() {
    let mut value = classic_value();
    assert_eq!(read("classic_v4"), Some(classic(Some(value.clone()))));
    value.members[0].instance_id = None;
    assert_eq!(read("classic_v2"), Some(classic(Some(value.clone()))));
    value.state_since = Timestamp::NONE;
    assert_eq!(read("classic_v1"), Some(classic(Some(value.clone()))));
    value.members[0].rebalance_timeout_ms = -1;
    assert_eq!(read("classic_v0"), Some(classic(Some(value))));
}

#[test]
fn consumer_groups_are_written_as_kafka_writes_them() {
    assert_same_as_kafka("consumer_group", &consumer(9, 0x0102_0304_0506_0708));
    assert_same_as_kafka("consumer_group_no_hash", &consumer(9, 0));
    let tombstone = Record::ConsumerGroup {
        group: name("g"),
        value: None,
    };
    assert_same_as_kafka("consumer_group_tombstone", &tombstone);
    for (golden, computed) in [
        ("target_epoch", 1_700_000_000_000),
        ("target_epoch_no_time", 0),
    ] {
        let record = Record::TargetEpoch {
            group: name("g"),
            value: Some(TargetEpochValue {
                epoch: 4,
                computed: Timestamp(computed),
            }),
        };
        assert_same_as_kafka(golden, &record);
    }
    let expression = Record::RegularExpression {
        group: name("g"),
        expression: name("x.*"),
        value: Some(RegularExpressionValue {
            topics: vec![name("xa"), name("xb")],
            version: 12,
            resolved: Timestamp(1_700_000_000_000),
        }),
    };
    assert_same_as_kafka("regex", &expression);
}

#[test]
fn members_are_written_as_kafka_writes_them() {
    assert_same_as_kafka("member_plain", &member(plain_member()));
    let full = MemberValue {
        instance_id: Some(name("i")),
        rack_id: Some(name("r")),
        subscribed_topics: vec![name("a"), name("b")],
        subscribed_regex: Some(name("x.*")),
        rebalance_timeout_ms: 300_000,
        server_assignor: Some(name("uniform")),
        classic: Some(ClassicMemberMetadata {
            session_timeout_ms: 45_000,
            supported_protocols: vec![(name("range"), Bytes::from_static(&[1, 2]))],
        }),
        ..plain_member()
    };
    assert_same_as_kafka("member", &member(full));
}

#[test]
fn assignments_are_written_as_kafka_writes_them() {
    let target = Record::TargetMember {
        group: name("g"),
        member: name("m"),
        value: Some(Assignment::from([
            (id(1), vec![0, 1, 2]),
            (id(17), vec![5]),
        ])),
    };
    assert_same_as_kafka("target_member", &target);
    let value = CurrentMemberValue {
        member_epoch: 7,
        previous_member_epoch: 6,
        state: MemberState::UnrevokedPartitions,
        assigned: Assignment::from([(id(1), vec![0, 2])]),
        pending_revocation: Assignment::from([(id(17), vec![5])]),
        assigned_epochs: Assignment::from([(id(1), vec![3, 7])]),
        pending_revocation_epochs: Assignment::from([(id(17), vec![4])]),
    };
    assert_same_as_kafka("current_member", &current(value.clone()));
    let before = CurrentMemberValue {
        state: MemberState::UnreleasedPartitions,
        pending_revocation: Assignment::new(),
        assigned_epochs: Assignment::new(),
        pending_revocation_epochs: Assignment::new(),
        ..value
    };
    assert_same_as_kafka("current_member_before_4_3", &current(before));
}

#[test]
fn records_of_other_kinds_of_groups_are_passed_over_and_not_taken_for_damage() {
    for other in ["subscription_metadata", "share_group", "streams_group"] {
        assert_eq!(read(other), None, "{other}");
    }
    assert_eq!(decode(&[0x7f, 0xff, 1, 2, 3], Some(&[1])), Ok(None));
    assert!(decode(&[0], None).is_err());
    assert!(decode(&[], None).is_err());
}

#[test]
fn a_value_of_a_version_that_does_not_exist_is_refused() {
    let (key, value) = golden("offset_v4");
    let mut value = value.unwrap();
    value[1] = 5;
    assert!(decode(&key, Some(&value)).is_err());
    value[..2].copy_from_slice(&[0xff, 0xff]);
    assert!(decode(&key, Some(&value)).is_err());
}

#[test]
fn a_name_that_does_not_fit_its_length_is_not_written() {
    let long = "g".repeat(32_768);
    let record = Record::ClassicGroup {
        group: Arc::from(long),
        value: None,
    };
    assert!(matches!(
        encode(&record),
        Err(ProtocolError::Unencodable(_))
    ));
}

#[test]
fn names_that_come_again_are_shared() {
    let mut decoder = Decoder::default();
    let (key, value) = golden("offset_v4");
    let mut topics = vec![];
    for _ in 0..2 {
        match decoder.decode(&key, value.as_deref()).unwrap().unwrap() {
            Record::Offset { topic, .. } => topics.push(topic),
            other => panic!("{other:?}"),
        }
    }
    assert!(Arc::ptr_eq(&topics[0], &topics[1]));
}

/// Every golden record, cut off or with bytes changed.
fn damaged() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let lines: Vec<&str> = GOLDEN.lines().collect();
    let bits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (
        prop::sample::select(lines),
        bits,
        any::<prop::sample::Index>(),
    )
        .prop_map(|(line, changes, cut)| {
            let fields: Vec<&str> = line.split(' ').collect();
            let key = bytes(fields[1]);
            let mut value = bytes(fields[2].trim_matches('-'));
            for (place, byte) in changes {
                if !value.is_empty() {
                    let at = place.index(value.len());
                    value[at] = byte;
                }
            }
            let length = cut.index(2 * value.len() + 1).min(value.len());
            value.truncate(length);
            (key, value)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_read_of_damaged_bytes_is_read_again_when_written((key, value) in damaged()) {
        if let Ok(Some(record)) = decode(&key, Some(&value)) {
            let encoded = encode(&record).unwrap();
            let again = decode(&encoded.key, encoded.value.as_deref()).unwrap();
            prop_assert_eq!(again, Some(record));
        }
    }

    #[test]
    fn no_bytes_are_too_strange(
        schema in 0i16..24,
        key in prop::collection::vec(any::<u8>(), 0..40),
        value in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let key = [schema.to_be_bytes().to_vec(), key].concat();
        let _ = decode(&key, Some(&value));
        let _ = decode(&key, None);
    }
}
