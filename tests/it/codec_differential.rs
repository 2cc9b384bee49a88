//! The codec we use against an independent one, kafka-protocol: what ours accepts, both must write
//! back as the same bytes. Bodies grow from the default message by damage that stays readable.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as other;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message};
use milena::protocol::messages as ours;
use milena::protocol::{
    decode_body, decode_response, encode_request, encode_response, parse_request,
    supported_versions,
};

/// Damaged bodies per message and version.
const ROUNDS: usize = 250;
/// Readable bodies kept for further damage.
const KEPT_MAX: usize = 32;

/// A small generator (splitmix64), the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn damage(&mut self, body: &[u8]) -> Bytes {
        let mut body = body.to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(body.len());
            match self.below(6) {
                0 => body.insert(at, self.below(6) as u8),
                1 => {
                    let more = (0..self.below(24)).map(|_| b'a' + self.below(3) as u8);
                    let more: Vec<u8> = more.collect();
                    body.splice(at..at, more);
                }
                2 => {
                    let zeros = vec![0; self.below(30)];
                    body.splice(at..at, zeros);
                }
                3 if !body.is_empty() => {
                    body.remove(at);
                }
                4 if !body.is_empty() => body[at] = self.below(6) as u8,
                _ if !body.is_empty() => body[at] ^= 1 << self.below(8),
                _ => {}
            }
        }
        body.into()
    }
}

/// Both codecs' view of one message: `ours` answers what we write back, if we can read the body.
fn compare<T: Decodable + Encodable + std::fmt::Debug>(
    name: &str,
    version: i16,
    start: Bytes,
    ours: impl Fn(Bytes) -> Option<Bytes>,
) -> usize {
    let mut random = Random(version as u64);
    let mut kept = vec![start];
    let mut compared = 0;
    for _ in 0..ROUNDS {
        let from = random.below(kept.len());
        let body = random.damage(&kept[from]);
        let Some(written) = ours(body.clone()) else {
            continue;
        };
        // Bytes behind the message are ignored, so a shorter one was written back: nothing to compare.
        if written.len() < body.len() {
            continue;
        }
        let theirs = T::decode(&mut body.clone(), version)
            .unwrap_or_else(|error| panic!("{name} {version}: only we read {body:02x?}: {error}"));
        let mut back = BytesMut::new();
        theirs
            .encode(&mut back, version)
            .expect("what was read can be written");
        assert_eq!(
            written,
            back.freeze(),
            "{name} {version}: {body:02x?} {theirs:?}"
        );
        compared += 1;
        if kept.len() < KEPT_MAX {
            kept.push(body);
        }
    }
    compared
}

fn compare_request<O, T>(api_key: i16) -> usize
where
    O: ours::Request + Default,
    T: Message + Decodable + Encodable + std::fmt::Debug,
{
    let (low, high) = supported_versions(api_key).expect("a request we know");
    let versions = low.max(T::VERSIONS.min)..=high.min(T::VERSIONS.max);
    let compared = versions.map(|version| {
        let write = |request: &O| {
            let frame = encode_request(0, version, None, request).expect("it was just read");
            parse_request(frame.slice(4..)).expect("we wrote it").body
        };
        let start = write(&O::default());
        compare::<T>(O::NAME, version, start, |body| {
            Some(write(&decode_body::<O>(body, version).ok()?))
        })
    });
    compared.sum()
}

fn compare_response<O, T>(api_key: i16) -> usize
where
    O: ours::Answer + Default + std::fmt::Debug,
    T: Message + HeaderVersion + Decodable + Encodable + std::fmt::Debug,
{
    let (low, high) = supported_versions(api_key).expect("an answer we know");
    let versions = low.max(T::VERSIONS.min)..=high.min(T::VERSIONS.max);
    let compared = versions.map(|version| {
        let write = |answer: &O| {
            let frame = encode_response(0, version, answer).expect("it was just read");
            let frame = Bytes::from(frame.read_to_bytes().expect("no files"));
            let read = decode_response::<O>(frame.slice(4..), version);
            assert!(read.is_ok(), "{} {version}: {read:?}", O::NAME);
            // Which head an answer has is the other codec's word, and so is tested as well.
            let tags = usize::from(T::header_version(version) > 0);
            frame.slice(8 + tags..)
        };
        let start = write(&O::default());
        compare::<T>(O::NAME, version, start, |body| {
            Some(write(&decode_body::<O>(body, version).ok()?))
        })
    });
    compared.sum()
}

macro_rules! differential {
    ($($test:ident: $key:ident, $request:ident, $response:ident;)*) => {
        $(
            #[test]
            fn $test() {
                let key = milena::protocol::api_key::$key;
                let requests = compare_request::<ours::$request, other::$request>(key);
                let responses = compare_response::<ours::$response, other::$response>(key);
                assert!(requests + responses > 20, "{requests} and {responses} were compared");
            }
        )*
    };
}

differential! {
    produce_is_the_same_in_both_codecs: PRODUCE, ProduceRequest, ProduceResponse;
    fetch_is_the_same_in_both_codecs: FETCH, FetchRequest, FetchResponse;
    list_offsets_is_the_same_in_both_codecs: LIST_OFFSETS, ListOffsetsRequest, ListOffsetsResponse;
    metadata_is_the_same_in_both_codecs: METADATA, MetadataRequest, MetadataResponse;
    api_versions_is_the_same_in_both_codecs: API_VERSIONS, ApiVersionsRequest, ApiVersionsResponse;
    create_topics_is_the_same_in_both_codecs: CREATE_TOPICS, CreateTopicsRequest, CreateTopicsResponse;
    delete_topics_is_the_same_in_both_codecs: DELETE_TOPICS, DeleteTopicsRequest, DeleteTopicsResponse;
    delete_records_is_the_same_in_both_codecs: DELETE_RECORDS, DeleteRecordsRequest, DeleteRecordsResponse;
    init_producer_id_is_the_same_in_both_codecs: INIT_PRODUCER_ID, InitProducerIdRequest, InitProducerIdResponse;
    offset_for_leader_epoch_is_the_same_in_both_codecs: OFFSET_FOR_LEADER_EPOCH, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse;
    describe_configs_is_the_same_in_both_codecs: DESCRIBE_CONFIGS, DescribeConfigsRequest, DescribeConfigsResponse;
    alter_configs_is_the_same_in_both_codecs: ALTER_CONFIGS, AlterConfigsRequest, AlterConfigsResponse;
    incremental_alter_configs_is_the_same_in_both_codecs: INCREMENTAL_ALTER_CONFIGS, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse;
    create_partitions_is_the_same_in_both_codecs: CREATE_PARTITIONS, CreatePartitionsRequest, CreatePartitionsResponse;
    describe_cluster_is_the_same_in_both_codecs: DESCRIBE_CLUSTER, DescribeClusterRequest, DescribeClusterResponse;
    describe_topic_partitions_is_the_same_in_both_codecs: DESCRIBE_TOPIC_PARTITIONS, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse;
    describe_log_dirs_is_the_same_in_both_codecs: DESCRIBE_LOG_DIRS, DescribeLogDirsRequest, DescribeLogDirsResponse;
    describe_producers_is_the_same_in_both_codecs: DESCRIBE_PRODUCERS, DescribeProducersRequest, DescribeProducersResponse;
    describe_quorum_is_the_same_in_both_codecs: DESCRIBE_QUORUM, DescribeQuorumRequest, DescribeQuorumResponse;
    update_features_is_the_same_in_both_codecs: UPDATE_FEATURES, UpdateFeaturesRequest, UpdateFeaturesResponse;
    find_coordinator_is_the_same_in_both_codecs: FIND_COORDINATOR, FindCoordinatorRequest, FindCoordinatorResponse;
}
